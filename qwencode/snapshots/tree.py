"""The state of a working tree: what git would track or offer to track, exactly as it lies on disk.

Contents are hashed without any of git's conversions (line endings, `ident`, filters, LFS, encodings), so the bytes
are those of the disk. For the same reason the user's index is not taken for a record of what is on disk: its blobs are
the converted ones. A file whose size, times and inode are those of an earlier look is not read again; the rule for
files changed in the very moment of that look is git's own ("racy git": api-index-skel and racy-git.txt).
"""

import json
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwencode.errors import UsageError
from qwencode.workspace import GitError, git, write_atomic

_NOT_A_FOLDER = -1
_CLOCK_TICK = 20_000_000
"""Nanoseconds within which two changes of a file may get the same time stamp; Linux uses up to 10 ms."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or symlink. `mode` is kind and permissions as in `st_mode`, `oid` the git blob of content or target."""

    mode: int
    oid: str
    stamp: tuple[int, ...] = field(default=(), compare=False)
    """Size, modification and change time (ns) and inode when it was read; as long as they hold, so does `oid`."""

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.mode)

    @property
    def git_mode(self) -> str:
        return "120000" if self.is_link else "100755" if self.mode & stat.S_IXUSR else "100644"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of the working tree: files by path relative to the root, directories with their permissions.

    `folders` holds every directory that a file lies in, and the empty ones. `id` is the git tree of the files, and
    `taken` the time in ns before the first look at a file.
    """

    id: str
    files: Mapping[str, Entry]
    folders: Mapping[str, int]
    taken: int

    def differing(self, other: "Snapshot") -> list[str]:
        """Return the paths of files that are not the same in both, sorted."""
        names = self.files.keys() | other.files.keys()
        return sorted(name for name in names if self.files.get(name) != other.files.get(name))

    def save(self, path: Path) -> None:
        """Write it as JSON. Names that are not UTF-8 come through as escaped surrogates."""
        files = {name: (entry.mode, entry.oid, entry.stamp) for name, entry in self.files.items()}
        data = {"id": self.id, "taken": self.taken, "folders": dict(self.folders), "files": files}
        write_atomic(path, json.dumps(data, separators=(",", ":")).encode("ascii"), 0o600)

    @classmethod
    def load(cls, path: Path) -> "Snapshot":
        """Read what `save` wrote. Raises OSError, ValueError, KeyError or TypeError for anything else."""
        data: dict[str, Any] = json.loads(path.read_bytes())
        files = {name: Entry(mode, oid, tuple(stamp)) for name, (mode, oid, stamp) in data["files"].items()}
        return cls(data["id"], files, data["folders"], data["taken"])


def take(
    root: Path,
    private: Path,
    index: Path,
    *,
    since: Snapshot | None = None,
    known: Snapshot | None = None,
    keep: bool = True,
) -> Snapshot:
    """Return the state of the working tree, its contents kept as git objects.

    `index` says what is tracked; what was part of the state `since` is so still, even if it is ignored now; `private`
    is a directory for scratch files; what `known` has seen unchanged is not read. Without `keep` nothing is written,
    as on a full disk nothing can be, and the state has no `id`. Raises UsageError when a file cannot be read or there
    is no room, OSError when `private` is not usable.
    """
    taken = _clock(private)
    names = {name for name in _names(root, "--cached", "--others", index=index) if not name.endswith("/")}
    bare = [name.rstrip("/") for name in _names(root, "--others", "--directory", index=index) if name.endswith("/")]
    old = since.files.keys() | since.folders.keys() if since else set[str]()
    places = {folder for name in names for folder in outer(name)}  # an ignored file may stand where a tracked one lay
    files, folders = look(root, sorted(names | old | places), private, known, keep)
    for name in [*bare, *names & folders.keys()]:  # a directory may stand where a tracked file was
        for empty in _empty_folders(root, name):
            real_folder(root, empty, folders)
    real = {name for name, mode in folders.items() if mode != _NOT_A_FOLDER}
    replaced = real & since.files.keys() if since else set[str]()
    more = {inner for name in replaced for inner in _below(root, name)}
    more |= {f"{name}/.gitignore" if name else ".gitignore" for name in real}  # one that ignores itself matters too
    others, above = look(root, sorted(more - files.keys()), private, known, keep)
    files, folders = files | others, folders | above
    folders = {name: mode for name, mode in folders.items() if name and mode != _NOT_A_FOLDER}
    if not keep:
        return Snapshot("", files, folders, taken)
    try:
        tree = write_tree(root, files, private)
    except GitError:
        if known is None:
            raise
        return take(root, private, index, since=since)  # an object that an earlier look had kept is gone
    return Snapshot(tree, files, folders, taken)


def look(
    root: Path, names: Iterable[str], private: Path, known: Snapshot | None, keep: bool
) -> tuple[dict[str, Entry], dict[str, int]]:
    """Return the present state of these paths, and what `real_folder` noted of directories on the way; see `take`.

    What is missing, neither file nor symlink, or behind a symlinked directory, is left out.
    """
    folders: dict[str, int] = {}
    found: dict[str, os.stat_result] = {}
    for name in names:
        parent = name.rpartition("/")[0]
        if not real_folder(root, parent, folders):
            continue
        try:
            state = os.lstat(f"{root}/{name}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UsageError(f"{show(name)} cannot be kept safe: {error.strerror}.") from error
        if stat.S_ISREG(state.st_mode) or stat.S_ISLNK(state.st_mode):
            found[name] = state
        elif stat.S_ISDIR(state.st_mode):
            real_folder(root, name, folders)
    files: dict[str, Entry] = {}
    for name, state in found.items():
        old = known.files.get(name) if known else None
        stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        if known and old and old.stamp == stamp and state.st_ctime_ns < known.taken - _CLOCK_TICK:
            files[name] = Entry(_mode(state), old.oid, stamp)
    fresh = {name: state for name, state in found.items() if name not in files}
    for name, oid in (_keep(root, fresh, private) if keep else _hash(root, fresh)).items():
        state = fresh[name]
        stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        files[name] = Entry(_mode(state), oid, stamp)
    return files, folders


def real_folder(root: Path, name: str, seen: dict[str, int]) -> bool:
    """Say whether a directory is reached without a symlink. Notes the permissions of it and its parents in `seen`."""
    if name not in seen:
        seen[name] = _NOT_A_FOLDER
        if not name or real_folder(root, name.rpartition("/")[0], seen):
            with suppress(OSError):
                mode = os.lstat(f"{root}/{name}").st_mode
                seen[name] = stat.S_IMODE(mode) if stat.S_ISDIR(mode) else _NOT_A_FOLDER
    return seen[name] != _NOT_A_FOLDER


def outer(name: str) -> Iterator[str]:
    """Yield the directories above a path, the nearest first, without the root."""
    while name := name.rpartition("/")[0]:
        yield name


def show(name: str) -> str:
    """Return a path fit for a sentence: control characters and bytes that are not UTF-8 are escaped."""
    return name if name.isprintable() else ascii(name)[1:-1]


def _mode(state: os.stat_result) -> int:
    return stat.S_IFLNK if stat.S_ISLNK(state.st_mode) else state.st_mode


def _clock(private: Path) -> int:
    """Return the present time as the file system would stamp it, in ns."""
    with tempfile.TemporaryFile(dir=private) as file:
        return min(os.fstat(file.fileno()).st_mtime_ns, time.time_ns())


def _names(root: Path, *options: str, index: Path) -> list[str]:
    listed = git(root, "ls-files", "-z", "--exclude-standard", *options, index=index)
    return sorted({os.fsdecode(name) for name in listed.split(b"\0") if name})


def _empty_folders(root: Path, name: str) -> Iterator[str]:
    """Yield the empty directories in an untracked one, itself included, but none in another repository."""
    for folder, inner, files in os.walk(root / name):
        if ".git" in inner or ".git" in files:
            inner.clear()
        elif not inner and not files:
            yield os.path.relpath(folder, root)


def _below(root: Path, name: str) -> Iterator[str]:
    """Yield every path below a directory that stands where a file was: ignored or not, it is new."""
    for folder, inner, files in os.walk(root / name):
        links = [each for each in inner if Path(folder, each).is_symlink()]
        yield from (os.path.relpath(Path(folder, each), root) for each in files + links)


def _hash(root: Path, files: Mapping[str, os.stat_result]) -> dict[str, str]:
    """Return the object id that the content of each file, or the target of each symlink, would have."""
    links = {name for name, state in files.items() if stat.S_ISLNK(state.st_mode)}
    regular = [name for name in files if name not in links]
    found = dict(zip(regular, _hash_object(root, [os.fsencode(name) for name in regular]), strict=True))
    for name in links:
        target = os.fsencode((root / name).readlink())
        found[name] = git(root, "hash-object", "--stdin", stdin=target).decode().strip()
    return found


def _keep(root: Path, files: Mapping[str, os.stat_result], private: Path) -> dict[str, str]:
    """Write the content of each file, or the target of each symlink, as a blob and return the object ids."""
    with tempfile.TemporaryDirectory(dir=private, prefix="links-") as scratch:
        paths: list[bytes] = []
        for number, (name, state) in enumerate(files.items()):
            path = os.fsencode(name)
            if stat.S_ISLNK(state.st_mode):
                target = Path(scratch, str(number))
                target.write_bytes(os.fsencode((root / name).readlink()))
                path = os.fsencode(target)
            paths.append(path)
        return dict(zip(files, _hash_object(root, paths, "-w"), strict=True))


def _hash_object(root: Path, paths: list[bytes], *options: str) -> list[str]:
    if not paths:
        return []
    lines = b"".join(_quoted(path) + b"\n" for path in paths)
    try:
        return git(root, "hash-object", "--no-filters", "--stdin-paths", *options, stdin=lines).decode().split()
    except GitError as error:
        raise UsageError(f"The files as they are cannot be kept safe, so nothing was changed. {error}") from error


def _quoted(path: bytes) -> bytes:
    """Quote a path in the way of C, as git reads it from a list of lines."""
    special = {ord('"'), ord("\\"), 0x7F, *range(0x20)}
    return b'"' + b"".join(b"\\%03o" % byte if byte in special else bytes((byte,)) for byte in path) + b'"'


def write_tree(root: Path, files: Mapping[str, Entry], private: Path) -> str:
    """Write the git tree of these files. Raises GitError when an object is missing."""
    with tempfile.TemporaryDirectory(dir=private, prefix="tree-") as scratch:
        index = Path(scratch, "index")
        lines = b"".join(
            b"%s %s\t%s\0" % (entry.git_mode.encode(), entry.oid.encode(), os.fsencode(name))
            for name, entry in files.items()
        )
        plain = (
            "core.protectNTFS=false",
            "core.protectHFS=false",
            "core.splitIndex=false",
            "core.sparseCheckout=false",
        )
        settings = [part for setting in plain for part in ("-c", setting)]
        git(root, *settings, "update-index", "-z", "--index-info", stdin=lines, index=index)
        return git(root, *settings, "write-tree", index=index).decode().strip()
