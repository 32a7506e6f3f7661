"""Putting files back: each in one step, in an order that can be cut off anywhere and done again."""

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from qwencode.errors import UsageError
from qwencode.snapshots.tree import Entry, Snapshot, outer, real_folder, take
from qwencode.workspace import git_environment, git_program

_CHUNK = 1 << 20


def restore(
    root: Path, private: Path, index: Path, before: Snapshot, keep: Callable[[Snapshot], None] | None = None
) -> None:
    """Make every file that git sees what it was: content, permissions, symlinks; created ones are removed.

    Files that were ignored then are left alone. So the `.gitignore` files come first: only under the old rules can it
    be told what was created. `index` is the copy of the index that `before` was taken with; `keep` gets every state,
    kept as git objects, before it is changed; without it nothing is written but the files themselves. Raises OSError
    and UsageError; done again, it goes on where it stopped.
    """
    _open_folders(root, before.folders)
    known = before
    while True:
        now = take(root, private, index, since=before, known=known, keep=keep is not None)
        if keep:
            keep(now)
            known = now
        plan = {name: before.files.get(name) for name in before.differing(now)}
        rules = {name: entry for name, entry in plan.items() if is_rule(name)}
        put(root, rules or plan)
        if not rules:
            break
    created = now.folders.keys() - before.folders.keys()
    outside = {name for name in created if not before.files.keys().isdisjoint(outer(name))}  # behind a symlink now
    set_folders(root, created - outside, before.folders)


def is_rule(name: str) -> bool:
    """Say whether a file decides which others are ignored."""
    return name.rpartition("/")[2] == ".gitignore"


def put(root: Path, plan: Mapping[str, Entry | None]) -> None:
    """Give each path its entry, or remove it for None. Raises OSError and UsageError."""
    for name, entry in plan.items():
        if entry is None:
            _remove(root, name)
    with _blobs(root) as copy:
        for name, entry in plan.items():
            if entry is not None:
                _make_way(root, name)
                with _writable((root / name).parent):
                    _write(root / name, entry, copy)


def set_folders(root: Path, created: Iterable[str], wanted: Mapping[str, int]) -> None:
    """Remove those of the created directories that are empty; make the wanted ones, with their permissions."""
    for name in sorted(created, reverse=True):
        with suppress(OSError), _writable((root / name).parent):  # it holds what is not ours to remove, or is gone
            os.rmdir(root / name)  # noqa: PTH106 (a mere path of ours)
    for name in sorted(wanted):
        _folder(root / name)
    for name in sorted(wanted, reverse=True):
        if stat.S_IMODE((root / name).lstat().st_mode) != wanted[name]:
            (root / name).chmod(wanted[name])


def _open_folders(root: Path, folders: Mapping[str, int]) -> None:
    """Give back the permissions of the directories that are still there, so that what is in them can be seen."""
    for name in sorted(folders):
        seen: dict[str, int] = {}
        if real_folder(root, name, seen) and seen[name] != folders[name]:
            (root / name).chmod(folders[name])


def _folder(path: Path) -> None:
    """Make a directory whose parent is there. Anything else in its place goes."""
    if path.is_dir() and not path.is_symlink():
        return
    with _writable(path.parent):
        path.unlink(missing_ok=True)
        path.mkdir()


def _remove(root: Path, name: str) -> None:
    path = root / name
    if path.is_dir() and not path.is_symlink():
        return  # already what files to be put back lie in
    with suppress(FileNotFoundError, NotADirectoryError), _writable(path.parent):
        path.unlink()


@contextmanager
def _writable(folder: Path) -> Generator[None]:
    """Lift a write protection of a directory of the user's for a while."""
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    protected = found.st_uid == os.geteuid() and mode & stat.S_IRWXU != stat.S_IRWXU
    if protected:
        folder.chmod(mode | stat.S_IRWXU)
    try:
        yield
    finally:
        if protected:
            folder.chmod(mode)


def _make_way(root: Path, name: str) -> None:
    """Make the directory of a file, and remove what has come to lie in the place of it or of the file."""
    for folder in reversed([*outer(name)]):
        _folder(root / folder)
    path = root / name
    if path.is_dir() and not path.is_symlink():
        with _writable(path.parent):
            shutil.rmtree(path)


def _write(path: Path, entry: Entry, copy: Callable[[str, int], None]) -> None:
    """Replace a file. Its temporary name is always the same, so a killed attempt leaves nothing behind for good."""
    temporary = path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.qwencode")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    target = b""
    try:
        copy(entry.oid, handle)
        if entry.is_link:
            target = os.pread(handle, os.fstat(handle).st_size, 0)
        else:
            os.fchmod(handle, stat.S_IMODE(entry.mode))
            os.fsync(handle)
    finally:
        os.close(handle)
    if entry.is_link:
        temporary.unlink()
        temporary.symlink_to(os.fsdecode(target))
    temporary.replace(path)


@contextmanager
def _blobs(root: Path) -> Generator[Callable[[str, int], None]]:
    """Give a function that copies a blob into an open file, piece by piece."""
    command = [git_program(root), "cat-file", "--batch"]
    environment = git_environment() | {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1"}
    with subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        assert process.stdin and process.stdout
        ask, answer = process.stdin, process.stdout

        def copy(oid: str, handle: int) -> None:
            ask.write(oid.encode() + b"\n")
            ask.flush()
            header = answer.readline().split()
            if len(header) != 3:
                raise UsageError(f"git no longer has the object {oid} of the snapshot; the rest is where it was.")
            left = int(header[2])
            while left:
                piece = answer.read(min(left, _CHUNK))
                if not piece:
                    raise UsageError(f"git stopped before the whole object {oid} of the snapshot was read.")
                left -= len(piece)
                while piece:
                    piece = piece[os.write(handle, piece) :]
            answer.read(1)

        yield copy
        ask.close()
