# Plain os calls, see inside_probe.
# ruff: noqa: PTH118
"""The pytest half of the probe: a plugin that writes every test down. Python 3.8, pytest 6, standard library only."""

from __future__ import annotations

import os
import sys
from typing import Any


def run(probe: Any, arguments: list[str]) -> int:
    """Run `pytest arguments` in this process."""
    import pytest

    plugin = PytestProbe(probe)
    status = pytest.main(arguments, plugins=[plugin])
    plugin.finish(status)
    return int(status)


def hooks(probe: Any) -> dict[str, Any]:
    """Return the plugin's hooks by name, for a module that pytest itself loads with `-p`."""
    plugin = PytestProbe(probe)
    return {name: getattr(plugin, name) for name in dir(plugin) if name.startswith("pytest_")}


def _no_cache(*_arguments: Any, **_named: Any) -> None:
    """Stands in for pytest's reader of cached test modules: those may be stale, or planted."""


class PytestProbe:
    """The plugin. It changes no option of the user but those that would hide results or leave files behind."""

    def __init__(self, probe: Any):
        self.probe = probe
        rewrite: Any = sys.modules.get("_pytest.assertion.rewrite")
        if hasattr(rewrite, "_read_pyc"):
            rewrite._read_pyc = _no_cache
        probe.arm()
        self._session: Any = None
        self._root = ""
        self._done = False

    def pytest_cmdline_main(self, config: Any) -> None:
        """Set options after all parsing: plugins' own options are touched only where the plugin is there."""
        self._root = str(config.rootdir)
        forced: dict[str, Any] = {"tbstyle": "short", "color": "no", "maxfail": 0, "usepdb": False, "dist": "no"}
        forced.update(
            continue_on_collection_errors=True, lf=False, failedfirst=False, stepwise=False, numprocesses=None
        )
        forced.update(tx=[])
        if getattr(config.option, "hypothesis_seed", 0) is None:  # the same examples, the same order before and after
            forced["hypothesis_seed"] = "0"
        if getattr(config.option, "randomly_seed", 0) == "default":
            forced["randomly_seed"] = 1
        for name, value in forced.items():
            if hasattr(config.option, name):
                setattr(config.option, name, value)
        measuring = config.pluginmanager.get_plugin("_cov")
        if measuring is not None:  # pytest-cov: slow, fails short selections, and would take the trace function
            config.pluginmanager.unregister(measuring)
            running = sys.modules["coverage"].Coverage.current()
            if running is not None:
                running.stop()
        self.probe.start(pytest=sys.modules["pytest"].__version__)

    def _id(self, nodeid: str) -> str:
        file, colons, rest = nodeid.partition("::")
        name = self.probe.repository.name(os.path.join(self._root, file)) if file else ""
        return (name or file) + colons + rest

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            test = self._id(report.nodeid) or "(collection)"
            self.probe.begin(test, test.partition("::")[0])
            self.probe.add(test, "error", report.longreprtext, self._crash(report))
            self.probe.end(test)

    def pytest_collection_finish(self, session: Any) -> None:
        self.probe.log.record("collected", ids=[self._id(item.nodeid) for item in session.items])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        test = self._id(nodeid)
        self.probe.begin(test, test.partition("::")[0])

    def pytest_runtest_logreport(self, report: Any) -> None:
        test = self._id(report.nodeid)
        if report.outcome == "rerun":
            self.probe.forget(test)
        elif report.outcome == "failed":
            text = [report.longreprtext] + [f"--- {name} ---\n{text}" for name, text in report.sections if text.strip()]
            outcome = "failed" if report.when == "call" else "error"
            self.probe.add(test, outcome, "\n".join(text), self._crash(report), report.duration)
        elif hasattr(report, "wasxfail"):  # expected to fail, whether it did or not: its author gives it no weight
            self.probe.add(test, "skipped", f"xfail: {report.wasxfail}", "", report.duration)
        elif report.outcome == "skipped" and not hasattr(report, "context"):  # a skipped subtest skips no test
            where: Any = report.longrepr  # (file, line, reason) or a text
            reason = str(where) if hasattr(where, "splitlines") else str(where[2])
            self.probe.add(test, "skipped", reason, "", report.duration)
        else:
            self.probe.add(test, "passed", seconds=report.duration)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.probe.end(self._id(nodeid))

    def pytest_sessionfinish(self, session: Any) -> None:
        self._session = session

    def pytest_unconfigure(self) -> None:
        self.finish(0 if self._session is None else self._session.exitstatus)  # another plugin may have set it since

    def finish(self, status: int) -> None:
        if not self._done:
            self._done = True
            self.probe.finish(status)

    def _crash(self, report: Any) -> str:
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is None:
            return ""
        name = self.probe.repository.name(os.path.join(self._root, crash.path))
        return f"{name}:{crash.lineno}" if name else ""
