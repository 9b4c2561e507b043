"""What no honest client sends: each is answered by an error that names the cause, and the controller
goes on serving."""
import json
import os
import socket

import pytest

from harness.api import CODEPIPELINE, ApiError

BODY_LIMIT = 1 << 20  # a request is at most about this large


@pytest.fixture
def api(system):
    yield system.api()
    assert system.ready()
    assert system.api().call("ListPipelines") == {"pipelines": []}


def answer(api, headers, body):
    status, _, text = api.post(headers, body)
    error = json.loads(text)
    return status, error.get("__type"), error.get("message") or error.get("Message")


def test_unsigned(api):
    headers = api.headers(f"{CODEPIPELINE}.ListPipelines", b"{}", "codepipeline")
    del headers["authorization"]
    status, name, _ = answer(api, headers, b"{}")
    assert (status, name) == (400, "MissingAuthenticationTokenException")


def test_unknown_key(api):
    api.access_key = "AKIAUNKNOWNUNKNOWN00"
    with pytest.raises(ApiError) as caught:
        api.call("ListPipelines")
    assert caught.value.name == "UnrecognizedClientException"


def test_wrong_secret(api):
    api.secret_key = "x" + api.secret_key[1:]
    with pytest.raises(ApiError) as caught:
        api.call("ListPipelines")
    assert caught.value.name in ("InvalidSignatureException", "SignatureDoesNotMatch")


def test_body_changed_after_signing(api):
    headers = api.headers(f"{CODEPIPELINE}.ListPipelines", b"{}", "codepipeline")
    status, name, _ = answer(api, headers, b'{"maxResults": 1}')
    assert (status, name) == (400, "InvalidSignatureException")


def test_unknown_operation(api):
    with pytest.raises(ApiError) as caught:
        api.call("OpenTheSluice")
    assert caught.value.name == "UnknownOperationException"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"{}{}", b'{"name": "\xff\xfe"}',
                                  b'{"name": ' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_body_that_is_no_json_object(api, body):
    headers = api.headers(f"{CODEPIPELINE}.GetPipeline", body, "codepipeline")
    status, name, message = answer(api, headers, body)
    assert status == 400
    assert name in ("SerializationException", "ValidationException")
    assert message


@pytest.mark.parametrize("arguments", [
    {}, {"name": ""}, {"name": 5}, {"name": "n" * 101}, {"name": "no/slash"},
    {"name": "fine", "version": 0}, {"name": "fine", "version": "1"}])
def test_member_that_breaks_its_limits_is_named(api, arguments):
    with pytest.raises(ApiError) as caught:
        api.call("GetPipeline", arguments)
    assert caught.value.name in ("ValidationException", "SerializationException")
    wrong = "version" if "version" in arguments else "name"
    assert wrong in caught.value.message


def test_body_over_the_limit(api):
    body = json.dumps({"name": "n" * 8 * BODY_LIMIT}).encode()
    headers = api.headers(f"{CODEPIPELINE}.GetPipeline", body, "codepipeline")
    try:
        status, _, _ = api.post(headers, body)
        assert status in (400, 413)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before the end of the body


@pytest.mark.parametrize("head", [
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\n{}",
])
def test_ambiguous_requests_are_refused(api, system, head):
    host, port = system.address("http").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as link:
        link.sendall(head)
        said = link.recv(4096)
    assert said.startswith(b"HTTP/1.1 4") or said == b""


@pytest.mark.parametrize("plane", ["control", "bulk"])
@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096), b"\xff" * 64 + b"\x00" * 4096,
    b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL" + b"\0" * 48 + b"\x04\x19\x05READY" + b"\0" * 18])
def test_garbage_on_the_agents_ports(api, system, plane, data):
    """Plain text, noise, half a greeting, and a peer that speaks ZeroMQ without encryption."""
    host, port = system.address(plane).rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as link:
        link.sendall(data)
        link.settimeout(1)
        try:
            while link.recv(4096):
                pass
        except OSError:
            pass
    assert system.list_agents() == []


@pytest.mark.parametrize("name", ["../up", "", "a/b", "-rf", "x" * 200, ".git"])
def test_repository_names(api, system, name):
    done = system.penstock("repo", "create", "--", name, check=False)
    assert done.returncode != 0
    assert done.stderr
    assert os.listdir(system.data / "repos") == [] if (system.data / "repos").exists() else True
