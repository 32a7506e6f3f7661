"""Committing what a run has changed, and nothing else."""

import errno
import os
import signal
import subprocess
from collections.abc import Sequence

from qwencode.errors import UsageError
from qwencode.snapshots.tree import show
from qwencode.workspace import GitError, Workspace, git, git_environment, git_program


def commit_paths(workspace: Workspace, paths: Sequence[str], message: str) -> str:
    """Commit these files as they are in the working tree and return the commit's id.

    What else is staged stays staged. The user's hooks, identity and signing apply. Raises UsageError when a hook
    refuses, in the middle of a merge or rebase, and when one of the files holds staged changes of the user's, which
    would be swept along; then nothing is committed and the index is as before.
    """
    _check_no_merge(workspace)
    names = sorted(set(paths))
    listing = b"\0".join(os.fsencode(name) for name in names)
    if mixed := sorted(staged(workspace).intersection(names)):
        raise UsageError(
            f"The change is in your files but not committed: {show(mixed[0])} has staged changes of yours. "
            "Commit them first, or commit the change yourself."
        )
    tracked = {os.fsdecode(name) for name in git(workspace.root, "ls-files", "-z").split(b"\0")}
    added = [name for name in names if name not in tracked]
    _change(workspace, ["add", "--intent-to-add", "--force"], added)
    command = ["--literal-pathspecs", "commit", "--only", "--quiet", "--cleanup=whitespace", "-m", message]
    command += ["--pathspec-from-file=-", "--pathspec-file-nul"]
    try:
        _commit(workspace, command, "The change is in your files but not committed", listing)
    except BaseException:
        _change(workspace, ["rm", "--cached", "--quiet", "--force"], added)
        raise
    return git(workspace.root, "rev-parse", "HEAD").decode().strip()


def commit_staged(workspace: Workspace, message: str) -> str:
    """Commit what the user has staged, as it is, and return the commit's id.

    The user's hooks, identity and signing apply. Raises UsageError as `commit_paths` does.
    """
    _check_no_merge(workspace)
    command = ["commit", "--quiet", "--cleanup=whitespace", "-m", message]
    _commit(workspace, command, "Nothing was committed")
    return git(workspace.root, "rev-parse", "HEAD").decode().strip()


def _commit(workspace: Workspace, command: list[str], failed: str, stdin: bytes = b"") -> None:
    """Run a commit. Raises UsageError that begins with `failed`.

    Ctrl-C is passed on to git, which then takes its locks away; killed, it would leave them in the user's way.
    """
    pipe, command = subprocess.PIPE, [git_program(workspace.root), *command]
    try:
        process = subprocess.Popen(
            command, cwd=workspace.root, env=git_environment(), stdin=pipe, stdout=pipe, stderr=pipe
        )
    except OSError as error:
        why = (
            "the message is too long for git" if error.errno == errno.E2BIG else f"git cannot be run: {error.strerror}"
        )
        raise UsageError(f"{failed}: {why}.") from error
    with process:
        try:
            output, complaint = process.communicate(stdin)
        except BaseException:
            process.send_signal(signal.SIGINT)
            if process.wait() == 0:
                return  # it was done by then
            raise
    if process.returncode:
        said = (complaint or output).decode(errors="replace").strip() or f"exit code {process.returncode}"
        raise UsageError(f"{failed}; git or one of its hooks says: {said}")


def _check_no_merge(workspace: Workspace) -> None:
    for name in ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply"):
        if (workspace.git_dir / name).exists():
            raise UsageError(
                "The change is in your files but not committed: git is in the middle of a merge or rebase."
            )


def last_commit(workspace: Workspace) -> str:
    """Return what the working tree can be compared with: HEAD or, before the first commit, the tree without files."""
    try:
        git(workspace.root, "rev-parse", "--verify", "--quiet", "HEAD")
        return "HEAD"
    except GitError:
        return git(workspace.root, "hash-object", "-t", "tree", "--stdin").decode().strip()


def staged(workspace: Workspace) -> set[str]:
    """Return the paths whose staged state is not that of HEAD; all of them before the first commit."""
    try:
        git(workspace.root, "rev-parse", "--verify", "--quiet", "HEAD")
        found = git(
            workspace.root,
            "diff-index",
            "--cached",
            "--ita-invisible-in-index",
            "--name-only",
            "-z",
            "--no-renames",
            "HEAD",
        )
    except GitError:
        found = git(workspace.root, "ls-files", "-z", "--cached")
    return {os.fsdecode(name) for name in found.split(b"\0") if name}


def _change(workspace: Workspace, command: list[str], names: list[str]) -> None:
    """Run a command that changes the index, for some paths."""
    if names:
        listing = b"\0".join(os.fsencode(name) for name in names)
        source = ["--pathspec-from-file=-", "--pathspec-file-nul"]
        git(workspace.root, "--literal-pathspecs", *command, *source, stdin=listing)
