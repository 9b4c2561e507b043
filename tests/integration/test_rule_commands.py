"""Rules that run commands on real agents: logs, states, overrides, restarts; and their types."""
import pytest

from harness.api import ApiError
from harness.system import commands_action, commands_pipeline, wait_for


def rule(name, commands, **more):
    return {"name": name, "commands": list(commands),
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "Commands",
                           "version": "1"}} | more


def declaration(stage):
    pipeline = commands_pipeline("mill", "code", [
        ("Build", [commands_action("Make", ["true"])]),
        ("Later", [commands_action("After", ["true"])]),
    ])
    pipeline["stages"][1].update(stage)
    return pipeline


def condition(result, *rules):
    return {"conditions": [{"result": result, "rules": list(rules)}]}


def begin(system, stage):
    clone = system.repository("code")
    system.push(clone, {"version": "one\n"})
    system.create_pipeline(declaration(stage))
    return wait_for(lambda: system.executions("mill"), "the first execution")[0][
        "pipelineExecutionId"]


def rule_state(system, member, name):
    stage = system.api().call("GetPipelineState", {"name": "mill"})["stageStates"][1]
    states = stage.get(member, {}).get("conditionStates", [{}])[0].get("ruleStates", [])
    return next((s["latestExecution"] for s in states if s["ruleName"] == name), {})


def test_commands_see_the_input_and_leave_a_log(system_with_agent):
    system = system_with_agent
    identity = begin(system, {
        "beforeEntry": condition("FAIL", rule(
            "Probe", ["echo before $(cat version)"], inputArtifacts=[{"name": "Code"}])),
        "onSuccess": condition("FAIL", rule("Check", ["echo after #{codepipeline."
                                                      "PipelineExecutionId}"]))})
    system.wait_execution("mill", identity)
    assert "before one" in system.penstock("logs", "mill", "Probe").stdout
    assert f"after {identity}" in system.penstock("logs", "mill", "Check").stdout
    assert rule_state(system, "onSuccessConditionState", "Check")["status"] == "Succeeded"
    rows = system.api().call("ListRuleExecutions", {"pipelineName": "mill"})
    assert {(r["ruleName"], r["status"]) for r in rows["ruleExecutionDetails"]} == {
        ("Probe", "Succeeded"), ("Check", "Succeeded")}
    actions = system.aws("list-action-executions", "--pipeline-name", "mill")
    assert {a["actionName"] for a in actions["actionExecutionDetails"]} == {
        "Source", "Make", "After"}  # a rule is no action
    seen = system.penstock("watch", "mill", identity).stdout
    assert "rule 'Probe' Succeeded" in seen


def test_a_failing_command_fails_the_condition(system_with_agent):
    system = system_with_agent
    identity = begin(system, {"beforeEntry": condition(
        "FAIL", rule("Probe", ["echo no; exit 7"]))})
    system.wait_execution("mill", identity, ("Failed",))
    state = rule_state(system, "beforeEntryConditionState", "Probe")
    assert state["status"] == "Failed"
    assert state["errorDetails"] == {"code": "JobFailed",
                                     "message": "Command 1 exited with status 7"}
    stages = system.aws("get-pipeline-state", "--name", "mill")["stageStates"]
    assert stages[1]["latestExecution"]["status"] == "Failed"
    assert not any(a.get("latestExecution") for a in stages[1]["actionStates"])
    api = system.api()
    api.call("RetryStageExecution", {"pipelineName": "mill", "stageName": "Build",
                                     "pipelineExecutionId": identity,
                                     "retryMode": "FAILED_ACTIONS"})
    system.wait_execution("mill", identity, ("Failed",))

    def listed(reach):
        latest = {"pipelineExecutionId": identity, "startTimeRange": reach}
        return api.call("ListRuleExecutions", {"pipelineName": "mill", "filter": {
            "latestInPipelineExecution": latest}})["ruleExecutionDetails"]
    wait_for(lambda: len(listed("All")) == 2, "the second check")
    assert [r["ruleExecutionId"] for r in listed("Latest")] == [
        listed("All")[0]["ruleExecutionId"]]
    system.penstock("override", "mill", "Build", identity)
    system.wait_execution("mill", identity)


def test_waits_for_an_agent_says_so_and_survives_a_restart(system):
    identity = begin(system, {"beforeEntry": condition("FAIL", rule("Probe", ["true"]))})
    wait_for(lambda: rule_state(system, "beforeEntryConditionState", "Probe"), "the rule")
    state = rule_state(system, "beforeEntryConditionState", "Probe")
    assert state["status"] == "InProgress"
    assert "Waiting for an agent" in state["summary"]
    assert "mill/Build/Probe" in system.penstock("why", "mill").stdout
    system.controller.kill()
    system.start_controller()
    system.add_agent("late")
    system.wait_agents(1)
    system.wait_execution("mill", identity)


def test_override_ends_what_runs(system_with_agent):
    system = system_with_agent
    identity = begin(system, {"beforeEntry": condition(
        "FAIL", rule("Probe", ["echo begun", "sleep 3600"]))})
    wait_for(lambda: "begun" in system.penstock("logs", "mill", "Probe", check=False).stdout,
             "the command's output")
    with pytest.raises(ApiError) as caught:
        system.api().call("OverrideStageCondition", {
            "pipelineName": "mill", "stageName": "Build", "conditionType": "BEFORE_ENTRY",
            "pipelineExecutionId": "11111111-2222-3333-4444-555555555555"})
    assert caught.value.name == "NotLatestPipelineExecutionException"
    system.penstock("override", "mill", "Build", identity)
    system.wait_execution("mill", identity)
    assert rule_state(system, "beforeEntryConditionState", "Probe")["status"] == "Abandoned"
    stage = system.api().call("GetPipelineState", {"name": "mill"})["stageStates"][1]
    assert stage["beforeEntryConditionState"]["latestExecution"]["status"] == "Overridden"


def test_rule_types_are_listed(system):
    types = {t["id"]["provider"]: t for t in
             system.api().call("ListRuleTypes", {"ruleOwnerFilter": "AWS"})["ruleTypes"]}
    assert set(types) == {"Commands", "DeploymentWindow", "VariableCheck"}
    assert types["Commands"]["id"] == {"category": "Rule", "owner": "AWS",
                                       "provider": "Commands", "version": "1"}
    assert types["Commands"]["inputArtifactDetails"]["maximumCount"] == 5  # as many as it can say
    keys = {p["name"]: p["required"] for p in
            types["DeploymentWindow"]["ruleConfigurationProperties"]}
    assert keys == {"Cron": True, "TimeZone": False}


@pytest.mark.parametrize("stage,words", [
    ({"beforeEntry": condition("FAIL", rule("R", []))}, ["commands"]),
    ({"beforeEntry": condition("SKIP", rule("R", ["true"]))}, ["SKIP"]),
    ({"beforeEntry": condition("FAIL", rule("R", ["true"], configuration={"Shell": "zsh"}))},
     ["Shell"]),
    ({"beforeEntry": condition("FAIL", rule("R", ["true"], configuration={"RunsOn": "=="}))},
     ["RunsOn"]),
    ({"beforeEntry": condition("FAIL", rule("R", ["true"],
                                            inputArtifacts=[{"name": "Nothing"}]))},
     ["Build", "R", "Nothing"]),
] + [
    ({"beforeEntry": condition("FAIL", {"name": "R", "configuration": {"X": "y"}, "ruleTypeId": {
        "category": "Rule", "owner": "AWS", "provider": provider, "version": "1"}})},
     ["rule 'R'", provider, "Commands, DeploymentWindow and VariableCheck"])
    for provider in ("CloudWatchAlarm", "LambdaInvoke", "CodeBuild")
])
def test_refused_by_name(system, stage, words):
    with pytest.raises(ApiError) as caught:
        system.api().call("CreatePipeline", {"pipeline": declaration(stage)})
    assert caught.value.name in ("InvalidStageDeclarationException", "ValidationException")
    for word in words:
        assert word in caught.value.message
