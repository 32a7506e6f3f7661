"""The tags of a repository on disk: one file a repository, taken only when a checksum says that it is whole.

Whatever does not load is a miss, never an error; a place that cannot be written keeps nothing.
"""

import hashlib
import json
import os
import stat
import struct
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from qwencode.context.repomap.parsing import Parsed
from qwencode.workspace import write_atomic

FORMAT = 1
"""To be raised whenever tags of the same file come out different."""
MAX_BYTES = 64_000_000
"""A repository whose tags take more, packed, is parsed anew each time."""
ALL_BYTES = 256_000_000
"""What the tags of all repositories may take; those not used for longest are removed."""
_MAGIC = b"qwencode repository map %d\n" % FORMAT
_SUFFIX = ".tags"
_CHECKSUM_BYTES = 32
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Stamp:
    """The state of a file when it was read. Every change of a file sets its ctime, which no program can put back."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one file. `stamp` is None where the file may change again within the same tick of the clock.

    `parsed` holds no tags for a file that cannot be parsed.
    """

    stamp: Stamp | None
    parsed: Parsed


def load(folder: Path, root: Path) -> dict[str, Entry]:
    """Return the entries of a repository by path; none where nothing sound is kept."""
    data = _read(_place(folder, root))
    if data is None or not data.startswith(_MAGIC):
        return {}
    checksum, rest = data[len(_MAGIC) : len(_MAGIC) + _CHECKSUM_BYTES], data[len(_MAGIC) + _CHECKSUM_BYTES :]
    if _checksum(rest) != checksum:
        return {}
    index, tags = rest[_LENGTH.size :][: _LENGTH.unpack_from(rest)[0]], memoryview(rest)
    entries: dict[str, Entry] = {}
    start = _LENGTH.size + len(index)
    for path, stamp, content, names, words, length in json.loads(zlib.decompress(index)):
        kept = bytes(tags[start : start + length])
        entries[path] = Entry(Stamp(*stamp) if stamp else None, Parsed(content, names, words, kept))
        start += length
    return entries


def save(folder: Path, root: Path, entries: Mapping[str, Entry]) -> None:
    """Keep the entries, if there is a place for them. Tags stay packed, to be read when needed."""
    rows: list[list[Any]] = []
    for path, entry in sorted(entries.items()):
        found = entry.parsed
        stamp = list(astuple(entry.stamp)) if entry.stamp else None
        rows.append([path, stamp, found.digest, found.names, found.words, len(found.tags)])
    index = zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), level=1)
    packed = b"".join([_LENGTH.pack(len(index)), index, *(entries[path].parsed.tags for path in sorted(entries))])
    if len(packed) > MAX_BYTES:
        return
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(_place(folder, root), _MAGIC + _checksum(packed) + packed, mode=0o600)
        _make_room(folder, _place(folder, root))


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECKSUM_BYTES).digest()


def _place(folder: Path, root: Path) -> Path:
    name = hashlib.blake2b(os.fsencode(root), digest_size=16).hexdigest()
    return folder / f"{name}{_SUFFIX}"


def _read(path: Path) -> bytes | None:
    """Return the content of a file of ours and take note of its use; None for anything else."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_size < 2 * MAX_BYTES:
                with suppress(OSError):  # a place that is read-only can still be read
                    os.utime(handle)
                return file.read()
    return None


def _make_room(folder: Path, newest: Path) -> None:
    """Remove the least recently used files until all fit, and what an interrupted write has left."""
    kept = sorted(_files(folder), key=lambda item: (item[0] == newest, item[1].st_mtime_ns))
    total = sum(found.st_size for _, found in kept)
    for path, found in kept:
        if total > ALL_BYTES and path != newest:
            path.unlink(missing_ok=True)
            total -= found.st_size


def _files(folder: Path) -> Iterable[tuple[Path, os.stat_result]]:
    for path in folder.iterdir():
        if path.suffix in (_SUFFIX, ".qwencode"):
            yield path, path.lstat()
