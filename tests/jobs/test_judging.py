"""Several edits pass: a model that can say how likely texts are puts them in order, where that is cheap."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from fix_ground import SUM, SUM_TEXT, Ran, contents
from qwencode.errors import ModelUnavailable
from qwencode.events import Event, MessageAdded, Notice, PhaseStarted, SearchFinished, Suspect
from qwencode.jobs.ground import Ground
from qwencode.jobs.judging import JUDGING_SECONDS, Judging, stated
from qwencode.messages import Message, ToolSpec
from qwencode.model.protocol import Judges, Likelihood, Model
from qwencode.model.scripted import ScriptedModel
from qwencode.repair.localise import Ranking
from qwencode.repair.search import Patch
from qwencode.tools.toolbox import declarations
from qwencode.verify.results import Baseline, TestCommand, TestResult, TestRun
from qwencode.workspace import Workspace
from replies import drive


class Judge(ScriptedModel):
    """Says of each further text that it is likelier, and keeps what it was asked."""

    def __init__(self, error: str = ""):
        super().__init__([])
        self.asked: list[tuple[Sequence[Message], Sequence[ToolSpec], Sequence[str]]] = []
        self.error, self.closed = error, 0

    def likelihoods(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], texts: Sequence[str]
    ) -> Generator[Event, None, list[Likelihood]]:
        if self.error:
            raise ModelUnavailable(self.error)
        self.asked.append((tuple(history), tuple(tools), tuple(texts)))
        yield Notice("thinking about it")
        return [Likelihood(number - 100.0, 10) for number, _ in enumerate(texts)]

    def close(self) -> None:
        self.closed += 1


ZERO, PLUS, SPACED = (
    Patch(SUM, SUM_TEXT, SUM_TEXT.replace(old, new), f"{old} → {new}", 0.5)
    for old, new in (("= 1", "= 0"), ("-=", "+="), ("= 1", "=  (0)"))
)
TEST = "tests.test_total.TotalTest.test_none"


@pytest.fixture
def order(small: Path) -> Callable[..., tuple[list[Patch], list[Event], list[str]]]:
    """Order patches with a model that is loaded, or that takes so many seconds to load; tells also what was opened."""
    run = TestRun("ran", {TEST: TestResult(TEST, "failed", message="AssertionError: 1 != 0")}, "", 0.1)
    baseline = Baseline(TestCommand(("python3", "-m", "unittest"), "unittest", "it is there", small), run, (), {})
    ranking = Ranking((Suspect(SUM, 2, "total", 1.0),), {SUM: {2: 1.0}}, {SUM: SUM_TEXT})

    def ordered(
        patches: Sequence[Patch], loaded: Model | None = None, other: Model | None = None, seconds: float | None = None
    ) -> tuple[list[Patch], list[Event], list[str]]:
        opened: list[str] = []

        def opening() -> Generator[Event, None, Model]:
            opened.append("model")
            yield PhaseStarted("model")
            assert other is not None
            return other

        ground = Ground(Workspace.find(small), cast("Any", None), cast("Any", None), cast("Any", None))
        time = None if seconds is None else lambda tokens: seconds if tokens > 1_500 else 0.0
        judging = Judging(ground, "", lambda: loaded, opening, time)
        found, events = drive(judging.order(baseline, ranking, patches))
        return list(found), events, opened

    return ordered


def test_the_likeliest_comes_first(order: Callable[..., Any]):
    judge = Judge()
    found, events, opened = order([ZERO, PLUS], judge)
    assert found == [PLUS, ZERO]
    ((history, tools, texts),) = judge.asked
    assert [message.role for message in history] == ["system", "user"]
    assert TEST in history[1].content and "def total(values):" in history[1].content
    assert list(tools) == declarations(), "it begins as every run does, so that part is in memory already"
    assert texts == (stated(ZERO), stated(PLUS))
    assert not opened
    assert any(
        "the model finds this one likeliest: -= → +=" in event.text for event in events if isinstance(event, Notice)
    )


def test_an_edit_is_stated_with_its_place():
    assert stated(PLUS) == (
        "The fault is in total.py, line 4:\n```python\n        result -= value\n```\n"
        "It should be:\n```python\n        result += value\n```"
    )


@pytest.mark.parametrize("patches", [[], [ZERO], [ZERO, SPACED]], ids=["none", "one", "only the form differs"])
def test_where_there_is_nothing_to_choose_nobody_is_asked(order: Callable[..., Any], patches: list[Patch]):
    judge = Judge()
    found, events, opened = order(patches, judge, Judge(), 0.1)
    assert (found, events, judge.asked, opened) == (patches, [], [], [])


@pytest.mark.parametrize(("seconds", "loads"), [(JUDGING_SECONDS, True), (JUDGING_SECONDS + 1, False), (None, False)])
def test_it_is_loaded_for_this_only_where_that_is_soon_done(
    order: Callable[..., Any], seconds: float | None, loads: bool
):
    found, _, opened = order([ZERO, PLUS], None, Judge(), seconds)
    assert bool(opened) == loads
    assert found == ([PLUS, ZERO] if loads else [ZERO, PLUS])


def test_a_model_that_cannot_say_leaves_the_order(order: Callable[..., Any]):
    assert not isinstance(ScriptedModel([]), Judges)
    assert order([ZERO, PLUS], ScriptedModel([]))[0] == [ZERO, PLUS]
    found, events, _ = order([ZERO, PLUS], Judge("The context is too small."))
    assert found == [ZERO, PLUS]
    assert [event.level for event in events if isinstance(event, Notice)] == ["warning"]


@pytest.mark.slow
def test_in_a_whole_run_the_edit_that_the_model_prefers_is_kept(run_small: Callable[..., Ran], small: Path):
    (small / SUM).write_text(SUM_TEXT.replace("= 1", "= 0"))
    judge = Judge()
    ran = run_small(judge, seconds_to_read=lambda tokens: 1.0)
    assert ran.outcome and ran.outcome.verdict and ran.outcome.verdict.status == "fixed"
    (searched,) = ran.of(SearchFinished)
    assert len(searched.diffs) > 1, "more than one edit passes"
    ((_, _, texts),) = judge.asked
    assert len(texts) == len(searched.diffs)
    kept = (small / SUM).read_text()
    assert stated(Patch(SUM, SUM_TEXT.replace("= 1", "= 0"), kept, "", 0.0)) == texts[-1]
    assert judge.closed == 1 and not judge.requests
    assert not ran.of(MessageAdded), "nothing was said to the model"


@pytest.mark.slow
def test_a_model_that_takes_long_to_load_is_not_loaded(run_small: Callable[..., Ran], small: Path):
    (small / SUM).write_text(SUM_TEXT.replace("= 1", "= 0"))
    before = contents(small)
    judge = Judge()
    ran = run_small(judge, seconds_to_read=lambda tokens: 60.0)
    assert ran.outcome and ran.outcome.exit_code == 0
    assert contents(small) != before
    assert not judge.asked and not judge.closed
