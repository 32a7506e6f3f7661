"""A context that fills up: what is kept, how often it happens, and that it ends."""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import replace

import pytest

from qwencode.agent import compaction
from qwencode.agent.budget import Budget, Meter
from qwencode.agent.known import Known
from qwencode.agent.loop import Agent, Tree
from qwencode.agent.outcome import Outcome
from qwencode.agent.turns import answer, estimated_tokens, tokens_in
from qwencode.errors import HistoryTooLong, ModelUnavailable
from qwencode.events import (
    ContextFilled,
    Event,
    HistoryRewound,
    MessageAdded,
    Notice,
    PhaseStarted,
    PlanChanged,
    ReplyFinished,
)
from qwencode.messages import Message, Reply, ToolCall, ToolSpec, Usage
from qwencode.model.protocol import Options
from qwencode.model.replay import ReplayModel
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.schema import tool

TASK = [Message("system", "s" * 300), Message("user", "Mend the parser.\n" + "t" * 600)]
SUMMARY = "The cause is in parser.py, line 16: `>` for `>=`."


def tokens(text: str) -> int:
    return len(text) // 3


class Reader:
    """A model that reads one file after the other, counts its tokens as a real one does, and sums up when asked."""

    name = "reader"

    def __init__(
        self, context_length: int = 2_000, summary: Message | None = None, turns: int = 40, room: int = 1_000_000
    ):
        self.context_length = context_length
        self.room = room  # tokens that it really takes
        self.summary = summary or Message("assistant", SUMMARY)
        self.turns = turns
        self.requests: list[tuple[tuple[Message, ...], Options]] = []

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        self.requests.append((tuple(history), options))
        prompt = sum(tokens(message.content) for message in history)
        assert not self.context_length or prompt <= self.context_length, "the history does not fit"
        if prompt > self.room:
            raise HistoryTooLong("The conversation is too long.")
        yield from ()
        if history[-1] == compaction.request():
            return Reply(self.summary, "stop", Usage(prompt, 0, prompt, 30, 1.0))
        self.turns -= 1
        if not self.turns:
            return Reply(Message("assistant", "It is mended."), "stop", Usage(prompt, 0, prompt, 10, 1.0))
        asked = ToolCall(f"c{self.turns}", "look", {"number": self.turns})
        return Reply(Message("assistant", tool_calls=(asked,)), "tool_calls", Usage(prompt, 0, prompt, 20, 1.0))

    def close(self) -> None:
        pass


class Uncounted(Reader):
    """One behind a server that does not say how many tokens that were."""

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        reply = yield from super().stream(history, tools, options)
        return replace(reply, usage=Usage())


def begun(
    model: Reader | ReplayModel, size: int = 500, diff: str = "+mended", still: bool = False
) -> tuple[Generator[Event, None, Outcome], list[Message]]:
    def look(number: int) -> ToolResult:
        """Look at something new."""
        plan = PlanChanged((("find it", "done"), ("mend it", "in_progress")))
        return ToolResult(f"{number}:\n" + "xxxx\n" * (size // 5), "looked", events=(plan,))

    tools: dict[str, Tool] = {"look": tool(look)}
    states = iter([0] * 10_000 if still else range(10_000))
    history = list(TASK)
    agent = Agent(model, tools, Options(), Budget(200), tree=Tree(lambda: str(next(states)), lambda: diff))
    return agent.run(history), history


def drive(
    model: Reader | ReplayModel, size: int = 500, diff: str = "+mended"
) -> tuple[list[Event], Outcome, list[Message]]:
    run, history = begun(model, size, diff)
    events: list[Event] = []
    while True:
        try:
            events.append(next(run))
        except StopIteration as end:
            return events, end.value, history


def test_the_task_stays_word_for_word_and_the_work_goes_on():
    model = Reader()
    events, outcome, history = drive(model)
    assert (outcome.ended, outcome.text) == ("done", "It is mended.")
    rewound = [event for event in events if isinstance(event, HistoryRewound)]
    assert len(rewound) >= 2 and {event.length for event in rewound} == {len(TASK)}
    assert history[: len(TASK)] == TASK
    resumed = history[len(TASK)]
    for part in (SUMMARY, "[x] find it", "[>] mend it", "+mended", "shortened"):
        assert part in resumed.content
    for asked, options in model.requests:
        assert list(asked[: len(TASK)]) == TASK, "the beginning never changes, so it stays in memory"
        assert options.thinking == (len(asked) == len(TASK)) or options.max_tokens < 8192


def test_what_nobody_has_counted_is_estimated():
    events, outcome, _ = drive(Uncounted())
    assert (outcome.ended, outcome.text) == ("done", "It is mended.")
    assert sum(isinstance(event, HistoryRewound) for event in events) >= 2


def test_the_summary_is_one_more_turn_on_what_is_in_memory():
    model = Reader()
    drive(model)
    at = next(n for n, (asked, _) in enumerate(model.requests) if asked[-1] == compaction.request())
    before, (asked, options) = model.requests[at - 1][0], model.requests[at]
    assert asked[: len(before)] == before
    assert not options.thinking and options.max_tokens == 2_000 // 16


def test_every_request_is_seen_by_the_user():
    model = Reader()
    events, _, _ = drive(model)
    assert len(model.requests) == sum(isinstance(event, ReplyFinished) for event in events)


def test_it_is_replayed_from_its_trace():
    events, outcome, history = drive(Reader())
    replayed = ReplayModel([*map(MessageAdded, TASK), *events])
    again, same, later = drive(replayed)
    assert (same.ended, later) == (outcome.ended, history)
    assert [e for e in again if isinstance(e, MessageAdded)] == [e for e in events if isinstance(e, MessageAdded)]


@pytest.mark.parametrize(
    "summary",
    [
        Message("assistant", ""),
        Message("assistant", reasoning="only thoughts"),
        Message("assistant", tool_calls=(ToolCall("1", "look", {"number": 1}),)),
        Message("assistant", "w " * 20_000),
    ],
)
def test_whatever_the_summary_is_it_comes_to_an_end(summary: Message):
    model = Reader(context_length=6_000, summary=summary)
    events, outcome, history = drive(model, size=2_000)
    assert outcome.ended == "done" and history[: len(TASK)] == TASK
    assert any(isinstance(event, HistoryRewound) for event in events)


def test_where_not_even_the_request_fits_the_end_of_the_conversation_is_kept():
    model = Reader(room=1_500, turns=30)  # at the mark of 2,000 tokens, the request is too much for it
    events, outcome, history = drive(model)
    assert outcome.ended == "done" and history[: len(TASK)] == TASK
    resumed = history[len(TASK)].content
    for part in ("No summary could be written", "Its older part is left out", "You: look", "xxxx", "[>] mend it"):
        assert part in resumed
    assert SUMMARY not in resumed
    warned = [event.text for event in events if isinstance(event, Notice)]
    assert warned and set(warned) == {"The conversation is too long to be summed up: its older part is left out."}


def test_a_model_that_finds_it_too_long_sooner_than_was_thought_gets_a_shorter_one():
    model = Reader(context_length=0, room=2_000)
    events, outcome, history = drive(model)
    assert outcome.ended == "done" and history[: len(TASK)] == TASK
    assert outcome.steps == 40, "what was refused is no step"
    assert any(isinstance(event, HistoryRewound) for event in events)


def test_a_task_that_is_too_long_by_itself_is_said_by_the_model():
    with pytest.raises(HistoryTooLong):
        drive(Reader(context_length=0, room=200))


def test_a_server_that_is_gone_is_no_reason_to_forget_anything():
    class Gone(Reader):
        def stream(
            self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
        ) -> Generator[Event, None, Reply]:
            if history[-1] == compaction.request():
                raise ModelUnavailable("No server answers.")
            return (yield from super().stream(history, tools, options))

    run, history = begun(Gone())
    with pytest.raises(ModelUnavailable):
        deque(run, 0)
    assert len(history) > len(TASK) + 2 and history[-1].role == "tool"


def test_what_cannot_be_shortened_ends_the_run():
    _, outcome, history = drive(Reader(), diff="+x\n" * 4_000)
    assert outcome.ended == "full" and history[: len(TASK)] == TASK


def test_an_unknown_context_is_left_alone():
    events, outcome, history = drive(Reader(context_length=0))
    assert outcome.ended == "done" and len(history) == 2 + 2 * 39 + 1
    assert not any(isinstance(event, HistoryRewound) for event in events)


@pytest.mark.parametrize("text", ["3.1415926535 2.7182818284\n" * 400, "猫は座っている。\n" * 1_000])
def test_results_of_digits_and_of_other_scripts_take_more_tokens(text: str):
    def look() -> ToolResult:
        """Look at it."""
        return ToolResult(text, "looked")

    history, tools = [Message("user", "Look.")], {"look": tool(look)}
    deque(answer(tools, history, [ToolCall("1", "look")], Meter(Budget()), room=2_000), 0)
    kept = history[-1].content
    assert "the context is nearly full" in kept
    assert sum(letter.isdigit() or not letter.isascii() for letter in kept) <= 1_000


def test_what_a_server_does_not_count_is_estimated():
    known, history = Known(), [*TASK, Message("assistant", "x" * 300)]
    known.count(history, Reply(history[-1], "stop", Usage()))
    assert known.of(history) == estimated_tokens(history) == 406
    known.count(history, Reply(history[-1], "stop", Usage(700, 0, 700, 100)))
    assert known.of([*history, Message("user", "x" * 30)]) == 810
    known.cut(3)
    assert known.of(history) == 800, "nothing of it is gone"
    known.cut(2)
    assert known.of(history) == 406


def test_tokens_are_rather_too_many():
    assert tokens_in("x" * 30) == 10
    assert tokens_in("0123456789") == 10 and tokens_in("猫は座っている。") == 8
    assert tokens_in("") == 0


def test_results_that_would_fill_the_context_are_cut():
    model = Reader(turns=4)
    events, outcome, _ = drive(model, size=60_000)
    assert outcome.ended == "done"
    results = [event.message for event in events if isinstance(event, MessageAdded) and event.message.role == "tool"]
    assert results and all(len(message.content) < 3_000 for message in results)
    assert all("the context is nearly full" in message.content for message in results)


def test_how_full_it_is_and_what_reading_it_anew_would_take():
    events, _, _ = drive(Reader(context_length=100_000, turns=3))
    fills = [event for event in events if isinstance(event, ContextFilled)]
    assert [event.size for event in fills] == [100_000] * 3
    assert fills[0].tokens < fills[1].tokens < fills[2].tokens
    read = [event.usage for event in events if isinstance(event, ReplyFinished)]
    assert fills[0].seconds == pytest.approx(fills[0].tokens / read[0].evaluated)


def test_what_is_no_longer_in_the_history_may_be_read_again():
    class Forgetful(Reader):
        def stream(
            self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
        ) -> Generator[Event, None, Reply]:
            reply = yield from super().stream(history, tools, options)
            seen = sum(message.role == "assistant" for message in history)
            asked = (ToolCall("c", "look", {"number": seen}),) if reply.message.tool_calls else ()
            return replace(reply, message=replace(reply.message, tool_calls=asked))

    run, history = begun(Forgetful(), still=True)
    rewound = [event for event in run if isinstance(event, HistoryRewound)]
    assert len(rewound) >= 3 and {event.length for event in rewound} == {len(TASK)}
    assert history[-1].content == "It is mended."


def test_wherever_it_is_stopped_the_history_is_as_before_or_whole():
    events, _, _ = drive(Reader())
    first = next(n for n, event in enumerate(events) if isinstance(event, PhaseStarted))
    ways: set[bool] = set()
    before: list[Message] = []
    for stop in range(first + 1, first + 10):
        run, history = begun(Reader())
        for _ in range(stop):
            next(run)
        run.close()
        before = before or list(history)
        ways.add(history == before)
        assert history == before or (history[: len(TASK)] == TASK and SUMMARY in history[len(TASK)].content)
    assert len(before) > 4 and ways == {True, False}


def test_of_a_longer_conversation_the_beginning_and_the_last_question_stay():
    talk = [*TASK, Message("assistant", "a"), Message("user", "b"), Message("assistant", "c"), Message("user", "d")]
    assert compaction.task_of(talk) == [*TASK, Message("user", "d")]
    assert compaction.task_of(TASK) == TASK and compaction.task_of([]) == []
