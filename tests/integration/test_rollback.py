"""Rollback in a running system: asked for over the API and with `penstock`, and by a stage itself."""
import pytest

from harness.api import ApiError
from harness.system import commands_action, commands_pipeline, wait_for

NOBODY = "99999999-9999-4999-8999-999999999999"


def deploying():
    pipeline = commands_pipeline("mill", "code", [
        ("Build", [commands_action("Make", ["cat version > made", "test -s made"],
                                   outputArtifacts=[{"name": "Made"}])]),
        ("Deploy", [commands_action("Copy", ["cat made", "! grep -q broken made"],
                                    inputArtifacts=[{"name": "Made"}])]),
    ])
    pipeline["stages"][2]["onFailure"] = {"result": "ROLLBACK"}
    return pipeline


def refused(api, name, **arguments):
    with pytest.raises(ApiError) as caught:
        api.call("RollbackStage", {"pipelineName": "mill"} | arguments)
    assert caught.value.name == name, caught.value


def executions(system):
    found = system.api().call("ListPipelineExecutions", {"pipelineName": "mill"})
    return found["pipelineExecutionSummaries"]


def push(system, clone, version):
    """Push; returns the summary of the execution that follows, once it has ended."""
    known = {e["pipelineExecutionId"] for e in executions(system)}
    system.push(clone, {"version": version + "\n"})
    new = wait_for(lambda: [e for e in executions(system)
                            if e["pipelineExecutionId"] not in known
                            and e["trigger"]["triggerType"] != "AutomatedRollback"],
                   "an execution of the push")
    identity = new[0]["pipelineExecutionId"]
    system.wait_execution("mill", identity, ("Succeeded", "Failed"))
    return identity


def test_rollback(system_with_agent):
    system = system_with_agent
    api = system.api()
    clone = system.repository("code")
    system.push(clone, {"version": "one\n"})
    system.create_pipeline(deploying())
    first = wait_for(lambda: executions(system), "the first execution")[0]
    first = first["pipelineExecutionId"]
    system.wait_execution("mill", first)
    second = push(system, clone, "two")
    system.controller.stop()
    system.start_controller()
    system.wait_agents(1)
    api = system.api()

    # by a person
    identity = system.penstock("rollback", "mill", "Deploy", first).stdout.strip()
    system.wait_execution("mill", identity)
    got = api.call("GetPipelineExecution", {"pipelineName": "mill",
                                            "pipelineExecutionId": identity})["pipelineExecution"]
    assert got["executionType"] == "ROLLBACK"
    assert got["rollbackMetadata"] == {"rollbackTargetPipelineExecutionId": first}
    assert got["trigger"]["triggerType"] == "ManualRollback"
    target = api.call("GetPipelineExecution", {"pipelineName": "mill",
                                               "pipelineExecutionId": first})["pipelineExecution"]
    assert got["artifactRevisions"] == target["artifactRevisions"]
    actions = api.call("ListActionExecutions", {
        "pipelineName": "mill", "filter": {"pipelineExecutionId": identity}})
    assert [a["actionName"] for a in actions["actionExecutionDetails"]] == ["Copy"]
    assert "one" in system.penstock("logs", "mill", "Copy").stdout
    deploy = api.call("GetPipelineState", {"name": "mill"})["stageStates"][2]
    assert deploy["latestExecution"]["type"] == "ROLLBACK"

    refused(api, "UnableToRollbackStageException", stageName="Source",
            targetPipelineExecutionId=first)
    refused(api, "UnableToRollbackStageException", stageName="Deploy",
            targetPipelineExecutionId=identity)
    refused(api, "PipelineExecutionNotFoundException", stageName="Deploy",
            targetPipelineExecutionId=NOBODY)
    refused(api, "StageNotFoundException", stageName="Nowhere", targetPipelineExecutionId=first)

    # by the stage itself: back to the last good one, which is not the rollback
    third = push(system, clone, "broken")
    rollback = wait_for(lambda: [e for e in executions(system)
                                 if e["trigger"]["triggerType"] == "AutomatedRollback"],
                        "the rollback")[0]
    system.wait_execution("mill", rollback["pipelineExecutionId"])
    assert rollback["rollbackMetadata"]["rollbackTargetPipelineExecutionId"] == second
    assert rollback["trigger"]["triggerDetail"] == third

    # who succeeded where, by the current version only
    def succeeded():
        found = api.call("ListPipelineExecutions", {
            "pipelineName": "mill", "filter": {"succeededInStage": {"stageName": "Deploy"}}})
        return [e["pipelineExecutionId"] for e in found["pipelineExecutionSummaries"]]
    assert succeeded() == [rollback["pipelineExecutionId"], identity, second, first]
    api.call("UpdatePipeline", {"pipeline": deploying()})
    assert succeeded() == []
    refused(api, "PipelineExecutionOutdatedException", stageName="Deploy",
            targetPipelineExecutionId=first)
