"""The choice for machines of all sizes, with the published shape of the 35B, and what no choice may do."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qwencode.errors import ModelUnavailable
from qwencode.model.llama.catalogue import resized, sizes_35b, smaller
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.fitting import Wishes, describe, fit, with_mtp
from qwencode.model.llama.footprint import Scale, room, tables_bytes
from qwencode.model.llama.gguf_header import Array, Header
from qwencode.model.llama.machine import Gpu, Machine

GIB = 1 << 30
Q4 = 22_360_456_160
NONE = Wishes()
PUBLISHED = sizes_35b()
COUNTS = {"block_count": 40, "context_length": 262_144, "embedding_length": 2048, "attention.head_count_kv": 2}
COUNTS |= {"attention.key_length": 256, "attention.value_length": 256, "full_attention_interval": 4}
COUNTS |= {"ssm.conv_kernel": 4, "ssm.state_size": 128, "ssm.group_count": 16, "ssm.time_step_rank": 32}
COUNTS |= {"ssm.inner_size": 4096, "expert_count": 256, "expert_feed_forward_length": 512}
VOCABULARY = Array(8, 248_320)


def tensors() -> Iterator[tuple[str, int]]:
    """Yield the matrices of the 35B with their numbers of weights."""
    yield from (("token_embd.weight", 2048 * 248_320), ("output.weight", 2048 * 248_320), ("output_norm.weight", 2048))
    for block in range(40):
        mixer = 2048 * (8192 + 2 * 512) if block % 4 == 3 else 2048 * (8192 + 4096)
        yield f"blk.{block}.mixer.weight", mixer + 4096 * 2048
        yield f"blk.{block}.ffn_up_shexp.weight", 3 * 2048 * 512
        yield from ((f"blk.{block}.ffn_{unit}_exps.weight", 2048 * 512 * 256) for unit in ("up", "down", "gate"))


def published(file_size: int = Q4, architecture: str = "qwen35moe", **counts: int) -> Header:
    metadata = {f"{architecture}.{key}": value for key, value in {**COUNTS, **counts}.items()}
    metadata |= {"general.architecture": architecture, "tokenizer.ggml.tokens": VOCABULARY}
    weights = dict(tensors())
    return resized(Header(Path("big.gguf"), metadata, sum(weights.values()), weights), file_size)


def machine(free: float, *gpus: float, shared: bool = False) -> Machine:
    cards = tuple(Gpu(f"card {number}", int(size * GIB), shared) for number, size in enumerate(gpus))
    return Machine(8, int(free * GIB), int(free * GIB), cards)


def test_the_shape_is_that_of_the_facts() -> None:
    header = published()
    assert header.cache_bytes == 20 << 10
    assert round(header.state_bytes / 2**20, 2) == 62.81
    assert sum(published().tensors.values()) == pytest.approx(Q4, rel=1e-6)


def test_the_compute_buffer_is_at_least_what_llama_cpp_takes() -> None:
    """What it reserved on the CPU for this shape: context, batch, drafts, MiB."""
    measured = [(8192, 256, 8, 40.01), (8192, 512, 8, 80.02), (65_536, 256, 8, 68.01), (65_536, 512, 8, 150.21)]
    scale = Scale(published(), machine(64))
    for context, batch, drafts, mib in measured:
        plan = Fit(context=context, threads=1, batch=batch, draft_tokens=drafts, checkpoint_bytes=0)
        cache, states = context * (20 << 10), (1 + drafts) * published().state_bytes
        compute = scale.weigh(plan).main - Q4 - cache - states - tables_bytes(published(), plan)
        assert mib <= compute / 2**20 <= 1.6 * mib


@pytest.mark.parametrize(
    ("size", "where", "context", "experts", "drafts", "checkpoints"),
    [
        (Q4, machine(28), 65_536, 0, 15, 32),
        (Q4, machine(23.5), 65_536, 0, 0, 4),
        (Q4, machine(60), 131_072, 0, 15, 32),
        (Q4, machine(28, 7.5), 65_536, 33, 8, 32),
        (Q4, machine(28, 11.5), 65_536, 25, 8, 32),
        (Q4, machine(28, 15.5), 65_536, 17, 8, 32),
        (Q4, machine(28, 23.5), 65_536, 0, 8, 32),
        (Q4, machine(12, 23.5), 65_536, 0, 8, 32),
        (Q4, machine(28, 31.5), 131_072, 0, 8, 32),
        (Q4, machine(28, 15.5, 15.5), 131_072, 0, 8, 32),
        (PUBLISHED["Qwen3.6-35B-A3B-UD-IQ2_XXS.gguf"], machine(14), 65_536, 0, 15, 8),
        (PUBLISHED["Qwen3.6-35B-A3B-UD-IQ4_XS.gguf"], machine(20), 65_536, 0, 7, 8),
        (PUBLISHED["Qwen3.6-35B-A3B-UD-Q6_K_XL.gguf"], machine(60), 65_536, 0, 15, 32),
    ],
)
def test_machines(size: int, where: Machine, context: int, experts: int, drafts: int, checkpoints: int) -> None:
    header = published(size)
    found = fit(header, where, NONE)
    counted = found.checkpoint_bytes // header.state_bytes
    assert (found.context, found.cpu_experts, found.draft_tokens, counted) == (context, experts, drafts, checkpoints)
    assert (found.cache_type, found.batch, found.threads) == ("f16", 256 if drafts == 0 else 512, 8)
    assert found.gpu_layers == (41 if where.gpus else 0)


@pytest.mark.parametrize(
    ("size", "where", "advice"),
    [
        (Q4, machine(6.5), "a smaller model is needed"),
        (Q4, machine(14), r"Qwen3.6-35B-A3B-UD-Q2_K_XL.gguf \(11.4 GiB\) would fit"),
        (Q4, machine(21), r"Qwen3.6-35B-A3B-UD-IQ4_NL.gguf \(16.8 GiB\) would fit"),
        (Q4, machine(10, 7.5), r"Qwen3.6-35B-A3B-UD-Q3_K_S.gguf \(14.3 GiB\) would fit"),
        (PUBLISHED["Qwen3.6-35B-A3B-UD-IQ2_XXS.gguf"], machine(6.5), "a smaller model is needed"),
    ],
)
def test_what_cannot_fit_is_refused_with_what_would(size: int, where: Machine, advice: str) -> None:
    with pytest.raises(ModelUnavailable, match=rf"^big.gguf with .* needs [\d.]+ GiB of main memory.*: {advice}\.$"):
        fit(published(size), where, NONE)


def test_a_busy_machine_is_told_to_end_other_programs() -> None:
    other = published(2 * GIB, "qwen35", embedding_length=2560, block_count=32)
    assert not smaller(other)
    with pytest.raises(ModelUnavailable, match="end other programs, or use a smaller model"):
        fit(other, replace(machine(1), total=8 * GIB), NONE)


def test_a_context_that_was_set_is_kept_or_refused() -> None:
    header = published()
    assert fit(header, machine(28), Wishes(context=100_000)).context == 100_000
    assert fit(header, machine(64), Wishes(context=1 << 20)).context == 262_144
    eight = fit(header, machine(25.5), Wishes(context=196_608))
    assert (eight.context, eight.cache_type) == (196_608, "q8_0")
    with pytest.raises(ModelUnavailable, match=r"set `context` to ([\d,]+) at most") as refused:
        fit(header, machine(24), Wishes(context=262_144))
    most = int(str(refused.value).split("`context` to ")[1].split(" ")[0].replace(",", ""))
    assert fit(header, machine(24), Wishes(context=most)).context == most
    with pytest.raises(ModelUnavailable):
        fit(header, machine(24), Wishes(context=most + 1024))


def test_a_short_context_may_have_a_cache_of_8_bits() -> None:
    found = fit(published(), machine(22.6), NONE)
    assert (found.context, found.cache_type) == (32_768, "q8_0")
    with pytest.raises(ModelUnavailable):
        fit(published(), machine(22.6), Wishes(context=32_768, cache_type="f16"))


def test_every_wish_is_kept() -> None:
    wishes = Wishes(16_384, 3, 128, 41, 40, "q8_0", 2)
    found = fit(published(), machine(28, 11.5), wishes)
    chosen = (found.context, found.threads, found.batch, found.gpu_layers, found.cpu_experts, found.cache_type)
    assert (*chosen, found.draft_tokens) == (16_384, 3, 128, 41, 40, "q8_0", 2)
    assert fit(published(), machine(28, 11.5), Wishes(gpu_layers=0)).gpu_layers == 0
    assert fit(published(), machine(28), Wishes(batch=4)).draft_tokens == 2
    with pytest.raises(ModelUnavailable, match="leave `gpu_layers` and `cpu_experts` unset"):
        fit(published(), machine(28, 7.5), Wishes(gpu_layers=41, cpu_experts=0))


def test_a_small_gpu_gets_the_last_blocks() -> None:
    found = fit(published(), machine(28, 3.5), NONE)
    assert found.cpu_experts == 40
    assert 10 < found.gpu_layers < 41
    assert fit(published(), machine(28, 0.2), NONE).gpu_layers == 0


def test_a_dense_model_is_divided_by_blocks() -> None:
    header = published(8 * GIB, "qwen35", block_count=64, embedding_length=5120, feed_forward_length=17_408)
    weights = {f"blk.{block}.ffn_up.weight": 7 * GIB // 64 for block in range(64)} | {"output.weight": GIB // 2}
    found = fit(replace(header, tensors=weights), machine(28, 7.5), NONE)
    assert found.cpu_experts == 0
    assert 20 < found.gpu_layers < 65


def test_memory_that_a_gpu_shares_is_counted_once() -> None:
    header = published(PUBLISHED["Qwen3.6-35B-A3B-UD-Q3_K_XL.gguf"])
    found = fit(header, machine(23, 17.5, shared=True), NONE)
    assert found.context == 65_536
    with pytest.raises(ModelUnavailable):
        fit(published(), machine(18, 13, shared=True), NONE)


def test_unknown_memory_refuses_nothing() -> None:
    found = fit(published(), machine(0), NONE)
    assert (found.context, found.cache_type, found.draft_tokens) == (65_536, "f16", 15)
    assert fit(published(), machine(0), Wishes(context=262_144)).context == 262_144


def test_a_model_trained_on_less() -> None:
    assert fit(published(context_length=4096), machine(28), NONE).context == 4096
    assert fit(published(context_length=40_960), machine(28), NONE).context == 32_768


def test_two_sentences_for_the_user() -> None:
    header, where = published(), machine(28, 11.5)
    assert describe(fit(header, where, NONE), header, where) == (
        "Context of 65,536 tokens (f16 cache, 1.2 GiB), 8 threads, batches of 512, drafts of 8, 32 checkpoints. "
        "The weights (20.8 GiB) are on card 0 but for the experts of 25 of 40 blocks."
    )
    assert describe(fit(header, machine(28), NONE), header, machine(28)).endswith("are in main memory.")
    whole = machine(28, 31.5)
    assert describe(fit(header, whole, NONE), header, whole).endswith("are on card 0.")
    small = machine(28, 3.5)
    assert "on card 0 for " in describe(fit(header, small, Wishes(cpu_experts=0)), header, small)


def test_a_head_is_used_where_there_is_room_for_it() -> None:
    metadata = published(block_count=41, nextn_predict_layers=1).metadata
    block = {name.replace("blk.39.", "blk.40."): size for name, size in tensors() if name.startswith("blk.39.")}
    weights = {**dict(tensors()), **block, "blk.40.nextn.eh_proj.weight": 2 * 2048 * 2048}
    header = resized(Header(Path("big-mtp.gguf"), metadata, sum(weights.values()), weights), Q4)
    for where in (machine(28), machine(28, 11.5), machine(28, 31.5)):
        plan = fit(header, where, NONE)
        more = with_mtp(plan, header, where)
        assert more == replace(plan, mtp=True)
        one, other = Scale(header, where).weigh(plan), Scale(header, where).weigh(more)
        cache = plan.context * 2048  # of one block: 2 heads of 512 values, 16 bits
        taken = other.main + sum(other.gpus) - one.main - sum(one.gpus)
        assert cache <= taken < cache + (600 << 20)
        assert "with MTP" in describe(more, header, where)
    plan = fit(header, machine(28), NONE)
    full = machine(0, 0)
    assert with_mtp(plan, header, replace(full, free=GIB)) == plan  # no room
    assert with_mtp(replace(plan, draft_tokens=0), header, machine(28)).mtp is False
    assert with_mtp(plan, published(), machine(28)) == plan  # no head


SIZES = st.floats(0.3, 48)
FILES = st.sampled_from(sorted(PUBLISHED.values()))


def taken_apart(header: Header, found: Fit, where: Machine) -> tuple[float, list[float]]:
    """Return the bytes in main memory and on each GPU, block by block and without the compute buffers."""
    main, cards = float(found.checkpoint_bytes), [0.0] * len(where.gpus)
    total = sum(card.free for card in where.gpus)
    first = 41 - found.gpu_layers
    for layer in range(41):
        names = ["output.weight", "output_norm.weight"]
        if layer < 40:
            names = [name for name in header.tensors if name.startswith(f"blk.{layer}.")]
        bits = {"f16": 1, "q8_0": 34 / 64}[found.cache_type]
        attention = found.context * 2048 * bits
        memory = (
            0 if layer == 40 else attention if layer % 4 == 3 else header.state_bytes / 30 * (1 + found.draft_tokens)
        )
        experts = sum(header.tensors[name] for name in names if "_exps" in name)
        dense = sum(header.tensors[name] for name in names) - experts
        if layer < first:
            main += dense + experts + memory
            continue
        share, card = (layer - first) / found.gpu_layers * total, 0
        while share >= where.gpus[card].free:
            share -= where.gpus[card].free
            card += 1
        cards[card] += dense + memory + (experts if layer >= found.cpu_experts else 0)
        main += experts if layer < found.cpu_experts else 0
    return main + header.tensors["token_embd.weight"], cards


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(FILES, SIZES, st.lists(SIZES, max_size=2))
def test_nothing_takes_more_than_is_free(size: int, free: float, gpus: list[float]) -> None:
    header, where = published(size), machine(free, *gpus)
    try:
        found = fit(header, where, NONE)
    except ModelUnavailable as refused:
        assert size > room(where.free) - 3 * GIB
        assert str(refused).count(". ") == 0
        return
    main, cards = taken_apart(header, found, where)
    assert main <= room(where.free)
    assert all(taken <= room(card.free) for taken, card in zip(cards, where.gpus, strict=True))


def worth(header: Header, found: Fit, where: Machine) -> tuple[int, ...]:
    """Return what a fit gives, most important first."""
    whole = found.gpu_layers == 41 and not found.cpu_experts
    amply = found.draft_tokens >= 8 and found.batch == 512
    place = (found.gpu_layers, -found.cpu_experts)
    checkpoints = found.checkpoint_bytes // header.state_bytes
    rest = (min(checkpoints, 8), found.batch, found.draft_tokens, checkpoints)
    return (found.context, found.cache_type == "f16", whole, whole or amply or not where.gpus, *place, *rest)


@settings(deadline=None, max_examples=60)
@given(FILES, SIZES, SIZES, st.one_of(st.none(), SIZES), st.floats(0, 12))
@example(22_134_528_992, 24.0, 0.5, None, 0.0)  # drafts came before checkpoints, though nothing was divided
@pytest.mark.slow
def test_more_memory_is_never_worse(size: int, free: float, more: float, gpu: float | None, wider: float) -> None:
    header = published(size)
    small = machine(free, *([gpu] if gpu else []))
    large = machine(free + more, *([gpu + wider] if gpu else []))
    try:
        before = fit(header, small, NONE)
    except ModelUnavailable:
        return
    assert worth(header, fit(header, large, NONE), large) >= worth(header, before, small)
