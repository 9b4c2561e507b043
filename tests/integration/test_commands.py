"""What becomes of commands that end their shell in odd ways, seen from outside."""
import os
import pathlib
import shutil
import tempfile

from harness.system import commands_action, commands_pipeline, wait_for


def run(system, *actions):
    """One execution of these actions, side by side; name -> its latest execution."""
    clone = system.repository("code")
    system.push(clone, {"file": "one\n"})
    system.create_pipeline(commands_pipeline("mill", "code", [("Build", list(actions))]))
    identity = wait_for(lambda: system.executions("mill"), "the first execution")[0][
        "pipelineExecutionId"]
    system.wait_execution("mill", identity, ("Succeeded", "Failed"))
    stage = system.api().call("GetPipelineState", {"name": "mill"})["stageStates"][1]
    return {s["actionName"]: s["latestExecution"] for s in stage["actionStates"]}


def test_lost_variables_and_signals_fail_the_action(system_with_agent):
    system = system_with_agent
    states = run(
        system,
        commands_action("Kept", ["trap 'rm -f tmpfile' EXIT", "exec 9>lock; flock -n 9",
                                 "IFS=0123456789; VER=1.2.3", "set -x; true"],
                        outputVariables=["VER"], namespace="Kept"),
        commands_action("Replaced", ["VER=1.2.3", "exec true"], outputVariables=["VER"],
                        namespace="Replaced"),
        commands_action("Large", ["VER=$(head -c 140000 /dev/zero | tr '\\0' x)"],
                        outputVariables=["VER"], namespace="Large"),
        commands_action("Piped", ["false | true", "echo never"],
                        {"Shell": "bash", "Pipefail": "true"}),
        commands_action("Killed", ["kill -9 $$"]))
    assert states["Kept"]["status"] == "Succeeded"
    rows = system.aws("list-action-executions", "--pipeline-name", "mill")["actionExecutionDetails"]
    kept = next(row for row in rows if row["actionName"] == "Kept")
    assert kept["output"]["outputVariables"] == {"VER": "1.2.3"}
    assert "penstock" not in system.penstock("logs", "mill", "Kept").stdout
    for name, message in (("Replaced", "its output variables are lost"),
                          ("Large", "larger than 122,880 bytes"),
                          ("Piped", "Command 1 exited with status 1"),
                          ("Killed", "Command 1 was killed by signal 9")):
        assert states[name]["status"] == "Failed", name
        assert message in states[name]["errorDetails"]["message"], states[name]


def test_the_run_folder_may_go_at_any_moment(system):
    """As at the end of a login session: the action runs once, and its log is seen as it grows."""
    runtime = tempfile.mkdtemp(prefix="penstock-test.", dir="/dev/shm")
    try:
        system.environment["XDG_RUNTIME_DIR"] = runtime
        agent = system.add_agent("agent", slots=2)
        marks = system.folder / "marks"
        clone = system.repository("code")
        system.push(clone, {"file": "one\n"})
        system.create_pipeline(commands_pipeline("mill", "code", [("Build", [commands_action(
            "Build", [f"echo begun >> {marks}; echo ready; until [ -e {marks}.go ]; do sleep 0.1; "
                      f"done; echo going on; until [ -e {marks}.end ]; do sleep 0.1; done",
                      "echo finished"])])]))
        wait_for(marks.exists, "the commands")
        for folder in pathlib.Path(runtime).glob("penstock-agent-*"):
            shutil.rmtree(folder)
        marks.with_suffix(".go").touch()
        wait_for(lambda: "going on" in system.penstock("logs", "mill", "Build", check=False).stdout,
                 "the log to grow")
        marks.with_suffix(".end").touch()
        identity = system.executions("mill")[0]["pipelineExecutionId"]
        system.wait_execution("mill", identity)
        assert marks.read_text() == "begun\n"
        assert system.penstock("logs", "mill", "Build").stdout.count("finished") == 1
        agent.program.stop()
        wait_for(lambda: not os.listdir(runtime), "nothing to be left")
    finally:
        shutil.rmtree(runtime)
