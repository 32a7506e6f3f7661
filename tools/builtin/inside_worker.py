"""Runs calls of functions nobody vouches for: started in the sandbox by `running`, standard library only.

One line of JSON comes in for each job, one goes out. A job's programs run in a forked child, so that what they break is
gone with it; a child that stalls or dies costs the call it was at, and the rest goes on in a new one.

Covered: endless loops (a timer, for those that swallow it the end of the child, for those below Python a limit of the
system; all of CPU time, so that a busy machine makes no call slow), memory, recursion, leaving the interpreter,
printing, changed arguments. What touches files or the network is the sandbox's business.
"""

import ast
import itertools
import json
import os
import re
import reprlib
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

CALL_SECONDS = 0.05
"""CPU time of one call."""
RINGS = 20
"""How often a call is interrupted before its process ends."""
BELOW = 1
"""Seconds of CPU time of a call that the timer cannot interrupt; the system counts whole ones."""
PATIENCE = 60.0
"""Seconds without a word after which a child that uses no CPU time is given up."""
MEMORY = 512 << 20
LOST = 3
"""Children lost in one job after which the rest of it is given up."""
SLOW = 6
"""Calls out of time after which no other call of the same program is tried."""
LONGEST = 80
"""Characters of a result that is kept."""
_ITEMS = 60
_FILE = "<program>"

Said = list[Any]
"""What came of one unit of work: ["value", text, lines] or ["raised", type] of a call, and so on."""


class OutOfTime(BaseException):
    """A call used up its CPU time."""


class _Clock:
    """Interrupts what runs too long, again and again until it gives in."""

    def __init__(self) -> None:
        self.armed = False
        self._rings = 0
        self._limit = 0
        signal.signal(signal.SIGPROF, self._ring)

    def _ring(self, _signal: int, _frame: FrameType | None) -> None:
        if self.armed:
            self._rings += 1
            if self._rings > RINGS:
                os._exit(1)
            raise OutOfTime

    def run(self, work: Callable[[], Any]) -> Any:
        """Call it; raises OutOfTime, and what the work raises."""
        self._rings = 0
        limit = int(time.process_time()) + 1 + BELOW
        if limit != self._limit:
            self._limit = limit
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        signal.setitimer(signal.ITIMER_PROF, CALL_SECONDS, CALL_SECONDS / 5)
        self.armed = True
        try:
            return work()
        finally:
            self.armed = False
            signal.setitimer(signal.ITIMER_PROF, 0)


class _Lines:
    """Which lines of the program a call reached, as bits of a number."""

    def __init__(self) -> None:
        self.reached = 0

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != _FILE:
            return None
        if event == "line":
            self.reached |= 1 << min(frame.f_lineno, 400)
        return self


def _load(program: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "program"}
    exec(compile(program, _FILE, "exec"), space)
    return space


def _call(code: CodeType, space: dict[str, Any]) -> tuple[Any, bool]:
    """Return the value, an iterator's items as a list, and whether it was an iterator."""
    value = eval(code, space)
    if hasattr(value, "__next__") or type(value) in (type({}.keys()), type({}.values()), type({}.items()), range):
        return list(itertools.islice(value, _ITEMS)), True
    return value, False


def _tried(clock: _Clock, call: str, space: dict[str, Any]) -> Said:
    """Run one call twice; a value counts when both agree and a literal can say it."""
    try:
        code = compile(call, "<call>", "eval")
        lines = _Lines()

        def traced() -> tuple[Any, bool]:
            sys.settrace(lines)
            try:
                return _call(code, space)
            finally:
                sys.settrace(None)

        value, iterator = clock.run(traced)
        text = clock.run(lambda: repr(value))
        again = clock.run(lambda: repr(_call(code, space)[0]))
        if text != again or len(text) > LONGEST or "\n" in text or not clock.run(lambda: _literal(text) == value):
            return ["useless", ""]
    except OutOfTime:
        return ["timeout", ""]
    except BaseException as error:
        return ["raised", type(error).__name__]
    return ["value", text, lines.reached, iterator]


def _literal(text: str) -> Any:
    """The value that a text says; one that equals nothing where it says none."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return object()


def _told_apart(clock: _Clock, program: str, calls: list[list[str]], expected: dict[str, Any]) -> Said:
    """Run calls until one does not give what is expected; say which and how, or ["same"]."""
    try:
        space = clock.run(lambda: _load(program))
    except OutOfTime:
        return ["timeout", 0]
    except BaseException as error:
        return ["raised", 0, _named(error), _message(error)]
    for index, (call, wanted) in enumerate(calls):
        try:
            value = clock.run(lambda call=call: eval(compile(call, "<call>", "eval"), space))
            if not clock.run(lambda value=value, wanted=wanted: bool(value == expected[wanted])):
                return [
                    "differs",
                    index,
                    *clock.run(lambda value=value, wanted=wanted: _shown(value, expected[wanted])),
                ]
        except OutOfTime:
            return ["timeout", index]
        except BaseException as error:
            return ["raised", index, _named(error), _message(error)]
    return ["same", 0]


def _named(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ in ("builtins", "program") else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error).split("\n")[0][:200]
    except BaseException:
        return ""


class _Repr(reprlib.Repr):
    """As pytest shows a value in a failed comparison."""

    def __init__(self, size: int):
        super().__init__()
        self.size = self.maxstring = size

    def repr(self, x: Any) -> str:
        text = re.sub(r"0x[0-9a-f]{6,}", "0x7f0000000000", super().repr(x))
        head = max(0, (self.size - 3) // 2)
        return text if len(text) <= self.size else text[:head] + "..." + text[len(text) - (self.size - 3 - head) :]

    def repr_instance(self, x: Any, level: int) -> str:
        return repr(x)

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0 and x:
            return "{...}"
        pairs = [
            f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}"
            for key in itertools.islice(x, self.maxdict)
        ]
        return "{" + ", ".join(pairs + ["..."] * (len(x) > self.maxdict)) + "}"


def _shown(left: Any, right: Any) -> tuple[str, str]:
    """The two sides as pytest's first line of a failed `==` has them: short where it goes on with a comparison."""
    texts = [isinstance(side, str) for side in (left, right)]
    compared = all(texts) or (not any(texts) and all(hasattr(side, "__iter__") for side in (left, right)))
    shown = _Repr(30 if compared else 240)
    return shown.repr(left), shown.repr(right)


def _units(job: dict[str, Any], skip: int) -> Iterator[Said]:
    """Yield what comes of each call of a job to try, or of each program of a job to tell apart."""
    clock = _Clock()
    if job["kind"] == "try":
        space: dict[str, Any] = {}
        try:
            space = clock.run(lambda: _load(job["program"]))
        except BaseException as error:
            for _ in job["calls"][skip:]:
                yield ["raised", type(error).__name__]
            return
        slow = 0
        for call in job["calls"][skip:]:
            said = _tried(clock, call, space) if slow < SLOW else ["timeout", ""]
            slow += said[0] == "timeout"
            yield said
        return
    expected = {wanted: _literal(wanted) for _, wanted in job["calls"]}
    for program, order in job["programs"][skip:]:
        yield _told_apart(clock, program, [job["calls"][index] for index in order], expected)


def _confine() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)


def _child(job: dict[str, Any], skip: int, out: int) -> None:
    _confine()
    for said in _units(job, skip):
        data = json.dumps(said).encode() + b"\n"
        while data:
            data = data[os.write(out, data) :]


def _listen(source: int) -> list[Said]:
    """Read a child's lines until it ends or says nothing for too long."""
    heard = b""
    while select.select([source], [], [], PATIENCE)[0]:
        data = os.read(source, 1 << 16)
        if not data:
            break
        heard += data
    return [json.loads(line) for line in heard.split(b"\n")[:-1]]


def answer(job: dict[str, Any]) -> list[Said]:
    """Run a job in children and return what came of each unit of it."""
    total = len(job["calls"] if job["kind"] == "try" else job["programs"])
    found: list[Said] = []
    lost = 0
    while len(found) < total and lost < LOST:
        source, out = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(source)
                _child(job, len(found), out)
            finally:
                os._exit(0)
        os.close(out)
        found += _listen(source)
        os.close(source)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if len(found) < total:
            lost += 1
            found.append(["timeout", 0])
    return found + [["timeout", 0]] * (total - len(found))


def main() -> None:
    warnings.simplefilter("ignore")
    for name in sys.argv[1:]:  # so that no child has to import it again
        __import__(name)
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(json.dumps(answer(json.loads(line))).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
