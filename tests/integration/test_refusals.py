"""What cannot be done is answered with its reason, also of executions that are history."""
import pytest

from harness.api import ApiError
from harness.system import approval_action, commands_pipeline, wait_for


@pytest.fixture
def api(system):
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    return system.api()


def status(api, name, execution):
    return api.call("GetPipelineExecution", {"pipelineName": name, "pipelineExecutionId": execution})[
        "pipelineExecution"]["status"]


def test_retry_of_what_was_stopped_at_a_gate(system, api):
    system.create_pipeline(commands_pipeline("gated", "code", [("Gate", [approval_action("Ok")])]))
    api.call("DisableStageTransition", {"pipelineName": "gated", "stageName": "Gate",
                                        "transitionType": "Inbound", "reason": "closed"})
    execution = api.call("StartPipelineExecution", {"name": "gated"})["pipelineExecutionId"]

    def waits():
        state = api.call("GetPipelineState", {"name": "gated"})["stageStates"][1]
        return [one["pipelineExecutionId"] for one in state.get("inboundExecutions", [])] == [
            execution]
    wait_for(waits, "it to wait")
    api.call("StopPipelineExecution", {"pipelineName": "gated", "pipelineExecutionId": execution})
    wait_for(lambda: status(api, "gated", execution) == "Stopped", "it to end")
    retry = {"pipelineName": "gated", "stageName": "Gate", "pipelineExecutionId": execution,
             "retryMode": "FAILED_ACTIONS"}
    for _ in range(2):
        with pytest.raises(ApiError) as fault:
            api.call("RetryStageExecution", retry)
        assert fault.value.name == "StageNotRetryableException"
        assert "it was stopped before it had entered the stage" in fault.value.message
        system.controller.kill()  # the engine forgets what cannot go on
        system.start_controller()
        api = system.api()


def test_override_of_a_skipped_stage(system, api):
    whole = commands_pipeline("skips", "code", [("Never", [approval_action("Ok")])])
    whole["pipelineType"] = "V2"
    whole["stages"][1]["beforeEntry"] = {"conditions": [{"result": "SKIP", "rules": [{
        "name": "no", "ruleTypeId": {"category": "Rule", "owner": "AWS", "version": "1",
                                     "provider": "VariableCheck"},
        "configuration": {"Variable": "a", "Operator": "EQ", "Value": "b"}}]}]}
    system.create_pipeline(whole)
    wait_for(lambda: system.executions("skips")[0]["status"] == "Succeeded", "it to pass")
    with pytest.raises(ApiError) as fault:
        api.call("OverrideStageCondition", {
            "pipelineName": "skips", "stageName": "Never", "conditionType": "BEFORE_ENTRY",
            "pipelineExecutionId": system.executions("skips")[0]["pipelineExecutionId"]})
    assert fault.value.name == "ConditionNotOverridableException"
    assert "a skipped stage cannot be overridden" in fault.value.message
