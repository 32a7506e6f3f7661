"""The built-in model in `fix`: short conversations in one form, each edit tested at once. Models here are policies."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fix_ground import SUM, SUM_TESTS, SUM_TEXT, Ran, contents
from qwencode.errors import BudgetSpent, ModelUnavailable
from qwencode.events import HistoryRewound, MessageAdded, Notice, ThinkingDecided, ToolFinished, VerdictReached
from qwencode.messages import Message
from qwencode.model.builtin.prompt import DONE, FAILED, MARK, PASSED
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options
from qwencode.model.replay import ReplayModel
from qwencode.model.scripted import ScriptedModel, call
from qwencode.session import Session

RunFix = Callable[..., Ran]
Policy = Callable[[Sequence[Message]], "Message | str"]
ONE_FAULT = SUM_TEXT.replace("= 1", "= 0")
MINUS, PLUS = "        result -= value", "        result += value"


def edit(old: str, new: str, file: str = SUM) -> Message:
    return call("edit", file_path=file, old_string=old, new_string=new)


def second_time_right(history: Sequence[Message]) -> Message | str:
    """Undo the fault after a first try that failed."""
    if history[-1].content == PASSED:
        return DONE
    return edit(MINUS, PLUS) if len(history) > 1 else edit(MINUS, "        result *= value")


def hopeless(history: Sequence[Message]) -> Message | str:
    return edit(MINUS, f"        result = -{len(history)}")


def model_of(policy: Policy, turns: int = 400) -> ScriptedModel:
    return ScriptedModel([policy] * turns)


@pytest.fixture
def mend(run_small: RunFix, small: Path) -> RunFix:
    """Run `fix` with a model of lines alone, on the sum with one of its faults."""
    (small / SUM).write_text(ONE_FAULT)
    return lambda model, **more: run_small(model, **{"use_search": False, "lines": True, "max_steps": 0, **more})


def messages(ran: Ran) -> list[Message]:
    return [event.message for event in ran.of(MessageAdded)]


def verdict_of(ran: Ran) -> VerdictReached:
    assert ran.error is None, ran.error
    return ran.of(VerdictReached)[-1]


def test_a_failed_try_and_a_second_one_that_mends(mend: RunFix, small: Path):
    model = model_of(second_time_right)
    ran = mend(model)
    verdict = verdict_of(ran)
    assert (verdict.status, verdict.by) == ("fixed", "the built-in model")
    assert (small / SUM).read_text() == ONE_FAULT.replace("-=", "+=")
    roles = ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert [message.role for message in messages(ran)] == roles
    first, _, refused, _, passed, last = messages(ran)
    assert first.content.startswith(f"# {SUM}\n")
    assert "E AssertionError: -3 != 3" in first.content
    assert MARK in first.content
    assert refused.content == f"{FAILED}\n> self.assertEqual(total([1, 2]), 3)\nE AssertionError: 0 != 3"
    assert (passed.content, last.content) == (PASSED, DONE)


def test_it_is_asked_in_its_own_way(mend: RunFix):
    model = model_of(second_time_right)
    ran = mend(model, options=Options(thinking=True, seed=5))
    asked = [options for _, _, options in model.requests]
    assert [options.tool_choice for options in asked] == ["required", "required", "auto"]
    assert not any(options.thinking for options in asked)
    assert [options.seed for options in asked] == [5, 6, 7]
    assert all([tool.name for tool in tools] == ["edit"] for _, tools, _ in model.requests)
    assert all(history[0].role == "user" for history, _, _ in model.requests)
    assert [event.on for event in ran.of(ThinkingDecided)] == [False]


def test_it_goes_elsewhere_after_two_tries(mend: RunFix, small: Path):
    before = contents(small)
    model = model_of(hopeless)
    ran = mend(model)
    verdict = verdict_of(ran)
    assert verdict.status == "not_fixed"
    assert "the built-in model found no edit" in verdict.reason
    assert ran.outcome and ran.outcome.exit_code == 1
    assert contents(small) == before
    lengths = [len(history) for history, _, _ in model.requests]
    assert lengths[:4] == [1, 3, 1, 3]
    rewound = ran.of(HistoryRewound)
    assert all(event.length == 0 and SUM in event.reason for event in rewound)
    marked = {message.content for message in messages(ran) if message.role == "user"}
    assert len(marked) > 3, "the marks vary"
    finished = ran.of(ToolFinished)
    assert sum("taken back" in event.summary for event in finished) == 2
    assert sum("tried before" in event.summary for event in finished) == len(finished) - 2


def test_answers_that_fit_nowhere(mend: RunFix, small: Path):
    wrong = [
        edit(MINUS, PLUS, "elsewhere.py"),
        edit("    def test_some(self):", "    def no_test(self):", "tests/test_total.py"),
        edit("        result -= values", PLUS),
        call("edit", file_path=SUM),
        call("run_tests"),
        "I would rather talk.",
    ]
    before = contents(small)
    ran = mend(ScriptedModel([*wrong, second_time_right, second_time_right, second_time_right, second_time_right]))
    assert verdict_of(ran).status == "fixed"
    assert contents(small).keys() == before.keys()
    assert {name for name in before if contents(small)[name] != before[name]} == {SUM}
    assert [event.ok for event in ran.of(ToolFinished)][:5] == [False] * 5


def test_steps_and_time_are_a_budget(mend: RunFix, small: Path):
    before = contents(small)
    model = model_of(hopeless)
    ran = mend(model, max_steps=3)
    assert isinstance(ran.error, BudgetSpent)
    assert "3 steps" in str(ran.error)
    assert len(model.requests) == 3
    assert contents(small) == before


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_closing_it_at_any_moment_puts_everything_back(mend: RunFix, small: Path, answers: int):
    before, seen = contents(small), [0]

    def stop(event: object) -> bool:
        seen[0] += isinstance(event, ToolFinished)
        return isinstance(event, MessageAdded) and seen[0] == answers

    assert mend(model_of(hopeless), stop_at=stop).outcome is None
    assert contents(small) == before


def test_an_interruption_in_the_middle_of_the_tests(mend: RunFix, small: Path):
    before = contents(small)

    def impatient(history: Sequence[Message]) -> Message:
        if len(history) > 1:
            raise KeyboardInterrupt
        return edit(MINUS, "        result = 7")

    with pytest.raises(KeyboardInterrupt):
        mend(model_of(impatient))
    assert contents(small) == before


@pytest.mark.parametrize("asked_for", [True, False])
def test_one_that_goes_away_after_the_repair_takes_nothing_with_it(mend: RunFix, small: Path, asked_for: bool):
    ran = mend(model_of(second_time_right, 2), asked_for=asked_for)
    assert (verdict_of(ran).status, verdict_of(ran).by) == ("fixed", "the built-in model")
    assert (small / SUM).read_text() == ONE_FAULT.replace("-=", "+=")
    assert any("could not go on: The script" in event.text for event in ran.of(Notice))


def test_one_that_goes_away_before_is_an_error_only_where_it_was_asked_for(mend: RunFix, small: Path):
    before = contents(small)
    assert isinstance(mend(model_of(second_time_right, 1)).error, ModelUnavailable)
    filling_in = mend(model_of(second_time_right, 1), asked_for=False)
    assert verdict_of(filling_in).status == "not_fixed"
    assert contents(small) == before


def test_what_the_user_saves_meanwhile_is_kept(mend: RunFix, small: Path):
    before = contents(small)

    def saving(history: Sequence[Message]) -> Message:
        (small / SUM).write_text(ONE_FAULT + "# Mine.\n")
        return edit(MINUS, "        result = 7")

    ran = mend(ScriptedModel([saving]), max_steps=1)
    assert isinstance(ran.error, BudgetSpent)
    assert "you or a test: total.py" in ran.of(Notice)[-1].text
    assert contents(small) == before


@pytest.mark.slow
def test_windows_line_endings_stay(mend: RunFix, small: Path):
    (small / SUM).write_bytes(ONE_FAULT.replace("\n", "\r\n").encode())
    assert verdict_of(mend(model_of(second_time_right))).status == "fixed"
    assert (small / SUM).read_bytes() == ONE_FAULT.replace("-=", "+=").replace("\n", "\r\n").encode()


@pytest.mark.slow
def test_search_comes_first_and_is_enough(mend: RunFix):
    model = model_of(hopeless)
    ran = mend(model, use_search=True)
    assert verdict_of(ran).status == "fixed"
    assert verdict_of(ran).by.startswith("search")
    assert not model.requests


@pytest.mark.slow
def test_it_fills_in_where_nobody_asked_for_it(run_small: RunFix, small: Path):
    """Both faults at once are beyond it: then the advice follows, and the exit code says what is lacking."""
    model = model_of(hopeless)
    ran = run_small(model, lines=True, asked_for=False, max_steps=4)
    verdict = verdict_of(ran)
    assert verdict.status == "not_fixed"
    assert verdict.reason.startswith("Not fixed: search and the built-in model found no edit")
    assert ran.outcome and ran.outcome.exit_code == ModelUnavailable.exit_code
    said = [event.text for event in ran.of(Notice)]
    assert "The built-in model (4.5 M parameters; single lines of Python) tries edits." in said
    assert said[-1] == "Get a model."
    assert model.requests


@pytest.mark.slow
def test_one_that_cannot_be_opened_is_no_obstacle_where_nobody_asked_for_it(run_small: RunFix):
    def broken() -> LlamaModel:
        raise ModelUnavailable("llama.cpp cannot be loaded.")

    ran = run_small(opener=broken, lines=True, asked_for=False)
    assert verdict_of(ran).reason.endswith("and no model was used.")
    assert any("was not tried: llama.cpp" in event.text for event in ran.of(Notice))
    asked = run_small(opener=broken, lines=True, use_search=False)
    assert isinstance(asked.error, ModelUnavailable)


@pytest.mark.parametrize("asked_for", [True, False])
def test_where_no_python_fails_it_is_not_used(run_fix: RunFix, repository: Path, asked_for: bool):
    (repository / "check").write_text("#!/bin/sh\nexit 1\n")
    (repository / "check").chmod(0o755)
    model = model_of(hopeless)
    ran = run_fix(repository, model, test="./check", lines=True, asked_for=asked_for, use_search=not asked_for)
    assert verdict_of(ran).status == "not_fixed"
    assert not model.requests
    said = " ".join(event.text for event in ran.of(Notice)) + verdict_of(ran).reason
    assert ("can be shown to the built-in model" in said) == asked_for
    assert ("no model was used" in said) == (not asked_for)


def test_a_goal_in_words_is_not_for_it(run_small: RunFix, small: Path):
    (small / SUM).write_text(SUM_TEXT.replace("= 1", "= 0").replace("-=", "+="))
    ran = run_small(model_of(hopeless), goal="Make it nicer.", lines=True)
    assert isinstance(ran.error, ModelUnavailable)
    assert "single lines" in str(ran.error)


@pytest.mark.slow
def test_a_recorded_run_replays(mend: RunFix, small: Path, tmp_path: Path):
    first = mend(model_of(second_time_right))
    with Session(tmp_path, "recorded") as session:
        for event in first.events:
            session.record(event)
    (small / SUM).write_text(ONE_FAULT)
    again = mend(ReplayModel(tmp_path / "recorded.jsonl"))
    assert verdict_of(again).status == "fixed"
    assert [message.content for message in messages(again)][-2:] == [PASSED, DONE]


@pytest.mark.slow
def test_with_real_inference_and_random_weights(mend: RunFix, small: Path, lined: Path):
    before = contents(small)
    model = LlamaModel(lined, Fit(context=4096, threads=1), string_limit=24)
    ran = mend(model, max_steps=12)
    assert isinstance(ran.error, BudgetSpent), ran.error
    assert contents(small) == before
    replies = [message for message in messages(ran) if message.role == "assistant"]
    assert len(replies) == 12
    assert all([call.name for call in reply.tool_calls] == ["edit"] for reply in replies)
    assert not any(call.problem for reply in replies for call in reply.tool_calls)
    assert not any(event.ok for event in ran.of(ToolFinished))


def test_the_material_holds_what_these_tests_speak_of():
    assert MINUS in ONE_FAULT.splitlines()
    assert "total([1, 2]), 3" in SUM_TESTS
