"""The README's ten minutes, and the examples of docs/starting.md after them, run as they are written, in
a network and process namespace of their own: they use the default ports, and everything they start
ends with the namespace."""
import os
import re
import subprocess

from conftest import ROOT


def blocks(text):
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S))


def ten_minutes():
    """The shell blocks between the two markers, joined."""
    text = (ROOT / "README.md").read_text()
    part = re.search(r"<!-- ten minutes.*?-->(.*?)<!-- end of the ten minutes -->", text, re.S)
    return blocks(part.group(1))


def test_ten_minutes(programs, tmp_path):
    """Only `./dev build` is left out: its result, the programs under test, is put in its place."""
    script = ten_minutes() + "\n" + blocks((ROOT / "docs" / "starting.md").read_text())
    assert script.count("./dev build") == 1
    (tmp_path / "dev").write_text("#!/bin/sh\ntest $1 = build\n")
    (tmp_path / "dev").chmod(0o755)
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "bin").symlink_to(programs.resolve())
    (tmp_path / "home").mkdir()
    environment = {
        "HOME": str(tmp_path / "home"),
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "ASAN_OPTIONS": f"log_path={tmp_path}/sanitizer",
        "UBSAN_OPTIONS": f"log_path={tmp_path}/sanitizer",
    }
    done = subprocess.run(
        ["/usr/bin/bwrap", "--dev-bind", "/", "/", "--proc", "/proc", "--unshare-net", "--unshare-pid",
         "--die-with-parent", "/bin/bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=tmp_path, env=environment, text=True, timeout=240,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    print(done.stdout)
    assert done.returncode == 0
    assert "Hello from a pipeline" in done.stdout
    assert "Hello again" in done.stdout
    assert f"built on {os.uname().nodename}" in done.stdout
    assert '"stageName": "Build"' in done.stdout
    assert "/hooks/webhook/hello-push/" in done.stdout and '"started"' in done.stdout
    assert not list(tmp_path.glob("sanitizer*"))


PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands_named(page):
    """(words, options) of each call of `penstock` between backticks or in a block."""
    text = page.read_text().replace("\\\n", " ")
    spans = re.findall(r"`(penstock [a-z][^`]*)`", text) + \
        re.findall(r"\bpenstock [a-z][^\n|)]*", blocks(text))
    for span in spans:
        words = re.match(r"penstock ((?:[a-z]+ ?)+)", span)[1].split()
        yield span, words, re.findall(r"(?<![\w-])(--[a-z-]+)", span)


def test_every_penstock_command_named_exists(programs):
    """No page names a command or an option that the program does not have."""
    def said(*words):
        done = subprocess.run([programs / "penstock", "help", *words], text=True, capture_output=True)
        return done.stdout if done.returncode == 0 and "usage: penstock" in done.stdout else ""
    seen = 0
    for page in PAGES:
        for span, words, options in commands_named(page):
            text = said(*words[:2]) or said(words[0])
            assert text, f"{page.name}: {span}"
            for option in options:
                assert f"{option} " in text.replace("\n", " "), f"{page.name}: {span}"
            seen += 1
    assert seen > 30


def test_every_dev_command_named_exists():
    """The pages and `./dev help` name no command that dev does not have."""
    shown = subprocess.run([ROOT / "dev", "help"], text=True, capture_output=True, check=True).stdout
    known = set(re.findall(r"^cmd_(\w+)\(\)", (ROOT / "dev").read_text(), re.M))
    named = {word for page in PAGES for word in re.findall(r"\./dev ([a-z]+)", page.read_text())}
    assert named <= known
    assert {line.split()[0] for line in shown.splitlines() if re.match(r"  \w", line)} == known


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^):#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
