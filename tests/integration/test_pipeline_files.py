"""Files of pipelines that a person has mistyped: refused by `penstock`, with the place of each word."""
import copy
import json

import pytest

from harness.system import approval_action, commands_action, commands_pipeline

PENSTOCK = {"prefix": "Penstock_20261101", "service": "penstock"}


def declaration():
    made = commands_pipeline("mill", "code", [
        ("Build", [commands_action("Make", ["true"], {"RunsOn": "pool=x"}, outputArtifacts=[
            {"name": "Out", "files": ["a"]}], environmentVariables=[{"name": "A", "value": "b"}]),
            approval_action("Ask")])])
    made["stages"][1]["beforeEntry"] = {"conditions": [{"result": "FAIL", "rules": [{
        "name": "Same", "ruleTypeId": {"category": "Rule", "owner": "AWS", "version": "1",
                                       "provider": "VariableCheck"},
        "configuration": {"Variable": "a", "Operator": "EQ", "Value": "a"}}]}]}
    made["variables"] = [{"name": "V", "defaultValue": "1"}]
    return made


def misspelt(change):
    made = declaration()
    change(made)
    return made


def rename(path, name, other):
    def change(made):
        for step in path:
            made = made[step]
        kept = list(made.items())
        made.clear()
        made.update({other if key == name else key: value for key, value in kept})
    return change


CASES = [
    ([], "executionMode", "executionmode"),
    ([], "stages", "stage"),
    (["stages", 1], "beforeEntry", "beforeentry"),
    (["stages", 1, "beforeEntry", "conditions", 0], "rules", "rule"),
    (["stages", 1, "beforeEntry", "conditions", 0, "rules", 0], "configuration", "configurations"),
    (["stages", 1, "actions", 0], "runOrder", "runorder"),
    (["stages", 1, "actions", 0], "environmentVariables", "enviromentVariables"),
    (["stages", 1, "actions", 0, "environmentVariables", 0], "value", "Value"),
    (["stages", 1, "actions", 0, "actionTypeId"], "provider", "provder"),
    (["stages", 1, "actions", 0, "outputArtifacts", 0], "files", "file"),
    (["variables", 0], "defaultValue", "default"),
]


@pytest.mark.parametrize("path, name, other", CASES)
@pytest.mark.parametrize("bare", [False, True])
def test_misspelt_members_are_refused_with_their_place(system, path, name, other, bare):
    made = declaration()
    made["executionMode"] = "QUEUED"
    made["stages"][1]["actions"][0]["runOrder"] = 1
    rename(path, name, other)(made)
    text = json.dumps(made if bare else {"pipeline": made}, indent=2)
    file = system.folder / "p.json"
    file.write_text(text)
    line = next(i for i, each in enumerate(text.splitlines(), 1) if f'"{other}":' in each)
    column = text.splitlines()[line - 1].index(f'"{other}"') + 1
    for word in ("validate", "create", "update"):
        done = system.penstock("pipeline", word, file, check=False)
        assert done.returncode == 2, done.stdout
        assert f"{file}:{line}:{column}: there is no member '{other}'" in done.stderr
        assert f"did you mean '{name}'?" in done.stderr
    assert system.penstock_json("pipeline", "list")["pipelines"] == []


def test_all_places_are_named_and_what_is_no_member_stays(system):
    """Keys of configuration are not members: which ones there are is the provider's to say."""
    made = declaration()
    made["stages"][1]["actions"][0]["configuration"]["RunsOn"] = "pool=x"
    file = system.folder / "p.json"
    file.write_text(json.dumps({"pipeline": made, "metadata": {"created": 1}}))
    assert "is valid" in system.penstock("pipeline", "validate", file).stdout
    made["a/b~c"] = {"x": 1}
    made["stages"][0]["nmae"] = 1
    made["stages"][1]["actions"][1]["\u20ac"] = None
    file.write_text(json.dumps({"pipeline": made, "other": 1}, ensure_ascii=False))
    said = system.penstock("pipeline", "validate", file, check=False).stderr
    for word in ("a/b~c", "nmae", "\u20ac", "other"):
        assert f"there is no member '{word}'" in said, said
    assert said.count("p.json:1:") == 4


def test_the_api_ignores_unknown_members_unless_asked(system):
    api = system.api()
    made = copy.deepcopy(declaration())
    made["executionmode"] = "QUEUED"
    assert api.call("ValidatePipeline", {"pipeline": made}, **PENSTOCK) == {}
    found = api.call("ValidatePipeline", {"pipeline": made, "strict": True}, **PENSTOCK)
    assert found == {"unknownMembers": [
        {"pointer": "/pipeline/executionmode", "nearest": "executionMode"}]}
    made["a/b~c"] = 1
    found = api.call("ValidatePipeline", {"pipeline": made, "strict": True, "more": 1}, **PENSTOCK)
    assert {each["pointer"] for each in found["unknownMembers"]} == {
        "/pipeline/executionmode", "/pipeline/a~1b~0c", "/more"}
    api.call("CreatePipeline", {"pipeline": made})


def test_tags_are_not_dropped(system):
    """The API refuses them in CreatePipeline: that has to reach the person."""
    file = system.folder / "p.json"
    file.write_text(json.dumps({"pipeline": declaration(), "tags": [{"key": "team", "value": "mill"}]}))
    refused = system.penstock("pipeline", "create", file, check=False)
    assert refused.returncode == 2 and "Tags are not available" in refused.stderr
    file.write_text(json.dumps({"pipeline": declaration()}))
    system.penstock("pipeline", "create", file)
    file.write_text(json.dumps({"pipeline": declaration(), "tags": []}))
    refused = system.penstock("pipeline", "update", file, check=False)
    assert refused.returncode == 2 and "tags" in refused.stderr
