"""`fix` with the real llama.cpp in this process. Random weights: calls are forced by a grammar, nothing is mended."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from fix_ground import Ran, contents
from qwencode.agent.budget import Budget
from qwencode.agent.guards import PATIENCE
from qwencode.agent.loop import Agent, Tree
from qwencode.errors import BudgetSpent, ToolError
from qwencode.events import CacheMissed, Event, HistoryRewound, MessageAdded, ReplyFinished, ToolFinished
from qwencode.messages import Message
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options
from qwencode.tools.protocol import ToolResult
from qwencode.tools.schema import tool
from replies import drive


def reads_nothing_twice(events: Sequence[Event]) -> None:
    """Check that each turn reads what is new in it, and no more."""
    turns = [event for event in events if isinstance(event, ReplyFinished | HistoryRewound)]
    for earlier, later in pairwise(turns):
        if isinstance(later, HistoryRewound):
            continue  # the next reply is compared with it
        usage = later.usage
        assert usage.evaluated == usage.prompt - usage.cached
        if isinstance(earlier, ReplyFinished):
            # What the last turn read and wrote is cached, but for the last token of a reply, which nobody had read.
            assert usage.cached >= earlier.usage.prompt
        else:  # taken back by a guard: only its lesson is read
            at = events.index(earlier)
            lesson = next(event.message for event in events[at:] if isinstance(event, MessageAdded))
            assert usage.evaluated <= len(lesson.content.encode()) + 60  # a byte a token at most, and what frames it
    assert not [event for event in events if isinstance(event, CacheMissed)]


@pytest.mark.parametrize("file", ["tiny", pytest.param("tiny_llama", marks=pytest.mark.slow)])
def test_ten_steps_without_an_error_and_without_a_token_read_twice(
    run_small: Callable[..., Ran], small: Path, request: pytest.FixtureRequest, file: str
):
    before = contents(small)
    model = LlamaModel(request.getfixturevalue(file), Fit(context=32_768, threads=1), string_limit=24)
    options = Options(tool_choice="required", max_tokens=400, seed=1)
    ran = run_small(model, use_search=False, max_steps=10, options=options)
    stuck = ran.error is None and ran.outcome is not None and ran.outcome.exit_code == 1
    assert isinstance(ran.error, BudgetSpent) or stuck, ran.error  # now and then the guards give it up before
    assert contents(small) == before
    replies = [event.message for event in ran.of(MessageAdded) if event.message.role == "assistant"]
    assert 5 <= len(replies) <= 10 if stuck else len(replies) == 10
    assert all(reply.tool_calls for reply in replies)
    assert len(ran.of(ToolFinished)) == sum(len(reply.tool_calls) for reply in replies)
    reads_nothing_twice(ran.events)


@pytest.mark.parametrize("file", ["tiny", pytest.param("tiny_llama", marks=pytest.mark.slow)])
def test_what_a_guard_takes_back_costs_its_lesson_alone(request: pytest.FixtureRequest, file: str):
    def look(where: str) -> ToolResult:
        """Look somewhere."""
        raise ToolError("There is nothing to be seen.")

    model = LlamaModel(request.getfixturevalue(file), Fit(context=8192, threads=1), string_limit=24)
    options, tree = Options(tool_choice="required", max_tokens=400, seed=1), Tree(lambda: "as ever", lambda: "")
    agent = Agent(model, {"look": tool(look)}, options, Budget(), tree=tree)
    outcome, events = drive(agent.run([Message("system", "You are careful."), Message("user", "Mend it.")]))
    model.close()
    assert outcome.ended == "stuck"
    assert sum(isinstance(event, HistoryRewound) for event in events) == PATIENCE
    reads_nothing_twice(events)


@pytest.mark.slow
def test_a_second_attempt_reads_the_lesson_and_nothing_before_it(
    run_small: Callable[..., Ran], small: Path, tiny: Path
):
    before = contents(small)
    model = LlamaModel(tiny, Fit(context=32_768, threads=1), string_limit=24)
    options = Options(tool_choice="required", max_tokens=400, seed=1)
    ran = run_small(model, use_search=False, max_steps=4, options=options, attempts=2)
    assert isinstance(ran.error, BudgetSpent), ran.error
    assert contents(small) == before
    (rewound,) = (event for event in ran.of(HistoryRewound) if event.reason.startswith("attempt 2"))
    replies = [event for event in ran.events if isinstance(event, ReplyFinished | HistoryRewound)]
    first, second = replies[0], replies[replies.index(rewound) + 1]
    assert isinstance(first, ReplyFinished) and isinstance(second, ReplyFinished)
    opening = len("<|im_start|>assistant\n<think>\n")  # tokens at most of what opens a reply, and is not shared
    assert second.usage.cached >= first.usage.prompt - opening
    at = ran.events.index(rewound)
    lesson = next(event.message for event in ran.events[at:] if isinstance(event, MessageAdded))
    assert second.usage.evaluated <= len(lesson.content.encode()) + 2 * opening  # a byte a token at most
    assert second.usage.evaluated == second.usage.prompt - second.usage.cached
    assert not ran.of(CacheMissed)
