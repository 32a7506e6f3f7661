"""A conversation kept on disk is in memory again with nothing evaluated, and whatever does not fit is a miss."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qwencode.events import PrefillProgress
from qwencode.messages import Message, ToolSpec
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Keeps, Options
from replies import drive

FIT = Fit(context=4096, threads=1, batch=64)
LOOK = ToolSpec("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]})
START = [Message("system", "You are careful."), Message("user", "Why does it fail? " * 12)]
Opened = Callable[..., LlamaModel]


@pytest.fixture
def opened(tiny: Path) -> Iterator[Opened]:
    models: list[LlamaModel] = []

    def open_one(file: Path = tiny, fit: Fit = FIT) -> LlamaModel:
        models.append(LlamaModel(file, fit, string_limit=12))
        return models[-1]

    yield open_one
    for model in models:
        model.close()


@pytest.fixture
def held(opened: Opened) -> tuple[LlamaModel, list[Message]]:
    """Return a model with a conversation of two replies, one of them with a call."""
    model, history = opened(), list(START)
    for number, choice in enumerate(("required", "auto")):
        reply, _ = drive(model.stream(history, [LOOK], Options(max_tokens=60, tool_choice=choice, seed=number)))  # type: ignore[arg-type]
        answers = [Message("tool", "nothing", answers=call.id) for call in reply.message.tool_calls]
        history += [reply.message, *answers, Message("user", f"And then? {number}")]
    return model, history


def read(model: LlamaModel, history: list[Message]) -> list[Any]:
    _, events = drive(model.read(history, [LOOK]))  # type: ignore[arg-type]
    return events


def test_what_is_kept_is_in_memory_again(opened: Opened, held: tuple[LlamaModel, list[Message]], tmp_path: Path):
    model, history = held
    assert isinstance(model, Keeps)
    kept, _ = drive(model.keep(history, [LOOK], tmp_path / "kept"))  # type: ignore[arg-type]
    assert (kept.problem, kept.tokens) == ("", len(model._live.tokens))
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
    again = opened()
    as_read = [Message.from_dict(message.to_dict()) for message in history]  # as a session gives them back
    assert again.recall(as_read, [LOOK], tmp_path / "kept") == kept.tokens
    assert read(again, as_read) == []
    said, _ = drive(again.stream(as_read, [LOOK], Options(max_tokens=8, seed=3)))
    same, _ = drive(model.stream(history, [LOOK], Options(max_tokens=8, seed=3)))
    assert said.message == same.message
    assert said.usage.cached == kept.tokens


def test_a_conversation_that_has_gone_on_reads_only_what_is_new(
    opened: Opened, held: tuple[LlamaModel, list[Message]], tmp_path: Path
):
    model, history = held
    kept, _ = drive(model.keep(history[:-1], [LOOK], tmp_path))  # type: ignore[arg-type]
    again = opened()
    assert again.recall(history, [LOOK], tmp_path) == kept.tokens
    (first, *_) = read(again, history)
    assert isinstance(first, PrefillProgress)
    assert first.cached == kept.tokens


def test_what_does_not_fit_is_read_as_ever(
    opened: Opened, predicting: Path, held: tuple[LlamaModel, list[Message]], tmp_path: Path
):
    model, history = held
    drive(model.keep(history, [LOOK], tmp_path))  # type: ignore[arg-type]
    other = [*history[:1], Message("user", "Something else."), *history[2:]]
    assert opened().recall(other, [LOOK], tmp_path) == 0
    assert opened().recall(history[:-2], [LOOK], tmp_path) == 0, "it holds more than that, and nothing can be taken off"
    assert opened().recall(history, [], tmp_path) == 0
    assert opened(predicting).recall(history, [LOOK], tmp_path) == 0
    assert opened(fit=replace(FIT, cache_type="q8_0")).recall(history, [LOOK], tmp_path) == 0
    assert opened().recall(history, [LOOK], tmp_path / "nothing") == 0
    for entry in list(tmp_path.iterdir()):
        whole = entry.read_bytes()
        for bad in (whole[:-1], whole[: len(whole) // 2], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
            drive(model.keep(history, [LOOK], tmp_path))  # type: ignore[arg-type]
            entry.write_bytes(bad)
            fresh = opened()
            assert fresh.recall(history, [LOOK], tmp_path) == 0
            assert read(fresh, history)


class Interrupted:
    """An engine in which Ctrl-C comes in the middle of a batch, a part of which is in memory then."""

    def __init__(self, engine: Any):
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def decode(self, tokens: Sequence[int], position: int, outputs: int) -> None:
        self._engine.decode(tokens[:-1], position, 0)
        self._engine.done -= 1
        raise KeyboardInterrupt


def test_what_an_interruption_left_in_memory_is_not_kept(opened: Opened, tmp_path: Path):
    model = opened()
    read(model, START)
    model._live._engine = Interrupted(model._engine)
    with pytest.raises(KeyboardInterrupt):
        read(model, [*START, Message("assistant", "It does."), Message("user", "And then? " * 40)])
    model._live._engine = model._engine
    kept, _ = drive(model.keep(START, [LOOK], tmp_path))  # type: ignore[arg-type]
    again, fresh = opened(), opened()
    assert again.recall(START, [LOOK], tmp_path) == kept.tokens
    said, _ = drive(again.stream(START, [LOOK], Options(max_tokens=8, seed=3)))
    same, _ = drive(fresh.stream(START, [LOOK], Options(max_tokens=8, seed=3)))
    assert said.message == same.message


def test_where_nothing_can_be_written_it_says_why(held: tuple[LlamaModel, list[Message]], tmp_path: Path):
    model, history = held
    (tmp_path / "file").write_text("")
    kept, _ = drive(model.keep(history, [LOOK], tmp_path / "file"))  # type: ignore[arg-type]
    assert kept.size == 0
    assert kept.problem
