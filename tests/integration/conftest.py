"""Fixtures: a system of real programs, empty or ready, in a folder of its own.

PEN_BIN names the folder of the programs (ctest sets it). Run one file by hand with

    PEN_BIN=build-asan/bin /usr/bin/python3 -m pytest tests/integration/test_X.py
"""
import os
import pathlib
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import cli_stub  # noqa: E402
from harness.system import System, remove_folder  # noqa: E402


@pytest.fixture(scope="session")
def programs():
    """Folder of the programs under test."""
    folder = pathlib.Path(os.environ.get("PEN_BIN", ROOT / "build-asan" / "bin")).resolve()
    for name in ("penstock-controller", "penstock-agent", "penstock-shim", "penstock"):
        if not (folder / name).exists():
            pytest.fail(f"no {folder / name}; run ./dev build --asan", pytrace=False)
    return folder


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Let fixtures know whether the test itself failed."""
    outcome = yield
    if call.when == "call":
        item.failed = outcome.get_result().failed


@pytest.fixture
def empty_system(programs, request):
    """Nothing runs yet. When the test fails, the ends of all programs' logs are printed."""
    folder = tempfile.mkdtemp(prefix="penstock-test.")
    try:
        with System(folder, programs) as system:
            yield system
    finally:
        if getattr(request.node, "failed", True):
            for program in system.running:
                print(f"---- {program.log.name}\n{program.tail(40)}")
        remove_folder(folder)


@pytest.fixture
def system(empty_system):
    """A controller that serves."""
    empty_system.start_controller()
    return empty_system


@pytest.fixture
def system_with_agent(system):
    """A controller and one agent with two slots, as system.agents["agent"]."""
    system.add_agent("agent", slots=2)
    return system


# ---- the command line against a stand-in for the controller

@pytest.fixture
def stub():
    made = cli_stub.Stub()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def environment(stub, tmp_path):
    return cli_stub.environment_of(stub, tmp_path)


@pytest.fixture
def run(environment):
    return cli_stub.runner(environment)
