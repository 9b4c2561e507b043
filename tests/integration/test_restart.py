"""The controller, or the agent, is restarted while an action runs: the action goes on and its log
is whole."""
import pytest

from harness.system import commands_action, commands_pipeline, wait_for

LINES = 60


@pytest.fixture
def running(system_with_agent):
    """A system whose pipeline `long` is in the middle of an action; .execution is its id.

    The action prints lines and then waits for a file, so that it is running when it should be."""
    system = system_with_agent
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    system.gate = system.folder / "gate"
    system.begun = system.folder / "begun"
    script = [f"echo begun >> '{system.begun}'",
              f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done",
              f"until [ -e '{system.gate}' ]; do sleep 0.1; done",
              f"while [ $i -lt {2 * LINES} ]; do echo line $i; i=$((i+1)); done"]
    system.create_pipeline(commands_pipeline("long", "code", [
        ("Run", [commands_action("Run", script, {"Class": "once"})])]))
    wait_for(system.begun.exists, "the action to begin")
    system.execution = system.executions("long")[0]["pipelineExecutionId"]
    return system


def check_whole(system):
    """Let the action finish; it began once, and its log has each line once, in order."""
    system.gate.touch()
    system.wait_execution("long", system.execution)
    assert system.begun.read_text() == "begun\n"
    log = system.penstock("logs", "long", "Run", "--execution", system.execution).stdout
    numbers = [int(line.rpartition("line ")[2]) for line in log.splitlines() if "line " in line]
    assert numbers == list(range(2 * LINES))


def test_controller_restarts_in_order(running):
    running.controller.stop()
    running.start_controller()
    check_whole(running)


def test_controller_is_killed(running):
    running.controller.kill()
    running.start_controller()
    check_whole(running)


def test_agent_is_killed(running):
    agent = running.agents["agent"]
    agent.program.kill()
    agent.start()
    running.wait_agents(1, agent.program)
    check_whole(running)


def test_action_ends_while_the_controller_is_away(running):
    running.controller.kill()
    running.gate.touch()
    running.start_controller()
    check_whole(running)
