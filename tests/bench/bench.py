"""What Penstock makes of this machine: `./dev bench quick` prints a page of figures.

    bench.py [quick] [--programs FOLDER] [--actions N] [--rounds N]
    bench.py engine [--programs FOLDER] [--sections NAME...]

Real programs: one controller, one agent with two slots, on loopback and on the disk that the build
folder is on. The yardstick, `sh -c true` started as fast as the machine can, is measured in the
same run.

`engine` measures the engine alone, in one process: steps, growth, memory, explain, reload, and the
simulator. Where valgrind is installed it counts the instructions of a step, too: that figure does
not depend on what else the machine does.
"""
import argparse
import os
import pathlib
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from harness.system import (System, approval_action, commands_action,  # noqa: E402
                            commands_pipeline, remove_folder, wait_for)

ACTIONS_PER_STAGE = 50  # the API's limit
ACTIONS_PER_PIPELINE = 500  # half of the API's limit, source included
SPAWN_SECONDS = 3
ENDS = ("Succeeded", "Failed", "Stopped", "Cancelled", "Superseded")


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def say(name, text):
    print(f"{name:<28}{text}", flush=True)


def spawns_per_second(programs):
    done = subprocess.run([programs / "bench_spawn", str(SPAWN_SECONDS), str(os.cpu_count())],
                          check=True, capture_output=True, text=True)
    return float(done.stdout)


def wait_end(api, pipeline, execution):
    def ended():
        status = api.call("GetPipelineExecution", {
            "pipelineName": pipeline, "pipelineExecutionId": execution,
        })["pipelineExecution"]["status"]
        return status in ENDS and status
    status = wait_for(ended, f"{pipeline} to end", 600)
    if status != "Succeeded":
        raise SystemExit(f"bench: execution {execution} of {pipeline} ended {status}")


def newest(api, pipeline):
    def first():
        found = api.call("ListPipelineExecutions", {"pipelineName": pipeline})
        return found["pipelineExecutionSummaries"]
    return wait_for(first, f"an execution of {pipeline}")[0]["pipelineExecutionId"]


def actions_of(api, pipeline, execution):
    details, token = [], {}
    while True:
        answer = api.call("ListActionExecutions", {
            "pipelineName": pipeline, "maxResults": 100,
            "filter": {"pipelineExecutionId": execution}} | token)
        details += answer["actionExecutionDetails"]
        if not answer.get("nextToken"):
            return details
        token = {"nextToken": answer["nextToken"]}


def throughput_pipeline(name, count):
    """`count` no-op actions, in parallel groups of a stage each."""
    stages = []
    for first in range(0, count, ACTIONS_PER_STAGE):
        numbers = range(first, min(count, first + ACTIONS_PER_STAGE))
        stages.append((f"Stage{first // ACTIONS_PER_STAGE:02}",
                       [commands_action(f"Action{number:04}", ["true"]) for number in numbers]))
    return commands_pipeline(name, "bench", stages)


def bench_throughput(system, api, count):
    """Actions a second from the first action's start to the last one's end, by the API's times."""
    names = []
    for first in range(0, count, ACTIONS_PER_PIPELINE):
        names.append(f"throughput-{len(names)}")
        system.create_pipeline(
            throughput_pipeline(names[-1], min(ACTIONS_PER_PIPELINE, count - first)))
    done = []
    for name in names:
        execution = newest(api, name)
        wait_end(api, name, execution)
        done += [one for one in actions_of(api, name, execution) if one["stageName"] != "Source"]
    assert len(done) == count, f"{len(done)} of {count} actions in the history"
    seconds = max(one["lastUpdateTime"] for one in done) - min(one["startTime"] for one in done)
    return count / seconds, seconds


class Began:
    """A named pipe that a command writes to: the moment when its process has begun."""

    def __init__(self, folder):
        self.path = folder / "began"
        os.mkfifo(self.path)
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def command(self):
        return f"echo > '{self.path}'"

    def wait(self):
        ready, _, _ = select.select([self.descriptor], [], [], 60)
        when = time.perf_counter()
        if not ready:
            raise SystemExit("bench: no process began within 60 s")
        os.read(self.descriptor, 4096)
        return when


def bench_start(system, api, began, rounds):
    """Milliseconds from the call of StartPipelineExecution to the process of the first action."""
    system.create_pipeline(commands_pipeline("ping", "bench", [
        ("Run", [commands_action("Run", [began.command()])])]))
    began.wait()
    wait_end(api, "ping", newest(api, "ping"))
    times = []
    for _ in range(rounds):
        call = time.perf_counter()
        execution = api.call("StartPipelineExecution", {"name": "ping"})["pipelineExecutionId"]
        times.append((began.wait() - call) * 1000)
        wait_end(api, "ping", execution)
    return times


def approval_token(api):
    def token():
        for stage in api.call("GetPipelineState", {"name": "gate"})["stageStates"]:
            for action in stage.get("actionStates", []):
                found = action.get("latestExecution", {}).get("token")
                if found:
                    return found
        return None
    return wait_for(token, "the approval to be asked for")


def bench_approval(system, api, began, rounds):
    """Milliseconds from the call of PutApprovalResult to the process it lets go."""
    system.create_pipeline(commands_pipeline("gate", "bench", [
        ("Run", [approval_action("Ask", runOrder=1),
                 commands_action("Run", [began.command()], runOrder=2)])]))
    execution = newest(api, "gate")
    times = []
    for _ in range(rounds):
        token = approval_token(api)
        call = time.perf_counter()
        api.call("PutApprovalResult", {
            "pipelineName": "gate", "stageName": "Run", "actionName": "Ask", "token": token,
            "result": {"summary": "go", "status": "Approved"}})
        times.append((began.wait() - call) * 1000)
        wait_end(api, "gate", execution)
        execution = api.call("StartPipelineExecution", {"name": "gate"})["pipelineExecutionId"]
    return times


def megabytes(program):
    return f"{program.rss_bytes() / 1e6:.1f} MB"


def measure(system, options):
    controller = system.start_controller()
    agent = system.add_agent("agent", slots=2).program
    say("memory, idle", f"controller {megabytes(controller)}, agent {megabytes(agent)}")
    clone = system.repository("bench")
    system.push(clone, {"file": "content\n"})
    began = Began(system.folder)
    api = system.api()
    for name, times in (
            ("start call to process", bench_start(system, api, began, options.rounds)),
            ("approval to process", bench_approval(system, api, began, options.rounds))):
        say(name, f"p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms, "
                  f"{len(times)} rounds, idle system")
    rate, seconds = bench_throughput(system, api, options.actions)
    spawns = spawns_per_second(options.programs)
    say("no-op actions", f"{rate:.0f}/s: {options.actions} in {seconds:.2f} s, one agent, 2 slots")
    say("sh -c true", f"{spawns:.0f}/s with {os.cpu_count()} cores")
    say("ratio", f"{rate / spawns:.3f} of what the machine can spawn")
    say("memory, after", f"controller {megabytes(controller)}, agent {megabytes(agent)}")


ENGINE_SECTIONS = ("speed", "growth", "memory", "explain", "reload", "instructions", "simulator")
SIMULATED_SEEDS = 5


def count_instructions(programs):
    """Of one step, with the writing of its rows and the freeing of what it made."""
    if not shutil.which("valgrind"):
        print("\ninstructions: valgrind is not installed")
        return
    with tempfile.NamedTemporaryFile() as output:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output.name}",
             "--collect-atstart=no", "--toggle-collect=pen_engine_take",
             "--toggle-collect=pen_engine_flush", "--toggle-collect=pen_engine_out_clear",
             programs / "bench_engine", "profile"], check=True, capture_output=True, text=True)
    counted = int(re.search(r"refs:\s+([\d,]+)", done.stderr).group(1).replace(",", ""))
    steps = int(re.search(r"(\d+) steps in all", done.stdout).group(1))
    print(f"\ninstructions: {counted / steps:.0f} a step, counted by valgrind over {steps} steps")


def simulate(programs):
    print("\nsimulator: a controller, 8 agents with their hosts, people, faults; on virtual time",
          flush=True)
    subprocess.run([programs / "penstock-sim", "--seed", "1", "--seeds", str(SIMULATED_SEEDS),
                    "--hosts", "8"],
                   check=True)


def measure_engine(options):
    sections = options.sections or ENGINE_SECTIONS
    stores = options.programs.parent / "bench"
    stores.mkdir(exist_ok=True)
    for section in sections:
        if section == "instructions":
            count_instructions(options.programs)
        elif section == "simulator":
            simulate(options.programs)
        else:
            subprocess.run([options.programs / "bench_engine", section, stores], check=True)


def main():
    parser = argparse.ArgumentParser(description="what Penstock makes of this machine")
    parser.add_argument("what", nargs="?", default="quick", choices=["quick", "engine"])
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build" / "bin")
    parser.add_argument("--actions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--sections", nargs="+", choices=ENGINE_SECTIONS)
    options = parser.parse_args()
    if options.what == "engine":
        measure_engine(options)
        return
    folder = tempfile.mkdtemp(prefix="bench.", dir=options.programs.parent)
    try:
        with System(folder, options.programs) as system:
            measure(system, options)
    finally:
        remove_folder(folder)


if __name__ == "__main__":
    main()
