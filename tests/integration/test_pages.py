"""The tables of docs/pipelines.md and docs/builds.md against what the programs themselves have."""
import re

from conftest import ROOT

PIPELINES = (ROOT / "docs" / "pipelines.md").read_text()


def rows(text, heading, columns):
    """The first cells of a table below a heading, without their marks."""
    part = text.split(f"## {heading}\n", 1)[1].split("\n## ")[0]
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            yield tuple(cells[:columns])


def test_configuration_of_actions(system):
    """Every key that an action type has, and whether it is required; and no other."""
    types = system.api().call("ListActionTypes", {"actionOwnerFilter": "AWS"})["actionTypes"]
    known = {(one["id"]["provider"], key["name"]): key["required"]
             for one in types for key in one["actionConfigurationProperties"]}
    told = {}
    for provider, key, _, meaning in rows(PIPELINES, "Configuration of actions", 4):
        told[provider.strip("`"), key.strip("`")] = meaning.endswith("required")
    assert told == known
    source = (ROOT / "controller" / "model" / "providers.c").read_text()
    values = {word for words in re.findall(r"static const char \*const \w+\[\] = \{(.*?)\};", source,
                                           re.S) for word in re.findall('"(.*?)"', words)}
    written = {word for row in rows(PIPELINES, "Configuration of actions", 3)
               for word in re.findall("`(.*?)`", row[2])}
    assert values - {"true", "false"} <= written


def test_configuration_of_rules(system):
    types = system.api().call("ListRuleTypes")["ruleTypes"]
    known = {(one["id"]["provider"], key["name"]): key["required"]
             for one in types for key in one.get("ruleConfigurationProperties", [])}
    told = {(rule.strip("`"), key.strip("`")): meaning.endswith("required")
            for rule, key, meaning in rows(PIPELINES, "Configuration of rules", 3)}
    assert told == known


def test_variables_of_commands():
    """Every variable that an agent sets."""
    source = (ROOT / "agent" / "actions" / "command.c").read_text()
    known = set(re.findall(r'put\(&?to, "(\w+)"', source))
    assert "CODEBUILD_SRC_DIR_%s" in source and "PENSTOCK_FENCE" in known
    text = (ROOT / "docs" / "builds.md").read_text()
    told = {word for cells in rows(text, "The environment", 1)
            for word in re.findall("`(.*?)`", cells[0])}
    assert told - {"CODEBUILD_SRC_DIR_NAME", "PENSTOCK_ATTEMPT"} == known


def test_times():
    engine = (ROOT / "controller" / "engine" / "engine.c").read_text()
    limits = (ROOT / "common" / "base" / "limits.h").read_text()
    part = PIPELINES.split("## How long\n", 1)[1]
    assert ".action_timeout_ms = 55 * 60 * 1000" in engine and "55 minutes" in part
    assert ".approval_timeout_ms = 7 * 24 * 3600" in engine and "| 7 days |" in part
    assert ".job_timeout_ms = 24 * 3600 * 1000" in engine and "| 24 hours |" in part
    assert "PEN_RULE_TIMEOUT_MINUTES_DEFAULT = 7 * 24 * 60" in limits
    for bound in ("APPROVAL_TIMEOUT_MIN_MINUTES = 5,", "APPROVAL_TIMEOUT_MAX_MINUTES = 86400,",
                  "RULE_TIMEOUT_MINUTES_MIN = 5,", "RULE_TIMEOUT_MINUTES_MAX = 86400,"):
        assert bound in limits
    assert part.count("5 to 86,400") == 2
    assert ".repeatable_attempts_max = 2" in engine and "up to two times more" in PIPELINES


def test_what_is_promised_of_once_is_found_from_the_readme():
    text = (ROOT / "README.md").read_text()
    assert "never begun twice" in text and "`once`" in text
    assert "(docs/pipelines.md)" in text and "(docs/builds.md)" in text
