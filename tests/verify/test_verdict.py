"""What counts as mended, and what an edit may try instead of mending."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_sandbox import Unconfined, make_repository

from qwencode.errors import UsageError
from qwencode.events import VerdictReached
from qwencode.verify.baseline import take
from qwencode.verify.commands import discover
from qwencode.verify.results import Baseline, Outcome, TestResult, TestRun
from qwencode.verify.verdict import mended, prove
from qwencode.workspace import Workspace

CALC = {
    "calc.py": "def add(a, b):\n    return a - b\n\n\ndef twice(a):\n    return 2 * a\n",
    "tests/test_calc.py": """\
        from calc import add, twice


        def test_add():
            assert add(1, 2) == 3


        def test_twice():
            assert twice(2) == 4


        def test_twice_zero():
            assert twice(0) == 0
        """,
}
MENDED = "def add(a, b):\n    return a + b\n\n\ndef twice(a):\n    return 2 * a\n"
Make = Callable[..., Workspace]
OWN = f"{sys.executable} -m pytest"


def last(steps: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Case:
    def __init__(self, workspace: Workspace, sandbox: Any, command: str = OWN):
        self.workspace = workspace
        self.sandbox = sandbox
        chosen = discover(workspace, command)
        self.baseline: Baseline = last(take(workspace, sandbox, chosen, seconds=60, coverage=False))
        self.before: dict[Path, bytes | None] = {}

    def edit(self, files: Mapping[str, str | None]) -> "Case":
        for name, text in files.items():
            path = self.workspace.root / name
            self.before.setdefault(path, path.read_bytes() if path.exists() else None)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text, encoding="utf-8")
        return self

    def restore(self) -> None:
        for path, data in self.before.items():
            path.unlink(missing_ok=True) if data is None else path.write_bytes(data)

    def judge(self, allow: bool = False, goal_text: bool = False, baseline: Baseline | None = None) -> VerdictReached:
        return last(
            prove(
                self.workspace,
                self.sandbox,
                baseline or self.baseline,
                goal_text=goal_text,
                by="test",
                allow_test_changes=allow,
                seconds=30,
            )
        )[0]


@pytest.fixture
def case(repo: Make, sandbox: Any) -> Callable[[Mapping[str, str]], Case]:
    return lambda files: Case(repo(files), sandbox)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("calc")
    scratch = folder / "scratch"
    scratch.mkdir()
    return Case(make_repository(folder / "repo", CALC), Unconfined(scratch))


@pytest.fixture
def calc(shared: Case) -> Iterator[Case]:
    """The same repository with the same baseline for many tests; edits are taken back."""
    yield shared
    shared.restore()


def test_mended(calc: Case):
    assert calc.baseline.goal == ("tests/test_calc.py::test_add",)
    verdict = calc.edit({"calc.py": MENDED}).judge()
    assert verdict.status == "fixed", verdict.reason
    assert [(row.test, row.before, row.after) for row in verdict.proof] == [
        ("tests/test_calc.py::test_add", "failed", "passed")
    ]
    assert (verdict.passing_before, verdict.passing_after) == (2, 3)


def test_untouched_is_not_fixed(calc: Case):
    verdict = calc.judge()
    assert verdict.status == "not_fixed"
    assert verdict.reason == "tests/test_calc.py::test_add still does not pass."


TWO = {
    "calc.py": "def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return a\n\n\ndef same(a):\n    return a\n",
    "tests/test_calc.py": "from calc import add, double, same\n\n\ndef test_add():\n    assert add(1, 2) == 3\n\n\n"
    "def test_double():\n    assert double(2) == 4\n\n\ndef test_same():\n    assert same(1) == 1\n",
}


@pytest.fixture(scope="module")
def shared_two(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("two")
    scratch = folder / "scratch"
    scratch.mkdir()
    return Case(make_repository(folder / "repo", TWO), Unconfined(scratch))


@pytest.fixture
def two(shared_two: Case) -> Iterator[Case]:
    """The same, with two failing tests of two faults, and one that passes."""
    yield shared_two
    shared_two.restore()


def test_a_part_of_the_goal_is_said_to_be_a_part(two: Case):
    verdict = two.edit({"calc.py": TWO["calc.py"].replace("a - b", "a + b")}).judge()
    assert verdict.status == "partly"
    assert verdict.reason == (
        "1 of 2 failing tests passes now, none of the 1 that passed broke, no test or test setting was changed; "
        "still failing: tests/test_calc.py::test_double."
    )
    assert [(row.before, row.after) for row in verdict.proof] == [("failed", "passed"), ("failed", "failed")]


def test_a_part_that_is_the_whole_of_a_narrowed_goal(two: Case):
    baseline = replace(two.baseline, only=frozenset({"tests/test_calc.py::test_add"}))
    two.edit({"calc.py": TWO["calc.py"].replace("a - b", "a + b")})
    assert two.judge(baseline=baseline).status == "fixed"


@pytest.mark.parametrize(
    "text",
    [
        TWO["calc.py"].replace("a - b", "a + b") + "\n\ndef same(a):\n    return 0\n",
        TWO["calc.py"].replace("a - b", "a + b").replace("return a\n", "import pytest; pytest.skip()\n", 1),
        TWO["calc.py"].replace("return a\n", "return a + 0\n", 1),
    ],
    ids=["another test broke", "the rest is skipped", "no test was mended"],
)
def test_what_is_not_even_a_part(two: Case, text: str):
    assert two.edit({"calc.py": text}).judge().status == "not_fixed"


@pytest.mark.slow
def test_a_part_with_a_changed_test_is_nothing(two: Case):
    tests = TWO["tests/test_calc.py"].replace("double(2) == 4", "double(2) == 3")
    two.edit({"calc.py": TWO["calc.py"].replace("a - b", "a + b"), "tests/test_calc.py": tests})
    assert two.judge().status == "not_fixed"
    assert two.judge(allow=True).status == "partly"
    two.edit({"tests/test_calc.py": TWO["tests/test_calc.py"].replace("test_double", "no_test")})
    assert two.judge(allow=True).status == "not_fixed", "a goal test that is gone does not fail, it is gone"


def test_mended_but_another_broke(calc: Case):
    verdict = calc.edit({"calc.py": MENDED.replace("2 * a", "a + 2")}).judge()
    assert verdict.status == "not_fixed"
    assert verdict.reason == "tests/test_calc.py::test_twice_zero fails now."
    assert ("tests/test_calc.py::test_twice_zero", "passed", "failed") in [
        (row.test, row.before, row.after) for row in verdict.proof
    ]


def test_an_edit_of_the_same_size_in_the_same_second_is_seen(calc: Case):
    """Bytecode caches are keyed by size and whole seconds; a stale one would hide the edit."""
    old = (calc.workspace.root / "calc.py").stat()
    calc.edit({"calc.py": MENDED})
    os.utime(calc.workspace.root / "calc.py", ns=(old.st_atime_ns, old.st_mtime_ns))
    assert calc.judge().status == "fixed"


def test_goal_in_words_proves_only_that_nothing_broke(case: Callable[..., Case]):
    made = case({**CALC, "calc.py": MENDED})
    assert made.baseline.goal == ()
    verdict = made.edit({"calc.py": MENDED + "\n\ndef thrice(a):\n    return 3 * a\n"}).judge(goal_text=True)
    assert verdict.status == "unbroken"
    assert "Only that was proven" in verdict.reason


FAKE_HOOK = "def pytest_runtest_makereport(item, call):\n    pass\n"
CHEATS: dict[str, tuple[dict[str, str | None], str]] = {
    "edits the test": ({"tests/test_calc.py": "def test_add(): pass\n"}, "Tests or their settings were changed"),
    "removes the test": ({"tests/test_calc.py": None}, "Tests or their settings were changed"),
    "new conftest": ({"conftest.py": "collect_ignore = ['tests/test_calc.py']\n"}, "conftest.py"),
    "ignored conftest": ({".gitignore": "conftest.py\n", "tests/conftest.py": FAKE_HOOK}, "tests/conftest.py"),
    "new pytest.ini": ({"pytest.ini": "[pytest]\naddopts = -k twice\n"}, "pytest.ini"),
    "setting in pyproject": ({"pyproject.toml": "[tool.pytest.ini_options]\naddopts='-k twice'\n"}, "pyproject.toml"),
    "setting in setup.cfg": ({"setup.cfg": "[tool:pytest]\naddopts = -k twice\n"}, "setup.cfg"),
    "shadows pytest": ({"pytest.py": "def main(*a, **k): return 0\n"}, "pytest.py"),
    "sitecustomize": ({"sitecustomize.py": "import os; os._exit(0)\n"}, "sitecustomize.py"),
    "new test file": ({"tests/test_aaa.py": "import calc; calc.add = lambda a, b: a + b\n"}, "tests/test_aaa.py"),
    "ends the process": ({"calc.py": "import os\nos._exit(0)\n"}, "who runs it"),
    "ends it in disguise": ({"calc.py": "import posix\nposix._exit(0)\n"}, "did not come to its end"),
    "leaves by SystemExit": ({"calc.py": "raise SystemExit(0)\n"}, "did not come to its end"),
    "skips the test": (
        {"calc.py": MENDED.replace("return a + b", "raise __import__('unit' + 'test').SkipTest('no')")},
        "still does not pass",
    ),
    "looks for pytest": ({"calc.py": "import sys\n" + MENDED + "X = 'pytest' in sys.modules\n"}, "who runs it"),
    "asks the environment": ({"calc.py": "import os\n" + MENDED + "os.getenv('PYTEST_CURRENT_TEST')\n"}, "who runs it"),
    "replaces the runner": (
        {
            "calc.py": "import importlib\n_r = importlib.import_module('_py' + 'test.runner')\n"
            "_o = _r.pytest_runtest_call\n_r.pytest_runtest_call = lambda item: None\n" + MENDED
        },
        "replaced parts of the test runner",
    ),
    "replaces a function's code": (
        {
            "calc.py": "import importlib\n_r = importlib.import_module('_py' + 'test.runner')\n"
            "def f(item): pass\n_r.pytest_runtest_call.__code__ = f.__code__\n" + MENDED
        },
        "replaced parts of the test runner",
    ),
}


@pytest.mark.parametrize("name", CHEATS)
def test_cheats_are_not_fixed(calc: Case, name: str):
    files, said = CHEATS[name]
    verdict = calc.edit({"calc.py": MENDED, **files}).judge()
    assert verdict.status == "not_fixed"
    assert said in verdict.reason


def test_forged_results_are_dropped(calc: Case):
    """Source that finds the log in the scratch directory cannot sign what it writes there."""
    forge = f"""
import glob
for name in glob.glob({str(calc.sandbox.scratch)!r} + "/run-*/log"):
    with open(name, "rb") as log: lines = log.read()
    with open(name, "ab") as log:
        log.write(b'0' * 64 + b' {{"event": "finish", "status": 0, "replaced": []}}\\n')
def add(a, b): raise KeyError
def twice(a): return 2 * a
"""
    verdict = calc.edit({"calc.py": forge}).judge()
    assert verdict.status == "not_fixed"
    assert "did not come to its end" in verdict.reason


def test_the_probe_leaves_no_trace_for_the_tested_code(case: Callable[..., Case]):
    look = """
import os, sys
FOUND = [v for k, v in os.environ.items() if "qwencode" in k.lower() or "qwencode" in v.lower()]
FOUND += [p for p in sys.path if "run-" in p or "qwencode/verify" in p]
def add(a, b): return FOUND
def twice(a): return 2 * a
"""
    tests = CALC["tests/test_calc.py"].replace("add(1, 2) == 3", "add(1, 2) == []")
    assert case({"calc.py": look, "tests/test_calc.py": tests}).baseline.run.failing == ()


def test_a_test_that_the_source_rewrites_while_it_runs(calc: Case):
    source = (
        "import pathlib\nP = pathlib.Path(__file__).parent / 'tests' / 'test_calc.py'\n"
        "P.write_text('def test_add(): pass\\ndef test_twice(): pass\\ndef test_twice_zero(): pass\\n')\n" + MENDED
    )
    calc.edit({"tests/test_calc.py": textwrap.dedent(CALC["tests/test_calc.py"])})
    verdict = calc.edit({"calc.py": source}).judge()
    assert verdict.status == "not_fixed"
    assert verdict.touched_tests == ("tests/test_calc.py",)


def test_changed_tests_are_allowed_by_flag_and_named(calc: Case):
    more = "\n\ndef test_more():\n    pass\n"
    text = (calc.workspace.root / "tests/test_calc.py").read_text()
    verdict = calc.edit({"calc.py": MENDED, "tests/test_calc.py": text + more}).judge(allow=True)
    assert verdict.status == "fixed", verdict.reason
    assert verdict.touched_tests == ("tests/test_calc.py",)
    assert "tests/test_calc.py" in verdict.reason


def test_a_goal_test_that_is_gone_is_not_fixed_even_by_flag(calc: Case):
    text = "from calc import twice\ndef test_twice(): assert twice(2) == 4\ndef test_twice_zero(): pass\n"
    verdict = calc.edit({"tests/test_calc.py": text}).judge(allow=True)
    assert verdict.status == "not_fixed"


@pytest.mark.slow
def test_an_import_error_is_mended_when_its_tests_pass(case: Callable[..., Case]):
    made = case({**CALC, "calc.py": "def add(a, b:\n"})
    assert made.baseline.goal == ("tests/test_calc.py",)
    assert made.judge().status == "not_fixed"
    verdict = made.edit({"calc.py": MENDED}).judge()
    assert verdict.status == "fixed", verdict.reason
    assert verdict.proof[0].after == "its tests pass"
    assert made.edit({"calc.py": CALC["calc.py"]}).judge().status == "not_fixed"


CHECKS = """\
    import unittest
    import calc

    EXPECTED = 3

    class Adds(unittest.TestCase):
        @classmethod
        def setUpClass(cls): cls.made = calc.made()
        def test_add(self): self.assertEqual(self.made, EXPECTED)

    class Other(unittest.TestCase):
        def test_other(self): pass
    """
UNITTEST = f"{sys.executable} -m unittest"


@pytest.mark.parametrize(
    ("source", "how", "goal"),
    [
        ("def made(): raise KeyError\n", "checks", "setUpClass (checks.Adds)"),
        ("import missing_module\n", "checks", "checks"),
        ("def made(:\n", "checks", "(collection)"),
        ("def made(:\n", "discover -s . -p chec*.py", "checks"),
    ],
)
def test_what_stood_for_tests_of_unittest_is_mended_when_they_pass(
    repo: Make, sandbox: Any, source: str, how: str, goal: str
):
    made = Case(repo({"calc.py": source, "checks.py": CHECKS}), sandbox, f"{UNITTEST} {how}")
    assert made.baseline.goal == (goal,)
    assert made.judge().status == "not_fixed"
    verdict = made.edit({"calc.py": "def made(): return 3\n"}).judge()
    assert verdict.status == "fixed", verdict.reason
    assert verdict.proof[0].after == "its tests pass"
    assert made.edit({"calc.py": "def made(): return 4\n"}).judge().status == "not_fixed"


def test_a_test_that_unittest_names_with_dots_is_protected(repo: Make, sandbox: Any):
    made = Case(repo({"calc.py": "def made(): return 4\n", "checks.py": CHECKS}), sandbox, f"{UNITTEST} checks")
    assert made.baseline.goal == ("checks.Adds.test_add",)
    text = (made.workspace.root / "checks.py").read_text()
    verdict = made.edit({"checks.py": text.replace("EXPECTED = 3", "EXPECTED = 4")}).judge()
    assert (verdict.status, verdict.touched_tests) == ("not_fixed", ("checks.py::tests in it",))


def test_a_conftest_that_imports_broken_source(case: Callable[..., Case]):
    made = case({**CALC, "calc.py": "def add(a, b:\n", "tests/conftest.py": "import calc\n"})
    assert made.baseline.goal == ("(collection)",)
    assert made.baseline.run.results["(collection)"].crash == "calc.py:1"
    assert made.judge().status == "not_fixed"
    verdict = made.edit({"calc.py": MENDED}).judge()
    assert verdict.status == "fixed", verdict.reason


def test_a_command_that_failed_as_a_whole_is_mended_when_it_ends_well(repo: Make, sandbox: Any):
    """Its single tests can be told apart now, so there is none of its name any more."""
    files = {
        "Makefile": "test:\n\t@. ./lib.sh && echo 1..1 && check\n",
        "lib.sh": "check() { echo 'ok 1 - a'\n",
    }
    made = Case(repo(files), sandbox, "make test")
    assert made.baseline.goal == ("make test",)
    assert made.judge().status == "not_fixed"
    verdict = made.edit({"lib.sh": "check() { echo 'ok 1 - a'; }\n"}).judge()
    assert verdict.status == "fixed", verdict.reason
    assert made.edit({"lib.sh": "check() { echo 'ok 1 - a'; false; }\n"}).judge().status == "not_fixed"
    assert made.edit({"lib.sh": "check() { echo 'not ok 1 - a'; false; }\n"}).judge().status == "not_fixed"


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_a_file_of_tests_that_node_could_not_load(repo: Make, sandbox: Any):
    files = {
        "lib.js": "exports.f = ) 1\n",
        "a.test.js": "const { f } = require('./lib.js');\n"
        "require('node:test').test('a', () => { if (f != 1) throw 1; });\n",
    }
    made = Case(repo(files), sandbox, "node --test")
    assert made.baseline.goal == ("a.test.js",)
    verdict = made.edit({"lib.js": "exports.f = 1\n"}).judge()
    assert verdict.status == "fixed", verdict.reason


@pytest.mark.skipif(not shutil.which("cargo"), reason="cargo is not installed")
@pytest.mark.slow
def test_a_test_of_rust_beside_its_code(repo: Make, sandbox: Any):
    files = {
        "Cargo.toml": '[workspace]\nmembers = ["bank"]\nresolver = "2"\n',
        "bank/Cargo.toml": '[package]\nname = "bank"\nversion = "0.1.0"\nedition = "2021"\n',
        "bank/src/lib.rs": "pub mod money;\n",
        "bank/src/money.rs": "pub fn add(a: i32, b: i32) -> i32 { a - b }\n"
        "#[cfg(test)]\nmod tests {\n    #[test] fn adds() { assert_eq!(super::add(1, 2), 3) }\n}\n",
        ".gitignore": "target\nCargo.lock\n",
    }
    made = Case(repo(files), sandbox, "cargo test")
    assert made.baseline.goal == ("bank/src/lib.rs::money::tests::adds",)
    text = files["bank/src/money.rs"]
    verdict = made.edit({"bank/src/money.rs": text.replace("2), 3", "2), -1")}).judge()
    assert (verdict.status, verdict.touched_tests) == ("not_fixed", ("bank/src/money.rs::tests in it",))
    verdict = made.edit({"bank/src/money.rs": "// mended\n" + text.replace("a - b", "a + b")}).judge()
    assert verdict.status == "fixed", verdict.reason


def test_a_new_flaky_failure_does_not_count_as_broken(calc: Case, tmp_path: Path):
    flip = f"""
import pathlib
def twice(a):
    mark = pathlib.Path({str(tmp_path / "mark")!r})
    if a and not mark.exists():
        mark.touch()
        return -1
    return 2 * a
def add(a, b): return a + b
"""
    verdict = calc.edit({"calc.py": flip}).judge()
    assert verdict.status == "fixed", verdict.reason
    assert ("tests/test_calc.py::test_twice", "flaky") in [(row.test, row.after) for row in verdict.proof]


@pytest.mark.slow
def test_a_change_that_hangs(calc: Case):
    made = calc.edit({"calc.py": MENDED.replace("return a + b", "while True: pass")})
    verdict = last(
        prove(
            made.workspace,
            made.sandbox,
            made.baseline,
            goal_text=False,
            by="test",
            allow_test_changes=False,
            seconds=6,
        )
    )[0]
    assert verdict.status == "not_fixed"
    assert verdict.reason == "The tests did not end within 6 s; tests/test_calc.py::test_add was running."


TROUBLE = """\
    import os, pathlib, socket, time
    def test_flaky():
        mark = pathlib.Path({mark!r})
        if not mark.exists():
            mark.touch()
            assert False
    def test_crash(): os._exit(3)
    def test_fails(): assert 0
    def test_passes(): pass
    def test_network(): raise socket.gaierror("[Errno -3] Temporary failure in name resolution")
    def test_hangs(): {hang}
    def test_last(): pass
    """


@pytest.mark.slow
def test_flaky_crashing_and_blocked_tests_in_a_baseline(repo: Make, sandbox: Any, tmp_path: Path):
    workspace = repo({"test_all.py": TROUBLE.format(mark=str(tmp_path / "mark"), hang="pass")})
    baseline = last(take(workspace, sandbox, discover(workspace, OWN), seconds=60, coverage=True))
    assert baseline.flaky == ("test_all.py::test_flaky",)
    assert baseline.blocked == ("test_all.py::test_network",)
    assert baseline.goal == ("test_all.py::test_crash", "test_all.py::test_fails")
    assert baseline.run.passing == tuple(f"test_all.py::test_{name}" for name in ("hangs", "last", "passes"))
    assert baseline.run.coverage["test_all.py::test_last"], "also of the tests after the crash"


@pytest.mark.slow
def test_a_hanging_test_in_a_baseline(repo: Make, sandbox: Any, tmp_path: Path):
    workspace = repo({"test_all.py": TROUBLE.format(mark=str(tmp_path / "mark"), hang="time.sleep(1000)")})
    baseline = last(take(workspace, sandbox, discover(workspace, OWN), seconds=10, coverage=False))
    assert baseline.goal == tuple(f"test_all.py::test_{name}" for name in ("crash", "fails", "hangs"))
    assert "test_all.py::test_last" in baseline.run.passing
    hanging = baseline.run.results["test_all.py::test_hangs"].message
    assert "Still running when the time was up" in hanging
    assert "in test_hangs" in hanging, "the stack at that moment is told"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"test_a.py": "x = 1\n"}, "found no tests"),
        ({"test_a.py": "def test_a(): pass\n", "conftest.py": "raise RuntimeError('broken setup')\n"}, "broken setup"),
    ],
)
def test_no_usable_baseline(repo: Make, sandbox: Any, files: dict[str, str], said: str):
    workspace = repo(files)
    with pytest.raises(UsageError, match=said):
        last(take(workspace, sandbox, discover(workspace, OWN), seconds=30, coverage=False))


@pytest.mark.slow
def test_files_that_the_tests_write_themselves_are_not_held_against_anyone(case: Callable[..., Case]):
    write = "\nimport pathlib, time\ndef test_log():\n    pathlib.Path('tests/log.txt').write_text(str(time.time()))\n"
    made = case({**CALC, "tests/test_log.py": write})
    assert made.baseline.protected["tests/log.txt"] == "*"
    assert made.edit({"calc.py": MENDED}).judge().status == "fixed"


@pytest.mark.slow
def test_a_doctest_is_protected_where_its_source_is_not(case: Callable[..., Case]):
    source = 'def add(a, b):\n    """Add.\n\n    >>> add(1, 2)\n    3\n    """\n    return a - b\n'
    made = case({"lib.py": source, "pytest.ini": "[pytest]\naddopts = --doctest-modules\n"})
    assert made.baseline.goal == ("lib.py::lib.add",)
    assert made.edit({"lib.py": source.replace("a - b", "a + b")}).judge().status == "fixed"
    cheat = source.replace("    3\n", "    -1\n")
    assert made.edit({"lib.py": cheat}).judge().touched_tests == ("lib.py::tests in it",)


def test_wanted_narrows_the_goal(case: Callable[..., Case]):
    more = {"tests/test_more.py": "from calc import add\ndef test_more(): assert add(0, 1) == 1\n"}
    baseline = case({**CALC, **more}).baseline
    assert len(baseline.goal) == 2
    assert replace(baseline, wanted=("tests/test_more.py",)).goal == ("tests/test_more.py::test_more",)
    assert replace(baseline, wanted=("tests/test_calc.py::test_add",)).goal == ("tests/test_calc.py::test_add",)
    assert replace(baseline, wanted=("tests",)).goal == baseline.goal
    assert replace(baseline, wanted=("other",)).goal == ()


@pytest.mark.parametrize("outcome", ["failed", "passed"])
def test_a_test_that_is_gone_is_not_mended_by_others_of_a_like_name(outcome: Outcome):
    others = {
        name: TestResult(name, "passed", 0.0) for name in ("parse.numbers", "parse > words", "parse::all", "parse/x")
    }
    gone = TestResult("parse", outcome, 0.0, file="parse.test.js")
    assert not mended(gone, TestRun("ran", others, "", 0.0))
    assert mended(replace(gone, outcome="error"), TestRun("ran", others, "", 0.0)), "it stood for these"
