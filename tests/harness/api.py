"""A small client of the HTTP API: signs with SigV4 using only Python's standard library.

Tests use it where a real client will not do: for speed, for Penstock's own operations, and to send
what no honest client would send.
"""
import datetime
import hashlib
import hmac
import http.client
import json
import pathlib
import re
import time
import urllib.parse

CODEPIPELINE = "CodePipeline_20150709"
REUSE_S = 10  # an older connection may meet the controller's idle time-out, 30 s, on its way


CATALOGS = {
    prefix: json.loads((pathlib.Path(__file__).resolve().parents[2] / "controller/services" / name /
                        "catalog.json").read_text())
    for prefix, name in ((CODEPIPELINE, "codepipeline"),)}


def flaws(catalog, shape_name, value, where):
    """What of an answer is not as the model says: missing and unknown members, types, lengths."""
    shape = catalog["shapes"][shape_name]
    kind = shape["type"]
    kinds = {"structure": dict, "map": dict, "list": list, "string": str, "integer": int,
             "long": int, "boolean": bool, "timestamp": (int, float)}
    if not isinstance(value, kinds.get(kind, object)) or (kind == "integer" and value is True):
        return [f"{where}: {value!r} is no {kind}"]
    found = []
    if kind == "structure":
        found += [f"{where}.{name}: missing" for name in shape.get("required", ())
                  if name not in value]
        for name, member in value.items():
            if name not in shape["members"]:
                found.append(f"{where}.{name}: not in the model")
            else:
                found += flaws(catalog, shape["members"][name]["shape"], member, f"{where}.{name}")
    elif kind == "list":
        for index, member in enumerate(value):
            found += flaws(catalog, shape["member"]["shape"], member, f"{where}[{index}]")
    elif kind == "map":
        for key, member in value.items():
            found += flaws(catalog, shape["key"]["shape"], key, f"{where}.{key} (key)")
            found += flaws(catalog, shape["value"]["shape"], member, f"{where}.{key}")
    size = value if kind in ("integer", "long") else len(value) if kind in ("string", "list", "map") \
        else None
    if size is not None and not shape.get("min", size) <= size <= shape.get("max", size):
        found.append(f"{where}: {value!r} is not between {shape.get('min')} and {shape.get('max')}")
    if "enum" in shape and value not in shape["enum"]:
        found.append(f"{where}: {value!r} is none of {shape['enum']}")
    if "pattern" in shape and not re.search(rf"\A(?:{shape['pattern']})\Z", value):
        found.append(f"{where}: {value!r} does not match {shape['pattern']}")
    return found


def check_answer(prefix, operation, answer):
    """Every answer of ours, in every test, is held against the model."""
    catalog = CATALOGS.get(prefix)
    output = catalog and catalog["operations"].get(operation, {}).get("output")
    if output:
        found = flaws(catalog, output, answer, operation)
        assert not found, "answers that are not as the model says:\n" + "\n".join(found)


class ApiError(Exception):
    """An answer that is not 200. `name` is the error's own, `status` the HTTP status."""

    def __init__(self, status, name, message):
        super().__init__(f"{status} {name}: {message}")
        self.status, self.name, self.message = status, name, message


def sign(secret, date, region, service, text):
    key = ("AWS4" + secret).encode()
    for part in (date[:8], region, service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


class Api:
    """One connection, kept open. Not for use by two threads."""

    def __init__(self, endpoint, access_key, secret_key, region="us-east-1", timeout_s=60):
        url = urllib.parse.urlsplit(endpoint)
        self.host = url.netloc
        self.access_key, self.secret_key, self.region = access_key, secret_key, region
        self.connection = http.client.HTTPConnection(url.hostname, url.port, timeout=timeout_s)
        self.used_s = 0

    def close(self):
        self.connection.close()

    def headers(self, target, body, service):
        """The signed headers of one request."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        signed = {
            "content-type": "application/x-amz-json-1.1",
            "host": self.host,
            "x-amz-date": now,
            "x-amz-target": target,
        }
        names = ";".join(sorted(signed))
        canonical = "POST\n/\n\n"
        canonical += "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        canonical += f"\n{names}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{now[:8]}/{self.region}/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = sign(self.secret_key, now, self.region, service, text)
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return signed

    def post(self, headers, body):
        """Send as given; returns (status, headers, body)."""
        now = time.monotonic()
        if now - self.used_s > REUSE_S:
            self.connection.close()  # it opens again by itself
        self.used_s = now
        try:
            self.connection.request("POST", "/", body, headers)
            answer = self.connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except Exception:
            self.connection.close()
            raise

    def call(self, operation, arguments=None, prefix=CODEPIPELINE, service="codepipeline"):
        """Call an operation; returns its output, raises ApiError."""
        body = json.dumps(arguments or {}).encode()
        status, _, answer = self.post(self.headers(f"{prefix}.{operation}", body, service), body)
        if status == 200:
            output = json.loads(answer) if answer else {}
            check_answer(prefix, operation, output)
            return output
        try:
            error = json.loads(answer)
        except ValueError:
            raise ApiError(status, "not JSON", answer[:200]) from None
        raise ApiError(status, error.get("__type", ""), error.get("message", ""))
