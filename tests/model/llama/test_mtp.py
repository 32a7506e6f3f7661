"""The head that predicts further tokens: its guesses depend on the tokens alone, and change no word."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.errors import ModelUnavailable
from qwencode.messages import Message
from qwencode.model.choose import open_file
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.gguf_header import check
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.prefix_store import PrefixStore
from qwencode.model.llama.state import LiveState
from qwencode.model.protocol import Options
from qwencode.settings import Places, Settings
from replies import drive
from tiny_model import finish

FIT = Fit(context=512, threads=1, batch=32, draft_tokens=4, mtp=True)
HISTORY = [Message("system", "You are brief."), Message("user", "Say something.")]


@pytest.fixture(scope="module")
def engines(predicting: Path) -> Iterator[tuple[Engine, Engine]]:
    """Return two engines on one file: one to be led astray, one that reads straight through."""
    engines = Engine(predicting, FIT), Engine(predicting, FIT)
    yield engines
    for engine in engines:
        engine.close()


def read(engine: Engine, tokens: list[int]) -> LiveState:
    live = LiveState(engine, 1 << 20)
    engine.clear()
    for start in range(0, len(tokens), FIT.batch):
        live.extend(tokens[start : start + FIT.batch], outputs=1)
    return live


token = st.integers(0, 900)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.lists(token, min_size=1, max_size=40)),
        st.tuples(st.just("guess"), st.integers(1, 4)),
        st.tuples(st.just("drop"), st.integers(1, 6)),
        st.tuples(st.just("keep"), st.none()),
        st.tuples(st.just("store"), st.none()),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps, token)
def test_a_guess_depends_on_the_tokens_alone(engines: tuple[Engine, Engine], steps: list, last: int) -> None:
    engine, straight = engines
    live = read(engine, [5, 6, 7])
    live.checkpoint()
    for what, value in steps:
        if what == "read":
            for start in range(0, len(value), FIT.batch):
                live.extend(value[start : start + FIT.batch], outputs=min(5, len(value[start : start + FIT.batch])))
        elif what == "guess":
            assert len(engine.guess(11, len(live.tokens), value)) == value
        elif what == "drop":
            live.drop(min(value, len(live.tokens) - 1))
        elif what == "keep":
            live.checkpoint()
        else:
            live.adopt(list(live.tokens), engine.dump())
    tokens = list(live.tokens)
    read(straight, tokens)
    assert engine.guess(last, len(tokens), 3) == straight.guess(last, len(tokens), 3)


def test_it_says_nothing_where_it_cannot_know(engines: tuple[Engine, Engine]) -> None:
    engine = engines[0]
    read(engine, [1, 2, 3])
    assert engine.guess(4, 9, 2) == []
    engine.clear()
    assert engine.guess(4, 3, 2) == []
    engine.guesses = False
    engine.decode([1, 2], 0, 1)
    assert engine.guess(4, 2, 2) == []
    engine.guesses = True
    assert engine.guess(4, 2, 2) == []  # it has not read them
    engine.decode([3], 2, 1)
    assert len(engine.guess(4, 3, 2)) == 2  # and goes on from where it was told again


def test_a_file_without_a_head_and_a_context_without_one(smooth: Path, predicting: Path) -> None:
    assert not check(smooth).predicts
    assert check(predicting).predicts
    with pytest.raises(ModelUnavailable, match="predicts further tokens"):
        Engine(smooth, FIT)
    engine = Engine(predicting, Fit(context=64, threads=1, batch=32))
    engine.decode([1, 2, 3], 0, 1)
    assert engine.guess(4, 3, 2) == []
    engine.close()


def test_a_head_that_cannot_be_used_is_done_without(builder: ModuleType, predicting: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    writer = gguf.GGUFWriter(path, "qwen35moe")
    builder.describe(writer, replace(builder.PRESETS["tiny"], experts_used=4, mtp=1), "broken")
    for tensor in gguf.GGUFReader(predicting).tensors:
        if tensor.name != "blk.4.attn_k.weight":
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    finish(writer)
    places = Places(*(tmp_path / name for name in ("config", "data", "state", "cache")))
    model = open_file(str(path), Settings(threads=1, context=512, prefix_store_mb=0), places, measuring=True)
    assert not model.fit.mtp
    assert reply(path, model.fit, 1)[0]
    model.close()
    whole = open_file(str(predicting), Settings(threads=1, context=512, prefix_store_mb=0), places, measuring=True)
    assert whole.fit.mtp
    whole.close()


def reply(path: Path, fit: Fit, seed: int, store: PrefixStore | None = None) -> tuple[str, int, int]:
    model = LlamaModel(path, fit, store=store)
    done, _ = drive(model.stream(HISTORY, (), Options(max_tokens=60, seed=seed)))
    model.close()
    return done.message.content, done.usage.drafted, done.usage.accepted


@pytest.mark.parametrize("file", ["predicting", "foreseeing"])
def test_guesses_change_no_word(file: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(file)
    plain = Fit(context=512, threads=1, batch=32)
    texts = [(reply(path, FIT, seed)[0], reply(path, plain, seed)[0]) for seed in range(6)]
    same = sum(one == other for one, other in texts)
    assert same >= 5  # a near-tie may fall otherwise in a batch of another shape


def test_a_head_that_knows_is_believed_and_one_that_does_not_is_not(foreseeing: Path, predicting: Path) -> None:
    _, drafted, accepted = reply(foreseeing, FIT, 1)
    assert accepted >= 0.8 * drafted > 0  # how many there are depends on how fast batches are just now
    _, other_drafted, other_accepted = reply(predicting, FIT, 1)
    assert other_accepted < 0.2 * max(1, other_drafted)
    assert other_drafted < drafted


def test_a_prefix_from_the_store_brings_the_head_along(foreseeing: Path, tmp_path: Path) -> None:
    store = PrefixStore(tmp_path / "store", 1 << 30)
    first, second = (reply(foreseeing, FIT, 2, store) for _ in range(2))
    assert first[0] == second[0]
    assert second[2] >= 0.8 * second[1] > 0


def test_measuring_says_whether_it_pays(foreseeing: Path, predicting: Path, tmp_path: Path) -> None:
    for path in (foreseeing, predicting):
        model = LlamaModel(path, FIT)
        found = model.measure(tmp_path, 0.2)
        assert found.mtp > 0
        model.close()
        again = LlamaModel(path, FIT)
        assert again.measure(tmp_path, 60.0) == found  # kept
        again.close()
        plain = LlamaModel(path, Fit(context=512, threads=1, batch=32, draft_tokens=4))
        assert plain.measure(tmp_path, 60.0) == found  # whoever asks
        plain.close()
