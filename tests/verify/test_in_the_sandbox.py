"""Baseline and verdict on the practice repositories, inside the real sandbox, with the reference repair of each."""

import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from qwencode import practice
from qwencode.errors import SandboxUnavailable
from qwencode.sandbox.ladder import open_rung
from qwencode.verify.baseline import take
from qwencode.verify.commands import discover
from qwencode.verify.verdict import prove
from qwencode.workspace import Workspace


def last(steps: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.slow
@pytest.mark.parametrize("rung", ["bubblewrap", "landlock"])
@pytest.mark.parametrize("name", practice.names())
def test_the_reference_repair_is_a_fix(name: str, rung: Any, tmp_path: Path):
    task = practice.task(name)
    root = practice.copy(name, tmp_path / name)
    workspace = Workspace(root)
    try:
        sandbox = open_rung(rung, root)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    try:
        command = discover(workspace, " ".join(task.test))
        baseline = last(take(workspace, sandbox, command, seconds=120, coverage=task.language == "python"))
        names = [test.rpartition(" > ")[2] if task.language == "javascript" else test for test in baseline.goal]
        assert sorted(names) == sorted(task.failing)
        assert len(baseline.run.results) == task.tests
        assert (baseline.flaky, baseline.blocked, baseline.run.replaced) == ((), (), ())
        if task.language == "python":
            assert any(task.file in baseline.run.coverage[test] for test in baseline.goal)
        status = ["git", "-C", str(root), "status", "--porcelain", "--ignored"]
        assert subprocess.run(status, capture_output=True, text=True, check=True).stdout == "", "no litter"
        subprocess.run(["git", "-C", str(root), "apply"], input=task.solution, text=True, check=True)
        verdict = last(
            prove(workspace, sandbox, baseline, goal_text=False, by="x", allow_test_changes=False, seconds=120)
        )[0]
        assert verdict.status == "fixed", verdict.reason
        assert verdict.passing_after == task.tests - sum(
            result.outcome == "skipped" for result in baseline.run.results.values()
        )
    finally:
        sandbox.close()
