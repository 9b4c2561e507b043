"""The images of controller and agent, started with podman, deliver a pipeline.

Runs when podman and the images are there (`./dev image`); says why when it does not.
"""
import json
import shutil
import subprocess
import uuid

import pytest

from harness.system import commands_action, commands_pipeline, wait_for

IMAGES = ("localhost/penstock-controller", "localhost/penstock-agent")


def podman(*arguments, check=True, **options):
    done = subprocess.run(["podman", *arguments], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120, **options)
    if check and done.returncode != 0:
        pytest.fail(f"podman {' '.join(arguments)}: status {done.returncode}\n{done.stdout}")
    return done


@pytest.fixture
def containers():
    """Start containers by start(image, arguments...); all are removed afterwards."""
    if not shutil.which("podman"):
        pytest.skip("no podman here")
    for image in IMAGES:
        if podman("image", "exists", image, check=False).returncode != 0:
            pytest.skip(f"no image {image}; run ./dev image")
    trial = podman("run", "--rm", "--network", "host", "--entrypoint", "true", IMAGES[0], check=False)
    if trial.returncode != 0:
        pytest.skip(f"podman cannot run a container here: {trial.stdout.strip()}")
    names = []

    def start(image, *arguments):
        name = f"penstock-test-{uuid.uuid4().hex[:12]}"
        names.append(name)
        podman("run", "-d", "--name", name, "--network", "host", image, *arguments)
        return name
    yield start
    for name in names:
        print(podman("logs", "--tail", "20", name, check=False).stdout)
        podman("rm", "-f", "-v", "-t", "5", name, check=False)


def inside(name, script):
    """Run a shell script in the controller's container."""
    return podman("exec", "-i", name, "sh", "-eu", input=script).stdout


def endpoints_of(name):
    done = podman("exec", name, "cat", "/var/lib/penstock/endpoints.json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def test_three_containers_deliver(containers):
    free = "127.0.0.1:0"
    controller = containers(IMAGES[0], "--http", free, "--control", free, "--bulk", free)
    endpoints = wait_for(lambda: endpoints_of(controller), "the controller to serve")
    prefix = f"export PENSTOCK_ENDPOINT={endpoints['http']}\ncd /tmp\n"
    assert inside(controller, "id -u").strip() != "0"
    for number in (1, 2):
        token = inside(controller, prefix + "penstock agent token").split()[-1]
        containers(IMAGES[1], "--controller", endpoints["control"].partition("://")[2],
                   "--token", token)
        wait_for(lambda: inside(controller, prefix + "penstock agent list").count("connected")
                 >= number, f"{number} agents")
    declaration = commands_pipeline("hello", "hello", [
        ("Build", [commands_action(name, ["cat greeting"]) for name in ("One", "Two")])])
    said = inside(controller, prefix + f"""
        penstock doctor
        penstock repo create hello
        cat > hello.json <<'END'
{json.dumps({"pipeline": declaration})}
END
        git init -q -b main hello && cd hello
        echo 'hello from a container' > greeting
        git add -A && git -c user.name=T -c user.email=t@example.com commit -q -m greeting
        git push -q /var/lib/penstock/repos/hello.git main
        penstock pipeline create ../hello.json
        penstock watch hello
        penstock logs hello One
        penstock logs hello Two
        """)
    assert said.count("hello from a container") >= 2
