"""Repositories that the controller keeps: an answer comes after the deed."""
import os

import pytest

from harness.api import ApiError

PENSTOCK = {"prefix": "Penstock_20261101", "service": "penstock"}


def test_a_path_that_is_printed_is_there(system):
    for number in range(6):
        path = system.penstock("repo", "create", f"r{number}").stdout.strip()
        assert os.path.exists(f"{path}/HEAD"), path
        assert os.access(f"{path}/hooks/post-receive", os.X_OK)
        system.git("ls-remote", path)


def test_one_that_cannot_be_made_is_an_error(system):
    path = system.penstock("repo", "create", "first").stdout.strip()
    other = os.path.join(os.path.dirname(path), "other.git")
    with open(other, "w", encoding="ascii") as file:
        file.write("in the way")
    done = system.penstock("repo", "create", "other", check=False)
    assert done.returncode != 0
    assert "The repository 'other' cannot be made" in done.stderr
    assert "other" not in system.penstock("repo", "list").stdout
    # what is in the way is left alone; once it is gone the same request works
    with open(other, encoding="ascii") as file:
        assert file.read() == "in the way"
    os.remove(other)
    assert os.path.exists(system.penstock("repo", "create", "other").stdout.strip())


def test_twice_is_refused_and_the_first_stays(system):
    path = system.penstock("repo", "create", "r").stdout.strip()
    with pytest.raises(ApiError) as caught:
        system.api().call("CreateRepository", {"name": "r"}, **PENSTOCK)
    assert caught.value.name == "RepositoryNameExistsException"
    assert os.path.exists(f"{path}/HEAD")
