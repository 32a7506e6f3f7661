"""Practice repositories that the built-in model mended through the loop, with what it wrote then; all else is real."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fix_ground import Ran
from qwencode import practice
from qwencode.model.replay import ReplayModel

RECORDED = Path(__file__).parent / "recorded"


def dotted(test: str) -> str:
    """Return the id of a test as unittest and pytest alike would have it."""
    return test.replace(".py::", ".").replace("::", ".").replace("/", ".")


@pytest.mark.slow
@pytest.mark.timeout(600)  # one of them tries 165 edits
@pytest.mark.parametrize("trace", sorted(RECORDED.glob("*.jsonl")), ids=lambda path: path.stem)
def test_what_it_mended_it_mends_again(
    trace: Path, practice_copy: Callable[[str], Path], run_fix: Callable[..., Ran]
) -> None:
    task = practice.task(trace.stem)
    ran = run_fix(practice_copy(trace.stem), ReplayModel(trace), lines=True, use_search=False, max_steps=0)
    assert ran.error is None and ran.outcome and ran.outcome.verdict
    verdict = ran.outcome.verdict
    assert verdict.status == "fixed" and verdict.by == "the built-in model"
    assert {dotted(row.test) for row in verdict.proof} >= set(map(dotted, task.failing))
    assert not any("test" in file for file in verdict.changed_files)
