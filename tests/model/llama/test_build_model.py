"""The builder: the same bytes for the same arguments, Qwen's special tokens, and every kind of weights runs."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import gguf
import numpy as np
import pytest

from qwencode.model.llama.fit import Fit
from qwencode.model.llama.gguf_header import check
from qwencode.model.llama.library import Engine
from qwencode.model.llama.vocabulary import CONTROL, USER_DEFINED

OFFICIAL = {
    "<|endoftext|>": 0,
    "<|im_start|>": 1,
    "<|im_end|>": 2,
    "<|vision_start|>": 9,
    "<|vision_end|>": 10,
    "<|image_pad|>": 12,
    "<|video_pad|>": 13,
    "<tool_call>": 14,
    "</tool_call>": 15,
    "<tool_response>": 22,
    "</tool_response>": 23,
    "<think>": 24,
    "</think>": 25,
}
"""Place of each special token after the first one, whose id in the real vocabulary is 248,044."""


def test_the_same_seed_gives_the_same_bytes(builder: ModuleType, tiny: Path, tmp_path: Path) -> None:
    builder.build(tmp_path / "again.gguf", builder.PRESETS["tiny"], name="random-tiny")
    assert (tmp_path / "again.gguf").read_bytes() == tiny.read_bytes()
    builder.build(tmp_path / "other.gguf", builder.PRESETS["tiny"], seed=1, name="random-tiny")
    assert (tmp_path / "other.gguf").read_bytes() != tiny.read_bytes()
    assert tiny.stat().st_size < 3_000_000
    assert not list(tmp_path.glob("*.part"))


def test_special_tokens_have_their_official_order_and_roles(engine: Engine) -> None:
    (first,) = engine.tokenize("<|endoftext|>", special=True)
    for text, place in OFFICIAL.items():
        (token,) = engine.tokenize(text, special=True)
        assert token - first == place
        wanted = CONTROL if text.startswith("<|") else USER_DEFINED
        assert engine.attributes(token) & (CONTROL | USER_DEFINED) == wanted
        assert (token in engine.tokenize(text, special=False)) == (wanted == USER_DEFINED)


@pytest.mark.slow
def test_the_full_shape_has_the_official_ids_and_tensors(builder: ModuleType) -> None:
    full = builder.PRESETS["full"]
    tokens, types, _ = builder.vocabulary(full)
    assert len(tokens) == len(types) == len(set(tokens)) == 248_320
    assert {text: tokens.index(text) - 248_044 for text in OFFICIAL} == OFFICIAL
    listed = list(builder.tensors(full))
    assert len(listed) == 733
    bits = 0
    for _, size, kind in listed:
        values, width = gguf.GGML_QUANT_SIZES[builder.stored_as(kind, size, full.weights)]
        bits += 8 * int(np.prod(size)) // values * width
    parameters = sum(int(np.prod(size)) for _, size, _ in listed)
    assert parameters == pytest.approx(34.7e9, rel=0.01)
    assert bits / parameters == pytest.approx(3.44, abs=0.05)


@pytest.mark.parametrize("weights", ["f16", "q8_0", "q6_k", "q4_k", "q3_k"])
def test_every_kind_of_weights_runs(builder: ModuleType, tmp_path: Path, weights: str) -> None:
    path = tmp_path / f"{weights}.gguf"
    shape = replace(builder.PRESETS["tiny"], width=256, expert_width=256, weights=weights)
    builder.build(path, shape)
    check(path)
    engine = Engine(path, Fit(context=256, threads=1, batch=64))
    engine.decode(engine.tokenize("def add(a, b): return a + b", False), 0, outputs=1)
    logits = engine.logits()
    assert np.isfinite(logits).all()
    assert 1 < logits.std() < 20
    matrices = {t.tensor_type.name for t in gguf.GGUFReader(path).tensors if "attn_qkv" in t.name}
    assert matrices == {weights.upper()}
    engine.close()


@pytest.mark.slow
def test_as_a_program(builder: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "small.gguf"
    command = [sys.executable, str(builder.__file__), "--preset", "tiny", "--experts", "8", "--seed", "3", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{out.stat().st_size:,} bytes" in done.stdout
    assert check(out).count("expert_count") == 8
    for wrong in (["--blocks", "3"], ["--experts-used", "9"], ["--vocab", "100"]):
        done = subprocess.run([*command, *wrong], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "was not written" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["small.gguf"]
