# Plain os calls and old-style generics: Python 3.8, and tests patch pathlib.
# ruff: noqa: B905, PTH100, PTH109, PTH118, PTH120, PTH123, UP006, UP035
"""The fork server of search repair: tries candidate edits inside the target's own interpreter.

It is copied out of the package and started as a script, talks JSON lines over stdin and stdout, and needs Python 3.8,
the standard library and the target's pytest, version 6 or later. It never imports qwencode.

The first line in is the settings: `mode`, `root`, `args`, `cwd_on_path`, `jobs`, `goal`, `rest`, `goal_files`,
`seconds`, `deadline`. In mode `swap` it collects once, and a forked child for every job swaps the code objects that
the edit changes. In mode `fresh` the fork happens before anything of the target is imported: slower, but it expresses
every edit, also one that mends a collection error. Then every line in is a job (`id`, `file`, `source`; `first`:
tests to run early; `all`: run on after a failure; `ordered`: in the order of collection; `only_goal`) and is answered
by one line with its `id` and an `outcome`: `plausible`, `goal_failed`, `broke`, `timeout`, `crashed`, `cannot` (the
swap cannot express it) or `invalid`.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    del sys.path[0]  # our own folder may shadow nothing

import collections
import gc
import importlib.util
import json
import os
import re
import resource
import select
import signal
import time
from typing import Any, Callable, Deque, Dict, List, Tuple

Job = Dict[str, Any]
FIXTURE = re.compile(r"(?:setUp|tearDown)(?:Class|Module) \((.+)\)")
TIMERS = ((signal.SIGALRM, signal.ITIMER_REAL), (signal.SIGPROF, signal.ITIMER_PROF))
SPARE_MEMORY = 2 << 30


# -- the tests -------------------------------------------------------------------------------------------------------


class TestRunner:
    """The plugin: collects, then lets `loop` decide what is run."""

    __test__ = False

    def __init__(self, settings: Job, loop: Callable[[TestRunner], None], files: List[str]):
        self.settings, self._loop, self._files = settings, loop, files
        self.items: Dict[str, Any] = {}
        self.broken: List[str] = []
        self._root = ""
        self._session: Any = None
        self._passed = self._failed = False

    def pytest_cmdline_main(self, config: Any) -> None:
        """Set options after all parsing, so that what the user configured cannot hide results or spread the work."""
        self._root = str(config.rootdir)
        forced: Dict[str, Any] = {"dist": "no", "numprocesses": None, "tx": [], "maxfail": 0, "usepdb": False}
        forced.update(lf=False, failedfirst=False, stepwise=False, tbstyle="native", reportchars="", verbose=0)
        forced["continue_on_collection_errors"] = True
        for name, value in forced.items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)
        if isinstance(getattr(config.option, "randomly_seed", None), (int, str)):
            config.option.randomly_seed = 1
        measuring = config.pluginmanager.get_plugin("_cov")
        if measuring is not None:
            config.pluginmanager.unregister(measuring)
            running = sys.modules["coverage"].Coverage.current()
            if running is not None:
                running.stop()
        if self._files:
            config.args = [os.path.join(self.settings["root"], name) for name in self._files]

    def name(self, nodeid: str) -> str:
        """Return the id relative to the repository."""
        file, colons, rest = nodeid.partition("::")
        full = os.path.join(self._root, file)
        return os.path.relpath(full, self.settings["root"]).replace(os.sep, "/") + colons + rest

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.broken.append(self.name(report.nodeid))

    def pytest_runtestloop(self, session: Any) -> bool:
        self._session = session
        for item in session.items:
            item.repr_failure = item._repr_failure_py = told  # nobody reads the traceback, and it takes time to make
            self.items.setdefault(self.name(item.nodeid), item)
        self._loop(self)
        return True

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._failed = self._failed or report.outcome == "failed"
        self._passed = self._passed or (report.when == "call" and report.outcome == "passed")

    def find(self, wanted: List[str]) -> Tuple[List[str], List[str]]:
        """Return the collected ids that stand for the wanted ones, and what is missing. A file stands for its tests,
        and so do a module, a class and the fixtures of these.
        """
        dotted = {plain(test): test for test in self.items}
        found: Dict[str, None] = {}
        missing: List[str] = []
        for test in wanted:
            inside = [test] if test in self.items else [t for t in self.items if t.startswith(test + "::")]
            inside = inside or [t for d, t in dotted.items() if d == plain(test) or d.endswith("." + plain(test))][:1]
            inside = inside or [t for d, t in dotted.items() if d.startswith(plain(test) + ".")]
            if inside and test not in self.broken:
                found.update(dict.fromkeys(inside))
            else:
                missing.append(test)
        return list(found), missing

    def run(self, test: str, following: str | None) -> bool:
        """Run one test and say whether it passed."""
        self._passed = self._failed = False
        item, after = self.items[test], self.items.get(following or "")
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        return self._passed and not self._failed


def told(*_arguments: Any, **_named: Any) -> str:
    return "failed"


def plain(test: str) -> str:
    """Return an id in a form that pytest's and unittest's names share; a fixture stands for its tests."""
    return FIXTURE.sub(r"\1", test).replace(".py::", ".").replace("::", ".").replace("/", ".")


def try_tests(runner: TestRunner, job: Job, tell: Callable[[Job], None]) -> Job:
    """Run the goal, then the rest, and stop at the first failure unless the job wants all. `tell` reports
    on the way.
    """
    settings = runner.settings
    goal, missing = runner.find(settings["goal"])
    if missing and not job.get("all"):
        return {"outcome": "goal_failed", "test": missing[0]}
    rest = [] if job.get("only_goal") else runner.find([*job.get("first", []), *settings["rest"]])[0]
    order = goal + [test for test in rest if test not in set(goal)]
    if job.get("ordered", settings.get("ordered")):  # the failure needs what earlier tests leave behind
        order = [test for test in runner.items if test in set(order)]
        tell({"goal": True})
    failed: List[str] = []
    current = ""

    def too_long(_number: int, _frame: Any) -> None:
        tell({"outcome": "timeout", "test": current})
        os._exit(0)

    for index, test in enumerate(order):
        if index == len(goal):
            tell({"goal": True})
        current = test
        following = order[index + 1] if index + 1 < len(order) else None
        limits = settings["seconds"].get(test, settings["seconds"][""])
        for (number, timer), seconds in zip(TIMERS, limits):
            signal.signal(number, too_long)
            signal.setitimer(timer, seconds)
        passed = runner.run(test, following)
        for _, timer in TIMERS:
            signal.setitimer(timer, 0)
        if not passed:
            failed.append(test)
            if not job.get("all"):
                return {"outcome": "goal_failed" if test in goal else "broke", "test": test}
    mended = [test for test in goal if test not in failed]
    return {"outcome": "plausible", "failed": failed, "missing": missing, "mended": mended}


# -- the server ------------------------------------------------------------------------------------------------------


class Child:
    """A forked process at work on one job."""

    def __init__(self, job: Job, pid: int, pipe: int, deadline: float):
        self.job, self.pid, self.pipe, self.deadline, self.heard = job, pid, pipe, deadline, b""
        self.reaped = False


class Server:
    """Takes jobs from a pipe and gives each to a child of its own."""

    def __init__(self) -> None:
        self._in, self._out = os.dup(0), os.dup(1)  # what the target prints must not get between
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):
            os.dup2(null, number)
        self._buffer = b""
        self._running: Dict[int, Child] = {}
        self._waiting: Deque[Job] = collections.deque()
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self._in, 1)
            if not part:
                os._exit(0)
            line += part
        self.settings: Job = json.loads(line)

    def answer(self, data: Job) -> None:
        text = json.dumps(data).encode() + b"\n"
        while text:
            text = text[os.write(self._out, text) :]

    def serve(self, attempt: Callable[[Job, Callable[[Job], None]], Job], prepare: Callable[[str], None]) -> None:
        """Answer jobs until the pipe is closed."""
        gc.collect()
        gc.freeze()
        while True:
            while self._waiting and len(self._running) < self.settings["jobs"]:
                self._start(self._waiting.popleft(), attempt, prepare)
            ready = select.select([self._in, *self._running], [], [], 0.2 if self._running else None)[0]
            for pipe in [pipe for pipe in ready if pipe in self._running]:
                self._hear(self._running[pipe])
            if self._in in ready and not self._listen():
                break
            for child in list(self._running.values()):
                if time.monotonic() > child.deadline:
                    self._end(child, {"outcome": "timeout"})
                elif child.pipe not in ready and os.waitpid(child.pid, os.WNOHANG)[0]:
                    child.reaped = True
                    if select.select([child.pipe], [], [], 0)[0]:  # it told after the last look, and ended
                        self._hear(child)
                    if child.pipe in self._running:
                        self._end(child, {"outcome": "crashed"})
        for child in list(self._running.values()):
            self._end(child, {"outcome": "timeout"})

    def _listen(self) -> bool:
        data = os.read(self._in, 1 << 20)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for job in map(json.loads, lines):
            if "settings" in job:
                self.settings.update(job["settings"])
            else:
                self._waiting.append(job)
        return bool(data)

    def _start(self, job: Job, attempt: Callable[..., Job], prepare: Callable[[str], None]) -> None:
        if "file" in job:
            prepare(job["file"])
        receive, send = os.pipe()
        pid = os.fork()
        if pid:
            os.close(send)
            self._running[receive] = Child(job, pid, receive, time.monotonic() + self.settings["deadline"])
            return
        try:  # the child: whatever happens, it never goes back into the server's loop
            os.setsid()
            own = os.getpid()
            os.close(self._in)
            os.close(self._out)
            limit_memory()

            def tell(data: Job) -> None:
                if os.getpid() == own:
                    os.write(send, json.dumps(data).encode() + b"\n")

            tell(attempt(job, tell))
        finally:
            os._exit(1)

    def _hear(self, child: Child) -> None:
        data = os.read(child.pipe, 1 << 16)
        if not data:
            self._end(child, {"outcome": "crashed"})
            return
        *lines, child.heard = (child.heard + data).split(b"\n")
        for line in lines:
            result = json.loads(line)
            if "outcome" in result:
                self._end(child, result)
                return
            child.deadline = time.monotonic() + self.settings["deadline"]

    def _end(self, child: Child, result: Job) -> None:
        del self._running[child.pipe]
        os.close(child.pipe)
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        if not child.reaped:
            try:
                os.kill(child.pid, signal.SIGKILL)  # it may not have come to make its own group yet
            except ProcessLookupError:
                pass
            os.waitpid(child.pid, 0)
        self.answer({**result, "id": child.job["id"]})


def limit_memory() -> None:
    """Keep a runaway candidate from eating the machine: what the process has now, and some spare."""
    try:
        with open("/proc/self/statm") as stream:
            now = int(stream.read().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = now + SPARE_MEMORY
        if hard == resource.RLIM_INFINITY or wanted < hard:
            resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    except (OSError, ValueError):
        pass  # not Linux: the sandbox's own limit holds


def beside(name: str) -> Any:
    """Load a file that lies beside this one, without putting its folder on the import path."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"{name}.py")
    spec: Any = importlib.util.spec_from_file_location(f"qwencode_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    server, change = Server(), beside("inside_swap")
    settings = server.settings
    change.ignore_caches(settings["root"])
    sys.dont_write_bytecode = True
    if settings["cwd_on_path"]:
        sys.path.insert(0, os.getcwd())
    try:
        import pytest
    except ImportError:
        server.answer({"unusable": "pytest is not installed there"})
        return
    options = [*settings["args"], "-s", "--assert=plain"]

    def swap_loop(runner: TestRunner) -> None:
        swapper = change.Swapper(settings["root"])

        def attempt(job: Job, tell: Callable[[Job], None]) -> Job:
            try:
                if "file" in job:
                    swapper.swap(job["file"], job["source"])
            except change.Cannot as reason:
                return {"outcome": "cannot", "detail": str(reason)}
            except SyntaxError as error:
                return {"outcome": "invalid", "detail": str(error)}
            return try_tests(runner, job, tell)

        server.answer({"ready": len(runner.items), "missing": runner.find(settings["goal"])[1]})
        server.serve(attempt, swapper.prepare)
        os._exit(0)

    def fresh(job: Job, tell: Callable[[Job], None]) -> Job:
        if "file" in job:
            change.overlay(settings["root"], job["file"], job["source"])
        result: Job = {"outcome": "crashed"}

        def loop(runner: TestRunner) -> None:
            tell(try_tests(runner, job, tell))
            os._exit(0)

        files: List[str] = settings["goal_files"] if job.get("only_goal") else []
        status = pytest.main(options, plugins=[TestRunner(settings, loop, files)])
        return {**result, "detail": f"pytest ended with {int(status)}"}

    if settings["mode"] == "fresh":
        server.answer({"ready": 0, "missing": []})
        server.serve(fresh, lambda file: None)
    else:
        status = pytest.main(options, plugins=[TestRunner(settings, swap_loop, [])])
        server.answer({"unusable": f"pytest ended with {int(status)} before the first test"})


if __name__ == "__main__":
    main()
