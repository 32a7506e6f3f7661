"""What is forced into a reply, and when a model goes round in circles."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.events import CallDelta, TextDelta, ThinkingDelta
from qwencode.messages import ToolSpec
from qwencode.model.llama.library import Engine
from qwencode.model.llama.steering import Steering
from qwencode.model.llama.writer import Writer
from qwencode.model.protocol import Options
from qwencode.model.repetition import Repetition

TOOL = ToolSpec("stop", "Stop.", {"type": "object", "properties": {}})


class Reply:
    """A reply into which texts are written, with whatever is forced between them."""

    def __init__(self, engine: Engine, options: Options, room: int = 4000, required: bool = False):
        self.engine = engine
        self.writer = Writer(engine, [TOOL], options.thinking, 1)
        self.steering = Steering(engine.tokenize, options, room, required)

    def take(self, tokens: list[int]) -> None:
        self.writer.take(tokens)
        self.steering.took(tokens, self.writer)

    def write(self, text: str) -> str:
        """Write a text token by token until something is forced; return that, as text."""
        for token in self.engine.tokenize(text, True):
            if forced := self.steering.forced(self.writer):
                self.take(forced)
                return b"".join(self.engine.piece(token, special=True) for token in forced).decode()
            self.take([token])
        return ""


def thoughts(count: int) -> str:
    return "\n".join(f"Line {number * 7919 % 1000} of {number * 104729 % 977}." for number in range(count))


def test_a_budget_warns_at_its_mark_and_then_closes(engine: Engine) -> None:
    reply = Reply(engine, Options(thinking=True, thinking_budget=400))
    warning = reply.write(thoughts(400))
    assert "decision" in warning and "</think>" not in warning
    warned_at = len(reply.writer.ids)
    assert 0.8 * 400 <= warned_at < 400 + 60
    assert reply.writer.thinking
    closing = reply.write(thoughts(400))
    assert closing.endswith("</think>\n\n") and "used up" in closing
    assert not reply.writer.thinking
    assert reply.write(thoughts(50)) == ""
    message, _ = reply.writer.finish()
    assert warning.strip() in message.reasoning
    assert "used up" in message.reasoning
    assert message.content.startswith("Line 0")


def test_the_warning_does_not_cut_a_line(engine: Engine) -> None:
    reply = Reply(engine, Options(thinking=True, thinking_budget=300))
    closing = reply.write("One long line of thought without an end " * 60)
    assert closing.startswith("\n\n") and closing.endswith("</think>\n\n")


@pytest.mark.parametrize("budget", [1, 10, 40])
def test_a_small_budget_closes_without_a_word(engine: Engine, budget: int) -> None:
    reply = Reply(engine, Options(thinking=True, thinking_budget=budget))
    assert reply.write(thoughts(40)) == "\n</think>\n\n"
    assert len(reply.writer.ids) <= budget + 8


def test_without_a_budget_thinking_may_fill_the_room(engine: Engine) -> None:
    reply = Reply(engine, Options(thinking=True), room=5000)
    assert reply.write(thoughts(100)) == ""


def test_thinking_in_circles_is_closed(engine: Engine) -> None:
    reply = Reply(engine, Options(thinking=True), room=20_000)
    reply.write(thoughts(20))
    closing = reply.write("Wait, the list may be empty. Let me look at it again.\n" * 60)
    assert closing.endswith("</think>\n\n") and "repeating" in closing
    assert not reply.steering.repeats
    assert reply.write(thoughts(20)) == ""


def test_a_text_in_circles_ends_the_reply_and_a_call_does_not(engine: Engine) -> None:
    reply = Reply(engine, Options())
    reply.write("I will fix it. " * 80)
    assert reply.steering.repeats
    table = Reply(engine, Options())
    table.write("<tool_call>\n<function=stop>\n<parameter=x>\n" + "| 1 | 2 | 3 |\n" * 80)
    assert table.writer.calling
    assert not table.steering.repeats


def test_a_required_call_is_begun(engine: Engine) -> None:
    plain = Reply(engine, Options(), required=True)
    assert plain.write("x") == "<tool_call>"
    assert plain.write("\n<function=stop>\n") == ""
    thinking = Reply(engine, Options(thinking=True), room=400, required=True)
    assert thinking.write(thoughts(400)).endswith("</think>\n\n")
    assert thinking.write("x") == "<tool_call>"


def test_events_are_those_of_any_reply(engine: Engine) -> None:
    writer = Writer(engine, [TOOL], True, 1)
    events = writer.take(engine.tokenize("Hm.\n</think>\n\nSo.<tool_call>\n<function=stop>\n", True))
    kinds = [type(event) for event in events]
    assert list(dict.fromkeys(kinds)) == [ThinkingDelta, TextDelta, CallDelta]


def circles(tokens: list[int]) -> int:
    """Return after how many tokens a circle is found; 0: never."""
    watch = Repetition()
    for number, token in enumerate(tokens, 1):
        watch.push([token])
        if watch.found:
            return number
    return 0


@pytest.mark.parametrize("period", [1, 2, 7, 30, 100, 300])
def test_any_period_is_found_within_its_fifth_round(period: int) -> None:
    loop = [1000 + at for at in range(period)]
    found = circles([*range(200), *loop * (5 + 400 // period)])
    assert 0 < found - 200 <= 4 * period + 180


def test_the_same_thoughts_in_changing_order_are_found() -> None:
    chance = random.Random(1)
    thoughts = [[number * 100 + at for at in range(25)] for number in range(4)]
    said = [token for _ in range(60) for token in chance.choice(thoughts)]
    assert 0 < circles(said) < 1500


def test_what_is_quoted_a_few_times_is_no_circle() -> None:
    file = [at * 31 % 997 for at in range(600)]
    assert circles([*file, 1, 2, 3, *file, 4, 5, *file]) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=400))
def test_short_texts_are_never_circles(tokens: list[int]) -> None:
    assert len(tokens) >= 160 + 12 or not circles(tokens)
