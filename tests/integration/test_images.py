"""The images of controller and agent, started with podman, deliver a pipeline.

Runs when podman and the images are there (`./dev image`); says why when it does not.
"""
import json
import uuid

import pytest

from harness.containers import GREETING, IMAGES, Engine, delivery
from harness.system import wait_for


class Containers:
    def __init__(self, engine):
        self.engine, self.names = engine, []

    def start(self, image, *arguments):
        name = f"penstock-test-{uuid.uuid4().hex[:12]}"
        self.names.append(name)
        self.engine.podman("run", "-d", "--name", name, "--network", "host", image, *arguments)
        return name

    def inside(self, name, script):
        """Run a shell script in the controller's container."""
        return self.engine.podman("exec", "-i", name, "sh", "-eu", input=script).stdout

    def endpoints(self, name):
        done = self.engine.podman("exec", name, "cat", "/var/lib/penstock/endpoints.json",
                                  check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None


@pytest.fixture
def containers(tmp_path):
    """What is started here is removed afterwards."""
    engine = Engine(tmp_path)
    engine.require_images()
    self = Containers(engine)
    yield self
    for name in self.names:
        print(engine.podman("logs", "--tail", "20", name, check=False).stdout)
        engine.podman("rm", "-f", "-v", "-t", "5", name, check=False)


def test_three_containers_deliver(containers):
    free = "127.0.0.1:0"
    controller = containers.start(IMAGES[0], "--http", free, "--control", free, "--bulk", free)
    endpoints = wait_for(lambda: containers.endpoints(controller), "the controller to serve")
    prefix = f"export PENSTOCK_ENDPOINT={endpoints['http']}\n"
    assert containers.inside(controller, "id -u").strip() != "0"
    for number in (1, 2):
        said = containers.inside(controller, prefix + "penstock agent token")
        token = next(word for word in said.split() if word.startswith("pen1_"))
        containers.start(IMAGES[1], "--controller", endpoints["control"].partition("://")[2],
                         "--token", token)
        wait_for(lambda: containers.inside(controller, prefix + "penstock agent list")
                 .count("connected") >= number, f"{number} agents")
    said = containers.inside(controller, prefix + delivery(("One", "Two")))
    assert said.count(GREETING) >= 2
