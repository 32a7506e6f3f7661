"""What a change is: the blobs before and after, read from git, and the lines between them that are new.

For what is staged nothing is ever read from the work tree. While a merge is being concluded, a file that is what one
of the merged commits has is not this commit's work, and of the others only the lines that are in neither side.
"""

import difflib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qwencode.errors import UsageError
from qwencode.excerpt import split_lines
from qwencode.review.repository import Repository
from qwencode.workspace import GitError

MOST_BYTES = 2_000_000
"""Larger files are not looked at; that is said."""
_REGULAR = ("100644", "100755")
_BINARY_WITHIN = 8_000  # bytes in which a NUL makes a file binary, as git decides it (buffer_is_binary)
_DIFFED_LINES = 20_000  # beyond, the part between the first and the last difference counts as changed


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a change, as git names it: `status` is A, M, D, R or T, and contents are object ids, '' for none.

    `others`: the content in each commit that is being merged.
    """

    status: str
    path: str
    before_path: str
    mode: str
    before: str
    after: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines that were replaced, and those in their place; numbers from 1, either may be empty."""

    old: range
    new: range


@dataclass(frozen=True, slots=True)
class FileChange:
    """A text file of a change. `before` and `after` are None where it is not there.

    `added` are the lines of `after` that are new against every parent. `hunks` are those against the first one.
    """

    path: str
    before_path: str
    before: str | None
    after: str | None
    hunks: tuple[Hunk, ...]
    added: frozenset[int]
    others: tuple[str | None, ...] = ()

    def nearest(self, line: int) -> int:
        """Return the changed line of `after` that is nearest to one of `before`: where what is gone was."""

        def distance(hunk: Hunk) -> int:
            return max(hunk.old.start - line, line - max(hunk.old.start, hunk.old.stop - 1), 0)

        if not self.hunks or not self.after:
            return 1
        return max(1, min(len(split_lines(self.after)), min(self.hunks, key=distance).new.start))


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a repository: `what` in words, its paths, and what it was and becomes.

    `base` and `state` name the whole tree before and after: a commit, or STAGED or ON_DISK. `disk` holds contents that
    are only on disk, by their id.
    """

    repository: Repository
    what: str
    entries: tuple[Entry, ...]
    base: str
    state: str
    disk: Mapping[str, bytes] = field(default_factory=dict[str, bytes])

    @property
    def id(self) -> str:
        """The same for the same contents at the same paths, whatever the rest of the repository is."""
        rows = (
            "\0".join((e.status, e.path, e.before_path, e.mode, e.before, e.after, *e.others)) for e in self.entries
        )
        return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogateescape")).hexdigest()


STAGED = "the index"
ON_DISK = "the work tree"


def staged(repository: Repository) -> Change:
    """Return what the next commit would hold, by the index that git names."""
    base = repository.head()
    entries = list(_raw(repository, "diff-index", "--cached", base))
    for other in repository.merged():
        theirs = {entry.path: entry for entry in _raw(repository, "diff-index", "--cached", other)}
        entries = [_with_other(entry, theirs[entry.path].before) for entry in entries if entry.path in theirs]
    return Change(repository, "what is staged", tuple(entries), base, STAGED)


def between(repository: Repository, span: str) -> Change:
    """Return what lies between two commits, `A..B` or `A...B` (since they parted). Raises UsageError."""
    mark = "..." if "..." in span else ".."
    first, _, last = span.partition(mark)
    ends = [repository.commit(name or "HEAD") for name in (first, last)]
    if first and set(first) == {"0"}:  # as git and pre-commit name the side of a branch that is not there yet
        ends[0] = repository.empty_tree()
    if missing := next((name or "HEAD" for name, end in zip((first, last), ends, strict=True) if not end), ""):
        raise UsageError(f"There is no commit {missing!r} in {repository.root}.")
    if mark == "...":
        try:
            ends[0] = repository.git("merge-base", *ends).decode().strip()
        except GitError as error:
            raise UsageError(
                f"No commit is known that both sides of {span} have: they are unrelated, or this clone is too shallow "
                "(git fetch --unshallow). With two dots they are compared as they are."
            ) from error
    entries = tuple(_raw(repository, "diff-tree", "-r", *ends))
    return Change(repository, span, entries, ends[0], ends[1])


def uncommitted(repository: Repository, paths: Sequence[str] = ()) -> Change:
    """Return what differs from HEAD in the work tree, files that git does not know yet included; below `paths` only."""
    base, disk = repository.head(), dict[str, bytes]()
    names = [os.path.relpath(Path(path).resolve(), repository.root) for path in paths]
    if outside := next((path for path, name in zip(paths, names, strict=True) if name.startswith("..")), ""):
        raise UsageError(f"{outside} is outside the repository {repository.root}.")
    entries: list[Entry] = []
    for entry in _raw(repository, "diff-index", base, "--", *names):
        entries += _on_disk(repository, entry, disk)
    listed = repository.git("--literal-pathspecs", "ls-files", "-z", "--others", "--exclude-standard", "--", *names)
    for name in sorted(os.fsdecode(each) for each in listed.split(b"\0") if each):
        entries += _on_disk(repository, Entry("A", name, name, "100644", "", ""), disk)
    what = f"what is not committed in {', '.join(paths)}" if paths else "what is not committed"
    return Change(repository, what, tuple(entries), base, ON_DISK, disk)


def texts(change: Change) -> tuple[list[FileChange], list[str]]:
    """Return the text files of a change, and the paths that are too large to be looked at.

    Binaries, links and submodules are in neither.
    """
    kept = [entry for entry in change.entries if entry.mode in _REGULAR]
    oids = [oid for entry in kept for oid in (entry.before, entry.after, *entry.others) if oid]
    data = {**change.repository.blobs([oid for oid in oids if oid not in change.disk], MOST_BYTES), **change.disk}
    files: list[FileChange] = []
    large: list[str] = []
    for entry in kept:
        if any(oid and oid not in data for oid in (entry.before, entry.after)):
            large.append(entry.path)
            continue
        before, after, *others = (
            decoded(data.get(oid)) if oid else None for oid in (entry.before, entry.after, *entry.others)
        )
        if (entry.after and after is None) or (not entry.after and before is None):
            continue  # binary
        hunks = tuple(hunks_of(before or "", after or ""))
        added = frozenset(line for hunk in hunks for line in hunk.new)
        for other in others:
            added &= {line for hunk in hunks_of(other or "", after or "") for line in hunk.new}
        files.append(FileChange(entry.path, entry.before_path, before, after, hunks, added, tuple(others)))
    return files, large


def decoded(data: bytes | None) -> str | None:
    """Return a blob as text, None for a binary one."""
    if data is None:
        return None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data[:_BINARY_WITHIN]:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def hunks_of(before: str, after: str) -> Iterator[Hunk]:
    """Yield what was replaced, by lines, in order."""
    old, new = split_lines(before), split_lines(after)
    start = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    ending = zip(reversed(old[start:]), reversed(new[start:]), strict=False)
    same = next((at for at, (a, b) in enumerate(ending) if a != b), min(len(old), len(new)) - start)
    mine, theirs = old[start : len(old) - same], new[start : len(new) - same]
    if not mine and not theirs:
        return
    codes = [("replace", 0, len(mine), 0, len(theirs))]
    if mine and theirs and len(mine) + len(theirs) <= _DIFFED_LINES:
        codes = difflib.SequenceMatcher(None, mine, theirs).get_opcodes()
    for kind, a, b, c, d in codes:
        if kind != "equal":
            yield Hunk(range(start + a + 1, start + b + 1), range(start + c + 1, start + d + 1))


def _raw(repository: Repository, command: str, *arguments: str) -> Iterator[Entry]:
    """Read git's raw diff: `:mode mode id id status NUL path NUL`, and a second path for a rename."""
    options = ("--literal-pathspecs", command, "--raw", "-z", "-M", "--no-abbrev", "--ignore-submodules=none")
    words = repository.git(*options, *arguments).split(b"\0")
    at = 0
    while at + 1 < len(words):
        before_mode, after_mode, before, after, score = words[at].decode().lstrip(":").split()
        kind = score[0]  # for a rename it is followed by how alike the two are
        paths = [os.fsdecode(word) for word in words[at + 1 : at + (3 if kind in "RC" else 2)]]
        at += 1 + len(paths)
        if kind == "U":  # not merged yet; git itself refuses to commit that
            continue
        mode = before_mode if kind == "D" else after_mode
        had = set(before) != {"0"} and (kind == "D" or before_mode in _REGULAR or after_mode not in _REGULAR)
        yield Entry(kind, paths[-1], paths[0], mode, before if had else "", "" if kind == "D" else after)


def _with_other(entry: Entry, oid: str) -> Entry:
    others = (*entry.others, oid)
    return Entry(entry.status, entry.path, entry.before_path, entry.mode, entry.before, entry.after, others)


def _on_disk(repository: Repository, entry: Entry, disk: dict[str, bytes]) -> Iterator[Entry]:
    """Yield the entry with the content that lies on disk, unless that is what was there before."""
    path = repository.root / entry.path
    if entry.status == "D" or entry.mode not in _REGULAR:
        yield entry
        return
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_BYTES:
            return
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{entry.path} cannot be read: {error.strerror}.") from error
    kind = hashlib.sha256 if len(entry.before) == 64 else hashlib.sha1
    oid = kind(b"blob %d\0" % len(data) + data).hexdigest()
    if oid == entry.before and entry.status != "R":
        return
    disk[oid] = data
    yield Entry(entry.status, entry.path, entry.before_path, entry.mode, entry.before, oid)
