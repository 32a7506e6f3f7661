"""Run calls of functions in a confined worker: what they return, and which changed functions a call tells apart.

One `Runner` is one worker process in the sandbox, without network and with nothing writable but its own scratch
directory. A job costs a fork, a call some microseconds.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builtin.selfcontained import MODULES
from qwencode.sandbox.ladder import open_sandbox
from qwencode.sandbox.protocol import Limits, Process

WORKER = Path(__file__).with_name("inside_worker.py")
WIDTH = 120
"""Characters of each line of a failure."""
_LIMITS = Limits(seconds=6 * 3600, memory_bytes=2 << 30, processes=16, file_bytes=1 << 20)


@dataclass(frozen=True, slots=True)
class Tried:
    """What one call came to. `kind`: value, raised, timeout or useless (no literal, too long, not twice the same)."""

    call: str
    kind: str
    result: str = ""
    lines: int = 0
    """Bits of the lines that it reached."""


Call = tuple[str, str]
"""A call and the literal that it must equal."""


class Runner:
    """A confined worker. `hash_seed` orders its sets, so two seeds show which results hang on that order."""

    def __init__(self, hash_seed: int = 1):
        self._folder = tempfile.TemporaryDirectory(prefix="runner-")
        self._seed = str(hash_seed)
        self._sandbox = open_sandbox(Path(self._folder.name), readable=[WORKER.parent])
        self._process = self._start()

    def _start(self) -> Process:
        words = [sys.executable, "-s", "-P", "-B", str(WORKER), *MODULES]
        return self._sandbox.start(
            words, cwd=Path(self._folder.name), limits=_LIMITS, env={"PYTHONHASHSEED": self._seed}
        )

    def close(self) -> None:
        """End the worker and remove its folder."""
        self._sandbox.close()
        self._folder.cleanup()

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def tried(self, program: str, calls: Sequence[str]) -> list[Tried]:
        """Run each call of a program. One that gives an iterator comes back inside `list(...)`."""
        found: list[Tried] = []
        said = self._ask({"kind": "try", "program": program, "calls": list(calls)}, len(calls))
        for call, (kind, *rest) in zip(calls, said, strict=True):
            if kind == "value":
                text, lines, iterator = rest
                found.append(Tried(f"list({call})" if iterator else call, kind, text, lines))
            else:
                found.append(Tried(call, kind, str(rest[0])))
        return found

    def failures(
        self, programs: Sequence[str], calls: Sequence[Call], orders: Sequence[Sequence[int]] = ()
    ) -> list[str]:
        """Return for each program the first failing call as two lines of a pytest report, or '' when all hold.

        `orders` gives for each program the order in which its calls are made.
        """
        orders = orders or [range(len(calls))] * len(programs)
        pairs = [[program, list(order)] for program, order in zip(programs, orders, strict=True)]
        said = self._ask({"kind": "tell", "programs": pairs, "calls": [list(call) for call in calls]}, len(programs))
        return [_failure([calls[index] for index in order], *one) for order, one in zip(orders, said, strict=True)]

    def _ask(self, job: dict[str, Any], units: int) -> list[Any]:
        """Hand a job over. A worker that broke is replaced, and its job counts as out of time."""
        try:
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()
            said = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            self._process.kill()
            self._process = self._start()
            return [["timeout", 0]] * units
        return said


def _failure(calls: Sequence[Call], kind: str, index: int, *rest: str) -> str:
    """The failing assertion and what it came to, without the `AssertionError: ` that pytest puts before some."""
    if kind == "same":
        return ""
    call, wanted = calls[index]
    if kind == "timeout":
        what = "timeout"
    elif kind == "raised":
        what = ": ".join(part for part in rest if part)
    else:
        what = f"assert {rest[0]} == {rest[1]}"
    return f"> assert {call} == {wanted}"[:WIDTH] + "\n" + f"E {what}"[:WIDTH]
