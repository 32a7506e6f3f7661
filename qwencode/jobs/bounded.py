"""Work with a hard end: done in a child process that can be killed, whatever it is in the middle of.

llama.cpp does not stop within a batch and a test runner not within a test. So the child hands its events over a pipe,
and when the time is up it is asked to end, given a moment, and killed with all that it started. On Linux orphans of it
become ours (PR_SET_CHILD_SUBREAPER, prctl(2)) and are ended, too; elsewhere the sandbox sees to that by itself. When we
die first, the child reads the end of a second pipe and goes.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from qwencode.errors import Interrupted, QwencodeError
from qwencode.event_json import from_dict, to_dict
from qwencode.events import Event
from qwencode.jobs.undisturbed import undisturbed

GRACE = 0.4
"""Seconds between being asked to end and being killed."""
PREFIX = "qwencode-hook-"
_SIGNALS = (signal.SIGALRM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGALRM: of a clock around us
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_CHUNK = 1 << 16
_STALE = 24 * 3600.0


class Failed(QwencodeError):
    """The work ended in an error of its own, whose traceback is on stderr."""


def bounded(work: Callable[[Path], Iterable[Event]], seconds: float) -> Generator[Event, None, bool]:
    """Do work in a child process for so many seconds at most, and yield its events; return whether it came to its end.

    `work` is given a new directory for temporary files, which is removed at the end. When this returns or is closed
    nothing that it started is alive. Raises QwencodeError as `work` does, and Failed for any other error in it.
    """
    end = time.monotonic() + seconds
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    others = _children()
    _adopt(True)
    try:
        read, write, life = *os.pipe(), os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on: a fork where threads are
            child = os.fork()
        if not child:
            _serve(work, folder, read, write, life)
        os.close(write)
        os.close(life[0])
        try:
            return (yield from _events(read, end))
        finally:
            with undisturbed(*_SIGNALS):
                _end(child)
                os.close(life[1])  # not before: whoever reads its end kills the child at once
                os.close(read)
                _reap(others)
    finally:
        with undisturbed(*_SIGNALS):
            _adopt(False)
            shutil.rmtree(folder, ignore_errors=True)


def _events(read: int, end: float) -> Generator[Event, None, bool]:
    waiting = b""
    while (left := end - time.monotonic()) > 0:
        if not select.select([read], [], [], left)[0]:
            break
        chunk = os.read(read, _CHUNK)
        *lines, waiting = (waiting + chunk).split(b"\n")
        for line in lines:
            data: dict[str, Any] = json.loads(line)
            if "ended" in data:
                if data["ended"]:
                    raise _error(data)
                return True
            yield from_dict(data)
        if not chunk:
            raise Failed("A part of the work ended unexpectedly.")
    return False


def _error(data: dict[str, Any]) -> QwencodeError:
    kinds = QwencodeError.__subclasses__()
    kinds += [kind for parent in kinds for kind in parent.__subclasses__()]
    found = next((kind for kind in kinds if kind.__name__ == data["kind"]), QwencodeError)
    return found(data["ended"])


def _serve(work: Callable[[Path], Iterable[Event]], folder: Path, read: int, write: int, life: tuple[int, int]) -> None:
    """Be the child. It never returns: what the parent's frames would do at their end is the parent's to do."""
    try:
        os.setsid()
        os.close(read)
        os.close(life[1])
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends us
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGTERM, _stop)
        threading.Thread(target=_watch, args=(life[0],), daemon=True).start()
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(2, 1)  # what is printed by mistake must not get among our output
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        _told(work(folder), write)
    finally:
        if sys.exc_info()[0] not in (None, Interrupted):
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(0)


def _told(events: Iterable[Event], write: int) -> None:
    def tell(data: dict[str, Any]) -> None:
        line = json.dumps(data).encode("ascii") + b"\n"
        while line:
            line = line[os.write(write, line) :]

    try:
        for event in events:
            tell(to_dict(event))
    except Interrupted:
        raise
    except QwencodeError as error:
        tell({"ended": str(error), "kind": type(error).__name__})
    else:
        tell({"ended": ""})


def _stop(number: int, frame: object) -> None:
    raise Interrupted("The time was up.")


def _watch(life: int) -> None:
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)


def _end(child: int) -> None:
    """Ask the child to end, and see to it."""
    os.kill(child, signal.SIGTERM)  # it is not waited for yet, so the number is still its own
    until = time.monotonic() + GRACE
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.005)
    with suppress(ProcessLookupError):  # it had not come to lead a group
        os.killpg(child, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _children() -> set[int]:
    """Return the processes that are ours; none where there is no way to ask."""
    found: set[int] = set()
    for path in Path(f"/proc/{os.getpid()}/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(word) for word in path.read_text().split()}
    return found


def _reap(others: set[int]) -> None:
    """End what was left to us by children that are gone, and what these leave in turn."""
    until = time.monotonic() + GRACE
    while (orphans := _children() - others) and time.monotonic() < until:
        for orphan in orphans:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(orphan, signal.SIGKILL)
                os.waitpid(orphan, os.WNOHANG)
        time.sleep(0.002)


def _adopt(yes: bool) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, int(yes), 0, 0, 0)


def _sweep() -> None:
    """Remove what a process that was killed has left behind."""
    for path in _old(Path(tempfile.gettempdir())):
        shutil.rmtree(path, ignore_errors=True)


def _old(folder: Path) -> Iterator[Path]:
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if path.stat().st_uid == os.getuid() and time.time() - path.stat().st_mtime > _STALE:
                yield path
