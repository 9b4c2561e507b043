"""Real controllers, agents and clients in a folder of their own, for tests, benchmarks and the demo.

    with System(folder, programs) as system:
        system.start_controller()
        agent = system.add_agent("builder", labels={"pool": "build"})
        system.penstock("pipeline", "list")

Everything listens on loopback at ports that the kernel picks; a controller that is started again
keeps its ports. Nothing is shared with the user's home: clients find their keys in the folder.
Every wait has a deadline and names what it waited for. Leaving the `with` ends every process that
descends from this one and works in the folder, and raises SystemFault when one of our programs
died by itself or a sanitizer complained.
"""
import configparser
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request

from harness.api import Api

START_DEADLINE_S = 60  # a sanitized program on a busy machine
STOP_DEADLINE_S = 60
POLL_S = 0.02
PR_SET_CHILD_SUBREAPER = 36
ENDS = ("Succeeded", "Failed", "Stopped", "Cancelled", "Superseded")  # of an execution


class SystemFault(Exception):
    """What a program of ours did wrong, beside what the test asks for."""


def wait_for(ask, what, deadline_s=START_DEADLINE_S):
    """Ask until the answer is true and return it; after the deadline, say what did not come."""
    end = time.monotonic() + deadline_s
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline_s} s for {what}")
        time.sleep(POLL_S)


def become_subreaper():
    """Orphans below us come to us, so that a shim that outlives its agent can be ended."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants():
    """Process ids below this process."""
    parents = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            text = pathlib.Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry))
    found, queue = [], [os.getpid()]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


def works_in(pid, folder):
    """Whether the command line or the working folder of the process names the folder."""
    try:
        line = pathlib.Path("/proc", str(pid), "cmdline").read_bytes().decode(errors="replace")
        return str(folder) in line or os.readlink(f"/proc/{pid}/cwd").startswith(str(folder))
    except OSError:
        return False


def end_strays(folder):
    """Kill what still works in the folder, and reap what has become ours."""
    for pid in descendants():
        if works_in(pid, folder):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass


def takes_sigterm(pid):
    """Whether SIGTERM is blocked or caught: before that it ends any program, with status -15."""
    try:
        status = pathlib.Path("/proc", str(pid), "status").read_text()
    except OSError:
        return True  # it has ended
    masks = [int(line.split()[1], 16) for line in status.splitlines()
             if line.startswith(("SigBlk:", "SigCgt:"))]
    return not masks or any(mask >> (signal.SIGTERM - 1) & 1 for mask in masks)


class Program:
    """One running program of ours; its output goes to a file."""

    def __init__(self, system, name, argv):
        self.system, self.name = system, name
        self.log = system.folder / f"{name}.log"
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                [str(word) for word in argv],
                env=system.environment, cwd=system.folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        self.expected_end = False

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def rss_bytes(self):
        pages = pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def tail(self, lines=20):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self):
        """SIGTERM; the program has to end with status 0."""
        self.expected_end = True
        wait_for(lambda: not self.alive() or takes_sigterm(self.pid), f"{self.name} to begin")
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SystemFault(f"{self.name} did not end within {STOP_DEADLINE_S} s of SIGTERM\n"
                              + self.tail()) from None
        if status != 0:
            raise SystemFault(f"{self.name} ended with status {status}\n{self.tail()}")

    def kill(self):
        """SIGKILL, as a crash."""
        self.expected_end = True
        self.process.kill()
        self.process.wait()

    def check_alive(self):
        if not self.expected_end and not self.alive():
            raise SystemFault(f"{self.name} died: status {self.process.returncode}\n{self.tail()}")


class Agent:
    """An enrolled agent. `start` again after `program.stop()` or `program.kill()`."""

    def __init__(self, system, name, slots, arguments):
        self.system, self.name, self.slots = system, name, slots
        self.data = system.folder / name
        self.arguments = arguments
        self.program = None

    def start(self, token=None):
        argv = [self.system.programs / "penstock-agent", "--controller", self.system.control,
                "--data", self.data, *self.arguments]
        if token:
            argv += ["--token", token]
        if self.slots:
            argv += ["--slots", self.slots]
        self.program = Program(self.system, self.name, argv)
        self.system.running.append(self.program)


class System:
    """A folder with one controller, its agents, and clients that know where it is."""

    def __init__(self, folder, programs, keep=False):
        self.keep = keep  # leave everything running at the end
        self.folder = pathlib.Path(folder).resolve()
        self.programs = pathlib.Path(programs).resolve()
        self.data = self.folder / "controller"
        self.reports = self.folder / "sanitizer"
        self.home = self.folder / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.endpoints = None
        self.controller = None
        self.agents = {}
        self.running = []
        self.environment = self._environment()

    def _environment(self):
        options = f"log_path={self.reports}:detect_leaks=1:exitcode=99"
        kept = {name: os.environ[name] for name in ("LANG", "TERM") if name in os.environ}
        return kept | {
            "PATH": f"{self.programs}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "NO_COLOR": "1",
            "TZ": "UTC",
            "ASAN_OPTIONS": options,
            "UBSAN_OPTIONS": f"log_path={self.reports}:print_stacktrace=1",
            "AWS_SHARED_CREDENTIALS_FILE": str(self.data / "admin.credentials"),
            "AWS_PROFILE": "penstock",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.com",
            "GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@example.com",
        }

    def __enter__(self):
        become_subreaper()
        return self

    def __exit__(self, kind, value, trace):
        if self.keep:
            return
        faults = []
        for program in reversed(self.running):
            try:
                program.check_alive()
                if program.alive():
                    program.stop()
            except SystemFault as fault:
                faults.append(str(fault))
        end_strays(self.folder)
        for report in sorted(self.folder.glob("sanitizer.*")):
            faults.append(report.read_text(errors="replace"))
        if faults and kind is None:
            raise SystemFault("\n".join(faults))

    # ---- controller

    def start_controller(self, *arguments, disk_full=False):
        """Start, or start again on the same ports, and wait until it serves, or says that its disk is
        full."""
        endpoints = self.data / "endpoints.json"
        endpoints.unlink(missing_ok=True)
        argv = [self.programs / "penstock-controller", "--data", self.data]
        for plane in ("http", "control", "bulk"):
            argv += ["--" + plane, self.address(plane) if self.endpoints else "127.0.0.1:0"]
        self.controller = Program(self, "controller", [*argv, *arguments])
        self.running.append(self.controller)
        wait_for(lambda: self.controller.check_alive() or endpoints.exists(), endpoints)
        self.endpoints = json.loads(endpoints.read_text())
        if not disk_full:
            wait_for(self.ready, "GET /readyz to answer 200")
        else:
            wait_for(lambda: b"disk is full" in self.get("/readyz")[1], "it to see its full disk")
        self.environment["PENSTOCK_ENDPOINT"] = self.endpoints["http"]
        return self.controller

    def address(self, plane):
        """ADDR:PORT of http, control or bulk."""
        return self.endpoints[plane].partition("://")[2]

    @property
    def control(self):
        return self.address("control")

    def get(self, path):
        """(status, body) of a GET without signature."""
        try:
            with urllib.request.urlopen(self.endpoints["http"] + path, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def ready(self):
        self.controller.check_alive()
        return self.get("/readyz")[0] == 200

    # ---- clients

    def credentials(self):
        """(access key, secret key) of the administrator."""
        parser = configparser.ConfigParser()
        parser.read(self.data / "admin.credentials")
        section = parser["penstock"]
        return section["aws_access_key_id"], section["aws_secret_access_key"]

    def api(self):
        return Api(self.endpoints["http"], *self.credentials())

    def run(self, *argv, check=True, **options):
        """Run a client; returns CompletedProcess with text. With check, a failure is an error that
        shows what it printed."""
        options.setdefault("timeout", 120)
        options.setdefault("cwd", self.folder)
        done = subprocess.run([str(word) for word in argv], env=self.environment, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL, **options)
        if check and done.returncode != 0:
            raise SystemFault(f"{' '.join(map(str, argv))}: status {done.returncode}\n"
                              f"{done.stdout}{done.stderr}")
        return done

    def penstock(self, *arguments, **options):
        return self.run(self.programs / "penstock", *arguments, **options)

    def penstock_json(self, *arguments, **options):
        return json.loads(self.penstock(*arguments, "--output", "json", **options).stdout)

    def aws(self, operation, *arguments, **options):
        """Debian's `aws codepipeline OPERATION`, which knows no V2 members; returns its JSON."""
        done = self.run("/usr/bin/aws", "--endpoint-url", self.endpoints["http"], "--output",
                        "json", "codepipeline", operation, *arguments, **options)
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def git(self, *arguments, **options):
        return self.run("/usr/bin/git", *arguments, **options).stdout

    # ---- agents

    def token(self, labels=None, slots=None):
        arguments = ["agent", "token"]
        if labels:
            arguments += ["--labels", ",".join(f"{k}={v}" for k, v in labels.items())]
        if slots:
            arguments += ["--slots", slots]
        return self.penstock(*arguments).stdout.split()[-1]

    def add_agent(self, name, labels=None, slots=None, arguments=()):
        """Enrol with a fresh token, start, and wait until the controller sees it connected."""
        before = self.connected_agents()
        agent = Agent(self, name, slots, arguments)
        self.agents[name] = agent
        agent.start(self.token(labels, slots))
        self.wait_agents(before + 1, agent.program)
        return agent

    def list_agents(self):
        answer = self.penstock_json("agent", "list")
        return answer["agents"] if isinstance(answer, dict) else answer

    def connected_agents(self):
        return sum(1 for agent in self.list_agents() if agent.get("connected"))

    def wait_agents(self, count, program=None):
        def enough():
            if program:
                program.check_alive()
            return self.connected_agents() >= count
        wait_for(enough, f"{count} connected agents")

    # ---- pipelines

    def repository(self, name):
        """A repository of the controller, and a clone to push from; returns the clone's path."""
        self.penstock("repo", "create", name)
        listed = self.penstock_json("repo", "list")
        rows = listed["repositories"] if isinstance(listed, dict) else listed
        path = next(row["path"] for row in rows if row["name"] == name)
        clone = self.folder / f"clone-{name}"
        self.git("init", "-q", "-b", "main", clone)
        self.git("remote", "add", "origin", path, cwd=clone)
        return clone

    def push(self, clone, files, message="Change"):
        """Write files, commit, push to main; returns the commit's id."""
        for name, text in files.items():
            path = clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A", cwd=clone)
        self.git("commit", "-q", "--allow-empty", "-m", message, cwd=clone)
        self.git("push", "-q", "origin", "HEAD:main", cwd=clone)
        return self.git("rev-parse", "HEAD", cwd=clone).strip()

    def create_pipeline(self, declaration):
        """Create from a declaration (without the outer "pipeline")."""
        path = self.folder / f"{declaration['name']}.json"
        path.write_text(json.dumps({"pipeline": declaration}))
        self.penstock("pipeline", "create", path)

    def state(self, pipeline):
        return self.aws("get-pipeline-state", "--name", pipeline)

    def executions(self, pipeline):
        """Newest first."""
        answer = self.aws("list-pipeline-executions", "--pipeline-name", pipeline)
        return answer["pipelineExecutionSummaries"]

    def why(self, pipeline, execution_id):
        return self.penstock("why", pipeline, "--execution", execution_id, check=False).stdout

    def wait_execution(self, pipeline, execution_id, states=("Succeeded",), deadline_s=120):
        """Wait until the execution is in one of the states; any other end is a fault."""
        api = self.api()

        def reached():
            status = api.call("GetPipelineExecution", {
                "pipelineName": pipeline, "pipelineExecutionId": execution_id,
            })["pipelineExecution"]["status"]
            if status in ENDS and status not in states:
                raise SystemFault(f"execution {execution_id} of {pipeline} ended {status}\n"
                                  + self.why(pipeline, execution_id))
            return status in states and status
        try:
            return wait_for(reached, f"{pipeline} {execution_id} to be {'/'.join(states)}",
                            deadline_s)
        except TimeoutError as late:
            raise TimeoutError(f"{late}\n{self.why(pipeline, execution_id)}") from None
        finally:
            api.close()


def commands_pipeline(name, repository, stages):
    """A declaration: Source from `repository`, then stages [(stage, [action dict])]."""
    source = {
        "name": "Source",
        "actions": [{
            "name": "Source",
            "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "CodeCommit",
                             "version": "1"},
            "configuration": {"RepositoryName": repository, "BranchName": "main"},
            "outputArtifacts": [{"name": "Code"}],
        }],
    }
    return {
        "name": name,
        "pipelineType": "V2",
        "roleArn": "arn:aws:iam::000000000000:role/penstock",
        "artifactStore": {"type": "S3", "location": "penstock-artifacts"},
        "stages": [source] + [{"name": stage, "actions": actions} for stage, actions in stages],
    }


def commands_action(name, commands, configuration=None, inputs=("Code",), **more):
    return {
        "name": name,
        "actionTypeId": {"category": "Compute", "owner": "AWS", "provider": "Commands",
                         "version": "1"},
        "commands": list(commands),
        "configuration": configuration or {},
        "inputArtifacts": [{"name": artifact} for artifact in inputs],
    } | more


def approval_action(name, **more):
    return {
        "name": name,
        "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual",
                         "version": "1"},
    } | more


def remove_folder(folder):
    """Remove a system's folder, read-only folders inside included."""
    def writable(function, path, _):
        os.chmod(os.path.dirname(path), 0o700)
        os.chmod(path, 0o700)
        function(path)
    shutil.rmtree(folder, onerror=writable)
