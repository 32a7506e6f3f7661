"""`hook --fix`: failing tests are mended on a copy of the state that is to be committed, and proven there.

What is proven then goes to the files of the work tree, but only to those that hold exactly what is committed: whatever
else a person has in them is not touched. The index is left alone, so that the mended files are looked at and staged by
hand, as pre-commit has it.
"""

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path

from qwencode.errors import BudgetSpent, QwencodeError, ToolError
from qwencode.events import CheckFinished, Event, Notice, VerdictReached
from qwencode.jobs.fix import Fix, FixTask, Parts, undisturbed
from qwencode.review.change import Change
from qwencode.review.copies import copy_of
from qwencode.sandbox.ladder import open_sandbox
from qwencode.sandbox.protocol import Sandbox
from qwencode.snapshots import Run
from qwencode.workspace import Workspace, git

NAME = "fix"
_LEAST = 5.0  # seconds without which no attempt is made
_TO_WRITE = 1.0


def mend(
    change: Change,
    task: FixTask,
    parts: Callable[[Workspace, Sandbox], Parts],
    folder: Path,
    left: Callable[[], float],
    no_sandbox: bool,
) -> Generator[Event, None, bool]:
    """Mend what fails in the state after a change; yield what happens, and return whether it came to an end."""
    began = time.monotonic()
    if left() < _LEAST:
        yield CheckFinished(NAME, "skipped", 0, 0.0, f"{max(0.0, left()):.0f} s are left, too little to mend anything")
        return False
    root = copy_of(change, change.state, folder / "mended")
    workspace = Workspace(root)
    sandbox = open_sandbox(root, readable=[change.repository.root], allow_none=no_sandbox)
    reason, outcome = "", None
    try:
        outcome = yield from Fix(task, parts(workspace, sandbox)).work()
    except BudgetSpent as error:
        reason = str(error)
    finally:
        sandbox.close()
    changed: tuple[str, ...] = ()
    if outcome is not None and _is_better(outcome.verdict):
        assert outcome.verdict is not None
        if left() < _TO_WRITE:
            reason = "the time was up before it could be written"
        else:
            changed = yield from _bring_over(change, root, outcome.verdict.changed_files)
    elif outcome is not None and outcome.exit_code:
        reason = outcome.reason
    status = "skipped" if reason else "done"
    yield CheckFinished(NAME, status, len(changed), time.monotonic() - began, reason)
    return True


def _is_better(verdict: VerdictReached | None) -> bool:
    return verdict is not None and verdict.status in ("fixed", "partly") and bool(verdict.changed_files)


def _bring_over(change: Change, root: Path, files: Sequence[str]) -> Generator[Event, None, tuple[str, ...]]:
    """Write the mended files to the work tree, all or none of them; `qwencode undo` takes that back."""
    real = Workspace(change.repository.root)
    if others := [file for file in files if not _is_as_committed(change, root, file)]:
        names = ", ".join(others)
        text = (
            f"Mended on a copy, but not in your files: {names} holds changes that are not staged. Stage or stash them."
        )
        yield Notice(text, "warning")
        return ()
    try:
        with undisturbed():
            run = Run.begin(real, f"hook-{os.getpid()}")
            kept = False
            try:
                for file in files:
                    _write(real, root, file)
                kept = True
            finally:
                run.finish(kept)
    except (QwencodeError, ToolError) as error:
        yield Notice(f"Mended on a copy, but not in your files: {error}", "warning")
        return ()
    yield Notice(
        f"Mended in your files: {', '.join(files)}. Look at it (git diff), stage it, and commit again; "
        "`qwencode undo` takes it back.",
        "warning",
    )
    return tuple(files)


def _is_as_committed(change: Change, root: Path, file: str) -> bool:
    """Say whether a file of the work tree holds what the copy of the staged state held, or both have none."""
    path = change.repository.root / file
    listed = git(root, "--literal-pathspecs", "ls-files", "--stage", "-z", "--", file).split()
    if not listed:
        return not os.path.lexists(path)
    with suppress(OSError):
        return not path.is_symlink() and path.read_bytes() == git(root, "cat-file", "blob", listed[1].decode())
    return False


def _write(real: Workspace, root: Path, file: str) -> None:
    """Write one file, or remove it where the mended state has none."""
    source = root / file
    if not source.is_file():
        real.resolve(file).unlink(missing_ok=True)
        return
    after = Workspace(root).read(file)
    if (real.root / file).exists():
        real.replace(file, real.read(file), after.text)
    else:
        real.create(file, after.text)
