"""The replies of the whole engine on a real file: calls, thinking, and where they end."""

import shutil
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from conversation import SHORT, START, TOOLS, answer
from qwencode.events import CallDelta, TextDelta, ThinkingDelta
from qwencode.messages import Message, Reply
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.writer import Writer
from qwencode.model.protocol import Options
from replies import drive


@pytest.mark.slow
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


@pytest.mark.slow
def test_calls_of_its_own_accord_keep_to_the_declarations(tiny: Path, tmp_path: Path) -> None:
    """With weights that like `<tool_call>` above all the grammar holds from there on, and only there."""
    eager = tmp_path / "eager.gguf"
    shutil.copy(tiny, eager)
    head = next(tensor for tensor in gguf.GGUFReader(eager, "r+").tensors if tensor.name == "output.weight")
    model = LlamaModel(eager, Fit(context=4096, threads=1), string_limit=6)
    (call_mark,) = model._engine.tokenize("<tool_call>", special=True)
    head.data[call_mark] *= 3
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
    model = LlamaModel(path, Fit(context=2048, threads=1), string_limit=6)
    for options in (SHORT, replace(SHORT, tool_choice="required"), replace(SHORT, thinking=True)):
        reply, _ = drive(model.stream(START, TOOLS, options))
        assert reply.usage.generated <= 24
    model.close()
