"""Committing what a run has changed: nothing else, by the user's own rules, or not at all."""

import os
from pathlib import Path

import pytest
from snapshot_ground import git, of_git, on_disk

from qwencode.errors import UsageError
from qwencode.snapshots import commit_paths
from qwencode.workspace import Workspace


@pytest.fixture(autouse=True)
def author(repository: Path) -> None:
    git(repository, "config", "user.name", "User")
    git(repository, "config", "user.email", "user@example.invalid")


def committed(root: Path) -> list[bytes]:
    return sorted(git(root, "show", "--format=", "--name-status", "--no-renames", "HEAD").splitlines())


def test_only_the_named_files_are_committed(project: Path):
    (project / "src" / "unix.txt").write_bytes(b"changed\n")
    (project / "new file").write_bytes(b"new\n")
    (project / "made.log").write_bytes(b"ignored, but named\n")
    (project / "link").unlink()
    staged = git(project, "diff", "--cached")
    commit = commit_paths(
        Workspace.find(project), ["src/unix.txt", "new file", "link", "made.log"], "Mend\n\n# proof\n"
    )
    assert git(project, "rev-parse", "HEAD").decode().strip() == commit
    assert committed(project) == [b"A\tmade.log", b"A\tnew file", b"D\tlink", b"M\tsrc/unix.txt"]
    assert git(project, "log", "-1", "--format=%B%an").decode().split("\n") == ["Mend", "", "# proof", "User", ""]
    assert git(project, "diff", "--cached") == staged
    assert (project / "src" / "main.py").read_bytes() == b"print('unstaged')\n"


def test_names_are_no_patterns(project: Path):
    odd = [b":(glob)*", b"*", b"-x", b"new\nline", b"caf\xe9"]
    for name in odd:
        (project / os.fsdecode(name)).write_bytes(b"x")
    commit_paths(Workspace.find(project), [os.fsdecode(name) for name in odd], "Odd")
    listed = git(project, "show", "--format=", "--name-only", "-z", "HEAD").split(b"\0")
    assert sorted(filter(None, listed)) == sorted(odd)


def test_before_the_first_commit(tmp_path: Path):
    git(tmp_path, "init", "-q")
    git(tmp_path, "config", "user.name", "User")
    git(tmp_path, "config", "user.email", "user@example.invalid")
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "mine").write_bytes(b"b")
    git(tmp_path, "add", "mine")
    commit_paths(Workspace.find(tmp_path), ["a"], "First")
    assert committed(tmp_path) == [b"A\ta"]
    assert git(tmp_path, "diff", "--cached", "--name-only") == b"mine\n"


def test_a_file_with_staged_changes_is_not_swept_along(project: Path):
    before = of_git(project)
    with pytest.raises(UsageError, match=r"src/main\.py has staged changes of yours"):
        commit_paths(Workspace.find(project), ["src/unix.txt", "src/main.py"], "Mend")
    assert of_git(project) == before


def test_a_hook_that_refuses_is_heard_and_leaves_everything(project: Path):
    hook = project / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho 'no tabs, please' >&2\nexit 1\n")
    hook.chmod(0o755)
    (project / "new").write_bytes(b"new\n")
    (project / "src" / "unix.txt").write_bytes(b"changed\n")
    files, users = on_disk(project), of_git(project)
    with pytest.raises(UsageError, match="not committed; git or one of its hooks says: no tabs, please"):
        commit_paths(Workspace.find(project), ["new", "src/unix.txt"], "Mend")
    now = of_git(project)
    assert on_disk(project) == files
    assert {key: now[key] for key in ("status", "head", "refs", "logs")} == {
        key: users[key] for key in ("status", "head", "refs", "logs")
    }


def test_a_hook_that_formats_is_respected(project: Path):
    hook = project / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nprintf 'formatted\\n' > new\ngit add new\n")
    hook.chmod(0o755)
    (project / "new").write_bytes(b"raw\n")
    commit_paths(Workspace.find(project), ["new"], "Mend")
    assert git(project, "show", "HEAD:new") == b"formatted\n"


def test_without_a_name_for_the_author(project: Path):
    git(project, "config", "user.useConfigOnly", "true")
    git(project, "config", "--unset", "user.email")
    (project / "new").write_bytes(b"x")
    with pytest.raises(UsageError, match="not committed; git or one of its hooks says"):
        commit_paths(Workspace.find(project), ["new"], "Mend")
    assert b"? new" in git(project, "status", "--porcelain=v2")


@pytest.mark.parametrize("state", ["MERGE_HEAD", "CHERRY_PICK_HEAD", "rebase-merge"])
def test_in_the_middle_of_something(project: Path, state: str):
    (project / ".git" / state).write_bytes(git(project, "rev-parse", "HEAD"))
    with pytest.raises(UsageError, match="in the middle of a merge or rebase"):
        commit_paths(Workspace.find(project), ["run.sh"], "Mend")
