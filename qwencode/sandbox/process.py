"""Supervision from outside: start the shim (bare or behind a rung's program), feed it, bound it, and see it end.

Covered: output is read as it comes and cut at its limit; nothing here waits on a pipe that a stray descendant holds
open, because the shim reports only when every descendant is dead; when qwencode is killed, the shim's socket closes and
it ends everything. Not covered: a shim that does not answer within five seconds is killed itself, and then, without a
PID namespace, descendants other than the command may survive. bubblewrap dies with the *thread* that started it
(PR_SET_PDEATHSIG), so a process from `start` must be started by a thread that lives as long.
"""

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from qwencode.errors import SandboxUnavailable
from qwencode.sandbox.protocol import Completed, Limits

SHIM = Path(__file__).with_name("inside_shim.py")
_GRACE = 5.0
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Launch:
    """How a rung starts the shim: the words before it, file descriptors to pass on, and its part of the plan."""

    plan: Mapping[str, Any]
    prefix: tuple[str, ...] = ()
    fds: tuple[int, ...] = ()


class Supervised:
    """A confined process and all its descendants, as a `sandbox.protocol.Process`."""

    def __init__(self, launch: Launch, *, stdin: int | IO[bytes], stderr: int):
        self._control, theirs = socket.socketpair()
        self._report: dict[str, Any] | None = None
        self._heard = b""
        words = [*launch.prefix, sys.executable, "-I", "-S", str(SHIM), str(theirs.fileno())]
        try:
            self._popen = subprocess.Popen(
                words,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                pass_fds=(theirs.fileno(), *launch.fds),
                start_new_session=True,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            )
        except BaseException:
            self._control.close()
            raise
        finally:
            theirs.close()
        self.stdin = cast(IO[bytes], self._popen.stdin)
        self.stdout = cast(IO[bytes], self._popen.stdout)
        plan = json.dumps(launch.plan).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # died at once: it shows below
            self._control.sendall(len(plan).to_bytes(4, "big") + plan)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def control(self) -> socket.socket:
        """Readable when there is news of the end."""
        return self._control

    def hear(self) -> bool:
        """Take in what the shim says (may block for it). Return whether it has said all."""
        if self._report is None:
            try:
                data = self._control.recv(_CHUNK)
            except (ConnectionResetError, OSError):
                data = b""
            self._heard += data
            if not data:
                self._report = json.loads(self._heard) if self._heard else {}
        return self._report is not None

    def report(self) -> dict[str, Any]:
        """Return what the shim reported; {} while it has not, and when it could not."""
        return self._report or {}

    def poll(self) -> int | None:
        if self._popen.poll() is None:
            return None
        while not self.hear():
            pass
        return self.report().get("status", self._popen.returncode)

    def kill(self) -> None:
        if self._popen.returncode is None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)  # the shim reads end of file, ends all, reports, leaves
            try:
                self._popen.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        self.poll()
        self._control.close()
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()


def run_to_end(process: Supervised, limits: Limits, on_output: Callable[[bytes], None] | None) -> Completed:
    """Read a started command to its end or to a limit. Everything is dead when this returns or raises.

    Raises SandboxUnavailable when the confinement itself could not be set up; the command has not run then.
    """
    began = time.monotonic()
    output, truncated, overdue = bytearray(), False, False
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(process.control, selectors.EVENT_READ)
            while selector.get_map() and not truncated:
                remaining = began + limits.seconds + _GRACE - time.monotonic()
                ready = {key.fileobj for key, _ in selector.select(max(remaining, 0))}
                if overdue := remaining <= 0:
                    break
                if process.stdout in ready:
                    chunk = os.read(process.stdout.fileno(), _CHUNK)
                    kept = chunk[: limits.output_bytes - len(output)]
                    truncated = len(kept) < len(chunk)
                    output += kept
                    if on_output and kept:
                        on_output(kept)
                    if not chunk:
                        selector.unregister(process.stdout)
                if process.control in ready and process.hear():
                    selector.unregister(process.control)
    finally:
        process.kill()
    report = process.report()
    if "refused" in report or not (report or truncated or overdue):
        detail = report.get("refused") or output.decode("utf-8", "replace").strip() or "the shim was killed"
        raise SandboxUnavailable(f"The sandbox could not be set up: {detail}")
    reason = report.get("reason", "")
    return Completed(
        returncode=report.get("status", -9),
        output=bytes(output),
        seconds=time.monotonic() - began,
        timed_out=overdue or reason == "time",
        truncated=truncated,
        leftovers=report.get("leftovers", 0),
        too_many_processes=reason == "processes",
    )
