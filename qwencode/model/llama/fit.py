"""How a model file is run on this machine: everything that can be measured, chosen before anything is loaded."""

from dataclasses import dataclass
from typing import Literal

from qwencode.errors import ModelUnavailable
from qwencode.model.llama.gguf_header import Header
from qwencode.model.llama.machine import physical_cores

CacheType = Literal["f16", "q8_0"]


@dataclass(frozen=True, slots=True)
class Fit:
    """What the engine is opened with.

    `context`: tokens. `threads`: for single tokens; `batch_threads`: for batches; 0: as `threads`. `batch`: tokens
    evaluated between two chances to stop; `ubatch`: of those, at a time; 0: as `batch`. `gpu_layers`: blocks on the
    GPU, -1: all; `cpu_experts`: of so many blocks, the first ones, the experts stay in main memory. `cache_type`: of
    the attention cache. `checkpoint_bytes`: what saved states may take. `draft_tokens`: how many may be taken back at
    once; each costs memory for one more recurrent state.
    """

    context: int
    threads: int
    batch_threads: int = 0
    batch: int = 256
    ubatch: int = 0
    gpu_layers: int = 0
    cpu_experts: int = 0
    cache_type: CacheType = "f16"
    checkpoint_bytes: int = 512 << 20
    draft_tokens: int = 0


def fit(header: Header, context: int, threads: int) -> Fit:
    """Return how to run a model. `context` 0: all that it was trained for, and never more; `threads` 0: the cores."""
    trained = header.count("context_length")
    return Fit(min(context or trained, trained), threads or physical_cores())


def check_memory(header: Header, context: int, free: int) -> None:
    """Raise ModelUnavailable when the context does not fit into `free` bytes; 0: unknown, so nothing is refused."""
    room = free - 2 * header.state_bytes
    if not free or context * header.cache_bytes <= room:
        return
    most = max(0, room // header.cache_bytes) // 1024 * 1024
    advice = f"set `context` to {most:,} at most" if most else "free some, or use a smaller model"
    raise ModelUnavailable(
        f"A context of {context:,} tokens needs {context * header.cache_bytes / 2**30:.1f} GiB beside the model, and "
        f"{free / 2**30:.1f} GiB of memory are free: {advice}."
    )
