"""The command line against a small stand-in for the controller: logs and watching

The stand-in checks every signature by its own code and answers from a script, so that these tests
see what the real controller rarely shows: refused signatures, paging, throttling, lost connections.
"""
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

import pytest

from cli_stub import (EXECUTION, PROGRAM, Execution, Fault, Log, detail, popen, popen_bytes,
                      read_bytes, read_until)


def test_logs_are_cleaned_unless_raw(run, stub):
    log = Log(piece=7)
    text = "plain\n\x1b[1;31mred\x1b[0m \x1b]0;t\x07x\r\n10%\r50%\r100%\ntab\there\xe9\n".encode("latin1")
    log.add(text + b"no newline", complete=True)
    stub.operations["GetLogs"] = log.serve
    assert run("logs", "x", "Build")[0] == "plain\nred x\n100%\ntab\there?\nno newline\n"
    assert stub.inputs("GetLogs")[0]["actionName"] == "Build"
    assert stub.inputs("GetLogs")[1]["actionExecutionId"] == "a-1"


@pytest.mark.parametrize("text", [
    b"no newline at end", b"", b"\n", b"\r\n\r", b"\x00\xff\xfe\x1b[1;3", bytes(range(256)) * 700,
    b"x" * 200_000, b"x" * 70_000 + b"\ny"])
@pytest.mark.parametrize("words", [[], ["-f"]])
def test_raw_logs_are_byte_for_byte(stub, environment, text, words):
    log = Log(piece=60_001)
    log.add(text, complete=True)
    stub.operations["GetLogs"] = log.serve
    done = subprocess.run([PROGRAM, "logs", "x", "Build", "--raw", *words], env=environment,
                          stdout=subprocess.PIPE, timeout=60)
    assert done.stdout == text and done.returncode == 0


def test_a_long_line_is_not_broken(run, stub):
    text = "\u20ac" * 100_000 + "\x1b[1mbold\x1b[0m"
    log = Log(piece=65_537)
    log.add(text.encode() + b"\nnext\n", complete=True)
    stub.operations["GetLogs"] = log.serve
    assert run("logs", "x", "Build")[0] == "\u20ac" * 100_000 + "bold\nnext\n"


def test_logs_choose_the_action_that_matters(run, stub):
    rows = [detail("Ask", "InProgress", "Approval"), detail("Deploy", "Succeeded"),
            detail("Test", "Failed"), detail("Build", "Succeeded")]
    stub.operations["ListActionExecutions"] = lambda _: {"actionExecutionDetails": rows}
    log = Log("a-Test")
    log.add(b"x\n", complete=True)
    stub.operations["GetLogs"] = log.serve
    assert run("logs", "x")[0] == "x\n"
    assert stub.inputs("GetLogs")[0]["actionExecutionId"] == "a-Test"
    rows.clear()
    assert "no action with a log" in run("logs", "x", code=3)[1]


def test_logs_follow_as_they_grow_and_over_a_new_attempt(stub, environment):
    log = Log()
    stub.operations["GetLogs"] = log.serve
    log.add(b"one\ntw")
    process = popen(environment, "logs", "x", "Build", "-f")
    assert process.stdout.readline() == "one\n"
    log.add(b"o\n")
    assert process.stdout.readline() == "two\n"
    log.new_attempt()
    log.add(b"again\n")
    assert process.stdout.readline() == "again\n"
    log.add(b"end", complete=True)
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("end\n", "", 0)


@pytest.mark.parametrize("words", [[], ["--raw"]])
def test_a_line_is_shown_before_its_end(stub, environment, words):
    log = Log()
    stub.operations["GetLogs"] = log.serve
    process = popen_bytes(environment, "logs", "x", "Build", "-f", *words)
    for _ in range(3):
        log.add(b".")
        read_bytes(process, b".")
    log.add(b"done\n")
    read_bytes(process, b"done\n")
    log.add(b"\xe2\x82")
    log.add(b"\xac", complete=True)
    out = process.communicate(timeout=30)[0]
    assert out == "\u20ac".encode() + (b"" if words else b"\n")


def test_a_line_that_starts_again_is_not_joined_to_what_was_shown(stub, environment):
    log = Log()
    stub.operations["GetLogs"] = log.serve
    process = popen_bytes(environment, "logs", "x", "Build", "-f")
    log.add(b"10%\r")
    read_bytes(process, b"10%")
    log.add(b"100%\n", complete=True)
    assert process.communicate(timeout=30)[0] == b"\n100%\n"


def test_a_log_that_goes_on_is_shown_with_the_line_that_it_is_in(run, stub):
    log = Log()
    log.add(b"one\ntw")
    stub.operations["GetLogs"] = log.serve
    assert run("logs", "x", "Build")[0] == "one\ntw\n"


def test_watch_shows_a_line_before_its_end(stub, environment):
    execution = Execution(stub)
    execution.logs["Build"] = log = Log("a-Build")
    execution.fact(row=detail("Build", "InProgress"))
    process = popen_bytes(environment, "watch", "x")
    while b"InProgress" not in process.stdout.readline():
        pass
    log.add(b"Really [y/n]? ")
    wanted, seen = b"\nBuild | Really [y/n]? ", b"\n"
    while not seen.endswith(wanted):
        part = os.read(process.stdout.fileno(), 4096)
        assert part, seen
        seen += part
    execution.fact("something else")
    while b"something else" not in process.stdout.readline():
        pass
    log.add(b"y\n", complete=True)
    execution.fact(row=detail("Build", "Succeeded"), status="Succeeded")
    out = process.communicate(timeout=30)[0]
    assert b"Build | Really [y/n]? y\n" in out


def test_watch_shows_actions_and_logs(stub, environment):
    execution = Execution(stub)
    execution.logs["Build"] = log = Log("a-Build")
    execution.fact("started by a push")
    process = popen(environment, "start", "x", "--watch")
    assert process.stdout.readline() == EXECUTION + "\n"
    read_until(process, r"^2023-11-14T22:13:20Z started by a push$")
    execution.fact(action="Build", row=detail("Build", "InProgress"))
    read_until(process, r"Stage/Build +InProgress 40%$")
    log.add(b"compiling\x1b[0m\n")
    read_until(process, r"InProgress on builder-7 40%$")
    assert process.stdout.readline() == "Build | compiling\n"
    execution.fact("action queued again: agent lost", action="Build", kind="action_requeued")
    read_until(process, r"^2023-11-14T22:13:20Z Stage/Build: action queued again: agent lost$")
    log.new_attempt()
    execution.fact("attempt 2 granted", action="Build", kind="attempt_granted")
    log.add(b"compiling again\n")
    read_until(process, r"^Build . compiling again$")
    execution.fact(action="Build", row=detail("Build", "Succeeded"))
    read_until(process, r"Stage/Build +Succeeded 12.5s on builder-8$")
    execution.fact(action="Ask", row=detail("Ask", "InProgress", "Approval"))
    read_until(process, r"Stage/Ask +Approval  run: penstock approve x$")
    execution.fact(action="Ask", row=detail("Ask", "Succeeded", "Approval"))
    log.add(b"last words", complete=True)
    execution.fact(status="Succeeded")
    out, err = process.communicate(timeout=30)
    assert "Build | last words\n" in out and "\x1b" not in out
    assert out.endswith(f"execution {EXECUTION} Succeeded\n") and err == ""
    assert process.returncode == 0


@pytest.mark.parametrize("status, code", [("Failed", 1), ("Stopped", 1), ("Superseded", 6),
                                          ("Cancelled", 1), ("Succeeded", 0)])
def test_watch_ends_with_the_outcome(run, stub, status, code):
    execution = Execution(stub)
    execution.fact(status=status, row=detail("Build", "Failed", errorDetails={
        "code": "JobFailed", "message": "exit status 2"}))
    out = run("watch", "x", code=code)[0]
    assert "Failed 12.5s  exit status 2\n" in out
    assert stub.inputs("WatchExecution")[0] == {"pipelineName": "x", "afterSequence": 0,
                                                "waitSeconds": 0}


def test_watch_says_why_nothing_runs_and_when_the_time_is_over(run, stub):
    execution = Execution(stub)
    execution.reasons.append({"sentence": "no agent has label gpu=yes"})
    execution.fact("started")
    out = run("watch", "x", EXECUTION, "--timeout", "4s", code=5)[0]
    assert out.count("no agent has label gpu=yes\n") == 1
    assert "still going on" in out


@pytest.mark.parametrize("variables, colours", [({}, True), ({"NO_COLOR": "1"}, False)])
def test_watch_on_a_terminal(stub, environment, variables, colours):
    execution = Execution(stub)
    execution.logs["Build"] = log = Log("a-Build")
    log.add(b"compiling\n")
    execution.fact("started", row=detail("Build", "InProgress"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    process = subprocess.Popen([PROGRAM, "watch", "x"], stdin=theirs, stdout=theirs, stderr=theirs,
                               env={**environment, "TERM": "xterm", **variables})
    os.close(theirs)
    seen = b""
    ended = False
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        seen += part
        if not ended and b"Build | compiling" in seen and re.search(rb"\r\n  Stage/Build", seen):
            ended = True
            log.add(b"", complete=True)
            execution.fact(row=detail("Build", "Succeeded"), status="Succeeded")
    os.close(ours)
    assert process.wait(30) == 0
    assert b"\x1b[1A\x1b[J" in seen  # the line at the bottom is taken away before others come
    assert (b"\x1b[32mSucceeded\x1b[0m" in seen) == colours
    shown = seen[seen.rindex(b"\x1b[J"):]
    assert b"  Stage/Build" not in shown.split(b"\r\n")[-2]
    bottom = re.findall(rb"(?:^|\n)(  Stage/Build[^\r]*)\r", seen)
    assert bottom and all(len(line) <= 39 for line in bottom)


def test_interrupting_a_watch_leaves_cleanly(stub, environment):
    execution = Execution(stub)
    execution.fact("started")
    process = popen(environment, "watch", "x")
    read_until(process, "started")
    stub.wait_for("WatchExecution", 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "stopped looking; the execution goes on: penstock watch x\n"


def test_watch_survives_a_controller_that_goes_away(stub, environment):
    execution = Execution(stub)
    execution.fact("started")
    process = popen(environment, "watch", "x", "--no-logs")
    read_until(process, "started")
    refusing = threading.Event()
    refusing.set()

    def refuse_for_a_while(data):
        if refusing.is_set():
            raise Fault("ServiceUnavailable", status=503)
        return execution.watch(data)
    stub.operations["WatchExecution"] = refuse_for_a_while
    execution.fact("second", status="Succeeded")
    seen = read_until(process, "second|does not answer")
    if "second" in seen:  # the poll that was under way had answered before
        process.communicate(timeout=30)
        return
    refusing.clear()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0 and "controller is back" in out


def test_a_finished_execution_ends_when_it_ended(run, stub):
    """Not now; and every time has its zone, with the date unless it is today's."""
    execution = Execution(stub)
    execution.fact("started", row=detail("Build", "Succeeded"))
    execution.fact(status="Succeeded", kind="execution_ended")
    lines = run("watch", "x")[0].splitlines()
    assert lines[-1] == f"2023-11-14T22:13:20Z execution {EXECUTION} Succeeded"
    assert all(re.match(r"(\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\dZ ", line) for line in lines)
