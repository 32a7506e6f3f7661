"""What a fit says, the engine does; and a context beyond the memory is refused before anything is loaded."""

import ctypes
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from qwencode.errors import ModelUnavailable
from qwencode.model.llama.fit import Fit, cache_bytes, check_memory
from qwencode.model.llama.fitting import Wishes, fit
from qwencode.model.llama.ggml import experts_on_cpu, function
from qwencode.model.llama.gguf_header import Header, check
from qwencode.model.llama.library import Engine, lib
from qwencode.model.llama.machine import Machine

SMALL = Fit(context=512, threads=1, batch=64)
TEXT = "def double(number):\n    return number + number\n"


def attention_only() -> Header:
    values = {"block_count": 40, "attention.head_count_kv": 2, "attention.key_length": 256}
    values |= {"attention.value_length": 256, "full_attention_interval": 4}
    metadata = {f"qwen35moe.{key}": value for key, value in values.items()}
    return Header(Path("x.gguf"), {"general.architecture": "qwen35moe", **metadata}, 1)


def test_the_advice_names_a_context_that_fits() -> None:
    header, long = attention_only(), Fit(context=262_144, threads=1)
    with pytest.raises(ModelUnavailable, match=r"needs 5.0 GiB .* 2.0 GiB .* `context` to 104,448 at most"):
        check_memory(header, long, 2 << 30)
    check_memory(header, replace(long, context=104_448), 2 << 30)
    check_memory(header, long, 0)
    check_memory(header, replace(long, gpu_layers=-1), 1 << 30)
    with pytest.raises(ModelUnavailable, match="smaller model"):
        check_memory(header, long, 1)


def test_a_cache_of_8_bits_takes_17_of_32_parts() -> None:
    header = attention_only()
    assert cache_bytes(header, 65_536, "f16") == 1280 << 20
    assert cache_bytes(header, 65_536, "q8_0") == 680 << 20
    assert cache_bytes(header, 65_530, "f16") == 1280 << 20
    eight = Fit(context=196_608, threads=1, cache_type="q8_0")
    check_memory(header, eight, 2 << 30)
    with pytest.raises(ModelUnavailable, match=r"`context` to 196,608 at most"):
        check_memory(header, replace(eight, context=262_144), 2 << 30)


def logits_and_size(path: Path, fit: Fit) -> tuple[np.ndarray, int]:
    engine = Engine(path, fit)
    tokens = engine.tokenize(TEXT, special=False)
    engine.decode(tokens, 0, outputs=1)
    found = engine.logits().copy(), engine.dump().nbytes
    engine.close()
    return found


def test_the_cache_is_of_the_type_that_was_chosen(tiny: Path) -> None:
    whole, size = logits_and_size(tiny, SMALL)
    eight, smaller = logits_and_size(tiny, replace(SMALL, cache_type="q8_0"))
    header, count = check(tiny), size_in_tokens(tiny)
    saved = (header.cache_bytes - header.cache_bytes * 34 // 64) * count
    assert size - smaller == saved
    assert np.abs(whole - eight).max() < 0.05 * np.abs(whole).max()


def size_in_tokens(path: Path) -> int:
    engine = Engine(path, SMALL)
    count = len(engine.tokenize(TEXT, special=False))
    engine.close()
    return count


def test_a_cache_type_that_does_not_suit_the_heads_is_one_sentence(builder: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    builder.build(path, replace(builder.PRESETS["tiny"], head_size=48))
    logits_and_size(path, SMALL)
    with pytest.raises(ModelUnavailable, match=r"512 tokens with q8_0 cache cannot be made: .* llama.cpp says: "):
        Engine(path, replace(SMALL, cache_type="q8_0"))


def test_so_many_tokens_can_be_taken_back(tiny: Path) -> None:
    engine = Engine(tiny, replace(SMALL, draft_tokens=3))
    assert lib.llama_n_rs_seq(engine._context) == 3
    engine.decode(engine.tokenize(TEXT, special=False)[:10], 0, outputs=1)
    memory = lib.llama_get_memory(engine._context)
    assert not lib.llama_memory_seq_rm(memory, 0, 6, -1)
    assert lib.llama_memory_seq_rm(memory, 0, 7, -1)
    engine.close()


def test_the_experts_of_the_first_blocks_are_named(tiny: Path) -> None:
    overrides = experts_on_cpu(2)
    assert overrides[2].pattern is None
    assert overrides[2].buffer_type is None
    name = function("ggml_backend_buft_name", ctypes.c_char_p, ctypes.c_void_p)
    assert {name(overrides[at].buffer_type) for at in (0, 1)} == {b"CPU"}
    patterns = [re.compile(overrides[at].pattern.decode()) for at in (0, 1)]
    tensors = check(tiny).tensors
    found = {tensor for tensor in tensors if any(pattern.search(tensor) for pattern in patterns)}
    assert found == {f"blk.{block}.ffn_{unit}_exps.weight" for block in (0, 1) for unit in ("up", "down", "gate")}


def test_llama_cpp_follows_the_names(tiny: Path) -> None:
    """Without a GPU nothing changes its place, so llama.cpp's own account is what can be seen."""
    lines: list[str] = []

    @lib.llama_log_callback
    def log(_: int, text: bytes, __: object) -> None:
        lines.append(text.decode("utf-8", "replace"))

    lib.llama_log_set(log, ctypes.c_void_p(0))
    parameters = lib.llama_model_default_params()
    overrides = experts_on_cpu(2)
    parameters.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)
    model = lib.llama_model_load_from_file(str(tiny).encode(), parameters)
    lib.llama_model_free(model)
    overridden = [line.split()[1] for line in lines if "overridden to CPU" in line]
    assert sorted(overridden) == sorted(
        f"blk.{block}.ffn_{unit}_exps.weight" for block in (0, 1) for unit in ("up", "down", "gate")
    )
    plain, _ = logits_and_size(tiny, SMALL)  # which takes the log back
    moved, _ = logits_and_size(tiny, replace(SMALL, cpu_experts=2, gpu_layers=-1))
    assert np.array_equal(plain, moved)


def test_a_draft_is_shorter_by_two_than_a_batch(tiny: Path) -> None:
    """llama.cpp ends the process otherwise."""
    with pytest.raises(ValueError, match="batches of 17"):
        Fit(context=256, threads=1, batch=16, draft_tokens=15)
    header = check(tiny)
    for batch in (1, 2, 3, 16):
        plan = fit(header, Machine(1, 1 << 34, 1 << 34, ()), Wishes(batch=batch, context=256))
        assert plan.draft_tokens == max(0, batch - 2)
        engine = Engine(tiny, plan)
        for start in range(0, 64, batch):
            engine.decode(list(range(5, 5 + batch)), start, 1)
        engine.close()
