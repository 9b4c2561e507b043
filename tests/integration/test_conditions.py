"""Conditions of stages in a running system: states, history, windows, overrides."""
import datetime
import re

import pytest

from harness.api import ApiError
from harness.system import commands_action, commands_pipeline, wait_for


def rule(name, provider, **configuration):
    return {"name": name, "configuration": configuration,
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": provider,
                           "version": "1"}}


def condition(result, *rules):
    return {"conditions": [{"result": result, "rules": list(rules)}]}


def never_soon():
    """A window that opens in some eleven hours."""
    hour = (datetime.datetime.now(datetime.timezone.utc).hour + 11) % 24
    return f"0 0 {hour} * * ?"


def declaration(stage):
    pipeline = commands_pipeline("mill", "code", [
        ("Build", [commands_action("Make", ["true"])]),
        ("Later", [commands_action("After", ["true"])]),
    ])
    pipeline["stages"][1].update(stage)
    return pipeline


def begin(system, stage):
    clone = system.repository("code")
    system.push(clone, {"version": "one\n"})
    system.create_pipeline(declaration(stage))
    found = wait_for(lambda: system.executions("mill"), "the first execution")
    return found[0]["pipelineExecutionId"]


def stage_state(api, member):
    stage = api.call("GetPipelineState", {"name": "mill"})["stageStates"][1]
    return stage.get(member, {})


def test_window_is_shown_explained_and_overridden(system_with_agent):
    system = system_with_agent
    identity = begin(system, {"beforeEntry": condition(
        "FAIL", rule("Hours", "DeploymentWindow", Cron=never_soon(), TimeZone="UTC+01:00"),
        rule("Same", "VariableCheck", Variable="#{codepipeline.PipelineExecutionId}",
             Operator="NE", Value="x"))})
    api = system.api()
    wait_for(lambda: stage_state(api, "beforeEntryConditionState"), "the condition")
    assert "opens at" in system.penstock("why", "mill").stdout
    system.controller.stop()
    system.start_controller()
    system.wait_agents(1)
    api = system.api()
    state = stage_state(api, "beforeEntryConditionState")
    assert state["latestExecution"]["status"] == "InProgress"
    rules = {r["ruleName"]: r["latestExecution"] for r in
             state["conditionStates"][0]["ruleStates"]}
    assert {n: r["status"] for n, r in rules.items()} == {"Hours": "InProgress",
                                                          "Same": "Succeeded"}
    assert "opens at" in rules["Hours"]["summary"]
    whole = system.aws("get-pipeline-execution", "--pipeline-name", "mill",
                       "--pipeline-execution-id", identity)["pipelineExecution"]
    assert whole["statusSummary"].startswith(
        "Stage 'Build' waits for rule 'Hours' of its beforeEntry condition: Waiting for the window:")
    text = system.penstock("status", "mill").stdout
    assert re.search("stage Build: condition beforeEntry InProgress, [0-9.]+s ago\n", text), text
    assert "    rule Hours: Waiting for the window: it opens at " in text
    system.penstock("override", "mill")
    system.wait_execution("mill", identity)
    assert "statusSummary" not in api.call("GetPipelineExecution", {
        "pipelineName": "mill", "pipelineExecutionId": identity})["pipelineExecution"]
    state = stage_state(api, "beforeEntryConditionState")
    assert state["latestExecution"]["status"] == "Overridden"
    page = api.call("ListRuleExecutions", {"pipelineName": "mill", "maxResults": 1})
    rest = api.call("ListRuleExecutions", {"pipelineName": "mill",
                                           "nextToken": page["nextToken"]})
    rows = page["ruleExecutionDetails"] + rest["ruleExecutionDetails"]
    assert [(r["ruleName"], r["status"]) for r in rows] == [("Same", "Succeeded"),
                                                            ("Hours", "Abandoned")]
    assert rows[0]["input"]["resolvedConfiguration"]["Variable"] == identity
    assert rows[0]["input"]["configuration"]["Variable"] == "#{codepipeline.PipelineExecutionId}"
    assert rows[0]["input"]["region"] == "us-east-1" and rows[0]["input"]["inputArtifacts"] == []
    with pytest.raises(ApiError) as caught:
        api.call("OverrideStageCondition", {
            "pipelineName": "mill", "stageName": "Build", "pipelineExecutionId": identity,
            "conditionType": "ON_SUCCESS"})
    assert caught.value.name == "ConditionNotOverridableException"


def test_a_window_opens_by_the_clock_of_its_zone(system_with_agent):
    """Open in all hours of Berlin: at once; the zone is read from this host's database."""
    system = system_with_agent
    identity = begin(system, {
        "beforeEntry": condition("FAIL", rule("Now", "DeploymentWindow", Cron="* * * * * ?",
                                              TimeZone="Europe/Berlin")),
        "onSuccess": condition("FAIL", rule("Later", "DeploymentWindow", Cron="0 0 9 1 1 ? 2199",
                                            TimeZone="America/New_York"))})
    state = wait_for(lambda: stage_state(system.api(), "onSuccessConditionState"), "the stage")
    wait_for(lambda: "2199-01-01 14:00:00 UTC" in system.penstock("why", "mill").stdout,
             "nine o'clock in New York")
    entry = stage_state(system.api(), "beforeEntryConditionState")
    assert entry["latestExecution"]["status"] == "Succeeded"
    assert state["latestExecution"]["status"] == "InProgress"
    system.penstock("override", "mill", "Build", identity, "on-success")
    system.wait_execution("mill", identity)


def test_a_regular_expression_decides(system_with_agent):
    system = system_with_agent
    identity = begin(system, {"beforeEntry": condition("FAIL", rule(
        "Id", "VariableCheck", Variable="#{codepipeline.PipelineExecutionId}",
        Operator="MATCHES", Value="[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"))})
    system.wait_execution("mill", identity)
    state = stage_state(system.api(), "beforeEntryConditionState")
    latest = state["conditionStates"][0]["ruleStates"][0]["latestExecution"]
    assert latest["summary"].startswith(f"'{identity}' matches")


def test_success_fails_then_is_overridden(system_with_agent):
    system = system_with_agent
    identity = begin(system, {"onSuccess": condition(
        "FAIL", rule("No", "VariableCheck", Variable="a", Operator="EQ", Value="b"))})
    system.wait_execution("mill", identity, ("Failed",))
    state = stage_state(system.api(), "onSuccessConditionState")
    assert state["latestExecution"]["status"] == "Failed"
    text = system.penstock("status", "mill").stdout
    assert "stage Build: condition onSuccess Failed, " in text
    assert "Rule 'No' failed: 'a' is not EQ 'b'" in text
    text = system.penstock("why", identity).stdout
    assert "until: a person overrides the condition" in text
    system.penstock("override", "mill", "Build")
    system.wait_execution("mill", identity)


@pytest.mark.parametrize("stage,word", [
    ({"beforeEntry": condition("FAIL", rule("R", "CloudWatchAlarm", AlarmName="x"))},
     "CloudWatchAlarm"),
    ({"beforeEntry": condition("FAIL", rule("R", "VariableCheck", Variable="a",
                                            Operator="MATCHES", Value="(?=b)"))}, "look-around"),
    ({"beforeEntry": condition("FAIL", rule("R", "VariableCheck", Variable="a",
                                            Operator="LIKE", Value="b"))}, "MATCHES"),
    ({"beforeEntry": condition("SKIP", rule("R", "DeploymentWindow", Cron="* * * * * ?"))},
     "SKIP"),
    ({"onSuccess": condition("FAIL", rule("R", "DeploymentWindow", Cron="* * 25 * * ?"))},
     "hours"),
    ({"onSuccess": condition("FAIL", rule("R", "DeploymentWindow", Cron="* * * * * ?",
                                          TimeZone="Europe/Atlantis"))}, "Europe/Atlantis"),
    ({"onSuccess": condition("FAIL", rule("R", "DeploymentWindow", Cron="* * * * * ?",
                                          TimeZone="../../etc/passwd"))}, "../../etc/passwd"),
])
def test_refused_by_name(system, stage, word):
    with pytest.raises(ApiError) as caught:
        system.api().call("CreatePipeline", {"pipeline": declaration(stage)})
    assert caught.value.name == "InvalidStageDeclarationException"
    assert word in caught.value.message


def test_next_openings_are_listed(system):
    """For an expression, with the hour that summer time moves; and for a pipeline's rules."""
    api = system.api()
    own = {"prefix": "Penstock_20261101", "service": "penstock"}
    listed = api.call("ListDeploymentWindows", {"cron": "0 0 9 ? 3,7 * 2199",
                                                "timeZone": "Europe/Berlin"}, **own)["windows"]
    openings = listed[0]["openings"]
    assert len(openings) == 10
    begin = datetime.datetime(2199, 3, 1, 8, tzinfo=datetime.timezone.utc)
    assert openings[0] == {"opens": begin.timestamp(), "closes": begin.timestamp() + 1}
    printed = system.penstock("window", "0 0-29 2 ? * MON", "--zone", "America/New_York").stdout
    assert len(printed.splitlines()) == 11 and "America/New_York" in printed
    for bad, word in (({"cron": "* * 25 * * ?"}, "hours"),
                      ({"cron": "* * * * * ?", "timeZone": "Europe/Atlantis"}, "Europe/Atlantis"),
                      ({"cron": "* * * * * ?", "timeZone": "../../etc/passwd"}, "etc/passwd"),
                      ({}, "cron")):
        with pytest.raises(ApiError) as caught:
            api.call("ListDeploymentWindows", bad, **own)
        assert caught.value.name == "ValidationException"
        assert word in caught.value.message
    clone = system.repository("code")
    system.push(clone, {"version": "one\n"})
    system.create_pipeline(declaration({
        "beforeEntry": condition("FAIL", rule("Hours", "DeploymentWindow", Cron="0 0 3 * * ?",
                                              TimeZone="Asia/Kolkata"),
                                 rule("Other", "VariableCheck", Variable="a", Operator="EQ",
                                      Value="a")),
        "onSuccess": condition("FAIL", rule("Never", "DeploymentWindow", Cron="0 0 9 1 1 ? 1999",
                                            TimeZone="UTC"))}))
    windows = api.call("ListDeploymentWindows", {"pipelineName": "mill"}, **own)["windows"]
    assert [(w["ruleName"], w["conditionType"], len(w["openings"])) for w in windows] == [
        ("Hours", "beforeEntry", 10), ("Never", "onSuccess", 0)]
    assert all(o["opens"] % 86400 == 21.5 * 3600 for o in windows[0]["openings"])
    printed = system.penstock("window", "mill", "--stage", "Build").stdout
    assert "Hours" in printed and "never" in printed
