"""A stand-in for the controller, by script: for tests of its clients.

It checks every signature by its own code. Stub.operations[NAME] is a function from input to output
that may raise Fault; Log and Execution serve what GetLogs, WatchExecution and the lists give. The
fixtures `stub`, `environment` and `run` (conftest.py) are made of it. PEN_BIN names the folder of the program.
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = str(pathlib.Path(os.environ.get("PEN_BIN", ROOT / "build-asan" / "bin")) / "penstock")
KEY, SECRET = "PENAKIDEXAMPLE", "s3cr3t/with+signs"
EXECUTION = "11111111-2222-4333-8444-555555555555"
COMMIT = "3774639351b10d56f22c6e9a5c5a2e3c4c7c1f9e"


class Fault(Exception):
    def __init__(self, name, message="", status=400):
        super().__init__(name)
        self.name, self.message, self.status = name, message, status


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature_is_good(handler, body, service, region):
    match = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
        r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})", handler.headers["Authorization"] or "")
    if not match:
        return False
    key, day, seen_region, seen_service, names, signature = match.groups()
    if (key, seen_region, seen_service) != (KEY, region, service) or "x-amz-target" not in names:
        return False
    headers = "".join(f"{n}:{handler.headers[n].strip()}\n" for n in names.split(";"))
    canonical = "\n".join(["POST", "/", "", headers, names, hashlib.sha256(body).hexdigest()])
    scope = f"{day}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", handler.headers["X-Amz-Date"], scope,
                         hashlib.sha256(canonical.encode()).hexdigest()])
    secret = sign(("AWS4" + SECRET).encode(), day)
    for part in (region, service, "aws4_request"):
        secret = sign(secret, part)
    return hmac.new(secret, to_sign.encode(), hashlib.sha256).hexdigest() == signature


class Stub:
    """A controller by script: operations[name] is a function from input to output."""

    def __init__(self):
        self.operations = {  # asked along with a status
            "Explain": lambda _: {"reasons": []}, "GetHealth": lambda _: {}}
        self.calls = []
        self.region = "us-east-1"
        self.changed = threading.Condition()
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, status, answer):
                body = json.dumps(answer).encode() if answer is not None else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.reply(200 if self.path in ("/healthz", "/readyz") else 404, {"status": "ok"})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                prefix, name = self.headers["X-Amz-Target"].split(".")
                service = {"CodePipeline_20150709": "codepipeline",
                           "Penstock_20261101": "penstock"}[prefix]
                try:
                    if not signature_is_good(self, body, service, stub.region):
                        raise Fault("InvalidSignatureException", "bad signature", 403)
                    data = json.loads(body)
                    with stub.changed:
                        stub.calls.append((name, data))
                        stub.changed.notify_all()
                    if name not in stub.operations:
                        raise Fault("UnknownOperationException", name)
                    self.reply(200, stub.operations[name](data))
                except Fault as fault:
                    self.reply(fault.status, {"__type": "com.amazon#" + fault.name,
                                              "message": fault.message})
                except (BrokenPipeError, ConnectionResetError):
                    pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,),
                         daemon=True).start()

    def inputs(self, name):
        return [data for called, data in self.calls if called == name]

    def wait_for(self, name, count=1):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.inputs(name)) >= count, 30)


class Log:
    """The log of one action, served as the controller does, with long polls."""

    def __init__(self, action="a-1", piece=1 << 20):
        self.action, self.data, self.complete, self.fence = action, b"", False, 1
        self.piece = piece
        self.old = {}
        self.condition = threading.Condition()

    def add(self, data, complete=False):
        with self.condition:
            self.data += data
            self.complete = complete
            self.condition.notify_all()

    def serve(self, data):
        offset, fence = data.get("offset", 0), data.get("fence", self.fence)
        with self.condition:
            def text():
                return self.data if fence == self.fence else self.old[fence]

            def over():
                return self.complete or fence != self.fence
            self.condition.wait_for(lambda: len(text()) > offset or over(),
                                    data.get("waitSeconds", 0))
            if offset > len(text()):
                raise Fault("ValidationException", "beyond the end")
            part = text()[offset:offset + self.piece]
            after = offset + len(part)
            return {"actionExecutionId": self.action, "fence": fence, "offset": offset,
                    "attempts": [{"fence": each, "agentName": f"builder-{each + 6}"}
                                 for each in [self.fence, *self.old]],
                    "data": base64.b64encode(part).decode(), "nextOffset": after,
                    "size": len(text()), "complete": over() and after == len(text())}

    def new_attempt(self):
        with self.condition:
            self.old[self.fence] = self.data
            self.fence, self.data = self.fence + 1, b""
            self.condition.notify_all()


def detail(action, status, category="Compute", **more):
    return {"pipelineExecutionId": EXECUTION, "actionExecutionId": "a-" + action,
            "stageName": "Stage", "actionName": action, "status": status, "startTime": 1700000000,
            "lastUpdateTime": 1700000012.5,
            "input": {"actionTypeId": {"category": category}},
            "output": {"executionResult": more}}


class Execution:
    """One execution, served as WatchExecution and the lists do."""

    def __init__(self, stub):
        self.status, self.facts, self.rows, self.reasons = "InProgress", [], {}, []
        self.condition = threading.Condition()
        self.logs = {}
        stub.operations.update(
            StartPipelineExecution=lambda _: {"pipelineExecutionId": EXECUTION},
            WatchExecution=self.watch, GetLogs=self.log, GetPipelineState=self.state,
            ListActionExecutions=lambda _: {
                "actionExecutionDetails": list(reversed(self.rows.values()))},
            Explain=lambda _: {"reasons": self.reasons})

    def log(self, data):
        name = data["actionExecutionId"][2:]
        if name not in self.logs:
            raise Fault("ActionExecutionNotFoundException", name)
        return self.logs[name].serve(data)

    def state(self, _):
        return {"stageStates": [{"stageName": "Stage", "actionStates": [
            {"actionName": "Build", "latestExecution": {
                "actionExecutionId": "a-Build", "status": "InProgress", "percentComplete": 40}}]}]}

    def fact(self, text="", action=None, status=None, row=None, kind="k"):
        with self.condition:
            self.facts.append({"sequence": len(self.facts) + 1, "time": 1700000000, "kind": kind,
                               "text": text, **({"stage": "Stage", "action": action}
                                                if action else {})})
            self.status = status or self.status
            if row:
                self.rows[row["actionName"]] = row
            self.condition.notify_all()

    def watch(self, data):
        after = data["afterSequence"]
        with self.condition:
            self.condition.wait_for(lambda: len(self.facts) > after, data["waitSeconds"])
            return {"executionId": EXECUTION, "status": self.status,
                    "lastSequence": len(self.facts), "facts": self.facts[after:]}


def approval(stage, action, token="tok"):
    return {"stageName": stage, "actionStates": [{"actionName": action, "latestExecution": {
        "actionExecutionId": "id-" + action, "status": "InProgress", "token": token,
        "lastStatusChange": 1700000000}}]}


def environment_of(stub, home):
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PENSTOCK_ENDPOINT": stub.url,
            "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}


def runner(environment):
    """A function that runs `penstock` with words and returns what it said on both outputs."""
    def call(*words, code=0, stdin="", **variables):
        result = subprocess.run([PROGRAM, *words], env={**environment, **variables}, timeout=60,
                                input=stdin.encode(), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        out, err = result.stdout.decode(), result.stderr.decode()
        assert result.returncode == code, (out, err)
        assert "Sanitizer" not in err, err
        return out, err
    return call


def popen(environment, *words):
    return subprocess.Popen([PROGRAM, *words], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def read_bytes(process, wanted):
    """Read what comes, until it is all that was wanted; readline would wait for a line's end."""
    seen = b""
    while len(seen) < len(wanted):
        part = os.read(process.stdout.fileno(), 4096)
        assert part, (seen, wanted)
        seen += part
    assert seen == wanted


def popen_bytes(environment, *words):
    return subprocess.Popen([PROGRAM, *words], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def read_until(process, pattern):
    for line in process.stdout:
        if re.search(pattern, line):
            return line
    raise AssertionError(f"no {pattern}: {process.stderr.read()}")
