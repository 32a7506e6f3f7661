"""This side of the fork server: starts it in the sandbox, hands it jobs and hears the answers."""

import json
import os
import select
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from qwencode.sandbox.protocol import Limits, Process, Sandbox
from qwencode.verify.results import Baseline

_PROGRAMS = ("inside_server.py", "inside_swap.py")
_MEMORY = 8 << 30  # address space, as for a plain run of the tests
_SLOWEST = 20.0
_WEEK = 7 * 86_400.0


class ServerFailed(Exception):
    """The server ended, or could not start; the text says why."""


class ForkServer:
    """One server process. `mode` swap tries about a hundred edits a second; fresh is slower and takes every edit.

    Raises ServerFailed from any call once the process is gone. `close` kills it and every child.
    """

    def __init__(self, sandbox: Sandbox, baseline: Baseline, mode: Literal["swap", "fresh"], jobs: int = 2):
        self.mode, self.jobs = mode, jobs
        self._heard, self._closed = b"", False
        self.folder = Path(tempfile.mkdtemp(prefix="server-", dir=sandbox.scratch))
        for name in _PROGRAMS:
            shutil.copy(Path(__file__).with_name(name), self.folder)
        command = baseline.command
        argv = [*(command.prefix or (command.python or "python3",)), str(self.folder / _PROGRAMS[0])]
        env = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
        env["HYPOTHESIS_STORAGE_DIRECTORY"] = str(self.folder / "hypothesis")
        limits = Limits(_WEEK, memory_bytes=_MEMORY)
        self._process: Process = sandbox.start(argv, cwd=command.cwd, limits=limits, env=env)
        os.set_blocking(self._process.stdin.fileno(), False)
        self.send(self._settings(baseline))

    def _settings(self, baseline: Baseline) -> dict[str, Any]:
        command, results = baseline.command, baseline.run.results
        root = command.root if command.root != Path() else command.cwd
        goal = [test for test in baseline.goal]
        passing = [test for test in baseline.run.passing if test not in baseline.flaky]
        usual = max((results[test].seconds for test in passing), default=0.5)
        limits = {test: _limits(results[test].seconds) for test in passing} | {"": _limits(usual)}
        files = list(dict.fromkeys(results[test].file for test in goal if test in results))
        pytest = command.runner == "pytest"
        return {
            "mode": self.mode,
            "root": str(root),
            "args": [
                *(command.arguments if pytest else ("-o", "python_files=test*.py")),
                f"-ocache_dir={self.folder}",
            ],
            "cwd_on_path": command.as_module or not pytest,
            "jobs": self.jobs,
            "goal": goal,
            "rest": passing,
            "goal_files": files if all(files) else [],
            "seconds": limits,
            "deadline": 5.0
            + 2 * limits[""][0] * max(1, len(goal))
            + 4 * sum(results[test].seconds for test in passing),
        }

    def send(self, data: Mapping[str, Any], seconds: float = 30.0) -> None:
        """Send one line. Raises ServerFailed when the server does not take it within `seconds`."""
        if self._closed:
            raise ServerFailed("it was closed")
        text = memoryview(json.dumps(data).encode() + b"\n")
        pipe, end = self._process.stdin.fileno(), time.monotonic() + seconds
        while text:
            if not select.select([], [pipe], [], max(0.0, end - time.monotonic()))[1]:
                raise ServerFailed("it does not answer any more")
            try:
                text = text[os.write(pipe, text) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ServerFailed("it has ended") from error

    def receive(self, seconds: float) -> list[dict[str, Any]]:
        """Return the answers that come within `seconds`; at once when there are some."""
        if self._closed:
            raise ServerFailed("it was closed")
        pipe = self._process.stdout.fileno()
        if not select.select([pipe], [], [], max(0.0, seconds))[0]:
            return []
        data = os.read(pipe, 1 << 16)
        if not data:
            raise ServerFailed("it has ended")
        *lines, self._heard = (self._heard + data).split(b"\n")
        answers = [json.loads(line) for line in lines]
        if answers and "unusable" in answers[0]:
            raise ServerFailed(str(answers[0]["unusable"]))
        return answers

    def one(self, seconds: float) -> dict[str, Any]:
        """Return the next answer. Raises ServerFailed when none comes in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if answers := self.receive(min(1.0, end - time.monotonic())):
                return answers[0]
        raise ServerFailed(f"it did not answer within {seconds:.0f} s")

    def close(self) -> None:
        """Kill the process and its children. Idempotent."""
        self._closed = True
        self._process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _limits(seconds: float) -> tuple[float, float]:
    """Return how long a test may take that took `seconds` when it was watched: wall time, and processor time.

    An endless loop shows in processor time soon, whatever else the machine does; a deadlock only in wall time.
    """
    return min(_SLOWEST, 5.0 + 4 * seconds), min(_SLOWEST, 0.4 + 5 * seconds)
