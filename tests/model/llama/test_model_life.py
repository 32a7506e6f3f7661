"""The life of the whole engine on a real file: what it tells, how it is stopped, what it lets go, and its limits."""

import itertools
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from conversation import SHORT, START, TOOLS
from qwencode.errors import ModelUnavailable
from qwencode.events import CacheMissed, PrefillProgress
from qwencode.messages import Message
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.prefix_store import PrefixStore
from qwencode.model.protocol import Options
from replies import drive


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
