"""Why tokens are evaluated again, in the real engine."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from qwencode.events import CacheMissed, Event
from qwencode.messages import Message, ToolSpec
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options
from replies import drive

SYSTEM = Message("system", "You are terse.")
TOOL = ToolSpec("stop", "Stop.", {"type": "object", "properties": {}})
SHORT = Options(max_tokens=12, seed=1)


@pytest.fixture
def model(tiny: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(tiny, Fit(context=4096, threads=1, batch=64))
    yield model
    model.close()


def ask(model: LlamaModel, history: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> tuple[Message, list[Event]]:
    reply, events = drive(model.stream(history, tools, SHORT))
    return reply.message, [event for event in events if isinstance(event, CacheMissed)]


def conversation(model: LlamaModel) -> list[Message]:
    history = [SYSTEM, Message("user", "Begin.")]
    for turn in range(4):
        reply, missed = ask(model, history)
        assert not missed
        history += [reply, Message("user", f"Part {turn}.")]
    assert not ask(model, history)[1]
    return history


def test_growing_and_asking_again_miss_nothing(model: LlamaModel) -> None:
    history = conversation(model)
    assert not ask(model, history)[1]
    other = [*history[:-1], Message("user", "Something else.")]
    assert not ask(model, other)[1]  # the last message only: nothing that was evaluated is evaluated again


def test_going_on_from_an_earlier_place_is_no_miss(model: LlamaModel) -> None:
    history = conversation(model)
    for kept in (4, 2, 1):  # ever further back, the last time to the system message alone
        assert not ask(model, [*history[:kept], Message("user", f"Another way from {kept}.")])[1]


def test_an_edited_message_is_named(model: LlamaModel) -> None:
    history = conversation(model)
    edited = [*history[:3], replace(history[3], content="Edited."), *history[4:]]
    _, (missed,) = ask(model, edited)
    assert isinstance(missed, CacheMissed)
    assert (missed.number, missed.reason) == (2, "message 2 was edited")  # the system message is not counted
    prompt = model._transcript.prompt(edited, [], False)
    assert prompt.stops[2] <= missed.token < prompt.stops[3]
    assert missed.again == 0  # there is a checkpoint after each message


def test_the_prefix_is_named(model: LlamaModel) -> None:
    history = conversation(model)
    _, (missed,) = ask(model, [Message("system", "You are verbose."), *history[1:]])
    assert (missed.number, missed.reason) == (-1, "the system prompt changed")
    _, (missed,) = ask(model, [Message("system", "You are verbose."), *history[1:]], [TOOL])
    assert (missed.number, missed.reason) == (-1, "the tools changed")
    assert missed.again == 0


def test_cut_back_further_than_a_checkpoint(tiny: Path) -> None:
    model = LlamaModel(tiny, Fit(context=4096, threads=1, batch=64, checkpoint_bytes=1))
    history = conversation(model)
    _, (missed,) = ask(model, history[:4])
    assert missed.reason == "the history was cut back to 3 messages"
    assert missed.again > 0
    assert not ask(model, history[:4])[1]
    model.close()


def test_a_stopped_reply_is_no_miss_as_long_as_a_checkpoint_is_there(model: LlamaModel) -> None:
    history = conversation(model)
    stream = model.stream(history, [], replace(SHORT, max_tokens=400))
    for _ in range(3):
        next(stream)
    stream.close()
    assert not ask(model, [*history, Message("assistant", "Cut."), Message("user", "On.")])[1]
