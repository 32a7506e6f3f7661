"""Families of attention alone, for `build_model`: tensors, hyperparameters, special tokens, a short chat template each.

The templates are ours, in the shape that each family's own has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import gguf

if TYPE_CHECKING:
    from build_model import Shape

CONTROL, USER_DEFINED = 3, 4  # token types of the GGUF specification

HEADERS = """{{- bos_token -}}
{%- for message in messages -%}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}
"""
CHATML = """{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""


@dataclass(frozen=True, slots=True)
class Family:
    """`pre`: how words are cut. `normed`: queries and keys are; `biased`: they and the values have biases."""

    architecture: str
    pre: str
    template: str
    bos: str
    eos: str
    special: Mapping[str, int] = field(default_factory=dict[str, int])
    adds_bos: bool = False
    normed: bool = False
    biased: bool = False
    experts: bool = False


_LLAMA = dict.fromkeys(
    (
        *("<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|finetune_right_pad_id|>"),
        *("<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"),
    ),
    CONTROL,
)
_QWEN = {
    **dict.fromkeys(("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"), CONTROL),
    **dict.fromkeys(("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_suffix|>", "<|file_sep|>"), USER_DEFINED),
}
FAMILIES = {
    "llama": Family("llama", "llama-bpe", HEADERS, "<|begin_of_text|>", "<|eot_id|>", _LLAMA, adds_bos=True),
    "qwen2": Family("qwen2", "qwen2", CHATML, "<|endoftext|>", "<|im_end|>", _QWEN, biased=True),
    "qwen3": Family("qwen3", "qwen2", CHATML, "<|endoftext|>", "<|im_end|>", _QWEN, normed=True),
    "qwen3moe": Family("qwen3moe", "qwen2", CHATML, "<|endoftext|>", "<|im_end|>", _QWEN, normed=True, experts=True),
}


def tensors(shape: "Shape", family: Family) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Yield every tensor, as `build_model.tensors` does. The layers between attention are `expert_width` wide."""
    query, kv = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    width, inner = shape.width, shape.expert_width
    yield "token_embd.weight", (shape.vocab, width), "matrix"
    yield "output_norm.weight", (width,), "norm"
    if not shape.tied:
        yield "output.weight", (shape.vocab, width), "head"
    for number in range(shape.blocks):
        block = f"blk.{number}."
        yield block + "attn_norm.weight", (width,), "norm"
        yield block + "ffn_norm.weight", (width,), "norm"
        for name, size in (("q", query), ("k", kv), ("v", kv)):
            yield f"{block}attn_{name}.weight", (size, width), "matrix"
            if family.biased:
                yield f"{block}attn_{name}.bias", (size,), "plain"
        yield block + "attn_output.weight", (width, query), "matrix"
        if family.normed:
            yield block + "attn_q_norm.weight", (shape.head_size,), "norm"
            yield block + "attn_k_norm.weight", (shape.head_size,), "norm"
        if family.experts:
            yield block + "ffn_gate_inp.weight", (shape.experts, width), "plain"
        each, ending = ((shape.experts,), "_exps") if family.experts else ((), "")
        for name in ("ffn_gate", "ffn_up"):
            yield f"{block}{name}{ending}.weight", (*each, inner, width), "matrix"
        yield f"{block}ffn_down{ending}.weight", (*each, width, inner), "matrix"


def describe(writer: gguf.GGUFWriter, shape: "Shape", family: Family, tokens: Sequence[str]) -> None:
    """Write the hyperparameters, and what the vocabulary's own tokens are for."""
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.blocks)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    if shape.heads * shape.head_size != shape.width:
        writer.add_key_length(shape.head_size)
        writer.add_value_length(shape.head_size)
    writer.add_rope_dimension_count(shape.head_size)
    writer.add_rope_freq_base(5e5)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_feed_forward_length(shape.expert_width)
    if family.experts:
        writer.add_expert_count(shape.experts)
        writer.add_expert_used_count(shape.experts_used)
        writer.add_expert_feed_forward_length(shape.expert_width)
    writer.add_eos_token_id(tokens.index(family.eos))
    writer.add_bos_token_id(tokens.index(family.bos))
    writer.add_add_bos_token(family.adds_bos)
    writer.add_chat_template(family.template)
    for key in ("temp", "top_p"):  # with less chance random weights go round in circles
        writer.add_float32(f"general.sampling.{key}", 1.0)
