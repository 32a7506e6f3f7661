"""A run's hold on the working tree, and what happens after a crash."""

import hashlib
import shlex
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from qwencode.errors import UsageError
from qwencode.snapshots.journal import Busy, Journal, Record, readable_errors
from qwencode.snapshots.restore import restore
from qwencode.snapshots.tree import Entry, Snapshot, look, show, take, write_tree
from qwencode.workspace import GitError, Workspace, git

UNCHANGED = hashlib.sha256(b"").hexdigest()
"""What `Run.state` says as long as nothing has changed."""
_NAMED = 5


class Run:
    """One run in a repository: begun with a snapshot of the working tree, ended by `finish`.

    While it is open no other run can begin in this working tree. As a context manager it puts the tree back unless it
    was finished. Errors are sentences for the user (UsageError); after one the run is still open.
    """

    def __init__(self, journal: Journal, record: Record, before: Snapshot, lock: ExitStack):
        self.before = before
        self._journal = journal
        self._record = record
        self._lock = lock
        self._seen = before
        self._open = True
        self._left: dict[str, Entry | None] = {}  # the files that the run itself has changed, as it left them
        self._found: dict[str, Entry | None] = {}  # what it found in them where that was not as before
        self._own: dict[str, set[Entry | None]] = {}  # their states that nobody else has a part in
        self._expected: set[str] = set()
        self._aside: set[tuple[str, Entry]] = set()

    @classmethod
    def begin(cls, workspace: Workspace, session_id: str, name: str = "") -> "Run":
        """Keep the working tree and open the run, under a name of its own where a session has several.

        Raises UsageError when another run is going on or was cut off (see `recover`), when a file cannot be read, and
        when there is no room or no right to write in git's directory; then nothing has been changed.
        """
        journal = Journal(workspace)
        with ExitStack() as lock:
            lock.enter_context(journal.locked())
            if cut_off := journal.opened():
                raise UsageError(f"The run {cut_off.session} was interrupted here. Take it back first: qwencode undo")
            with readable_errors():
                record = journal.new_record(session_id, name)
                journal.run_folder(record).mkdir(parents=True)
                _keep_index(workspace, journal, record)
                before = take(workspace.root, journal.folder, journal.index(record), known=journal.last())
                before.save(journal.run_folder(record) / "before.json")
                before.save(journal.folder / "last.json")
                journal.hold(record, "before", before.id)
                journal.open(record)
            return cls(journal, record, before, lock.pop_all())

    def changed(self) -> tuple[str, ...]:
        """Return the paths of files that differ from before the run, sorted, relative to the root."""
        return tuple(self.before.differing(self._look(keep=False)))

    def state(self) -> str:
        """Return a name for the state of the tree: the same whenever the files are the same."""
        now = self._look(keep=False)
        parts = (f"{name}\0{now.files.get(name)}" for name in self.before.differing(now))
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    @contextmanager
    def working(self, name: str = "") -> Generator[None]:
        """Take what changes meanwhile, in one file or in all, for the run's own work; what else does is somebody's.

        Nothing becomes the run's own by a change of the run on top of what somebody else has saved, nor by a test that
        is run meanwhile and leaves what is expected.
        """
        before = self._files(name)
        try:
            yield
        finally:
            after = self._files(name)
            for each in before.keys() | after.keys():
                was, now = before.get(each), after.get(each)
                if was == now or (not name and each in self._expected):
                    continue
                if self._is_own(each, was):
                    self._own.setdefault(each, set()).add(now)
                elif each not in self._left:
                    self._found[each] = was
                if self._is_own(each, was) or self._left.get(each, was) == was:  # else undo has to refuse the file
                    self._left[each] = now

    def expect(self) -> None:
        """Take what is new by now for what tests leave behind: that is set aside without a word."""
        self._expected.update(self._look(keep=False).files.keys() - self.before.files.keys())

    def own(self) -> dict[str, Entry | None]:
        """Return the files that the run itself has changed and that are not as before, as it left them."""
        changed = self.changed()
        return {name: left for name, left in self._left.items() if name in changed and left != self._start(name)}

    def shared(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of the files that hold what somebody else has saved since the run began."""
        now = self._look(keep=False).files
        return tuple(name for name in names if not self._is_own(name, now.get(name)))

    def set_aside(self, to: Snapshot | None = None) -> str:
        """Keep under a ref what somebody else has saved and `restore` would throw away.

        Returns a sentence for the user, '' when there is nothing to tell.
        """
        now, to = self._look(keep=False), to or self.before
        names = [name for name in to.differing(now) if name in now.files and not self._is_own(name, now.files[name])]
        found = {(name, now.files[name]) for name in names}
        if found <= self._aside:
            return ""
        with readable_errors():
            ref = self._journal.hold_recovered(self._record, self._look(keep=True).id)
        self._aside |= found
        names = [name for name in names if name not in self._expected]
        if not names:
            return ""
        can_be_named = len(names) <= _NAMED and all(map(str.isprintable, names))
        which = shlex.join(f":/{name}" for name in names) if can_be_named else "FILE"
        return (
            f"Changed meanwhile by somebody else, you or a test: {some(names)}. That was put back like all the rest, "
            f"and is kept. To have it again:\ngit restore --source={ref} -- {which}"
        )

    def mark(self) -> Snapshot:
        """Keep the working tree as it is now: a place within the run to which `restore` can go back."""
        return self._look(keep=True)

    def diff(self, since: Snapshot | None = None, files: Sequence[str] = ()) -> str:
        """Return the change since the run began, or since a mark, as a unified diff in git's form.

        It is of some files or, where none is named, of all. The user's own settings for diffs make no difference.
        """
        now = self._look(keep=True)
        with readable_errors():
            return self._journal.difference((since or self.before).id, now.id, files)

    def unsaved(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of the files that held work of the user's that was not committed when the run began.

        To commit one of these is to commit that work as well.
        """
        return unsaved_before(self._journal, self._record, self.before, names)

    def restore(self, to: Snapshot | None = None) -> None:
        """Put the working tree back to what it was, or was at a mark, byte for byte; ignored files stay as they are."""
        with readable_errors():
            journal, to = self._journal, to or self.before
            restore(journal.root, journal.folder, journal.index(self._record), to)
            still = set(self.before.differing(to))
            self._left = {name: to.files.get(name) for name in self._left if name in still}
            self._found = {name: entry for name, entry in self._found.items() if name in self._left}

    def look(self) -> Snapshot:
        """Return the working tree as it is now, without keeping it."""
        return self._look(keep=False)

    def finish(self, kept: bool, done: Mapping[str, Entry | None] | None = None) -> None:
        """Close the run. Kept, it can be taken back by `undo`; otherwise the tree is put back, if it is not yet.

        `done`: the files that the run itself has changed, as it left them (kept by a mark); what else has changed is
        the user's, and no part of the run. None: all of it is the run's.
        """
        if not self._open:
            return
        if not kept:
            self.restore()
        with readable_errors():
            now = self._look(keep=kept)
            before, after = (self.before, now) if done is None else self._only(now, done)
            if kept and (before.differing(after) or (done is None and before.folders != after.folders)):
                folder = self._journal.run_folder(self._record)
                if before is not self.before:
                    before.save(folder / "before.json")
                    self._journal.hold(self._record, "before", before.id)
                after.save(folder / "after.json")
                now.save(self._journal.folder / "last.json")
                self._journal.hold(self._record, "after", after.id)
                self._journal.end(self._record, "kept")
            else:
                self._journal.drop(self._record)
        self._open = False
        self._lock.close()

    def _only(self, now: Snapshot, done: Mapping[str, Entry | None]) -> tuple[Snapshot, Snapshot]:
        """Return the states between which nothing lies but what the run has done, over what is there now."""

        def over(known: Snapshot, entries: Mapping[str, Entry | None]) -> Snapshot:
            files = {name: entry for name, entry in {**now.files, **entries}.items() if entry is not None}
            if files == known.files:
                return known
            return replace(now, id=write_tree(self._journal.root, files, self._journal.folder), files=files)

        before = over(self.before, {name: self._start(name) for name in done})
        return replace(before, folders=self.before.folders) if before is not self.before else before, over(now, done)

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(kept=False)

    def _start(self, name: str) -> Entry | None:
        """Return what the run found in a file: that of before, or what somebody had saved by then."""
        return self._found.get(name, self.before.files.get(name))

    def _is_own(self, name: str, entry: Entry | None) -> bool:
        return entry == self.before.files.get(name) or entry in self._own.get(name, ())

    def _files(self, name: str) -> Mapping[str, Entry]:
        """Keep one file, or all for '', as they are now."""
        if not name:
            return self._look(keep=True).files
        with readable_errors():
            return look(self._journal.root, [name], self._journal.folder, self._seen, keep=True)[0]

    def _look(self, keep: bool) -> Snapshot:
        journal = self._journal
        with readable_errors():
            index = journal.index(self._record)
            now = take(journal.root, journal.folder, index, since=self.before, known=self._seen, keep=keep)
        if keep:
            self._seen = now
        return now


def recover(workspace: Workspace) -> str | None:
    """Put back what a run left that did not come to its end, and return a sentence about it; None if there is none.

    To be called before a command other than `undo` starts its work. What is in the tree now is kept under a ref first:
    part of it may be the user's. If HEAD has moved since, the user has gone on, and the tree is left as it is.
    """
    journal = Journal(workspace)
    if not journal.opened():
        return None
    try:
        with journal.locked():
            cut_off = journal.opened()
            return take_back(journal, cut_off) if cut_off else None
    except Busy:
        return None


def unsaved_before(journal: Journal, record: Record, before: Snapshot, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the files that held work that was not committed when a run began."""
    with readable_errors():
        return tuple(
            name for name in names if name in before.files and not _is_committed(journal, record, before, name)
        )


def _is_committed(journal: Journal, record: Record, before: Snapshot, name: str) -> bool:
    """Say whether a file was, but for git's conversions, what the commit holds that the run began on."""
    root, entry, commit = journal.root, before.files[name], record.head
    listed = git(root, "--literal-pathspecs", "ls-tree", commit, "--", name).split() if commit else []
    if not listed or listed[0] != entry.git_mode.encode():
        return False
    content = git(root, "cat-file", "blob", entry.oid)
    path = ("--no-filters",) if entry.is_link else (f"--path={name}",)
    return git(root, "hash-object", "--stdin", *path, stdin=content).split()[0] == listed[2]


def _keep_index(workspace: Workspace, journal: Journal, record: Record) -> None:
    """Copy the user's index, and hold what is staged in it."""
    copy = journal.index(record)
    try:
        shutil.copyfile(workspace.git_dir / "index", copy)
    except FileNotFoundError:
        return  # nothing was ever staged
    with tempfile.TemporaryDirectory(dir=journal.folder) as scratch, suppress(GitError):  # GitError: in a merge
        other = Path(scratch, "index")
        shutil.copyfile(copy, other)
        staged = git(workspace.root, "-c", "core.splitIndex=false", "write-tree", "--missing-ok", index=other)
        journal.hold(record, "index", staged.decode().strip())


def take_back(journal: Journal, record: Record) -> str | None:
    """Put back what an interrupted run left, and close it. None when it had changed nothing."""
    before, index = journal.snapshot(record, "before"), journal.index(record)
    refs: list[str] = []
    held: set[tuple[str, Entry]] = set()

    def keep(now: Snapshot) -> None:
        found = {(name, now.files[name]) for name in before.differing(now) if name in now.files}
        if not refs or not found <= held:
            refs.append(journal.hold_recovered(record, now.id))
            held.update(found)

    with readable_errors():
        now = take(journal.root, journal.folder, index, since=before, known=journal.last())
        names = before.differing(now)
        if not names and before.folders == now.folders:
            journal.drop(record)
            return None
        if journal.head() != record.head:
            journal.end(record, "left")
            return (
                f"The run {record.session} was interrupted, and HEAD has moved since: your files are left as they are. "
                f"To see what has changed since it began:\ngit diff {journal.refs}/{record.name}/before"
            )
        restore(journal.root, journal.folder, index, before, keep)
        journal.drop(record)
    return (
        f"The run {record.session} was interrupted; as before it are {some(names)}. "
        f"What was there is kept:\ngit diff {' '.join(refs[:1])}"
    )


def some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(show(name) for name in names[:_NAMED]) + more if names else "the directories"
