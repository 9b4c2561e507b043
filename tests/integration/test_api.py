"""The API as a contract: every structural fault by its name, pages, idempotency, operations that no
other file asks, and requests that Debian's `aws` sends wrongly on purpose.

Needs a controller and one pushed commit; there is no agent, so that Build waits for one."""
import copy
import json

import pytest

from harness.api import ApiError
from harness.system import (System, approval_action, commands_action, commands_pipeline,
                            wait_for)

PENSTOCK = {"prefix": "Penstock_20261101", "service": "penstock"}
NOBODY = "99999999-9999-4999-8999-999999999999"


def declaration(name="mill"):
    return commands_pipeline(name, "code", [
        ("Build", [commands_action("Compile", ["make"], outputArtifacts=[{"name": "Out"}])]),
        ("Gate", [approval_action("Ask")]),
    ])


def action(pipeline, stage, index=0):
    return pipeline["stages"][stage]["actions"][index]


@pytest.fixture(scope="module")
def shared(programs, tmp_path_factory):
    """One controller for all tests of this file."""
    with System(tmp_path_factory.mktemp("api"), programs) as system:
        system.start_controller()
        system.push(system.repository("code"), {"Makefile": "all:\n"})
        yield system


@pytest.fixture
def api(shared):
    yield shared.api()
    assert shared.ready()


def refused(api, name, operation, arguments, **service):
    with pytest.raises(ApiError) as caught:
        api.call(operation, arguments, **service)
    assert caught.value.name == name, caught.value
    assert caught.value.status == (409 if name == "ConflictException" else 400)
    return caught.value.message


# ---- structure: what is done to the declaration, the error's name, and a word of its message

def no_stages(p):
    del p["stages"]


def one_stage(p):
    del p["stages"][1:]


def many_stages(p):
    p["stages"] += [{"name": f"S{i}", "actions": [approval_action("A")]} for i in range(50)]


def no_source_first(p):
    p["stages"].reverse()


def mixed_first_stage(p):
    p["stages"][0]["actions"].append(approval_action("Ask"))


def source_later(p):
    p["stages"][1]["actions"].append(copy.deepcopy(action(p, 0)) | {
        "name": "Late", "outputArtifacts": [{"name": "Late"}]})


def same_stage_name(p):
    p["stages"][2]["name"] = "Build"


def no_actions(p):
    p["stages"][1]["actions"] = []


def same_action_name(p):
    p["stages"][2]["actions"].append(approval_action("Ask"))


def run_order_0(p):
    action(p, 1)["runOrder"] = 0


def run_order_1000(p):
    action(p, 1)["runOrder"] = 1000


def unknown_provider(p):
    action(p, 1)["actionTypeId"]["provider"] = "Mill"


def unknown_category(p):
    action(p, 1)["actionTypeId"]["category"] = "Grind"


def source_without_output(p):
    action(p, 0)["outputArtifacts"] = []


def approval_with_input(p):
    action(p, 2)["inputArtifacts"] = [{"name": "Code"}]


def unknown_input(p):
    action(p, 1)["inputArtifacts"] = [{"name": "Nothing"}]


def input_of_later(p):
    action(p, 1)["inputArtifacts"] = [{"name": "Out"}]


def same_output_twice(p):
    action(p, 1)["outputArtifacts"] = [{"name": "Code"}]


def required_key_missing(p):
    del action(p, 0)["configuration"]["BranchName"]


def unknown_key(p):
    action(p, 0)["configuration"]["Grain"] = "rye"


def long_value(p):
    action(p, 0)["configuration"]["BranchName"] = "b" * 1001


def no_commands(p):
    del action(p, 1)["commands"]


def commands_elsewhere(p):
    action(p, 2)["commands"] = ["true"]


def both_stores(p):
    p["artifactStores"] = {"us-east-1": p["artifactStore"]}


def no_store(p):
    del p["artifactStore"]


def v2_member_in_v1(p):
    p["pipelineType"] = "V1"
    p["executionMode"] = "QUEUED"


def blockers(p):
    p["stages"][1]["blockers"] = [{"name": "b", "type": "Schedule"}]


def bad_pipeline_name(p):
    p["name"] = "a b"


def long_stage_name(p):
    p["stages"][1]["name"] = "s" * 101


def bad_artifact_name(p):
    action(p, 0)["outputArtifacts"] = [{"name": "a.b"}]


STRUCTURE, STAGE, ACTION, MEMBER, BLOCKER = (
    "InvalidStructureException", "InvalidStageDeclarationException",
    "InvalidActionDeclarationException", "ValidationException", "InvalidBlockerDeclarationException")
FAULTS = [
    (no_stages, {MEMBER}, "stages"), (one_stage, {STRUCTURE}, "stage"),
    (many_stages, {STRUCTURE}, "50"), (no_source_first, {STRUCTURE}, "source"),
    (mixed_first_stage, {STRUCTURE}, "source"), (source_later, {STRUCTURE, ACTION}, ""),
    (same_stage_name, {STRUCTURE, STAGE}, "Build"), (no_actions, {STAGE, STRUCTURE, MEMBER}, ""),
    (same_action_name, {ACTION, STAGE}, "Ask"), (run_order_0, {MEMBER, ACTION}, "runOrder"),
    (run_order_1000, {MEMBER, ACTION}, "runOrder"), (unknown_provider, {ACTION}, "Mill"),
    (unknown_category, {MEMBER}, "Grind"), (source_without_output, {ACTION}, "Source"),
    (approval_with_input, {ACTION}, "Ask"), (unknown_input, {ACTION}, "Nothing"),
    (input_of_later, {ACTION}, "Out"), (same_output_twice, {ACTION}, "Code"),
    (required_key_missing, {ACTION}, "BranchName"), (unknown_key, {ACTION}, "Grain"),
    (long_value, {MEMBER}, ""), (no_commands, {ACTION}, "Compile"),
    (commands_elsewhere, {ACTION}, "Ask"), (both_stores, {STRUCTURE, MEMBER}, "artifactStore"),
    (no_store, {STRUCTURE, MEMBER}, "artifactStore"),
    (v2_member_in_v1, {STRUCTURE}, "V2"), (blockers, {BLOCKER}, ""),
    (bad_pipeline_name, {MEMBER}, "pipeline.name"), (long_stage_name, {MEMBER}, "name"),
    (bad_artifact_name, {MEMBER}, "name"),
]


@pytest.mark.parametrize("operation", ["CreatePipeline", "UpdatePipeline", "ValidatePipeline"])
@pytest.mark.parametrize("fault,names,word", FAULTS, ids=[one[0].__name__ for one in FAULTS])
def test_structural_fault(api, operation, fault, names, word):
    broken = declaration()
    fault(broken)
    service = PENSTOCK if operation == "ValidatePipeline" else {}
    with pytest.raises(ApiError) as caught:
        api.call(operation, {"pipeline": broken}, **service)
    assert caught.value.name in names, caught.value
    assert word in caught.value.message
    assert api.call("ListPipelines") == {"pipelines": []}


def test_validate_takes_a_good_one_and_makes_nothing(api):
    assert api.call("ValidatePipeline", {"pipeline": declaration()}, **PENSTOCK) == {}
    assert api.call("ListPipelines") == {"pipelines": []}


# ---- a pipeline of their own

@pytest.fixture
def mill(api):
    made = api.call("CreatePipeline", {"pipeline": declaration()})["pipeline"]
    yield made
    api.call("DeletePipeline", {"name": "mill"})


def test_defaults_are_echoed(api, mill):
    assert mill["version"] == 1
    ask = action(mill, 2)
    assert (ask["runOrder"], ask["configuration"]) == (1, {})
    assert (ask["inputArtifacts"], ask["outputArtifacts"]) == ([], [])
    assert "region" not in ask
    got = api.call("GetPipeline", {"name": "mill"})
    assert got["pipeline"] == mill
    assert isinstance(got["metadata"]["created"], float)


def test_versions_stay(api, mill):
    changed = copy.deepcopy(mill)
    changed["stages"][2]["name"] = "Sluice"
    assert api.call("UpdatePipeline", {"pipeline": changed})["pipeline"]["version"] == 2
    old = api.call("GetPipeline", {"name": "mill", "version": 1})["pipeline"]
    assert old["stages"][2]["name"] == "Gate"
    refused(api, "PipelineVersionNotFoundException", "GetPipeline", {"name": "mill", "version": 3})
    assert api.call("ListPipelines")["pipelines"][0]["version"] == 2


def test_names_that_are_not_there(api, mill):
    at_gate = {"pipelineName": "mill", "stageName": "Gate"}
    refused(api, "PipelineNameInUseException", "CreatePipeline", {"pipeline": declaration()})
    refused(api, "ValidationException", "CreatePipeline",
            {"pipeline": declaration("tagged"), "tags": [{"key": "a", "value": "b"}]})
    refused(api, "PipelineNotFoundException", "GetPipelineState", {"name": "none"})
    refused(api, "PipelineNotFoundException", "StartPipelineExecution", {"name": "none"})
    refused(api, "PipelineNotFoundException", "ListPipelineExecutions", {"pipelineName": "none"})
    refused(api, "PipelineNotFoundException", "ListActionExecutions", {"pipelineName": "none"})
    refused(api, "PipelineExecutionNotFoundException", "GetPipelineExecution",
            {"pipelineName": "mill", "pipelineExecutionId": NOBODY})
    refused(api, "PipelineExecutionNotFoundException", "ListActionExecutions",
            {"pipelineName": "mill", "filter": {"pipelineExecutionId": NOBODY}})
    refused(api, "StageNotFoundException", "EnableStageTransition",
            {"pipelineName": "mill", "stageName": "None", "transitionType": "Inbound"})
    refused(api, "ActionNotFoundException", "PutApprovalResult", at_gate | {
        "actionName": "None", "token": NOBODY, "result": {"status": "Approved", "summary": ""}})
    refused(api, "InvalidApprovalTokenException", "PutApprovalResult", at_gate | {
        "actionName": "Ask", "token": NOBODY, "result": {"status": "Approved", "summary": ""}})
    refused(api, "ValidationException", "PutApprovalResult", at_gate | {
        "actionName": "Ask", "token": NOBODY, "result": {"status": "approved", "summary": ""}})
    refused(api, "ValidationException", "DisableStageTransition",
            at_gate | {"transitionType": "Sideways", "reason": "r"})
    assert api.call("DeletePipeline", {"name": "none"}) == {}


def test_transition_is_shown_and_repeatable(api, mill):
    where = {"pipelineName": "mill", "stageName": "Gate", "transitionType": "Inbound"}
    for _ in range(2):
        assert api.call("DisableStageTransition", where | {"reason": "freeze"}) == {}
    state = api.call("GetPipelineState", {"name": "mill"})
    gate = state["stageStates"][2]["inboundTransitionState"]
    assert (gate["enabled"], gate["disabledReason"]) == (False, "freeze")
    assert gate["lastChangedBy"] == "arn:aws:iam::000000000000:user/admin"
    assert gate["lastChangedAt"] > 1.7e9
    for _ in range(2):
        assert api.call("EnableStageTransition", where) == {}
    state = api.call("GetPipelineState", {"name": "mill"})
    assert state["stageStates"][2]["inboundTransitionState"]["enabled"] is True


def test_token_makes_a_start_idempotent(api, mill):
    start = {"name": "mill", "clientRequestToken": "one"}
    first = api.call("StartPipelineExecution", start)
    assert api.call("StartPipelineExecution", start) == first
    refused(api, "ConflictException", "StartPipelineExecution", start | {
        "sourceRevisions": [{"actionName": "Source", "revisionType": "COMMIT_ID",
                             "revisionValue": "a" * 40}]})
    refused(api, "ValidationException", "StartPipelineExecution",
            {"name": "mill", "clientRequestToken": "not allowed!"})
    refused(api, "ValidationException", "StartPipelineExecution",
            {"name": "mill", "variables": [{"name": "undeclared", "value": "v"}]})


def test_pages_show_each_execution_once(api, mill):
    made = [api.call("StartPipelineExecution", {"name": "mill"})["pipelineExecutionId"]
            for _ in range(5)]
    seen, token = [], {}
    while True:
        page = api.call("ListPipelineExecutions", {"pipelineName": "mill", "maxResults": 2} | token)
        assert 1 <= len(page["pipelineExecutionSummaries"]) <= 2
        seen += [one["pipelineExecutionId"] for one in page["pipelineExecutionSummaries"]]
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert len(seen) == len(set(seen))
    assert seen[:5] == made[::-1]
    for wrong in ("garbled", token["nextToken"] + "A", "A" + token["nextToken"]):
        refused(api, "InvalidNextTokenException", "ListPipelineExecutions",
                {"pipelineName": "mill", "nextToken": wrong})
    refused(api, "InvalidNextTokenException", "ListActionExecutions",
            {"pipelineName": "mill", "nextToken": token["nextToken"]})
    refused(api, "ValidationException", "ListPipelineExecutions",
            {"pipelineName": "mill", "maxResults": 101})


def test_stop(api, mill):
    execution = api.call("StartPipelineExecution", {"name": "mill"})["pipelineExecutionId"]
    where = {"pipelineName": "mill", "pipelineExecutionId": execution}
    answer = api.call("StopPipelineExecution", where | {"abandon": True, "reason": "flood"})
    assert answer == {"pipelineExecutionId": execution}
    refused(api, "PipelineExecutionNotStoppableException", "StopPipelineExecution", where)
    listed = api.call("ListPipelineExecutions", {"pipelineName": "mill"})
    newest = listed["pipelineExecutionSummaries"][0]
    assert newest["status"] == "Stopped"
    assert newest["stopTrigger"] == {"reason": "flood"}
    assert newest["trigger"]["triggerType"] == "StartPipelineExecution"


def test_state_says_why_an_action_waits(api, mill):
    def compiling():
        state = api.call("GetPipelineState", {"name": "mill"})["stageStates"][1]
        return state["actionStates"][0].get("latestExecution")
    latest = wait_for(compiling, "Compile to wait for an agent")
    assert latest["status"] == "InProgress"
    assert "agent" in latest["summary"]
    reasons = api.call("Explain", {"pipelineName": "mill"}, **PENSTOCK)["reasons"]
    assert latest["summary"] in [reason["sentence"] for reason in reasons]
    source = api.call("GetPipelineState", {"name": "mill"})["stageStates"][0]["actionStates"][0]
    assert len(source["currentRevision"]["revisionId"]) == 40
    logs = api.call("GetLogs", {"pipelineName": "mill", "stageName": "Build"}, **PENSTOCK)
    assert (logs["data"], logs["attempts"], logs["complete"]) == ("", [], False)


def test_watch_tells_the_facts_and_explain_the_reason(api, mill):
    execution = api.call("StartPipelineExecution", {"name": "mill"})["pipelineExecutionId"]
    seen = api.call("WatchExecution", {"pipelineName": "mill", "executionId": execution}, **PENSTOCK)
    assert seen["executionId"] == execution
    numbers = [fact["sequence"] for fact in seen["facts"]]
    assert numbers == sorted(set(numbers)) and seen["lastSequence"] == numbers[-1]
    assert seen["facts"][0]["kind"] == "execution_started"
    assert "StartPipelineExecution" in seen["facts"][0]["text"]
    reasons = api.call("Explain", {"pipelineName": "mill"}, **PENSTOCK)["reasons"]
    assert all(reason["sentence"] for reason in reasons)
    refused(api, "PipelineNotFoundException", "Explain", {"pipelineName": "none"}, **PENSTOCK)


# ---- what is Penstock's own

def test_own_operations_need_their_own_name(api):
    assert api.call("ListAgents", **PENSTOCK) == {"agents": []}
    with pytest.raises(ApiError) as caught:
        api.call("ListAgents", prefix=PENSTOCK["prefix"], service="codepipeline")
    assert caught.value.name == "InvalidSignatureException"
    assert "penstock" in caught.value.message


def test_agent_token(api):
    made = api.call("CreateAgentToken", {"labels": {"pool": "build"}, "slots": 2,
                                         "ttlSeconds": 600}, **PENSTOCK)
    assert made["token"].startswith("pen1_") and made["tokenId"] and made["expiresAt"] > 1.7e9
    refused(api, "ValidationException", "CreateAgentToken", {"slots": 0}, **PENSTOCK)
    refused(api, "ValidationException", "CreateAgentToken", {"labels": {"a b": "c"}}, **PENSTOCK)


def test_connection_never_shows_its_secret(api, shared):
    made = api.call("CreateConnection", {
        "connectionName": "hub", "baseUrl": "https://git.example.com/", "username": "miller",
        "secret": "the-millers-secret", "hookSecret": "hook-secret"}, **PENSTOCK)
    assert made["connectionArn"].endswith(made["connectionId"])
    listed = api.call("ListConnections", **PENSTOCK)["connections"]
    assert [one["connectionArn"] for one in listed] == [made["connectionArn"]]
    assert listed[0]["hasSecret"] is True and "secret" not in json.dumps(listed).lower().replace(
        "hassecret", "").replace("hashooksecret", "")
    for path in shared.data.rglob("penstock.db*"):
        assert b"the-millers-secret" not in path.read_bytes()
    assert "the-millers-secret" not in shared.controller.log.read_text()
    api.call("DeleteConnection", {"connectionArn": made["connectionArn"]}, **PENSTOCK)
    assert api.call("ListConnections", **PENSTOCK) == {"connections": []}


def test_repositories(api):
    made = api.call("CreateRepository", {"name": "grain"}, **PENSTOCK)["repository"]
    assert made["path"].endswith("/repos/grain.git")
    listed = api.call("ListRepositories", **PENSTOCK)["repositories"]
    assert [one["name"] for one in listed] == ["code", "grain"]
    with pytest.raises(ApiError):
        api.call("CreateRepository", {"name": "grain"}, **PENSTOCK)
    api.call("DeleteRepository", {"name": "grain"}, **PENSTOCK)
    left = api.call("ListRepositories", **PENSTOCK)["repositories"]
    assert [one["name"] for one in left] == ["code"]


def test_health(api):
    health = api.call("GetHealth", **PENSTOCK)
    assert health["status"] == "ok" and health["databaseBytes"] > 0
    assert health["uptimeSeconds"] >= 0 and health["connectedAgents"] == 0


def test_what_is_not_there_yet_is_named(api):
    for operation in ("UpdateActionType", "TagResource", "PollForThirdPartyJobs", "GetActionType"):
        message = refused(api, "UnknownOperationException", operation, {})
        assert operation in message and "not available" in message


# ---- Debian's aws

def aws(shared, *arguments, **environment):
    shared.environment.update(environment)
    try:
        return shared.run("/usr/bin/aws", "--endpoint-url", shared.endpoints["http"], "--output",
                          "json", "codepipeline", *arguments, check=False)
    finally:
        for name in environment:
            del shared.environment[name]


def test_aws_errors_are_named(shared):
    done = aws(shared, "list-pipelines", AWS_ACCESS_KEY_ID="AKIAUNKNOWNUNKNOWN00",
               AWS_SECRET_ACCESS_KEY="x")
    assert done.returncode == 254 and "(UnrecognizedClientException)" in done.stderr
    key = shared.credentials()[0]
    done = aws(shared, "list-pipelines", AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY="wrong")
    assert done.returncode == 254 and "(InvalidSignatureException)" in done.stderr
    done = aws(shared, "list-pipelines", "--region", "eu-west-1")
    assert done.returncode == 254 and "(InvalidSignatureException)" in done.stderr
    done = aws(shared, "list-tags-for-resource", "--resource-arn", "arn:aws:codepipeline:x")
    assert done.returncode == 254 and "(UnknownOperationException)" in done.stderr


def test_aws_turns_pages(shared, api):
    names = [f"page-{i}" for i in range(5)]
    for name in names:
        api.call("CreatePipeline", {"pipeline": declaration(name)})
    listed = json.loads(aws(shared, "list-pipelines", "--page-size", "2").stdout)["pipelines"]
    assert [one["name"] for one in listed] == names
    for name in names:
        assert aws(shared, "delete-pipeline", "--name", name).returncode == 0
