"""Job workers: custom actions driven by Debian's `aws` as a worker would, in a running system."""
import json

import pytest

from harness.api import ApiError
from harness.system import approval_action, wait_for

SECRET = "quern-4711"
NOBODY = "99999999-9999-4999-8999-999999999999"


def details(count):
    return f"minimumCount=0,maximumCount={count}"


def custom(name, category, provider, **more):
    return {"name": name, "actionTypeId": {"category": category, "owner": "Custom",
                                           "provider": provider, "version": "1"}} | more


def mill():
    """A source that a worker delivers, a build by a worker, then a person."""
    return {
        "name": "mill",
        "roleArn": "arn:aws:iam::000000000000:role/penstock",
        "artifactStore": {"type": "S3", "location": "penstock-artifacts"},
        "stages": [
            {"name": "Source", "actions": [custom("Fetch", "Source", "Grain")]},
            {"name": "Build", "actions": [custom("Grind", "Build", "Mill", configuration={
                "Project": "rye", "Key": SECRET})]},
            {"name": "Ask", "actions": [approval_action("Approve")]},
        ],
    }


def create_types(system):
    system.aws("create-custom-action-type", "--category", "Source", "--provider", "Grain",
               "--action-version", "1", "--input-artifact-details", details(0),
               "--output-artifact-details", details(0))
    made = system.aws(
        "create-custom-action-type", "--category", "Build", "--provider", "Mill",
        "--action-version", "1", "--input-artifact-details", details(5),
        "--output-artifact-details", details(0), "--settings",
        json.dumps({"entityUrlTemplate": "http://mill/{Config:Project}", "executionUrlTemplate":
                    "http://mill/{Config:Project}/{ExternalExecutionId}"}),
        "--configuration-properties", json.dumps([
            {"name": "Project", "required": True, "key": True, "secret": False, "queryable": True},
            {"name": "Key", "required": True, "key": False, "secret": True}]))["actionType"]
    assert made["id"] == {"category": "Build", "owner": "Custom", "provider": "Mill",
                          "version": "1"}
    assert made["actionConfigurationProperties"][1]["secret"] is True


def type_id(category, provider):
    return f"category={category},owner=Custom,provider={provider},version=1"


def poll(system, category, provider, *arguments):
    return system.aws("poll-for-jobs", "--action-type-id", type_id(category, provider),
                      *arguments)["jobs"]


def poll_build(system):
    return poll(system, "Build", "Mill", "--query-param", "Project=rye", "--max-batch-size", "5")


def acknowledge(system, job):
    return system.aws("acknowledge-job", "--job-id", job["id"], "--nonce", job["nonce"])["status"]


def take(system, ask, what):
    """Poll until there is a job, acknowledge it; returns the job."""
    job = wait_for(lambda: ask(system), what)[0]
    assert acknowledge(system, job) == "InProgress"
    return job


def take_source(system):
    return take(system, lambda s: poll(s, "Source", "Grain"), "the source's job")


def refused(system, name, *command):
    done = system.run("/usr/bin/aws", "--endpoint-url", system.endpoints["http"], "codepipeline",
                      *command, check=False)
    assert done.returncode == 254, done.stdout + done.stderr
    assert f"({name})" in done.stderr
    assert SECRET not in done.stderr
    return done.stderr


def action_state(system, stage, action):
    for one in system.state("mill")["stageStates"]:
        for found in one.get("actionStates", []):
            if (one["stageName"], found["actionName"]) == (stage, action):
                return found
    return {}


@pytest.fixture
def mill_system(empty_system):
    """The types and the pipeline, made by `aws`; a short pause, so that nobody waits for it."""
    empty_system.start_controller("--job-continuation", "1s")
    create_types(empty_system)
    path = empty_system.folder / "mill.json"
    path.write_text(json.dumps(mill()))
    empty_system.aws("create-pipeline", "--pipeline", f"file://{path}")
    return empty_system


def restart(system, *arguments):
    """The controller is killed, and another takes over."""
    system.controller.kill()
    system.start_controller("--job-continuation", "1s", *arguments)


def fetched(system):
    """A worker ends the source action; returns the execution's id."""
    job = take_source(system)
    system.aws("put-job-success-result", "--job-id", job["id"], "--current-revision",
               "revision=r-1,changeIdentifier=c-1,revisionSummary=grain",
               "--execution-details", "summary=fetched,externalExecutionId=f-1")
    return job["data"]["pipelineContext"]["pipelineExecutionId"]


def test_success_and_continuation(mill_system):
    system = mill_system
    first = wait_for(lambda: system.executions("mill"), "the first execution")[0]
    assert "nobody has polled for" in system.why("mill", first["pipelineExecutionId"])
    assert "Waiting for a job worker of type Source/Grain/1" in \
        action_state(system, "Source", "Fetch")["latestExecution"]["summary"]
    execution = fetched(system)
    assert execution == first["pipelineExecutionId"]
    source = action_state(system, "Source", "Fetch")
    assert source["currentRevision"]["revisionId"] == "r-1"
    assert source["currentRevision"]["revisionChangeId"] == "c-1"
    assert source["latestExecution"]["externalExecutionId"] == "f-1"
    got = system.aws("get-pipeline-execution", "--pipeline-name", "mill",
                     "--pipeline-execution-id", execution)["pipelineExecution"]
    assert got["artifactRevisions"][0]["revisionId"] == "r-1"

    # not acknowledged: offered again, and only the second nonce is good
    refused(system, "ValidationException", "poll-for-jobs", "--action-type-id",
            type_id("Build", "Mill"))
    restart(system, "--job-visibility", "1s")
    slow = wait_for(lambda: poll_build(system), "the build's job")[0]
    restart(system)
    quick = wait_for(lambda: poll_build(system), "the job to be offered again")[0]
    assert quick["id"] == slow["id"] and quick["nonce"] != slow["nonce"]
    refused(system, "InvalidNonceException", "acknowledge-job", "--job-id", slow["id"],
            "--nonce", slow["nonce"])
    refused(system, "InvalidJobStateException", "put-job-success-result", "--job-id", slow["id"])
    assert poll_build(system) == []
    assert acknowledge(system, quick) == "InProgress"
    refused(system, "InvalidNonceException", "acknowledge-job", "--job-id", quick["id"],
            "--nonce", quick["nonce"])

    data = quick["data"]
    assert data["actionConfiguration"]["configuration"] == {"Project": "rye", "Key": SECRET}
    assert data["pipelineContext"]["pipelineName"] == "mill"
    assert data["pipelineContext"]["stage"]["name"] == "Build"
    assert data["pipelineContext"]["action"]["name"] == "Grind"
    assert "artifactCredentials" not in data and "continuationToken" not in data
    assert quick["accountId"] == "000000000000"
    told = system.aws("get-job-details", "--job-id", quick["id"])["jobDetails"]
    assert (told["id"], told["data"]) == (quick["id"], data)

    system.aws("put-job-success-result", "--job-id", quick["id"], "--continuation-token", "half",
               "--execution-details", "summary=half,externalExecutionId=g-9,percentComplete=50")
    state = action_state(system, "Build", "Grind")
    assert state["entityUrl"] == "http://mill/rye"
    latest = state["latestExecution"]
    assert latest["status"] == "InProgress" and latest["percentComplete"] == 50
    assert latest["externalExecutionUrl"] == "http://mill/rye/g-9"
    refused(system, "InvalidJobStateException", "put-job-success-result", "--job-id", quick["id"])
    refused(system, "JobNotFoundException", "get-job-details", "--job-id", quick["id"])
    restart(system)
    second = take(system, poll_build, "the job that continues")
    assert second["data"]["continuationToken"] == "half"
    system.aws("put-job-success-result", "--job-id", second["id"], "--execution-details",
               "summary=ground,percentComplete=100")
    wait_for(lambda: action_state(system, "Ask", "Approve").get("latestExecution"), "the approval")
    latest = action_state(system, "Build", "Grind")["latestExecution"]
    assert (latest["status"], latest["summary"]) == ("Succeeded", "ground")
    refused(system, "JobNotFoundException", "acknowledge-job", "--job-id", NOBODY, "--nonce", "1")
    refused(system, "JobNotFoundException", "put-job-failure-result", "--job-id", NOBODY,
            "--failure-details", "type=JobFailed,message=x")


def test_failure_retry_and_late_results(mill_system):
    system = mill_system
    execution = fetched(system)
    job = take(system, poll_build, "the build's job")
    system.aws("put-job-failure-result", "--job-id", job["id"], "--failure-details",
               "type=ConfigurationError,message=stone-cracked,externalExecutionId=g-1")
    system.wait_execution("mill", execution, ("Failed",))
    latest = action_state(system, "Build", "Grind")["latestExecution"]
    assert latest["errorDetails"] == {"code": "ConfigurationError", "message": "stone-cracked"}
    assert latest["externalExecutionUrl"] == "http://mill/rye/g-1"
    system.aws("retry-stage-execution", "--pipeline-name", "mill", "--stage-name", "Build",
               "--pipeline-execution-id", execution, "--retry-mode", "FAILED_ACTIONS")
    again = take(system, poll_build, "the job of the retry")
    assert again["id"] != job["id"]
    variables = {"Bags": "12"}
    with pytest.raises(ApiError) as caught:
        system.api().call("PutJobSuccessResult", {"jobId": again["id"],
                                         "outputVariables": {"V": "x" * 122880}})
    assert caught.value.name == "OutputVariablesSizeExceededException"
    system.aws("stop-pipeline-execution", "--pipeline-name", "mill", "--pipeline-execution-id",
               execution, "--abandon")
    system.wait_execution("mill", execution, ("Stopped",))
    refused(system, "InvalidJobStateException", "put-job-success-result", "--job-id", again["id"],
            "--execution-details", "summary=late")
    system.aws("retry-stage-execution", "--pipeline-name", "mill", "--stage-name", "Build",
               "--pipeline-execution-id", execution, "--retry-mode", "FAILED_ACTIONS")
    last = take(system, poll_build, "the job of the second retry")
    system.api().call("PutJobSuccessResult", {"jobId": last["id"], "outputVariables": variables})
    details_of = system.api().call("ListActionExecutions", {
        "pipelineName": "mill", "filter": {"pipelineExecutionId": execution}})
    newest = [a for a in details_of["actionExecutionDetails"] if a["actionName"] == "Grind"][0]
    assert newest["output"]["outputVariables"] == variables
    assert newest["input"]["configuration"] == {"Project": "rye", "Key": "****"}
    assert newest["input"]["resolvedConfiguration"] == {"Project": "rye", "Key": "****"}


def test_secrets_and_types(mill_system):
    system = mill_system
    got = system.aws("get-pipeline", "--name", "mill")["pipeline"]
    configuration = got["stages"][1]["actions"][0]["configuration"]
    assert configuration == {"Project": "rye", "Key": "****"}
    system.api().call("UpdatePipeline", {"pipeline": got})  # the mask keeps the secret
    system.aws("start-pipeline-execution", "--name", "mill")
    fetched(system)
    job = wait_for(lambda: poll_build(system), "the build's job")[0]
    assert job["data"]["actionConfiguration"]["configuration"]["Key"] == SECRET
    configuration["Project"] = "oats"
    with pytest.raises(ApiError) as caught:
        system.api().call("UpdatePipeline", {"pipeline": got})
    assert (caught.value.name, caught.value.message) == (
        "InvalidActionDeclarationException", "Action configuration for action 'Grind' is missing "
                                             "required configuration 'Key'")
    configuration["Key"] = SECRET * 200  # too long: and not repeated in the error
    with pytest.raises(ApiError) as caught:
        system.api().call("UpdatePipeline", {"pipeline": got})
    assert caught.value.name == "ValidationException" and SECRET not in str(caught.value)
    configuration["Key"] = "sealed:v1:x"
    with pytest.raises(ApiError) as caught:
        system.api().call("UpdatePipeline", {"pipeline": got})
    assert caught.value.name == "ValidationException"
    configuration["Key"] = SECRET
    got["stages"][1]["actions"][0]["outputArtifacts"] = [{"name": "Flour"}]
    with pytest.raises(ApiError) as caught:
        system.api().call("UpdatePipeline", {"pipeline": got})
    assert caught.value.name == "InvalidActionDeclarationException"
    got["stages"][1]["actions"][0]["outputArtifacts"] = []
    got["stages"][1]["actions"][0]["actionTypeId"]["version"] = "2"
    with pytest.raises(ApiError) as caught:
        system.api().call("UpdatePipeline", {"pipeline": got})
    assert "is not available in region 'US_EAST_1'" in caught.value.message

    listed = system.aws("list-action-types", "--action-owner-filter", "Custom")["actionTypes"]
    assert [one["id"]["provider"] for one in listed] == ["Mill", "Grain"]
    assert listed[0]["settings"]["entityUrlTemplate"] == "http://mill/{Config:Project}"
    everything = system.aws("list-action-types")["actionTypes"]
    assert {one["id"]["owner"] for one in everything} == {"AWS", "Custom"}
    system.aws("delete-custom-action-type", "--category", "Build", "--provider", "Mill",
               "--action-version", "1")
    refused(system, "ActionTypeNotFoundException", "poll-for-jobs", "--action-type-id",
            type_id("Build", "Mill"), "--query-param", "Project=rye")
    refused(system, "ValidationException", "create-custom-action-type", "--category", "Build",
            "--provider", "Mill", "--action-version", "1", "--input-artifact-details", details(1),
            "--output-artifact-details", details(0))
    refused(system, "ValidationException", "poll-for-jobs", "--action-type-id",
            "category=Build,owner=AWS,provider=CodeBuild,version=1")
    with pytest.raises(ApiError) as caught:
        system.api().call("PollForThirdPartyJobs", {"actionTypeId": {
            "category": "Build", "owner": "ThirdParty", "provider": "X", "version": "1"}})
    assert caught.value.name == "UnknownOperationException"

    # nothing that lasts holds the secret, nor does the log
    system.controller.stop()
    for path in [*system.data.glob("penstock.db*"), system.controller.log]:
        assert SECRET.encode() not in path.read_bytes(), path
