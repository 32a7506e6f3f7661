"""The tests of a change on copies: of what lies on disk, of commits, of a subset by the map, with what git ignores."""

from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest
from review_ground import write_files
from seeded_changes import CALC, PROJECT, edit

from qwencode.events import CheckFinished, Event, FindingReported
from qwencode.jobs.tests_part import TestsPart
from qwencode.review.change import Change, between, staged, uncommitted
from qwencode.review.coverage_map import CoverageMap
from qwencode.review.repository import Repository

Git = Callable[..., str]
pytestmark = pytest.mark.slow
NEW = "from sums import total\n\n\ndef test():\n    assert total([1]) == 2\n"
BUILT = """from pathlib import Path


def test_built():
    assert Path("built/data").read_text() == "x"
    Path("built/data").write_text("y")
"""
FLAKY = """from pathlib import Path


def test_second_time():
    seen = Path("seen").exists()
    Path("seen").touch()
    assert seen
"""
CASE = """import unittest

from calc import total


class T(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(total([1, 2]), 3)
"""


@pytest.fixture
def calc(project: Path, run_git: Git) -> Path:
    write_files(project, PROJECT)
    run_git(project, "add", "--all")
    run_git(project, "commit", "-qm", "Calc")
    return project


def ran(change: Change, folder: Path, left: float = inf, test: str = "") -> list[Event]:
    number = len(list(folder.glob("work-*")))
    return list(TestsPart(change, test, False, folder / "maps", lambda: left).work(folder / f"work-{number}"))


def found(events: list[Event]) -> list[str]:
    return [event.what for event in events if isinstance(event, FindingReported)]


def test_what_lies_on_disk_with_new_and_deleted_files(calc: Path, tmp_path: Path):
    write_files(calc, {"calc.py": None, "sums.py": CALC, "test_new.py": NEW})
    said = found(ran(uncommitted(Repository.find(calc)), tmp_path))
    assert any("test_calc.py cannot be loaded with this change" in what for what in said)
    assert any("test_new.py::test is new and fails (assert 1 == 2)" in what for what in said)


def test_commits_are_tested_whatever_lies_on_disk(calc: Path, run_git: Git, tmp_path: Path):
    write_files(calc, {"calc.py": edit(CALC, "+=", "-=")})
    run_git(calc, "commit", "-qam", "Break")
    write_files(calc, {"calc.py": "not Python (\n"})
    what, *_ = found(ran(between(Repository.find(calc), "HEAD~1..HEAD"), tmp_path))
    assert what.startswith("test_calc.py::test_")
    assert "fails with this change; before, it did not" in what


def test_by_the_map_only_what_the_change_touches_is_run(calc: Path, run_git: Git, tmp_path: Path):
    other = "import other\n\n\ndef test_other():\n    assert other.x == 1\n"
    write_files(calc, {"other.py": "x = 1\n", "test_other.py": other, "calc.py": CALC + "# a\n"})
    run_git(calc, "add", "--all")
    ran(staged(Repository.find(calc)), tmp_path)
    run_git(calc, "commit", "-qm", "Other")
    known = CoverageMap.load(tmp_path / "maps", Repository.find(calc).common)
    assert sorted(known.files()) == ["test_calc.py", "test_other.py"]
    assert known.tests["test_calc.py::test_total"].ran == {"calc.py", "test_calc.py"}
    write_files(calc, {"calc.py": edit(CALC, "+=", "-=")})
    run_git(calc, "add", "--all")
    said = found(ran(staged(Repository.find(calc)), tmp_path))
    assert {what.split(" ")[0] for what in said} == {"test_calc.py::test_total", "test_calc.py::test_mean"}


def test_what_git_ignores_is_there_and_cannot_be_written(calc: Path, run_git: Git, tmp_path: Path):
    write_files(calc, {".gitignore": ".venv/\nbuilt/\n", "built/data": "x", "test_built.py": BUILT})
    run_git(calc, "add", "--all")
    (what,) = found(ran(staged(Repository.find(calc)), tmp_path))
    assert "OSError" in what or "PermissionError" in what
    assert (calc / "built" / "data").read_text() == "x"


def test_a_flaky_test_is_no_finding(calc: Path, run_git: Git, tmp_path: Path):
    write_files(calc, {"test_flaky.py": FLAKY})
    run_git(calc, "add", "--all")
    assert found(ran(staged(Repository.find(calc)), tmp_path)) == []


def test_a_repository_without_tests_has_nothing_to_say(project: Path, run_git: Git, tmp_path: Path):
    write_files(project, {"calc.py": CALC})
    run_git(project, "add", "--all")
    *_, end = ran(staged(Repository.find(project)), tmp_path)
    assert isinstance(end, CheckFinished)
    assert (end.status, end.reason) == ("done", "")


def test_unittest_and_a_command_of_the_user(calc: Path, run_git: Git, tmp_path: Path):
    write_files(calc, {"test_calc.py": CASE})
    run_git(calc, "add", "--all")
    run_git(calc, "commit", "-qm", "Case")
    write_files(calc, {"calc.py": edit(CALC, "+=", "-=")})
    run_git(calc, "add", "--all")
    change = staged(Repository.find(calc))
    (what,) = found(ran(change, tmp_path, test="python -m unittest"))
    assert "test_calc.T.test_sum fails with this change; before, it did not (AssertionError: -3 != 3)" in what
    (what,) = found(ran(change, tmp_path, test="sh -c 'exec .venv/bin/python -m unittest -q'"))
    assert "fails with this change; before, it did not" in what


def test_a_test_file_whose_name_looks_like_an_option_hides_no_other(calc: Path, run_git: Git, tmp_path: Path):
    (calc / "calc.py").write_text(edit(CALC, "return result", "return result + 1"))
    (calc / "-k_test.py").write_text("def test_k():\n    assert 0\n")
    run_git(calc, "add", "--all")
    events = ran(staged(Repository.find(calc)), tmp_path)
    assert any(what.startswith("-k_test.py::test_k is new and fails") for what in found(events))
    assert any("with this change" in what for what in found(events))


def test_what_a_test_runs_since_a_change_that_was_not_looked_at(calc: Path, run_git: Git, tmp_path: Path):
    """Somebody else's commits bring a test, or code, to use other files than the map says."""
    write_files(calc, {"low.py": "def low():\n    return 1\n", "mid.py": "def mid():\n    return 1\n"})
    write_files(calc, {"test_mid.py": "from mid import mid\n\n\ndef test_mid():\n    assert mid() == 1\n"})
    run_git(calc, "add", "--all")
    assert not found(ran(staged(Repository.find(calc)), tmp_path))
    (calc / "mid.py").write_text("from low import low\n\n\ndef mid():\n    return low()\n")
    run_git(calc, "add", "--all")
    run_git(calc, "commit", "-qm", "Not looked at")
    (calc / "low.py").write_text("def low():\n    return 2\n")
    run_git(calc, "add", "--all")
    (said,) = found(ran(staged(Repository.find(calc)), tmp_path))
    assert said.startswith("test_mid.py::test_mid fails with this change")


def test_a_test_file_that_git_does_not_know_yet(calc: Path, tmp_path: Path):
    (calc / "test_new.py").write_text("def test_new():\n    assert 0\n")
    (said,) = found(ran(uncommitted(Repository.find(calc)), tmp_path))
    assert said.startswith("test_new.py::test_new is new and fails")


def test_a_failure_names_files_as_they_are_in_the_repository(calc: Path, tmp_path: Path):
    write_files(calc, {"calc.py": "def add(a, b:\n"})
    said = found(ran(uncommitted(Repository.find(calc)), tmp_path))
    assert any('(File "calc.py", line 1)' in what for what in said), said
