"""What nobody can prove waits for a person; and how much may be under way is configurable."""
import pytest

from harness.api import ApiError
from harness.system import approval_action, commands_action, commands_pipeline, wait_for

PENSTOCK = {"prefix": "Penstock_20261101", "service": "penstock"}


def newest(api, name):
    return api.call("ListPipelineExecutions", {"pipelineName": name})["pipelineExecutionSummaries"][0]


def test_a_person_decides_about_a_lost_once_action(empty_system):
    system = empty_system
    system.start_controller("--heartbeat", "200ms", "--agent-suspect", "500ms", "--agent-lost", "2s")
    agent = system.add_agent("host")
    truth = system.folder / "truth"
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    deploy = commands_action("Deploy", [f"echo begun >> {truth}", "sleep 600"], {"Class": "once"})
    system.create_pipeline(commands_pipeline("work", "code", [("Deploy", [deploy])]))
    api = system.api()
    wait_for(truth.exists, "the deploy to begin")
    agent.program.kill()

    def indeterminate():
        reasons = api.call("Explain", {"pipelineName": "work"}, **PENSTOCK)["reasons"]
        return [one for one in reasons if one["predicate"] == "indeterminate"]
    assert "may or may not have run" in wait_for(indeterminate, "the loss to show")[0]["sentence"]
    assert "a person decides" in system.penstock("why", "work", check=False).stdout
    stage = api.call("GetPipelineState", {"name": "work"})["stageStates"][1]
    latest = stage["actionStates"][0]["latestExecution"]
    assert (latest["status"], latest["errorDetails"]["code"]) == ("InProgress", "Indeterminate")

    refused = system.penstock("resolve", "work", "Deploy", "Deploy", "succeeded", check=False)
    assert refused.returncode != 0 and "--reason" in refused.stderr
    system.penstock("resolve", "work", "Deploy", "Deploy", "succeeded", "--reason", "it is served")
    wait_for(lambda: newest(api, "work")["status"] == "Succeeded", "the execution to succeed")
    assert truth.read_text() == "begun\n"


def test_how_many_executions_may_be_under_way_is_configurable(empty_system):
    system = empty_system
    system.start_controller("--executions-max", "2", "--pipelines-max", "1")
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    declaration = commands_pipeline("ask", "code", [("Gate", [approval_action("Ok")])])
    system.create_pipeline(declaration | {"executionMode": "QUEUED"})
    api = system.api()
    api.call("StartPipelineExecution", {"name": "ask"})
    with pytest.raises(ApiError) as refused:
        api.call("StartPipelineExecution", {"name": "ask"})
    assert refused.value.name == "ConcurrentPipelineExecutionsLimitExceededException"
    with pytest.raises(ApiError) as refused:
        api.call("CreatePipeline", {"pipeline": declaration | {"name": "more"}})
    assert refused.value.name == "LimitExceededException"
