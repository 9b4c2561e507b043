"""Artifacts are what was there: links, modes, times; and what is wrong elsewhere in a workspace does no harm."""
import os

import pytest

from harness.system import commands_action, commands_pipeline, wait_for

PENSTOCK = {"prefix": "Penstock_20261101", "service": "penstock"}


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
@pytest.mark.parametrize("files, state", [(["build"], "Failed"), (["**/*"], "Failed"), (["build/app"], "Failed"),
                                          (["other"], "Succeeded")])
def test_what_is_behind_a_mount_is_missed(system_with_agent, files, state):
    """The mount is gone with the attempt: an output that would have held what was on it fails, and says why."""
    execution = run(system_with_agent, {"README": "r"}, [
        ("Build", [commands_action(
            "Build", ["set -e", "mkdir build", "mount -t tmpfs t build", "echo result > build/app", "echo o > other"],
            outputArtifacts=out("Out", *files))]),
    ], states=("Succeeded", "Failed"))
    system = system_with_agent
    done = system.api().call("GetPipelineExecution", {"pipelineName": "art", "pipelineExecutionId": execution})
    assert done["pipelineExecution"]["status"] == state, system.why("art", execution)
    if state == "Failed":
        assert "mounted on 'build'" in str(system.api().call("ListActionExecutions", {"pipelineName": "art"}))


def blobs(folder, smallest=0):
    """The stored blobs below a data folder, the largest first."""
    found = [path for path in (folder / "blobs").glob("??/*") if path.stat().st_size >= smallest]
    return sorted(found, key=lambda path: -path.stat().st_size)


def flip(path):
    """One bit of the disk has changed."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def again(system, states=("Succeeded",), deadline_s=60):
    execution = system.api().call("StartPipelineExecution", {"name": "art"})["pipelineExecutionId"]
    system.wait_execution("art", execution, states, deadline_s)
    return execution


@pytest.mark.parametrize("where", ["agent", "controller"])
def test_flipped_bits_are_replaced_and_told(system_with_agent, where):
    """Every stored byte is damaged, on the agent or on the controller: later starts go on, and soon."""
    system = system_with_agent
    agent = system.agents["agent"]
    run(system, {"README": "r", "big": "".join(f"{i} {i * i}\n" for i in range(40000))}, [
        ("Build", [commands_action("Build", ["set -e", "cat big big > twice", "echo 1 > one"],
                                   outputArtifacts=out("Out", "twice", "one"))]),
        ("Use", [commands_action("Use", ["set -e", 'test "$(wc -l < twice)" = 80000'], inputs=("Out",))]),
    ])
    folder = agent.data if where == "agent" else system.data
    program = agent.program if where == "agent" else system.controller
    assert len(blobs(folder)) > 6
    for path in blobs(folder):
        flip(path)
    if where == "controller":  # what an agent has verified is not asked for: it has to have nothing
        for path in blobs(agent.data):
            path.unlink()
        again(system, ("Succeeded", "Failed"))  # the source is packed anew only when damage is seen
    again(system)
    again(system)
    assert "damaged blobs" in program.log.read_text()


def test_an_input_without_a_good_copy_fails_soon(system_with_agent):
    """The only copies of an output are damaged: the action that needs it says so within seconds."""
    system = system_with_agent
    agent = system.agents["agent"]
    gate = system.folder / "gate"
    os.mkfifo(gate)
    clone = system.repository("art")
    system.push(clone, {"README": "r"})
    system.create_pipeline(commands_pipeline("art", "art", [
        ("Build", [commands_action("Build", ["set -e", "head -c 300000 /dev/urandom > noise"],
                                   outputArtifacts=out("Out", "noise"))]),
        ("Wait", [commands_action("Wait", [f"cat {gate}"])]),
        ("Use", [commands_action("Use", ["ls"], inputs=("Out",))]),
    ]))
    with open(gate, "w", encoding="utf-8"):
        for path in blobs(agent.data, 20000) + blobs(system.data, 20000):
            flip(path)
    execution = system.executions("art")[0]["pipelineExecutionId"]
    system.wait_execution("art", execution, ("Failed",), 30)
    assert "the controller has no good copy of it" in system.why("art", execution)


def test_a_large_output_holds_up_nobody(system_with_agent):
    """A packs 100 GB, mostly a hole; B, on the agent's other slot, begins and ends meanwhile."""
    system = system_with_agent
    made = system.folder / "made"
    clone = system.repository("art")
    system.push(clone, {"README": "r"})
    system.create_pipeline(commands_pipeline("art", "art", [
        ("Build", [commands_action("Build", ["truncate -s 100000000000 s", f"touch {made}"],
                                   outputArtifacts=out("Out", "s"))]),
    ]))
    system.repository("quick")
    system.push(system.folder / "clone-quick", {"README": "r"})
    wait_for(made.exists, "the large file")
    system.create_pipeline(commands_pipeline("quick", "quick", [
        ("Build", [commands_action("Build", ["echo quick > q"], outputArtifacts=out("Out", "q"))]),
        ("Use", [commands_action("Use", ["cat q"], inputs=("Out",))]),
    ]))
    quick = system.executions("quick")[0]["pipelineExecutionId"]
    system.wait_execution("quick", quick)
    assert system.executions("art")[0]["status"] == "InProgress"
    for path in system.agents["agent"].data.glob("work/*/src/s"):
        os.truncate(path, 0)  # it became shorter while it was read: the packing ends
    system.wait_execution("art", system.executions("art")[0]["pipelineExecutionId"], ("Failed",))


@pytest.mark.parametrize("how", ["cut", "changed", "lengthened", "removed"])
def test_a_damaged_log_is_told(system_with_agent, how):
    """What is stored is not what the attempt wrote: never complete, and said by API and command line."""
    system = system_with_agent
    run(system, {"README": "r"}, [("Build", [commands_action("Build", ["seq 20000"])])])

    def ask(offset=0):
        return system.api().call("GetLogs", {"pipelineName": "art", "actionName": "Build", "offset": offset,
                                             "limit": 1000000}, **PENSTOCK)
    good = ask()
    assert (good["complete"], good["size"], "damage" in good) == (True, 108894, False), good["size"]
    log = next(path for path in (system.data / "logs").glob("**/*") if path.is_file())
    if how == "cut":
        os.truncate(log, 100)
    elif how == "changed":
        flip(log)
    elif how == "lengthened":
        with log.open("ab") as file:
            file.write(b"more")
    else:
        log.unlink()
    bad = ask()
    assert not bad["complete"] and "damaged" in bad["damage"], bad["damage"]
    assert not ask(108894)["complete"]
    for options in ([], ["-f"], ["--raw"]):
        told = system.run(system.programs / "penstock", "logs", "art", "Build", *options, check=False)
        assert told.returncode != 0 and "the log is damaged" in told.stderr
