"""Penstock delivers Penstock: run it as `./dev demo [--yes] [--keep]`.

One controller and two agents start in a temporary folder; this repository is pushed to them and goes
through examples/self/pipeline.json: build and lint on different agents, a smoke test of what was
built, an approval, a deploy. Then a change is pushed from a clone, and the push alone does it again.

Exit status 0 only if both deploys happened and the deployed program runs.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from harness.system import System, SystemFault, remove_folder, wait_for  # noqa: E402

PIPELINE = "penstock"
ENDS = ("Succeeded", "Failed", "Stopped", "Cancelled", "Superseded")
FIRST_LOG_DEADLINE_S = 120
LOOK_S = 0.05  # how often the demo, a client like any other, looks for the approval and the end
PLAIN = not sys.stdout.isatty() or os.environ.get("NO_COLOR")


def say(text):
    print(f"== {text}" if PLAIN else f"\033[1m== {text}\033[0m", flush=True)


def ask(question):
    """True for yes, which is also the answer of an empty line."""
    try:
        return input(f"{question} [Y/n] ").strip().lower() in ("", "y", "yes")
    except EOFError:
        return True


def tree_bytes(folder):
    """Bytes of all files below; what vanishes while we look counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                total += path.stat().st_size
        except OSError:
            pass
    return total


class Demo:
    def __init__(self, system, options):
        self.system, self.options = system, options
        self.prefix = system.folder / "prefix"
        self.ccache = system.folder / "ccache"
        self.clone = system.folder / "clone"
        self.repository = None
        self.api = None
        self.runs = []

    # ---- the stage

    def start(self):
        say(f"starting a controller and two agents below {self.system.folder}")
        self.system.start_controller()
        self.api = self.system.api()
        for name, pool in (("builder", "build"), ("runner", "run")):
            self.system.add_agent(name, labels={"pool": pool}, arguments=("--name", name))
        print(self.system.penstock("agent", "list").stdout)

    def push_this_repository(self):
        """The commit that is checked out, as the controller's repository `penstock`."""
        self.system.penstock("repo", "create", "penstock")
        rows = self.system.penstock_json("repo", "list")
        rows = rows["repositories"] if isinstance(rows, dict) else rows
        self.repository = next(row["path"] for row in rows if row["name"] == "penstock")
        self.system.git("clone", "-q", "--no-local", ROOT, self.clone)
        if self.system.git("-C", ROOT, "status", "--porcelain", "-uno").strip():
            say("note: what is not committed here is not delivered")
        say("pushing this repository")
        self.system.git("push", "-q", self.repository, "HEAD:refs/heads/main", cwd=self.clone)

    def declaration(self):
        """The example's JSON, with its two paths led into the temporary folder."""
        text = json.loads((ROOT / "examples" / "self" / "pipeline.json").read_text())
        places = {"CCACHE_DIR": self.ccache, "PREFIX": self.prefix}
        for stage in text["pipeline"]["stages"]:
            for action in stage["actions"]:
                for variable in action.get("environmentVariables", []):
                    if variable["name"] in places:
                        variable["value"] = str(places[variable["name"]])
        return text

    def create_pipeline(self):
        for folder in (self.prefix, self.ccache):
            folder.mkdir()
            folder.chmod(0o777)  # an agent may run its commands as another user
        path = self.system.folder / "pipeline.json"
        path.write_text(json.dumps(self.declaration(), indent=2))
        say("creating the pipeline of examples/self/pipeline.json")
        self.system.penstock("pipeline", "create", path)

    # ---- one execution

    def executions(self):
        answer = self.api.call("ListPipelineExecutions", {"pipelineName": PIPELINE})
        return [one["pipelineExecutionId"] for one in answer["pipelineExecutionSummaries"]]

    def log_bytes(self):
        return tree_bytes(self.system.data / "logs")

    def moved_bytes(self):
        """(chunks the controller holds, chunks the agents hold)"""
        agents = sum(tree_bytes(agent.data / "blobs") for agent in self.system.agents.values())
        return tree_bytes(self.system.data / "blobs"), agents

    def new_execution(self, known):
        """Wait for an execution that is not known yet; the newest."""
        return wait_for(lambda: [one for one in self.executions() if one not in known],
                        "an execution to start")[0]

    def waiting_approval(self):
        """(stage, action, token) of the approval that waits, or None."""
        state = self.api.call("GetPipelineState", {"name": PIPELINE})
        for stage in state["stageStates"]:
            for action in stage.get("actionStates", []):
                latest = action.get("latestExecution", {})
                if latest.get("token") and latest.get("status") == "InProgress":
                    return stage["stageName"], action["actionName"], latest["token"]
        return None

    def status(self, execution):
        return self.api.call("GetPipelineExecution", {
            "pipelineName": PIPELINE, "pipelineExecutionId": execution,
        })["pipelineExecution"]["status"]

    def watcher(self, execution):
        """`penstock watch` in front of the person."""
        sys.stdout.flush()
        return subprocess.Popen(
            [self.system.programs / "penstock", "watch", PIPELINE, execution], stdin=subprocess.DEVNULL,
            env=self.system.environment | ({"NO_COLOR": "1"} if PLAIN else {}))

    def decide(self, stage, action, token):
        yes = self.options.yes or not sys.stdin.isatty() or ask(f"Approve {stage}/{action}?")
        self.api.call("PutApprovalResult", {
            "pipelineName": PIPELINE, "stageName": stage, "actionName": action, "token": token,
            "result": {"status": "Approved" if yes else "Rejected", "summary": "./dev demo"}})
        say(f"{stage}/{action}: {'approved' if yes else 'rejected'}")

    def follow(self, execution):
        """Show it live, decide its approval, return how it ended."""
        watcher = self.watcher(execution)
        try:
            while self.status(execution) not in ENDS:
                approval = self.waiting_approval()
                if approval:  # what is shown stands still while we ask
                    watcher.send_signal(signal.SIGSTOP)
                    self.decide(*approval)
                    watcher.send_signal(signal.SIGCONT)
                time.sleep(LOOK_S)
            watcher.wait(60)
        finally:
            if watcher.poll() is None:
                watcher.kill()
                watcher.wait()
        return self.status(execution)

    def run(self, name, begin):
        """begin() causes an execution; follow it and keep its figures."""
        known, logs, moved = set(self.executions_or_none()), self.log_bytes(), self.moved_bytes()
        begun = time.monotonic()
        begin()
        execution = self.new_execution(known)
        say(f"{name}: execution {execution}")
        wait_for(lambda: self.log_bytes() > logs or self.status(execution) in ENDS,
                 "the first byte of a log", FIRST_LOG_DEADLINE_S)
        first_log = time.monotonic() - begun
        status = self.follow(execution)
        after = self.moved_bytes()
        self.runs.append({
            "name": name, "execution": execution, "status": status,
            "seconds": time.monotonic() - begun, "first_log": first_log,
            "stored": after[0] - moved[0], "fetched": after[1] - moved[1]})
        if status != "Succeeded":
            print(self.system.penstock("why", PIPELINE, "--execution", execution,
                                       check=False).stdout)
            raise SystemFault(f"{name}: the execution ended {status}")

    def executions_or_none(self):
        pipelines = self.api.call("ListPipelines")["pipelines"]
        return self.executions() if any(one["name"] == PIPELINE for one in pipelines) else []

    def push_change(self):
        """A change of one source file and nothing else."""
        path = self.clone / "cli" / "main.c"
        path.write_text(path.read_text() + "/* changed by ./dev demo */\n")
        self.system.git("commit", "-q", "-a", "-m", "Change one file", cwd=self.clone)
        self.system.git("push", "-q", self.repository, "HEAD:refs/heads/main", cwd=self.clone)

    # ---- what came of it

    def check_deployed(self):
        """The deployed program runs, and each execution has deployed its own commit, once."""
        said = self.system.run(self.prefix / "current" / "bin" / "penstock", "--version").stdout
        deployed = (self.prefix / "deployed").read_text().split()
        head = self.system.git("rev-parse", "HEAD", "HEAD~", cwd=self.clone).split()
        if deployed != head[::-1]:
            raise SystemFault(f"deployed were {deployed}, pushed were {head[::-1]}")
        say(f"deployed and running: {said.strip()}")

    def actions(self, execution):
        answer = self.api.call("ListActionExecutions", {
            "pipelineName": PIPELINE, "filter": {"pipelineExecutionId": execution}})
        return sorted(answer["actionExecutionDetails"], key=lambda one: one["startTime"])

    def reused(self, execution):
        """What ccache says at the end of Build's log: "213 of 214"."""
        log = self.system.penstock("logs", PIPELINE, "Build", "--execution", execution).stdout
        hits = re.search(r"Hits:\s+(\d+) /\s+(\d+)", log)
        return f"{hits.group(1)} of {hits.group(2)}" if hits else "not said"

    def summary(self):
        say("summary")
        for run in self.runs:
            print(f"{run['name']}: {run['status']} in {run['seconds']:.1f} s; push to first log byte "
                  f"{run['first_log'] * 1000:.0f} ms; new artifact bytes: controller "
                  f"{run['stored'] / 1e3:.0f} kB, agents {run['fetched'] / 1e3:.0f} kB")
            print(f"    compilations reused: {self.reused(run['execution'])}")
            for one in self.actions(run["execution"]):
                seconds = one["lastUpdateTime"] - one["startTime"]
                print(f"    {one['stageName']:<8} {one['actionName']:<8} {one['status']:<10} "
                      f"{seconds:6.1f} s")

    def look_around(self):
        heading = "To look around:" if self.options.keep else \
            "All of it ends now; ./dev demo --keep leaves it running, to look around so:"
        print(f"""
{heading}
    export PENSTOCK_ENDPOINT={self.system.endpoints["http"]}
    export AWS_SHARED_CREDENTIALS_FILE={self.system.data}/admin.credentials AWS_PROFILE=penstock
    {self.system.programs}/penstock status {PIPELINE}
    {self.system.programs}/penstock history {PIPELINE}
    {self.system.programs}/penstock logs {PIPELINE} Deploy
    {self.system.programs}/penstock agent list
    aws codepipeline get-pipeline-state --name {PIPELINE} --endpoint-url $PENSTOCK_ENDPOINT
    aws codepipeline list-action-executions --pipeline-name {PIPELINE} --endpoint-url $PENSTOCK_ENDPOINT
""", flush=True)

    def play(self):
        self.start()
        self.push_this_repository()
        self.run("first", self.create_pipeline)
        say("committing a change to a clone, and pushing it: nothing else starts the second execution")
        self.run("second", self.push_change)
        self.check_deployed()
        self.summary()
        self.look_around()


def tell_how_to_end(system):
    pids = " ".join(str(program.pid) for program in system.running if program.alive())
    say(f"all of it goes on running; end it with: kill {pids} && rm -rf {system.folder}")


def show_logs(folder):
    for log in sorted(pathlib.Path(folder).glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()[-20:]
        print("\n".join([f"---- {log.name}", *lines]), file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description="Penstock delivers Penstock")
    parser.add_argument("--yes", action="store_true", help="approve without asking")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build" / "bin",
                        help=argparse.SUPPRESS)
    options = parser.parse_args()
    begun = time.monotonic()
    folder = tempfile.mkdtemp(prefix="penstock-demo.")
    os.chmod(folder, 0o755)
    try:
        with System(folder, options.programs, keep=options.keep) as system:
            # the person's checkout may belong to somebody else than root, who runs this by sudo
            system.environment |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
                                   "GIT_CONFIG_VALUE_0": "*"}
            Demo(system, options).play()
            say(f"done in {time.monotonic() - begun:.0f} s")
            if options.keep:
                tell_how_to_end(system)
    except (SystemFault, TimeoutError) as fault:
        print(f"demo: {fault}", file=sys.stderr)
        show_logs(folder)
        return 1
    finally:
        if not options.keep:
            remove_folder(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
