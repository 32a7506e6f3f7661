"""Our own directory of model files: taking files in, checking them, removing them."""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from qwencode.errors import ModelUnavailable, UsageError
from qwencode.events import Event, PhaseStarted
from qwencode.machine.pull import Pace, checksum_of, part_of
from qwencode.model.catalogue import Entry, catalogue
from qwencode.model.found import OURS, Found, is_projector
from qwencode.model.llama.gguf_header import check
from qwencode.settings import Places

_CHUNK = 8 << 20
_BLOB = re.compile(r"(?:sha256-)?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Verified:
    """What a check of a file found: `problem` is '' when it is sound, `against` says what it was compared with."""

    file: Found
    sha256: str
    against: str
    problem: str = ""


def take_in(path: Path, places: Places, link: bool) -> Generator[Event, None, Path]:
    """Copy, or link to, a file after checking that it is a model that can be run; return its new place.

    Raises ModelUnavailable for a file that is none, UsageError when the place is taken or cannot be written.
    """
    check(path, is_projector(path.name))
    entry = published(path)
    target = places.models / (entry.place if entry else path.name)
    if target.exists() or target.is_symlink():
        raise UsageError(f"{target} is there already; remove it first with `qwencode models rm`.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if link:
            target.symlink_to(path.resolve())
            return target
        yield PhaseStarted("copy", f"Copying {path.name}")
        yield from _copied(path, target)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full; --link needs no room" if full else error.strerror
        raise UsageError(f"{path.name} cannot be put into {target.parent}: {reason}.") from error
    return target


def published(path: Path) -> Entry | None:
    """Return the entry of the catalogue that a file seems to be, by its name and its size; None when it is unknown."""
    size = path.stat().st_size
    entries = catalogue().entries.values()
    return next((entry for entry in entries if entry.file == path.name and entry.bytes == size), None)


def verify(file: Found) -> Generator[Event, None, Verified]:
    """Check size, checksum and head of a file, as far as anything is known to compare them with."""
    entry = catalogue().entries.get(file.name) or published(file.path)
    sha256, against = known_checksum(file, entry)
    try:
        check(file.path, is_projector(file.path.name))
        size = file.path.stat().st_size
        if entry and entry.bytes and size != entry.bytes and sha256 == entry.sha256:
            said = f"It has {size:,} bytes, and {entry.bytes:,} were published."
            return Verified(file, "", "the catalogue", said)
        yield PhaseStarted("verify", f"Reading {file.name}")
        found = yield from _hashed(file.path)
    except (ModelUnavailable, OSError) as error:
        return Verified(file, "", "its own head", str(error))
    if sha256 and found != sha256:
        return Verified(file, found, against, f"Its checksum is {found[:16]}… and should be {sha256[:16]}….")
    return Verified(file, found, against)


def known_checksum(file: Found, entry: Entry | None) -> tuple[str, str]:
    """Return the checksum that a file should have, '' when none is known, and who says so."""
    try:
        kept = checksum_of(file.path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        kept = ""
    if _BLOB.fullmatch(kept):
        return kept, "the checksum of its download"
    if entry and entry.sha256:
        return entry.sha256, "the catalogue"
    if match := _BLOB.fullmatch(file.path.resolve().name):
        return match[1], f"the name that {file.owner} gave it"
    return "", "its own head; no checksum of it is known"


def what_goes(name: str, places: Places, files: list[Found]) -> list[Path]:
    """Return the files to remove for a name: a model of ours with what belongs to it, or the part of a download.

    Raises UsageError for a name that is none, or of a file that is not ours.
    """
    wanted = name.lower().removesuffix(".gguf")
    same = [file for file in files if wanted in (file.name.lower(), str(file.path).lower().removesuffix(".gguf"))]
    ours = [file.path for file in same if file.owner == OURS]
    if len(ours) > 1:
        raise UsageError(f"{name!r} could be {' or '.join(map(str, ours))}; give the path.")
    if same and not ours:
        raise UsageError(f"{same[0].path} belongs to {same[0].owner}; remove it there.")
    entry = next((entry for entry in catalogue().entries.values() if entry.name.lower() == wanted), None)
    target = ours[0] if ours else places.models / entry.place if entry else None
    found = [path for path in (target, *_beside(target)) if path.exists() or path.is_symlink()] if target else []
    if not found:
        raise UsageError(f"There is no model {name!r} in {places.models}; `qwencode models` lists what there is.")
    return found


def remove(paths: list[Path], places: Places) -> int:
    """Remove files below the models place and directories that are empty then; return the bytes that got free.

    Raises UsageError for a path elsewhere, before anything is removed. Of a link only the link goes.
    """
    root = places.models.resolve()
    for path in paths:
        if not (path.parent.resolve() / path.name).is_relative_to(root):
            raise UsageError(f"{path} is not below {places.models}, so it is not removed.")
    free = 0
    try:
        for path in paths:
            free += 0 if path.is_symlink() else path.stat().st_size
            path.unlink()
        for folder in {path.parent for path in paths}:
            while folder.resolve() != root and not any(folder.iterdir()):
                folder.rmdir()
                folder = folder.parent
    except OSError as error:
        raise UsageError(f"{error.filename} cannot be removed: {error.strerror}.") from error
    return free


def _beside(target: Path) -> list[Path]:
    """Return what belongs to a model file and lies beside it under hidden names."""
    parts = target.parent.glob(part_of(target).name)
    lock = target.with_name(f".{target.name}.lock")
    return [path for path in (*parts, checksum_of(target), lock) if path.exists()]


def _copied(path: Path, target: Path) -> Generator[Event, None, None]:
    """Copy through a hidden name, so that the target is whole or not there."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with path.open("rb") as source, part.open("xb") as out:
            yield from _through(source.read, out.write, path.stat().st_size, "copy")
            out.flush()
            os.fsync(out.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _hashed(path: Path) -> Generator[Event, None, str]:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        yield from _through(file.read, digest.update, path.stat().st_size, "verify")
    return digest.hexdigest()


def _through(
    read: Callable[[int], bytes], write: Callable[[bytes], object], size: int, phase: str
) -> Generator[Event, None, None]:
    pace, have = Pace(0, size, phase), 0
    while chunk := read(_CHUNK):
        write(chunk)
        have += len(chunk)
        yield from pace.report(have)
