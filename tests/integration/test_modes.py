"""SUPERSEDED, QUEUED and PARALLEL, stop and retry, variables and revisions: through the real system."""

import pytest

from harness.api import ApiError
from harness.system import approval_action, commands_action, commands_pipeline, wait_for

NAME = "modes"


def make(system, mode, stages=None, **more):
    clone = system.repository("code")
    system.commit = system.push(clone, {"file": "content\n"})
    system.clone = clone
    whole = commands_pipeline(NAME, "code", stages or [("Ask", [approval_action("Approve")])])
    system.create_pipeline(whole | {"executionMode": mode} | more)
    system.first = system.executions(NAME)[0]["pipelineExecutionId"]


@pytest.fixture
def api(system):
    client = system.api()
    yield client
    client.close()


def start(system, *arguments):
    return system.aws("start-pipeline-execution", "--name", NAME,
                      *arguments)["pipelineExecutionId"]


def status(api, execution):
    return api.call("GetPipelineExecution", {
        "pipelineName": NAME, "pipelineExecutionId": execution})["pipelineExecution"]["status"]


def stage(api, name="Ask"):
    """GetPipelineState of one stage; by our own client, since the other one knows no V2 members."""
    return next(one for one in api.call("GetPipelineState", {"name": NAME})["stageStates"]
                if one["stageName"] == name)


def waiting(api):
    return [one["pipelineExecutionId"] for one in stage(api).get("inboundExecutions", [])]


def token(api, execution):
    """The token under which the execution waits for its approval, as PARALLEL mode hands it out."""
    for one in api.call("ListActionExecutions", {
            "pipelineName": NAME,
            "filter": {"pipelineExecutionId": execution}})["actionExecutionDetails"]:
        if one["actionName"] == "Approve" and one["status"] == "InProgress":
            return one["output"]["executionResult"]["externalExecutionId"]
    return None


def fails(error, api, operation, **arguments):
    with pytest.raises(ApiError) as caught:
        api.call(operation, arguments)
    assert caught.value.name.rpartition("#")[2] == error
    return caught.value.message


def test_queued_keeps_order_and_loses_nobody(system, api):
    make(system, "QUEUED")
    ids = [system.first]
    wait_for(lambda: token(api, system.first), "the first approval")
    for count in (1, 2, 3):  # one after the other: what starts later stands behind
        ids.append(start(system))
        wait_for(lambda: len(waiting(api)) == count, f"{count} in the queue")
    assert waiting(api) == ids[1:]
    assert stage(api)["inboundExecution"]["pipelineExecutionId"] == ids[1]
    assert "queue" in system.why(NAME, ids[3])
    system.controller.kill()
    system.start_controller()
    api = system.api()
    assert waiting(api) == ids[1:]
    for at, execution in enumerate(ids):
        wait_for(lambda: token(api, execution), f"the approval of {execution}")
        assert waiting(api) == ids[at + 1:]
        system.penstock("reject" if at == 1 else "approve", NAME)
        system.wait_execution(NAME, execution, ("Failed",) if at == 1 else ("Succeeded",))
    api.close()


def test_parallel_runs_side_by_side(system, api):
    make(system, "PARALLEL")
    ids = [system.first, start(system), start(system)]
    tokens = [wait_for(lambda: token(api, one), "an approval") for one in ids]
    assert len(set(tokens)) == 3
    assert "latestExecution" not in stage(api)["actionStates"][0]  # no state in this mode
    assert waiting(api) == []
    assert "penstock history modes" in system.penstock("status", NAME).stdout
    api.call("PutApprovalResult", {
        "pipelineName": NAME, "stageName": "Ask", "actionName": "Approve", "token": tokens[1],
        "result": {"status": "Approved", "summary": "second"}})
    system.wait_execution(NAME, ids[1])
    assert [status(api, one) for one in ids] == ["InProgress", "Succeeded", "InProgress"]
    several = system.penstock("approve", NAME, check=False)
    assert several.returncode == 2 and "--execution" in several.stderr
    system.penstock("approve", NAME, "--execution", ids[2])
    system.wait_execution(NAME, ids[2])
    system.penstock("reject", NAME)
    system.wait_execution(NAME, ids[0], ("Failed",))
    retry = {"pipelineName": NAME, "stageName": "Ask", "retryMode": "ALL_ACTIONS"}
    fails("StageNotRetryableException", api, "RetryStageExecution", pipelineExecutionId=ids[1],
          **retry)
    api.call("RetryStageExecution", retry | {"pipelineExecutionId": ids[0]})
    wait_for(lambda: token(api, ids[0]) not in (None, tokens[0]), "another approval")
    system.penstock("stop", NAME, ids[0], "--abandon")
    system.wait_execution(NAME, ids[0], ("Stopped",))
    system.controller.kill()
    system.start_controller()
    system.penstock("retry", NAME, "Ask", ids[0])
    system.penstock("approve", NAME)
    system.wait_execution(NAME, ids[0])


def test_no_more_than_fifty_at_once(system, api):
    make(system, "PARALLEL")
    for _ in range(49):
        api.call("StartPipelineExecution", {"name": NAME})
    why = fails("ConcurrentPipelineExecutionsLimitExceededException", api,
                "StartPipelineExecution", name=NAME)
    assert "50" in why and "PARALLEL" in why


def test_five_actions_of_a_parallel_execution_at_once(system, api):
    make(system, "PARALLEL", [("Ask", [approval_action(f"A{i}") for i in range(7)])])

    def begun():
        details = api.call("ListActionExecutions", {
            "pipelineName": NAME,
            "filter": {"pipelineExecutionId": system.first}})["actionExecutionDetails"]
        return {one["actionName"]: one["output"]["executionResult"]["externalExecutionId"]
                for one in details if one["stageName"] == "Ask" and one["status"] == "InProgress"}
    five = wait_for(lambda: len(begun()) == 5 and begun(), "five approvals")
    system.penstock("approve", NAME, "Ask", next(iter(five)))
    wait_for(lambda: set(begun()) - set(five), "the sixth")
    assert len(begun()) == 5


# ---- stop and retry, with Debian's client

def stop(system, execution, *more):
    return system.aws("stop-pipeline-execution", "--pipeline-name", NAME,
                      "--pipeline-execution-id", execution, *more)


def refused(system, name, *command):
    done = system.run("/usr/bin/aws", "--endpoint-url", system.endpoints["http"], "codepipeline",
                      *command, "--pipeline-name", NAME, check=False)
    assert f"({name})" in done.stderr, done.stdout + done.stderr


@pytest.fixture
def held(system_with_agent):
    """One execution in an action that waits for a file: .gate lets it end, .fail makes it fail."""
    system = system_with_agent
    system.gate, system.fail = system.folder / "gate", system.folder / "fail"
    system.log = system.folder / "log"
    make(system, "SUPERSEDED", [
        ("Build", [commands_action("First", [f"echo first >> '{system.log}'"]),
                   commands_action("Hold", [
                       f"echo hold >> '{system.log}'",
                       f"until [ -e '{system.gate}' ]; do sleep 0.05; done",
                       f"test ! -e '{system.fail}'"], runOrder=2)]),
        ("After", [commands_action("After", [f"echo after >> '{system.log}'"])])])
    wait_for(lambda: system.log.exists() and "hold" in system.log.read_text(), "the action to hold")
    return system


def words(system):
    return system.log.read_text().split()


def test_stop_waits_and_retry_goes_on(held, api):
    assert stop(held, held.first, "--reason", "wrong branch")["pipelineExecutionId"] == held.first
    wait_for(lambda: status(api, held.first) == "Stopping", "it to stop")
    assert stage(api, "Build")["latestExecution"]["status"] == "Stopping"
    again = ("stop-pipeline-execution", "--pipeline-execution-id", held.first)
    refused(held, "DuplicatedStopRequestException", *again)
    held.fail.touch()
    held.gate.touch()
    held.wait_execution(NAME, held.first, ("Stopped",))
    assert words(held) == ["first", "hold"]
    refused(held, "PipelineExecutionNotStoppableException", *again)
    stopped = held.executions(NAME)[0]
    assert stopped["stopTrigger"]["reason"] == "wrong branch"
    held.fail.unlink()
    retried = held.aws("retry-stage-execution", "--pipeline-name", NAME, "--stage-name", "Build",
                       "--pipeline-execution-id", held.first, "--retry-mode", "FAILED_ACTIONS")
    assert retried["pipelineExecutionId"] == held.first
    held.wait_execution(NAME, held.first)
    assert words(held) == ["first", "hold", "hold", "after"]
    assert stage(api, "Build")["retryStageMetadata"]["manualStageRetryAttempt"] == 1


def test_abandon_escalates_and_all_actions_are_retried(held, api):
    assert "let to its end" in held.penstock("stop", NAME, held.first).stdout
    assert "broken off" in held.penstock("stop", NAME, held.first, "--abandon", "--reason",
                                         "no time").stdout
    held.wait_execution(NAME, held.first, ("Stopped",))
    actions = held.aws("list-action-executions", "--pipeline-name", NAME)["actionExecutionDetails"]
    ended = {one["actionName"]: one["status"] for one in actions}
    assert (ended["First"], ended["Hold"]) == ("Succeeded", "Abandoned")
    held.gate.touch()
    assert "all its actions" in held.penstock("retry", NAME, "Build", held.first,
                                              "--all-actions").stdout
    held.wait_execution(NAME, held.first)
    assert words(held) == ["first", "hold", "first", "hold", "after"]


def test_what_cannot_be_stopped_or_retried_says_so(held):
    execution = ("--pipeline-execution-id", held.first)
    retry = ("retry-stage-execution", "--retry-mode", "FAILED_ACTIONS")
    refused(held, "StageNotFoundException", *retry, *execution, "--stage-name", "Nowhere")
    refused(held, "StageNotRetryableException", *retry, *execution, "--stage-name", "Build")
    refused(held, "NotLatestPipelineExecutionException", *retry, "--stage-name", "Build",
            "--pipeline-execution-id", "00000000-0000-4000-8000-000000000000")
    refused(held, "PipelineExecutionNotStoppableException", "stop-pipeline-execution",
            "--pipeline-execution-id", "00000000-0000-4000-8000-000000000000")
    behind = start(held)
    wait_for(lambda: "stage Build" in held.penstock("status", NAME).stdout, "it to wait")
    stop(held, behind)
    held.wait_execution(NAME, behind, ("Stopped",))  # never got in: nothing to retry
    refused(held, "StageNotRetryableException", *retry, "--stage-name", "Build",
            "--pipeline-execution-id", behind)
    held.gate.touch()
    held.wait_execution(NAME, held.first)


# ---- variables and revisions

def test_variables_and_revisions_of_a_start(system_with_agent):
    system = system_with_agent
    out = system.folder / "out"
    make(system, "QUEUED", [("Say", [commands_action("Say", [
        f"echo #{{variables.Level}} $(cat file) >> '{out}'"])])],
        variables=[{"name": "Level", "defaultValue": "low"}])
    system.wait_execution(NAME, system.first)
    system.push(system.clone, {"file": "newer\n"})
    pushed = wait_for(lambda: len(system.executions(NAME)) == 2 and
                      system.executions(NAME)[0]["pipelineExecutionId"], "the push to start")
    system.wait_execution(NAME, pushed)
    assert out.read_text() == "low content\nlow newer\n"
    by_hand = system.penstock("start", NAME, "--variable", "Level=high", "--revision",
                              f"Source={system.commit}").stdout.strip()
    system.wait_execution(NAME, by_hand)
    assert out.read_text().splitlines()[-1] == "high content"
    api = system.api()
    got = api.call("GetPipelineExecution", {
        "pipelineName": NAME, "pipelineExecutionId": by_hand})["pipelineExecution"]
    assert got["artifactRevisions"][0]["revisionId"] == system.commit
    assert got["variables"] == [{"name": "Level", "resolvedValue": "high"}]
    raw = api.call("StartPipelineExecution", {
        "name": NAME, "variables": [{"name": "Level", "value": "mid"}],
        "sourceRevisions": [{"actionName": "Source", "revisionType": "COMMIT_ID",
                             "revisionValue": system.commit}]})["pipelineExecutionId"]
    system.wait_execution(NAME, raw)
    assert out.read_text().splitlines()[-1] == "mid content"
    for wrong, word in (
            ({"variables": [{"name": "Nobody", "value": "x"}]}, "Nobody"),
            ({"sourceRevisions": [{"actionName": "Say", "revisionType": "COMMIT_ID",
                                   "revisionValue": "x"}]}, "Say"),
            ({"sourceRevisions": [{"actionName": "Source", "revisionType": "IMAGE_DIGEST",
                                   "revisionValue": "x"}]}, "COMMIT_ID")):
        assert word in fails("ValidationException", api, "StartPipelineExecution", name=NAME,
                             **wrong)
    unknown = system.penstock("start", NAME, "--revision", "Source=" + 40 * "0").stdout.strip()
    system.wait_execution(NAME, unknown, ("Failed",))
    api.close()
