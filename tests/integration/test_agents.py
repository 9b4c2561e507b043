"""Agents as a person handles them: revoked, drained, told apart by labels, and why work waits."""
import time

from harness.system import Agent, commands_action, commands_pipeline, wait_for

PENSTOCK = {"prefix": "Penstock_20261101", "service": "penstock"}


def pipeline(system, actions, name="work"):
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    system.create_pipeline(commands_pipeline(name, "code", [("Run", actions)]))
    return system.api()


def newest(api, name="work"):
    rows = api.call("ListPipelineExecutions", {"pipelineName": name})["pipelineExecutionSummaries"]
    return rows[0] if rows else {"status": None}


def reasons(api, name="work"):
    return api.call("Explain", {"pipelineName": name}, **PENSTOCK)["reasons"]


def test_a_revoked_agent_is_cut_off_at_once(system_with_agent):
    system = system_with_agent
    agent = system.list_agents()[0]
    begin = time.monotonic()
    system.penstock("agent", "revoke", agent["agentId"])
    program = system.agents["agent"].program
    wait_for(lambda: not system.list_agents()[0]["connected"], "the agent to be cut off", 5)
    assert time.monotonic() - begin < 5
    wait_for(lambda: "does not let this agent in" in program.log.read_text(),
             "the agent to say that it is refused", 30)
    assert system.list_agents()[0]["status"] == "Revoked"
    program.expected_end = True


def test_a_drained_agent_takes_no_new_work(system_with_agent):
    system = system_with_agent
    agent = system.list_agents()[0]["agentId"]
    system.penstock("agent", "drain", agent)
    api = pipeline(system, [commands_action("Run", ["true"])])
    waits = wait_for(lambda: [one for one in reasons(api) if one["subject"] == "work/Run/Run"],
                     "the action to wait")
    assert "drain" in waits[0]["sentence"]
    system.penstock("agent", "undrain", agent)
    wait_for(lambda: newest(api)["status"] == "Succeeded", "the execution to succeed")


def test_work_that_no_agent_could_run_is_flagged_and_says_the_nearest_miss(system):
    system.add_agent("small", {"pool": "build"}, slots=1)
    api = pipeline(system, [commands_action("Run", ["true"], {"RunsOn": "pool=deploy"})])
    waits = wait_for(lambda: [one for one in reasons(api) if one["subject"] == "work/Run/Run"],
                     "the action to wait", 5)
    assert waits[0]["never"] is True
    assert "pool=deploy" in waits[0]["sentence"]
    system.add_agent("deployer", {"pool": "deploy"}, slots=1)
    wait_for(lambda: newest(api)["status"] == "Succeeded", "the execution to succeed")


def test_a_token_in_a_file_is_read_only_by_an_agent_that_has_to_join(system):
    path = system.folder / "token"
    agent = system.agents["late"] = Agent(system, "late", None, ())
    agent.start(f"@{path}")
    wait_for(lambda: f"cannot open '{path}'" in agent.program.log.read_text(),
             "the agent to say which file lacks")
    agent.program.expected_end = True
    path.write_text(system.token() + "\n")
    agent.start(f"@{path}")
    system.wait_agents(1, agent.program)
    path.unlink()
    agent.program.stop()
    agent.start(f"@{path}")
    system.wait_agents(1, agent.program)


def test_a_token_fixes_the_slots_of_an_agent_that_names_none(empty_system):
    system = empty_system
    system.start_controller()
    for slots in (1, 3):
        agent = Agent(system, f"agent{slots}", None, ())
        system.agents[agent.name] = agent
        agent.start(system.token(None, slots))
        system.wait_agents(len(system.agents), agent.program)
    assert sorted(row["slots"] for row in system.list_agents()) == [1, 3]
    last = system.agents["agent3"]
    last.program.stop()
    last.start()  # and so after a restart, of which the token is no longer part
    system.wait_agents(2, last.program)
    assert sorted(row["slots"] for row in system.list_agents()) == [1, 3]
