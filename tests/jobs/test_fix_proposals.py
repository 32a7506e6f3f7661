"""The built-in model beside the search of `fix`: its edits are proven like any other, and search does without it."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fix_ground import SUM, Ran
from qwencode.errors import ModelUnavailable
from qwencode.events import Notice
from qwencode.model.builtin.task import Proposal, Task

MENDED = {"    result = 1": "    result = 0\n    values = [-value for value in values]"}


class Known:
    """Proposes what it was told for a line."""

    def __init__(self) -> None:
        self.closed = 0

    def propose(self, task: Task) -> list[Proposal]:
        return [Proposal(MENDED[task.old], math.log(0.6))] if task.old in MENDED else []

    def score(self, task: Task, news: Sequence[str]) -> list[float]:
        return [-1.0] * len(news)

    def close(self) -> None:
        self.closed += 1


@pytest.mark.slow
def test_what_it_proposes_is_found_and_proven(run_small: Callable[..., Ran], small: Path):
    known = Known()
    ran = run_small(proposer=lambda: known)
    assert ran.outcome and ran.outcome.verdict and ran.outcome.verdict.status == "fixed"
    assert "values = [-value for value in values]" in (small / SUM).read_text()
    assert known.closed == 1


@pytest.mark.slow
def test_where_it_cannot_be_opened_search_goes_on(run_small: Callable[..., Ran], small: Path):
    def broken() -> Known:
        raise ModelUnavailable("llama.cpp cannot be loaded.")

    before = (small / SUM).read_text()
    ran = run_small(proposer=broken)
    assert [notice.level for notice in ran.of(Notice) if "llama.cpp cannot be loaded" in notice.text] == ["warning"]
    assert ran.outcome and ran.outcome.exit_code == ModelUnavailable.exit_code
    assert (small / SUM).read_text() == before
