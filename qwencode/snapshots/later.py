"""Taking kept runs back at any later time, and doing them again: never over what the user has done since unasked."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from qwencode.errors import UsageError
from qwencode.snapshots.journal import Journal, Record, readable_errors
from qwencode.snapshots.restore import is_rule, put, set_folders
from qwencode.snapshots.run import some, take_back, unsaved_before
from qwencode.snapshots.tree import Entry, Snapshot, look, outer, real_folder, take
from qwencode.workspace import Workspace, git

Direction = Literal["back", "forth"]


class Conflicts(UsageError):
    """The user has changed the same files since; nothing was done. `files` are those, relative to the root."""

    def __init__(self, sentence: str, files: Sequence[str]):
        super().__init__(sentence)
        self.files = tuple(files)


@dataclass(frozen=True, slots=True)
class Moved:
    """What was done: the runs that were moved, the files that changed, the ref of what was overwritten, or ''.

    `unknown` are names of which there is no run: nothing was changed in them, or it is no longer kept.
    """

    runs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    kept: str = ""
    unknown: tuple[str, ...] = ()


@dataclass(slots=True)
class _Plan:
    """What is to become of files and folders; `fine` are the states in which a file may be for that."""

    files: dict[str, Entry | None] = field(default_factory=dict[str, Entry | None])
    fine: dict[str, set[Entry | None]] = field(default_factory=dict[str, set[Entry | None]])
    between: set[str] = field(default_factory=set[str])
    """Files that somebody has changed between two of the runs."""
    away: set[str] = field(default_factory=set[str])
    folders: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, there: Snapshot, wanted: Snapshot) -> None:
        """Go on from one state to another."""
        for name in there.differing(wanted):
            now, then = there.files.get(name), wanted.files.get(name)
            if name in self.files and self.files[name] not in (now, then):
                self.between.add(name)
            self.fine.setdefault(name, {now}).add(then)
            self.files[name] = then
        self.away = (self.away | (there.folders.keys() - wanted.folders.keys())) - wanted.folders.keys()
        changed = {name: mode for name, mode in wanted.folders.items() if there.folders.get(name) != mode}
        self.folders = {name: mode for name, mode in (self.folders | changed).items() if name not in self.away}


def undo(workspace: Workspace) -> str:
    """Take back the last run, interrupted or kept, and return a sentence about it. Done again, it goes further back.

    Raises UsageError, and changes nothing, when there is no run, or the user has changed the same files since.
    """
    journal = Journal(workspace)
    with journal.locked():
        if cut_off := journal.opened():
            nothing = "The last run was interrupted before it changed a file; there is nothing to take back."
            return take_back(journal, cut_off) or nothing
        kept = journal.ended()
        if not kept:
            raise UsageError(f"There is no run of qwencode to take back in {journal.root}.")
        record = kept[0]
        try:
            moved = _move(journal, [record], "back", force=False)
        except Conflicts as error:
            refs = f"{journal.refs}/{record.name}"
            raise UsageError(
                f"Since the run {record.session} you have changed {some(error.files)}; nothing was taken back. "
                f"What the run did: git diff {refs}/before {refs}/after"
            ) from error
        return f"Took back the run {record.session}: as before it are {some(moved.files)}."


def move(workspace: Workspace, names: Sequence[str], direction: Direction, *, force: bool = False) -> Moved:
    """Take kept runs back, the newest of these names first, or do them again, the oldest first: in one go.

    Names without such a run are passed over: nothing was changed in them. With `force` files are overwritten that the
    user has changed since; what they held is kept under a ref. Raises Conflicts without it, and UsageError; then
    nothing has been changed.
    """
    journal = Journal(workspace)
    with journal.locked():
        if journal.opened():
            raise UsageError("A run was interrupted here. Take it back first: qwencode undo")
        there, done = ("kept", "undone") if direction == "back" else ("undone", "kept")
        records = [record for name in names if (record := journal.found(name, there))]
        moved = _move(journal, records, direction, force=force)
        unknown = {*names} - {*moved.runs} - {name for name in names if journal.found(name, done)}
        return replace(moved, unknown=tuple(sorted(unknown)))


def change(workspace: Workspace, names: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return what has become of the files that kept runs of these names have changed, since the first of them.

    A unified diff from before the first run to now, also of what the user has changed in them since, and the files.
    """
    journal = Journal(workspace)
    with journal.locked(), readable_errors():
        records = [record for name in names if (record := journal.found(name, "kept"))]
        if not records:
            return "", ()
        first = journal.snapshot(records[0], "before")
        files: set[str] = set()
        for record in records:
            files.update(journal.snapshot(record, "before").differing(journal.snapshot(record, "after")))
        now = take(journal.root, journal.folder, journal.index(records[0]), since=first, known=journal.last())
        files.intersection_update(first.differing(now))
        if not files:
            return "", ()
        return journal.difference(first.id, now.id, sorted(files)), tuple(sorted(files))


def unsaved(workspace: Workspace, names: Sequence[str], files: Sequence[str]) -> tuple[str, ...]:
    """Return those of the files with work of the user's: from before one of these runs first changed them, or since.

    To commit one of these is to commit that work as well.
    """
    journal, found, left = Journal(workspace), set[str](), set(files)
    ended: dict[str, Entry | None] = {}
    with journal.locked(), readable_errors():
        for record in [record for name in names if (record := journal.found(name, "kept"))]:
            before, after = journal.snapshot(record, "before"), journal.snapshot(record, "after")
            touched = left.intersection(before.differing(after))
            found.update(unsaved_before(journal, record, before, sorted(touched)))
            left -= touched
            ended |= {name: after.files.get(name) for name in before.differing(after)}
        now, _ = look(journal.root, sorted(ended.keys() & set(files)), journal.folder, journal.last(), keep=False)
        found.update(name for name in files if name in ended and now.get(name) != ended[name])
    return tuple(sorted(found))


def _move(journal: Journal, records: Sequence[Record], direction: Direction, *, force: bool) -> Moved:
    plan = _Plan()
    for record in records:
        before, after = journal.snapshot(record, "before"), journal.snapshot(record, "after")
        plan.add(*((after, before) if direction == "back" else (before, after)))
    kept = ""
    with readable_errors():
        changed, in_the_way = _conflicts(journal, plan)
        if in_the_way or (changed and not force):
            files = sorted({*changed, *in_the_way})
            raise Conflicts(f"You have changed {some(files)} since; nothing was done.", files)
        if changed:
            kept = journal.hold_recovered(records[0], take(journal.root, journal.folder, journal.index(records[0])).id)
        _put(journal, plan)
        for record in records:
            journal.undo(record) if direction == "back" else journal.redo(record)
    return Moved(tuple(record.name for record in records), tuple(sorted(plan.files)), kept)


def _conflicts(journal: Journal, plan: _Plan) -> tuple[set[str], set[str]]:
    """Return the files that the user has changed since, and what stands in the way of what is to be put back."""
    present, seen = look(journal.root, sorted(plan.files), journal.folder, journal.last(), keep=False)
    away = {name for name, entry in plan.files.items() if entry is None}
    done = {name for name, entry in plan.files.items() if present.get(name) == entry}
    changed = {name for name in plan.files if present.get(name) not in plan.fine[name]} | plan.between
    blocked: set[str] = set()
    for name in sorted(plan.files.keys() - away):
        path = journal.root / name
        if path.is_dir() and not path.is_symlink():
            below = (os.path.relpath(Path(at, file), journal.root) for at, _, files in os.walk(path) for file in files)
            blocked.update(other for other in below if other not in away)
        for folder in outer(name):
            in_the_way = not real_folder(journal.root, folder, seen) and os.path.lexists(journal.root / folder)
            if in_the_way and away.isdisjoint((folder, *outer(folder))):
                blocked.add(folder)
    return changed - done, blocked


def _put(journal: Journal, plan: _Plan) -> None:
    """Give the files their states. What is to go stays if the `.gitignore` files of that state call it ignored."""
    rules = [name for name in plan.files if is_rule(name)]
    put(journal.root, {name: plan.files[name] for name in rules})
    others: Mapping[str, Entry | None] = {name: entry for name, entry in plan.files.items() if name not in rules}
    if rules:
        listed = git(journal.root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard")
        ignored = {os.fsdecode(name) for name in listed.split(b"\0")}
        others = {name: entry for name, entry in others.items() if entry or name not in ignored}
    put(journal.root, others)
    set_folders(journal.root, plan.away, plan.folders)
