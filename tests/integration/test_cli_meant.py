"""The command line against a small stand-in for the controller: ids, and words that are left out

The stand-in checks every signature by its own code and answers from a script, so that these tests
see what the real controller rarely shows: refused signatures, paging, throttling, lost connections.
"""

import pytest

from cli_stub import COMMIT, EXECUTION, Fault, Log, approval, detail


def test_the_beginning_of_an_id_is_enough(run, stub):
    other = "11112222" + EXECUTION[8:]
    stub.operations["ListPipelineExecutions"] = lambda _: {"pipelineExecutionSummaries": [
        {"pipelineExecutionId": each} for each in (EXECUTION, other)]}
    for name in ("StopPipelineExecution", "RetryStageExecution", "OverrideStageCondition", "Explain"):
        stub.operations[name] = lambda _: {}
    assert EXECUTION in run("stop", "x", EXECUTION[:8])[0]
    run("retry", "x", "Stage", other[:6])
    run("override", "x", "Stage", EXECUTION[:10], "on-success")
    run("why", "x", "--execution", other[:8])
    assert stub.inputs("StopPipelineExecution")[0]["pipelineExecutionId"] == EXECUTION
    assert stub.inputs("RetryStageExecution")[0]["pipelineExecutionId"] == other
    assert stub.inputs("OverrideStageCondition")[0]["pipelineExecutionId"] == EXECUTION
    assert stub.inputs("Explain")[0]["executionId"] == other
    assert "2 executions of 'x' begin with '1111'" in run("stop", "x", "1111", code=2)[1]
    said = run("stop", "x", "2222", code=3)[1]
    assert "none of the newest 100" in said and "penstock history x" in said
    asked = len(stub.inputs("ListPipelineExecutions"))
    run("stop", "x", EXECUTION)
    assert len(stub.inputs("ListPipelineExecutions")) == asked


def test_why_takes_an_id_as_status_shows_it(run, stub):
    names = ["a", "abcd", "gone"]
    stub.operations["ListPipelines"] = lambda _: {"pipelines": [{"name": name} for name in names]}
    ids = {"a": [EXECUTION], "abcd": ["abcd2222" + EXECUTION[8:], "99992222" + EXECUTION[8:]]}

    def listed(data):
        if data["pipelineName"] not in ids:
            raise Fault("PipelineNotFoundException", "deleted")
        return {"pipelineExecutionSummaries": [
            {"pipelineExecutionId": each} for each in ids[data["pipelineName"]]]}
    stub.operations["ListPipelineExecutions"] = listed
    stub.operations["Explain"] = lambda _: {"reasons": []}
    for given, asked in (("9999", {"executionId": "99992222" + EXECUTION[8:]}),
                         (EXECUTION[:8], {"executionId": EXECUTION}),
                         ("abcd", {"pipelineName": "abcd"}),  # the name of a pipeline comes first
                         ("dead", {"pipelineName": "dead"}), ("site", {"pipelineName": "site"})):
        run("why", given)
        assert stub.inputs("Explain")[-1] == asked
    ids["a"].append("99993333" + EXECUTION[8:])
    assert "2 executions begin with '9999'" in run("why", "9999", code=2)[1]


def test_a_revision_as_history_shows_it(run, stub):
    def row(action, commit):
        return {"sourceRevisions": [{"actionName": "Other", "revisionId": "a" * 40},
                                    {"actionName": action, "revisionId": commit}]}
    rows = [row("Source", COMMIT), row("Source", COMMIT), row("Else", COMMIT[:20] + "0" * 20)]
    stub.operations["ListPipelineExecutions"] = lambda _: {"pipelineExecutionSummaries": rows}
    stub.operations["StartPipelineExecution"] = lambda _: {"pipelineExecutionId": EXECUTION}
    for given in (COMMIT[:10], COMMIT[:7], COMMIT, COMMIT[:10].upper()):
        run("start", "x", "--revision", "Source=" + given)
        run("start", "x", "--revision", "Stage/Source=" + given)
    started = stub.inputs("StartPipelineExecution")
    assert len(started) == 8 and all(each["sourceRevisions"] == [
        {"actionName": "Source", "revisionType": "COMMIT_ID", "revisionValue": COMMIT}]
        for each in started)
    for given, code, message in (
            ("1234567", 3, "had a revision of Source that begins with '1234567'"),
            (COMMIT[:6], 2, "at least 7"), ("main", 2, "'main' is no commit"), ("", 2, "no commit"),
            (COMMIT + "0", 3, "begins with"), ("0" * 65, 2, "no commit"), ("aaaaaaaaaa", 3, "begins")):
        err = run("start", "x", "--revision", "Source=" + given, code=code)[1]
        assert message in err and "--revision: " in err
    rows.append(row("Source", COMMIT[:10] + "0" * 30))
    err = run("start", "x", "--revision", "Source=" + COMMIT[:10], code=2)[1]
    assert "several revisions of Source begin with" in err
    assert len(stub.inputs("StartPipelineExecution")) == 8


@pytest.mark.parametrize("owner", ["AWS", "Custom"])
def test_a_revision_that_is_announced_is_a_commit_unless_a_worker_gives_it(run, stub, owner):
    stub.operations["GetPipeline"] = lambda _: {"pipeline": {"stages": [{"name": "S", "actions": [
        {"name": "Source", "actionTypeId": {"owner": owner}}]}]}}
    stub.operations["ListPipelineExecutions"] = lambda _: {"pipelineExecutionSummaries": [
        {"sourceRevisions": [{"actionName": "Source", "revisionId": COMMIT}]}]}
    stub.operations["PutActionRevision"] = lambda _: {}

    def put(given, **more):
        run("revision", "put", "x", "S/Source", given, **more)
        return [each["actionRevision"]["revisionId"] for each in stub.inputs("PutActionRevision")]
    assert put("0" * 40) == ["0" * 40]
    assert put(COMMIT[:10])[-1] == (COMMIT if owner == "AWS" else COMMIT[:10])
    for given, code in (("main", 2), ("1234567", 3), ("v1.2", 2)):
        asked = put(given, code=code if owner == "AWS" else 0)
        assert (asked[-1] == given) == (owner == "Custom")


def summary(number, status, kind="STANDARD"):
    return {"pipelineExecutionId": f"{number:08}" + EXECUTION[8:], "status": status,
            "executionType": kind}


def state_of(**stages):
    return lambda _: {"stageStates": [
        {"stageName": name, "latestExecution": {"pipelineExecutionId": f"{number:08}" + EXECUTION[8:],
                                                "status": status}}
        for name, (number, status) in stages.items()]}


def test_what_is_left_out_is_the_latest_that_fits(run, stub):
    rows = [summary(9, "Succeeded"), summary(8, "Superseded")]
    stub.operations["ListPipelineExecutions"] = lambda _: {"pipelineExecutionSummaries": rows}
    stub.operations["GetPipelineState"] = state_of(Build=(9, "Succeeded"), Deploy=(9, "InProgress"))
    for name in ("StopPipelineExecution", "RetryStageExecution", "RollbackStage"):
        stub.operations[name] = lambda _: {}
    assert "no execution of 'x' is running" in run("stop", "x", code=3)[1]
    assert "no execution of 'x' failed or was stopped" in run("retry", "x", code=3)[1]
    assert "in stage Build failed" in run("retry", "x", "Build", code=3)[1]
    rows[:] = [summary(9, "Succeeded"), summary(8, "Succeeded", "ROLLBACK")]
    assert "no earlier execution of 'x' succeeded" in run("rollback", "x", "Build", code=3)[1]
    rows[:] = [summary(9, "Succeeded"), summary(8, "Stopping"), summary(7, "InProgress")]
    assert "00000008" in run("stop", "x", "--abandon")[0]
    rows[:] = [summary(9, "Succeeded"), summary(8, "Succeeded", "ROLLBACK"), summary(7, "Succeeded")]
    run("rollback", "x", "Build")
    assert stub.inputs("RollbackStage") == [{
        "pipelineName": "x", "stageName": "Build",
        "targetPipelineExecutionId": "00000007" + EXECUTION[8:]}]
    assert stub.inputs("ListPipelineExecutions")[-1]["filter"] == {
        "succeededInStage": {"stageName": "Build"}}
    stub.operations["GetPipelineState"] = state_of(Build=(9, "Failed"), Deploy=(5, "Stopped"))
    assert "Deploy of 00000005" in run("retry", "x")[0]
    assert "Build of 00000009" in run("retry", "x", "Build", "--all-actions")[0]
    assert stub.inputs("RetryStageExecution")[1]["retryMode"] == "ALL_ACTIONS"


def test_in_parallel_mode_the_stage_comes_from_the_history(run, stub):
    rows = [summary(9, "Succeeded"), summary(8, "Failed")]
    stub.operations["ListPipelineExecutions"] = lambda _: {"pipelineExecutionSummaries": rows}
    stub.operations["GetPipelineState"] = lambda _: {"stageStates": [{"stageName": "Stage"}]}
    stub.operations["ListActionExecutions"] = lambda _: {
        "actionExecutionDetails": [detail("Build", "Failed")]}
    stub.operations["RetryStageExecution"] = lambda _: {}
    assert "Stage of 00000008" in run("retry", "x")[0]
    assert stub.inputs("ListActionExecutions")[0]["filter"] == {
        "pipelineExecutionId": "00000008" + EXECUTION[8:]}


def test_the_condition_that_was_not_met_is_overridden(run, stub):
    def state(entry, success):
        return lambda _: {"stageStates": [{"stageName": "First"}, {
            "stageName": "Deploy", "inboundExecution": {"pipelineExecutionId": EXECUTION},
            "beforeEntryConditionState": {"latestExecution": {"status": entry}},
            "onSuccessConditionState": {"latestExecution": {"status": success}},
            "latestExecution": {"pipelineExecutionId": "2" + EXECUTION[1:]}}]}
    stub.operations["OverrideStageCondition"] = lambda _: {}
    stub.operations["GetPipelineState"] = state("Succeeded", "Succeeded")
    assert "no condition of 'x'" in run("override", "x", code=3)[1]
    for entry, success, words, expected in (
            ("InProgress", "Succeeded", [], (EXECUTION, "BEFORE_ENTRY")),
            ("Failed", "Failed", [], (EXECUTION, "BEFORE_ENTRY")),
            ("Failed", "Failed", ["on-success"], ("2" + EXECUTION[1:], "ON_SUCCESS")),
            ("Succeeded", "Failed", ["Deploy"], ("2" + EXECUTION[1:], "ON_SUCCESS")),
            ("Succeeded", "Failed", ["Deploy", EXECUTION, "on-success"], (EXECUTION, "ON_SUCCESS"))):
        stub.operations["GetPipelineState"] = state(entry, success)
        run("override", "x", *words)
        assert stub.inputs("OverrideStageCondition")[-1] == {
            "pipelineName": "x", "stageName": "Deploy", "pipelineExecutionId": expected[0],
            "conditionType": expected[1]}
    run("override", "x", "Deploy", "before-entry", code=3)
    run("override", "x", "First", code=3)


def test_an_action_is_named_as_it_is_printed(run, stub):
    stub.operations["GetPipelineState"] = lambda _: {"stageStates": [
        approval("Gate", "Ask", "t-1"), approval("Other", "Ask", "t-2")]}
    for name in ("PutApprovalResult", "ResolveAction", "PutActionRevision"):
        stub.operations[name] = lambda _: {}
    stub.operations["PutWebhook"] = lambda _: {"webhook": {"url": "http://hook"}}
    log = Log()
    log.add(b"x\n", complete=True)
    stub.operations["GetLogs"] = log.serve
    run("approve", "x", "Gate/Ask")
    run("resolve", "x", "Other/Ask", "failed", "--reason", "r")
    run("revision", "put", "x", "Gate/Ask", COMMIT)
    run("logs", "x", "Gate/Ask")
    run("webhook", "put", "h", "--pipeline", "x", "--action", "Gate/Ask", "--unauthenticated")
    assert stub.inputs("PutApprovalResult")[0]["token"] == "t-1"
    assert stub.inputs("ResolveAction")[0]["actionExecutionId"] == "id-Ask"
    put = stub.inputs("PutActionRevision")[0]
    assert (put["stageName"], put["actionName"]) == ("Gate", "Ask")
    asked = stub.inputs("GetLogs")[0]
    assert (asked["stageName"], asked["actionName"]) == ("Gate", "Ask")
    assert stub.inputs("PutWebhook")[0]["webhook"]["targetAction"] == "Ask"
    assert "one word too many" in run("approve", "x", "Gate/Ask", "more", code=2)[1]
