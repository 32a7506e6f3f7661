"""Write a GGUF with random weights: the real engine on a file of any size, in seconds.

    python tools/build_model.py --preset tiny OUT.gguf
    python tools/build_model.py --preset mid --experts 128 --weights q4_k OUT.gguf
    python tools/build_model.py --preset mid --mtp 1 OUT.gguf (with a head for multi-token prediction)
    python tools/build_model.py --preset full OUT.gguf        (the exact shape of the 35B; about 16 GB, streamed)
    python tools/build_model.py --family llama OUT.gguf       (attention alone, with a chat template; see families.py)

The architecture is `qwen35moe` unless another family is asked for. Its layer pattern is that of the real model: three
Gated DeltaNet blocks, then one of full attention. The vocabulary is a small byte-level BPE, learned from vocabulary.txt
beside this file, with Qwen's 26 special tokens in their official order and roles. The same arguments give the same
bytes. The model talks nonsense; what it is good for is everything that does not depend on sense: tokens, caches,
checkpoints, sampling, grammars, speed.
"""

import argparse
import functools
import itertools
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

import families
from families import FAMILIES, Family

Quant = gguf.GGMLQuantizationType
CONTROL, USER_DEFINED, UNUSED, NORMAL = 3, 4, 5, 1  # token types of the GGUF specification
SPECIAL = {  # official order; USER_DEFINED are those with "special": false in Qwen's tokenizer
    **dict.fromkeys(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), CONTROL),
    **dict.fromkeys(("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"), CONTROL),
    **dict.fromkeys(("<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>"), CONTROL),
    **dict.fromkeys(("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"), CONTROL),
    **dict.fromkeys(("<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>"), USER_DEFINED),
    **dict.fromkeys(("<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"), USER_DEFINED),
    **dict.fromkeys(("<tool_response>", "</tool_response>", "<think>", "</think>"), USER_DEFINED),
}
WORDS = re.compile(r"[^\r\n\w]?[^\W\d_]+|\d| ?[^\s\w]+[\r\n]*|_|\s*[\r\n]+|\s+(?!\S)|\s+")  # of `qwen35`, for ASCII

TEXT = Path(__file__).with_name("vocabulary.txt")
"""From what the vocabulary is learned: an old state of this program. Any other text would change all random files."""
Words = tuple[Sequence[str], Sequence[int], Sequence[str]]
"""Tokens, their types, and the merges as two tokens with a blank between them."""
Parts = Iterator[tuple[str, tuple[int, ...], str]]
"""Tensors: name, dimensions and kind."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the model, named as in its configuration. `weights` is the type of the matrices."""

    width: int = 64
    blocks: int = 4
    heads: int = 2
    kv_heads: int = 1
    head_size: int = 32
    value_heads: int = 4
    key_heads: int = 2
    state_size: int = 32
    experts: int = 4
    experts_used: int = 2
    expert_width: int = 32
    vocab: int = 1024
    padding: int = 0
    """Unused ids after the special tokens."""
    context: int = 32_768
    mtp: int = 0
    """Blocks that predict one token further, behind the others; llama.cpp knows one."""
    tied: bool = False
    """Whether the embedding of the tokens is also what turns the last state into logits."""
    weights: str = "f16"


PRESETS = {
    "tiny": Shape(),
    "small": Shape(256, 8, 4, 1, 64, 8, 4, 64, 16, 4, 128, 4096),
    "mid": Shape(1024, 16, 8, 2, 128, 16, 8, 128, 64, 8, 256, 32_768, 250, 262_144, weights="q3_k"),
    "full": Shape(2048, 40, 16, 2, 256, 32, 16, 128, 256, 8, 512, 248_320, 250, 262_144, weights="q3_k"),
}


def vocabulary(shape: Shape, special: Mapping[str, int] = SPECIAL) -> Words:
    """Return the tokens, their types and the merges: 256 bytes, merges, filler, the special tokens, padding.

    Filler is never made of a text, since no merge leads to it, but may be drawn, as the words of a real vocabulary.
    """
    room = shape.vocab - 256 - len(special) - shape.padding
    if room < 0:
        raise ValueError(f"a vocabulary of {shape.vocab} has no room for {256 + len(special) + shape.padding} tokens")
    alphabet = byte_alphabet()
    merges = train(TEXT.read_text(encoding="utf-8"), min(room, 4096))
    normal = list(dict.fromkeys([*alphabet, *("".join(pair) for pair in merges)]))
    filler = [f"w{number}" for number in range(256 + room - len(normal))]
    padding = [f"[pad{number}]" for number in range(shape.padding)]
    tokens = [*normal, *filler, *special, *padding]
    types = [NORMAL] * len(normal + filler) + list(special.values()) + [UNUSED] * len(padding)
    return tokens, types, [" ".join(pair) for pair in merges]


def byte_alphabet() -> list[str]:
    """Return the printable stand-in of every byte, as GPT-2 chose them (Radford et al., 2019)."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    shifted = iter(range(0x100, 0x200))
    return [chr(byte) if byte in plain else chr(next(shifted)) for byte in range(256)]


@functools.cache
def train(text: str, count: int) -> list[tuple[str, str]]:
    """Return at most `count` byte-pair merges (Sennrich et al., 2016), most frequent first, ties in text order."""
    alphabet = byte_alphabet()
    seen: Counter[str] = Counter(match.group() for match in WORDS.finditer(text))
    words = [([alphabet[byte] for byte in word.encode()], number) for word, number in seen.items()]
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for parts, number in words:
            for pair in itertools.pairwise(parts):
                pairs[pair] += number
        if not pairs:
            break
        best = max(pairs, key=pairs.__getitem__)
        merges.append(best)
        for parts, _ in words:
            for at in range(len(parts) - 2, -1, -1):
                if parts[at : at + 2] == [*best]:
                    parts[at : at + 2] = ["".join(best)]
    return merges


def tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Yield every tensor: name, dimensions (rows first, as numpy has them) and kind: matrix, norm, or a special one."""
    query, kv = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    yield "token_embd.weight", (shape.vocab, shape.width), "matrix"
    yield "output_norm.weight", (shape.width,), "norm"
    if not shape.tied:
        yield "output.weight", (shape.vocab, shape.width), "head"
    for number in range(shape.blocks + shape.mtp):
        block = f"blk.{number}."
        yield block + "attn_norm.weight", (shape.width,), "norm"
        yield block + "post_attention_norm.weight", (shape.width,), "norm"
        if number < shape.blocks and (number + 1) % 4:
            yield from recurrent(shape, block)
        else:
            yield block + "attn_q.weight", (2 * query, shape.width), "matrix"
            yield block + "attn_k.weight", (kv, shape.width), "matrix"
            yield block + "attn_v.weight", (kv, shape.width), "matrix"
            yield block + "attn_output.weight", (shape.width, query), "matrix"
            yield block + "attn_q_norm.weight", (shape.head_size,), "norm"
            yield block + "attn_k_norm.weight", (shape.head_size,), "norm"
        for name in ("ffn_gate", "ffn_up"):
            yield f"{block}{name}_exps.weight", (shape.experts, shape.expert_width, shape.width), "matrix"
            yield f"{block}{name}_shexp.weight", (shape.expert_width, shape.width), "matrix"
        yield block + "ffn_down_exps.weight", (shape.experts, shape.width, shape.expert_width), "matrix"
        yield block + "ffn_down_shexp.weight", (shape.width, shape.expert_width), "matrix"
        yield block + "ffn_gate_inp.weight", (shape.experts, shape.width), "plain"
        yield block + "ffn_gate_inp_shexp.weight", (shape.width,), "plain"
        if number >= shape.blocks:
            yield block + "nextn.eh_proj.weight", (shape.width, 2 * shape.width), "matrix"
            for name in ("enorm", "hnorm", "shared_head_norm"):
                yield f"{block}nextn.{name}.weight", (shape.width,), "norm"


def recurrent(shape: Shape, block: str) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Yield the tensors of a Gated DeltaNet layer."""
    inner = shape.value_heads * shape.state_size
    convolved = inner + 2 * shape.key_heads * shape.state_size
    yield block + "attn_qkv.weight", (convolved, shape.width), "matrix"
    yield block + "attn_gate.weight", (inner, shape.width), "matrix"
    yield block + "ssm_conv1d.weight", (convolved, 4), "plain"
    yield block + "ssm_dt.bias", (shape.value_heads,), "plain"
    yield block + "ssm_a", (shape.value_heads,), "decay"
    yield block + "ssm_alpha.weight", (shape.value_heads, shape.width), "plain"
    yield block + "ssm_beta.weight", (shape.value_heads, shape.width), "plain"
    yield block + "ssm_norm.weight", (shape.state_size,), "norm"
    yield block + "ssm_out.weight", (shape.width, inner), "matrix"


def stored_as(kind: str, size: tuple[int, ...], weights: str) -> gguf.GGMLQuantizationType:
    """Return the type of a tensor on disk: vectors and small ones F32, matrices as asked if their rows divide."""
    if kind not in ("matrix", "head"):
        return Quant.F32
    for wanted in (Quant[weights.upper()], Quant.Q8_0, Quant.F16):
        if size[-1] % gguf.GGML_QUANT_SIZES[wanted][0] == 0:
            return wanted
    raise ValueError(f"no type for rows of {size[-1]}")


def slabs(name: str, size: tuple[int, ...], kind: str, stored: gguf.GGMLQuantizationType, seed: int) -> Iterator[bytes]:
    """Yield the bytes of a tensor, a piece at a time. Values have a standard deviation of 1/sqrt(row length).

    Quantised blocks are random bits under a scale that gives this deviation: valid, though made from nothing.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    spread = (4.0 if kind == "head" else 1.0) / size[-1] ** 0.5
    values, width = gguf.GGML_QUANT_SIZES[stored]
    left = int(np.prod(size)) // values
    while left:
        count = min(left, 1 << 16)
        left -= count
        yield block_bytes(rng, count, kind, stored, spread, width)


def block_bytes(
    rng: np.random.Generator, count: int, kind: str, stored: gguf.GGMLQuantizationType, spread: float, width: int
) -> bytes:
    """Return `count` blocks of a tensor. The layouts of the quantised blocks are those of ggml's ggml-common.h."""
    if stored in (Quant.F32, Quant.F16):
        noise = rng.standard_normal(count, dtype=np.float32)
        if kind == "norm":
            noise = 1 + noise / 10
        elif kind == "decay":
            noise = -np.exp(noise)
        else:
            noise *= np.float32(max(spread, 0.02))
        return noise.astype("<f4" if stored is Quant.F32 else "<f2").tobytes()
    blocks: NDArray[np.uint8] = rng.integers(0, 256, (count, width), dtype=np.uint8)
    scale, at = {Quant.Q8_0: (74, 0), Quant.Q4_K: (258, 0), Quant.Q3_K: (43, 108), Quant.Q6_K: (1369, 208)}[stored]
    blocks[:, at : at + 2] = np.frombuffer(np.float16(spread / scale).tobytes(), np.uint8)
    if stored is Quant.Q4_K:  # the offset that centres the values
        blocks[:, 2:4] = np.frombuffer(np.float16(7.5 * spread / scale).tobytes(), np.uint8)
    return blocks.tobytes()


def describe(writer: gguf.GGUFWriter, shape: Shape, name: str, words: Words | None = None) -> None:
    """Write the metadata: hyperparameters and vocabulary, that of random files unless another one is given."""
    writer.add_name(name)
    if words is None:
        writer.add_description("random weights; says nothing of sense")
        words = vocabulary(shape)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.blocks + shape.mtp)
    if shape.mtp:
        writer.add_nextn_predict_layers(shape.mtp)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_size)
    writer.add_value_length(shape.head_size)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e7)
    rotated = shape.head_size // 4  # pairs are half of it, shared out to time, height and width
    share = rotated // 2 // 3
    writer.add_rope_dimension_count(rotated)
    writer.add_rope_dimension_sections([rotated // 2 - 2 * share, share, share, 0])
    writer.add_expert_count(shape.experts)
    writer.add_expert_used_count(shape.experts_used)
    writer.add_expert_feed_forward_length(shape.expert_width)
    writer.add_expert_shared_feed_forward_length(shape.expert_width)
    writer.add_ssm_conv_kernel(4)
    writer.add_ssm_state_size(shape.state_size)
    writer.add_ssm_group_count(shape.key_heads)
    writer.add_ssm_time_step_rank(shape.value_heads)
    writer.add_ssm_inner_size(shape.value_heads * shape.state_size)
    writer.add_full_attention_interval(4)
    tokens = words[0]
    add_words(writer, words, "qwen35")
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)


def add_words(writer: gguf.GGUFWriter, words: Words, pre: str) -> None:
    """Write a vocabulary. `pre`: how llama.cpp is to cut words."""
    tokens, types, merges = words
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)


def build(
    path: Path, shape: Shape, seed: int = 0, name: str = "", form: str = "", family: Family | None = None
) -> None:
    """Write the file; memory stays small whatever the shape. `form`: as `Header.form` of the engine.

    `family`: another one than `qwen35moe`. Raises ValueError for a shape that cannot be.
    """
    if not family and shape.blocks % 4:
        raise ValueError("blocks come in fours")
    if shape.value_heads % shape.key_heads or shape.heads % shape.kv_heads:
        raise ValueError("key (kv) heads divide value heads (heads)")
    if shape.experts_used > shape.experts:
        raise ValueError("more experts used than there are")
    if shape.mtp not in (0, 1):
        raise ValueError("there is one block that predicts further, or none")
    name = name or f"random-{path.stem}"
    writer, parts = _other(shape, name, family) if family else _usual(shape, name)
    if form:
        writer.add_string("qwencode.form", form)
    wanted = [(name, size, kind, stored_as(kind, size, shape.weights)) for name, size, kind in parts]
    for name, size, _, stored in wanted:
        values, width = gguf.GGML_QUANT_SIZES[stored]
        writer.add_tensor_info(name, size, np.dtype(np.float32), int(np.prod(size)) // values * width, stored)
    part = path.with_name(path.name + ".part")
    writer.write_header_to_file(part)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    assert writer.fout
    file = writer.fout[0]
    for name, size, kind, stored in wanted:
        writer.write_padding(file, file.tell())
        for slab in slabs(name, size, kind, stored, seed):
            file.write(slab)
    writer.write_padding(file, file.tell())
    writer.close()
    part.replace(path)


def _usual(shape: Shape, name: str) -> tuple[gguf.GGUFWriter, Parts]:
    writer = gguf.GGUFWriter(None, "qwen35moe")
    describe(writer, shape, name)
    return writer, tensors(shape)


def _other(shape: Shape, name: str, family: Family) -> tuple[gguf.GGUFWriter, Parts]:
    writer = gguf.GGUFWriter(None, family.architecture)
    writer.add_name(name)
    writer.add_description("random weights; says nothing of sense")
    words = vocabulary(shape, family.special)
    add_words(writer, words, family.pre)
    families.describe(writer, shape, family, words[0])
    return writer, families.tensors(shape, family)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--preset", choices=PRESETS, default="tiny")
    parser.add_argument("--family", choices=FAMILIES, default="", help="another architecture than qwen35moe")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", choices=("f16", "q8_0", "q6_k", "q4_k", "q3_k"))
    for field in fields(Shape):
        if field.name != "weights":
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=int)
    given = vars(parser.parse_args(arguments))
    out, seed, preset, family = (given.pop(key) for key in ("out", "seed", "preset", "family"))
    shape = replace(PRESETS[preset], **{key: value for key, value in given.items() if value is not None})
    try:
        build(out, shape, seed, f"random-{family or preset}", family=FAMILIES.get(family))
    except (ValueError, OSError) as error:
        print(f"{out} was not written: {error}", file=sys.stderr)
        return 2
    print(f"{out}: {out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
