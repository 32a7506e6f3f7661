"""The whole engine on a real file: nothing is evaluated twice, nothing changes what the model would have said."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation import SHORT, START, TOLERANCE, TOOLS, answer, stepped
from qwencode.messages import Message, ToolSpec
from qwencode.model.llama.draft import Pace
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.state import LiveState
from qwencode.model.protocol import Model, Options
from replies import drive


def test_it_is_a_model(model: Model, tiny: Path) -> None:
    assert model.name == tiny.stem
    assert model.context_length == 4096


@pytest.mark.parametrize("tools", [[], TOOLS], ids=["plain", "forced calls"])
@pytest.mark.parametrize("thinking", [False, True], ids=["fast", "thinking"])
def test_ten_turns_evaluate_exactly_the_new_tokens(model: LlamaModel, tools: list[ToolSpec], thinking: bool) -> None:
    history = START
    choice = "required" if tools else "auto"
    live = 0  # tokens that the model has seen
    for turn in range(10):
        options = Options(thinking, 8, 900 if tools else 24, choice, seed=turn)
        reply, _ = drive(model.stream(history, tools, options))
        usage = reply.usage
        assert usage.cached == live
        assert usage.evaluated == usage.prompt - live
        assert [call.problem for call in reply.message.tool_calls] == ([""] if tools else [])
        live = len(model._live.tokens)
        forced = 5 if thinking else 2  # tokens that were set and not drawn wait for the next turn
        last = int(reply.finish == "length")  # it was drawn, and nothing after it; <|endoftext|> is no part of a reply
        assert usage.prompt + usage.generated - 1 - forced <= live <= usage.prompt + usage.generated - last
        history = [*history, *answer(reply), *([] if tools else [Message("user", f"Turn {turn}.")])]


def test_retrying_the_last_turn_evaluates_nothing(model: LlamaModel) -> None:
    first, _ = drive(model.stream(START, TOOLS, SHORT))
    again, _ = drive(model.stream(START, TOOLS, SHORT))
    assert again.usage.evaluated == 0
    assert again.usage.cached == first.usage.prompt
    assert again.message == first.message
    other, _ = drive(model.stream(START, TOOLS, replace(SHORT, seed=6)))
    assert other.usage.evaluated == 0
    assert other.message != first.message
    undecided, _ = drive(model.stream(START, TOOLS, replace(SHORT, seed=None)))
    replayed, _ = drive(model.stream(START, TOOLS, replace(SHORT, seed=undecided.seed)))
    assert replayed.message == undecided.message


def test_thinking_costs_the_opening_only(model: LlamaModel) -> None:
    drive(model.stream(START, TOOLS, SHORT))
    opening = len(model._engine.tokenize("<|im_start|>assistant\n<think>\n", special=True))
    for thinking in (True, True, False):
        reply, _ = drive(model.stream(START, TOOLS, replace(SHORT, thinking=thinking)))
        assert reply.usage.evaluated <= opening + 3
    closed = len(model._engine.tokenize("<|im_start|>assistant\n<think>\n\n</think>\n\n", special=True))
    assert reply.usage.evaluated == closed


def test_an_edited_past_evaluates_from_the_nearest_place(model: LlamaModel) -> None:
    history = START
    for turn in range(4):
        reply, _ = drive(model.stream(history, [], replace(SHORT, seed=turn)))
        history = [*history, reply.message, Message("user", f"Go on with part {turn}.")]
    drive(model.stream(history, [], SHORT))
    prompt = model._transcript.prompt(history, [], False)
    for place in (6, 4, 2):  # the third, second and first of the user's later messages
        edited = [*history[:place], Message(history[place].role, "Something else."), *history[place + 1 :]]
        reply, _ = drive(model.stream(edited, [], SHORT))
        assert reply.usage.cached == prompt.stops[place - 1]  # after the message before; stops count from the prefix
    other, _ = drive(model.stream([Message("system", "You are verbose."), *history[1:]], [], SHORT))
    assert other.usage.cached == 0


def test_undo_and_fork_pay_for_what_differs_only(model: LlamaModel) -> None:
    first, _ = drive(model.stream(START, [], SHORT))
    branch = [*START, first.message, Message("user", "Left.")]
    drive(model.stream(branch, [], SHORT))
    right = [*START, first.message, Message("user", "Right, then.")]
    reply, _ = drive(model.stream(right, [], SHORT))
    kept = model._transcript.prompt([*START, first.message], [], False).stops[-1]
    assert reply.usage.cached == kept
    undone, _ = drive(model.stream(START, [], SHORT))
    opening = model._transcript.prompt(START, [], False)
    assert undone.usage.evaluated <= len(opening.tokens) - opening.stops[-1]
    assert undone.message == first.message


class Recording:
    """An engine that remembers in which batches its live tokens were evaluated."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.batch_size, self.recurrent = engine.batch_size, engine.recurrent
        self.logits, self.save, self.rollback = engine.logits, engine.save, engine.rollback
        self.batches: list[list[int]] = []

    @property
    def begun(self) -> int:
        return self.engine.begun

    @property
    def done(self) -> int:
        return self.engine.done

    def decode(self, tokens: Sequence[int], position: int, outputs: int) -> None:
        self.engine.decode(tokens, position, outputs)
        self.batches.append(list(tokens))

    def restore(self, state: np.ndarray, length: int) -> bool:
        while sum(map(len, self.batches)) > length:
            self.batches.pop()
        assert sum(map(len, self.batches)) == length
        return self.engine.restore(state, length)

    def load(self, state: np.ndarray) -> bool:
        raise AssertionError("nothing is stored here")

    def clear(self) -> None:
        self.batches.clear()
        self.engine.clear()


@pytest.fixture(scope="module")
def fresh(tiny: Path) -> Iterator[Callable[[Sequence[Sequence[int]]], np.ndarray]]:
    """Return a function that evaluates batches of tokens from nothing, in a context of its own."""
    engine = Engine(tiny, Fit(context=4096, threads=1, batch=64))

    def logits(batches: Sequence[Sequence[int]]) -> np.ndarray:
        engine.clear()
        position = 0
        for batch in batches:
            engine.decode(batch, position, outputs=1)
            position += len(batch)
        return engine.logits().copy()

    yield logits
    engine.close()


@pytest.fixture(scope="module")
def shared(tiny: Path) -> Iterator[tuple[LlamaModel, Recording]]:
    """Return a model that lives through many histories, with room for few checkpoints."""
    model = LlamaModel(tiny, Fit(context=4096, threads=1, batch=32))
    recording = Recording(model._engine)
    model._live = LiveState(recording, budget=6 * 70_000)
    yield model, recording
    model.close()


steps = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 3)),
    st.tuples(st.just("retry"), st.integers(0, 3)),
    st.tuples(st.just("rewind"), st.integers(1, 6)),
    st.tuples(st.just("edit"), st.integers(1, 6)),
    st.tuples(st.just("stop"), st.integers(0, 5)),
)


def gone(
    model: LlamaModel, recording: Recording, steps: Sequence[tuple[str, int]], thinking: bool
) -> Iterator[list[int]]:
    """Take the model through a history, and yield the live tokens after each step."""
    history: list[Message] = [START[0], Message("user", f"Begin {thinking}.")]
    for (what, number), seed in zip(steps, itertools.count(), strict=False):
        history = stepped(model, history, what, number, seed)
        options = Options(thinking, 4, 6, seed=number)
        expected = model._transcript.prompt(history, [], thinking).tokens
        reply, _ = drive(model.stream(history, [], options))
        assert reply.usage.prompt == len(expected)
        live = list(model._live.tokens)
        assert live[: len(expected)] == expected
        assert list(itertools.chain.from_iterable(recording.batches)) == live
        yield live
        if what == "append":
            history = [*history, reply.message, Message("user", f"More {seed}.")]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=7), st.booleans())
def test_whatever_came_before_the_model_says_the_same(
    shared: tuple[LlamaModel, Recording],
    fresh: Callable[[Sequence[Sequence[int]]], np.ndarray],
    steps: list[tuple[str, int]],
    thinking: bool,
) -> None:
    """The logits after any way to a history are, bit for bit, those of a fresh evaluation in the same batches."""
    model, recording = shared
    for _ in gone(model, recording, steps, thinking):
        assert (model._live.logits == fresh(recording.batches)).all()


@pytest.mark.slow
@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize(
    "steps",
    [
        [("append", 0), ("append", 1), ("rewind", 2), ("append", 2)],
        [("append", 3), ("retry", 1), ("edit", 2), ("append", 0)],
        [("stop", 3), ("append", 1), ("stop", 0), ("append", 2)],
    ],
)
def test_in_other_batches_it_says_nearly_the_same(
    shared: tuple[LlamaModel, Recording],
    fresh: Callable[[Sequence[Sequence[int]]], np.ndarray],
    steps: list[tuple[str, int]],
    thinking: bool,
) -> None:
    """Other batches are rounded otherwise. Where llama.cpp chooses other experts for that, random weights say anything;
    in these histories it does not.
    """
    model, recording = shared
    for live in gone(model, recording, steps, thinking):
        whole = fresh([live[at : at + 64] for at in range(0, len(live), 64)])
        assert np.abs(model._live.logits - whole).max() < TOLERANCE


class Eager(Pace):
    """Checks as many guessed tokens as it can, whatever that costs."""

    def length(self, agreed: int) -> int:
        return self.most


def test_guessing_changes_no_reply(smooth: Path) -> None:
    """Same seeds, same words; where rounding in batches of another shape decides a draw, the replies part there."""
    plain = LlamaModel(smooth, Fit(context=4096, threads=1, batch=64), string_limit=40)
    guessing = LlamaModel(smooth, Fit(context=4096, threads=1, batch=64, draft_tokens=8), string_limit=40)
    guessing._pace = Eager(8)
    same = accepted = refused = 0
    for seed in range(15):
        options = Options(seed % 3 == 0, 20, 120, "required" if seed % 2 else "auto", seed=seed)
        history = [START[0], Message("user", f"Task {seed}.")]
        one, _ = drive(plain.stream(history, TOOLS, options))
        ids = list(plain._live.tokens)[one.usage.prompt :]
        guessing._lookup.read([token if at % 11 else 0 for at, token in enumerate(ids)])
        two, _ = drive(guessing.stream(history, TOOLS, options))
        same += one.message == two.message
        accepted += two.usage.accepted
        refused += two.usage.drafted - two.usage.accepted
        live = list(guessing._live.tokens)
        assert live[: two.usage.prompt] == guessing._transcript.prompt(history, TOOLS, options.thinking).tokens
        assert len(live) <= two.usage.prompt + two.usage.generated
        after = [*history, *answer(two), Message("user", "On.")]
        three, _ = drive(guessing.stream(after, TOOLS, replace(SHORT, max_tokens=4)))
        assert three.usage.cached == len(live)  # what was guessed and taken back costs nothing later
    assert same >= 10  # that those which part do so for rounding alone is shown in test_decoder.py
    assert accepted > 150 and refused > 25
    plain.close()
    guessing.close()
