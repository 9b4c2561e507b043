"""The command line on a running system: what one command prints, the others take; what is left out is
what fits."""
import json
import re

from harness.system import commands_action, commands_pipeline, wait_for


def ids(system):
    found = system.api().call("ListPipelineExecutions", {"pipelineName": "mill"})
    return [each["pipelineExecutionId"] for each in found["pipelineExecutionSummaries"]]


def test_printed_ids_and_left_out_words(system_with_agent):
    system = system_with_agent
    clone = system.repository("code")
    commit = system.push(clone, {"version": "one\n"})
    system.create_pipeline(commands_pipeline("mill", "code", [
        ("Build", [commands_action("Make", ["grep -v broken version"])])]))
    system.wait_execution("mill", wait_for(lambda: ids(system), "a start")[0])
    printed = system.penstock("history", "mill").stdout
    assert commit[:10] in printed

    system.push(clone, {"version": "broken\n"})
    failed = wait_for(lambda: len(ids(system)) > 1 and ids(system), "a push")[0]
    system.wait_execution("mill", failed, ("Failed",))
    assert failed[:8] in system.penstock("status", "mill").stdout
    short, whole = (system.penstock("why", word).stdout for word in (failed[:8], failed))
    assert re.sub("for [0-9a-z.]+", "", short) == re.sub("for [0-9a-z.]+", "", whole) != ""

    said = system.penstock("retry", "mill").stdout
    assert f"Build of {failed}" in said
    system.wait_execution("mill", failed, ("Failed",))

    started = system.penstock("start", "mill", "--revision", f"Source={commit[:10]}").stdout.strip()
    system.wait_execution("mill", started)
    before = len(ids(system))
    refused = system.penstock("start", "mill", "--revision", "Source=0123456789", check=False)
    assert refused.returncode == 3 and "give the whole commit" in refused.stderr
    assert len(ids(system)) == before

    identity = system.penstock("rollback", "mill", "Build").stdout.strip()
    system.wait_execution("mill", identity)
    got = json.loads(system.penstock("history", "mill", "-o", "json").stdout)
    row = got["pipelineExecutionSummaries"][0]
    assert row["rollbackMetadata"]["rollbackTargetPipelineExecutionId"] == got[
        "pipelineExecutionSummaries"][-1]["pipelineExecutionId"]
    log = system.penstock("logs", "mill", "Build/Make", "--raw").stdout
    assert log == system.penstock("logs", "mill", "Make", "--stage", "Build", "--raw").stdout
    assert "one\n" in log

    refused = system.penstock("stop", "mill", check=False)
    assert refused.returncode == 3 and "no execution of 'mill' is running" in refused.stderr
