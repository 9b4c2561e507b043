"""`penstock why` on ten different waits of one running system, as a person reads it.

Each test sets a wait up, checks what is printed, and clears it again the way the text says. Run with
`-s`, they show what was printed.
"""
import datetime
import os
import signal
import socket

from harness.system import approval_action, commands_action, commands_pipeline, wait_for


HOST = socket.gethostname()  # what agents call themselves


def agent_id(system, pool):
    return next(agent["agentId"] for agent in system.list_agents()
                if agent.get("labels", {}).get("pool") == pool)


def show(system, what, words, *arguments):
    """What `why` prints once it holds all the words."""
    last = ""

    def said():
        nonlocal last
        last = system.penstock("why", what, *arguments).stdout
        return all(word in last for word in words)
    try:
        wait_for(said, f"why {what} to say {words}")
    except TimeoutError as late:
        raise TimeoutError(f"{late}; it says:\n{last}") from None
    text = last
    print(f"\n$ penstock why {what}\n{text}", end="")
    return text


def create(system, name, stages, **more):
    if not (system.folder / "clone-code").exists():
        system.push(system.repository("code"), {"file": "content\n"})
    system.create_pipeline(commands_pipeline(name, "code", stages) | more)
    return wait_for(lambda: system.executions(name), f"an execution of {name}")[0][
        "pipelineExecutionId"]


def start(system, name):
    return system.api().call("StartPipelineExecution", {"name": name})["pipelineExecutionId"]


def never_soon():
    hour = (datetime.datetime.now(datetime.timezone.utc).hour + 11) % 24
    return f"0 0 {hour} * * ?"


def hold(system, name="gate"):
    """A command that runs until the file is there."""
    return commands_action("Run", [f"until test -e '{system.folder}/{name}'; do sleep 0.05; done"])


def release(system, name="gate"):
    (system.folder / name).touch()


def test_labels_that_nobody_has_then_a_drained_agent(system):
    system.add_agent("small", {"pool": "build"}, slots=1)
    identity = create(system, "labels", [
        ("Run", [commands_action("Run", ["true"], {"RunsOn": "pool=deploy"})])])
    show(system, "labels", ["no agent with pool=deploy: 1 enrolled, none matches",
                            f"nearest is '{HOST}', which lacks pool=deploy (it has pool=build)",
                            "until: an agent with these labels is enrolled",
                            "clears: penstock agent token --labels pool=deploy",
                            "this does not change by waiting"])
    deployer = system.add_agent("deployer", {"pool": "deploy"}, slots=1)
    system.wait_execution("labels", identity)

    system.penstock("agent", "drain", agent_id(system, "deploy"))
    identity = start(system, "labels")
    text = show(system, identity, ["every agent with pool=deploy is draining",
                                   "until: a person ends the drain", f"other labels; nearest is '{HOST}'"])
    assert "does not change by waiting" not in text
    system.penstock("agent", "undrain", agent_id(system, "deploy"))
    system.wait_execution("labels", identity)
    deployer.program.stop()
    identity = start(system, "labels")
    show(system, "labels", ["every agent with pool=deploy is not connected",
                            "until: the agent connects again"])
    deployer.start()
    system.wait_execution("labels", identity)


def test_slots_and_a_queue_with_an_estimate(system):
    system.add_agent("only", slots=1)
    first = create(system, "slots", [("Run", [commands_action("Run", ["sleep 3"])])],
                   executionMode="PARALLEL")
    system.wait_execution("slots", first)
    running = [start(system, "slots")]
    show(system, "slots", [f"It runs on agent '{HOST}'", "until: the attempt ends", "expected in"])
    running += [start(system, "slots"), start(system, "slots")]
    show(system, running[2], ["every agent is busy in all slots", "expected in",
                              "1 other action that asks for the same agents waits longer"])
    for identity in running:
        system.wait_execution("slots", identity)


def test_a_held_stage_and_a_closed_transition(system_with_agent):
    system = system_with_agent
    first = create(system, "held", [("Run", [hold(system)])], executionMode="QUEUED")
    show(system, "held", [f"It runs on agent '{HOST}'"])
    second, third = start(system, "held"), start(system, "held")
    show(system, second, [f"stage 'Run' is held by execution {first}",
                          "until: that execution leaves the stage"])
    show(system, third, ["it is number 2 of 2 in the queue of stage 'Run'"])
    watched = system.penstock("watch", "held", third[:8], "--timeout", "200ms", check=False)
    assert "waits at the gate of stage Run\n" in watched.stdout and watched.returncode == 5
    system.penstock("transition", "disable", "held", "Run", "--reason", "the mill is dry")
    show(system, third, ["the transition into stage 'Run' is disabled by arn:aws:iam:",
                         "the mill is dry", "clears: penstock transition enable held Run"])
    api = system.api()
    state = api.call("GetPipelineState", {"name": "held"})["stageStates"][1]
    assert state["inboundTransitionState"]["disabledReason"] == "the mill is dry"
    assert [one["pipelineExecutionId"] for one in state["inboundExecutions"]] == [second, third]
    summary = api.call("GetPipelineExecution", {
        "pipelineName": "held", "pipelineExecutionId": third})["pipelineExecution"]["statusSummary"]
    assert "disabled by" in summary and "the mill is dry" in summary
    system.penstock("transition", "enable", "held", "Run")
    release(system)
    for identity in (first, second, third):
        system.wait_execution("held", identity)


def test_an_approval_and_the_group_behind_it(system_with_agent):
    system = system_with_agent
    identity = create(system, "ask", [
        ("Ship", [approval_action("Agree", runOrder=1),
                  commands_action("Copy", ["true"], runOrder=2)])])
    show(system, "ask", ["It waits for a person to approve it: Source at ",
                         "when nobody does, it fails at",
                         "until: a person approves or rejects",
                         "Group 1 of the stage has not ended yet"])
    system.penstock("approve", "ask", "--summary", "go")
    system.wait_execution("ask", identity)


def test_an_execution_that_is_over_or_never_was(system_with_agent):
    system = system_with_agent
    identity = create(system, "over", [("Run", [commands_action("Run", ["exit 3"])])])
    system.wait_execution("over", identity, ("Failed",))
    show(system, identity, [f"Execution {identity} has failed: Action 'Run' of stage 'Run' failed",
                            "until: a person has the stage run again"])
    assert f"Execution {identity} has failed" in system.penstock("why", "over").stdout
    newer = start(system, "over")
    system.wait_execution("over", newer, ("Failed",))
    assert "clears:" not in show(system, identity, ["has failed"])
    never = "00000000-0000-4000-8000-000000000000"
    for arguments in ([never], ["over", "--execution", never]):
        done = system.penstock("why", *arguments, check=False)
        assert (done.returncode, f"no execution '{never}'" in done.stderr) == (3, True), done


def test_a_window_that_is_closed(system_with_agent):
    system = system_with_agent
    window = {"name": "Hours", "configuration": {"Cron": never_soon(), "TimeZone": "UTC"},
              "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "DeploymentWindow",
                             "version": "1"}}
    declaration = commands_pipeline("window", "code", [("Run", [commands_action("Run", ["true"])])])
    declaration["stages"][1]["beforeEntry"] = {
        "conditions": [{"result": "FAIL", "rules": [window]}]}
    system.push(system.repository("code"), {"file": "content\n"})
    system.create_pipeline(declaration)
    show(system, "window", ["Rule 'Hours' waits for its window, which opens at",
                            "until: the window opens, or a person overrides it"])


def test_five_at_once_in_parallel_mode(system):
    system.add_agent("wide", slots=8)
    actions = [hold(system) | {"name": f"Run{number}"} for number in range(6)]
    identity = create(system, "parallel", [("Run", actions)], executionMode="PARALLEL")
    show(system, "parallel", ["5 actions of this execution are under way, as many as may be",
                              "until: the actions before it end"])
    release(system)
    system.wait_execution("parallel", identity)


def test_a_stop_that_waits_and_an_agent_that_is_lost(system):
    system.controller.stop()
    system.start_controller("--heartbeat", "1s", "--agent-suspect", "3s", "--agent-lost", "6s")
    agent = system.add_agent("frail", slots=1)
    identity = create(system, "frail", [
        ("Ship", [hold(system) | {"configuration": {"Class": "once"}}])])
    show(system, "frail", [f"It runs on agent '{HOST}'"])
    system.penstock("stop", "frail", identity, "--reason", "enough")
    show(system, "frail", ["It is being stopped: what runs may end, then it is over",
                           "until: what runs ends"])
    os.kill(agent.program.pid, signal.SIGSTOP)
    show(system, "frail", [f"Agent '{HOST}', which runs it, is not heard",
                           "until: the agent answers again, or counts as lost"])
    show(system, "frail", ["until: the agent returns with proof, or a person decides"])
    os.kill(agent.program.pid, signal.SIGCONT)
    release(system)
    system.wait_execution("frail", identity, ("Stopped",))
    text = system.penstock("why", "frail").stdout
    assert text.startswith(f"frail: Execution {identity} was stopped: enough (for "), text
