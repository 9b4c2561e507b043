"""The controller's process stands still for longer than any connection is expected to, and goes on."""
import os
import signal
import time

from harness.system import commands_action, commands_pipeline, wait_for

PAUSE_S = 25
LINES = 600  # longer than the pause, one each 50 ms


def test_controller_stands_still_under_a_chatty_action(system_with_agent):
    system = system_with_agent
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    begun = system.folder / "begun"
    script = [f"echo begun >> '{begun}'",
              f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); sleep 0.05; done"]
    system.create_pipeline(commands_pipeline("long", "code", [
        ("Run", [commands_action("Run", script, {"Class": "once"})])]))
    wait_for(begun.exists, "the action to begin")
    execution = system.executions("long")[0]["pipelineExecutionId"]
    os.kill(system.controller.pid, signal.SIGSTOP)
    time.sleep(PAUSE_S)  # the pause is what is tested
    os.kill(system.controller.pid, signal.SIGCONT)
    system.wait_execution("long", execution)
    assert begun.read_text() == "begun\n"
    log = system.penstock("logs", "long", "Run", "--execution", execution).stdout
    numbers = [int(line.rpartition("line ")[2]) for line in log.splitlines() if "line " in line]
    assert numbers == list(range(LINES))
