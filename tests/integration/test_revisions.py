"""PutActionRevision by `aws`, and the switch that keeps pushes from starting anything."""
import json

from harness.system import approval_action, commands_pipeline, wait_for

NAME = "told"


def put(system, revision, action="Source", stage="Source", **options):
    return system.run("/usr/bin/aws", "--endpoint-url", system.endpoints["http"], "--output", "json",
                      "codepipeline", "put-action-revision", "--pipeline-name", NAME,
                      "--stage-name", stage, "--action-name", action, "--action-revision",
                      f"revisionId={revision},revisionChangeId=1,created=2026-01-01T00:00:00Z",
                      **options)


def newest_id(system):
    return system.executions(NAME)[0]["pipelineExecutionId"]


def test_a_revision_is_put_once_and_pushes_are_switched_off(system):
    clone = system.repository("code")
    first = system.push(clone, {"file": "1\n"})
    whole = commands_pipeline(NAME, "code", [("Ask", [approval_action("Approve")])])
    whole["executionMode"] = "PARALLEL"
    source = whole["stages"][0]["actions"][0]
    assert "PollForSourceChanges" not in source["configuration"]
    source["configuration"]["PollForSourceChanges"] = "false"
    system.create_pipeline(whole)
    wait_for(lambda: system.executions(NAME)[0].get("sourceRevisions"), "the first revision")
    second = system.push(clone, {"file": "2\n"})
    third = system.push(clone, {"file": "3\n"})
    answer = json.loads(put(system, second).stdout)
    assert answer["newRevision"] is True
    again = json.loads(put(system, second).stdout)
    assert again == {"newRevision": False, "pipelineExecutionId": answer["pipelineExecutionId"]}
    wait_for(lambda: system.executions(NAME)[0].get("sourceRevisions"), "its revision")
    newest = system.executions(NAME)[0]
    assert newest["pipelineExecutionId"] == answer["pipelineExecutionId"]
    assert newest["sourceRevisions"][0]["revisionId"] == second != third
    assert newest["trigger"] == {"triggerType": "PutActionRevision",
                                 "triggerDetail": "arn:aws:iam::000000000000:user/admin"}
    for arguments, name in ((("main",), "ValidationException"),
                            ((second, "Nobody"), "ActionNotFoundException"),
                            ((second, "Source", "Nowhere"), "StageNotFoundException"),
                            ((second, "Approve", "Ask"), "ValidationException")):
        done = put(system, *arguments, check=False)
        assert done.returncode == 254 and f"({name})" in done.stderr, arguments
    # Two pushes have come meanwhile: neither started anything.
    assert len(system.executions(NAME)) == 2
    assert json.loads(put(system, first).stdout)["newRevision"] is False  # seen by the first run
    assert json.loads(put(system, third).stdout)["newRevision"] is True
    by_hand = system.push(clone, {"file": "4\n"})
    words = ("revision", "put", NAME, "Source", "Source", by_hand)
    assert system.penstock(*words).stdout.strip() == newest_id(system)
    again = system.penstock(*words)
    assert again.stdout.strip() == newest_id(system) and "nothing was started" in again.stderr
    told = system.penstock_json(*words)
    assert told == {"newRevision": False, "pipelineExecutionId": newest_id(system)}
    assert len(system.executions(NAME)) == 4
    got = system.aws("get-pipeline", "--name", NAME)
    assert "pollingDisabledAt" not in got["metadata"]
