"""How a model file is run on this machine: everything that can be measured, chosen before anything is loaded."""

from dataclasses import dataclass
from typing import Literal

from qwencode.errors import ModelUnavailable
from qwencode.model.llama.gguf_header import Header

CacheType = Literal["f16", "q8_0"]
_Q8_0 = 34, 64  # bytes of a block of 32 values, and what these take at 16 bits
_CONTEXT_STEP = 256  # llama.cpp rounds a context up to a multiple of it


@dataclass(frozen=True, slots=True)
class Fit:
    """What the engine is opened with.

    `context`: tokens. `threads`: for evaluation. `batch`: tokens of a prompt evaluated at a time. `gpu_layers`: so many
    of the last blocks are on the GPU, where the output layer counts as the very last, -1: all; `cpu_experts`: of so
    many blocks, the first ones, the experts stay in main memory. `cache_type`: of the attention cache.
    `checkpoint_bytes`: what saved states may take. `draft_tokens`: how many may be taken back at once; each costs
    memory for one more recurrent state. A batch may ask for logits of `draft_tokens` + 1 tokens at most. `mtp`: the
    file's own head guesses, too.
    """

    context: int
    threads: int
    batch: int = 256
    gpu_layers: int = 0
    cpu_experts: int = 0
    cache_type: CacheType = "f16"
    checkpoint_bytes: int = 512 << 20
    draft_tokens: int = 0
    mtp: bool = False

    def __post_init__(self) -> None:
        if self.draft_tokens > most_drafts(self.batch):
            raise ValueError(f"drafts of {self.draft_tokens} tokens want batches of {self.draft_tokens + 2} at least")


def most_drafts(batch: int) -> int:
    """Return how long a draft may be; llama.cpp ends the process where it is not shorter by two than its batches.

    Of each batch it keeps the states of a whole draft apart from the rest (`split_equal` in its llama-batch.cpp).
    """
    return max(0, batch - 2)


def cache_bytes(header: Header, context: int, cache_type: CacheType) -> int:
    """Return the bytes of the attention cache for so many tokens."""
    whole = -(-context // _CONTEXT_STEP) * _CONTEXT_STEP * header.cache_bytes
    return whole * _Q8_0[0] // _Q8_0[1] if cache_type == "q8_0" else whole


def check_memory(header: Header, fit: Fit, free: int) -> None:
    """Raise ModelUnavailable when the context does not fit into `free` bytes; 0: unknown, so nothing is refused.

    Nor where a part of it lies on a GPU: then the fit was made by one who knows both memories.
    """
    room = free - (2 + fit.draft_tokens) * header.state_bytes
    needed = cache_bytes(header, fit.context, fit.cache_type)
    if not free or fit.gpu_layers or needed <= room:
        return
    most = max(0, room) // cache_bytes(header, 1024, fit.cache_type) * 1024
    advice = f"set `context` to {most:,} at most" if most else "free some, or use a smaller model"
    raise ModelUnavailable(
        f"A context of {fit.context:,} tokens needs {needed / 2**30:.1f} GiB beside the model, and "
        f"{free / 2**30:.1f} GiB of memory are free: {advice}."
    )
