"""`hook --fix`: what is staged is mended on a copy, and comes to the files that hold nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hook_ground import index, program, run, tree
from review_ground import write_files
from seeded_changes import CALC, PROJECT, edit

Git = Callable[..., str]
BROKEN = edit(CALC, "values[1:]", "values[2:]")
WORDS = ("hook", "--only", "tests", "--fix", "--no-model", "--seconds", "90")
pytestmark = pytest.mark.slow


@pytest.fixture
def qwencode(tmp_path: Path) -> str:
    return str(program(tmp_path / "bin") / "qwencode")


@pytest.fixture
def broken(project: Path, run_git: Git) -> Path:
    write_files(project, PROJECT)
    run_git(project, "add", "--all")
    run_git(project, "commit", "-qm", "Calc")
    write_files(project, {"calc.py": BROKEN})
    run_git(project, "add", "--all")
    return project


def test_it_mends_what_is_staged_and_can_be_taken_back(broken: Path, run_git: Git, qwencode: str):
    listed = index(broken)
    done = run(broken, qwencode, *WORDS)
    assert done.code == 1, done.out
    assert "Mended in your files: calc.py." in done.out
    assert (broken / "calc.py").read_text() == CALC
    assert index(broken) == listed
    assert run(broken, qwencode, "undo").code == 0
    assert (broken / "calc.py").read_text() == BROKEN


def test_a_file_that_holds_more_than_what_is_staged_is_left_alone(broken: Path, qwencode: str):
    (broken / "calc.py").write_text(BROKEN + "\n# Not staged.\n")
    before = tree(broken), index(broken)
    done = run(broken, qwencode, *WORDS)
    assert done.code == 0, done.out
    assert "Mended on a copy, but not in your files: calc.py holds changes that are not staged." in done.out
    assert (tree(broken), index(broken)) == before


def test_where_nothing_fails_nothing_is_done(broken: Path, run_git: Git, qwencode: str):
    write_files(broken, {"calc.py": CALC + "\n# The end.\n"})
    run_git(broken, "add", "--all")
    before = tree(broken), index(broken)
    assert run(broken, qwencode, *WORDS).out == ""
    assert run(broken, qwencode, *WORDS).code == 0
    assert (tree(broken), index(broken)) == before


def test_what_cannot_be_mended_is_said(broken: Path, run_git: Git, qwencode: str):
    write_files(broken, {"calc.py": "from calc_two import *\n"})
    run_git(broken, "add", "--all")
    before = tree(broken), index(broken)
    done = run(broken, qwencode, *WORDS)
    assert done.code == 0, done.out
    assert "Skipped: fix (Not fixed" in done.out
    assert (tree(broken), index(broken)) == before
