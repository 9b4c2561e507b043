"""Before what cannot be undone `penstock` asks, and a program's folder is its own."""
import os
import pty
import subprocess

import pytest

from cli_stub import EXECUTION, PROGRAM
from harness.system import commands_action, commands_pipeline, wait_for

ARN = "arn:aws:codeconnections:us-east-1:000000000000:connection/1"


@pytest.fixture
def in_use(stub):
    def pipeline(data):
        configuration = {"RepositoryName": "code", "ConnectionArn": ARN} if data["name"] == "b" else {}
        return {"pipeline": {"stages": [{"actions": [{"configuration": configuration}]}]}}
    stub.operations.update(
        ListPipelines=lambda _: {"pipelines": [{"name": name} for name in "abc"]},
        GetPipeline=pipeline,
        ListPipelineExecutions=lambda _: {"pipelineExecutionSummaries": [
            {"pipelineExecutionId": EXECUTION, "status": "InProgress"}]},
        ListConnections=lambda _: {"connections": [
            {"connectionName": "hub", "connectionArn": ARN}]},
        ListAgents=lambda _: {"agents": [{"name": "a1", "agentId": "1", "busySlots": 2},
                                         {"name": "a2", "agentId": "2", "busySlots": 0}]})
    for name in DELETIONS.values():
        stub.operations[name] = lambda _: {}
    return stub


DELETIONS = {("repo", "delete", "code"): "DeleteRepository",
             ("connection", "delete", "hub"): "DeleteConnection",
             ("connection", "delete", ARN): "DeleteConnection",
             ("pipeline", "delete", "b"): "DeletePipeline",
             ("agent", "revoke", "a1"): "RevokeAgent",
             ("agent", "revoke", "1"): "RevokeAgent"}


def answer(environment, words, typed):
    """Run on a terminal, type, and return the exit code and all that was shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([PROGRAM, *words], stdin=theirs, stdout=theirs, stderr=theirs,
                               env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
        if seen.rstrip().endswith(b"[y/N]"):
            os.write(ours, typed)
    os.close(ours)
    return process.wait(30), seen.decode()


@pytest.mark.parametrize("words", DELETIONS)
def test_nothing_in_use_is_deleted_without_a_word(in_use, run, environment, words):
    operation = DELETIONS[words]
    for more in ([], ["-o", "json"]):
        err = run(*words, *more, code=2)[1]
        assert "nothing was done: give --yes" in err
    run(*words, code=2, stdin="y\n")  # no terminal
    for typed in (b"n\n", b"\n", b"\x04", b"yess\n", b"ja\n"):
        code, seen = answer(environment, words, typed)
        assert code == 1 and "Go on? [y/N]" in seen and "nothing was done" in seen
    assert in_use.inputs(operation) == []
    assert answer(environment, words, b"y\n")[0] == 0
    assert answer(environment, words, b"YES\r\n")[0] == 0
    run(*words, "--yes")
    run(*words, "-y")
    assert len(in_use.inputs(operation)) == 4


def test_who_uses_it_is_named(in_use, run):
    assert "with all its commits; it is in use by the pipeline b;" in run("repo", "delete", "code",
                                                                         code=2)[1]
    assert "while 1 of its executions is in progress" in run("pipeline", "delete", "b", code=2)[1]
    assert "slots in use: 2" in run("agent", "revoke", "a1", code=2)[1]


def test_what_is_not_in_use_is_deleted_at_once(in_use, run):
    in_use.operations["ListPipelineExecutions"] = lambda _: {"pipelineExecutionSummaries": [
        {"pipelineExecutionId": EXECUTION, "status": "Succeeded"}]}
    in_use.operations["ListConnections"] = lambda _: {"connections": [
        {"connectionName": "hub", "connectionArn": "arn:other"}]}
    run("repo", "delete", "other")
    run("connection", "delete", "hub")
    run("pipeline", "delete", "b")
    run("agent", "revoke", "a2")


def test_on_a_running_system(system_with_agent):
    system = system_with_agent
    clone = system.repository("code")
    system.push(clone, {"x": "1"})
    system.create_pipeline(commands_pipeline("mill", "code", [
        ("Build", [commands_action("Make", ["sleep 600"])])]))
    wait_for(lambda: "InProgress" in system.penstock("status", "mill").stdout
             and system.list_agents()[0]["busySlots"] == 1, "work")
    agent = system.list_agents()[0]["name"]
    for words in (["repo", "delete", "code"], ["pipeline", "delete", "mill"], ["agent", "revoke", agent]):
        refused = system.penstock(*words, check=False)
        assert refused.returncode == 2 and "--yes" in refused.stderr
    assert "code" in system.penstock("repo", "list").stdout
    system.penstock("stop", "mill", "--abandon")
    wait_for(lambda: system.list_agents()[0]["busySlots"] == 0, "the end of the work")
    system.penstock("pipeline", "delete", "mill")
    system.penstock("repo", "delete", "code")


@pytest.mark.parametrize("program, words", [
    ("penstock-controller", ["--http", "127.0.0.1:0"]),
    ("penstock-agent", ["--controller", "127.0.0.1:9", "--token", "pen1_x"])])
def test_no_keys_are_put_into_a_clone(programs, tmp_path, program, words):
    clone = tmp_path / "penstock"
    (clone / ".git").mkdir(parents=True)
    (clone / "README.md").write_text("")
    done = subprocess.run([programs / program, *words, "--data", clone], timeout=60,
                          capture_output=True, text=True)
    assert done.returncode in (1, 2) and "holds something else" in done.stderr
    assert sorted(os.listdir(clone)) == [".git", "README.md"]
