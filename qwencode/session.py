"""A run on disk: every event as one JSON line, written as it happens."""

import errno
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from qwencode.errors import UsageError
from qwencode.event_json import from_dict, to_dict
from qwencode.events import (
    CallDelta,
    Event,
    InputOffered,
    Listed,
    PrefillProgress,
    Progress,
    ScreenCleared,
    TextDelta,
    ThinkingDelta,
)

_NOT_KEPT = (PrefillProgress, Progress, TextDelta, ThinkingDelta, CallDelta)  # the finished message says it all
_SHOWN_ONLY = (Listed, InputOffered, ScreenCleared)
_SYNCED = ("verdict_reached", "run_finished", "message_added", "turn_ended")


def new_id() -> str:
    """Return a session id that sorts by time: `20261123-231500-4f3a`."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


class Session:
    """The trace of one run: append-only JSON lines, readable by the user alone.

    Opened again, it goes on; what a crash left half-written at the end is cut off. It is open in one process at a
    time. Raises UsageError when it cannot be written, also later (a full disk).
    """

    def __init__(self, folder: Path, session_id: str):
        self.id = session_id
        self.path = folder / f"{session_id}.jsonl"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(handle)
                raise UsageError(f"The session {session_id} is open in another process.") from error
            whole = self.path.read_bytes().rfind(b"\n") + 1
            os.truncate(handle, whole)
        except OSError as error:
            raise UsageError(f"The session cannot be recorded in {folder}: {error.strerror}.") from error
        self._file = os.fdopen(handle, "ab", buffering=0)

    def record(self, event: Event) -> None:
        """Append an event. Deltas and progress are left out: the message that they build is kept."""
        if isinstance(event, _NOT_KEPT + _SHOWN_ONLY):
            return
        data = {"time": round(time.time(), 3), **to_dict(event)}
        line = (
            json.dumps(data).encode("ascii") + b"\n"
        )  # escaped: any text, also an ill-formed one, comes back as it was
        try:
            if (written := self._file.write(line)) != len(line):
                self._file.truncate(os.fstat(self._file.fileno()).st_size - (written or 0))
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if data["type"] in _SYNCED:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise UsageError(f"The session cannot be recorded in {self.path}: {error.strerror}.") from error

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path) -> Iterator[Event]:
    """Yield the recorded events. A half-written last line is left out; any other bad line raises UsageError."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"The session {path} cannot be read: {error.strerror}.") from error
    for number, line in enumerate(lines[:-1], 1):
        try:
            data = json.loads(line)
            data.pop("time", None)
            event = from_dict(data)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}, line {number}, is not an event of this version of qwencode.") from error
        yield event
