"""The front door, with apt-get, dpkg-query, id and sudo replaced by stubs that note their calls."""
import os
import subprocess

import pytest

from conftest import ROOT

STUBS = {
    "apt-get": 'echo "apt-get $*" >> "$CALLS"',
    "sudo": 'echo "sudo $*" >> "$CALLS"; exec "$@"',
    "id": 'echo "${FAKE_UID:-0}"',
    "dpkg-query": 'for name; do :; done; case " $MISSING " in *" $name "*) exit 1 ;; esac; '
                  'printf installed',
}


# A builder with the images that $IMAGES names, and a registry that answers if $REGISTRY is set.
BUILDER = """echo "${0##*/} $*" >> "$CALLS"
case "$1 $2" in
'inspect --type') case " $IMAGES " in *" $4 "*) exit 0 ;; esac; exit 125 ;;
'pull '*) test -n "$REGISTRY" || { echo 'no registry' >&2; exit 125; } ;;
'from scratch') echo working-container ;;
esac"""
STUBS |= {
    "buildah": BUILDER,
    "debootstrap": 'echo "debootstrap $*" >> "$CALLS"; for root; do case $root in /*) '
                   'mkdir -p "$root/usr/share/doc" ;; esac; done',
}


@pytest.fixture
def dev(tmp_path):
    """Run ./dev with stubs; returns the result with .calls, the lines that the stubs noted."""
    folder = tmp_path / "stubs"
    folder.mkdir()
    for name, script in STUBS.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    calls = tmp_path / "calls"

    def run(*arguments, **environment):
        calls.write_text("")
        done = subprocess.run(
            [ROOT / "dev", *arguments], text=True, capture_output=True, timeout=60,
            env={"PATH": f"{folder}:{os.defpath}:/usr/bin:/bin", "HOME": str(tmp_path),
                 "CALLS": str(calls)} | environment)
        done.calls = calls.read_text().splitlines()
        return done
    return run


def test_nothing_missing_touches_nothing(dev):
    done = dev("deps")
    assert done.returncode == 0
    assert done.calls == []


def test_only_what_is_missing_is_installed_and_named(dev):
    done = dev("deps", "build", MISSING="cmake ccache")
    assert done.returncode == 0
    assert "installing 2 missing packages: ccache cmake" in done.stdout
    assert [call.split()[1] for call in done.calls] == ["update", "install"]
    assert done.calls[1].split()[-2:] == ["ccache", "cmake"]


def test_not_root_uses_sudo(dev):
    done = dev("deps", "build", MISSING="cmake", FAKE_UID="1000")
    assert done.returncode == 0
    assert sum(call.startswith("sudo ") for call in done.calls) == 2


@pytest.mark.parametrize("arguments", [
    ("float",), ("deps", "everything"), ("build", "--fast"), ("build", "--asan", "--tsan"),
    ("check", "nothing")])
def test_wrong_words_are_a_usage_error(dev, arguments):
    done = dev(*arguments)
    assert done.returncode == 2
    assert "dev: " in done.stderr


def test_no_colours_when_not_on_a_terminal(dev):
    assert "\033" not in dev("help").stdout + dev("deps").stdout
    assert dev().stdout == dev("help").stdout == dev("--help").stdout


def builds(done):
    return [call for call in done.calls if call.startswith("buildah bud")]


def check_image(done, base):
    assert done.returncode == 0, done.stderr
    assert [call.rpartition("--target ")[2].split()[0] for call in builds(done)] == [
        "controller", "agent"]
    assert all(f"BASE={base} " in call for call in builds(done))


def test_image_takes_the_well_known_base(dev):
    done = dev("image", REGISTRY="yes")
    check_image(done, "debian:bookworm-slim")
    assert sum(call.startswith("buildah pull") for call in done.calls) == 1
    assert not any(call.startswith("debootstrap") for call in done.calls)


def test_image_makes_a_base_where_no_registry_answers(dev):
    done = dev("image", MISSING="debootstrap")
    check_image(done, "localhost/debian:bookworm")
    assert sum(call.startswith("buildah pull") for call in done.calls) == 1
    assert any(call.startswith("apt-get install") and call.endswith(" debootstrap")
               for call in done.calls)
    assert any(call.startswith("debootstrap --variant=minbase bookworm /") for call in done.calls)
    assert any(call.startswith("buildah commit") and call.endswith("localhost/debian:bookworm")
               for call in done.calls)


def test_image_takes_a_base_that_is_here_or_is_named(dev):
    here = dev("image", IMAGES="localhost/debian:bookworm")
    check_image(here, "localhost/debian:bookworm")
    named = dev("image", BASE="registry.example/debian:12")
    check_image(named, "registry.example/debian:12")
    for done in (here, named):
        assert not any(call.startswith(("buildah pull", "debootstrap")) for call in done.calls)
