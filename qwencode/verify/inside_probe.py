# Plain os calls: tests patch pathlib, and every import here is paid by every run.
# ruff: noqa: PTH100, PTH108, PTH109, PTH110, PTH118, PTH120, PTH123, PTH206
"""The probe: runs the tests inside the target's own interpreter and writes down what each of them did.

It is copied out of the package and started as a script (`python probe.py pytest …`, `python probe.py unittest …`)
or, where the user's command starts pytest by itself, loaded as a plugin (`-p`). It needs Python 3.8, the standard
library and, for pytest, version 6; it never imports qwencode, and no code under test is imported before it is ready.

`QWENCODE_PROBE` names a settings file, JSON: `log`, `key`, `root`, `coverage`, `deadline`, `args`, `only`,
`cwd_on_path`. It is read once and deleted, and the variable is taken out of the environment, so that processes which
the tests start are left alone. Every record is one line, `<HMAC-SHA256> <JSON>`, over a running number and the JSON: a
forged, dropped or repeated record is seen by the reader. Code that searches this process's own memory for the key could
still lie; nothing that shares an interpreter with the code it watches can rule that out.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    del sys.path[0]  # our own folder: neither it nor the opened repository may shadow the standard library here

import faulthandler
import hmac
import importlib.machinery
import importlib.util
import json
import os
import signal
import threading
import time
from typing import Any, Callable  # noqa: UP035 (Python 3.8)

VARIABLE = "QWENCODE_PROBE"
MESSAGE_CHARACTERS = 8_000
FOREIGN = {"site-packages", "dist-packages", ".venv", "venv", ".tox", ".nox", "node_modules", ".git", "__pycache__"}
HARNESS = (
    *("builtins", "unittest.case", "unittest.suite", "unittest.result", "pluggy._hooks", "pluggy._callers"),
    *("_pytest.runner", "_pytest.reports", "_pytest.python", "_pytest.main", "_pytest.outcomes", "_pytest.unittest"),
    *("_pytest.assertion", "_pytest.assertion.rewrite", "_pytest.skipping", "_pytest.python_api", "_pytest.raises"),
)
SEVERITY = ("passed", "skipped", "failed", "error")


def trimmed(text: str) -> str:
    """Cut the middle out of a long text: how a failure begins and how it ends matter most."""
    if len(text) <= MESSAGE_CHARACTERS:
        return text
    head = MESSAGE_CHARACTERS // 3
    tail = MESSAGE_CHARACTERS - head
    return f"{text[:head]}\n[... {len(text) - head - tail} characters left out ...]\n{text[-tail:]}"


def fresh(file: str) -> dict[str, Any]:
    return {"outcome": "passed", "seconds": 0.0, "message": "", "crash": "", "file": file}


class Log:
    """Keyed records, one unbuffered append each, so that a crash loses nothing that was written."""

    def __init__(self, path: str, key: str):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        secret, owner, number = key.encode(), os.getpid(), 0
        write, pid, dumps, sign = os.write, os.getpid, json.dumps, hmac.new  # tests may patch the modules' own names

        def record(event: str, **data: Any) -> None:
            nonlocal number
            if pid() != owner:  # a test forked, and the child ran on into pytest
                return
            text = dumps({"event": event, **data})
            tag = sign(secret, b"%d %s" % (number, text.encode()), "sha256").hexdigest()
            number += 1
            write(handle, b"%s %s\n" % (tag.encode(), text.encode()))

        self.record: Callable[..., None] = record


class Repository:
    """Which files belong to the repository, as opposed to what is installed inside it."""

    def __init__(self, root: str):
        self.root = os.path.realpath(root)
        prefix = os.path.realpath(sys.prefix)
        self._prefix = prefix if prefix.startswith(self.root + os.sep) else ""
        self._names: dict[str, str] = {}

    def name(self, filename: str) -> str:
        """Return the path relative to the repository with forward slashes, or '' for a file that is not its own."""
        found = self._names.get(filename)
        if found is None:
            found = self._names[filename] = self._find(filename)
        return found

    def _find(self, filename: str) -> str:
        if filename.startswith("<"):
            return ""
        full = os.path.realpath(filename)
        if not full.startswith(self.root + os.sep) or (self._prefix and full.startswith(self._prefix + os.sep)):
            return ""
        parts = os.path.relpath(full, self.root).split(os.sep)
        return "" if FOREIGN.intersection(parts) else "/".join(parts)


class Tracer:
    """Collects executed lines of the repository's files: `sys.monitoring` (PEP 669) or, before 3.12, `sys.settrace`."""

    def __init__(self, repository: Repository):
        self._name = repository.name
        self._hits: set[tuple[str, int]] = set()
        self._monitoring: Any = getattr(sys, "monitoring", None)
        self._tool = -1
        self._global: Any = self._enter

    def start(self) -> None:
        """Begin. Where another tool has taken every place of `sys.monitoring`, `sys.settrace` serves."""
        monitoring = self._monitoring
        if monitoring is not None:
            free = [tool for tool in (4, 3, 5, 2, 1, 0) if monitoring.get_tool(tool) is None]
            if free:
                self._tool = free[0]
                monitoring.use_tool_id(self._tool, "qwencode")
                monitoring.register_callback(self._tool, monitoring.events.PY_START, self._started)
                monitoring.register_callback(self._tool, monitoring.events.LINE, self._line)
                monitoring.set_events(self._tool, monitoring.events.PY_START)
                return
            self._monitoring = None
        self._trace()

    def begin(self) -> None:
        """Forget what was collected: a test starts."""
        self._hits = set()
        if self._monitoring is not None:
            self._monitoring.restart_events()
        else:
            self._trace()

    def take(self) -> dict[str, list[int]]:
        """Return what ran since `begin`: file to lines."""
        hits, self._hits = self._hits, set()
        lines: dict[str, list[int]] = {}
        for filename, line in sorted(hits):
            lines.setdefault(self._name(filename), []).append(line)
        return lines

    def stop(self) -> None:
        if self._tool >= 0:
            self._monitoring.set_events(self._tool, 0)
            self._monitoring.free_tool_id(self._tool)
        elif sys.gettrace() is self._global:
            sys.settrace(None)

    def _trace(self) -> None:
        if sys.gettrace() is not self._global:  # the target may have set its own in the meantime
            threading.settrace(self._global)
            sys.settrace(self._global)

    def _started(self, code: Any, _offset: int) -> Any:
        if self._name(code.co_filename):
            self._monitoring.set_local_events(self._tool, code, self._monitoring.events.LINE)
        return self._monitoring.DISABLE

    def _line(self, code: Any, line: int) -> Any:
        self._hits.add((code.co_filename, line))
        return self._monitoring.DISABLE

    def _enter(self, frame: Any, _event: str, _value: Any) -> Any:
        return self._step if self._name(frame.f_code.co_filename) else None

    def _step(self, frame: Any, event: str, _value: Any) -> Any:
        if event == "line":
            self._hits.add((frame.f_code.co_filename, frame.f_lineno))
        return self._step


class Probe:
    """What pytest and unittest have in common: the log, the tracer, and one open record per test."""

    def __init__(self, settings: dict[str, Any]):
        self.settings = settings
        self.log = Log(settings["log"], settings["key"])
        self.repository = Repository(settings["root"])
        self.tracer = Tracer(self.repository) if settings["coverage"] else None
        self._open: dict[str, dict[str, Any]] = {}
        self.harness: dict[str, tuple[Any, Any]] = {}
        tell_stacks_at(settings["deadline"], settings["log"] + ".stacks")
        loader_type: Any = importlib.machinery.SourceFileLoader
        original = loader_type.path_stats

        def path_stats(loader: Any, path: str) -> Any:
            if self.repository.name(path):
                raise OSError("bytecode caches of the repository are not read: they may be stale, or planted")
            return original(loader, path)

        loader_type.path_stats = path_stats

    def arm(self) -> None:
        """Remember the test runner as it is: it is imported, and nothing of the target is yet."""
        self.harness = harness()

    def start(self, **versions: str) -> None:
        self.log.record("start", python=sys.version.split()[0], **versions)
        if self.tracer is not None:
            self.tracer.start()

    def begin(self, test: str, file: str) -> None:
        self.log.record("begin", id=test, file=file)
        self._open[test] = fresh(file)
        if self.tracer is not None:
            self.tracer.begin()

    def add(
        self, test: str, outcome: str, message: str = "", crash: str = "", seconds: float = 0.0, file: str = ""
    ) -> None:
        """Note a part of a test's outcome: the worst one counts, failures before errors that only follow them."""
        entry = self._open.setdefault(test, fresh(file))
        entry["seconds"] += seconds
        if SEVERITY.index(outcome) > SEVERITY.index(entry["outcome"]) and entry["outcome"] != "failed":
            entry["outcome"] = outcome
        if message:
            entry["message"] = (entry["message"] + "\n" + message).strip("\n")
            entry["crash"] = entry["crash"] or crash

    def forget(self, test: str) -> None:
        """A plugin runs the test again: what it did so far does not count."""
        self._open[test].update(outcome="passed", message="", crash="")

    def end(self, test: str) -> None:
        entry = self._open.pop(test, None)
        if entry is None:
            return
        if self.tracer is not None:
            entry["coverage"] = self.tracer.take()
        entry["message"] = trimmed(entry["message"])
        self.log.record("end", id=test, **entry)

    def finish(self, status: int) -> None:
        """Note that the session ended by itself, and which parts of the test runner are not what they were."""
        if self.tracer is not None:
            self.tracer.stop()
        now, gone = harness(), (None, None)
        pairs = [(name, then, now.get(name, gone)) for name, then in self.harness.items()]
        replaced = sorted(name for name, then, new in pairs if then[0] is not new[0] or then[1] is not new[1])
        self.log.record("finish", status=int(status), replaced=replaced)


def harness() -> dict[str, tuple[Any, Any]]:
    """Return the test runner's own callables by name, each with its code, to be compared by identity later."""
    found: dict[str, tuple[Any, Any]] = {}
    for module in filter(sys.modules.__contains__, HARNESS):
        for name, value in list(vars(sys.modules[module]).items()):
            own = isinstance(value, type) and value.__module__ == module
            members: dict[str, Any] = dict(vars(value)) if own else {}
            for path, part in [(name, value), *((f"{name}.{inner}", part) for inner, part in members.items())]:
                if callable(part):
                    found[f"{module}.{path}"] = (part, getattr(part, "__code__", None))
    return found


def tell_stacks_at(deadline: float, path: str) -> None:
    """Write every thread's stack to a file at `deadline`, seconds since the epoch: there a hanging test is.

    By a POSIX timer and a real-time signal: the watchdog thread of `faulthandler.dump_traceback_later` would make each
    fork of the tests warn and their children hang at exit. Where there is no such timer, there are no stacks.
    """
    try:
        import ctypes

        number = signal.SIGRTMAX - 7
        library = ctypes.CDLL(None)
        timer, left = ctypes.c_void_p(), max(0.1, deadline - time.time())
        event = (ctypes.c_int * 16)(0, 0, number, 0)  # struct sigevent: value, signal, SIGEV_SIGNAL
        when = (ctypes.c_long * 4)(0, 0, int(left), int(left % 1 * 1e9))  # struct itimerspec: once
        faulthandler.register(number, file=open(path, "w"), all_threads=True)  # noqa: SIM115 (open until the end)
        if library.timer_create(time.CLOCK_MONOTONIC, event, ctypes.byref(timer)) == 0:
            library.timer_settime(timer, 0, when, None)
    except (ImportError, OSError, AttributeError):
        pass


def half(runner: str) -> Any:
    """Load the half for this runner: a file of its own that lies beside this one, never on the import path."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"inside_{runner}.py")
    spec: Any = importlib.util.spec_from_file_location(f"qwencode_inside_{runner}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings_from_environment() -> dict[str, Any] | None:
    """Read and delete the settings file, so that neither the tested code nor its children find it."""
    path = os.environ.pop(VARIABLE, "")
    if not path or not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        settings: dict[str, Any] = json.load(file)
    os.unlink(path)
    return settings


def main() -> int:
    settings = settings_from_environment()
    if settings is None:
        sys.stderr.write(f"{VARIABLE} does not name a settings file.\n")
        return 2
    runner = sys.argv[1]
    if importlib.util.find_spec(runner) is None:
        sys.stderr.write(f"{runner} is not installed for {sys.executable}.\n")
        return 127
    __import__(runner)  # before the repository is on the path: a `pytest.py` in it is not the test runner
    if settings["cwd_on_path"]:
        sys.path.insert(0, os.getcwd())
    sys.argv = [runner, *settings["args"]]
    probe = Probe(settings)
    return half(runner).run(probe, settings["args"])


if __name__ == "__main__":
    sys.exit(main())
elif VARIABLE in os.environ:
    _found = settings_from_environment()
    if _found is not None:
        globals().update(half("pytest").hooks(Probe(_found)))
