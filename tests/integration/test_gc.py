"""Collections: what is deleted leaves nothing, what is kept works, and a kill -9 in between loses neither."""
import json
import os
import random
import shutil
import sqlite3
import time

import pytest

from harness.api import ApiError
from harness.system import approval_action, commands_action, commands_pipeline, wait_for

HISTORY = ("--history-age", "1s", "--history-count", "2")
PENSTOCK = {"prefix": "Penstock_20261101", "service": "penstock"}


def declaration(name):
    """Each run makes an artifact of its own, which Deploy reads."""
    return commands_pipeline(name, "code", [
        ("Build", [commands_action("Make", ["head -c 200000 /dev/urandom > made",
                                            "sha256sum made > sum", "cat version"],
                                   outputArtifacts=[{"name": "Made", "files": ["made", "sum"]}])]),
        ("Deploy", [commands_action("Check", ["sha256sum -c sum"], inputs=("Made",))]),
    ])


def run_some(system, clone, name, count):
    """Push so often; returns the ids, oldest first. No start of an API: its token would keep it a day."""
    api = system.api()
    known = []
    for number in range(count):
        if number > 0 or known:
            system.push(clone, {"version": f"{name} {number}\n"})
        new = wait_for(lambda: [e["pipelineExecutionId"] for e in
                                api.call("ListPipelineExecutions", {"pipelineName": name})
                                ["pipelineExecutionSummaries"]
                                if e["pipelineExecutionId"] not in known], "an execution")[0]
        system.wait_execution(name, new)
        known.append(new)
    return known


def blobs(system):
    return [path for path in (system.data / "blobs").glob("??/*") if path.parent.name != "tmp"]


def logs(system):
    return sorted((system.data / "logs").glob("*/*.log"))


def age_blobs(system):
    """As if they had been written two hours ago: beyond the grace of an hour."""
    then = time.time() - 7200
    for path in blobs(system):
        os.utime(path, (then, then))


def ids(system, name):
    found = system.api().call("ListPipelineExecutions", {"pipelineName": name})
    return [e["pipelineExecutionId"] for e in found["pipelineExecutionSummaries"]]


def check_consistent(system):
    """No row, fact or log of what is gone; no row without its log."""
    with sqlite3.connect(f"file:{system.data}/penstock.db?mode=ro", uri=True) as database:
        executions = {key for key, in database.execute("SELECT key FROM row WHERE kind = 5")}
        parts = {e for e, in database.execute(
            "SELECT DISTINCT execution FROM row WHERE execution IS NOT NULL AND kind != 11")}
        facts = {e for e, in database.execute(
            "SELECT DISTINCT execution FROM fact WHERE execution IS NOT NULL")}
        fences = {int(key) for key, in database.execute("SELECT key FROM row WHERE kind = 8")}
        assert database.execute("SELECT count(*) FROM row WHERE kind = 24").fetchone() == (0,)
    assert parts <= executions, parts - executions
    assert facts <= executions, facts - executions
    kept = {int(path.stem) for path in logs(system)}
    assert kept <= fences, kept - fences


def empty_cache(system):
    """The agent forgets what it has: from now on only the controller's blobs count."""
    agent, = system.agents.values()
    agent.program.stop()
    for folder in system.folder.glob("**/blobs"):
        if folder != system.data / "blobs":
            shutil.rmtree(folder)
    agent.start()
    system.wait_agents(1, agent.program)


def test_gc(system_with_agent):
    system = system_with_agent
    clone = system.repository("code")
    system.push(clone, {"version": "0\n"})
    system.create_pipeline(declaration("mill"))
    system.controller.stop()
    system.start_controller(*HISTORY)
    system.wait_agents(1)
    known = run_some(system, clone, "mill", 6)
    time.sleep(1.1)  # the age; nothing to wait for
    age_blobs(system)

    before = (ids(system, "mill"), logs(system), sorted(blobs(system)))
    preview = system.penstock_json("gc", "--dry-run")["collection"]
    assert preview["status"] == "Succeeded" and preview["dryRun"]
    assert preview["executions"] == 3  # the three latest are ways back
    assert preview["pipelines"] == [{
        "pipelineName": "mill", "deleted": False, "executions": 3, "logs": 6, "artifacts": 6,
        "logBytes": preview["pipelines"][0]["logBytes"]}]
    assert preview["logs"] == 6 and preview["blobs"] > 6
    assert before == (ids(system, "mill"), logs(system), sorted(blobs(system)))

    shown = system.penstock("gc", "--dry-run").stdout
    assert "mill" in shown and "would be freed" in shown
    done = system.penstock_json("gc")["collection"]
    for member in ("executions", "logs", "logBytes", "artifacts", "blobs", "blobBytes"):
        assert done[member] == preview[member], member
    assert ids(system, "mill") == known[:2:-1]
    assert len(logs(system)) == len(before[1]) - 6
    assert len(blobs(system)) == len(before[2]) - done["blobs"]
    check_consistent(system)
    with pytest.raises(ApiError) as caught:
        system.api().call("GetPipelineExecution", {"pipelineName": "mill",
                                                   "pipelineExecutionId": known[0]})
    assert caught.value.name == "PipelineExecutionNotFoundException"

    # The oldest that is left can be rolled back to: all of its artifacts are there.
    empty_cache(system)
    rollback = system.api().call("RollbackStage", {
        "pipelineName": "mill", "stageName": "Deploy", "targetPipelineExecutionId": known[3]})
    system.wait_execution("mill", rollback["pipelineExecutionId"])

    # Nothing is left to do.
    again = system.penstock_json("gc")["collection"]
    assert (again["executions"], again["logs"], again["blobs"]) == (0, 0, 0)

    # What a deleted pipeline leaves goes at once.
    system.penstock("pipeline", "delete", "mill", "--yes")
    age_blobs(system)
    gone = system.penstock_json("gc")["collection"]
    assert gone["pipelines"][0]["deleted"]
    assert gone["executions"] == 4
    assert logs(system) == [] and blobs(system) == []
    check_consistent(system)


def test_young_blobs_stay(system_with_agent):
    system = system_with_agent
    clone = system.repository("code")
    system.push(clone, {"version": "0\n"})
    system.create_pipeline(declaration("mill"))
    run_some(system, clone, "mill", 1)
    system.penstock("pipeline", "delete", "mill", "--yes")
    count = len(blobs(system))
    done = system.penstock_json("gc")["collection"]
    assert done["blobs"] == 0 and done["youngBlobs"] == count
    assert "younger than an hour" in system.penstock("gc").stdout
    assert len(blobs(system)) == count


def test_what_is_used_again_stays(system_with_agent):
    """Parts that nothing uses any more are as old as can be; then a build makes them again, and the agent,
    which knows that the controller has them, sends nothing."""
    system = system_with_agent
    clone = system.repository("code")
    system.push(clone, {"version": "0\n"})
    same = commands_pipeline("mill", "code", [
        ("Build", [commands_action("Make", ["seq 1 200000 > made", "sha256sum made > sum"],
                                   outputArtifacts=[{"name": "Made", "files": ["made", "sum"]}])]),
        ("Deploy", [commands_action("Check", ["sha256sum -c sum"], inputs=("Made",))]),
    ])
    system.create_pipeline(same)
    run_some(system, clone, "mill", 1)
    system.penstock("pipeline", "delete", "mill", "--yes")
    age_blobs(system)
    before = set(blobs(system))
    system.create_pipeline(same)
    wait_for(lambda: ids(system, "mill"), "an execution")
    system.wait_execution("mill", ids(system, "mill")[0])
    assert before & set(blobs(system))  # what was there was used again
    done = system.penstock_json("gc")["collection"]
    assert done["executions"] == 1
    empty_cache(system)
    rollback = system.api().call("RollbackStage", {
        "pipelineName": "mill", "stageName": "Deploy",
        "targetPipelineExecutionId": ids(system, "mill")[0]})
    system.wait_execution("mill", rollback["pipelineExecutionId"])
    check_consistent(system)


def test_kill_in_a_collection(system_with_agent):
    """Whenever the controller dies, the collection goes on by itself, and all is gone that has to go."""
    seed = int(os.environ.get("PEN_SEED", random.randrange(1 << 32)))
    print(f"PEN_SEED={seed}")
    chance = random.Random(seed)
    system = system_with_agent
    clone = system.repository("code")
    system.push(clone, {"version": "0\n"})
    system.create_pipeline(declaration("mill"))
    run_some(system, clone, "mill", 4)
    system.penstock("pipeline", "delete", "mill", "--yes")
    system.create_pipeline(declaration("mill"))
    kept = run_some(system, clone, "mill", 1)
    age_blobs(system)
    for _ in range(4):
        system.api().call("StartCollection", {}, **PENSTOCK)
        time.sleep(chance.random() * 0.05)  # anywhere in it
        system.controller.kill()
        system.start_controller()

    def ended():
        answer = system.api().call("GetCollection", {}, **PENSTOCK)
        return answer["collection"]["status"] != "InProgress" and answer["collection"]
    wait_for(ended, "the collection to end")
    done = system.penstock_json("gc")["collection"]
    assert "error" not in done, json.dumps(done)
    assert done["executions"] == 0  # it had gone on
    assert ids(system, "mill") == kept
    check_consistent(system)
    assert len(logs(system)) == 2
    system.wait_agents(1)
    empty_cache(system)
    system.penstock("start", "mill", "--watch")


def test_gc_makes_space_on_a_full_disk(system_with_agent):
    """New work is refused below the reserve; what makes space is not."""
    system = system_with_agent
    clone = system.repository("code")
    system.push(clone, {"version": "0\n"})
    system.create_pipeline(declaration("mill"))
    run_some(system, clone, "mill", 2)
    system.penstock("pipeline", "delete", "mill", "--yes")
    age_blobs(system)
    system.controller.stop()
    system.start_controller("--disk-reserve", "1024TiB", disk_full=True)
    refused = system.penstock("repo", "create", "another", check=False)
    assert refused.returncode != 0 and "disk is full" in refused.stderr
    done = system.penstock_json("gc")["collection"]
    assert done["executions"] == 2
    assert logs(system) == [] and blobs(system) == []
    check_consistent(system)


def test_mirrors_of_deleted_pipelines_go(system):
    """Also one that no controller of this life has fetched, and one that a former life has moved aside."""
    upstream = system.folder / "upstream"
    clone = system.folder / "work"
    system.git("init", "-q", "--bare", "-b", "main", upstream / "app.git")
    system.git("init", "-q", "-b", "main", clone)
    system.git("remote", "add", "origin", upstream / "app.git", cwd=clone)
    system.push(clone, {"file": "one\n"})
    arn = system.penstock("connection", "create", "forge", "--url", upstream).stdout.strip()
    whole = commands_pipeline("mill", "", [("Ask", [approval_action("Approve")])])
    source = whole["stages"][0]["actions"][0]
    source["actionTypeId"]["provider"] = "CodeStarSourceConnection"
    source["configuration"] = {"ConnectionArn": arn, "FullRepositoryId": "app",
                               "BranchName": "main", "DetectChanges": "false"}
    system.create_pipeline(whole)
    mirrors = system.data / "mirrors"
    wait_for(lambda: list(mirrors.glob("*.git")), "a mirror")
    wait_for(lambda: any(row["stageName"] == "Ask" for row in system.api().call(
        "ListActionExecutions", {"pipelineName": "mill"})["actionExecutionDetails"]),
        "the approval")
    system.controller.stop()
    system.start_controller()
    assert system.penstock_json("gc")["collection"]["mirrors"] == 0
    assert len(list(mirrors.glob("*.git"))) == 1

    system.penstock("pipeline", "delete", "mill", "--yes")
    preview = system.penstock_json("gc", "--dry-run")["collection"]
    assert preview["mirrors"] == 1 and preview["mirrorBytes"] > 0
    left, = mirrors.glob("*.git")
    shutil.copytree(left, mirrors / ".gone" / ("f" * 64 + ".git"))
    done = system.penstock_json("gc")["collection"]
    assert done["mirrors"] == 2 and done["mirrorBytes"] == 2 * preview["mirrorBytes"]
    assert list(mirrors.glob("*.git")) == list((mirrors / ".gone").iterdir()) == []
