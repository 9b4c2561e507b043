"""Kill -9 at random moments: nothing is lost, nothing begins twice, no log byte lacks or doubles.

Each round starts an execution, kills the controller, an agent, a shim, or two of them at a random
moment, starts what is down again, and judges by what the commands themselves left behind: a
ground-truth file that the deploy appends to, numbered log lines, and checksums of artifacts.

PEN_KILL_ROUNDS sets the number of rounds, PEN_SEED repeats a run.
"""
import base64
import os
import random
import signal
import time

from harness.system import commands_action, commands_pipeline, descendants, wait_for

ROUNDS = int(os.environ.get("PEN_KILL_ROUNDS", "60"))
LINES = 300
VICTIMS = ("controller", "agent", "shim", "controller+agent", "controller+shim", "agent+shim")
ENDS = ("Succeeded", "Failed", "Stopped", "Cancelled", "Superseded")
PENSTOCK = {"prefix": "Penstock_20261101", "service": "penstock"}


def declaration(truth):
    """Source, two parallel builds that print and make artifacts, a deploy of class once."""
    def build(name):
        script = (f"i=0; while [ $i -lt {LINES} ]; do echo {name} line $i; i=$((i+1)); "
                  "[ $((i % 30)) -ne 0 ] || sleep 0.02; done")
        return commands_action(
            name,
            [script, f"head -c 300000 /dev/urandom > {name}.bin && sha256sum {name}.bin > {name}.sum"],
            {"RunsOn": f"pool={name}"},
            outputArtifacts=[{"name": f"Out-{name}", "files": [f"{name}.bin", f"{name}.sum"]}])
    deploy = commands_action(
        "Deploy",
        [f"echo $PENSTOCK_IDEMPOTENCY_KEY $PENSTOCK_FENCE >> {truth}", "sleep 0.3",
         "sha256sum -c one.sum", "cd $CODEBUILD_SRC_DIR_Out_two && sha256sum -c two.sum"],
        {"Class": "once"}, inputs=("Out-one", "Out-two"))
    return commands_pipeline("kill", "code",
                             [("Build", [build("one"), build("two")]), ("Deploy", [deploy])])


class Rig:
    """The system under fire."""

    def __init__(self, system):
        self.system = system
        self.api = system.api()
        self.arguments = ()

    def call(self, operation, **arguments):
        return self.api.call(operation, arguments)

    def status(self, execution):
        answer = self.call("GetPipelineExecution", pipelineName="kill",
                           pipelineExecutionId=execution)
        return answer["pipelineExecution"]["status"]

    def actions(self, execution):
        answer = self.call("ListActionExecutions", pipelineName="kill",
                           filter={"pipelineExecutionId": execution})
        return answer["actionExecutionDetails"]

    def log(self, action_execution):
        """All stored bytes of the last attempt."""
        data, offset = b"", 0
        while True:
            answer = self.api.call("GetLogs", {"actionExecutionId": action_execution,
                                               "offset": offset, "limit": 262144}, **PENSTOCK)
            piece = base64.b64decode(answer.get("data", ""))
            data += piece
            offset = answer["nextOffset"]
            if not piece and answer["complete"]:
                return data
            assert piece, f"log of {action_execution} ended at {offset} and is not complete"

    def strike(self, what, dice):
        """Kill, then start again what is down."""
        down = []
        for victim in what.split("+"):
            if victim == "controller":
                self.system.controller.kill()
            elif victim == "agent":
                agent = dice.choice(sorted(self.system.agents.values(), key=lambda a: a.name))
                agent.program.kill()
                down.append(agent)
            else:
                kill_a_shim(dice)
        if "controller" in what:
            self.system.start_controller()
            self.api.close()
            self.api = self.system.api()
        for agent in down:
            agent.start()


def shims():
    found = []
    for pid in descendants():
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                if file.read().strip() == "penstock-shim":
                    found.append(pid)
        except OSError:
            continue
    return sorted(found)


def kill_a_shim(dice):
    alive = shims()
    if alive:
        try:
            os.kill(dice.choice(alive), signal.SIGKILL)
        except ProcessLookupError:
            pass


def judge(rig, execution, truth, shim_was_hit):
    status = rig.status(execution)
    actions = rig.actions(execution)
    if not shim_was_hit:
        assert status == "Succeeded", (status, actions)
    begun = [line.split() for line in truth.read_text().splitlines()] if truth.exists() else []
    for action in actions:
        name, action_id = action["actionName"], action["actionExecutionId"]
        if name == "Deploy":
            mine = [line for line in begun if line[0] == action_id]
            assert len(mine) <= 1, f"deploy began {len(mine)} times: {mine}"
            if action["status"] == "Succeeded":
                assert len(mine) == 1
        elif name in ("one", "two") and action["status"] == "Succeeded":
            lines = rig.log(action_id).decode().splitlines()
            wanted = [f"{name} line {i}" for i in range(LINES)]
            assert [line for line in lines if line.startswith(name + " line")] == wanted


def test_kill_nine(system):
    seed = int(os.environ.get("PEN_SEED", time.time_ns() % 1_000_000))
    print(f"PEN_SEED={seed}")
    dice = random.Random(seed)
    truth = system.folder / "truth"
    clone = system.repository("code")
    system.push(clone, {"readme": "one"})
    system.add_agent("agent-one", {"pool": "one"}, slots=2)
    system.add_agent("agent-two", {"pool": "two"}, slots=2)
    rig = Rig(system)
    system.create_pipeline(declaration(truth))
    first = wait_for(lambda: rig.call("ListPipelineExecutions", pipelineName="kill")
                     ["pipelineExecutionSummaries"], "the first execution")[0]
    wait_for(lambda: rig.status(first["pipelineExecutionId"]) in ENDS, "the first execution to end")
    assert rig.status(first["pipelineExecutionId"]) == "Succeeded"

    began = {}
    for number in range(ROUNDS):
        execution = rig.call("StartPipelineExecution", name="kill")["pipelineExecutionId"]
        what = dice.choice(VICTIMS)
        time.sleep(dice.uniform(0, 1.2))  # the random moment
        rig.strike(what, dice)
        try:
            wait_for(lambda: rig.status(execution) in ENDS, f"round {number} ({what}) to end", 90)
        except TimeoutError:
            print(rig.api.call("Explain", {"pipelineName": "kill"}, **PENSTOCK))
            print(rig.actions(execution))
            raise
        judge(rig, execution, truth, "shim" in what)
        began[execution] = what
        print(f"round {number:2} {what:18} {rig.status(execution)}")

    listed, token = [], {}
    while token is not None:
        answer = rig.call("ListPipelineExecutions", pipelineName="kill", **token)
        listed += [row["pipelineExecutionId"] for row in answer["pipelineExecutionSummaries"]]
        token = {"nextToken": answer["nextToken"]} if "nextToken" in answer else None
    assert set(began) <= set(listed), "an execution is lost"
    keys = [line.split()[0] for line in truth.read_text().splitlines()]
    assert len(keys) == len(set(keys)), "a deploy began twice"
