"""The architecture in PyTorch: the chunks compute the recurrence, nothing sees the future, llama.cpp agrees."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is not set up; see docs/builtin-model.md")

from builtin import export, model, tokens  # noqa: E402
from qwencode.model.llama.fit import Fit  # noqa: E402
from qwencode.model.llama.gguf_header import check  # noqa: E402
from qwencode.model.llama.library import Engine  # noqa: E402

pytestmark = pytest.mark.slow
TEXT = """def f(x, y_2, *rest):
    if x <= 31 and y_2:
        return [y + 1 for y in x.items()]  # é
    return "ä\\t" + str(rest[2:-1])
"""
CHAT = f"<|im_start|>user\n{TEXT}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n<tool_call>"


@pytest.fixture(scope="module")
def words() -> tokens.Vocabulary:
    return tokens.learn([TEXT, Path(model.__file__).read_text(encoding="utf-8")] * 4, model.SHAPE.vocab)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return model.initial(model.SHAPE, torch.Generator().manual_seed(3))


@pytest.mark.parametrize("time", [1, 31, 32, 33, 100])
def test_chunks_compute_the_recurrence(time: int) -> None:
    chance = torch.Generator().manual_seed(time)
    query, key, value = (torch.randn(2, 3, time, 8, generator=chance, dtype=torch.float64) for _ in range(3))
    key = torch.nn.functional.normalize(key, dim=-1)
    decay = -torch.rand(2, 3, time, generator=chance, dtype=torch.float64)
    strength = torch.rand(2, 3, time, generator=chance, dtype=torch.float64)
    state, rows = torch.zeros(2, 3, 8, 8, dtype=torch.float64), []
    for now in range(time):
        state = state * decay[..., now, None, None].exp()
        seen = key[:, :, now, None] @ state
        state = state + key[:, :, now, :, None] * ((value[:, :, now, None] - seen) * strength[..., now, None, None])
        rows.append((query[:, :, now, None] @ state)[:, :, 0])
    found = model.chunked(query, key, value, decay, strength)
    assert torch.allclose(found, torch.stack(rows, 2), atol=1e-10)


def test_nothing_sees_the_future(weights: dict[str, torch.Tensor]) -> None:
    first = torch.arange(80)[None] % 50
    second = first.clone()
    second[0, 60:] = 7
    with torch.no_grad():
        one, two = (model.forward(weights, model.SHAPE, part)[0] for part in (first, second))
    assert torch.allclose(one[0, :60], two[0, :60], atol=1e-5)
    assert not torch.allclose(one[0, 60:], two[0, 60:], atol=1e-2)


def test_llama_cpp_reads_the_same_tokens(words: tokens.Vocabulary, weights: dict[str, torch.Tensor], tmp_path: Path):
    path = tmp_path / "fresh.gguf"
    export.export(path, weights, words)
    engine = Engine(path, Fit(context=1024, threads=1, batch=256))
    read = words.tokenizer()
    try:
        for text in (
            TEXT,
            CHAT,
            Path(__file__).read_text(encoding="utf-8")[:4000],
            "\r\n\t x  =1\n\n\n  'll_9 12345\n",
        ):
            assert engine.tokenize(text, True) == read.encode(text).ids
    finally:
        engine.close()


@pytest.mark.parametrize(("stored", "bound"), [("f16", 5e-3), ("q8_0", 0.1)])
def test_llama_cpp_gives_the_same_logits(
    words: tokens.Vocabulary, weights: dict[str, torch.Tensor], tmp_path: Path, stored: str, bound: float
) -> None:
    """All experts are used: untrained ones are chosen by chances that hardly differ, so that rounding decides."""
    path, shape = tmp_path / "fresh.gguf", replace(model.SHAPE, experts_used=model.SHAPE.experts)
    export.export(path, weights, words, stored, shape)
    assert check(path).architecture == "qwen35moe"
    ids = words.tokenizer().encode(CHAT).ids
    engine = Engine(path, Fit(context=1024, threads=1, batch=256))
    try:
        engine.decode(ids, 0, 1)
        found = np.array(engine.logits())
    finally:
        engine.close()
    with torch.no_grad():
        state, _ = model.forward(weights, shape, torch.tensor([ids]))
        wanted = (state[0, -1] @ weights["token_embd.weight"].T).numpy()
    assert np.linalg.norm(found - wanted) <= bound * np.linalg.norm(wanted)
