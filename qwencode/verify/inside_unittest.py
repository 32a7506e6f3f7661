# Plain os calls, see inside_probe.
# ruff: noqa: PTH109, PTH113, PTH118
"""The unittest half of the probe: `python -m unittest`, with every test written down.

Python 3.8, standard library only.
"""

from __future__ import annotations

import os
import sys
import traceback
import unittest
from time import perf_counter
from typing import Any

COLLECTION = "(collection)"


def run(probe: Any, arguments: list[str]) -> int:
    """Run `python -m unittest arguments`; of the tests found, only those named in the settings' `only`, if any."""
    only = set(probe.settings["only"])
    scopes = tuple(scope_of(test) + "." for test in only if scope_of(test))

    Recorder.probe = probe

    class Runner(unittest.TextTestRunner):
        resultclass: Any = Recorder

        def run(self, test: Any) -> Any:
            self.failfast = False
            cases = [
                case for case in flat(test) if not only or name_of(case) in only or name_of(case).startswith(scopes)
            ]
            probe.log.record("collected", ids=[name_of(case) for case in cases])
            probe.start(unittest=sys.version.split()[0])
            loaded.append(True)
            return super().run(unittest.TestSuite(cases))

    loaded: list[bool] = []
    probe.arm()
    try:
        program = unittest.main(module=None, argv=["python -m unittest", *arguments], testRunner=Runner, exit=False)
        status = 5 if not program.result.testsRun else int(not program.result.wasSuccessful())
    except Exception as error:  # a module that was named is imported here, and may raise anything
        if loaded:
            raise
        status = 1
        traceback.print_exc()
        probe.add(COLLECTION, "error", traceback.format_exc(), crash_of(probe.repository, error))
        probe.end(COLLECTION)
    probe.finish(status)
    return status


class Recorder(unittest.TextTestResult):
    """Writes down every outcome. Subtests count for the test that they are part of."""

    probe: Any
    _began = 0.0

    def startTest(self, test: Any) -> None:
        self._began = perf_counter()
        super().startTest(test)
        self.probe.begin(name_of(test), self._file(test))

    def stopTest(self, test: Any) -> None:
        self.probe.add(name_of(test), "passed", seconds=perf_counter() - self._began)
        self.probe.end(name_of(test))
        super().stopTest(test)

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._note(test, "error", self.errors[-1][1], err)

    def addFailure(self, test: Any, err: Any) -> None:
        super().addFailure(test, err)
        self._note(test, "failed", self.failures[-1][1], err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            self._note(test, "failed" if failed else "error", (self.failures if failed else self.errors)[-1][1], err)

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self._note(test, "skipped", "expected failure")

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        self._note(test, "failed", "unexpected success")  # so unittest counts it, too

    def _note(self, test: Any, outcome: str, message: str, error: Any = None) -> None:
        fixture = not isinstance(test, unittest.TestCase)  # setUpClass or setUpModule: no start or stop will come
        crash = crash_of(self.probe.repository, error and error[1])
        self.probe.add(name_of(test), outcome, message, crash, file=self._file(test) if fixture else "")
        if fixture:
            self.probe.end(name_of(test))

    def _file(self, test: Any) -> str:
        if is_stand_in(test):
            path = name_of(test).replace(".", os.sep) + ".py"
            found = [folder for folder in sys.path if os.path.isfile(os.path.join(folder, path))]
            return self.probe.repository.name(os.path.join(found[0] if found else os.getcwd(), path))
        name = scope_of(name_of(test)) or type(test).__module__
        while name not in sys.modules and "." in name:
            name = name.rpartition(".")[0]
        return self.probe.repository.name(getattr(sys.modules.get(name), "__file__", None) or "<unknown>")


def crash_of(repository: Any, error: Any) -> str:
    """Return where in the repository an exception comes from, as `file:line`."""
    crash, step = "", error and error.__traceback__
    while step is not None:
        name = repository.name(step.tb_frame.f_code.co_filename)
        crash = f"{name}:{step.tb_lineno}" if name else crash
        step = step.tb_next
    if isinstance(error, SyntaxError) and error.filename and repository.name(error.filename):
        crash = f"{repository.name(error.filename)}:{error.lineno}"
    return crash


def scope_of(test: str) -> str:
    """Return the class or module in the id of its fixture, `setUpClass (module.Class)`; '' for a test."""
    return test.partition(" (")[2][:-1] if test.endswith(")") else ""


def is_stand_in(test: Any) -> bool:
    """Say whether this is the loader's stand-in for a module that cannot be imported."""
    return type(test).__name__ == "_FailedTest"


def name_of(test: Any) -> str:
    return test._testMethodName if is_stand_in(test) else test.id()


def flat(suite: Any) -> list[Any]:
    """Return the cases of a nested suite in order; unittest itself groups them by class and module again."""
    return [case for part in suite for case in flat(part)] if hasattr(suite, "__iter__") else [suite]
