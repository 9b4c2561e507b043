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
