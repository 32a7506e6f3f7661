"""The sessions on disk: what there is, what one of them holds, and getting rid of it."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from qwencode.errors import UsageError
from qwencode.event_json import from_dict
from qwencode.events import Event

_HEAD_BYTES = 1 << 18  # of a file, in which its first words are looked for
SUFFIX = ".jsonl"


@dataclass(frozen=True, slots=True)
class Summary:
    """A session as a list shows it. `words` are the first that were said; `age` is in seconds since its last event."""

    id: str
    job: str
    repository: str
    words: str
    age: float


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file holds. `notices` say what of it could not be used: a sentence each."""

    events: list[Event]
    notices: list[str]


def summaries(folder: Path) -> list[Summary]:
    """Return all sessions, the newest first. A file that is none of ours is left out."""
    found = [_summary(path) for path in folder.glob(f"*{SUFFIX}")] if folder.is_dir() else []
    return sorted((summary for summary in found if summary), key=lambda summary: summary.age)


def find(folder: Path, name: str) -> Path:
    """Return the file of a session, by its id or the beginning of one. Raises UsageError when that is not one."""
    if not name or "/" in name or "\0" in name:
        raise UsageError(f"{name!r} is no id of a session. `qwencode sessions` lists them.")
    exact = folder / f"{name}{SUFFIX}"
    if os.path.isfile(exact):  # noqa: PTH113 (never raises, however long the name is)
        return exact
    begun = [path for path in folder.glob(f"*{SUFFIX}") if path.stem.startswith(name)] if folder.is_dir() else []
    if len(begun) == 1:
        return begun[0]
    if begun:
        some = ", ".join(sorted(path.stem for path in begun)[:5])
        raise UsageError(f"{name!r} could be {len(begun)} sessions: {some}. Give more of the id.")
    raise UsageError(f"There is no session {name!r}. `qwencode sessions` lists them.")


def load(path: Path) -> Loaded:
    """Read a session for going on with it: what this version does not know is passed over, and said.

    Raises UsageError when the file cannot be read.
    """
    events, notices, unknown = list[Event](), list[str](), 0
    for line in _lines(path, notices):
        try:
            data: dict[str, Any] = json.loads(line)
            data.pop("time", None)
            events.append(from_dict(data))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            unknown += 1
    if unknown:
        many = f"{unknown:,} events" if unknown > 1 else "One event"
        notices.append(f"{many} of the session {path.stem} cannot be read by this version of qwencode; left out.")
    return Loaded(events, notices)


def kept_folder(path: Path) -> Path:
    """Return where the model's memory of a session is kept, if it is."""
    return path.with_suffix(".kept")


def remove(path: Path) -> None:
    """Delete a session. Raises UsageError when that is not possible, also while it goes on in another process."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        shutil.rmtree(kept_folder(path), ignore_errors=True)
    except BlockingIOError as error:
        raise UsageError(f"The session {path.stem} is open in another process; end that first.") from error
    except OSError as error:
        raise UsageError(f"The session {path} cannot be removed: {error.strerror}.") from error


def _lines(path: Path, notices: list[str]) -> Iterator[bytes]:
    try:
        *lines, last = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError(f"The session {path} cannot be read: {error.strerror}.") from error
    if last:
        notices.append("The last event of the session was half written, as after a crash; it is left out.")
    return iter(lines)


def _summary(path: Path) -> Summary | None:
    """Read the beginning of a file. None when it is not a session."""
    try:
        with path.open("rb") as file:
            lines = file.read(_HEAD_BYTES).split(b"\n")[:-1]
        changed = path.stat().st_mtime
    except OSError:
        return None
    job = repository = words = ""
    for line in lines:
        try:
            data = cast("dict[str, Any]", json.loads(line))
            kind = data["type"]
            if kind == "run_started" and not job:
                job, repository, words = str(data["job"]), str(data["repository"]), str(data["goal"])
            elif kind == "turn_started":
                words = str(data["text"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if words:
            break
    return Summary(path.stem, job, repository, " ".join(words.split()), time.time() - changed) if job else None
