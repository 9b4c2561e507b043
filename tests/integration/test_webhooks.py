"""Webhooks: PutWebhook, ListWebhooks, DeleteWebhook by `aws`, calls by raw HTTP."""
import hmac
import http.client
import json
import re
import urllib.parse

import pytest

from conftest import ROOT
from harness.api import ApiError
from harness.system import approval_action, commands_pipeline, wait_for

NAME = "hooked"
SECRET = "a secret of a webhook"
MAIN = json.dumps({"ref": "refs/heads/main", "commits": [{"id": 1}, {"id": 2}]}).encode()


def prepare(system):
    clone = system.repository("code")
    system.push(clone, {"file": "content\n"})
    system.create_pipeline(commands_pipeline(NAME, "code", [("Ask", [approval_action("Approve")])]))
    wait_for(lambda: system.executions(NAME)[0].get("sourceRevisions"), "the first revision")
    return system


@pytest.fixture
def site(system):
    return prepare(system)


def definition(name="push", filters=(), authentication="UNAUTHENTICATED", **more):
    return {"name": name, "targetPipeline": NAME, "targetAction": "Source",
            "filters": list(filters), "authentication": authentication,
            "authenticationConfiguration": {}} | more


def hmac_definition(**more):
    return definition(authentication="GITHUB_HMAC",
                      authenticationConfiguration={"SecretToken": SECRET}, **more)


def put(system, whole):
    return system.aws("put-webhook", "--webhook", json.dumps(whole))["webhook"]


def call(url, body=b"", method="POST", headers=()):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        target = parts.path + ("?" + parts.query if parts.query else "")
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else {}
    finally:
        connection.close()


def signed(body, secret=SECRET, kind="sha256", **more):
    mac = hmac.new(secret.encode(), body, kind).hexdigest()
    header = "X-Hub-Signature-256" if kind == "sha256" else "X-Hub-Signature"
    return {header: f"{kind}={mac}"} | {k.replace("_", "-"): v for k, v in more.items()}


def count(system):
    return len(system.executions(NAME))


def test_url_behind_a_proxy(empty_system):
    system = empty_system
    system.start_controller("--public-url", "https://ci.example.org:8443/penstock")
    prepare(system)
    url = put(system, definition())["url"]
    outside, path = url.split("/hooks/", 1)
    assert outside == "https://ci.example.org:8443/penstock"
    assert system.aws("list-webhooks")["webhooks"][0]["url"] == url
    # What the proxy hands on is the same path at the controller's own address.
    assert call(f"{system.endpoints['http']}/hooks/{path}", MAIN)[0] == 200


@pytest.mark.parametrize("url", ["ci.example.org", "ftp://ci.example.org", "https://", "https:///x",
                                 "https://ci.example.org/", "https://user@ci.example.org",
                                 "https://ci.example.org?x", "https://ci example.org"])
def test_a_public_url_that_is_none(empty_system, url):
    done = empty_system.run(empty_system.programs / "penstock-controller", "--data",
                            empty_system.folder / "data", "--public-url", url, check=False)
    assert done.returncode != 0 and "public-url" in done.stderr, done


def test_put_list_delete_by_aws(site):
    first = put(site, hmac_definition(filters=[{"jsonPath": "$.ref",
                                                "matchEquals": "refs/heads/{BranchName}"}]))
    shown = first["definition"]
    assert shown["authenticationConfiguration"] == {"SecretToken": "****"}
    assert shown["filters"] == [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{BranchName}"}]
    assert first["arn"] == "arn:aws:codepipeline:us-east-1:000000000000:webhook:push"
    assert re.fullmatch(re.escape(site.endpoints["http"]) + r"/hooks/webhook/push/[0-9a-f]{64}",
                        first["url"])
    assert "lastTriggered" not in first
    again = put(site, hmac_definition())
    assert again["url"] == first["url"] and again["definition"]["filters"] == []
    kept = put(site, definition(authentication="GITHUB_HMAC",
                                authenticationConfiguration={"SecretToken": "****"}))
    assert call(kept["url"], MAIN, headers=signed(MAIN))[0] == 200
    put(site, definition("b"))
    put(site, definition("a", authentication="IP",
                         authenticationConfiguration={"AllowedIPRange": "10.0.0.0/8"}))
    listed = site.aws("list-webhooks")["webhooks"]
    assert [one["definition"]["name"] for one in listed] == ["a", "b", "push"]
    assert listed[0]["definition"]["authenticationConfiguration"] == {
        "AllowedIPRange": "10.0.0.0/8"}
    assert listed[1]["definition"]["authenticationConfiguration"] == {}
    assert listed[2]["lastTriggered"]
    paged = site.aws("list-webhooks", "--page-size", "1")["webhooks"]
    assert [one["url"] for one in paged] == [one["url"] for one in listed]
    api = site.api()
    page = api.call("ListWebhooks", {"MaxResults": 2})
    assert len(page["webhooks"]) == 2 and "nextToken" not in page
    rest = api.call("ListWebhooks", {"MaxResults": 2, "NextToken": page["NextToken"]})
    assert [one["definition"]["name"] for one in rest["webhooks"]] == ["push"]
    assert "NextToken" not in rest
    with pytest.raises(ApiError) as fault:
        api.call("ListWebhooks", {"NextToken": "x"})
    assert fault.value.name == "InvalidNextTokenException"
    api.close()
    site.aws("delete-webhook", "--name", "push")
    site.aws("delete-webhook", "--name", "push")  # gone is gone
    assert call(kept["url"], MAIN, headers=signed(MAIN))[0] == 404
    new = put(site, hmac_definition())
    assert new["url"] != first["url"]
    assert call(first["url"], MAIN, headers=signed(MAIN))[0] == 404
    # Neither the secret nor the URL's unguessable part is in a log; the token is nowhere in plain.
    log = site.controller.tail(100000)
    for hidden in (SECRET, new["url"].rsplit("/", 1)[1], first["url"].rsplit("/", 1)[1]):
        assert hidden not in log
    assert "target=/hooks/webhook/push " in log
    site.controller.stop()
    stored = b"".join(path.read_bytes() for path in site.data.rglob("*") if path.is_file())
    assert new["url"].rsplit("/", 1)[1].encode() in stored and SECRET.encode() not in stored


REFUSED = [
    ({"targetPipeline": "nobody"}, "PipelineNotFoundException"),
    ({"targetAction": "Approve"}, "ValidationException"),
    ({"targetAction": "nobody"}, "ValidationException"),
    ({"name": "no blanks"}, "ValidationException"),
    ({"authentication": "OTHER"}, "ValidationException"),
    ({"filters": [{"jsonPath": "$.x"}] * 6}, "ValidationException"),
    ({"filters": [{"jsonPath": "$.x", "matchEquals": "{Nothing}"}]}, "ValidationException"),
    ({"filters": [{"jsonPath": "ref"}]}, "InvalidWebhookFilterPatternException"),
    ({"filters": [{"jsonPath": "$.a[?(@.b)]"}]}, "InvalidWebhookFilterPatternException"),
    ({"filters": [{"jsonPath": "$.a[0:1]"}]}, "InvalidWebhookFilterPatternException"),
] + [({"authentication": kind, "authenticationConfiguration": parameters},
      "InvalidWebhookAuthenticationParametersException")
     for kind, parameters in [
         ("GITHUB_HMAC", {}), ("GITHUB_HMAC", {"SecretToken": "****"}),
         ("GITHUB_HMAC", {"AllowedIPRange": "10.0.0.0/8"}),
         ("GITHUB_HMAC", {"SecretToken": "x", "AllowedIPRange": "10.0.0.0/8"}),
         ("IP", {}), ("IP", {"SecretToken": "x"}), ("IP", {"AllowedIPRange": "10.0.0.1"}),
         ("IP", {"AllowedIPRange": "10.0.0.0/33"}), ("IP", {"AllowedIPRange": "10.0.0/8"}),
         ("IP", {"AllowedIPRange": "::/129"}), ("IP", {"AllowedIPRange": "host/8"}),
         ("UNAUTHENTICATED", {"SecretToken": "x"}),
         ("UNAUTHENTICATED", {"AllowedIPRange": "10.0.0.0/8"})]]


def test_what_is_refused(site):
    api = site.api()
    for change, name in REFUSED:
        with pytest.raises(ApiError) as fault:
            api.call("PutWebhook", {"webhook": definition() | change})
        assert fault.value.name == name, (change, fault.value)
    with pytest.raises(ApiError) as fault:
        api.call("PutWebhook", {"webhook": definition(), "tags": [{"key": "a", "value": "b"}]})
    assert fault.value.name == "ValidationException"
    assert api.call("ListWebhooks", {})["webhooks"] == []
    for operation in ("RegisterWebhookWithThirdParty", "DeregisterWebhookWithThirdParty"):
        with pytest.raises(ApiError) as fault:
            api.call(operation, {"webhookName": "push"})
        assert fault.value.name == "WebhookNotFoundException"
    api.call("PutWebhook", {"webhook": definition()})
    with pytest.raises(ApiError) as fault:
        api.call("RegisterWebhookWithThirdParty", {"webhookName": "push"})
    assert fault.value.name == "ValidationException" and "by hand" in fault.value.message
    assert api.call("DeregisterWebhookWithThirdParty", {"webhookName": "push"}) == {}
    api.call("DeleteWebhook", {"name": "push"})  # in the API's order: deregister, then delete
    with pytest.raises(ApiError) as fault:
        api.call("DeregisterWebhookWithThirdParty", {"webhookName": "push"})
    assert fault.value.name == "WebhookNotFoundException"
    api.close()


def test_filters_and_what_they_start(site):
    filters = [{"jsonPath": "$.ref", "matchEquals": "refs/heads/{BranchName}"},
               {"jsonPath": "$.commits[1].id", "matchEquals": "2"}, {"jsonPath": "$..id"}]
    hook = put(site, definition(filters=filters))
    before = count(site)
    for body, number in ((b"{}", 1), (MAIN.replace(b"main", b"other"), 1),
                         (MAIN.replace(b"2", b"3"), 2)):
        assert call(hook["url"], body) == (200, {
            "outcome": "filtered", "filter": number,
            "jsonPath": filters[number - 1]["jsonPath"]})
    for body in (b"", b"ref=1", b"{", b'{"ref":"\xff"}', b"[" * 600 + b"]" * 600):
        status, answer = call(hook["url"], body)
        assert (status, answer["__type"]) == (400, "ValidationException"), body
    try:
        assert call(hook["url"], b" " * (25 * 1024 * 1024 + 1))[0] == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # the door had closed while the client was still sending
    assert count(site) == before
    status, answer = call(hook["url"], MAIN)
    assert (status, answer["outcome"]) == (200, "started")
    newest = site.executions(NAME)[0]
    assert newest["pipelineExecutionId"] == answer["pipelineExecutionId"]
    api = site.api()
    for trigger in (newest["trigger"], api.call("GetPipelineExecution", {
            "pipelineName": NAME, "pipelineExecutionId": answer["pipelineExecutionId"]})[
                "pipelineExecution"]["trigger"]):
        assert trigger == {"triggerType": "Webhook", "triggerDetail": hook["arn"]}
    api.close()
    assert call(hook["url"], MAIN)[1]["outcome"] == "started"  # by hand, as often as one likes
    # Without its pipeline it says so, wherever one looks.
    site.penstock("pipeline", "delete", NAME, "--yes")
    status, answer = call(hook["url"], MAIN)
    assert (status, answer["__type"]) == (400, "PipelineNotFoundException")
    assert site.aws("list-webhooks")["webhooks"][0]["errorCode"] == "PipelineNotFoundException"


def test_proofs_and_repeats(site):
    url = put(site, hmac_definition())["url"]
    sha1, sha256 = signed(MAIN, kind="sha1"), signed(MAIN)
    other = signed(MAIN, "other")
    for headers in ({}, other, signed(MAIN + b" "), {"X-Hub-Signature": "sha1="},
                    {"X-Hub-Signature": sha256["X-Hub-Signature-256"]}, other | sha1,
                    {"X-Gitlab-Token": ""}, {"X-Gitlab-Token": SECRET + "x"},
                    {"X-Gitea-Signature": "00" * 32},
                    {"X-Hub-Signature-256": sha256["X-Hub-Signature-256"][:-2]}):
        assert call(url, MAIN, headers=headers)[0] == 403, headers
    for target in (url + "0", url[:-1], url + "/x", url + "?x=1", url.rsplit("/", 1)[0],
                   url.replace("/push/", "/nobody/"), url.rsplit("/", 1)[0] + "/"):
        assert call(target, MAIN, headers=sha256)[0] == 404, target
    assert call(url, method="GET")[0] == 405
    before = count(site)
    gitea = {"X-Gitea-Signature": sha256["X-Hub-Signature-256"][7:]}
    for headers in (sha1, sha256, gitea, {"X-Gitlab-Token": SECRET}):
        assert call(url, MAIN, headers=headers)[1]["outcome"] == "started"
    assert count(site) == before + 4

    # A delivery with an id is taken once, under whatever id its signed body comes again, and
    # also after a restart.
    body = MAIN + b" "
    assert call(url, body, headers=signed(body, X_GitHub_Delivery="1"))[1]["outcome"] == "started"
    assert call(url, MAIN, headers={"X-Gitlab-Token": SECRET, "X-Gitlab-Event-UUID": "7"})[1][
        "outcome"] == "started"
    site.controller.kill()
    site.start_controller()
    url = site.aws("list-webhooks")["webhooks"][0]["url"]
    for headers in (signed(body, X_GitHub_Delivery="1"), signed(body, X_GitHub_Delivery="2"),
                    signed(body),  # somebody has taken the id away
                    {"X-Gitlab-Token": SECRET, "X-Gitlab-Event-UUID": "7"}):
        assert call(url, body, headers=headers)[1] == {"outcome": "repeated"}
    assert call(url, body + b" ", headers=signed(body + b" ", X_GitHub_Delivery="3"))[1][
        "outcome"] == "started"


def test_addresses(site):
    def status(allowed):
        whole = definition(authentication="IP",
                           authenticationConfiguration={"AllowedIPRange": allowed})
        return call(put(site, whole)["url"], headers={"X-Forwarded-For": "10.0.0.1"})[0]
    for allowed in ("127.0.0.1/32", "127.0.0.0/8", "0.0.0.0/0", "::ffff:127.0.0.0/104",
                    "::/0"):
        assert status(allowed) == 200, allowed
    for allowed in ("127.0.0.2/32", "10.0.0.0/8", "128.0.0.0/1", "2001:db8::/32", "::1/128"):
        assert status(allowed) == 403, allowed


def test_command_line(site):
    secret = site.folder / "secret"
    secret.write_text(SECRET + "\n")
    url = site.penstock("webhook", "put", "site-push", "--pipeline", NAME, "--action", "Source",
                        "--secret-file", secret, "--filter", "$.ref=refs/heads/{BranchName}",
                        "--filter", "$.commits").stdout.strip()
    assert call(url, MAIN, headers=signed(MAIN))[1]["outcome"] == "started"
    assert call(url, b"{}", headers=signed(b"{}"))[1]["outcome"] == "filtered"
    table = site.penstock("webhook", "list").stdout.splitlines()
    assert table[0].split() == ["NAME", "PIPELINE", "CALLERS", "TRIGGERED", "URL"]
    assert "site-push" in table[1] and "GITHUB_HMAC" in table[1] and url in table[1]
    listed = site.penstock_json("webhook", "list")["webhooks"]
    assert [one["url"] for one in listed] == [url]
    assert listed[0]["definition"]["filters"][1] == {"jsonPath": "$.commits"}
    done = site.penstock("webhook", "put", "x", "--pipeline", NAME, "--action", "Source",
                         check=False)
    assert done.returncode == 2 and "--secret-file" in done.stderr
    site.penstock("webhook", "delete", "site-push")
    assert site.penstock_json("webhook", "list") == {"webhooks": []}


def test_the_documentation(site):
    """The shell blocks of docs/starting.md about webhooks, as they are written."""
    text = (ROOT / "docs" / "starting.md").read_text()
    script = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S)).replace(
        "--pipeline hello", f"--pipeline {NAME}").replace(
        "penstock webhook", f"{site.programs}/penstock webhook")
    (site.folder / "hook-secret").write_text(SECRET + "\n")
    done = site.run("/bin/bash", "-eu", "-o", "pipefail", "-c", script)
    assert '"outcome":"started"' in done.stdout


def test_bodies_as_large_as_servers_send_them(site):
    url = put(site, hmac_definition(filters=[
        {"jsonPath": "$.ref", "matchEquals": "refs/heads/main"}]))["url"]
    commits = [{"id": f"{number:040x}", "message": "Change\n" + "x" * 400,
                "added": [f"folder/{number}.c"], "author": {"name": "Ada", "email": "a@b.c"}}
               for number in range(2048)]
    body = json.dumps({"ref": "refs/heads/main", "commits": commits}).encode()
    assert len(body) > 1024 * 1024
    before = count(site)
    status, answer = call(url, body, headers=signed(body))
    assert (status, answer["outcome"]) == (200, "started")
    wait_for(lambda: count(site) == before + 1, "the start")
    largest = json.dumps({"ref": "refs/heads/other", "x": ""}).encode()
    largest = largest[:-2] + b"x" * (25 * 1024 * 1024 - len(largest)) + largest[-2:]
    status, answer = call(url, largest, headers=signed(largest))
    assert (status, answer["outcome"]) == (200, "filtered")
    status, answer = call(url, b"", headers={"Content-Length": str(25 * 1024 * 1024 + 1)})
    assert status == 413 and "26214400" in answer["message"]
    # An API request is still one that a person has written.
    status, _ = call(site.endpoints["http"] + "/", b"", headers={"Content-Length": "1048577"})
    assert status == 413


def test_every_json_starts_what_it_says(site):
    url = put(site, definition(filters=[
        {"jsonPath": "$.ref", "matchEquals": "refs/heads/main"}]))["url"]
    before = count(site)
    for number, more in enumerate([rb'"msg":"a\u0000b"', rb'"msg":"\ud800"', b'"id":18446744073709551616',
                                   b'"n":1e999', b'"msg":1,"msg":2']):
        status, answer = call(url, b'{"ref":"refs/heads/main",' + more + b"}",
                              headers={"X-GitHub-Delivery": str(number)})
        assert (status, answer.get("outcome")) == (200, "started"), more
    wait_for(lambda: count(site) == before + 5, "five starts")
    assert call(url, b'{"ref":"refs/heads/main",}')[0] == 400
