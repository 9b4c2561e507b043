"""What the API says of executions when names, tokens and stages come again: through the real system."""
import pytest

from harness.api import ApiError
from harness.system import approval_action, commands_pipeline, wait_for

NAME = "mill"


def declaration(*stages, **more):
    return commands_pipeline(NAME, "code", stages or [("Ask", [approval_action("Approve")])]) | more


@pytest.fixture
def api(system):
    system.commit = system.push(system.repository("code"), {"file": "content\n"})
    client = system.api()
    yield client
    client.close()


def refused(api, error, operation, **arguments):
    with pytest.raises(ApiError) as caught:
        api.call(operation, arguments)
    assert caught.value.name.rpartition("#")[2] == error, caught.value
    return caught.value.message


def executions(api, **arguments):
    found = api.call("ListPipelineExecutions", {"pipelineName": NAME} | arguments)
    return found["pipelineExecutionSummaries"]


def start(api, **arguments):
    return api.call("StartPipelineExecution", {"name": NAME} | arguments)["pipelineExecutionId"]


def test_a_pipeline_of_a_used_name_begins_anew(system, api):
    api.call("CreatePipeline", {"pipeline": declaration()})
    former = start(api, clientRequestToken="again")
    api.call("DeletePipeline", {"name": NAME})
    api.call("CreatePipeline", {"pipeline": declaration()})
    assert [one["trigger"]["triggerType"] for one in executions(api)] == ["CreatePipeline"]
    later = start(api, clientRequestToken="again")
    assert later != former and start(api, clientRequestToken="again") == later
    assert len(executions(api)) == 2
    mine = {one["pipelineExecutionId"] for one in executions(api)}
    actions = api.call("ListActionExecutions", {"pipelineName": NAME})["actionExecutionDetails"]
    assert {one["pipelineExecutionId"] for one in actions} <= mine
    gone = "PipelineExecutionNotFoundException"
    refused(api, gone, "GetPipelineExecution", pipelineName=NAME, pipelineExecutionId=former)
    for operation in ("ListActionExecutions", "ListRuleExecutions"):
        refused(api, gone, operation, pipelineName=NAME, filter={"pipelineExecutionId": former})
    refused(api, gone, "RollbackStage", pipelineName=NAME, stageName="Ask",
            targetPipelineExecutionId=former)


def token(api, execution, action="Approve"):
    """The token under which the execution waits for the approval."""
    def find():
        state = api.call("GetPipelineState", {"name": NAME})
        for stage in state["stageStates"]:
            if stage.get("latestExecution", {}).get("pipelineExecutionId") == execution:
                for one in stage["actionStates"]:
                    if one["actionName"] == action and "token" in one.get("latestExecution", {}):
                        return one["latestExecution"]["token"]
        return None
    return wait_for(find, f"the token of {action}")


def answer(api, execution, status, action="Approve"):
    api.call("PutApprovalResult", {
        "pipelineName": NAME, "stageName": "Ask", "actionName": action,
        "token": token(api, execution, action), "result": {"status": status, "summary": status}})


def ask(api):
    return api.call("GetPipelineState", {"name": NAME})["stageStates"][1]


def test_an_action_that_has_not_run_yet_shows_no_former_run(system, api):
    api.call("CreatePipeline", {"pipeline": declaration(
        ("Ask", [approval_action("Approve"), approval_action("Last", runOrder=2)]))})
    first = executions(api)[0]["pipelineExecutionId"]
    for action in ("Approve", "Last"):
        answer(api, first, "Approved", action)
    system.wait_execution(NAME, first)
    assert [one["latestExecution"]["status"] for one in ask(api)["actionStates"]] == \
        ["Succeeded", "Succeeded"]
    second = start(api)
    token(api, second)
    last = ask(api)["actionStates"][1]
    assert ask(api)["latestExecution"]["pipelineExecutionId"] == second
    assert last == {"actionName": "Last"}


def test_the_latest_retry_is_told(system, api):
    pipeline = declaration(("Ask", [approval_action("Approve"), approval_action("Other")]))
    pipeline["stages"][1]["onFailure"] = {"result": "RETRY"}
    api.call("CreatePipeline", {"pipeline": pipeline})
    execution = executions(api)[0]["pipelineExecutionId"]
    retry = {"pipelineName": NAME, "stageName": "Ask", "pipelineExecutionId": execution,
             "retryMode": "FAILED_ACTIONS"}

    def retries():
        found = ask(api)["retryStageMetadata"]
        return (found.get("autoStageRetryAttempt"), found["manualStageRetryAttempt"],
                found["latestRetryTrigger"])
    answer(api, execution, "Rejected")
    api.call("RetryStageExecution", retry)  # beside the other, which still waits
    assert retries() == (None, 1, "ManualStageRetry")  # the API counts from 1
    answer(api, execution, "Rejected")
    answer(api, execution, "Approved", "Other")
    assert retries() == (1, 1, "AutomatedStageRetry")
    answer(api, execution, "Rejected")
    system.wait_execution(NAME, execution, ("Failed",))
    api.call("RetryStageExecution", retry)
    assert retries() == (1, 2, "ManualStageRetry")


def test_a_pipeline_that_no_push_starts_says_so(system, api):
    api.call("CreatePipeline", {"pipeline": declaration(variables=[{"name": "Level"}])})
    assert executions(api) == []
    assert "'Level' has no default" in system.penstock("why", NAME).stdout
    start(api, variables=[{"name": "Level", "value": "high"}])
    assert len(executions(api)) == 1


def test_a_start_cannot_say_two_things(api):
    pipeline = declaration(variables=[{"name": "Level", "defaultValue": "low"}])
    api.call("CreatePipeline", {"pipeline": pipeline})
    twice = [{"name": "Level", "value": "high"}, {"name": "Level", "value": "low"}]
    assert "twice" in refused(api, "ValidationException", "StartPipelineExecution", name=NAME,
                              variables=twice)
    revision = {"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": 40 * "a"}
    assert "twice" in refused(api, "ValidationException", "StartPipelineExecution", name=NAME,
                              sourceRevisions=[revision, revision])
    api.call("CreatePipeline", {"pipeline": declaration(pipelineType="V1", name="plain")})
    assert "V2" in refused(api, "ValidationException", "StartPipelineExecution", name="plain",
                           sourceRevisions=[revision])
