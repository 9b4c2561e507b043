"""The programs start, join and end."""
import stat

from harness.system import Agent


def test_controller_starts_and_ends(empty_system):
    system = empty_system
    system.start_controller()
    assert system.get("/healthz")[0] == 200
    assert set(system.endpoints) == {"http", "control", "bulk"}
    credentials = system.data / "admin.credentials"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    system.controller.stop()


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
