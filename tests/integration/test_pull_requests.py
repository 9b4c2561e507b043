"""Triggers with pull request filters, by the hooks of GitHub, Gitea and GitLab.

The git server is a bare repository with the refs that such servers keep for pull requests; polls are
an hour apart, so whatever starts was started by a hook."""
import hashlib
import hmac
import json
import time

import pytest

from harness.system import wait_for
from test_hooks import NAME, SECRET, Upstream, settled
from test_webhooks import call


def trigger(*filters, **more):
    return [{"providerType": "CodeStarSourceConnection", "gitConfiguration": {
        "sourceActionName": "Source", "pullRequest": list(filters)} | more}]


TO_MAIN = {"branches": {"includes": ["main"]}}


class Forge(Upstream):
    """An upstream whose pull requests are refs, and what its hooks say of them."""

    heads = {}  # number -> commit that was offered last

    def begin(self, triggers):
        self.heads = {}
        self.system.create_pipeline(self.declaration(executionMode="PARALLEL", triggers=triggers))
        settled(self.system)

    def branch(self, name, files):
        """A branch off main's first commit with one commit on it; its id."""
        git = self.system.git
        git("checkout", "-q", "-B", name, self.head, cwd=self.clone)
        commit = self.commit(files)
        git("push", "-q", "-f", "origin", name, cwd=self.clone)
        return commit

    def commit(self, files):
        for path, content in files.items():
            target = self.clone / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        self.system.git("add", "-A", cwd=self.clone)
        self.system.git("commit", "-q", "-m", "Change", cwd=self.clone)
        return self.system.git("rev-parse", "HEAD", cwd=self.clone).strip()

    def offer(self, number, commit, space="pull"):
        self.system.git("push", "-q", "-f", "origin", f"{commit}:refs/{space}/{number}/head",
                        cwd=self.clone)
        self.heads[number] = commit

    def github(self, number, action, source="topic", target="main", fork=False, delivery=None,
               title="Add a thing", server="GitHub", sha=None, **more):
        repository = {"full_name": "team/app"}
        body = json.dumps({"action": action, "number": number, "repository": repository,
                           "pull_request": {
                               "number": number, "title": title, "base": {"ref": target},
                               "head": {"ref": source, "sha": sha or self.heads.get(number, ""),
                                        "repo": {"full_name": "evil/app"} if fork else repository},
                           }} | more).encode()
        mac = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {f"X-{server}-Event": "pull_request", "X-GitHub-Event": "pull_request"}
        if server == "GitHub":
            headers["X-Hub-Signature-256"] = "sha256=" + mac
        else:
            headers["X-Gitea-Signature"] = mac
        if delivery:
            headers[f"X-{server}-Delivery"] = delivery
        return call(self.system.endpoints["http"] + self.path, body, headers=headers)

    def gitlab(self, number, action, source="topic", target="main", **more):
        body = json.dumps({"object_kind": "merge_request",
                           "project": {"path_with_namespace": "team/app"},
                           "object_attributes": {
                               "iid": number, "action": action, "title": "Merge me",
                               "source_branch": source, "target_branch": target,
                               "source_project_id": 1, "target_project_id": 1} | more}).encode()
        return call(self.system.endpoints["http"] + self.path, body, headers={
            "X-Gitlab-Event": "Merge Request Hook", "X-Gitlab-Token": SECRET})

    def started(self):
        """Commits of the executions after the first, the oldest first."""
        found = list(reversed(self.system.executions(NAME)))[1:]
        return [one["sourceRevisions"][0]["revisionId"] if one.get("sourceRevisions") else None
                for one in found]

    def expect(self, commits):
        wait_for(lambda: self.started() == commits, f"runs of {commits}", 30)

    def variables(self):
        """Output variables of the newest execution's source."""
        newest = self.system.executions(NAME)[0]["pipelineExecutionId"]
        api = self.system.api()
        try:
            details = api.call("ListActionExecutions", {
                "pipelineName": NAME, "filter": {"pipelineExecutionId": newest}})
        finally:
            api.close()
        return [one["output"]["outputVariables"] for one in details["actionExecutionDetails"]
                if one["actionName"] == "Source"][0]


@pytest.fixture
def forge(empty_system):
    empty_system.start_controller("--poll-interval", "1h")
    return Forge(empty_system)


NOTICED, FILTERED = (200, {"outcome": "noticed"}), (200, {"outcome": "filtered"})


def test_events_branches_and_what_a_run_knows(forge):
    forge.begin(trigger(TO_MAIN | {"events": ["OPEN", "CLOSED"]},
                        {"branches": {"includes": ["release/*"], "excludes": ["release/old"]}}))
    first = forge.branch("topic", {"a.txt": "1\n"})
    forge.offer(7, first)
    assert forge.github(7, "opened", title="Fix\tit \u00fc" + 2000 * "x") == NOTICED
    forge.expect([first])
    known = forge.variables()
    assert known["SourceBranchName"] == "topic" and known["DestinationBranchName"] == "main"
    assert known["PullRequestId"] == "7" and known["PullRequestTitle"].startswith("Fix it \u00fc")
    assert len(known["PullRequestTitle"].encode()) == 1000
    assert known["CommitId"] == first and "BranchName" not in known and "TagName" not in known
    assert forge.system.executions(NAME)[0]["trigger"] == {
        "triggerType": "WebhookV2", "triggerDetail": "penstock:hook:team/app:refs/pull/7/head:OPEN"}
    # UPDATED is not asked for; it is only followed. The same event told again is no news.
    second = forge.commit({"a.txt": "2\n"})
    forge.offer(7, second)
    assert forge.github(7, "synchronize") == NOTICED
    assert forge.github(7, "labeled") == FILTERED
    assert forge.github(7, "edited") == FILTERED
    assert forge.github(7, "opened") == NOTICED
    assert forge.github(7, "closed") == NOTICED
    forge.expect([first, second])
    assert forge.github(7, "closed") == NOTICED
    assert forge.github(7, "reopened") == NOTICED
    forge.expect([first, second, second])
    # Destinations: excludes win, all events when none is named.
    other = forge.branch("other", {"b.txt": "1\n"})
    forge.offer(8, other)
    for target in ("dev", "release/old", "release/1/2", "mainly"):
        assert forge.github(8, "opened", target=target) == FILTERED, target
    assert forge.github(8, "synchronize", target="release/1", server="Gitea") == NOTICED
    forge.expect([first, second, second, other])
    # A push starts nothing: there is a trigger, and it has no push filters.
    forge.system.git("checkout", "-q", "main", cwd=forge.clone)
    forge.system.push(forge.clone, {"file": "pushed\n"})
    body = b"{}"
    mac = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert call(forge.system.endpoints["http"] + forge.path, body, headers={
        "X-Hub-Signature-256": mac, "X-GitHub-Event": "push"})[0] == 202
    # Started by hand it takes its branch.
    forge.system.penstock("start", NAME)
    head = forge.system.git("rev-parse", "main", cwd=forge.clone).strip()
    forge.expect([first, second, second, other, head])
    assert forge.variables()["BranchName"] == "main"


def test_gitlab_merge_requests(forge):
    forge.begin(trigger(TO_MAIN))
    first = forge.branch("topic", {"a.txt": "1\n"})
    forge.offer(3, first, "merge-requests")
    assert forge.gitlab(3, "open") == NOTICED
    forge.expect([first])
    assert forge.variables()["PullRequestTitle"] == "Merge me"
    second = forge.commit({"a.txt": "2\n"})
    forge.offer(3, second, "merge-requests")
    assert forge.gitlab(3, "update") == FILTERED  # of a title, a label
    assert forge.gitlab(3, "approved") == FILTERED
    assert forge.gitlab(3, "update", oldrev=first) == NOTICED
    forge.expect([first, second])
    assert forge.gitlab(3, "merge") == NOTICED
    forge.expect([first, second, second])
    assert forge.gitlab(3, "open", source_project_id=2) == FILTERED


def test_file_paths_are_judged_against_the_merge_base(forge):
    forge.begin(trigger(TO_MAIN | {"filePaths": {"includes": ["src/**"], "excludes": ["**/*.md"]}}))
    git = forge.system.git
    # main goes on with a file that would pass: it is no part of what the pull requests change.
    git("checkout", "-q", "main", cwd=forge.clone)
    forge.system.push(forge.clone, {"src/main.c": "x\n"})
    quiet = forge.branch("quiet", {"doc.txt": "x\n", "src/a.md": "x\n"})
    forge.offer(1, quiet)
    assert forge.github(1, "opened", source="quiet") == NOTICED
    loud = forge.branch("loud", {"doc.txt": "x\n", "src/deep/a.c": "x\n"})
    forge.offer(2, loud)
    assert forge.github(2, "opened", source="loud") == NOTICED
    forge.expect([loud])
    # Merged by a merge commit, its changes are still what it had changed.
    git("checkout", "-q", "main", cwd=forge.clone)
    git("merge", "-q", "--no-ff", "-m", "Merge", "loud", cwd=forge.clone)
    git("push", "-q", "origin", "main", cwd=forge.clone)
    assert forge.github(2, "closed", source="loud") == NOTICED
    assert forge.github(1, "closed", source="quiet") == NOTICED
    forge.expect([loud, loud])
    # Of more than 100 files 100 are looked at.
    many = {f"a{i:03}.txt": "x\n" for i in range(100)}
    crowd = forge.branch("crowd", many | {"src/late.c": "x\n"})
    forge.offer(3, crowd)
    assert forge.github(3, "opened", source="crowd") == NOTICED
    few = forge.branch("few", dict(list(many.items())[:99]) | {"src/late.c": "x\n"})
    forge.offer(4, few)
    assert forge.github(4, "opened", source="few") == NOTICED
    forge.expect([loud, loud, few])


def test_what_starts_nothing(forge):
    forge.begin(trigger(TO_MAIN))
    first = forge.branch("topic", {"a.txt": "1\n"})
    forge.offer(7, first)
    assert forge.github(7, "opened", fork=True) == FILTERED
    assert forge.github(7, "opened", repository={"full_name": "team/other"}) == FILTERED
    for bad in ({"target": "-x"}, {"target": "a..b"}, {"target": "x" * 300}, {"source": "a b"},
                {"repository": {}}, {"pull_request": {"number": 0}}, {"pull_request": []}):
        status, answer = forge.github(7, "opened", **bad)
        assert (status, answer["__type"]) == (400, "ValidationException"), bad
    url = forge.system.endpoints["http"] + forge.path
    assert call(url, b"{}", headers={"X-GitHub-Event": "pull_request"})[0] == 403
    assert forge.github(9, "opened") == NOTICED  # there is no such pull request in git
    assert forge.github(7, "opened", delivery="one") == NOTICED
    forge.expect([first])
    assert forge.github(7, "closed") == NOTICED
    forge.expect([first, first])
    # Without its memory of deliveries this one would start: it was closed in between.
    assert forge.github(7, "opened", delivery="one") == FILTERED
    assert forge.github(7, "opened", delivery="two") == FILTERED  # the same signed body
    assert forge.github(7, "reopened", delivery="three") == NOTICED
    forge.expect([first, first, first])


def test_a_noticed_pull_request_outlives_the_controller(forge):
    forge.begin(trigger(TO_MAIN))
    first = forge.branch("topic", {"a.txt": "1\n"})
    away = forge.bare.with_name("away.git")
    forge.offer(7, first)
    forge.bare.rename(away)  # the git server is down
    assert forge.github(7, "opened") == NOTICED
    forge.system.controller.kill()
    away.rename(forge.bare)
    forge.system.start_controller("--poll-interval", "1h")
    forge.expect([first])
    # The mirror is a cache: a commit that is on no branch is fetched again when it is wanted.
    forge.system.controller.kill()
    forge.system.start_controller("--poll-interval", "1h")
    assert forge.started() == [first]


def test_an_event_ahead_of_its_ref_is_looked_at_again(forge):
    """A server tells of a commit that its ref shows a moment later; a restart changes nothing."""
    forge.begin(trigger(TO_MAIN))
    first = forge.branch("topic", {"a.txt": "1\n"})
    second = forge.commit({"a.txt": "2\n"})
    third = forge.commit({"a.txt": "3\n"})
    assert forge.github(7, "opened", sha=first) == NOTICED  # the ref is not even there
    time.sleep(1.5)
    forge.offer(7, first)
    forge.expect([first])
    assert forge.github(7, "synchronize", sha=second) == NOTICED
    time.sleep(1.5)
    forge.offer(7, second)
    forge.expect([first, second])
    assert forge.github(7, "synchronize", sha=third) == NOTICED
    forge.system.controller.kill()
    forge.system.start_controller("--poll-interval", "1h")
    time.sleep(1.5)
    forge.offer(7, third)
    forge.expect([first, second, third])
    # Told late: the ref has passed it. There is nothing to wait for, and nothing new.
    assert forge.github(7, "synchronize", sha=second) == NOTICED
    forge.offer(8, second)
    assert forge.github(8, "opened", sha=first) == NOTICED  # an older one of the same branch
    forge.expect([first, second, third, second])


def test_a_head_that_never_comes_is_not_waited_for_without_end(forge):
    forge.begin(trigger(TO_MAIN))
    first = forge.branch("topic", {"a.txt": "1\n"})
    forge.offer(7, first)
    assert forge.github(7, "opened", sha="e" * 40) == NOTICED
    wait_for(lambda: forge.started() == [first], "what is there, after a minute", 110)
