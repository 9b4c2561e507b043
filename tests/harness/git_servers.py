"""Real git servers on loopback, for the time of a `with`: https by git's own http-backend, ssh by dropbear."""
import base64
import http.server
import os
import pathlib
import pwd
import shutil
import socket
import ssl
import subprocess
import threading

HTTP_BACKEND = "/usr/lib/git-core/git-http-backend"
USER, PASSWORD = "miller", "correct horse battery staple"
ENDING_S = 10


def make_certificate(folder, name):
    """A key and a certificate for localhost that vouches for itself."""
    key, certificate = pathlib.Path(folder, f"{name}.key"), pathlib.Path(folder, f"{name}.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                    "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return key, certificate


class Https:
    """Serves `folder` to who knows the password; "/away/..." is redirected to `away`.

    `requests` holds (path, Authorization) of all that came.
    """

    def __init__(self, folder, key, certificate, away=None):
        self.folder, self.away, self.requests = folder, away, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self):
                outer.answer(self)
            do_POST = do_GET

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, request):
        said = request.headers.get("Authorization")
        self.requests.append((request.path, said))
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if self.away and request.path.startswith("/away/"):
            self.reply(request, 302, [("Location", self.away + request.path[5:])])
        elif said != wanted:
            self.reply(request, 401, [("WWW-Authenticate", 'Basic realm="git"')])
        else:
            self.run_backend(request, body)

    @staticmethod
    def reply(request, status, headers, body=b""):
        request.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    def run_backend(self, request, body):
        path, _, query = request.path.partition("?")
        done = subprocess.run([HTTP_BACKEND], input=body, stdout=subprocess.PIPE, check=True, env={
            "GIT_PROJECT_ROOT": str(self.folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "GIT_PROTOCOL": request.headers.get("Git-Protocol") or "", "QUERY_STRING": query,
            "REQUEST_METHOD": request.command, "REMOTE_USER": USER, "PATH": "/usr/bin:/bin",
            "CONTENT_TYPE": request.headers.get("Content-Type") or "",
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding") or ""})
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        self.reply(request, status, [field for field in fields if field[0] != "Status"], content)


class Ssh:
    """Dropbear for the user of the test, who is let in by a key that is made here.

    The home folder that it sees is one of the test's own, by a mount namespace.
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.user = pwd.getpwuid(os.getuid())
        self.key = self.folder / "client-key"
        self.host_key = self.folder / "host-key"

    def __enter__(self):
        home = self.folder / "ssh-home"
        (home / ".ssh").mkdir(parents=True, mode=0o700)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        allowed = home / ".ssh" / "authorized_keys"
        shutil.copy(f"{self.key}.pub", allowed)
        allowed.chmod(0o600)
        home.chmod(0o700)
        made = subprocess.run(["dropbearkey", "-t", "ed25519", "-f", self.host_key], check=True,
                              capture_output=True, text=True)
        public = next(line for line in made.stdout.splitlines() if line.startswith("ssh-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.known_host = f"[127.0.0.1]:{self.port} {' '.join(public.split()[:2])}\n"
        self.url = f"ssh://{self.user.pw_name}@127.0.0.1:{self.port}"
        self.log = open(self.folder / "dropbear.log", "wb")
        self.process = subprocess.Popen(
            ["bwrap", "--dev-bind", "/", "/", "--bind", home, self.user.pw_dir, "--die-with-parent",
             "dropbear", "-F", "-E", "-s", "-j", "-k", "-r", self.host_key, "-P", "",
             "-p", f"127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)
        return self

    def serves(self):
        assert self.process.poll() is None, (self.folder / "dropbear.log").read_text()
        with socket.socket() as link:
            return link.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, kind, value, trace):
        self.process.terminate()
        self.process.wait(ENDING_S)
        self.log.close()
