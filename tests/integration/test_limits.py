"""Every limit that the configuration names is obeyed by a running controller."""
import pytest

from harness.api import ApiError
from harness.system import approval_action, commands_action, commands_pipeline, wait_for


def refused(api, name, text, operation, arguments):
    with pytest.raises(ApiError) as fault:
        api.call(operation, arguments)
    assert (fault.value.name, text in fault.value.message) == (name, True), fault.value


def gates(name, *counts):
    stages = [(f"G{i}", [approval_action(f"Ok{k}") for k in range(count)])
              for i, count in enumerate(counts)]
    return commands_pipeline(name, "code", stages)


def connected(api, name):
    """A pipeline that polls its connection."""
    whole = gates(name, 1)
    whole["stages"][0]["actions"][0] |= {
        "actionTypeId": {"category": "Source", "owner": "AWS", "version": "1",
                         "provider": "CodeStarSourceConnection"},
        "configuration": {"ConnectionArn": "arn:aws:codestar-connections:us-east-1:000000000000:"
                          "connection/x", "FullRepositoryId": "team/app", "BranchName": "main"}}
    return whole


def webhook(name):
    return {"webhook": {"name": name, "targetPipeline": "least", "targetAction": "Source",
                        "filters": [{"jsonPath": "$.ref"}], "authentication": "UNAUTHENTICATED",
                        "authenticationConfiguration": {}}}


def action_type(provider):
    none = {"minimumCount": 0, "maximumCount": 0}
    return {"category": "Test", "provider": provider, "version": "1",
            "inputArtifactDetails": none, "outputArtifactDetails": none}


def test_structure(empty_system):
    system = empty_system
    system.start_controller("--stages-max", "3", "--stage-actions-max", "2",
                            "--pipeline-actions-max", "4")
    api = system.api()
    refused(api, "InvalidStructureException", "4 stages. There should be a maximum of 3 stages "
            "in a pipeline (stages-max)",
            "CreatePipeline", {"pipeline": gates("long", 1, 1, 1)})
    refused(api, "InvalidStageDeclarationException", "maximum of 2 actions in a stage (stage-actions-max)",
            "CreatePipeline", {"pipeline": gates("wide", 3)})
    refused(api, "InvalidStructureException", "5 actions. There should be a maximum of 4 actions "
            "in a pipeline (pipeline-actions-max)",
            "CreatePipeline", {"pipeline": gates("many", 2, 2)})
    api.call("CreatePipeline", {"pipeline": gates("most", 2, 1)})
    refused(api, "InvalidStructureException", "maximum of 4 actions", "UpdatePipeline",
            {"pipeline": gates("most", 2, 2)})


def test_more_than_the_api_allows(empty_system):
    system = empty_system
    system.start_controller("--stages-max", "60")
    api = system.api()
    api.call("CreatePipeline", {"pipeline": gates("long", *([1] * 55))})
    assert len(api.call("GetPipelineState", {"name": "long"})["stageStates"]) == 56


def test_counts_of_an_account(empty_system):
    system = empty_system
    system.start_controller("--webhooks-max", "1", "--action-types-max", "1",
                            "--polling-pipelines-max", "1")
    api = system.api()
    api.call("CreatePipeline", {"pipeline": gates("least", 1)})
    api.call("PutWebhook", webhook("one"))
    refused(api, "LimitExceededException", "(webhooks-max)", "PutWebhook", webhook("two"))
    api.call("PutWebhook", webhook("one"))  # a change is none more
    api.call("CreateCustomActionType", action_type("Mill"))
    refused(api, "LimitExceededException", "(action-types-max)", "CreateCustomActionType",
            action_type("Loom"))
    api.call("CreatePipeline", {"pipeline": connected(api, "polls")})
    refused(api, "LimitExceededException", "(polling-pipelines-max)", "CreatePipeline",
            {"pipeline": connected(api, "too")})


def test_actions_of_a_parallel_execution(empty_system):
    system = empty_system
    system.start_controller("--parallel-actions-max", "2")
    system.add_agent("host", slots=8)
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    go = system.folder / "go"
    actions = [commands_action(f"A{i}", [f"until [ -e {go} ]; do sleep 0.1; done"])
               for i in range(3)]
    system.create_pipeline(commands_pipeline("beside", "code", [("Build", actions)])
                           | {"executionMode": "PARALLEL", "pipelineType": "V2"})
    api = system.api()

    def begun():
        actions = api.call("ListActionExecutions", {"pipelineName": "beside"})
        return sorted(one["actionName"] for one in actions["actionExecutionDetails"]
                      if one["stageName"] == "Build")

    wait_for(lambda: len(begun()) == 2, "two actions to begin")
    reasons = api.call("Explain", {"pipelineName": "beside"}, prefix="Penstock_20261101",
                       service="penstock")["reasons"]
    assert [one["sentence"] for one in reasons if one["predicate"] == "parallel_limit"] == [
        "2 actions of this execution are under way, as many as may be (parallel-actions-max)"]
    assert begun() == ["A0", "A1"]
    go.touch()
    wait_for(lambda: len(begun()) == 3, "the third to begin")


def test_a_page_ends_before_a_client_gives_up(system_with_agent):
    """Whatever actions leave behind, an answer stays below what clients take."""
    system = system_with_agent
    system.push(system.repository("code"), {"file": "content\n"})
    fill = "BIG=$(head -c 120000 /dev/zero | tr '\\0' '\\001')"  # six bytes each in JSON
    actions = [commands_action(f"A{i:02}", [fill, "echo done"], outputVariables=["BIG"])
               for i in range(14)]
    system.create_pipeline(commands_pipeline("big", "code", [("Build", actions)]))
    identity = wait_for(lambda: system.executions("big"), "it")[0]["pipelineExecutionId"]
    system.wait_execution("big", identity)
    page = system.api().call("ListActionExecutions", {"pipelineName": "big"})
    assert 1 <= len(page["actionExecutionDetails"]) < 15 and page["nextToken"]
    whole = system.aws("list-action-executions", "--pipeline-name", "big")
    assert len(whole["actionExecutionDetails"]) == 15
    assert "done" in system.penstock("logs", "big").stdout
    assert "A13" in system.penstock("watch", "big", identity).stdout
