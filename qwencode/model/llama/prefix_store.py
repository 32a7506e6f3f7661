"""The state after the fixed prefix, kept on disk, so that the next start has nothing of it to evaluate.

Only the fixed prefix goes there: the system message and the tool declarations, which are ours and the same for every
repository. No text of a repository does: AGENTS.md, the task and the code stand in the first user message, behind it.

What does not load is a miss and never an error, and llama.cpp is given no byte that was not written for it: it may end
the process on a bad state.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import struct
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qwencode.model.llama.fit import Fit
from qwencode.model.llama.state import LiveState

State = NDArray[np.uint8]
_MAGIC = b"qwprefix"
_FORMAT = 1
_HEAD = struct.Struct("<8s32sQ32s")
"""Magic, key, length of the state in bytes, its checksum. The state follows."""
_ENTRY, _UNFINISHED = ".prefix", ".tmp"
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe may lie there and would never be opened
_WRITE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_CREAT | os.O_EXCL
_HEAD_BYTES, _SAMPLES, _SAMPLE_BYTES = 16 << 20, 64, 4096


@dataclass(frozen=True, slots=True)
class Warmed:
    """A fixed prefix that was brought into memory, `cached` of its tokens without being evaluated.

    `size`: bytes of its entry in `directory`; 0: there is none, for the reason `problem`.
    """

    tokens: int
    cached: int
    seconds: float
    size: int
    directory: Path
    problem: str


class PrefixStore:
    """States by key, a file each, at most `limit_bytes` together; the least recently used ones go first.

    The directory is the user's alone (0700, its files 0600); it is made when something is put there. One process writes
    at a time, under a lock on the directory, so an unfinished file that is found was left by one that was killed. The
    others wait for `patience` seconds.
    """

    def __init__(self, directory: Path, limit_bytes: int, patience: float = 5.0):
        self.directory = directory
        self.limit_bytes = limit_bytes
        self._patience = patience

    def get(self, key: bytes) -> State | None:
        """Return the state of a key of 32 bytes, whole and unaltered; None: a miss. A bad file is removed."""
        try:
            with self._folder() as folder:
                return self._sound(folder, key)
        except (OSError, MemoryError):
            return None

    def put(self, key: bytes, state: State) -> str:
        """Keep a state. Returns why that could not be, as the end of a sentence; '' when it is there."""
        size = _HEAD.size + state.nbytes
        if size > self.limit_bytes:
            return f"it takes {size:,} bytes, and the store holds {self.limit_bytes:,} at most"
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._folder() as folder:
                os.fchmod(folder, os.fstat(folder).st_mode & 0o700)
                _lock(folder, self._patience)
                for name, _ in _files(folder, _UNFINISHED):
                    os.unlink(name, dir_fd=folder)
                if self._sound(folder, key) is None:
                    self._make_room(folder, size)
                    _write(folder, key, state)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def remove(self, key: bytes) -> None:
        """Remove an entry, if it is there and can be removed."""
        with suppress(OSError), self._folder() as folder:
            os.unlink(_name(key), dir_fd=folder)

    def clear(self) -> None:
        """Remove all entries that can be removed."""
        with suppress(OSError), self._folder() as folder:
            for name, _ in _files(folder, _ENTRY):
                os.unlink(name, dir_fd=folder)

    def size(self, key: bytes) -> int:
        """Return the bytes that the entry of a key takes; 0 when there is none."""
        with suppress(OSError), self._folder() as folder:
            found = os.stat(_name(key), dir_fd=folder, follow_symlinks=False)
            return found.st_size if stat.S_ISREG(found.st_mode) else 0
        return 0

    @contextmanager
    def _folder(self) -> Generator[int]:
        """Open the directory. Everything is done relative to it, so that it cannot be swapped in between."""
        folder = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if os.fstat(folder).st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, "the directory belongs to another user")
            yield folder
        finally:
            os.close(folder)

    def _sound(self, folder: int, key: bytes) -> State | None:
        """Return the state of a key and take note of its use. Whatever else lies at its place is removed."""
        name = _name(key)
        try:
            handle = os.open(name, _READ, dir_fd=folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # a symbolic link
                os.unlink(name, dir_fd=folder)
            return None
        try:
            state = _state(handle, key, self.limit_bytes)
            with suppress(OSError):  # a place that is read-only can still be read
                if state is None:
                    os.unlink(name, dir_fd=folder)
                else:
                    os.utime(handle)
        finally:
            os.close(handle)
        return state

    def _make_room(self, folder: int, size: int) -> None:
        """Remove the least recently used entries until `size` more bytes are within the limit."""
        found = [(file.st_mtime_ns, file.st_size, name) for name, file in _files(folder, _ENTRY)]
        total = sum(length for _, length, _ in found)
        for _, length, name in sorted(found):
            if total + size <= self.limit_bytes:
                break
            os.unlink(name, dir_fd=folder)
            total -= length


class Prefixes:
    """The fixed prefixes of one model as it is run, in a store.

    The key of one names all that its state depends on: the file, the tokens, how the file is run, the `library` that
    runs it, this format. How long the context is, how many threads there are and what checkpoints may take does not
    count: they change no bit of a state.
    """

    def __init__(self, store: PrefixStore, file: bytes, fit: Fit, library: str):
        self._store = store
        counted = replace(fit, context=0, threads=0, checkpoint_bytes=0)
        self._model = hashlib.blake2b(repr((_FORMAT, file, counted, library)).encode()).digest()
        self.problem = ""
        """Why the last `keep` kept nothing."""

    def fetch(self, live: LiveState, tokens: Sequence[int]) -> bool:
        """Make the tokens the live ones, if their state is in the store."""
        key = self._key(tokens)
        state = self._store.get(key)
        if state is None:
            return False
        if taken := live.adopt(tokens, state):
            return taken
        self._store.remove(key)
        return False

    def keep(self, tokens: Sequence[int], state: State) -> None:
        """Put the state after the tokens into the store, if that can be."""
        self.problem = self._store.put(self._key(tokens), state)

    def warmed(self, tokens: Sequence[int], cached: int, seconds: float) -> Warmed:
        """Return what came of bringing the tokens into memory."""
        size = self._store.size(self._key(tokens))
        return Warmed(len(tokens), cached, seconds, size, self._store.directory, self.problem)

    def _key(self, tokens: Sequence[int]) -> bytes:
        return hashlib.blake2b(self._model + np.array(tokens, "<i4").tobytes(), digest_size=32).digest()


def prefixes(store: PrefixStore | None, path: Path, fit: Fit, library: str) -> Prefixes | None:
    """Open the prefixes of a model file; None without a store, or when the file cannot be read.

    To be called before the file is loaded: one that changes in between is then stored under a key that nobody asks for.
    """
    try:
        return Prefixes(store, fingerprint(path), fit, library) if store else None
    except OSError:
        return None


def fingerprint(path: Path) -> bytes:
    """Return what tells a model file from every other, in a few milliseconds for any size. Raises OSError.

    Counted are its size and time of change, its head with the vocabulary, and samples of its tensors.
    """
    with path.open("rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        mark = hashlib.blake2b(b"%d %d " % (found.st_size, found.st_mtime_ns), digest_size=16)
        mark.update(file.read(_HEAD_BYTES))
        for number in range(1, _SAMPLES + 1):  # the last one is the end of the file
            file.seek(max(0, found.st_size - _SAMPLE_BYTES) * number // _SAMPLES)
            mark.update(file.read(_SAMPLE_BYTES))
    return mark.digest()


def _name(key: bytes) -> str:
    return key.hex() + _ENTRY


def _files(folder: int, ending: str) -> list[tuple[str, os.stat_result]]:
    with os.scandir(folder) as found:
        files = [entry for entry in found if entry.name.endswith(ending) and entry.is_file(follow_symlinks=False)]
        return [(entry.name, entry.stat(follow_symlinks=False)) for entry in files]


def _head(key: bytes, state: State) -> bytes:
    return _HEAD.pack(_MAGIC, key, state.nbytes, hashlib.blake2b(state.data, digest_size=32).digest())


def _state(handle: int, key: bytes, limit: int) -> State | None:
    """Return the state in an open file; None when it is not one that was put there under this key."""
    found = os.fstat(handle)
    own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
    if not own or not _HEAD.size < found.st_size <= limit:
        return None
    data = np.empty(found.st_size, np.uint8)
    view, at = data.data, 0
    while at < len(view):
        count = os.readv(handle, [view[at:]])
        if not count:
            return None
        at += count
    state = data[_HEAD.size :]
    return state if data[: _HEAD.size].tobytes() == _head(key, state) else None


def _write(folder: int, key: bytes, state: State) -> None:
    """Write an entry, which appears whole or not at all. Raises OSError, and leaves nothing then."""
    unfinished = f"{secrets.token_hex(8)}{_UNFINISHED}"
    handle = os.open(unfinished, _WRITE, 0o600, dir_fd=folder)
    try:
        for part in (memoryview(_head(key, state)), state.data):
            at = 0
            while at < len(part):
                at += os.write(handle, part[at:])
        os.fsync(handle)
        os.rename(unfinished, _name(key), src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished, dir_fd=folder)
        raise
    finally:
        os.close(handle)


def _lock(folder: int, patience: float) -> None:
    """Wait until no other process writes there. The lock goes with the handle. Raises OSError when that lasts."""
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise BlockingIOError(errno.EAGAIN, "another process is writing there") from None
        time.sleep(0.05)
