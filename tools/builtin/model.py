"""The architecture `qwen35moe` in plain PyTorch, as one function of tokens and of weights named as in a GGUF.

Three blocks of Gated DeltaNet (Yang, Kautz and Hatamizadeh, *Gated Delta Networks*, ICLR 2025), then one of gated full
attention; a mixture of experts with a shared one after each. The delta rule runs in chunks, with one triangular solve
for each (Yang et al., *Parallelizing Linear Transformers with the Delta Rule*, NeurIPS 2024).
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

import build_model
from build_model import Shape

SHAPE = Shape(
    width=192,
    blocks=4,
    heads=4,
    kv_heads=2,
    head_size=64,
    value_heads=3,
    key_heads=3,
    state_size=64,
    experts=8,
    experts_used=2,
    expert_width=160,
    vocab=2048,
    context=4096,
    tied=True,
)
"""4.5 million parameters, about half of which are used for a token."""
CHUNK = 32
"""Tokens that the delta rule takes at once."""
EPSILON = 1e-6
Weights = Mapping[str, Tensor]


def initial(shape: Shape, generator: torch.Generator) -> dict[str, Tensor]:
    """Return fresh weights by their names in the GGUF; `ssm_a` holds the logarithm of the decay until exported."""
    made: dict[str, Tensor] = {}
    for name, size, kind in build_model.tensors(shape):
        noise = torch.randn(size, generator=generator)
        if kind == "norm":
            made[name] = torch.ones(size)
        elif kind == "decay":
            made[name] = torch.log(0.5 + 7.5 * torch.rand(size, generator=generator))
        elif name.endswith("ssm_dt.bias"):  # the inverse of softplus, of time steps from 0.001 to 0.1
            steps = torch.exp(math.log(0.001) + torch.rand(size, generator=generator) * math.log(100.0))
            made[name] = torch.log(torch.expm1(steps))
        elif name == "token_embd.weight":
            made[name] = noise * 0.02
        elif name.endswith("ssm_conv1d.weight"):
            made[name] = noise * 0.3
        else:  # what adds to the stream begins small
            small = 0.3 if "_down_" in name or name.endswith(("attn_output.weight", "ssm_out.weight")) else 1.0
            made[name] = noise * small * size[-1] ** -0.5
    return made


def forward(weights: Weights, shape: Shape, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Return the state before the vocabulary, (batch, time, width), and the unevenness of the experts' load (1: even).

    `tokens`: (batch, time). Logits are the state times `token_embd.weight`, transposed.
    """
    state = F.embedding(tokens, weights["token_embd.weight"])
    turn = _rotation(shape, tokens.shape[1], tokens.device)
    loads: list[Tensor] = []
    for number in range(shape.blocks):
        block = {
            name.removeprefix(f"blk.{number}."): value
            for name, value in weights.items()
            if name.startswith(f"blk.{number}.")
        }
        seen = _norm(state, block["attn_norm.weight"])
        state = state + (_attention(block, shape, seen, turn) if (number + 1) % 4 == 0 else _delta(block, shape, seen))
        added, load = _experts(block, shape, _norm(state, block["post_attention_norm.weight"]))
        state = state + added
        loads.append(load)
    return _norm(state, weights["output_norm.weight"]), torch.stack(loads).mean()


def _norm(state: Tensor, weight: Tensor) -> Tensor:
    return F.rms_norm(state.float(), state.shape[-1:], weight, EPSILON)  # digits, whatever the rest is computed in


def _rotation(shape: Shape, time: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosine and sine for the rotated quarter of each head, (time, 1, size)."""
    size = shape.head_size // 4
    angles = torch.arange(time, device=device)[:, None] * 1e7 ** (-torch.arange(0, size, 2, device=device) / size)
    angles = torch.cat([angles, angles], -1)[:, None]
    return angles.cos(), angles.sin()


def _attention(block: Weights, shape: Shape, seen: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    batch, time, _ = seen.shape
    heads, size = shape.heads, shape.head_size
    query, gate = F.linear(seen, block["attn_q.weight"]).view(batch, time, heads, 2 * size).split(size, -1)
    key = F.linear(seen, block["attn_k.weight"]).view(batch, time, shape.kv_heads, size)
    value = F.linear(seen, block["attn_v.weight"]).view(batch, time, shape.kv_heads, size)
    query = _turned(_norm(query, block["attn_q_norm.weight"]), turn).transpose(1, 2)
    key = _turned(_norm(key, block["attn_k_norm.weight"]), turn).transpose(1, 2)
    shared = heads // shape.kv_heads
    key, value = (part.repeat_interleave(shared, 1) for part in (key, value.transpose(1, 2)))
    mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2)
    return F.linear((mixed * gate.sigmoid()).reshape(batch, time, heads * size), block["attn_output.weight"])


def _turned(part: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cosine, sine = turn
    moved, rest = part.split([cosine.shape[-1], part.shape[-1] - cosine.shape[-1]], -1)
    left, right = moved.chunk(2, -1)
    return torch.cat([moved * cosine + torch.cat([-right, left], -1) * sine, rest], -1)


def _delta(block: Weights, shape: Shape, seen: Tensor) -> Tensor:
    batch, time, _ = seen.shape
    heads, size = shape.value_heads, shape.state_size
    mixed = F.linear(seen, block["attn_qkv.weight"]).transpose(1, 2)
    kernel = block["ssm_conv1d.weight"][:, None]
    mixed = F.silu(F.conv1d(F.pad(mixed, (3, 0)), kernel, groups=kernel.shape[0])).transpose(1, 2)
    query, key, value = (
        part.reshape(batch, time, heads, size).transpose(1, 2) for part in mixed.split(heads * size, -1)
    )
    query = F.normalize(query, dim=-1, eps=EPSILON) * size**-0.5
    key = F.normalize(key, dim=-1, eps=EPSILON)
    strength = F.linear(seen, block["ssm_beta.weight"]).sigmoid().transpose(1, 2)
    step = F.softplus(F.linear(seen, block["ssm_alpha.weight"]) + block["ssm_dt.bias"])
    decay = (-block["ssm_a"].exp() * step).transpose(1, 2)
    with torch.autocast(seen.device.type, enabled=False):  # sums of decays and the solve need their digits
        parts = (part.float() for part in (query, key, value, decay, strength))
        out = chunked(*parts).transpose(1, 2)
    gate = F.silu(F.linear(seen, block["attn_gate.weight"]))
    out = _norm(out, block["ssm_norm.weight"]).reshape(batch, time, heads * size) * gate
    return F.linear(out, block["ssm_out.weight"])


def chunked(query: Tensor, key: Tensor, value: Tensor, decay: Tensor, strength: Tensor) -> Tensor:
    """Return the gated delta rule's outputs, (batch, heads, time, size).

    S_t = exp(decay_t) S_(t-1) (1 - strength_t k_t k_t') + strength_t v_t k_t' and o_t = S_t q_t, with `decay` and
    `strength` of (batch, heads, time).
    """
    batch, heads, time, size = query.shape
    missing = -time % CHUNK
    query, key, value = (F.pad(part, (0, 0, 0, missing)) for part in (query, key, value))
    decay, strength = F.pad(decay, (0, missing)), F.pad(strength, (0, missing))
    count = (time + missing) // CHUNK
    query, key, value = (part.reshape(batch, heads, count, CHUNK, size) for part in (query, key, value))
    sums = decay.reshape(batch, heads, count, CHUNK).cumsum(-1)
    strength = strength.reshape(batch, heads, count, CHUNK, 1)
    between = (sums[..., :, None] - sums[..., None, :]).tril().exp().tril()
    scaled = key * strength
    inner = (scaled @ key.transpose(-1, -2) * between).tril(-1)
    right = torch.cat([value * strength, scaled * sums.exp()[..., None]], -1)
    one = torch.eye(CHUNK, device=query.device, dtype=query.dtype)
    solved = torch.linalg.solve_triangular(inner + one, right, upper=False, unitriangular=True)
    new, erased = solved.split(size, -1)
    near = query @ key.transpose(-1, -2) * between
    far = query * sums.exp()[..., None]
    last = sums[..., -1:]
    kept = key * (last - sums).exp()[..., None]
    state = query.new_zeros(batch, heads, size, size)
    outputs: list[Tensor] = []
    # `unbind`: a gradient of each place by itself would be a matrix of all places, mostly of zeros
    by_place = (part.unbind(2) for part in (new, erased, far, near, last[..., None].exp(), kept.mT))
    for new_, erased_, far_, near_, last_, kept_ in zip(*by_place, strict=True):
        written = new_ - erased_ @ state
        outputs.append(far_ @ state + near_ @ written)
        state = state * last_ + kept_ @ written
    return torch.stack(outputs, 2).reshape(batch, heads, count * CHUNK, size)[:, :, :time]


def _experts(block: Weights, shape: Shape, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the experts add, and how unevenly they are used."""
    flat = seen.reshape(-1, shape.width)
    chances = F.linear(flat, block["ffn_gate_inp.weight"]).softmax(-1)
    shares, chosen = chances.topk(shape.experts_used, -1)
    shares = shares / shares.sum(-1, keepdim=True)
    wanted = chosen.flatten()
    order = wanted.argsort(stable=True)
    counts = torch.bincount(wanted, minlength=shape.experts)
    rows = order // shape.experts_used
    load = (counts / wanted.numel() * chances.mean(0)).sum() * shape.experts
    parts: list[Tensor] = []
    experts = zip(*(block[f"ffn_{name}_exps.weight"].unbind() for name in ("gate", "up", "down")), strict=True)
    for part, (gate, up, down) in zip(flat[rows].split(counts.tolist()), experts, strict=True):
        parts.append(F.linear(F.silu(F.linear(part, gate)) * F.linear(part, up), down))
    weighed = torch.cat(parts) * shares.flatten()[order][:, None]
    routed = torch.zeros_like(flat).index_add(0, rows, weighed.to(flat.dtype))
    gate = F.silu(F.linear(flat, block["ffn_gate_shexp.weight"])) * F.linear(flat, block["ffn_up_shexp.weight"])
    open_ = (flat @ block["ffn_gate_inp_shexp.weight"]).sigmoid()[:, None]
    shared = F.linear(gate, block["ffn_down_shexp.weight"]) * open_
    return (routed + shared).view(seen.shape), load
