"""A model file from the hub: whole and with the right checksum under its name, or not there under it at all.

The address, the token and the endpoint are those of Hugging Face's own client. The bytes are fetched here, since that
client begins anew after every interruption, and these files have 20 GB. What came so far lies beside the place of the
file under a hidden name that ends in `.part`, which nothing takes for a model; the next call goes on from there.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from qwencode.errors import ModelUnavailable, UsageError
from qwencode.events import Event, Notice, PhaseStarted, Progress
from qwencode.machine.hub import Remote, Source, look_up
from qwencode.machine.lanes import Lanes, Piece, fetch
from qwencode.model import connection
from qwencode.model.catalogue import find as in_catalogue
from qwencode.model.found import is_projector, others
from qwencode.model.llama.gguf_header import check
from qwencode.settings import Places

PATIENCE = 5
"""How often in a row it is tried again when nothing came."""
_LONGEST_PAUSE = 60.0
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_CHUNK = 1 << 20
_SPARE = 64 << 20  # bytes that stay free on the disk
_EVERY = 0.25  # seconds between two reports
_AGAIN = {408, 429, 500, 502, 503, 504}
_MB = 10**6


class _Unreached(Exception):
    """Nothing came this time; a later try may do better. `pause`: seconds that the server asks for."""

    def __init__(self, reason: str, pause: float = 0.0):
        super().__init__(reason)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class Pulled:
    """The file, its bytes, and what checksum it was found to have; `known` says whether it was known beforehand."""

    path: Path
    size: int
    sha256: str
    known: bool


def pull(
    source: Source,
    places: Places,
    environment: Mapping[str, str] | None = None,
    pause: Callable[[float], None] = time.sleep,
    lanes: Lanes = Lanes(),  # noqa: B008 (a value)
) -> Generator[Event, None, Pulled | None]:
    """Fetch a file and return it; None when it is there already.

    Raises ModelUnavailable for what cannot be had, a wrong checksum, or too little room, and UsageError when it is
    being pulled already. Whatever ends it, Ctrl-C too: what came is kept, and used the next time.
    """
    target = places.models / source.place
    try:
        if there := _already(source, target, places, environment):
            yield Notice(there)
            return None
        yield PhaseStarted("find", f"Asking for {source.repository}/{source.file}")
        with connection.client(lambda: httpx.Client(follow_redirects=True, timeout=_TIMEOUT)) as client:
            remote = yield from _patiently(lambda: look_up(client, source, environment), pause)
            for text in remote.remarks:
                yield Notice(text)
            target.parent.mkdir(parents=True, exist_ok=True)
            with _alone(target):
                if target.exists():  # another process has just finished
                    return None
                part = part_of(target, remote)
                with _opened(part) as file:
                    yield from _room(file, target.parent, remote)
                    digest = yield from _fetch(client, remote, file, pause, lanes)
                    os.fsync(file.fileno())
                return _accept(part, target, source, remote, digest)
    except OSError as error:
        raise _disk_error(error, target) from error


def _already(source: Source, target: Path, places: Places, environment: Mapping[str, str] | None) -> str:
    """Return where the file is already, as a sentence; '' when it is nowhere."""
    if target.exists():
        return f"{source.name} is there already: {target}"
    if not in_catalogue(source.name):
        return ""
    for file in others(places, environment):
        if file.name == source.name and file.size == (source.size or file.size):
            return f"{source.name} is there already, and is used in place: {file.path} ({file.owner})."
    return ""


def part_of(target: Path, remote: Remote | None = None) -> Path:
    """Return where a file lies until it is whole: a place for each content, so that no two are ever mixed."""
    mark = re.sub(r"\W", "", remote.sha256 or remote.mark)[:16] if remote else "*"
    return target.with_name(f".{target.name}.{mark}.part")


def checksum_of(target: Path) -> Path:
    """Return where the checksum of a pulled file is kept."""
    return target.with_name(f".{target.name}.sha256")


def _patiently(ask: Callable[[], Remote], pause: Callable[[float], None]) -> Generator[Event, None, Remote]:
    for attempt in range(PATIENCE + 1):
        try:
            return ask()
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in _AGAIN:
                raise
            trouble = _Unreached(f"the hub says {error.response.status_code}", _wished_pause(error.response))
        except httpx.TransportError as error:
            trouble = _Unreached(words(error))
        yield from _wait(trouble, attempt, pause)
    raise AssertionError("unreachable")


def _wait(trouble: _Unreached, attempt: int, pause: Callable[[float], None]) -> Generator[Event, None, None]:
    """Say what went wrong and wait. Raises ModelUnavailable when it was tried often enough."""
    if attempt >= PATIENCE:
        raise ModelUnavailable(
            f"The hub cannot be reached ({trouble}), {PATIENCE + 1} times in a row. What came so far is kept: the same "
            "command goes on from there."
        )
    seconds = min(_LONGEST_PAUSE, max(trouble.pause, 2.0**attempt))
    yield Notice(f"Nothing came ({trouble}); trying again in {seconds:.0f} s.", "warning")
    pause(seconds)


def _fetch(
    client: httpx.Client, remote: Remote, file: BinaryIO, pause: Callable[[float], None], lanes: Lanes
) -> Generator[Event, None, str]:
    """Bring the file to its full size and return its checksum."""
    digest = hashlib.sha256()
    have = yield from _hash_what_is_there(file, remote, digest.update)
    yield PhaseStarted("pull", f"Fetching {remote.name}")
    pace = Pace(have, remote.size)
    attempt = 0
    while have < remote.size:
        before = have
        try:
            for chunk, start in _pieces(client, remote, have, lanes):
                if start != have:  # a server that knows no ranges begins anew
                    have, digest = start, hashlib.sha256()
                    file.seek(start)
                    file.truncate()
                file.write(chunk)
                digest.update(chunk)
                have += len(chunk)
                yield from pace.report(have)
            trouble = _Unreached("the connection ended early")
        except httpx.TransportError as error:
            trouble = _Unreached(words(error))
        except _Unreached as error:
            trouble = error
        if have < remote.size:
            attempt = 0 if have > before else attempt + 1
            yield from _wait(trouble, attempt, pause)
    return digest.hexdigest()


def _pieces(client: httpx.Client, remote: Remote, have: int, lanes: Lanes) -> Iterator[Piece]:
    """Yield what is missing, over several connections where it is much."""
    if remote.size - have < lanes.least:
        return _chunks(client, remote, have)
    failures = (httpx.HTTPError, _Unreached, ModelUnavailable, RuntimeError)  # the last: the client was closed
    return fetch(have, remote.size, lanes, lambda first, last: _chunks(client, remote, first, last), failures)


def _chunks(client: httpx.Client, remote: Remote, have: int, last: int | None = None) -> Iterator[Piece]:
    """Yield what comes, each piece with its place in the file. Raises _Unreached, or ModelUnavailable for a refusal.

    `last`: the last byte that is wanted; None: all.
    """
    span = f"bytes={have}-{'' if last is None else last}" if have or last is not None else ""
    with client.stream("GET", remote.url, headers=headers_for(remote, span)) as response:
        if response.status_code in _AGAIN:
            raise _Unreached(f"the server says {response.status_code}", _wished_pause(response))
        if response.status_code not in (200, 206):
            raise refused(remote, response)
        at = _start(response, have)
        for chunk in response.iter_bytes():  # as it comes: what waits for more is lost with the connection
            if at + len(chunk) > remote.size:
                raise ModelUnavailable(f"More than the {remote.size:,} bytes of {remote.name} came; nothing was kept.")
            yield chunk, at
            at += len(chunk)


def headers_for(remote: Remote, span: str) -> dict[str, str]:
    """Return what is sent for a part of a file, as it is and not packed; '' is all of it."""
    return {**remote.headers, "Accept-Encoding": "identity", **({"Range": span} if span else {})}


def refused(remote: Remote, response: httpx.Response) -> ModelUnavailable:
    """Return the error for an answer that another try would not change."""
    return ModelUnavailable(
        f"{remote.name} cannot be fetched: the server answers {response.status_code} for {response.url.host}. "
        "What came so far is kept."
    )


def _start(response: httpx.Response, have: int) -> int:
    """Return the place in the file at which an answer begins."""
    if response.status_code == 200:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if not found or int(found[1]) != have:
        raise _Unreached("the server sent another part than was asked for")
    return have


def _hash_what_is_there(file: BinaryIO, remote: Remote, update: Callable[[bytes], None]) -> Generator[Event, None, int]:
    size = file.seek(0, os.SEEK_END)
    if size > remote.size:
        size = 0
        file.truncate(0)
    if size:
        yield PhaseStarted("check", f"{size / 1e9:.2f} of {remote.size / 1e9:.2f} GB came before; reading them")
    pace = Pace(0, size, "check")
    file.seek(0)
    have = 0
    while chunk := file.read(_CHUNK):
        update(chunk)
        have += len(chunk)
        yield from pace.report(have)
    return have


class Pace:
    """Says from time to time how far it is, and when it will be done at the speed so far."""

    def __init__(self, begun_at: int, total: int, phase: str = "pull"):
        self._first, self._total, self._phase = begun_at, total, phase
        self._began = time.monotonic()
        self._said = self._began - _EVERY  # the first report comes at once

    def report(self, have: int) -> Iterator[Event]:
        now = time.monotonic()
        if now - self._said < _EVERY and have < self._total:
            return
        self._said = now
        elapsed = now - self._began
        rate = (have - self._first) / elapsed if elapsed >= _EVERY else 0.0  # before, it would be chance
        left = 0.0 if have >= self._total else (self._total - have) / rate if rate else None
        note = f"at {rate / _MB:.1f} MB/s" if rate else ""
        yield Progress(self._phase, have // _MB, self._total // _MB, "MB", left, note)


def _accept(part: Path, target: Path, source: Source, remote: Remote, found: str) -> Pulled:
    """Give a whole file its name. Raises ModelUnavailable, and removes it, when it is not what was published."""
    if remote.sha256 and found != remote.sha256:
        part.unlink()
        raise ModelUnavailable(
            f"What came as {source.name} is not what was published: its checksum is {found[:16]}… and should be "
            f"{remote.sha256[:16]}…. It was removed; pull it again."
        )
    try:
        check(part, is_projector(target.name))
    except ModelUnavailable as error:
        part.unlink()
        reason = str(error).replace(str(part), source.file)
        raise ModelUnavailable(f"{reason} It came as it was published, and was removed.") from error
    checksum_of(target).write_text(f"{found}\n", encoding="ascii")
    part.replace(target)
    _sync(target.parent)
    return Pulled(target, remote.size, found, bool(remote.sha256))


def _room(file: BinaryIO, folder: Path, remote: Remote) -> Iterator[Event]:
    missing = remote.size - file.seek(0, os.SEEK_END)
    free = shutil.disk_usage(folder).free
    if missing + _SPARE > free:
        raise ModelUnavailable(
            f"{remote.name} needs {missing / 1e9:.1f} GB more on the disk of {folder}, where {free / 1e9:.1f} GB are "
            "free. Make room, or set XDG_DATA_HOME to a place on another disk."
        )
    yield Notice(f"{remote.name}: {remote.size / 1e9:.2f} GB to {folder}, where {free / 1e9:.1f} GB are free.")


@contextmanager
def _alone(target: Path) -> Generator[None]:
    """Keep every other process from pulling the same file. The lock is the system's, so a killed one leaves none."""
    with target.with_name(f".{target.name}.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"Another qwencode is pulling {target.name} right now.") from error
        yield


@contextmanager
def _opened(part: Path) -> Generator[BinaryIO]:
    """Open a part without a buffer of ours: what came is in the file, also when this process is killed."""
    handle = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
    with os.fdopen(handle, "r+b", buffering=0) as file:
        yield file


def _disk_error(error: OSError, target: Path) -> ModelUnavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelUnavailable(
            f"The disk of {target.parent} is full. What came so far is kept: make room, and the same command goes on."
        )
    return ModelUnavailable(f"{error.filename or target} cannot be written: {error.strerror}.")


def _sync(folder: Path) -> None:
    """Make a new name last through a crash of the machine."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _wished_pause(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0


def words(error: httpx.TransportError) -> str:
    """Return what the network says was wrong."""
    return str(error) or type(error).__name__
