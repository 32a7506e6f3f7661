"""The bindings: tokens there and back, states that come back bit for bit."""

import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.model.llama.library import Engine, build
from qwencode.model.llama.vocabulary import CONTROL, USER_DEFINED


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_text_comes_back_from_its_tokens(engine: Engine, text: str) -> None:
    tokens = engine.tokenize(text, special=False)
    data = text.encode("utf-8", "surrogatepass")
    assert b"".join(map(engine.piece, tokens)) == data or "\ufffd" in text or not text.isprintable()
    assert not any(engine.attributes(token) & CONTROL for token in tokens)


def test_control_tokens_have_no_text(engine: Engine) -> None:
    (end,) = engine.tokenize("<|im_end|>", special=True)
    assert engine.piece(end) == b""
    assert engine.piece(end, special=True) == b"<|im_end|>"
    (call,) = engine.tokenize("<tool_call>", special=False)
    assert engine.piece(call) == b"<tool_call>"
    assert engine.attributes(call) & USER_DEFINED


def test_a_state_comes_back_bit_for_bit(engine: Engine) -> None:
    engine.clear()
    tokens = engine.tokenize("def add(a, b):\n    return a + b\n" * 8, False)[:100]
    engine.decode(tokens[:64], 0, outputs=0)
    state = engine.save()
    engine.decode(tokens[64:], 64, outputs=1)
    first = engine.logits().copy()
    assert engine.restore(state, 64)
    assert (engine.save() == state).all()
    engine.decode(tokens[64:], 64, outputs=1)
    assert (engine.logits() == first).all()
    assert np.ptp(first) > 5  # logits of a model, not of an empty one


def test_it_depends_on_what_came_before(engine: Engine) -> None:
    rows = []
    for text in ("one two three", "six two three"):
        engine.clear()
        tokens = engine.tokenize(text, False)
        engine.decode(tokens, 0, outputs=1)
        rows.append(engine.logits().copy())
    assert np.abs(rows[0] - rows[1]).max() > 0.1


def test_a_state_of_another_size_is_refused(engine: Engine) -> None:
    engine.clear()
    engine.decode([1, 2, 3], 0, outputs=0)
    assert not engine.restore(engine.save()[:-8], 3)
    engine.clear()


def test_the_build_is_the_same_before_and_after_a_model_was_loaded(engine: Engine) -> None:
    code = "from qwencode.model.llama.library import build; print(build())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == build() + "\n"
    assert "libllama" in build()
