"""The whole engine on a real file: nothing is evaluated twice, nothing changes what the model would have said."""

import itertools
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from replies import drive

from qwencode.errors import ModelUnavailable
from qwencode.events import CacheMissed, CallDelta, PrefillProgress, TextDelta, ThinkingDelta
from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model.llama.draft import Pace
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.prefix_store import PrefixStore
from qwencode.model.llama.state import LiveState
from qwencode.model.llama.writer import Writer
from qwencode.model.protocol import Model, Options

EDIT = ToolSpec(
    "edit",
    "Replace a text.",
    {
        "type": "object",
        "properties": {
            "file_path": {"type": "string"},
            "old_string": {"type": "string"},
            "new_string": {"type": "string"},
            "replace_all": {"type": "boolean"},
        },
        "required": ["file_path", "old_string", "new_string"],
    },
)
TESTS = ToolSpec("run_tests", "Run tests.", {"type": "object", "properties": {"selection": {"type": "string"}}})
ITEMS = {"type": "array", "items": {"type": "string"}}
PLAN = ToolSpec("todo_write", "Plan.", {"type": "object", "properties": {"items": ITEMS}, "required": ["items"]})
READ = ToolSpec(
    "read_file",
    "Read.",
    {
        "type": "object",
        "properties": {
            "file_path": {"type": "string"},
            "offset": {"type": "integer"},
            "mode": {"type": "string", "enum": ["text", "hex"]},
        },
        "required": ["file_path"],
    },
)
TOOLS = [EDIT, TESTS, PLAN, READ]
START = [Message("system", "You are terse."), Message("user", "Mend it. <tool_call> </think> <|im_end|>")]
TOLERANCE = 0.5
"""Of logits that spread over about 25."""
SHORT = Options(max_tokens=24, seed=5)


@pytest.fixture
def model(tiny: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(tiny, Fit(context=4096, threads=1, batch=64), string_limit=40)
    yield model
    model.close()


def answer(reply: Reply, text: str = "done") -> list[Message]:
    calls = reply.message.tool_calls
    return [reply.message, *(Message("tool", text, answers=call.id) for call in calls)]


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
        assert usage.prompt + usage.generated - 1 - forced <= live < usage.prompt + usage.generated
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
    assert undone.usage.evaluated == 0 or undone.usage.evaluated <= 10
    assert undone.message == first.message


class Recording:
    """An engine that remembers in which batches its live tokens were evaluated."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.batch_size = engine.batch_size
        self.logits, self.save, self.rollback = engine.logits, engine.save, engine.rollback
        self.batches: list[list[int]] = []

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


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=7), st.booleans())
def test_whatever_came_before_the_model_says_the_same(
    shared: tuple[LlamaModel, Recording],
    fresh: Callable[[Sequence[Sequence[int]]], np.ndarray],
    steps: list[tuple[str, int]],
    thinking: bool,
) -> None:
    """The logits after any way to a history are, bit for bit, those of a fresh evaluation in the same batches.

    In other batches they differ by rounding, and by what a changed choice of experts makes of it.
    """
    model, recording = shared
    history: list[Message] = [START[0], Message("user", f"Begin {thinking}.")]
    for (what, number), seed in zip(steps, itertools.count(), strict=False):
        if what == "rewind" and len(history) > number + 1:
            history = history[:-number]
        elif what == "edit" and len(history) > number + 1:
            history[-number] = replace(history[-number], content=f"Edited {seed}.")
        elif what == "stop":
            stream = model.stream([*history, Message("user", "Wait. " * 40)], [], replace(SHORT, seed=seed))
            for _ in zip(range(number), stream, strict=False):
                pass
            stream.close()
        options = Options(thinking, 4, 6, seed=number)
        expected = model._transcript.prompt(history, [], thinking).tokens
        reply, _ = drive(model.stream(history, [], options))
        assert reply.usage.prompt == len(expected)
        live = list(model._live.tokens)
        assert live[: len(expected)] == expected
        assert list(itertools.chain.from_iterable(recording.batches)) == live
        assert (model._live.logits == fresh(recording.batches)).all()
        whole = fresh([live[at : at + 64] for at in range(0, len(live), 64)])
        assert np.abs(model._live.logits - whole).max() < TOLERANCE
        if what == "append":
            history = [*history, reply.message, Message("user", f"More {seed}.")]


def test_forced_calls_are_valid(tiny: Path) -> None:
    model = LlamaModel(tiny, Fit(context=4096, threads=1), string_limit=6)
    names = {tool.name for tool in TOOLS}
    seen: set[str] = set()
    for seed in range(100):
        options = Options(seed % 5 == 0, 6, 1500, "required", seed)
        task = Message("user", f"Task {seed // 4}.")
        reply, events = drive(model.stream([START[0], task], TOOLS, options))
        (call,) = reply.message.tool_calls
        assert reply.finish == "tool_calls"
        assert call.problem == ""
        assert call.name in names
        assert any(isinstance(event, CallDelta) for event in events)
        seen.add(call.name)
    assert len(seen) > 1
    model.close()


def test_a_forced_call_follows_thinking_without_a_budget(model: LlamaModel) -> None:
    reply, _ = drive(model.stream(START, TOOLS, Options(True, 0, 600, "required", 3)))
    assert reply.message.reasoning
    assert [call.problem for call in reply.message.tool_calls] == [""]


def test_calls_of_its_own_accord_keep_to_the_declarations(tiny: Path, tmp_path: Path) -> None:
    """With weights that like `<tool_call>` above all the grammar holds from there on, and only there."""
    eager = tmp_path / "eager.gguf"
    shutil.copy(tiny, eager)
    head = next(tensor for tensor in gguf.GGUFReader(eager, "r+").tensors if tensor.name == "output.weight")
    model = LlamaModel(eager, Fit(context=4096, threads=1), string_limit=6)
    head.data[model._call] *= 3
    head.data.flush()
    model.close()
    model = LlamaModel(eager, Fit(context=4096, threads=1), string_limit=6)
    calls, texts = 0, 0
    for seed in range(30):
        options = Options(max_tokens=200, seed=seed, thinking=bool(seed % 3))
        reply, _ = drive(model.stream(START, TOOLS, options))
        texts += bool(reply.message.content or reply.message.reasoning)
        whole = reply.message.tool_calls[:-1] if reply.finish == "length" else reply.message.tool_calls
        for call in whole:
            calls += 1
            assert call.name in {tool.name for tool in TOOLS}
            assert call.problem == ""
    assert calls > 20
    assert texts > 20
    model.close()


@pytest.mark.parametrize("room", [1, 2, 3, 4, 5])
def test_a_forced_end_of_thinking_keeps_to_the_limit(tiny: Path, tmp_path: Path, room: int) -> None:
    """With weights that like to end the reply above all, where a call is required."""
    hasty = tmp_path / "hasty.gguf"
    shutil.copy(tiny, hasty)
    with_stop = Engine(tiny, Fit(context=256, threads=1))
    (stop,) = with_stop.tokenize("<|im_end|>", special=True)
    with_stop.close()
    head = next(tensor for tensor in gguf.GGUFReader(hasty, "r+").tensors if tensor.name == "output.weight")
    head.data[stop] *= 9
    head.data.flush()
    model = LlamaModel(hasty, Fit(context=4096, threads=1), string_limit=6)
    for seed in range(16):
        task = [START[0], Message("user", f"Task {seed}.")]
        reply, _ = drive(model.stream(task, TOOLS, Options(True, 50, room, "required", seed)))
        assert reply.finish == "length"
        assert reply.usage.generated == room
    model.close()


def test_ids_of_calls_differ_within_a_history(model: LlamaModel) -> None:
    history = START
    for seed in range(3):
        reply, _ = drive(model.stream(history, TOOLS, Options(max_tokens=600, tool_choice="required", seed=seed)))
        history = [*history, *answer(reply)]
    ids = [call.id for message in history for call in message.tool_calls]
    assert len(set(ids)) == 3


def test_the_thinking_budget_closes_the_block(model: LlamaModel) -> None:
    reply, events = drive(model.stream(START, [], Options(True, 10, 40, seed=2)))
    assert reply.finish == "length"
    assert reply.message.reasoning
    assert reply.message.content
    close = model._engine.tokenize("</think>", special=True)[0]
    start = reply.usage.prompt
    assert close in model._live.tokens[start + 8 : start + 16]
    assert "".join(event.text for event in events if isinstance(event, ThinkingDelta)) == reply.message.reasoning
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == reply.message.content


def test_a_reply_ends_at_the_stop_token_or_at_the_limit(model: LlamaModel) -> None:
    finishes: dict[str, Reply] = {}
    for seed in range(100):
        reply, _ = drive(model.stream(START, [], Options(max_tokens=400, seed=seed)))
        finishes[reply.finish] = reply
        assert reply.usage.generated <= 400
        assert (reply.finish == "length") == (reply.usage.generated == 400)
        assert "<|im_end|>" not in reply.message.content
        assert "<|im_start|>" not in reply.message.content
        if finishes.keys() >= {"stop", "length"}:
            break
    assert finishes.keys() >= {"stop", "length"}
    for reply in finishes.values():
        after, _ = drive(model.stream([*START, reply.message, Message("user", "On.")], [], SHORT))
        text = b"".join(model._engine.piece(token, special=True) for token in model._live.tokens).decode(
            errors="replace"
        )
        assert text.count("<|im_end|>\n<|im_start|>user\nOn.<|im_end|>\n") == 1
        assert after.usage.prompt > reply.usage.prompt + reply.usage.generated


def test_progress_is_told(model: LlamaModel) -> None:
    long = [*START, Message("user", "Lorem ipsum dolor sit amet. " * 60)]
    reply, events = drive(model.stream(long, [], SHORT))
    progress = [event for event in events if isinstance(event, PrefillProgress)]
    assert progress[0].done == progress[0].cached == 0
    assert [event.done for event in progress] == sorted({event.done for event in progress})
    assert progress[-1].done == progress[-1].total == reply.usage.prompt
    assert all(later.done - sooner.done <= 64 for sooner, later in itertools.pairwise(progress))
    assert progress[-1].tokens_per_second > 0
    assert progress[-1].seconds_left == 0
    _, events = drive(model.stream(long, [], SHORT))
    assert not [event for event in events if isinstance(event, PrefillProgress)]  # all of it is there


@pytest.mark.parametrize("events", [0, 1, 2, 3, 5, 9, 14])
def test_it_can_be_stopped_anywhere(model: LlamaModel, tiny: Path, events: int) -> None:
    history = [*START, Message("user", "Lorem ipsum dolor sit amet. " * 12)]
    stream = model.stream(history, [], SHORT)
    taken = list(itertools.islice(stream, events))
    stream.close()
    done = max((event.done for event in taken if isinstance(event, PrefillProgress)), default=0)
    reply, _ = drive(model.stream(history, [], SHORT))
    assert reply.usage.cached >= done  # what was read is not read again
    other = LlamaModel(tiny, Fit(context=4096, threads=1, batch=64))
    expected, _ = drive(other.stream(history, [], SHORT))
    assert reply.message == expected.message
    other.close()


def test_a_newer_reply_ends_the_one_before(model: LlamaModel) -> None:
    old = model.stream(START, [], SHORT)
    next(old)
    reply, _ = drive(model.stream(START, [], SHORT))
    with pytest.raises(RuntimeError, match="newer"):
        list(old)
    again, _ = drive(model.stream(START, [], SHORT))
    assert again.message == reply.message


@pytest.mark.parametrize("ends", ["closed", "newer"])
@pytest.mark.parametrize("events", range(1, 14))
def test_a_reply_that_was_ended_does_nothing_more(tiny: Path, tmp_path: Path, events: int, ends: str) -> None:
    """Wherever it waits: it touches no freed memory, keeps no state of another reply, and says that it was ended."""
    store = PrefixStore(tmp_path / "prefixes", 1 << 30)
    model = LlamaModel(tiny, Fit(context=2048, threads=1, batch=64), store=store, about=["It runs here."])
    short = replace(SHORT, max_tokens=4)
    drive(model.stream([Message("system", "Something else."), START[1]], [], short))  # so there is a miss to tell
    model.about.append("It still does.")
    old = model.stream([START[0], Message("user", "Lorem ipsum dolor sit amet. " * 12)], [], short)
    seen = list(itertools.islice(old, events))
    assert len(seen) == events
    if ends == "closed":
        model.close()
    else:
        newer = [Message("system", "A third one."), START[1]]
        reply, _ = drive(model.stream(newer, [], short))
        live, places, kept = list(model._live.tokens), model._live.checkpoints, len(list(store.directory.iterdir()))
    with pytest.raises(RuntimeError, match="was ended"):
        next(old)
    if ends == "newer":
        assert list(model._live.tokens) == live
        assert model._live.checkpoints == places
        assert len(list(store.directory.iterdir())) == kept
        again, told = drive(model.stream([*newer, reply.message, Message("user", "On.")], [], short))
        assert again.usage.cached == len(live)
        assert not [event for event in told if isinstance(event, CacheMissed)]
        model.close()


def test_texts_that_left_the_history_are_let_go(model: LlamaModel) -> None:
    for number in range(100):
        file = "".join(f"{line}|value_{number * line} = {line}\n" for line in range(1, 4))
        history = [START[0], Message("user", f"Read file {number}:\n{file}")]
        drive(model.stream(history, [], replace(SHORT, max_tokens=1)))
    assert len(model._shown) == 1
    assert len(model._lookup._texts) < 80


def test_measuring_leaves_a_usable_model(model: LlamaModel, tmp_path: Path) -> None:
    """Also when there is nothing to measure, since it is known."""
    first, _ = drive(model.stream(START, [], SHORT))
    for _ in range(2):
        old = model.stream(START, [], replace(SHORT, seed=9))
        next(old)
        model.measure(tmp_path, 0.01)
        with pytest.raises(RuntimeError, match="was ended"):
            next(old)
        again, _ = drive(model.stream(START, [], SHORT))
        assert again.message == first.message
    model.close()
    with pytest.raises(ModelUnavailable, match="closed"):
        model.measure(tmp_path, 0.01)


def test_two_models_do_not_disturb_each_other(model: LlamaModel, tiny: Path) -> None:
    alone, _ = drive(model.stream(START, [], SHORT))
    other = LlamaModel(tiny, Fit(context=1024, threads=1))
    mixed = model.stream(START, [], replace(SHORT, thinking=True))
    theirs = other.stream([Message("user", "Something else.")], TOOLS, SHORT)
    for _ in itertools.zip_longest(mixed, theirs):
        pass
    other.close()
    again, _ = drive(model.stream(START, [], SHORT))
    assert again.message == alone.message


def test_close_can_be_repeated_and_is_final(model: LlamaModel) -> None:
    open_stream = model.stream(START, [], SHORT)
    next(open_stream)
    drive(model.stream(START, [], SHORT))
    assert model._live.checkpoint_bytes
    model.close()
    model.close()
    assert not model._live.checkpoint_bytes
    with pytest.raises(RuntimeError):
        next(open_stream)
    with pytest.raises(ModelUnavailable, match="closed"):
        next(model.stream(START, [], SHORT))


def test_a_full_context(tiny: Path) -> None:
    model = LlamaModel(tiny, Fit(context=512, threads=1))
    assert model.context_length == 512
    with pytest.raises(ModelUnavailable, match="context holds 512"):
        next(model.stream([Message("user", "word " * 600)], [], SHORT))
    reply, _ = drive(model.stream([Message("user", "word " * 200)], [], Options(max_tokens=4000, seed=1)))
    assert reply.finish == "length"
    assert reply.usage.prompt + reply.usage.generated == 512
    with pytest.raises(ModelUnavailable, match="new session"):
        next(model.stream([Message("user", "word " * 200), reply.message, Message("user", "On.")], [], SHORT))
    again, _ = drive(model.stream([Message("user", "Short.")], [], SHORT))
    assert again.usage.generated == 24
    model.close()


def test_a_context_beyond_the_memory(builder: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "wide.gguf"
    builder.build(path, replace(builder.PRESETS["tiny"], head_size=1024, kv_heads=2, context=1 << 24))
    with pytest.raises(ModelUnavailable, match=r"needs 128.0 GiB beside the model"):
        LlamaModel(path, Fit(context=1 << 24, threads=1))
    model = LlamaModel(path, Fit(context=1024, threads=1))
    assert drive(model.stream(START, [], SHORT))[0].usage.generated
    model.close()


def test_characters_spread_over_tokens_come_whole(engine: Engine) -> None:
    text = "für 3 € 😀"
    single = [engine.tokenize(char, False) for char in text]
    tokens = [token for tokens in single for token in tokens]
    assert len(tokens) > len(text)
    writer = Writer(engine, [], False, 1)
    pieces = [event.text for token in tokens for event in writer.take([token]) if isinstance(event, TextDelta)]
    pieces += [event.text for event in writer.drain() if isinstance(event, TextDelta)]
    assert "".join(pieces) == text
    broken = Writer(engine, [], False, 1)
    broken.take(engine.tokenize("ab€", False)[:-1])
    broken.drain()
    assert broken.finish()[0].content == "ab\ufffd"


def test_damaged_weights_give_nonsense_and_no_crash(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "nan.gguf"
    shutil.copy(tiny, path)
    for tensor in gguf.GGUFReader(path, "r+").tensors:
        if tensor.name == "blk.1.attn_gate.weight":
            tensor.data[:] = np.nan
            tensor.data.flush()
    model = LlamaModel(path, Fit(context=1024, threads=1), string_limit=6)
    for options in (SHORT, replace(SHORT, tool_choice="required"), replace(SHORT, thinking=True)):
        reply, _ = drive(model.stream(START, TOOLS, options))
        assert reply.usage.generated <= 24
    model.close()


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
    for seed in range(30):
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
    assert same >= 20  # that those which part do so for rounding alone is shown in test_decoder.py
    assert accepted > 300 and refused > 50
    plain.close()
    guessing.close()
