"""Sources by https and by ssh from real servers: let in, refused, and what never leaves the controller."""
import pytest

from harness.git_servers import PASSWORD, USER, Https, Ssh, make_certificate
from harness.system import commands_action, commands_pipeline, wait_for

ENDED = ("Succeeded", "Failed")


class Forge:
    """Repositories outside of Penstock, and pipelines that use them through connections."""

    def __init__(self, system):
        self.system = system
        self.folder = system.folder / "forge"
        bare, clone = self.folder / "team" / "app.git", system.folder / "work"
        system.git("init", "-q", "--bare", "-b", "main", bare)
        system.git("init", "-q", "-b", "main", clone)
        system.git("remote", "add", "origin", bare, cwd=clone)
        self.head = system.push(clone, {"file": "by wire\n"})

    def deliver(self, name, url, secret=None, username=None):
        """One execution from this server; its source action, as history tells it."""
        arguments = ["--url", url]
        if secret is not None:
            path = self.system.folder / f"{name}-secret"
            path.write_text(secret)
            arguments += ["--secret-file", path]
        if username is not None:
            arguments += ["--username", username]
        arn = self.system.penstock("connection", "create", name, *arguments).stdout.strip()
        whole = commands_pipeline(name, "", [("Show", [commands_action("Show", ["cat file"])])])
        source = whole["stages"][0]["actions"][0]
        source["actionTypeId"]["provider"] = "CodeStarSourceConnection"
        source["configuration"] = {"ConnectionArn": arn, "FullRepositoryId": "team/app.git",
                                   "BranchName": "main"}
        self.system.create_pipeline(whole)
        return wait_for(lambda: self.ended_source(name), f"the source action of {name} to end", 60)

    def ended_source(self, name):
        rows = self.system.api().call("ListActionExecutions", {"pipelineName": name})
        for row in rows["actionExecutionDetails"]:
            if row["stageName"] == "Source" and row["status"] in ENDED:
                return row
        return None

    def check_delivered(self, name, source):
        assert source["status"] == "Succeeded", source
        assert source["output"]["outputVariables"]["CommitId"] == self.head
        execution = source["pipelineExecutionId"]
        self.system.wait_execution(name, execution)
        assert "by wire" in self.system.penstock("logs", name, "Show").stdout


@pytest.fixture
def forge(system_with_agent):
    return Forge(system_with_agent)


def error_of(source):
    assert source["status"] == "Failed", source
    return source["output"]["executionResult"]["errorDetails"]


def test_https_with_a_password(empty_system):
    key, certificate = make_certificate(empty_system.folder, "trusted")
    empty_system.environment["GIT_SSL_CAINFO"] = str(certificate)
    empty_system.start_controller()
    empty_system.add_agent("agent", slots=1)
    forge = Forge(empty_system)
    with Https(forge.folder, key, certificate) as other, \
            Https(forge.folder, key, certificate, away=other.url) as server:
        forge.check_delivered("good", forge.deliver("good", server.url, PASSWORD, USER))
        # The password goes along from the first request on: nothing is asked without it.
        assert server.requests and all(said is not None for _, said in server.requests)

        error = error_of(forge.deliver("wrong", server.url, "swordfish", USER))
        assert error["code"] == "PermissionError", error
        assert "swordfish" not in str(error)

        error = error_of(forge.deliver("moved", server.url + "/away", PASSWORD, USER))
        assert error["code"] == "ConfigurationError", error
        assert other.requests == []
    assert PASSWORD not in empty_system.controller.log.read_text()


def test_https_from_a_server_that_nobody_vouches_for(forge):
    key, certificate = make_certificate(forge.system.folder, "stranger")
    with Https(forge.folder, key, certificate) as server:
        error = error_of(forge.deliver("stranger", server.url, PASSWORD, USER))
        assert "certificate" in error["message"], error
        assert server.requests == []


def test_ssh_with_a_key_and_a_known_host(forge):
    system = forge.system
    with Ssh(system.folder) as server:
        wait_for(server.serves, "dropbear to serve")
        url = f"{server.url}{forge.folder}"
        error = error_of(forge.deliver("unknown", url, server.key.read_text()))
        assert error["code"] == "PermissionError" and "known_hosts" in error["message"], error

        (system.data / "known_hosts").write_text(server.known_host)
        forge.check_delivered("known", forge.deliver("known", url, server.key.read_text()))

        error = error_of(forge.deliver("keyless", url))
        assert error["code"] == "PermissionError", error
    assert list((system.data / "mirrors" / ".keys").glob("*")) == []
