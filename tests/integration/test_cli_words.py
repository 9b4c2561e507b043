"""The command line against a small stand-in for the controller: mistyped words, examples, errors as
JSON.
"""
import json
import os
import re
import shlex
import subprocess

import pytest

from cli_stub import COMMIT, EXECUTION, PROGRAM, Fault


@pytest.mark.parametrize("words, meant", [
    (["statsu"], "'status'"), (["pipline", "create", "x"], "'pipeline create'"),
    (["pipeline", "creat", "x"], "'pipeline create'"), (["agents", "list"], "'agent list'"),
    (["retyr", "site"], "'retry'"), (["start", "x", "--wach"], "--watch"),
    (["start", "x", "--varable=A=b"], "--variable"), (["status", "--outptu", "json"], "--output"),
    (["--porfile", "x", "status"], "--profile")])
def test_the_nearest_command_or_option(run, stub, words, meant):
    assert f"; did you mean {meant}?" in run(*words, code=2)[1]
    assert stub.calls == []


@pytest.mark.parametrize("words", [["zzzzzz"], ["start", "x", "--zzzzzz"], ["start", "x", "-Z"],
                                   ["x"], ["start", "x", "--"]])
def test_what_is_near_to_nothing_is_left_alone(run, stub, words):
    stub.operations["StartPipelineExecution"] = lambda _: {"pipelineExecutionId": EXECUTION}
    assert "did you mean" not in run(*words, code=0 if words[-1] == "--" else 2)[1]


@pytest.fixture
def named(stub):
    def missing(name):
        def refuse(_):
            raise Fault(name, "it does not exist")
        return refuse

    def state(data):
        if data["name"] != "website":
            raise Fault("PipelineNotFoundException", "no such pipeline")
        return {"stageStates": [
            {"stageName": "Build", "actionStates": [{"actionName": "Compile"}]},
            {"stageName": "Deploy", "actionStates": [{"actionName": "Copy"}, {"actionName": "Ask"}]}]}
    stub.operations.update(
        ListPipelines=lambda _: {"pipelines": [{"name": "website"}, {"name": "backend"}]},
        ListAgents=lambda _: {"agents": [{"name": "builder-1"}]},
        ListRepositories=lambda _: {"repositories": [{"name": "website"}]},
        ListConnections=lambda _: {"connections": [{"connectionName": "github"}]},
        ListWebhooks=lambda _: {"webhooks": [{"definition": {"name": "push-site"}}]},
        GetPipelineState=state)
    for name, operations in (
            ("PipelineNotFoundException", ["StartPipelineExecution", "GetPipeline", "Explain"]),
            ("StageNotFoundException", ["EnableStageTransition", "RetryStageExecution"]),
            ("ActionNotFoundException", ["GetLogs", "PutActionRevision"]),
            ("AgentNotFoundException", ["DrainAgent"]),
            ("RepositoryDoesNotExistException", ["DeleteRepository"])):
        for operation in operations:
            stub.operations[operation] = missing(name)
    return stub


@pytest.mark.parametrize("words, meant", [
    (["start", "webiste"], "website"), (["status", "Website"], "website"),
    (["pipeline", "get", "backnd"], "backend"), (["why", "websit"], "website"),
    (["agent", "drain", "bulider-1"], "builder-1"), (["connection", "delete", "gihtub"], "github"),
    (["webhook", "delete", "pushsite"], "push-site"),
    (["transition", "enable", "website", "Deplyo"], "Deploy"),
    (["retry", "website", "build", EXECUTION], "Build"),
    (["logs", "website", "Compil"], "Compile"), (["logs", "website", "Deploy/Cpoy"], "Copy"),
    (["logs", "website", "Copy", "--stage", "Depoly"], "Deploy"),
    (["approve", "website", "Aks"], "Ask"), (["approve", "website", "Deploi", "Ask"], "Deploy"),
    (["resolve", "website", "Deploy/Copi", "failed", "--reason", "r"], "Copy"),
    (["revision", "put", "website", "Build", "Compiel", COMMIT], "Compile")])
def test_the_nearest_name(named, run, words, meant):
    named.operations["ListPipelineExecutions"] = lambda _: {"pipelineExecutionSummaries": []}
    assert f"; did you mean '{meant}'?" in run(*words, code=3)[1]


def test_a_name_that_is_right_is_not_doubted(named, run):
    assert "did you mean" not in run("start", "website", code=3)[1]
    assert "did you mean" not in run("start", "zzzzzz", code=3)[1]


# ---- examples

def examples():
    names = re.findall(r"^  ([a-z]+(?: [a-z]+)?) ", subprocess.run(
        [PROGRAM, "help"], capture_output=True, text=True, check=True).stdout, re.M)
    for name in dict.fromkeys(names):
        text = subprocess.run([PROGRAM, "help", *name.split()], capture_output=True, text=True).stdout
        for line in re.findall(r"^  (.*\bpenstock .*)$", text.split("\nExample:\n")[-1], re.M):
            yield line


@pytest.mark.parametrize("line", list(examples()))
def test_every_example_of_the_help_is_understood(stub, environment, tmp_path, line):
    """Its words are right, and it sends something that the controller can be asked."""
    for name in ("pipeline.json", "site.json"):
        (tmp_path / name).write_text('{"name": "site"}')
    for name in ("token.txt", "f"):
        (tmp_path / name).write_text("secret\n")
    approval = {"stageName": "Deploy", "actionStates": [{"actionName": "Copy", "latestExecution": {
        "actionExecutionId": "a", "status": "InProgress", "token": "t"}}], "latestExecution": {
            "pipelineExecutionId": EXECUTION, "status": "Failed"}}
    stub.operations = {**{name: lambda _: {} for name in (
        "CreatePipeline UpdatePipeline ValidatePipeline GetPipeline DeletePipeline ListPipelines "
        "StopPipelineExecution RetryStageExecution RollbackStage OverrideStageCondition "
        "ListActionExecutions GetLogs Explain PutApprovalResult ResolveAction EnableStageTransition "
        "DisableStageTransition CreateAgentToken DrainAgent UndrainAgent RevokeAgent ListAgents "
        "CreateRepository ListRepositories DeleteRepository CreateConnection DeleteConnection "
        "PutWebhook DeleteWebhook PutActionRevision GetHealth ListDeploymentWindows").split()},
        "ListConnections": lambda _: {"connections": [
            {"connectionName": "github", "connectionArn": "arn:x"}]},
        "ListWebhooks": lambda _: {"webhooks": [{"definition": {"name": "site-push"}}]},
        "GetPipelineState": lambda _: {"stageStates": [{**approval, "beforeEntryConditionState": {
            "latestExecution": {"status": "Failed"}}}]},
        "StartPipelineExecution": lambda _: {"pipelineExecutionId": EXECUTION},
        "WatchExecution": lambda _: {"executionId": EXECUTION, "status": "Succeeded"},
        "ListPipelineExecutions": lambda _: {"pipelineExecutionSummaries": [
            {"pipelineExecutionId": each + EXECUTION[8:], "status": "InProgress",
             "sourceRevisions": [{"actionName": "Source", "revisionId": COMMIT}]}
            for each in ("11111111", "4f1cb2aa")]}}
    stub.operations["GetLogs"] = lambda _: {"complete": True, "size": 0, "nextOffset": 0}
    stub.operations["ListActionExecutions"] = lambda _: {"actionExecutionDetails": []}
    words = re.search(r'\$\((penstock .*)\)', line)
    line = words[1] if words else line
    assert shlex.split(line)[0] == "penstock"
    done = subprocess.run(["/bin/bash", "-c", "shopt -s expand_aliases\nalias penstock="
                           + shlex.quote(os.path.abspath(PROGRAM)) + "\n" + line + " < /dev/null"],
                          cwd=tmp_path, env=environment, timeout=60, capture_output=True, text=True)
    # It asks, rightly; or its words were understood, and the stand-in does not know the operation.
    in_use = "--yes" in done.stderr or "UnknownOperationException" in done.stderr
    if "window" in line and "'" in line:
        assert stub.inputs("ListDeploymentWindows")[0]["cron"].startswith("* * ")
    assert done.returncode == 0 or in_use or line == "penstock doctor", done.stderr


# ---- errors as JSON

@pytest.mark.parametrize("words, kind, code, message", [
    (["status", "x"], "notFound", 3, "PipelineNotFoundException: no pipeline"),
    (["nonsense"], "refused", 2, "there is no command 'nonsense'"),
    (["status", "x", "--nonsense"], "refused", 2, "no option --nonsense"),
    (["status", "x", "y"], "refused", 2, "one word too many"),
    (["watch", "x"], "refused", 2, "no JSON output"),
    (["status", "x", "--endpoint", "http://127.0.0.1:9"], "unavailable", 7, "cannot reach"),
    (["history", "x"], "denied", 4, "AccessDeniedException")])
@pytest.mark.parametrize("output", [["-o", "json"], ["-ojson"], ["--output=json"], ["--output", "json"]])
def test_errors_are_json_where_json_was_asked_for(run, stub, output, words, kind, code, message):
    def refuse(name, text):
        def call(_):
            raise Fault(name, text)
        return call
    stub.operations["GetPipelineState"] = refuse("PipelineNotFoundException", "no pipeline \"x\"")
    stub.operations["ListPipelineExecutions"] = refuse("AccessDeniedException", "not yours")
    for line in ([*words, *output], [*output, *words]):
        out, err = run(*line, code=code)
        error = json.loads(err)["error"]
        assert out == "" and set(error) == {"kind", "message", "exitCode"}
        assert (error["kind"], error["exitCode"]) == (kind, code) and message in error["message"]


def test_errors_are_text_otherwise(run):
    assert run("nonsense", "-o", "json", "-o", "text", code=2)[1].startswith("penstock: ")
    assert run("nonsense", "--", "-o", "json", code=2)[1].startswith("penstock: ")
