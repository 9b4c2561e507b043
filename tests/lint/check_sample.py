"""Runs lint.py on one tree of samples/ and compares all it says with the tree's expected.txt.

    check_sample.py NAME

Every sample but `good` breaks the rule it is named after. Its C files are compiled into the archives
that the symbols rule reads.
"""
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent


def build_archives(root, build):
    for folder in sorted({path.parent for path in root.rglob("*.c")}):
        objects = []
        for source in sorted(folder.glob("*.c")):
            objects.append(build / (source.name + ".o"))
            subprocess.run(["cc", "-c", "-fno-builtin", "-o", objects[-1], source], check=True)
        name = folder.relative_to(root).as_posix().replace("/", "_")
        subprocess.run(["ar", "rc", build / f"libpen_{name}.a", *objects], check=True)


def main():
    root = HERE / "samples" / sys.argv[1]
    expected = (root / "expected.txt").read_text()
    with tempfile.TemporaryDirectory() as build:
        command = [sys.executable, HERE / "lint.py", "--root", root]
        if root.name == "symbols":
            build_archives(root, pathlib.Path(build))
            command += ["--build", build]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.stdout != expected or done.returncode != (1 if expected else 0):
        print(f"status {done.returncode}\n--- expected\n{expected}--- said\n{done.stdout}{done.stderr}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
