"""What `penstock why` advises, word for word: each line behind "clears:" is given to a shell as it
stands, in the state that it was printed for, and has to change that state.
"""
import datetime
import json
import subprocess

import pytest

from harness.system import Agent, approval_action, commands_action, commands_pipeline, wait_for

ENDED = ("Succeeded", "Failed", "Stopped", "Cancelled")


def why(system, what, *arguments):
    return system.penstock("why", what, *arguments).stdout


def lines(text, word):
    return [line.partition(": ")[2] for line in text.splitlines()
            if line.startswith(f"    {word}: ")]


def advice(system, what, sentence):
    """The commands of the reason whose sentence has these words, once it is given."""
    last = ""

    def found():
        nonlocal last
        last = why(system, what)
        blocks, block = [], []
        for line in last.splitlines():
            if not line.startswith("    "):
                block = []
                blocks.append(block)
            block.append(line)
        return [block for block in blocks if sentence in block[0]]
    try:
        blocks = wait_for(found, f"why {what} to say {sentence!r}")
    except TimeoutError as late:
        raise TimeoutError(f"{late}; it says:\n{last}") from None
    print(f"\n$ penstock why {what}\n{last}", end="")
    return lines("\n".join(blocks[0]), "clears")


def paste(system, command):
    """A shell takes the line as it is, and the command succeeds."""
    done = system.run("/bin/sh", "-c", command, check=False)
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
    return done.stdout


def ended(system, name, identity, *states):
    return system.wait_execution(name, identity, states or ENDED)


def create(system, name, stages, **more):
    if not (system.folder / "clone-code").exists():
        system.push(system.repository("code"), {"file": "content\n"})
    system.create_pipeline(commands_pipeline(name, "code", stages) | more)
    return wait_for(lambda: system.executions(name), f"an execution of {name}")[0][
        "pipelineExecutionId"]


def start(system, name):
    return system.api().call("StartPipelineExecution", {"name": name})["pipelineExecutionId"]


def update(system, declaration):
    path = system.folder / f"{declaration['name']}.json"
    path.write_text(json.dumps({"pipeline": declaration}))
    system.penstock("pipeline", "update", path)


def hold(system, name="gate"):
    return commands_action("Run", [f"until test -e '{system.folder}/{name}'; do sleep 0.05; done"])


def release(system, name="gate"):
    (system.folder / name).touch()


def window(kind="beforeEntry"):
    hour = (datetime.datetime.now(datetime.timezone.utc).hour + 11) % 24
    rule = {"name": "Hours", "configuration": {"Cron": f"0 0 {hour} * * ?", "TimeZone": "UTC"},
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "DeploymentWindow",
                           "version": "1"}}
    return {kind: {"conditions": [{"result": "FAIL", "rules": [rule]}]}}


APPROVED, REJECTED = "Succeeded", "Failed"


@pytest.mark.parametrize("mode", ["SUPERSEDED", "QUEUED", "PARALLEL"])
@pytest.mark.parametrize("index, end", [(0, APPROVED), (1, REJECTED)])
def test_an_approval(system, mode, index, end):
    """In PARALLEL mode a second execution waits at the same action, and is left alone."""
    identity = create(system, "ask", [("Ship", [approval_action("Agree")])], executionMode=mode)
    others = [start(system, "ask")] if mode == "PARALLEL" else []
    commands = advice(system, identity, "It waits for a person to approve it")
    assert len(commands) == 2
    paste(system, commands[index])
    ended(system, "ask", identity, end)
    for other in others:
        assert advice(system, other, "It waits for a person to approve it")


@pytest.mark.parametrize("mode", ["SUPERSEDED", "QUEUED", "PARALLEL"])
@pytest.mark.parametrize("advised", [True, False])
def test_an_approval_whose_stage_was_renamed(system, mode, advised):
    """It waits on in a stage that the pipeline does not have any more; and `approve` without any
    name finds it, too."""
    identity = create(system, "ask", [("Ship", [approval_action("Agree")])], executionMode=mode)
    commands = advice(system, "ask", "It waits for a person to approve it")
    update(system, commands_pipeline("ask", "code", [("Sail", [approval_action("Agree")])])
           | {"executionMode": mode})
    commands = advice(system, "ask", "It waits for a person to approve it")
    paste(system, commands[0] if advised else "penstock approve ask")
    ended(system, "ask", identity, "Succeeded", "Cancelled")
    history = system.penstock("history", "ask", identity).stdout
    assert any("Ship/Agree" in line and "Succeeded" in line or
               {"Ship", "Agree", "Succeeded"} <= set(line.split())
               for line in history.splitlines()), history


def test_a_failed_build(system_with_agent):
    """Nothing waits, and yet something is wrong: the action, what it said, and the way on."""
    system = system_with_agent
    identity = create(system, "over", [("Run", [commands_action("Run", [
        f"test -e '{system.folder}/gate'"])])])
    ended(system, "over", identity, "Failed")
    commands = advice(system, "over", f"Execution {identity} has failed")
    text = why(system, "over")
    assert "over/Run/Run: It failed: Command 1 exited with status 1" in text
    log = lines(text, "see")
    assert log == [f"penstock logs over Run --stage Run --execution {identity}"]
    paste(system, log[0])
    release(system)
    assert len(commands) == 1
    paste(system, commands[0])
    ended(system, "over", identity, "Succeeded")
    assert why(system, "over") == "nothing waits\n"


def test_a_rejected_approval(system):
    identity = create(system, "ask", [("Ship", [approval_action("Agree")])])
    paste(system, advice(system, "ask", "approve it")[1] + " --summary 'not on a Friday'")
    ended(system, "ask", identity, "Failed")
    commands = advice(system, "ask", f"Execution {identity} has failed")
    text = why(system, "ask")
    assert "ask/Ship/Agree: It failed: The approval was rejected: not on a Friday (by arn:" in text
    paste(system, commands[0])
    assert advice(system, "ask", "It waits for a person to approve it")


def test_a_stopped_execution(system):
    identity = create(system, "ask", [("Ship", [approval_action("Agree")])])
    system.penstock("stop", "ask", identity, "--abandon", "--reason", "wrong branch")
    ended(system, "ask", identity, "Stopped")
    commands = advice(system, "ask", f"Execution {identity} was stopped")
    assert "wrong branch" in why(system, "ask")
    paste(system, commands[0])
    assert advice(system, "ask", "It waits for a person to approve it")


def test_a_newer_success_ends_the_talk_of_a_failure(system_with_agent):
    system = system_with_agent
    first = create(system, "over", [("Run", [commands_action("Run", [
        f"test -e '{system.folder}/gate'"])])])
    ended(system, "over", first, "Failed")
    release(system)
    ended(system, "over", start(system, "over"), "Succeeded")
    assert why(system, "over") == "nothing waits\n"
    text = why(system, first)
    assert "has failed" in text and not lines(text, "clears")  # another has been in the stage since


def test_an_older_one_that_fails_last_is_the_latest(system):
    system.add_agent("wide", slots=4)
    first = create(system, "both", [("Run", [hold(system), commands_action("Then", [
        f"test ! -e '{system.folder}/bad'"], runOrder=2)])], executionMode="PARALLEL")
    release(system, "bad")
    assert advice(system, first, "It runs on agent") == []
    system.penstock("stop", "both", start(system, "both"), "--abandon", "--reason", "not wanted")
    wait_for(lambda: "was stopped: not wanted" in why(system, "both"), "the newer one to end")
    release(system)
    ended(system, "both", first, "Failed")
    commands = advice(system, "both", f"Execution {first} has failed")
    assert "was stopped" not in why(system, "both")
    (system.folder / "bad").unlink()
    paste(system, commands[0])
    ended(system, "both", first, "Succeeded")


@pytest.mark.parametrize("mode", ["SUPERSEDED", "PARALLEL"])
@pytest.mark.parametrize("word, end", [("failed", "Failed"), ("succeeded", "Succeeded"),
                                       ("retry", "InProgress")])
def test_an_outcome_that_nobody_knows(empty_system, mode, word, end):
    """A deploy whose host was lost; with an edit of the pipeline in between."""
    system = empty_system
    system.start_controller("--heartbeat", "200ms", "--agent-suspect", "500ms", "--agent-lost", "2s")
    agent = system.add_agent("host")
    deploy = commands_action("Run", [f"echo . >> '{system.folder}/began'", "sleep 600"],
                             {"Class": "once"})
    identity = create(system, "work", [("Deploy", [deploy])], executionMode=mode)
    wait_for((system.folder / "began").exists, "the deploy to begin")
    agent.program.kill()
    commands = advice(system, "work", "may or may not have run")
    chosen = [command for command in commands if f" {word} " in command]
    assert len(commands) == 3 and len(chosen) == 1
    paste(system, chosen[0])
    if end == "InProgress":
        assert advice(system, identity, "is not connected") == []
    else:
        ended(system, "work", identity, end)


def test_a_closed_transition(system_with_agent):
    system = system_with_agent
    identity = create(system, "shut", [("Gate", [approval_action("Ok")]),
                                       ("Run", [commands_action("Run", ["true"])])])
    system.penstock("transition", "disable", "shut", "Run", "--reason", "frozen")
    system.penstock("approve", "shut")
    commands = advice(system, "shut", "the transition into stage 'Run' is disabled")
    assert commands == ["penstock transition enable shut Run"]
    paste(system, commands[0])
    ended(system, "shut", identity, "Succeeded")


def test_a_held_stage(system_with_agent):
    system = system_with_agent
    first = create(system, "held", [("Run", [hold(system)])], executionMode="QUEUED")
    second = start(system, "held")
    commands = advice(system, second, f"is held by execution {first}")
    assert commands == [f"penstock stop held {first}"]
    paste(system, commands[0])
    # It lets what runs end; that can be cut short, and the text says how.
    commands = advice(system, first, "It is being stopped")
    assert advice(system, second, f"is held by execution {first}") == []
    paste(system, commands[0])
    ended(system, "held", first, "Stopped")
    release(system)
    ended(system, "held", second, "Succeeded")


@pytest.mark.parametrize("place, words", [("beforeEntry", "before-entry"),
                                          ("onSuccess", "on-success")])
def test_a_closed_window(system_with_agent, place, words):
    system = system_with_agent
    declaration = commands_pipeline("late", "code", [("Run", [commands_action("Run", ["true"])])])
    declaration["stages"][1] |= window(place)
    system.push(system.repository("code"), {"file": "content\n"})
    system.create_pipeline(declaration)
    identity = system.executions("late")[0]["pipelineExecutionId"]
    commands = advice(system, "late", "waits for its window")
    assert len(commands) == 1 and (place == "beforeEntry" or words in commands[0])
    paste(system, commands[0])
    ended(system, "late", identity, "Succeeded")


@pytest.mark.parametrize("place", ["beforeEntry", "onSuccess"])
def test_a_failed_condition(system_with_agent, place):
    system = system_with_agent
    rule = {"name": "Same", "configuration": {"Variable": "a", "Operator": "EQ", "Value": "b"},
            "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck",
                           "version": "1"}}
    declaration = commands_pipeline("rule", "code", [("Run", [commands_action("Run", ["true"])])])
    declaration["stages"][1][place] = {"conditions": [{"result": "FAIL", "rules": [rule]}]}
    system.push(system.repository("code"), {"file": "content\n"})
    system.create_pipeline(declaration)
    identity = wait_for(lambda: system.executions("rule"), "it")[0]["pipelineExecutionId"]
    ended(system, "rule", identity, "Failed")
    commands = advice(system, "rule", f"Execution {identity} has failed")
    assert "override" in commands[0] and "retry" in commands[1]
    paste(system, commands[1])  # fails again by the same rule
    ended(system, "rule", identity, "Failed")
    wait_for(lambda: "has failed" in why(system, "rule"), "the second failure")
    paste(system, commands[0])
    ended(system, "rule", identity, "Succeeded")


def test_a_failure_beside_what_still_runs(system_with_agent):
    system = system_with_agent
    stages = [("Run", [hold(system) | {"name": "Slow", "runOrder": 1},
                       commands_action("Bad", [f"test -e '{system.folder}/good'"], runOrder=1),
                       commands_action("Late", ["true"], runOrder=2)])]
    identity = create(system, "mixed", stages)
    commands = advice(system, "mixed", "action 'Bad' has failed")
    release(system, "good")
    paste(system, commands[0])
    release(system)
    ended(system, "mixed", identity, "Succeeded")


def test_drained_agents_and_labels_that_nobody_has(system):
    system.add_agent("one", {"pool": "a"}, slots=1)
    system.add_agent("two", {"pool": "a"}, slots=1)  # on this host, so of the same name
    for agent in system.list_agents():
        system.penstock("agent", "drain", agent["agentId"])
    identity = create(system, "wanted", [
        ("Run", [commands_action("Run", ["true"], {"RunsOn": "pool=a"})])])
    commands = advice(system, "wanted", "every agent with pool=a is draining")
    assert len(commands) == 2
    for command in commands:
        paste(system, command)
    ended(system, "wanted", identity, "Succeeded")
    assert not any(agent.get("draining") for agent in system.list_agents())

    identity = create(system, "labels", [("Run", [
        commands_action("Run", ["true"], {"RunsOn": "pool=b,gpu,os=linux,!slow,size!=small"})])])
    commands = advice(system, "labels", "none matches")
    assert commands == ["penstock agent token --labels pool=b,gpu=yes"]
    agent = Agent(system, "made", 1, ())
    system.agents["made"] = agent
    agent.start(paste(system, commands[0]).split()[-1])
    ended(system, "labels", identity, "Succeeded")


def test_changes_that_start_nothing(system):
    """Detection that is off, as its owner may have forgotten."""
    declaration = commands_pipeline("manual", "code", [("Ship", [approval_action("Agree")])])
    declaration["stages"][0]["actions"][0]["configuration"]["PollForSourceChanges"] = "false"
    system.push(system.repository("code"), {"file": "content\n"})
    system.create_pipeline(declaration)
    commands = advice(system, "manual", 'PollForSourceChanges is "false"')
    before = len(system.executions("manual"))
    paste(system, commands[0])
    assert len(system.executions("manual")) == before + 1


def test_what_takes_longer_than_ever(system_with_agent):
    """Its usual time, its last output, when it will be ended, and the command that ends it."""
    system = system_with_agent
    action = commands_action("Run", [
        "echo begun", f"until test -e '{system.folder}/gate'; do sleep 0.05; done"])
    release(system)
    first = create(system, "slow", [("Run", [action])])
    ended(system, "slow", first, "Succeeded")
    (system.folder / "gate").unlink()
    identity = start(system, "slow")
    commands = advice(system, identity, "It runs on agent")
    wait_for(lambda: "overdue by" in why(system, identity), "the usual time to be over")
    wait_for(lambda: "last output" in why(system, identity), "its output to be stored")
    text = why(system, identity)
    assert "it usually takes" in text and "ended at 20" in text and "when its time is over" in text
    reason = system.api().call("Explain", {"executionId": identity},
                               prefix="Penstock_20261101", service="penstock")["reasons"][0]
    since = reason["ends"] - reason["since"]
    assert 55 * 60 <= since <= 55 * 60 + 60  # of Commands actions, from the moment they began
    commands = advice(system, identity, "It runs on agent")
    paste(system, commands[0])
    ended(system, "slow", identity, "Stopped")


def test_a_log_that_says_nothing_says_why(system):
    """Beside the log, not in it: what the action waits for, and what it is instead of a program."""
    identity = create(system, "mute", [
        ("Run", [commands_action("Run", ["true"], {"RunsOn": "pool=far"})]),
        ("Ship", [approval_action("Agree")])])
    wait_for(lambda: "none is enrolled" in why(system, identity), "the action to wait")
    shown = system.penstock("logs", "mute", "Run")
    assert shown.stdout == ""
    assert shown.stderr == "no output yet: Waiting for an agent: none is enrolled\n"
    follow = system.folder / "follow"
    with open(follow, "wb") as output:
        reader = subprocess.Popen([system.programs / "penstock", "logs", "mute", "Run", "-f"],
                                  env=system.environment, cwd=system.folder, stdout=output,
                                  stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: b"none is enrolled\n" in follow.read_bytes(), "the first word")
        system.add_agent("near", {"pool": "near"}, slots=1)
        wait_for(lambda: b"none matches" in follow.read_bytes(), "what it waits for now")
        assert reader.poll() is None
        system.add_agent("far", {"pool": "far"}, slots=1)
        assert reader.wait(60) == 0
    finally:
        if reader.poll() is None:
            reader.kill()
            reader.wait()
    assert follow.read_text().splitlines()[-1] == "no output: Exited with status 0"
    wait_for(lambda: "approve it" in why(system, identity), "the approval")
    assert "no output yet: Waiting for approval" in system.penstock("logs", "mute", "Agree").stderr
