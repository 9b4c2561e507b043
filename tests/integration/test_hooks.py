"""Push webhooks of connections: a signed call starts what was pushed, nothing else does anything.

Polls are an hour apart, so whatever starts was started by a call."""
import hashlib
import hmac
import json
import urllib.error
import urllib.request

import pytest

from harness.system import approval_action, commands_pipeline, wait_for

NAME = "hooked"
SECRET = "correct horse battery staple"
BODY = json.dumps({"ref": "refs/heads/main"}).encode()


def mac(body, secret=SECRET):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Upstream:
    """A git repository outside of Penstock, as a connection's server has it."""

    def __init__(self, system):
        self.system = system
        self.folder = system.folder / "upstream"
        self.bare = self.folder / "team" / "app.git"
        self.clone = system.folder / "work"
        system.git("init", "-q", "--bare", "-b", "main", self.bare)
        system.git("init", "-q", "-b", "main", self.clone)
        system.git("remote", "add", "origin", self.bare, cwd=self.clone)
        self.head = system.push(self.clone, {"file": "first\n"})
        secret = system.folder / "hook-secret"
        secret.write_text(SECRET + "\n")
        system.penstock("connection", "create", "forge", "--url", self.folder,
                        "--hook-secret-file", secret)
        row = system.penstock_json("connection", "list")["connections"][0]
        assert row["hasHookSecret"] and SECRET not in json.dumps(row)
        self.arn, self.path = row["connectionArn"], "/hooks/connection/" + row["connectionId"]

    def declaration(self, **more):
        whole = commands_pipeline(NAME, "", [("Ask", [approval_action("Approve")])])
        source = whole["stages"][0]["actions"][0]
        source["actionTypeId"]["provider"] = "CodeStarSourceConnection"
        source["configuration"] = {"ConnectionArn": self.arn, "FullRepositoryId": "team/app",
                                   "BranchName": "main"}
        return whole | more


@pytest.fixture
def upstream(empty_system):
    empty_system.start_controller("--poll-interval", "1h")
    return Upstream(empty_system)


def call(system, path, body=BODY, method="POST", **headers):
    request = urllib.request.Request(system.endpoints["http"] + path, data=body, method=method,
                                     headers={name.replace("_", "-"): value
                                              for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def running(system):
    return len(system.executions(NAME))


def settled(system):
    """The first execution has its revision: what comes later is news."""
    wait_for(lambda: system.executions(NAME)[0].get("sourceRevisions"), "the first revision")


def test_a_signed_call_starts_what_was_pushed(upstream):
    system = upstream.system
    system.create_pipeline(upstream.declaration())
    settled(system)
    kinds = [{"x_hub_signature_256": "sha256=" + mac(BODY), "x_github_event": "push"},
             {"x_gitea_signature": mac(BODY), "x_gitea_event": "push"},
             {"x_gitlab_token": SECRET, "x_gitlab_event": "Push Hook"}]
    for count, headers in enumerate(kinds, 2):
        commit = system.push(upstream.clone, {"file": f"{count}\n"})
        assert call(system, upstream.path, **headers) == 202
        wait_for(lambda: running(system) == count, f"{count} executions", 20)
        wait_for(lambda: system.executions(NAME)[0].get("sourceRevisions"), "its revision")
        newest = system.executions(NAME)[0]
        assert newest["sourceRevisions"][0]["revisionId"] == commit
        assert call(system, upstream.path, **headers) == 202  # told again: nothing new
    api = system.api()
    trigger = api.call("ListPipelineExecutions", {"pipelineName": NAME})[
        "pipelineExecutionSummaries"][0]["trigger"]
    assert trigger == {"triggerType": "WebhookV2", "triggerDetail": "penstock:hook:team/app"}
    api.close()
    assert running(system) == 4


def test_what_does_not_prove_itself_does_nothing(upstream):
    system = upstream.system
    system.create_pipeline(upstream.declaration())
    settled(system)
    system.push(upstream.clone, {"file": "second\n"})
    good = "sha256=" + mac(BODY)
    other = "sha256=" + mac(BODY, "other")
    for headers in ({}, {"x_hub_signature_256": other}, {"x_hub_signature_256": mac(BODY)},
                    {"x_hub_signature_256": good + "0"}, {"x_hub_signature_256": "sha256="},
                    {"x_hub_signature_256": other, "x_gitlab_token": SECRET},
                    {"x_gitea_signature": mac(BODY + b" ")}, {"x_gitlab_token": SECRET + "x"},
                    {"x_gitlab_token": ""}, {"x_hub_signature_256": "sha256=" + "é" * 64}):
        try:
            assert call(system, upstream.path, **headers) == 403, headers
        except UnicodeEncodeError:
            pass
    assert call(system, upstream.path, BODY + b"\n", x_hub_signature_256=good) == 403
    for path in ("/hooks/connection/", "/hooks/connection/nobody", "/hooks/", "/hooks/other/x",
                 upstream.path + "/x", upstream.path + "?x=1", upstream.path + "%00",
                 "/hooks/connection/" + 5000 * "a"):
        assert call(system, path, x_hub_signature_256=good) == 404, path
    assert call(system, upstream.path, None, "GET") == 405
    large = b" " * (25 * 1024 * 1024 + 1)
    try:
        assert call(system, upstream.path, large,
                    x_hub_signature_256="sha256=" + mac(large)) == 413
    except urllib.error.URLError:
        pass  # the door had closed while the client was still sending
    assert call(system, upstream.path, x_hub_signature_256=good, x_github_event="issues") == 202
    assert running(system) == 1
    largest = large[:-1]
    assert call(system, upstream.path, largest,
                x_hub_signature_256="sha256=" + mac(largest)) == 202
    wait_for(lambda: running(system) == 2, "the good call to start", 20)


def test_without_a_hook_secret_nothing_is_believed(empty_system):
    empty_system.start_controller()
    empty_system.penstock("connection", "create", "plain", "--url", empty_system.folder)
    row = empty_system.penstock_json("connection", "list")["connections"][0]
    path = "/hooks/connection/" + row["connectionId"]
    assert call(empty_system, path, x_hub_signature_256="sha256=" + mac(BODY, "")) == 403
    assert call(empty_system, path, x_gitlab_token="") == 403
    empty_system.penstock("connection", "delete", "plain")
    assert call(empty_system, path, x_gitlab_token="") == 404


# ---- triggers with push filters

TRIGGERS = [{"providerType": "CodeStarSourceConnection", "gitConfiguration": {
    "sourceActionName": "Source",
    "push": [{"branches": {"includes": ["release/*"]}},
             {"branches": {"includes": ["main"]},
              "filePaths": {"includes": ["src/**"], "excludes": ["**/*.md"]}},
             {"tags": {"includes": ["v*"], "excludes": ["v0*"]}}]}}]


def announce(upstream):
    assert call(upstream.system, upstream.path,
                x_hub_signature_256="sha256=" + mac(BODY)) == 202


def revisions(system):
    """Of each execution, the oldest first."""
    return [one["sourceRevisions"][0]["revisionId"] if one.get("sourceRevisions") else None
            for one in reversed(system.executions(NAME))]


def test_push_filters_start_exactly_what_they_say(upstream):
    system = upstream.system
    system.create_pipeline(upstream.declaration(executionMode="PARALLEL", triggers=TRIGGERS))
    settled(system)
    announce(upstream)

    def expect(commits):
        announce(upstream)
        wait_for(lambda: revisions(system) == commits, f"{len(commits)} executions", 20)

    started = [upstream.head]
    # Nothing of this passes; the next push that does shows that all of it has been looked at.
    system.push(upstream.clone, {"README.md": "x", "src/README.md": "x", "docs/a.c": "x"})
    system.git("push", "-q", "origin", "HEAD:feature", "HEAD:release/a/b", cwd=upstream.clone)
    system.git("tag", "v0.1", cwd=upstream.clone)
    system.git("push", "-q", "origin", "v0.1", cwd=upstream.clone)
    announce(upstream)
    started.append(system.push(upstream.clone, {"src/deep/a.c": "x", "more.md": "x"}))
    expect(started)
    system.git("push", "-q", "origin", "HEAD~1:refs/heads/release/1", cwd=upstream.clone)
    started.append(system.git("rev-parse", "HEAD~1", cwd=upstream.clone).strip())
    expect(started)
    system.git("tag", "-a", "-m", "one", "v1.0", cwd=upstream.clone)
    system.git("push", "-q", "origin", "v1.0", cwd=upstream.clone)
    started.append(system.git("rev-parse", "HEAD", cwd=upstream.clone).strip())
    expect(started)
    api = system.api()
    newest = api.call("ListPipelineExecutions", {"pipelineName": NAME})[
        "pipelineExecutionSummaries"][0]
    assert newest["trigger"] == {"triggerType": "WebhookV2",
                                 "triggerDetail": "penstock:hook:team/app:refs/tags/v1.0"}
    got = api.call("GetPipeline", {"name": NAME})["pipeline"]
    assert got["triggers"] == TRIGGERS

    def known(execution):
        details = api.call("ListActionExecutions", {"pipelineName": NAME, "filter": {
            "pipelineExecutionId": execution["pipelineExecutionId"]}})["actionExecutionDetails"]
        return [one["output"]["outputVariables"] for one in details
                if one["actionName"] == "Source"][0]
    of_tag, of_branch = (known(one) for one in system.executions(NAME)[:2])
    assert (of_tag["TagName"], of_tag["BranchName"]) == ("v1.0", "main")
    assert of_branch["BranchName"] == "release/1" and "TagName" not in of_branch
    api.close()

    # Pushes while no controller runs are found by the first look afterwards, once.
    system.controller.kill()
    system.push(upstream.clone, {"src/late.c": "x"})
    system.git("push", "-q", "origin", "HEAD:release/2", cwd=upstream.clone)
    late = system.git("rev-parse", "HEAD", cwd=upstream.clone).strip()
    system.start_controller("--poll-interval", "1h")
    started += [late, late]  # main and release/2: two pushes
    wait_for(lambda: revisions(system) == started, "the late pushes to start", 20)
    system.controller.kill()
    system.start_controller("--poll-interval", "1h")
    system.git("push", "-q", "origin", "HEAD~2:refs/heads/release/3", cwd=upstream.clone)
    started.append(system.git("rev-parse", "HEAD~2", cwd=upstream.clone).strip())
    expect(started)


TAGS = [{"providerType": "CodeStarSourceConnection", "gitConfiguration": {
    "sourceActionName": "Source", "push": [{"tags": {"includes": ["**"]}}]}}]


def test_any_number_of_tags_starts_once(upstream):
    """More at once than one report has room for, and the controller ends before the next look."""
    system = upstream.system
    system.controller.stop()
    system.start_controller("--poll-interval", "1h", "--executions-max", "1000")
    system.create_pipeline(upstream.declaration(executionMode="PARALLEL", triggers=TAGS))
    settled(system)
    announce(upstream)
    for number in range(101):
        system.git("tag", f"r{number:03}", cwd=upstream.clone)
    system.git("push", "-q", "origin", "--tags", cwd=upstream.clone)
    announce(upstream)
    wait_for(lambda: count_all(system) == 102, "101 tags to start", 60)
    for end in ("stop", "kill"):
        getattr(system.controller, end)()
        system.start_controller("--poll-interval", "1h", "--executions-max", "1000")
        announce(upstream)
        system.git("tag", f"after-{end}", cwd=upstream.clone)
        system.git("push", "-q", "origin", "--tags", cwd=upstream.clone)
        announce(upstream)
        wait_for(lambda: newest_tag(system) == f"after-{end}", "a tag that is new", 30)
    assert count_all(system) == 104


def count_all(system):
    api = system.api()
    count, token = 0, None
    while True:
        page = api.call("ListPipelineExecutions", {
            "pipelineName": NAME, "maxResults": 100} | ({"nextToken": token} if token else {}))
        count += len(page["pipelineExecutionSummaries"])
        token = page.get("nextToken")
        if not token:
            api.close()
            return count


def newest_tag(system):
    detail = system.executions(NAME)[0]["trigger"].get("triggerDetail", "")
    return detail.rpartition("refs/tags/")[2]


def test_a_tag_that_is_deleted_and_pushed_again_starts_again(upstream):
    system = upstream.system
    system.create_pipeline(upstream.declaration(executionMode="PARALLEL", triggers=TAGS))
    settled(system)
    announce(upstream)
    system.git("tag", "v1", cwd=upstream.clone)

    def push_refs(*refspecs):
        system.git("push", "-q", "origin", *refspecs, cwd=upstream.clone)
        announce(upstream)

    push_refs("v1")
    wait_for(lambda: running(system) == 2, "the tag to start")
    push_refs(":refs/tags/v1", "HEAD:refs/tags/other")
    wait_for(lambda: running(system) == 3, "the look that finds it gone")
    push_refs("v1")
    wait_for(lambda: running(system) == 4, "the tag to start again")
    assert newest_tag(system) == "v1"


def test_a_source_that_cannot_be_looked_at_says_why(upstream):
    system = upstream.system
    whole = upstream.declaration()
    whole["stages"][0]["actions"][0]["configuration"]["BranchName"] = "trunk"
    system.create_pipeline(whole)
    words = ["has no branch 'trunk'", "the branches there are: main"]

    def said(*texts):
        why = system.penstock("why", NAME).stdout
        return all(text in why for text in texts)
    wait_for(lambda: said(*words), "why to name the branches")
    line = f"{NAME}/Source/Source cannot be looked at for changes"
    assert line in system.penstock("status", NAME).stdout
    assert line in system.penstock("status").stdout
    assert line in system.penstock("doctor", check=False).stdout
    system.git("push", "-q", "origin", "HEAD:trunk", cwd=upstream.clone)
    announce(upstream)
    wait_for(lambda: not said("cannot be looked at"), "the branch to be seen")
    assert line not in system.penstock("doctor", check=False).stdout
    away = upstream.bare.with_name("away.git")
    upstream.bare.rename(away)  # git's own words, after a restart too
    announce(upstream)
    wait_for(lambda: said("cannot be looked at", "app"), "the failing fetch to be told")
    system.controller.kill()
    away.rename(upstream.bare)
    system.start_controller("--poll-interval", "1h")
    wait_for(lambda: not said("cannot be looked at"), "its end to be told")
