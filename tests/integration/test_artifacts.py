"""Artifacts are what was there: links, modes, times; and what is wrong elsewhere in a workspace does no harm."""
import pytest

from harness.system import commands_action, commands_pipeline


def run(system, files, stages, links=(), states=("Succeeded",), name="art", deadline_s=120):
    """Push files and links, make the pipeline, and wait for its first execution; returns its id."""
    clone = system.repository(name)
    for path, target in links:
        place = clone / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    system.push(clone, files)
    system.create_pipeline(commands_pipeline(name, name, stages))
    execution = system.executions(name)[0]["pipelineExecutionId"]
    system.wait_execution(name, execution, states, deadline_s)
    return execution


def out(name, *files):
    return [{"name": name, "files": list(files)}]


def test_links_of_a_commit_and_of_an_output_are_links(system_with_agent):
    """As git clone and tar have them: wherever they point, and none followed."""
    links = [("thr", "lib/a/../a/x"), ("tz", "/usr/share/zoneinfo/UTC"), ("shared", "../shared-config"),
             ("deep/er/up", "../../thr")]
    check = "; ".join(f'test "$(readlink {path})" = {target}' for path, target in links)
    run(system_with_agent, {"lib/a/x": "x", "README": "r"}, [
        ("Build", [commands_action(
            "Build", ["set -e", check, 'test "$(cat thr)" = x',
                      "mkdir -p v/bin v/lib", "ln -s /usr/bin/python3 v/bin/python3", "ln -s python3 v/bin/python",
                      "ln -s lib v/lib64", "echo l > v/lib/site", "ln -s ../../.. v/lib/out"],
            outputArtifacts=out("Venv", "v/**/*", "tz"))]),
        ("Use", [commands_action(
            "Use", ["set -e", 'test "$(readlink v/bin/python3)" = /usr/bin/python3',
                    'test "$(readlink v/bin/python)" = python3', "v/bin/python -c 'print(1)'",
                    'test "$(readlink v/lib64)" = lib', 'test "$(cat v/lib64/site)" = l',
                    'test "$(readlink v/lib/out)" = ../../..', 'test "$(readlink tz)" = /usr/share/zoneinfo/UTC'],
            inputs=("Venv",))]),
    ], links)


def test_make_rebuilds_nothing(system_with_agent):
    """Outputs keep their times, sources have one for all: what was built before stays built."""
    files = {f"src/{i}.c": f"{i}\n" for i in range(200)}
    files["Makefile"] = ("OBJECTS := $(patsubst src/%.c,build/%.o,$(wildcard src/*.c))\nall: $(OBJECTS)\n"
                         "build/%.o: src/%.c\n\t@mkdir -p build\n\tcp $< $@\n")
    run(system_with_agent, files, [
        ("Build", [commands_action(
            "Build", ["set -e", 'test "$(stat -c %Y src/*.c Makefile | sort -u)" = 946684800',
                      "make -s", "chmod 0750 build", "chmod 0440 build/7.o"],
            outputArtifacts=[{"name": "All", "files": ["**/*"]}])]),
        ("Use", [commands_action(
            "Use", ["set -e", "make -q", 'test -z "$(make -n | grep cp)"', 'test "$(stat -c %a build)" = 750',
                    'test "$(stat -c %a build/7.o)" = 440'], inputs=("All",))]),
    ])


DEEP = ("python3 -c \"import os\nfor i in range(700):\n os.mkdir('nested-folder-%d' % i); os.chdir('nested-folder-%d' % i)"
        "\nopen('deepest', 'w').write('deep')\"")
SOCKET = "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('s')\""


@pytest.mark.parametrize("files, check", [
    (["top"], ['test "$(cat top)" = top', 'test "$(ls | wc -l)" = 1']),
    (["**/*"], ["test ! -e pipe", "test ! -e s", "test -f top", 'test "$(find . -name deepest | wc -l)" = 1']),
])
def test_bad_places_do_no_harm(system_with_agent, files, check):
    """A path longer than PATH_MAX is packed; a pipe and a socket are left out, and that is said."""
    system = system_with_agent
    execution = run(system, {"README": "r"}, [
        ("Build", [commands_action("Build", ["set -e", "echo top > top", DEEP, "mkfifo pipe", SOCKET],
                                   outputArtifacts=out("Out", *files))]),
        ("Use", [commands_action("Use", ["set -e", *check], inputs=("Out",))]),
    ])
    told = system.penstock("watch", "art", execution, check=False).stdout
    if files != ["top"]:
        assert "left out of output artifact 'Out': 2 sockets, pipes or devices, the first 'pipe', a pipe" in told
