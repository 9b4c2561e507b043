"""`penstock doctor`, /readyz and GetHealth in states that do not pass by themselves."""
import json

from harness.system import commands_action, commands_pipeline, wait_for

PENSTOCK = {"prefix": "Penstock_20261101", "service": "penstock"}


def doctor(system):
    done = system.penstock("doctor", check=False)
    print(f"\n$ penstock doctor ({done.returncode})\n{done.stdout}", end="")
    return done.returncode, done.stdout


def problems(system):
    status, body = system.get("/readyz")
    return status, json.loads(body).get("problems")


def test_work_that_can_never_run(system_with_agent):
    """A label that nobody has: the doctor is not content, and says what would help."""
    system = system_with_agent
    assert doctor(system)[0] == 0
    system.push(system.repository("code"), {"file": "content\n"})
    for name in ("one", "two"):
        system.create_pipeline(commands_pipeline(name, "code", [
            ("Run", [commands_action("Run", ["true"], {"RunsOn": "pool=nowhere"})])]))

    def said():
        code, text = doctor(system)
        return code == 1 and "1 more action waits for the same" in text and text
    text = wait_for(said, "the doctor to notice")
    assert "FAIL labels_unmatched: one/Run/Run: " in text or "two/Run/Run: " in text
    assert "clears: penstock agent token --labels pool=nowhere" in text
    wait_for(lambda: problems(system) == (200, ["labels_unmatched"]), "/readyz to name it")
    health = system.api().call("GetHealth", {}, **PENSTOCK)
    assert (health["status"], health["queuedActions"], health["agents"]) == ("degraded", 2, 1)
    system.add_agent("there", {"pool": "nowhere"}, slots=1)
    wait_for(lambda: doctor(system)[0] == 0, "the doctor to be content")
    wait_for(lambda: problems(system) == (200, []), "/readyz to be content")


def test_an_agent_that_is_gone(system_with_agent):
    system = system_with_agent
    next(iter(system.agents.values())).program.stop()
    wait_for(lambda: system.connected_agents() == 0, "the agent to be gone")
    code, text = doctor(system)
    assert code == 1 and "is not connected; look at penstock-agent on its host" in text
    assert "FAIL agents: no agent takes work" in text
