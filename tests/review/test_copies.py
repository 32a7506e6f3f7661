"""Copies of a state hold that state, and making one writes nowhere else, whatever links lead elsewhere."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hook_ground import tree

from qwencode.review.change import staged, uncommitted
from qwencode.review.copies import copy_of
from qwencode.review.repository import Repository
from qwencode.sandbox.ladder import open_sandbox

Git = Callable[..., str]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    (folder / "empty").mkdir(parents=True)
    (folder / "f").write_text("precious")
    return folder


@pytest.fixture
def linked(repository: Path, run_git: Git, outside: Path) -> Path:
    """Return a repository with a link in its commit and a directory in its place in the work tree."""
    (repository / "d").symlink_to(outside)
    (repository / ".gitignore").write_text("*.so\nempty/\n")
    run_git(repository, "add", "--all")
    run_git(repository, "commit", "-qm", "Link")
    (repository / "d").unlink()
    (repository / "d" / "empty").mkdir(parents=True)
    for name in ("f", "x.so", "empty/y"):
        (repository / "d" / name).write_text("mine")
    return repository


def test_a_directory_where_a_link_is_staged(linked: Path, outside: Path, tmp_path: Path):
    before = tree(outside)
    copy = copy_of(staged(Repository.find(linked)), staged(Repository.find(linked)).state, tmp_path / "copy")
    assert (copy / "d").readlink() == outside
    assert (tree(outside), [path.name for path in sorted(outside.iterdir())]) == (before, ["empty", "f"])


def test_a_directory_in_the_place_of_a_link(linked: Path, outside: Path, tmp_path: Path):
    before = tree(outside)
    change = uncommitted(Repository.find(linked))
    copy = copy_of(change, change.state, tmp_path / "copy")
    assert (tree(outside), [path.name for path in sorted(outside.iterdir())]) == (before, ["empty", "f"])
    assert (copy / "d" / "f").read_text() == "mine"
    assert not (copy / "d").is_symlink()


def test_files_and_directories_that_changed_places(repository: Path, run_git: Git, tmp_path: Path):
    (repository / "a").mkdir()
    (repository / "a" / "x").write_text("1")
    (repository / "b").write_text("2")
    run_git(repository, "add", "--all")
    run_git(repository, "commit", "-qm", "Files")
    (repository / "a" / "x").unlink()
    (repository / "a").rmdir()
    (repository / "a").write_text("3")
    (repository / "b").unlink()
    (repository / "b").mkdir()
    (repository / "b" / "y").write_text("4")
    change = uncommitted(Repository.find(repository))
    copy = copy_of(change, change.state, tmp_path / "copy")
    assert ((copy / "a").read_text(), (copy / "b" / "y").read_text()) == ("3", "4")


@pytest.mark.parametrize("state", ["", "HEAD"])
def test_a_submodule_is_linked_and_leaves_nothing_that_git_follows(
    repository: Path, run_git: Git, tmp_path: Path, state: str
):
    other = tmp_path / "other"
    run_git(tmp_path, "init", "-q", "other")
    (other / "helper.py").write_text("x = 1\n")
    run_git(other, "add", "--all")
    run_git(other, "commit", "-qm", "One")
    run_git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "parts/lib")
    run_git(repository, "commit", "-qm", "Part")
    change = staged(Repository.find(repository))
    copy = copy_of(change, state or change.state, tmp_path / "copy")
    assert (copy / "parts" / "lib" / "helper.py").read_text() == "x = 1\n"
    assert "160000" not in run_git(copy, "ls-files", "--stage")
    sandbox = open_sandbox(copy, readable=[repository])
    try:
        done = sandbox.run(["sh", "-c", "cat parts/lib/helper.py; echo >> parts/lib/helper.py"], cwd=copy)
    finally:
        sandbox.close()
    assert "x = 1" in done.text and done.returncode
    assert (repository / "parts" / "lib" / "helper.py").read_text() == "x = 1\n"
