"""Podman for tests: whether it and the images are there, and settings that small machines need too.

Everything runs with `podman(...)` of an `Engine`; with a network namespace of the test's own, bridges
and firewall rules are made in there and go with it.
"""
import json
import os
import pathlib
import shutil
import subprocess
import uuid

import pytest

from harness.system import commands_action, commands_pipeline

IMAGES = ("localhost/penstock-controller", "localhost/penstock-agent")
COMMAND_DEADLINE_S = 180
GREETING = "hello from a container"

# Where a container cannot raise its limits, or the cgroups are mixed, podman's own defaults fail.
SETTINGS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
{runtime}
[network]
network_backend = "netavark"
"""


class Engine:
    """Podman under settings of its own, if the environment names none."""

    def __init__(self, folder, namespace=None):
        self.environment = dict(os.environ)
        self.inside = ["nsenter", f"--net=/run/netns/{namespace}"] if namespace else []
        if "CONTAINERS_CONF" not in self.environment:
            path = pathlib.Path(folder) / "containers.conf"
            runtime = 'runtime = "runc"' if shutil.which("runc") else ""
            path.write_text(SETTINGS.format(runtime=runtime))
            self.environment["CONTAINERS_CONF"] = str(path)

    def run(self, *argv, check=True, **options):
        """Standard output and error together, unless options say otherwise."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **options}
        done = subprocess.run([*self.inside, *argv], text=True, env=self.environment,
                              timeout=COMMAND_DEADLINE_S, **options)
        if check and done.returncode != 0:
            pytest.fail(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}")
        return done

    def podman(self, *arguments, **options):
        return self.run("podman", *arguments, **options)

    def require_images(self):
        """Skip, and say why, where a test of the images cannot run."""
        if not shutil.which("podman"):
            pytest.skip("no podman here")
        for image in IMAGES:
            if self.podman("image", "exists", image, check=False).returncode != 0:
                pytest.skip(f"no image {image}; run ./dev image")
        trial = self.podman("run", "--rm", "--network", "host", "--entrypoint", "true", IMAGES[0],
                            check=False)
        if trial.returncode != 0:
            pytest.skip(f"podman cannot run a container here: {trial.stdout.strip()}")


class Namespace:
    """A network namespace with nothing but loopback, for the time of a `with`."""

    def __init__(self):
        self.name = f"penstock-{uuid.uuid4().hex[:8]}"

    def __enter__(self):
        made = subprocess.run(["ip", "netns", "add", self.name], capture_output=True, text=True)
        if made.returncode != 0:
            pytest.skip(f"no right to make a network namespace: {made.stderr.strip()}")
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
        return self

    def __exit__(self, kind, value, trace):
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


def delivery(actions, configuration=None):
    """A script for the controller's container: make the repository and the pipeline `hello`, push to
    it, and print the log of each of the actions, which say GREETING."""
    declaration = commands_pipeline("hello", "hello", [
        ("Build", [commands_action(name, ["cat greeting"], configuration) for name in actions])])
    return f"""
        cd /tmp
        penstock doctor
        penstock repo create hello
        cat > hello.json <<'END'
{json.dumps({"pipeline": declaration})}
END
        git init -q -b main hello && cd hello
        echo '{GREETING}' > greeting
        git add -A && git -c user.name=T -c user.email=t@example.com commit -q -m greeting
        git push -q /var/lib/penstock/repos/hello.git main
        penstock pipeline create ../hello.json
        penstock watch hello
        for action in {' '.join(actions)}; do penstock logs hello $action; done
        """
