"""docker/compose.yaml as a person starts it: one controller, three agents that join by themselves.

It runs in a network namespace of its own, so that bridges, names and the published port are real and
stay in there. Needs root, podman, podman-compose, iptables (netavark's) and the images.
"""
import json
import pathlib
import shutil
import uuid

import pytest

from harness.containers import GREETING, Engine, Namespace, delivery
from harness.system import wait_for

FILE = pathlib.Path(__file__).resolve().parents[2] / "docker" / "compose.yaml"
AGENTS_DEADLINE_S = 120


class Composed:
    def __init__(self, engine, project):
        self.engine, self.project = engine, project

    def compose(self, *arguments, **options):
        return self.engine.run("podman-compose", "-p", self.project, "-f", str(FILE), *arguments,
                               **options)

    def inside(self, script):
        """Run a shell script in the controller's container, where the profile is at hand."""
        return self.engine.podman("exec", "-i", f"{self.project}_controller_1", "sh", "-eu",
                                  input=script).stdout

    def connected(self):
        done = self.engine.podman("exec", f"{self.project}_controller_1", "penstock", "agent", "list",
                                  "--output", "json", check=False, stderr=None)
        if done.returncode != 0:
            return []
        return sorted(one["name"] for one in json.loads(done.stdout)["agents"] if one["connected"])

    def wait_agents(self):
        wait_for(lambda: self.connected() == ["agent1", "agent2", "agent3"], "three agents",
                 AGENTS_DEADLINE_S)


@pytest.fixture
def composed(tmp_path):
    if not shutil.which("podman-compose"):
        pytest.skip("no podman-compose here")
    if not shutil.which("iptables"):
        pytest.skip("no iptables here, which podman's networks need")
    with Namespace() as namespace:
        engine = Engine(tmp_path, namespace.name)
        engine.require_images()
        self = Composed(engine, f"penstock-test-{uuid.uuid4().hex[:8]}")
        try:
            yield self
        finally:
            for service in ("controller", "join", "agent1"):
                print(engine.podman("logs", "--tail", "20", f"{self.project}_{service}_1",
                                    check=False).stdout)
            self.compose("down", "-v", "-t", "5", check=False)
            engine.podman("network", "rm", "-f", f"{self.project}_default", check=False)


def test_up_is_enough(composed):
    composed.compose("up", "-d")
    composed.wait_agents()
    said = composed.inside(delivery(("One", "Two", "Three"), {"RunsOn": "pool=build"}))
    assert said.count(GREETING) >= 3
    published = composed.engine.run("/usr/bin/python3", "-c",
                                    "import urllib.request as r; "
                                    "print(r.urlopen('http://127.0.0.1:7480/healthz').status)")
    assert published.stdout.strip() == "200"

    # Down and up again: the agents' own keys let them in, their tokens are spent.
    composed.compose("down", "-t", "5")
    composed.compose("up", "-d")
    composed.wait_agents()
    assert "Succeeded" in composed.inside("penstock history hello")
