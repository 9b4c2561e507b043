"""The programs start, join and end."""
import os
import socket
import stat
import subprocess

import pytest

from harness.system import Agent, Program, takes_sigterm, wait_for


@pytest.mark.parametrize("words, message", [
    (["penstock-controller"], "give --data DIR"),
    (["penstock-controller", "--data"], "requires an argument"),
    (["penstock-controller", "--data", "d", "--nonsense"], "unrecognized option '--nonsense'"),
    (["penstock-controller", "--data", "d", "nonsense"], "'nonsense' is not an option"),
    (["penstock-controller", "--data", "d", "--http", "127.0.0.1"], "http: '127.0.0.1' is no address"),
    (["penstock-controller", "--data", "d", "--bulk", "127.0.0.1:65536"], "the port 0 to 65535"),
    (["penstock-controller", "--data", "d", "--agent-lost", "30s"], "have to grow in this order"),
    (["penstock-controller", "--data", "d", "--account", "12345678901x"], "is not 12 digits"),
    (["penstock-controller", "--data", "d", "--config", "none.yaml"], "cannot open 'none.yaml'"),
    (["penstock-agent"], "--data is missing"),
    (["penstock-agent", "--data", "d", "--nonsense"], "unrecognized option '--nonsense'"),
    (["penstock-agent", "--data", "d", "--slots", "0"], "--slots is not in 1..1024"),
    (["penstock-agent", "--data", "d"], "not enrolled: give it --token"),
    (["penstock-agent", "--data", "d", "--controller", "host:65536"], "is not HOST:PORT"),
    (["penstock-agent", "--data", "d", "--controller", "h:1", "--token", "x"], "begins with 'pen1_'"),
])
def test_wrong_words_are_named(programs, tmp_path, words, message):
    ended = subprocess.run([programs / words[0], *words[1:]], cwd=tmp_path, timeout=30,
                           capture_output=True, text=True)
    assert ended.returncode == 2 and message in ended.stderr, ended
    assert not (tmp_path / "d" / "penstock.db").exists()


def test_both_tell_systemd_when_they_are_ready_and_when_they_end(empty_system):
    system = empty_system
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notes:
        notes.bind(str(system.folder / "notes"))
        notes.settimeout(60)
        system.environment["NOTIFY_SOCKET"] = str(system.folder / "notes")
        system.start_controller()
        assert (notes.recv(100), (system.data / "endpoints.json").exists()) == (b"READY=1", True)
        agent = system.add_agent("agent")
        assert notes.recv(100) == b"READY=1"
        for program in (agent.program, system.controller):
            program.stop()
            assert notes.recv(100) == b"STOPPING=1"


def test_controller_starts_and_ends(empty_system):
    system = empty_system
    system.start_controller()
    assert system.get("/healthz")[0] == 200
    assert set(system.endpoints) == {"http", "control", "bulk"}
    credentials = system.data / "admin.credentials"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    assert (system.data / "endpoints.json").exists()
    system.controller.stop()
    assert not (system.data / "endpoints.json").exists()


def test_endpoints_of_a_killed_controller_are_not_taken_for_those_of_the_next(system):
    system.controller.kill()
    endpoints = system.data / "endpoints.json"
    assert endpoints.exists()
    for address, message in (("localhost:0", "given in numbers"), ("192.0.2.1:0", "Cannot assign")):
        ended = subprocess.run([system.programs / "penstock-controller", "--data", system.data,
                                "--http", address], timeout=60, capture_output=True, text=True)
        assert ended.returncode == 1 and message in ended.stderr, ended
        assert not endpoints.exists()


def test_restart_keeps_the_keys(empty_system):
    system = empty_system
    system.start_controller()
    before = system.credentials()
    system.controller.stop()
    system.start_controller()
    assert system.credentials() == before
    assert system.aws("list-pipelines") == {"pipelines": []}


def test_agent_joins_by_token_and_rejoins_without(system_with_agent):
    system = system_with_agent
    agent = system.agents["agent"]
    agent.program.stop()
    agent.start()
    system.wait_agents(1, agent.program)


def test_a_token_is_spent_once(system):
    token = system.token()
    first = Agent(system, "first", None, ["--token", token])
    first.start()
    system.wait_agents(1, first.program)
    second = Agent(system, "second", None, ["--token", token])
    second.start()
    second.program.expected_end = True
    assert second.program.process.wait(60) != 0
    assert "token" in second.program.tail()
    assert system.connected_agents() == 1


@pytest.mark.parametrize("name, words", [
    ("penstock-controller", ["--data", "c", "--http", "127.0.0.1:0", "--control", "127.0.0.1:0",
                             "--bulk", "127.0.0.1:0"]),
    ("penstock-agent", ["--data", "a"]),
])
def test_closed_descriptors_are_nobodys(system, name, words):
    """Their log must not go to whatever they open first."""
    if name == "penstock-agent":
        words = [*words, "--controller", system.control, "--token", system.token()]
    program = Program(system, name, ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh",
                                     system.programs / name, *words])
    system.running.append(program)
    wait_for(lambda: takes_sigterm(program.pid), "the program")
    if name == "penstock-agent":
        system.wait_agents(1, program)
    assert [os.readlink(f"/proc/{program.pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
