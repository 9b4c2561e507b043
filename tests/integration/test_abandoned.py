"""Work that outlives its action: seen, never doubled without a person's word, ended by a person."""
import os
import pathlib
import pty
import select
import subprocess

from harness.system import commands_action, commands_pipeline, wait_for


def deploying(system, commands, configuration=None):
    """A pipeline whose action of class once is under way; its execution's id."""
    system.add_agent("host", slots=2)
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    deploy = commands_action("Copy", commands, configuration or {"Class": "once"})
    system.create_pipeline(commands_pipeline("site", "code", [("Deploy", [deploy])]))
    return system.executions("site")[0]["pipelineExecutionId"]


def lines(path):
    return path.read_text().split() if path.exists() else []


SLEEP = ["sleep", str(100000 + os.getpid())]  # no other program on this host sleeps for so long


def alive():
    """How many copies of the deploy run on this host, whatever namespace they are in."""
    count = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        count += words[:2] == [word.encode() for word in SLEEP]
    return count


def deploy_commands(truth):
    return [f"echo begun >> {truth}; exec {' '.join(SLEEP)}"]


def test_given_up_seen_and_ended(system):
    truth = system.folder / "truth"
    execution = deploying(system, deploy_commands(truth))
    wait_for(lambda: len(lines(truth)) == 1, "the deploy to begin")
    stopped = system.penstock("stop", "site", execution, "--abandon", "--reason", "wrong host")
    assert "except work of class once" in stopped.stdout
    host = system.list_agents()[0]["name"]
    assert f"Deploy/Copy runs on agent '{host}'" in stopped.stderr
    assert f"penstock stop site {execution} --kill" in stopped.stderr
    system.wait_execution("site", execution, states=("Stopped",))

    # It lives, and whoever looks sees it: it takes its slot.
    assert alive() == 1
    listed = system.penstock("agent", "work").stdout
    assert "GIVEN UP" in listed and execution in listed
    assert "1/2" in system.penstock("agent", "list").stdout
    assert system.penstock("agent", "work", "nobody", check=False).returncode == 3
    why = system.penstock("why", "site", check=False).stdout
    assert f"was given up, and still runs on agent '{host}'" in why
    assert f"runs on to its end on agent '{host}'" in system.penstock("status", "site").stdout

    # No second copy by itself, by none of the ways.
    for more in ((), ("--all-actions",)):
        refused = system.penstock("retry", "site", "Deploy", execution, *more, check=False)
        assert refused.returncode != 0 and "--beside-abandoned" in refused.stderr
    second = system.penstock("start", "site").stdout.strip()
    wait_for(lambda: "it is not begun beside that" in
             system.penstock("why", second, check=False).stdout, "the second one to wait")
    assert len(lines(truth)) == 1

    # Only with a person's word is it ended.
    refused = system.penstock("stop", "site", execution, "--kill", check=False)
    assert refused.returncode == 2 and "--yes" in refused.stderr
    assert "half done stays half done" in refused.stderr and "Deploy/Copy runs on" in refused.stderr
    assert alive() == 1
    system.penstock("stop", "site", execution, "--kill", "--yes", "--reason", "wrong host")
    wait_for(lambda: len(lines(truth)) == 2, "the second execution to go on")
    wait_for(lambda: alive() == 1, "the first process to be gone")
    again = system.penstock("stop", "site", execution, "--kill", "--yes", check=False)
    assert again.returncode != 0 and "nothing of an execution" in again.stderr

    # Without a name: what runs. Both copies side by side, because somebody says so.
    system.penstock("stop", "site", second, "--abandon")
    system.penstock("retry", "site", "Deploy", second, "--beside-abandoned")
    wait_for(lambda: len(lines(truth)) == 3, "the copy beside it")
    wait_for(lambda: alive() == 2, "both to run")
    system.penstock("stop", "site", "--kill", "-y")
    wait_for(lambda: alive() == 0, "all to end")


def ask(system, answer, *arguments):
    """Run a command at a terminal; its exit status and what the terminal shows."""
    master, slave = pty.openpty()
    program = subprocess.Popen([system.programs / "penstock", *arguments], stdin=slave,
                               stdout=slave, stderr=slave, env=system.environment)
    os.close(slave)
    said = b""
    try:
        while select.select([master], [], [], 60)[0]:
            try:
                read = os.read(master, 4096)
            except OSError:
                break  # the program has ended
            if not said.endswith(b"[y/N] ") and (said + read).endswith(b"[y/N] "):
                os.write(master, answer)
            said += read
    finally:
        os.close(master)
    return program.wait(60), said.decode()


def test_a_person_is_asked_first(system):
    truth = system.folder / "truth"
    execution = deploying(system, deploy_commands(truth))
    wait_for(lambda: len(lines(truth)) == 1, "the deploy to begin")
    status, said = ask(system, b"n\n", "stop", "site", execution, "--kill")
    assert status == 1 and "Go on? [y/N]" in said and "nothing was done" in said
    assert alive() == 1
    status, said = ask(system, b"y\n", "stop", "site", execution, "--kill")
    assert status == 0, said
    wait_for(lambda: alive() == 0, "the process to end")
    system.wait_execution("site", execution, states=("Stopped",))


def test_an_execution_without_work_is_stopped_too(system):
    """Nothing runs on any agent, for there is none."""
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    deploy = commands_action("Copy", ["true"])
    system.create_pipeline(commands_pipeline("site", "code", [("Deploy", [deploy])]))
    execution = system.executions("site")[0]["pipelineExecutionId"]
    wait_for(lambda: "no agent" in system.penstock("why", "site", check=False).stdout.lower() or
             "none is enrolled" in system.penstock("why", "site", check=False).stdout, "it to wait")
    assert "no agent has work of it" in system.penstock("stop", "site", "--kill", check=False).stderr
    system.penstock("stop", "site", "--kill", "--yes")
    system.wait_execution("site", execution, states=("Stopped",))
    assert system.penstock("stop", "site", "--kill", "--yes", check=False).returncode == 3
