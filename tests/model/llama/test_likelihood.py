"""How likely a text is: the same however it is evaluated, and nothing is left of it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from conversation import SHORT, START, TOLERANCE, TOOLS
from qwencode.errors import HistoryTooLong
from qwencode.events import PrefillProgress
from qwencode.model.dialect import qwen
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine
from qwencode.model.llama.likelihood import likelihood
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.state import LiveState
from qwencode.model.protocol import Judges, Likelihood
from qwencode.model.scripted import ScriptedModel
from replies import drive

TEXTS = ["    return a + b", "    return a - b  # as in the issue, which says <tool_call> and more", "x", ""]


@pytest.fixture(params=[0, 3, 15], ids=["one by one", "by four", "in one batch"])
def judge(smooth: Path, request: pytest.FixtureRequest) -> Iterator[LlamaModel]:
    """A file without the jumps of random experts, asked for more and more logits at a time."""
    model = LlamaModel(smooth, Fit(context=4096, threads=1, batch=64, draft_tokens=request.param), string_limit=40)
    yield model
    model.close()


def by_hand(model: LlamaModel, text: str) -> float:
    """Evaluate token by token in an engine that holds nothing, and add up."""
    prompt = model._transcript.prompt(START, TOOLS, False).tokens
    tokens = model._transcript.encode([qwen.Piece(text, False)])
    live, total = LiveState(model._engine, 0), 0.0
    model._engine.clear()
    for at in range(0, len(prompt), 64):
        live.extend(prompt[at : at + 64], outputs=1)
    for token in tokens:
        logits = live.logits.astype(np.float64)
        total += logits[token] - np.logaddexp.reduce(logits)
        live.extend([token], outputs=1)
    model._engine.clear()
    return total


def test_it_is_what_evaluating_token_by_token_gives(judge: LlamaModel):
    found, events = drive(judge.likelihoods(START, TOOLS, TEXTS))
    assert [each.tokens for each in found] == [
        len(judge._transcript.encode([qwen.Piece(text, False)])) for text in TEXTS
    ]
    read = [event for event in events if isinstance(event, PrefillProgress)]
    assert read[-1].done == read[-1].total, "the history is read once, before the first text"
    for text, each in zip(TEXTS, found, strict=True):
        assert each.total == pytest.approx(by_hand(judge, text), abs=TOLERANCE)
    assert found[-1] == Likelihood(0.0, 0) and found[-1].mean == 0.0
    assert all(each.total < 0 and math.isclose(each.mean * each.tokens, each.total) for each in found[:-1])


def test_the_order_of_the_texts_makes_no_difference(judge: LlamaModel):
    there, _ = drive(judge.likelihoods(START, TOOLS, TEXTS))
    back, _ = drive(judge.likelihoods(START, TOOLS, TEXTS[::-1]))
    assert [each.total for each in back[::-1]] == pytest.approx([each.total for each in there], abs=TOLERANCE)


def test_nothing_is_left_of_the_texts(judge: LlamaModel):
    expected, _ = drive(judge.stream(START, TOOLS, SHORT))
    drive(judge.likelihoods(START, TOOLS, TEXTS))
    live = list(judge._live.tokens)
    assert live == judge._transcript.prompt(START, TOOLS, False).tokens
    again, _ = drive(judge.stream(START, TOOLS, SHORT))
    assert again.usage.evaluated == 0, "the reply begins where the texts began"
    assert again.message == expected.message
    more, _ = drive(judge.likelihoods([*START, again.message, *START[1:]], TOOLS, TEXTS[:1]))
    assert more[0].total < 0


def test_one_that_is_stopped_midway_leaves_a_usable_model(judge: LlamaModel):
    expected, _ = drive(judge.stream(START, TOOLS, SHORT))
    asking = judge.likelihoods(START, TOOLS, TEXTS)
    next(asking)
    asking.close()
    again, _ = drive(judge.stream(START, TOOLS, SHORT))
    assert again.message == expected.message


def test_a_failure_midway_takes_back_what_was_evaluated(engine: Engine):
    class Failing(LiveState):
        def extend(self, tokens: Sequence[int], outputs: int) -> None:
            super().extend(tokens, outputs)
            if len(self.tokens) > 12:
                raise KeyboardInterrupt

    engine.clear()
    live = Failing(engine, 1 << 20)
    live.extend(list(range(10)), outputs=1)
    live.checkpoint(logits=True)
    with pytest.raises(KeyboardInterrupt):
        likelihood(live, list(range(20, 30)), outputs=1)
    assert list(live.tokens) == list(range(10))
    engine.clear()


def test_what_does_not_fit_is_said_before_anything_is_read(judge: LlamaModel):
    with pytest.raises(HistoryTooLong, match="the context holds 4,096"):
        drive(judge.likelihoods(START, TOOLS, ["fine", "word " * 5000]))


def test_who_can_judge(judge: LlamaModel):
    asked: Judges = judge
    assert isinstance(asked, Judges)
    assert not isinstance(ScriptedModel([]), Judges)
