"""Debian's own `aws codepipeline`, every operation that it and we know, against a real controller.

That client knows no V2 members, so its pipeline is a source and approvals."""
import json

import pytest

from harness.system import SystemFault, approval_action, commands_pipeline, wait_for

NAME = "release"


def declaration(stages=("Ask",)):
    whole = commands_pipeline(NAME, "code", [(stage, [approval_action("Approve")])
                                             for stage in stages])
    del whole["pipelineType"]  # unknown to that client
    return whole


@pytest.fixture
def client(system):
    """A system with a pushed repository and the pipeline, made by `aws`; .commit is its head."""
    clone = system.repository("code")
    system.commit = system.push(clone, {"file": "content\n"})
    system.clone = clone
    created = system.aws("create-pipeline", "--pipeline", json.dumps(declaration()))["pipeline"]
    assert (created["name"], created["version"]) == (NAME, 1)
    return system


def action_state(system, stage, action):
    for one in system.state(NAME)["stageStates"]:
        if one["stageName"] == stage:
            for found in one.get("actionStates", []):
                if found["actionName"] == action:
                    return found.get("latestExecution", {})
    return {}


def approval(system, stage="Ask"):
    """The approval that waits: its token."""
    return wait_for(lambda: action_state(system, stage, "Approve").get("token"),
                    f"the approval of {stage}")


def refused(system, name, *command):
    done = system.run("/usr/bin/aws", "--endpoint-url", system.endpoints["http"], "codepipeline",
                      *command, check=False)
    assert done.returncode == 254, done.stdout
    assert f"({name})" in done.stderr


def approve(system, token, status="Approved"):
    return system.aws("put-approval-result", "--pipeline-name", NAME, "--stage-name", "Ask",
                      "--action-name", "Approve", "--token", token,
                      "--result", f"summary=by-aws,status={status}")


def test_create_get_list(client):
    got = client.aws("get-pipeline", "--name", NAME)
    assert [stage["name"] for stage in got["pipeline"]["stages"]] == ["Source", "Ask"]
    assert got["metadata"]["pipelineArn"] == f"arn:aws:codepipeline:us-east-1:000000000000:{NAME}"
    listed = client.aws("list-pipelines")["pipelines"]
    assert [(one["name"], one["version"]) for one in listed] == [(NAME, 1)]
    refused(client, "PipelineNameInUseException", "create-pipeline", "--pipeline",
            json.dumps(declaration()))
    refused(client, "PipelineNotFoundException", "get-pipeline", "--name", "nobody")


def test_first_run_is_approved(client):
    token = approval(client)
    first = client.executions(NAME)[0]
    assert first["trigger"]["triggerType"] == "CreatePipeline"
    assert first["sourceRevisions"][0]["revisionId"] == client.commit
    answered = approve(client, token)
    assert answered["approvedAt"]
    client.wait_execution(NAME, first["pipelineExecutionId"])
    history = client.aws("list-action-executions", "--pipeline-name", NAME)
    ended = {one["actionName"]: one["status"] for one in history["actionExecutionDetails"]}
    assert ended == {"Source": "Succeeded", "Approve": "Succeeded"}
    refused(client, "ApprovalAlreadyCompletedException", "put-approval-result", "--pipeline-name",
            NAME, "--stage-name", "Ask", "--action-name", "Approve", "--token", token,
            "--result", "summary=again,status=Approved")


def test_rejection_fails_the_execution(client):
    execution = client.executions(NAME)[0]["pipelineExecutionId"]
    approve(client, approval(client), "Rejected")
    client.wait_execution(NAME, execution, states=("Failed",))
    got = client.aws("get-pipeline-execution", "--pipeline-name", NAME,
                     "--pipeline-execution-id", execution)["pipelineExecution"]
    assert got["artifactRevisions"][0]["revisionId"] == client.commit


def test_start_is_idempotent_by_its_token(client):
    request = ("start-pipeline-execution", "--name", NAME, "--client-request-token", "one-and-same")
    first = client.aws(*request)["pipelineExecutionId"]
    assert client.aws(*request)["pipelineExecutionId"] == first
    assert client.aws("start-pipeline-execution", "--name", NAME)["pipelineExecutionId"] != first


def test_a_push_alone_starts(client):
    approval(client)
    before = {one["pipelineExecutionId"] for one in client.executions(NAME)}
    commit = client.push(client.clone, {"file": "changed\n"})
    new = wait_for(lambda: [one for one in client.executions(NAME)
                            if one["pipelineExecutionId"] not in before], "a second execution", 20)
    wait_for(lambda: client.executions(NAME)[0].get("sourceRevisions"), "its revision")
    assert client.executions(NAME)[0]["sourceRevisions"][0]["revisionId"] == commit
    assert len(new) == 1


def test_a_disabled_transition_holds_and_says_why(client):
    approve(client, approval(client))
    client.aws("disable-stage-transition", "--pipeline-name", NAME, "--stage-name", "Ask",
               "--transition-type", "Inbound", "--reason", "the mill is dry")
    execution = client.aws("start-pipeline-execution", "--name", NAME)["pipelineExecutionId"]

    def held():
        ask = client.state(NAME)["stageStates"][1]
        inbound = ask.get("inboundExecution", {}).get("pipelineExecutionId")
        return inbound == execution and ask["inboundTransitionState"]
    state = wait_for(held, "the execution to wait at the gate")
    assert state["enabled"] is False
    assert state["disabledReason"] == "the mill is dry"
    assert "the mill is dry" in client.penstock("why", NAME).stdout
    client.aws("enable-stage-transition", "--pipeline-name", NAME, "--stage-name", "Ask",
               "--transition-type", "Inbound")
    approve(client, approval(client))
    client.wait_execution(NAME, execution)


def test_update_and_delete(client):
    changed = declaration(("Ask", "AskAgain"))
    updated = client.aws("update-pipeline", "--pipeline", json.dumps(changed))["pipeline"]
    assert updated["version"] == 2
    old = client.aws("get-pipeline", "--name", NAME, "--pipeline-version", "1")["pipeline"]
    assert len(old["stages"]) == 2
    client.aws("delete-pipeline", "--name", NAME)
    assert client.aws("list-pipelines")["pipelines"] == []
    refused(client, "PipelineNotFoundException", "get-pipeline-state", "--name", NAME)


def test_an_older_client_drops_no_gate(client):
    """This client's model has no conditions: what it reads and writes back would lose them."""
    whole = declaration()
    whole |= {"pipelineType": "V2", "executionMode": "QUEUED"}
    whole["stages"][1]["beforeEntry"] = {"conditions": [{"result": "FAIL", "rules": [{
        "name": "never", "ruleTypeId": {"category": "Rule", "owner": "AWS", "version": "1",
                                        "provider": "VariableCheck"},
        "configuration": {"Variable": "a", "Operator": "EQ", "Value": "b"}}]}]}
    api = client.api()
    api.call("UpdatePipeline", {"pipeline": whole})
    seen = client.aws("get-pipeline", "--name", NAME)["pipeline"]
    with pytest.raises(SystemFault, match="Name V1 to drop what only V2 has"):
        client.aws("update-pipeline", "--pipeline", json.dumps(seen))
    kept = api.call("GetPipeline", {"name": NAME})["pipeline"]
    assert kept["executionMode"] == "QUEUED" and "beforeEntry" in kept["stages"][1]
    api.call("UpdatePipeline", {"pipeline": seen | {"pipelineType": "V1"}})  # as a person means it
    assert api.call("GetPipeline", {"name": NAME})["pipeline"]["executionMode"] == "SUPERSEDED"
    api.close()


def test_structure_faults_name_the_rule(client):
    one_stage = declaration()
    one_stage["name"] = "short"
    one_stage["stages"] = one_stage["stages"][:1]
    refused(client, "InvalidStructureException", "create-pipeline", "--pipeline",
            json.dumps(one_stage))
    with pytest.raises(SystemFault, match="Nowhere"):
        unknown = declaration()
        unknown["name"] = "unknown"
        unknown["stages"][1]["actions"][0]["actionTypeId"]["provider"] = "Nowhere"
        client.aws("create-pipeline", "--pipeline", json.dumps(unknown))
