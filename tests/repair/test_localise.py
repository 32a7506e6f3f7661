"""Ranking of lines and functions from spectra and tracebacks."""

import math
import subprocess
from pathlib import Path

import pytest

from qwencode.repair.localise import rank
from qwencode.verify.results import TestResult, TestRun
from qwencode.workspace import Workspace

CODE = """LIMIT = 3


def total(values, start=LIMIT):
    result = start
    for value in values:
        result += value
    return result


def other(value):
    if value:
        return total([value])
    return None
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "core.py").write_text(CODE)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_core.py").write_text("def test_total(): ...\n")
    return Workspace(tmp_path)


def run_of(tests: dict[str, tuple[str, set[int]]], messages: dict[str, str] | None = None) -> TestRun:
    messages = messages or {}
    results = {t: TestResult(t, outcome, 0.0, messages.get(t, "")) for t, (outcome, _) in tests.items()}  # pyright: ignore[reportArgumentType]
    coverage = {
        t: {"pkg/core.py": frozenset(lines), "tests/test_core.py": frozenset({1})}
        for t, (_, lines) in tests.items()
        if lines
    }
    return TestRun("ran", results, "", 1.0, coverage)


def test_ochiai(workspace: Workspace):
    run = run_of({"t::a": ("failed", {5, 6, 7}), "t::b": ("passed", {5, 6}), "t::c": ("passed", {5})})
    ranking = rank(run, ["t::a"], workspace)
    lines = ranking.lines["pkg/core.py"]
    assert lines[7] > lines[6] > lines[5] > 0
    assert ranking.suspects[0].line == 7
    assert ranking.suspects[0].function == "total"
    assert ranking.suspects[0].score == 1.0
    assert lines[6] / lines[7] == pytest.approx(1 / math.sqrt(2))
    assert lines[5] / lines[7] == pytest.approx(1 / math.sqrt(3))


def test_tests_and_protected_files_are_never_suspected(workspace: Workspace):
    run = run_of({"t::a": ("failed", {5})})
    assert set(rank(run, ["t::a"], workspace).lines) == {"pkg/core.py"}
    assert not rank(run, ["t::a"], workspace, {"pkg/core.py": ""}).lines


def test_the_traceback_breaks_ties(workspace: Workspace):
    lines = {5, 6, 7, 8, 12, 13}
    message = "tests/test_core.py:1: in test\n    x\npkg/core.py:13: in other\n    y\npkg/core.py:7: in total\n    z\nE   TypeError"
    ranking = rank(run_of({"t::a": ("failed", lines)}, {"t::a": message}), ["t::a"], workspace)
    weights = ranking.lines["pkg/core.py"]
    assert weights[7] == max(weights.values())
    assert weights[13] > weights[12]


def test_a_function_that_the_test_names_comes_first(workspace: Workspace):
    run = run_of({"tests/test_core.py::test_other_works": ("failed", {5, 7, 12, 13})})
    assert rank(run, list(run.results), workspace).suspects[0].function == "other"


def test_lines_at_import_are_suspected_through_those_that_use_them(workspace: Workspace):
    (workspace.root / "pkg" / "core.py").write_text(CODE.replace("result = start", "result = start + LIMIT"))
    lines = rank(run_of({"t::a": ("failed", {5, 6})}), ["t::a"], workspace).lines["pkg/core.py"]
    assert 0 < lines[1] < lines[5]
    assert 0 < lines[4] < lines[5]


def test_one_failing_test_and_no_passing_one(workspace: Workspace):
    ranking = rank(run_of({"t::a": ("failed", {5, 6, 7, 8})}), ["t::a"], workspace)
    assert [suspect.score for suspect in ranking.suspects] == [1.0]


@pytest.mark.parametrize(
    "message",
    [
        'File "{root}/pkg/core.py", line 6\n    for value in values\nSyntaxError: expected a colon',
        "tests/test_core.py:1: in <module>\n    import pkg.core\npkg/core.py:6: in <module>\n    X\nE   NameError: name 'X'",
    ],
)
def test_collection_errors_are_placed_by_their_traceback(workspace: Workspace, message: str):
    text = CODE if "NameError" in message else CODE.replace("values:", "values")
    (workspace.root / "pkg" / "core.py").write_text(text)
    run = run_of({"tests/test_core.py": ("error", set())}, {"tests/test_core.py": message.format(root=workspace.root)})
    ranking = rank(run, ["tests/test_core.py"], workspace)
    assert max(ranking.lines["pkg/core.py"], key=lambda line: ranking.lines["pkg/core.py"][line]) == 6
    assert ranking.suspects[0].file == "pkg/core.py"


def test_nothing_known_gives_an_empty_ranking(workspace: Workspace):
    ranking = rank(
        run_of({"t::a": ("failed", set())}, {"t::a": "no traceback; /etc/passwd.py:3: in x"}), ["t::a"], workspace
    )
    assert not ranking.suspects
    assert not ranking.lines


def test_literals_of_the_failure_are_kept(workspace: Workspace):
    run = run_of({"t::a": ("failed", {5})}, {"t::a": "E   AssertionError: assert ('add', 7) == ('take', 18.5)"})
    assert {"add", "take", 7, 18.5} <= set(rank(run, ["t::a"], workspace).literals)


def test_what_lies_in_another_repository_is_never_suspected(workspace: Workspace):
    (workspace.root / "pkg" / ".git").write_text("gitdir: ../.git/modules/pkg\n")
    run = run_of({"t::a": ("failed", {5})}, {"t::a": "pkg/core.py:7: TypeError"})
    assert not rank(run, ["t::a"], workspace).lines
