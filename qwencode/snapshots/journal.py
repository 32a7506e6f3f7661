"""What is on record of the runs in one working tree, and who is at work there.

In `<git directory>/qwencode/`: `lock` (held by the process at work), `open.json` (the run that is going on or was
cut off), `last.json` (the newest look at the tree, so that the next one is quick) and for each run
`runs/<name>/` with `before.json`, `after.json`, `index` (a copy of the user's) and its end: `kept.json`, `undone.json`
or `left.json`. A run is closed by renaming `open.json` to one of these, or by removing it: in one step.

The contents are held by `refs/qwencode/<work tree>/<run>/{before,index,after}`. These refs are trees, not commits, so
that no log, graph or bisection of the user shows them; and they are not `refs/worktree/…`, which a garbage collection
started in another work tree does not see.
"""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from qwencode.errors import UsageError
from qwencode.snapshots.tree import Snapshot
from qwencode.workspace import GitError, Workspace, git, write_atomic

KEPT_SESSIONS = 20
"""Sessions of which the runs are kept: one of `fix` has one, one of `chat` a run for every turn that changed a file."""
KEPT_RUNS = 1_000
"""Runs that are kept in all."""
KEPT_RECOVERED = 20
"""Runs of which it is kept what was found after a crash, or what somebody else had saved."""
_TRIES, _TRY_AGAIN = 10, 0.05  # half a second in all
_DIFF_OPTIONS = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")
# A bare repository takes .gitattributes from the index. With an empty one, no file can hide a change in another.
_DIFF_SETTINGS = (
    "-c",
    "core.bare=true",
    "-c",
    "core.attributesFile=/dev/null",
    "-c",
    "diff.suppressBlankEmpty=false",
    "-c",
    "core.abbrev=7",
)
_LINKED = "worktree-"
_ENDS = ("kept", "undone", "left")


@dataclass(frozen=True, slots=True)
class Record:
    """One run: its place in the order of runs, its session, the process, and the commit it began on ('' for none)."""

    name: str
    number: int
    session: str
    process: int
    head: str


class Busy(UsageError):
    """Another process is at work in this working tree."""


class Journal:
    """The record of the runs in one working tree. All but `opened` needs the lock."""

    def __init__(self, workspace: Workspace):
        self.root = workspace.root
        self.folder = workspace.git_dir / "qwencode"
        self.linked = (workspace.git_dir / "commondir").exists()
        self.refs = f"refs/qwencode/{_LINKED + workspace.git_dir.name if self.linked else 'main'}"

    @contextmanager
    def locked(self) -> Generator[None]:
        """Be the only one at work. The lock goes with the process, however it ends. Raises Busy."""
        with readable_errors():
            self.folder.mkdir(exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                _lock(handle)
            except BlockingIOError as error:
                process = os.read(handle, 20).decode() or "?"
                sentence = f"qwencode is at work in {self.root} (process {process}); wait for it or stop it."
                raise Busy(sentence) from error
            except OSError as error:
                raise UsageError(f"{self.folder / 'lock'} cannot be locked: {error.strerror}.") from error
            with suppress(OSError):  # a full disk; it is only for the sentence above
                os.truncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
            yield
        finally:
            os.close(handle)

    def opened(self) -> Record | None:
        """Return the run that is going on or was cut off."""
        return _read(self.folder / "open.json")

    def ended(self, end: str = "kept") -> list[Record]:
        """Return the runs that ended so, the newest first."""
        found = [_read(path) for path in (self.folder / "runs").glob(f"*/{end}.json")]
        return sorted((record for record in found if record), key=lambda record: -record.number)

    def run_folder(self, record: Record) -> Path:
        return self.folder / "runs" / record.name

    def index(self, record: Record) -> Path:
        """The copy of the index that was made when the run began; missing if there was none."""
        return self.run_folder(record) / "index"

    def snapshot(self, record: Record, which: str) -> Snapshot:
        """Load a run's state before or after. Raises UsageError when it is damaged."""
        path = self.run_folder(record) / f"{which}.json"
        try:
            return Snapshot.load(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is damaged. The files are in git: {self.refs}/{record.name}/{which}.") from error

    def last(self) -> Snapshot | None:
        """Return the newest look at the tree, if there is a usable one."""
        try:
            return Snapshot.load(self.folder / "last.json")
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def new_record(self, session: str, wanted: str = "") -> Record:
        """Return a record with a name that no run and no ref has yet, the wanted one if it can be had."""
        numbers = [record.number for end in _ENDS for record in self.ended(end)]
        wanted = wanted or session
        name, count = wanted, 1
        while (self.folder / "runs" / name).exists() or self._listed(f"{self.refs}/{name}"):
            count += 1
            name = f"{wanted}-{count}"
        return Record(name, max(numbers, default=0) + 1, session, os.getpid(), self.head())

    def head(self) -> str:
        """Return the commit that HEAD is on, '' when there is none yet."""
        try:
            return git(self.root, "rev-parse", "--verify", "--quiet", "HEAD").decode().strip()
        except GitError:
            return ""

    def hold(self, record: Record, which: str, tree: str) -> None:
        """Keep a tree alive."""
        git(self.root, "update-ref", f"{self.refs}/{record.name}/{which}", tree)

    def hold_recovered(self, record: Record, tree: str) -> str:
        """Keep what was found, after a crash or before it is thrown away, alive and return the ref."""
        taken = self._listed(f"{self.refs}/recovered/")
        count = 1
        while (ref := f"{self.refs}/recovered/{record.name}-{count}") in taken:
            count += 1
        git(self.root, "update-ref", ref, tree)
        return ref

    def open(self, record: Record) -> None:
        write_atomic(self.folder / "open.json", json.dumps(asdict(record)).encode(), 0o600)

    def end(self, record: Record, end: str) -> None:
        """Close the open run."""
        (self.folder / "open.json").replace(self.run_folder(record) / f"{end}.json")
        self._prune()

    def found(self, name: str, end: str) -> Record | None:
        """Return the run of this name, if it ended so."""
        return _read(self.folder / "runs" / name / f"{end}.json")

    def undo(self, record: Record) -> None:
        """Note that a kept run was taken back."""
        folder = self.run_folder(record)
        (folder / "kept.json").replace(folder / "undone.json")

    def redo(self, record: Record) -> None:
        """Note that a run that was taken back is done again."""
        folder = self.run_folder(record)
        (folder / "undone.json").replace(folder / "kept.json")

    def difference(self, before: str, after: str, files: Sequence[str] = ()) -> str:
        """Return what differs between two kept trees, in some files or all, as a unified diff in git's form.

        The user's own settings for diffs make no difference.
        """
        command = ["--literal-pathspecs", *_DIFF_SETTINGS, "diff-tree", "-r", "-p", *_DIFF_OPTIONS, before, after]
        with tempfile.TemporaryDirectory(dir=self.folder) as nothing:
            found = git(self.root, *command, *(["--", *files] if files else []), index=Path(nothing, "index"))
        return found.decode(errors="replace")

    def drop(self, record: Record) -> None:
        """Close the open run and forget it."""
        (self.folder / "open.json").unlink()
        shutil.rmtree(self.run_folder(record), ignore_errors=True)
        self._prune()

    def _prune(self) -> None:
        """Forget all but the last runs, what was left half begun, and work trees that are gone."""
        records = sorted((record for end in _ENDS for record in self.ended(end)), key=lambda record: -record.number)
        sessions = list(dict.fromkeys(record.session for record in records))[:KEPT_SESSIONS]
        names = {record.name for record in records[:KEPT_RUNS] if record.session in sessions}
        for folder in (self.folder / "runs").iterdir():
            if folder.name not in names:
                shutil.rmtree(folder, ignore_errors=True)
        runs = sorted({_run_of(ref) for ref in self._listed(f"{self.refs}/recovered/")})[-KEPT_RECOVERED:]
        stale = [
            ref for ref in self._listed(f"{self.refs}/") if ref.split("/")[3] not in names and _run_of(ref) not in runs
        ]
        others = self.folder.parents[1] if self.linked else self.folder.parent / "worktrees"
        for ref in self._listed("refs/qwencode/"):
            place = ref.split("/")[2]
            if place.startswith(_LINKED) and not (others / place.removeprefix(_LINKED)).exists():
                stale.append(ref)
        commands = "".join(f"delete {ref}\n" for ref in stale)
        with suppress(GitError):  # a busy packed-refs file; the next run gets another chance
            git(self.root, "update-ref", "--stdin", stdin=commands.encode())

    def _listed(self, prefix: str) -> list[str]:
        return git(self.root, "for-each-ref", "--format=%(refname)", prefix).decode().split()


def _run_of(recovered: str) -> str:
    """Return what the refs of one run have in common, of which each has a number at its end."""
    return recovered.rpartition("-")[0]


@contextmanager
def readable_errors() -> Generator[None]:
    """Turn an error of the system into a sentence for the user."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise UsageError(f"Your work cannot be kept safe: {error.strerror}{where}.") from error


def _lock(handle: int) -> None:
    """Lock, with a little patience: a child of a killed process holds its parent's lock until it has become git."""
    for _ in range(_TRIES - 1):
        with suppress(BlockingIOError):
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_TRY_AGAIN)
    return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read(path: Path) -> Record | None:
    try:
        return Record(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{path} is damaged; move it away to go on.") from error
