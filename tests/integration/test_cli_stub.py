"""The command line against a small stand-in for the controller: words, settings, answers

The stand-in checks every signature by its own code and answers from a script, so that these tests
see what the real controller rarely shows: refused signatures, paging, throttling, lost connections.
"""
import json
import re
import time

import pytest

from cli_stub import COMMIT, EXECUTION, KEY, SECRET, Fault, approval


def test_version_and_help(run):
    assert run("--version")[0].startswith("penstock 0.")
    assert run("version")[0] == run("--version")[0]
    everything = run("help")[0]
    rows = re.findall(r"^  ([a-z]+(?: [a-z]+)?) ", everything, re.M)
    assert "pipeline create" in rows and "doctor" in rows and len(rows) > 30
    for row in rows:
        for words in (["help", *row.split()], [*row.split(), "--help"]):
            text = run(*words)[0]
            assert f"usage: penstock {row}" in text and "Example:\n  " in text, row
            assert max(map(len, text.splitlines())) <= 110
    assert "pipeline validate" in run("pipeline", "--help")[0]
    assert "agent token" in run("help", "agent")[0]


@pytest.mark.parametrize("words, message", [
    (["nonsense"], "no command 'nonsense'"),
    (["pipeline", "nonsense"], "no command 'pipeline nonsense'"),
    (["status", "a", "b"], "one word too many"),
    (["start"], "start needs NAME"),
    (["start", "x", "--nonsense"], "no option --nonsense"),
    (["start", "x", "--timeout"], "needs a value"),
    (["start", "x", "--watch=yes"], "takes no value"),
    (["start", "x", "--variable", "novalue"], "has no '='"),
    (["status", "x", "--output", "xml"], "text or json"),
    (["agent", "token", "--labels", "a"], "key=value"),
    (["agent", "token", "--labels", "a=1,a=2"], "given twice"),
    (["agent", "token", "--slots", "0"], "between 1"),
    (["agent", "token", "--ttl", "5"], "not a duration"),
    (["transition", "disable", "x", "Stage"], "needs --reason"),
    (["resolve", "x", "S", "A", "maybe", "--reason", "r"], "none of failed"),
    (["start", "x", "--watch", "--timeout", "5"], "not a duration"),
    (["start", "x", "--watch", "--output", "json"], "no JSON output"),
    (["start", "x", "--timeout", "5s"], "--timeout means nothing without --watch"),
    (["start", "x", "--raw"], "--raw means nothing without --watch"),
    (["stop", "x", "abc"], "'abc' is not the id of an execution"),
    (["watch", "x", "nonsense"], "'nonsense' is not the id of an execution"),
    (["logs", "x", "--execution", EXECUTION + "0"], "is not the id of an execution"),
    (["status", "x", "--endpoint", "ftp://h"], "http://"),
    (["status", "x", "--endpoint", "http://u:p@h"], "no user"),
])
def test_wrong_words_are_named(run, stub, words, message):
    assert message in run(*words, code=2)[1]
    assert stub.calls == []


def test_half_a_command_prints_its_help(run):
    assert "usage: penstock agent COMMAND" in run("agent", code=2)[0]
    assert "usage: penstock [OPTIONS]" in run(code=2)[0]


# ---- who and where

def credentials(path, **profiles):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"# comment\n[{name}]\naws_access_key_id = {key}\n"
                            f"aws_secret_access_key={secret}\n"
                            for name, (key, secret) in profiles.items()))


def test_credentials_are_searched_in_order(run, stub, environment, tmp_path):
    stub.operations["ListPipelines"] = lambda _: {"pipelines": []}
    good, bad = (KEY, SECRET), ("OTHER", "wrong")
    shared, own = tmp_path / ".aws" / "credentials", tmp_path / "own"
    del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    assert f"no credentials: there is no file '{shared}'" in run("pipeline", "list", code=4)[1]
    credentials(shared, default=good)
    assert (f"profile 'none' in '{shared}' has no access key"
            in run("pipeline", "list", AWS_PROFILE="none", code=4)[1])
    run("pipeline", "list")
    credentials(shared, default=bad, penstock=good)
    run("pipeline", "list")
    credentials(shared, default=good, penstock=bad)
    run("pipeline", "list", "--profile", "default")
    run("pipeline", "list", AWS_PROFILE="default")
    assert "bad signature" in run("pipeline", "list", code=4)[1]
    assert "no profile 'none'" in run("pipeline", "list", "--profile", "none", code=3)[1]
    credentials(own, penstock=good)
    run("pipeline", "list", PENSTOCK_CREDENTIALS=str(own))
    run("pipeline", "list", AWS_SHARED_CREDENTIALS_FILE=str(own))
    run("pipeline", "list", AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
    run("pipeline", "list", AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="y",
        PENSTOCK_CREDENTIALS=str(own))
    missing = run("pipeline", "list", PENSTOCK_CREDENTIALS=str(tmp_path / "no"), code=3)
    assert "cannot open" in missing[1]
    shared.write_text("[penstock\n")
    assert "credentials:1: a section has no ']'" in run("pipeline", "list", code=2)[1]


def test_endpoint_and_region_are_searched_in_order(run, stub, environment, tmp_path):
    stub.operations["ListPipelines"] = lambda _: {"pipelines": []}
    nowhere = "http://127.0.0.1:9"
    del environment["PENSTOCK_ENDPOINT"]
    config = tmp_path / ".config" / "penstock" / "config"
    config.parent.mkdir(parents=True)
    config.write_text(f"endpoint = {stub.url}/\n")
    run("pipeline", "list")
    for text, word in (("endpont = x\n", "endpont"), ("[penstock]\nendpoint = x\n", "penstock")):
        config.write_text(text)
        assert f"{config}: there is no '{word}'; endpoint, profile" in run("status", code=2)[1]
    config.write_text(f"endpoint = {nowhere}\n")
    assert "cannot reach the controller" in run("pipeline", "list", code=7)[1]
    run("pipeline", "list", AWS_ENDPOINT_URL=stub.url)
    run("pipeline", "list", AWS_ENDPOINT_URL=nowhere, PENSTOCK_ENDPOINT=stub.url)
    run("pipeline", "list", "--endpoint", stub.url, PENSTOCK_ENDPOINT=nowhere)
    environment["PENSTOCK_ENDPOINT"] = stub.url
    stub.region = "eu-west-3"
    run("pipeline", "list", code=4)
    run("pipeline", "list", AWS_REGION="eu-west-3")
    run("pipeline", "list", "--region", "eu-west-3", AWS_REGION="us-west-1")


def test_a_proxy_is_not_asked_for_loopback(run, stub):
    stub.operations["ListPipelines"] = lambda _: {"pipelines": []}
    run("pipeline", "list", http_proxy="http://127.0.0.1:9")


# ---- answers

@pytest.mark.parametrize("fault, code", [
    (Fault("PipelineNotFoundException", "no pipeline 'x'"), 3),
    (Fault("RepositoryDoesNotExistException", "no repository"), 3),
    (Fault("AccessDeniedException", "not yours", 403), 4),
    (Fault("ValidationException", "name: too long"), 2),
    (Fault("ConflictException", "busy"), 1),
    (Fault("RepositoryNameExistsException", "there is one"), 1),
    (Fault("PipelineNameInUseException", "there is one"), 1),
    (Fault("InternalFailure", "oops", 500), 7),
])
def test_errors_become_exit_codes(run, stub, fault, code):
    def refuse(_):
        raise fault
    stub.operations["GetPipelineState"] = refuse
    err = run("status", "x", code=code)[1]
    assert err == f"penstock: {fault.name}: {fault.message}\n"
    assert len(stub.inputs("GetPipelineState")) == 1


def test_deleting_what_is_not_there_is_an_error(run, stub):
    """The API says yes to it; a person has mistyped the name."""
    def missing(_):
        raise Fault("PipelineNotFoundException", "no pipeline")
    stub.operations["GetPipeline"] = missing
    stub.operations["ListWebhooks"] = lambda data: {"webhooks": [
        {"definition": {"name": "first"}}], "NextToken": "t"} if "NextToken" not in data else {
        "webhooks": [{"definition": {"name": "second"}}]}
    stub.operations["DeletePipeline"] = stub.operations["DeleteWebhook"] = lambda _: {}
    run("pipeline", "delete", "x", code=3)
    assert "no webhook 'third'" in run("webhook", "delete", "third", code=3)[1]
    assert stub.inputs("DeletePipeline") == stub.inputs("DeleteWebhook") == []
    stub.operations["GetPipeline"] = lambda _: {"pipeline": {"name": "x"}}
    stub.operations["ListPipelineExecutions"] = lambda _: {}
    assert run("pipeline", "delete", "x")[0] == "pipeline 'x' deleted\n"
    assert run("webhook", "delete", "second")[0] == "webhook 'second' deleted\n"


def test_throttling_is_tried_again_with_the_same_token(run, stub):
    answers = [Fault("ThrottlingException"), Fault("ServiceUnavailable", status=503)]

    def start(_):
        if answers:
            raise answers.pop(0)
        return {"pipelineExecutionId": EXECUTION}
    stub.operations["StartPipelineExecution"] = start
    out = run("start", "x", "--variable", "A=1=2", "--revision", "Source=" + COMMIT)[0]
    assert out == EXECUTION + "\n"
    first, *others = stub.inputs("StartPipelineExecution")
    assert others == [first, first]
    assert first["variables"] == [{"name": "A", "value": "1=2"}]
    assert first["sourceRevisions"] == [
        {"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": COMMIT}]
    assert re.fullmatch(r"[0-9a-f-]{36}", first["clientRequestToken"])


def test_escape_codes_of_the_controller_stay_out(run, stub):
    def refuse(_):
        raise Fault("ValidationException", "bad \x1b]0;title\x07 \u009b31m name\nsecond")
    stub.operations["GetPipelineState"] = refuse
    err = run("status", "x", code=2)[1]
    assert "\x1b" not in err and "\u009b" not in err and err.count("\n") == 1
    stub.operations["ListPipelines"] = lambda _: {"pipelines": [
        {"name": "a\x1b[31mb", "version": 1, "updated": 1700000000.5}]}
    out = run("pipeline", "list")[0]
    assert "\x1b" not in out and "2023-11-14T22:13:20Z" in out


def test_lists_are_read_page_by_page(run, stub):
    pages = {None: ("a", "t1"), "t1": ("b", "t2"), "t2": ("c", None)}

    def page(data):
        name, following = pages[data.get("nextToken")]
        answer = {"pipelines": [{"name": name, "version": 1}]}
        return {**answer, "nextToken": following} if following else answer
    stub.operations["ListPipelines"] = page
    assert [row["name"] for row in json.loads(run("pipeline", "list", "--output", "json")[0])
            ["pipelines"]] == ["a", "b", "c"]


def test_pipeline_files(run, stub, tmp_path):
    seen = []
    for name in ("CreatePipeline", "UpdatePipeline", "ValidatePipeline"):
        stub.operations[name] = lambda data: seen.append(data) or {}
    pipeline = {"name": "site", "stages": []}
    file = tmp_path / "p.json"
    file.write_text(json.dumps(pipeline))
    assert run("pipeline", "create", str(file))[0] == "pipeline 'site' created\n"
    file.write_text(json.dumps({"pipeline": pipeline, "metadata": {}}))
    run("pipeline", "update", str(file))
    run("pipeline", "validate", "-", stdin=json.dumps(pipeline))
    plain, strict = {"pipeline": pipeline}, {"pipeline": pipeline, "strict": True}
    assert seen == [strict, plain, strict, plain, strict]
    file.write_text('{"name": "site",\n "name": 2}')
    assert f"{file}:2:" in run("pipeline", "create", str(file), code=2)[1]
    assert "cannot open" in run("pipeline", "create", str(tmp_path / "none"), code=3)[1]
    assert len(seen) == 5


def test_approve_finds_what_waits(run, stub):
    stages = []
    stub.operations["GetPipelineState"] = lambda _: {"pipelineName": "x", "stageStates": stages}
    stub.operations["PutApprovalResult"] = lambda _: {"approvedAt": 1700000000}
    stub.operations["ListPipelineExecutions"] = lambda _: {"pipelineExecutionSummaries": []}
    assert "nothing waits" in run("approve", "x", code=3)[1]
    stages.append(approval("Gate", "Ask", "t-1"))
    assert "approved: Gate/Ask" in run("approve", "x", "--summary", "fine")[0]
    stages.append(approval("Later", "Ask too", "t-2"))
    assert "'Gate Ask', 'Later Ask too'" in run("approve", "x", code=2)[1]
    run("reject", "x", "Later", "Ask too")
    run("approve", "x", "Ask")
    given = stub.inputs("PutApprovalResult")
    assert given[0] == {"pipelineName": "x", "stageName": "Gate", "actionName": "Ask",
                        "result": {"summary": "fine", "status": "Approved"}, "token": "t-1"}
    assert given[1]["token"] == "t-2" and given[1]["result"]["status"] == "Rejected"
    assert given[2]["token"] == "t-1"
    stub.operations["Explain"] = lambda _: {"reasons": [
        {"subject": "x/Gate/Ask", "acts": "a person who may approve",
         "commands": ["penstock approve x Gate Ask", "penstock reject x Gate Ask"]},
        {"subject": "x/Build/B", "sentence": "it runs"}, {"subject": "x/Run", "acts": "ada\x1b"}]}
    assert run("status", "x")[0].endswith(
        "x/Gate/Ask is up to a person who may approve:\n    penstock approve x Gate Ask\n"
        "    penstock reject x Gate Ask\nx/Run is up to ada \n")


def test_resolve_and_transitions(run, stub):
    stub.operations["GetPipelineState"] = lambda _: {"stageStates": [approval("S", "Deploy", "")]}
    for name in ("ResolveAction", "EnableStageTransition", "DisableStageTransition"):
        stub.operations[name] = lambda _: None
    run("resolve", "x", "S", "Deploy", "succeeded", "--reason", "seen")
    assert stub.inputs("ResolveAction") == [
        {"actionExecutionId": "id-Deploy", "resolution": "Succeeded", "reason": "seen"}]
    # One that the pipeline's state does not show: by its execution, or by those under way.
    action = {"stageName": "S", "actionName": "Gone", "actionExecutionId": "id-Gone",
              "status": "InProgress"}
    stub.operations["ListActionExecutions"] = lambda _: {"actionExecutionDetails": [
        action | {"status": "Failed", "actionExecutionId": "older"}, action]}
    rows = [{"pipelineExecutionId": EXECUTION, "status": "InProgress"},
            {"pipelineExecutionId": "other", "status": "Failed"}]
    stub.operations["ListPipelineExecutions"] = lambda _: {"pipelineExecutionSummaries": rows}
    run("resolve", "x", "S", "Gone", "failed", "--reason", "r", "--execution", EXECUTION)
    run("resolve", "x", "S", "Gone", "retry", "--reason", "r")
    assert [one["actionExecutionId"] for one in stub.inputs("ResolveAction")[1:]] == ["id-Gone"] * 2
    rows[1]["status"] = "Stopping"
    assert "--execution ID" in run("resolve", "x", "S", "Gone", "retry", "--reason", "r", code=2)[1]
    assert "no action S/None is under way" in run(
        "resolve", "x", "S", "None", "retry", "--reason", "r", code=3)[1]
    run("transition", "disable", "x", "S", "--reason", "freeze")
    run("transition", "enable", "x", "S", "--outbound")
    assert stub.inputs("DisableStageTransition")[0]["transitionType"] == "Inbound"
    assert stub.inputs("EnableStageTransition")[0]["transitionType"] == "Outbound"


def test_agents(run, stub):
    stub.operations["ListAgents"] = lambda _: {"agents": [
        {"name": "a1", "agentId": "1", "status": "Enrolled", "connected": True, "slots": 4,
         "busySlots": 1, "labels": {"os": "linux", "pool": "x"}, "host": {"isolation": "full"}},
        {"name": "a2", "agentId": "2", "status": "Enrolled", "connected": False, "slots": 2},
        {"name": "a3", "agentId": "3", "status": "Revoked", "statusReason": "sold"}]}
    rows = [line.split() for line in run("agent", "list")[0].splitlines()]
    assert rows[1][:4] == ["a1", "connected", "1/4", "os=linux,pool=x"]
    assert rows[2][1] == "offline" and rows[3][1] == "Revoked" and rows[3][-1] == "sold"
    stub.operations["CreateAgentToken"] = lambda _: {"token": "pen1_abc", "expiresAt": 1700000000}
    out, err = run("agent", "token", "--labels", "pool=x,gpu=", "--slots", "3", "--ttl", "1h")
    assert out == "pen1_abc\n" and "2023-11-14" in err
    assert stub.inputs("CreateAgentToken") == [
        {"labels": {"pool": "x", "gpu": ""}, "slots": 3, "ttlSeconds": 3600}]
    for word in ("Drain", "Undrain", "Revoke"):
        stub.operations[word + "Agent"] = lambda _: {}
        run("agent", word.lower(), "a2")
        assert stub.inputs(word + "Agent") == [{"agentId": "a2"}]


def test_secrets_come_from_files(run, stub, tmp_path):
    stub.operations["CreateConnection"] = lambda _: {"connectionArn": "arn:aws:x", "connectionId": "1"}
    stub.operations["ListConnections"] = lambda _: {"connections": [
        {"connectionName": "hub", "connectionArn": "arn:aws:hub"}]}
    stub.operations["DeleteConnection"] = lambda _: {}
    stub.operations["ListPipelines"] = lambda _: {"pipelines": []}
    (tmp_path / "hook").write_text("hooksecret\nrest\n")
    out, _ = run("connection", "create", "hub", "--url", "https://git/", "--username", "bot",
                 "--secret-file", "-", "--hook-secret-file", str(tmp_path / "hook"),
                 stdin="hunter2\n")
    assert out == "arn:aws:x\n"
    assert stub.inputs("CreateConnection") == [
        {"connectionName": "hub", "baseUrl": "https://git/", "username": "bot",
         "secret": "hunter2", "hookSecret": "hooksecret"}]
    assert "no password, token or key" in run("connection", "create", "hub", "--url", "https://git/",
                                         "--secret-file", "-", code=2)[1]
    run("connection", "delete", "hub")
    assert stub.inputs("DeleteConnection") == [{"connectionArn": "arn:aws:hub"}]
    assert "no connection 'other'" in run("connection", "delete", "other", code=3)[1]
    stub.operations["ListConnections"] = lambda _: {"connections": [
        {"connectionName": "hub", "connectionArn": f"arn:aws:{number}"} for number in (1, 2)]}
    assert "several connections are called 'hub'" in run("connection", "delete", "hub", code=2)[1]
    run("connection", "delete", "arn:aws:2")
    assert stub.inputs("DeleteConnection")[1:] == [{"connectionArn": "arn:aws:2"}]


# ---- doctor and why

def test_doctor_says_what_to_do(run, stub):
    stub.operations["GetHealth"] = lambda _: {"version": "9.9", "uptimeSeconds": 3725,
                                              "databaseBytes": 1 << 21}
    agents = []
    stub.operations["ListAgents"] = lambda _: {"agents": agents}
    out = run("doctor", code=1)[0]
    assert "ok   endpoint: " + stub.url in out and "agrees with the controller" in out
    assert "WARN version: the controller is 9.9" in out and "2.0 MiB" in out
    assert "FAIL agents: no agent takes work" in out and "penstock-agent --controller" in out
    agents.append({"name": "gone", "status": "Revoked", "slots": 2})
    agents.append({"name": "a", "status": "Enrolled", "connected": True, "slots": 2,
                   "draining": True})
    out = run("doctor", code=1)[0]
    assert "WARN agent: a is draining" in out and "penstock agent undrain a" in out
    assert "no agent takes work. See above" in out and "gone" not in out
    agents[1]["draining"] = False
    assert "1 of 1 take work, with 2 slots" in run("doctor")[0]
    for state, words in (({"suspect": True}, "a is silent"),
                         ({"refusal": "its disk is full"}, "a declines work: its disk is full"),
                         ({"status": "Quarantined", "statusReason": "a copy"},
                          "a is quarantined: a copy")):
        former = dict(agents[1])
        agents[1] |= state
        out = run("doctor", code=1)[0]
        assert f"WARN agent: {words}" in out and "no agent takes work" in out
        agents[1] = former
    reasons = [{"predicate": "clock_wrong", "subject": "controller", "sentence": "2h ahead",
                "clears": "it is right"},
               {"predicate": "agent_refuses", "subject": "a", "sentence": "told elsewhere"}]
    stub.operations["GetHealth"] = lambda _: {"version": "9.9", "reasons": reasons}
    out = run("doctor")[0]
    assert "WARN clock_wrong: controller: 2h ahead; until: it is right\n" in out
    assert "told elsewhere" not in out
    reasons[0] |= {"predicate": "labels_unmatched", "never": True, "commands": ["penstock x"]}
    assert "FAIL labels_unmatched: controller: 2h ahead; until: it is right; clears: penstock x" in (
        run("doctor", code=1)[0])
    reasons.clear()
    assert "FAIL credentials: InvalidSignature" in run("doctor", code=4, AWS_ACCESS_KEY_ID="x")[0]
    out = run("doctor", "--endpoint", "http://127.0.0.1:9", code=7)[0]
    assert "FAIL endpoint" in out and "endpoints.json" in out and "doctor" not in out
    findings = json.loads(run("doctor", "--output", "json")[0])
    assert {row["check"] for row in findings} >= {"endpoint", "clock", "credentials", "agents"}


def test_why(run, stub):
    reasons = []
    stub.operations["Explain"] = lambda _: {"reasons": reasons}
    assert run("why", "x")[0] == "nothing waits\n"
    reasons.append({"subject": "Stage/Build", "sentence": "slots full", "clears": "a slot is free",
                    "estimateSeconds": 90, "never": True})
    out = run("why", "x", "--execution", EXECUTION)[0]
    assert out.startswith("Stage/Build: slots full\n    until: a slot is free\n")
    reasons[0] |= {"acts": "who keeps it", "commands": ["penstock a", "penstock b\x1b"],
                   "see": "penstock logs x", "ends": 1700000000, "lastOutput": time.time() - 70}
    out = run("why", "x", "--execution", EXECUTION)[0]
    assert ("    until: a slot is free\n    acts: who keeps it\n    clears: penstock a\n"
            "    clears: penstock b \n    see: penstock logs x\n    expected in 1m30s\n"
            "    last output 1m10s ago\n"
            "    ended at 2023-11-14T22:13:20Z, when its time is over\n") in out
    reasons[0] |= {"overdueSeconds": 30, "usualSeconds": 60}
    assert "    overdue by 30.0s: it usually takes 1m\n" in run("why", "x", "--execution", EXECUTION)[0]
    for name in ("overdueSeconds", "ends", "lastOutput"):
        del reasons[0][name]
    assert "expected in 1m30s" in out and "does not change by waiting" in out
    reasons[0]["since"] = time.time() - 7300
    assert run("why", "x")[0].startswith("Stage/Build: slots full (for 2h1m)\n")
    reasons[0]["since"] = time.time() + 7300  # its clock is ahead of ours
    assert "(for 0ms)" in run("why", "x")[0]
    assert stub.inputs("Explain")[1] == {"pipelineName": "x", "executionId": EXECUTION}


def test_no_listing_falls_over_without_a_controller(run):
    """Whatever a table was to hold: a name for what went wrong, and exit code 7."""
    for words in (["status"], ["status", "x"], ["history", "x"], ["window", "x"], ["agent", "list"],
                  ["pipeline", "list"], ["repo", "list"], ["connection", "list"], ["webhook", "list"]):
        said = run(*words, "--endpoint", "http://127.0.0.1:9", code=7)[1]
        assert "cannot reach the controller at http://127.0.0.1:9 (endpoint from --endpoint)" in said
        assert "penstock doctor" in said


def test_a_foreign_server_is_recognised(run, stub):
    stub.operations["GetPipelineState"] = lambda _: ["no object"]
    assert "is not a JSON object" in run("status", "x", code=7)[1]
