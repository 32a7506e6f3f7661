"""The head of a published file that is not here: what it would say of its shape, and about the size of its tensors."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qwencode.model.catalogue import Entry, catalogue
from qwencode.model.llama.gguf_header import FAMILY, PROJECTOR, Array, Header

_STRING = 8
_DENSE_BITS = 8.5
"""Bits of a weight outside of the experts, which the usual files of a mixture of experts keep at about 8, whatever they
are called. For UD-Q4_K_XL that gives 0.46 GiB of experts a block, as people report who move them."""
_STATE, _KERNEL, _INTERVAL = 128, 4, 4  # the same for the whole family


def header_of(entry: Entry) -> Header | None:
    """Return what is known of an entry's head, enough to fit it to a machine; None for what is no model, or of no size.

    The sizes of single tensors are estimates; that of the file is as published.
    """
    shape = catalogue().shapes[entry.shape]
    if not entry.size or shape["architecture"] == PROJECTOR:
        return None
    architecture: str = shape["architecture"]
    blocks = shape["block_count"] + entry.mtp
    counts = {
        **{key: value for key, value in shape.items() if type(value) is int},
        "block_count": blocks,
        "nextn_predict_layers": int(entry.mtp),
        "attention.head_count": shape["head_count"],
        "attention.head_count_kv": shape["head_count_kv"],
        "attention.key_length": shape["head_length"],
        "attention.value_length": shape["head_length"],
    }
    if architecture in FAMILY:
        counts |= {
            "full_attention_interval": _INTERVAL,
            "ssm.conv_kernel": _KERNEL,
            "ssm.state_size": _STATE,
            "ssm.group_count": shape["group_count"],
            "ssm.time_step_rank": shape["time_step_rank"],
            "ssm.inner_size": shape["time_step_rank"] * _STATE,
        }
    metadata: dict[str, Any] = {f"{architecture}.{key}": value for key, value in counts.items()}
    metadata |= {
        "general.architecture": architecture,
        "tokenizer.ggml.tokens": Array(_STRING, shape["vocabulary"]),
        "tokenizer.ggml.merges": Array(_STRING, shape["vocabulary"]),  # a few less
    }
    tensors = _sized(dict(_weights(shape, entry.mtp)), entry.size)
    return Header(Path(entry.file), metadata, entry.size, tensors)


def _weights(shape: Mapping[str, Any], mtp: bool) -> Iterator[tuple[str, int]]:
    """Yield the larger tensors of a shape with their numbers of weights. Norms and biases count for nothing."""
    width, words = shape["embedding_length"], shape["vocabulary"]
    yield "token_embd.weight", width * words
    if not shape.get("tied"):
        yield "output.weight", width * words
    family = shape["architecture"] in FAMILY
    for block in range(shape["block_count"] + mtp):
        is_head = block == shape["block_count"]
        heads = (2 + family) * shape["head_count"] + 2 * shape["head_count_kv"]  # the family's have gates
        if not family or is_head or block % _INTERVAL == _INTERVAL - 1:
            yield f"blk.{block}.attn.weight", width * heads * shape["head_length"]
        else:
            value = shape["time_step_rank"] * _STATE
            yield f"blk.{block}.ssm.weight", width * (2 * shape["group_count"] * _STATE + 3 * value)
        if experts := shape.get("expert_count", 0):
            one = width * shape["expert_feed_forward_length"]
            yield from ((f"blk.{block}.ffn_{unit}_exps.weight", one * experts) for unit in ("up", "down", "gate"))
            yield f"blk.{block}.ffn_shexp.weight", 3 * width * shape.get("expert_shared_feed_forward_length", 0)
        else:
            yield f"blk.{block}.ffn.weight", 3 * width * shape["feed_forward_length"]
        if is_head:
            yield f"blk.{block}.nextn.eh_proj.weight", 2 * width * width


def _sized(weights: Mapping[str, int], size: int) -> dict[str, int]:
    """Return the bytes of each tensor: experts take what the other weights, at their usual precision, leave over."""
    experts = {name: count for name, count in weights.items() if "_exps" in name}
    dense = sum(weights.values()) - sum(experts.values())
    bits = size * 8 / sum(weights.values())
    if not experts or bits >= _DENSE_BITS:
        return {name: int(count * bits / 8) for name, count in weights.items()}
    left = (size * 8 - dense * _DENSE_BITS) / sum(experts.values())
    return {name: int(count * (left if name in experts else _DENSE_BITS) / 8) for name, count in weights.items()}
