"""The probe inside real test processes: what it reports, and that it leaves the target alone."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwencode.verify.commands import discover
from qwencode.verify.results import TestRun
from qwencode.verify.runners import run
from qwencode.workspace import Workspace

Make = Callable[..., Workspace]
OWN = f"{sys.executable} -m pytest"

# A test file of the repository that is probed: one test for each outcome that pytest knows, skipped ones among them.
EVERY_OUTCOME = """\
    import pytest, threading
    from calc import add

    def test_ok(): assert add(1, 2) == 3
    def test_bad():
        print("printed before")
        assert add(4, 1) == 5
    @pytest.mark.parametrize("a", ["x y", "é", "::z", ""])
    def test_parameter(a): pass
    @pytest.mark.skip(reason="not today")
    def test_skip(): pass
    @pytest.mark.xfail(reason="known")
    def test_xfail(): assert 0
    @pytest.mark.xfail
    def test_xpass(): pass
    @pytest.mark.xfail(strict=True)
    def test_strict(): pass
    @pytest.fixture
    def broken(): raise RuntimeError("in setup")
    def test_setup(broken): pass
    @pytest.fixture
    def untidy():
        yield
        raise RuntimeError("in teardown")
    def test_teardown(untidy): pass
    def test_both(untidy): assert 0
    def test_thread():
        thread = threading.Thread(target=add, args=(9, 1))
        thread.start()
        thread.join()
    class TestClass:
        def test_method(self): pass
    """
CALC = "def add(a, b):\n    if a > 3:\n        return a - b\n    return a + b\n"


def short(found: TestRun, file: str = "tests/test_all.py") -> dict[str, str]:
    return {test.removeprefix(f"{file}::"): result.outcome for test, result in found.results.items()}


def tree(workspace: Workspace) -> set[str]:
    return {str(path.relative_to(workspace.root)) for path in workspace.root.rglob("*") if ".git" not in path.parts}


def test_every_outcome(repo: Make, sandbox: Any):
    files = {"calc.py": CALC, "tests/test_all.py": EVERY_OUTCOME, "tests/test_broken.py": "import missing_module\n"}
    workspace = repo(files)
    before = tree(workspace)
    found = run(discover(workspace, OWN), sandbox, seconds=30, coverage=True)
    assert found.status == "ran"
    assert short(found) == {
        "tests/test_broken.py": "error",
        "test_ok": "passed",
        "test_bad": "failed",
        "test_parameter[x y]": "passed",
        "test_parameter[\\xe9]": "passed",
        "test_parameter[::z]": "passed",
        "test_parameter[]": "passed",
        "test_skip": "skipped",
        "test_xfail": "skipped",
        "test_xpass": "skipped",
        "test_strict": "failed",
        "test_setup": "error",
        "test_teardown": "error",
        "test_both": "failed",
        "test_thread": "passed",
        "TestClass::test_method": "passed",
    }
    bad = found.results["tests/test_all.py::test_bad"]
    assert (bad.file, bad.crash) == ("tests/test_all.py", "tests/test_all.py:7")
    assert "assert 3 == 5" in bad.message
    assert "printed before" in bad.message
    assert found.coverage["tests/test_all.py::test_ok"]["calc.py"] == {2, 4}
    assert found.coverage["tests/test_all.py::test_bad"]["calc.py"] == {2, 3}
    assert found.coverage["tests/test_all.py::test_thread"]["calc.py"] == {2, 3}, "other threads count"
    assert "calc.py" not in found.coverage["tests/test_all.py::TestClass::test_method"]
    assert all("site-packages" not in file for lines in found.coverage.values() for file in lines)
    assert found.replaced == ()
    assert tree(workspace) == before, "nothing is left behind"
    assert not list(sandbox.scratch.glob("run-*"))


def test_chosen_tests_only(repo: Make, sandbox: Any):
    workspace = repo(
        {"calc.py": CALC, "tests/test_all.py": EVERY_OUTCOME, "tests/test_more.py": "def test_m(): pass\n"}
    )
    command = discover(workspace, f"{OWN} tests/test_more.py -x")
    chosen = ["tests/test_all.py::test_parameter[::z]", "tests/test_all.py::test_bad", "tests/test_all.py::test_ok"]
    found = run(command, sandbox, tests=chosen, seconds=30)
    assert set(found.results) == set(chosen), "the user's own path is replaced, and -x does not hide what follows"
    assert found.coverage == {}
    assert set(run(command, sandbox, seconds=30).results) == {"tests/test_more.py::test_m"}


def test_ids_are_relative_to_the_repository_wherever_pytest_starts(repo: Make, sandbox: Any):
    files = {"back/pytest.ini": "[pytest]\n", "back/tests/test_a.py": "def test_a(): pass\n", "back/conftest.py": ""}
    workspace = repo(files, start="back/tests")
    command = discover(workspace, OWN)
    assert command.cwd == workspace.root / "back"
    test = "back/tests/test_a.py::test_a"
    assert set(run(command, sandbox, seconds=30).results) == {test}
    assert set(run(command, sandbox, tests=[test], seconds=30).results) == {test}


def test_a_process_that_ends_in_the_middle(repo: Make, sandbox: Any):
    text = "import os\ndef test_a(): pass\ndef test_b(): os._exit(0)\ndef test_c(): pass\n"
    found = run(discover(repo({"test_x.py": text}), OWN), sandbox, seconds=30)
    assert found.status == "broken"
    assert short(found, "test_x.py") == {"test_a": "passed", "test_b": "error"}
    assert "exit status 0" in found.results["test_x.py::test_b"].message
    assert found.unfinished == ("test_x.py::test_c",)


@pytest.mark.slow
def test_a_test_that_hangs_is_named_with_its_stack(repo: Make, sandbox: Any):
    text = "import time\ndef test_a(): pass\ndef wait(): time.sleep(1000)\ndef test_b(): wait()\ndef test_c(): pass\n"
    found = run(discover(repo({"test_x.py": text}), OWN), sandbox, seconds=4)
    assert found.status == "timed_out"
    assert "in wait" in found.results["test_x.py::test_b"].message
    assert found.unfinished == ("test_x.py::test_c",)


def test_a_forked_child_that_runs_on_writes_nothing(repo: Make, sandbox: Any):
    """Nor does the probe bring a thread, which would make forks warn and hang."""
    text = """\
        import os, threading
        def test_threads(): assert len(os.listdir("/proc/self/task")) == 1
        def test_fork():
            if os.fork() == 0:
                raise SystemExit(1)
            os.wait()
        def test_after(): pass
        """
    found = run(discover(repo({"test_x.py": text}), OWN), sandbox, seconds=30)
    assert (found.status, short(found, "test_x.py")) == (
        "ran",
        {"test_threads": "passed", "test_fork": "passed", "test_after": "passed"},
    )


def test_tests_that_patch_what_the_probe_uses(repo: Make, sandbox: Any):
    text = """\
        import os, json, sys, time
        def test_patch(monkeypatch):
            for module, names in ((os, ("write", "getpid")), (json, ("dumps",)), (time, ("perf_counter",))):
                for name in names:
                    setattr(module, name, None)
        def test_trace():
            sys.settrace(lambda *a: None)
        def test_path():
            sys.path.clear()
        def test_last(): pass
        """
    found = run(discover(repo({"test_x.py": text}), OWN), sandbox, seconds=30, coverage=True)
    assert {name: found.results[f"test_x.py::{name}"].outcome for name in ("test_trace", "test_path", "test_last")} == {
        "test_trace": "passed",
        "test_path": "passed",
        "test_last": "passed",
    }


def test_modules_named_like_the_standard_library_do_not_reach_the_probe(repo: Make, sandbox: Any):
    raises = "raise RuntimeError('the repository was imported')\n"
    files = {name: raises for name in ("hmac.py", "faulthandler.py", "results.py", "protected.py", "pytest.py")}
    found = run(discover(repo({**files, "test_x.py": "def test_a(): pass\n"}), OWN), sandbox, seconds=30)
    assert (found.status, found.passing) == ("ran", ("test_x.py::test_a",))


UNITTEST = """\
    import unittest
    from calc import add

    class Adds(unittest.TestCase):
        def test_ok(self): self.assertEqual(add(1, 2), 3)
        def test_bad(self): self.assertEqual(add(4, 1), 5)
        def test_error(self): raise KeyError
        @unittest.skip("no")
        def test_skip(self): pass
        @unittest.expectedFailure
        def test_expected(self): self.fail()
        @unittest.expectedFailure
        def test_unexpected(self): pass
        def test_subtests(self):
            for number in range(3):
                with self.subTest(number=number): self.assertNotEqual(number, 1)

    class Broken(unittest.TestCase):
        @classmethod
        def setUpClass(cls): raise RuntimeError("class")
        def test_never(self): pass
    """


def test_unittest(repo: Make, sandbox: Any):
    files = {"calc.py": CALC, "tests/test_u.py": UNITTEST, "tests/test_broken.py": "import missing_module\n"}
    workspace = repo(files)
    command = discover(workspace, f"{sys.executable} -m unittest discover -s tests -f")
    assert command.runner == "unittest"
    found = run(command, sandbox, seconds=30, coverage=True)
    assert found.status == "ran"
    assert {test.removeprefix("test_u."): result.outcome for test, result in found.results.items()} == {
        "test_broken": "error",
        "Adds.test_ok": "passed",
        "Adds.test_bad": "failed",
        "Adds.test_error": "error",
        "Adds.test_skip": "skipped",
        "Adds.test_expected": "skipped",
        "Adds.test_unexpected": "failed",
        "Adds.test_subtests": "failed",
        "setUpClass (test_u.Broken)": "error",
    }
    assert found.results["test_u.Adds.test_bad"].crash == "tests/test_u.py:6"
    assert found.results["test_u.Adds.test_bad"].file == "tests/test_u.py"
    assert found.coverage["test_u.Adds.test_ok"]["calc.py"] == {2, 4}
    assert found.results["test_broken"].file == "tests/test_broken.py"
    fixture = found.results["setUpClass (test_u.Broken)"]
    assert (fixture.file, fixture.crash) == ("tests/test_u.py", "tests/test_u.py:20")
    again = run(command, sandbox, tests=["setUpClass (test_u.Broken)"], seconds=30)
    assert again.failing == ("setUpClass (test_u.Broken)",)
    chosen = ["test_u.Adds.test_bad", "test_u.Adds.test_ok"]
    assert sorted(run(command, sandbox, tests=chosen, seconds=30).results) == chosen


def test_a_module_named_for_unittest_that_cannot_be_imported(repo: Make, sandbox: Any):
    workspace = repo({"calc.py": "def add(a, b:\n", "checks.py": UNITTEST})
    found = run(discover(workspace, f"{sys.executable} -m unittest checks"), sandbox, seconds=30)
    assert (found.status, found.failing) == ("ran", ("(collection)",))
    assert found.results["(collection)"].crash == "calc.py:1"
    assert "SyntaxError" in found.results["(collection)"].message


def test_an_exit_status_that_no_test_accounts_for(repo: Make, sandbox: Any):
    plugin = "def pytest_sessionfinish(session): session.exitstatus = 1\n"
    workspace = repo({"test_a.py": "def test_a(): pass\n", "conftest.py": plugin})
    command = discover(workspace, OWN)
    found = run(command, sandbox, seconds=30)
    assert (found.status, found.failing, found.passing) == ("ran", (OWN,), ("test_a.py::test_a",))
    assert run(command, sandbox, tests=[OWN], seconds=30).failing == (OWN,)


def test_pytest_inside_a_command_that_is_not_understood(repo: Make, sandbox: Any):
    workspace = repo({"calc.py": CALC, "tests/test_all.py": EVERY_OUTCOME, "go.sh": f"#!/bin/sh\nexec {OWN} -q\n"})
    (workspace.root / "go.sh").chmod(0o755)
    command = discover(workspace, "./go.sh")
    assert command.runner == "custom"
    found = run(command, sandbox, seconds=30)
    assert found.results["tests/test_all.py::test_bad"].outcome == "failed"
    assert found.results["tests/test_all.py::test_ok"].outcome == "passed"
    assert tree(workspace) == {"calc.py", "tests", "tests/test_all.py", "go.sh"}


def test_a_record_that_was_not_written_by_the_probe_ends_the_log(tmp_path: Path):
    from qwencode.verify.inside_probe import Log
    from qwencode.verify.runners import _records  # pyright: ignore[reportPrivateUsage]

    log = Log(str(tmp_path / "log"), "key")
    log.record("begin", id="a")
    log.record("finish", status=0)
    good = (tmp_path / "log").read_bytes()
    assert [record["event"] for record in _records(tmp_path / "log", "key") or []] == ["begin", "finish"]
    first, second, _ = good.split(b"\n")
    forged = b"0" * 64 + b" " + json.dumps({"event": "end"}).encode()
    for lines in ([first, forged, second], [second, first], [first, first, second], [first + b" ", second]):
        (tmp_path / "log").write_bytes(b"\n".join(lines) + b"\n")
        assert "finish" not in [record["event"] for record in _records(tmp_path / "log", "key") or []]
    (tmp_path / "log").write_bytes(good[:-5])
    assert len(_records(tmp_path / "log", "key") or []) == 1, "a half-written line is left out"


PYTHONS = sorted(Path("/root/.pyenv/versions").glob("3.*/bin/python")) if Path("/root/.pyenv").is_dir() else []


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parts[-3])
def test_other_pythons(repo: Make, sandbox: Any, python: Path):
    """unittest is everywhere, so every Python at hand from 3.8 on can show that the probe works in it."""
    if tuple(map(int, python.parts[-3].split(".")[:2])) < (3, 8):
        pytest.skip("older than the probe supports")
    workspace = repo({"calc.py": CALC, "test_u.py": UNITTEST})
    found = run(discover(workspace, f"{python} -m unittest"), sandbox, seconds=60, coverage=True)
    assert found.status == "ran", found.output
    assert found.results["test_u.Adds.test_subtests"].outcome == "failed"
    assert found.coverage["test_u.Adds.test_bad"]["calc.py"] == {2, 3}
