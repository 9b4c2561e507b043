"""A full disk under the controller: refused by name, nothing half-done, serving on when space returns.

The data folder is a small tmpfs of its own. Mounting needs root; without it the test says so.
"""
import os
import subprocess
import threading

import pytest

from harness.api import ApiError
from harness.system import commands_action, commands_pipeline, wait_for

ENDS = ("Succeeded", "Failed", "Stopped", "Cancelled", "Superseded")


@pytest.fixture
def small_disk(empty_system):
    """A system whose controller has 48 MiB."""
    system = empty_system
    system.data.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=700", "penstock-test",
                           system.data], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no right to mount a tmpfs: {done.stderr.strip()}")
    try:
        yield system
    finally:
        for program in reversed(system.running):
            program.stop()
        subprocess.run(["umount", system.data], check=True)


def fill(system, keep_bytes):
    """Leave only about keep_bytes free."""
    disk = os.statvfs(system.data)
    size = disk.f_bavail * disk.f_frsize - keep_bytes
    filler = system.data / "filler"
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    return filler


def prepare(system, *arguments):
    system.start_controller(*arguments)
    system.add_agent("agent", slots=1)
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    system.create_pipeline(commands_pipeline("disk", "code", [
        ("Run", [commands_action("Run", ["echo ran"])])]))
    api = system.api()
    wait_for(lambda: statuses(api) == ["Succeeded"], "the first execution")
    return api


def statuses(api):
    rows = api.call("ListPipelineExecutions", {"pipelineName": "disk"})["pipelineExecutionSummaries"]
    return [row["status"] for row in rows]


def test_below_the_reserve_new_work_is_refused_and_reads_go_on(small_disk):
    system = small_disk
    api = prepare(system, "--disk-reserve", "8MiB")
    filler = fill(system, 4 * 1024 * 1024)

    with pytest.raises(ApiError) as refused:
        api.call("StartPipelineExecution", {"name": "disk"})
    assert refused.value.name == "ServiceUnavailableException"
    assert "disk is full" in refused.value.message
    assert statuses(api) == ["Succeeded"]

    filler.unlink()

    def started():
        try:
            return api.call("StartPipelineExecution", {"name": "disk"})["pipelineExecutionId"]
        except ApiError:
            return None
    wait_for(started, "a start once there is space")
    wait_for(lambda: statuses(api) == ["Succeeded", "Succeeded"], "the second execution")


def test_a_push_on_a_full_disk_is_run_when_there_is_space(small_disk):
    system = small_disk
    api = prepare(system, "--disk-reserve", "8MiB")
    filler = fill(system, 4 * 1024 * 1024)
    with pytest.raises(ApiError) as refused:  # the core has seen it
        api.call("StartPipelineExecution", {"name": "disk"})
    assert refused.value.name == "ServiceUnavailableException"

    clone = system.folder / "clone-code"
    system.push(clone, {"file": "more content\n"})
    for _ in range(3):  # time for the push to be seen, and to be told to the core
        with pytest.raises(ApiError):
            api.call("StartPipelineExecution", {"name": "disk"})
    assert statuses(api) == ["Succeeded"]
    filler.unlink()
    wait_for(lambda: statuses(api) == ["Succeeded", "Succeeded"], "the pushed revision to be run")


def test_a_commit_that_finds_no_space_waits_and_is_made_once(small_disk):
    system = small_disk
    api = prepare(system, "--disk-reserve", "0")
    filler = fill(system, 0)
    answers = []

    def start_many():
        mine = system.api()
        for number in range(200):
            token = {"name": "disk", "clientRequestToken": f"token-{number:03}"}
            try:
                answers.append(mine.call("StartPipelineExecution", token)["pipelineExecutionId"])
            except (ApiError, OSError):
                answers.append(None)
                return

    worker = threading.Thread(target=start_many)
    worker.start()
    wait_for(lambda: "disk full" in system.controller.log.read_text(), "the alarm in the log")
    assert system.controller.alive()
    assert statuses(system.api())  # reads are served
    filler.unlink()
    worker.join(120)
    assert not worker.is_alive()

    given = [answer for answer in answers if answer]
    assert len(given) == len(set(given))
    for number, execution in enumerate(given):  # asked again, each is the same execution
        again = api.call("StartPipelineExecution",
                         {"name": "disk", "clientRequestToken": f"token-{number:03}"})
        assert again["pipelineExecutionId"] == execution
    wait_for(lambda: all(status in ENDS for status in statuses(api)), "all executions to end")
    assert "Failed" not in statuses(api)


def doctor(system):
    done = system.penstock("doctor", check=False)
    return done.returncode, done.stdout


def assert_tells_of_the_disk(system):
    """Each report of health says it, and each read that needs no space is answered."""
    wait_for(lambda: system.get("/readyz")[0] == 503, "GET /readyz to answer 503")
    assert b"disk is full" in system.get("/readyz")[1]
    assert system.get("/healthz")[0] == 200
    code, text = doctor(system)
    assert code == 7 and "FAIL disk_full: controller: The controller's disk is full" in text, text
    assert "ok   credentials" in text
    said = system.penstock("why", "disk").stdout
    assert "controller: The controller's disk is full: " in said
    assert "    acts: who looks after the controller's host\n" in said


def test_a_full_disk_is_told_of(small_disk):
    system = small_disk
    api = prepare(system, "--disk-reserve", "8MiB")
    assert doctor(system)[0] == 0 and system.get("/readyz")[0] == 200
    filler = fill(system, 4 * 1024 * 1024)
    assert_tells_of_the_disk(system)
    assert system.connected_agents() == 1  # who is there is no secret, either
    assert statuses(api) == ["Succeeded"]
    filler.unlink()
    wait_for(system.ready, "GET /readyz to answer 200")
    assert doctor(system)[0] == 0
    assert system.penstock("why", "disk").stdout == "nothing waits\n"


def test_a_commit_that_is_held_is_told_of_and_not_shown(small_disk):
    """What the engine has decided is not on disk: why nothing goes on is all that is said."""
    system = small_disk
    api = prepare(system, "--disk-reserve", "0")
    filler = fill(system, 0)
    worker = threading.Thread(target=lambda: start_until_held(system))
    worker.start()
    wait_for(lambda: "disk full" in system.controller.log.read_text(), "the alarm in the log")
    assert_tells_of_the_disk(system)
    reasons = api.call("Explain", {"pipelineName": "disk"}, prefix="Penstock_20261101",
                       service="penstock")["reasons"]
    assert [reason["predicate"] for reason in reasons] == ["disk_full"]
    filler.unlink()
    wait_for(system.ready, "GET /readyz to answer 200")
    worker.join(120)
    assert not worker.is_alive()


def start_until_held(system):
    mine = system.api()
    for number in range(200):
        try:
            mine.call("StartPipelineExecution", {"name": "disk", "clientRequestToken": f"{number:03}"})
        except (ApiError, OSError):
            return
