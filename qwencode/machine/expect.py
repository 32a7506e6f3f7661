"""How fast a model will be here: as measured by `qwencode warm`, else as a stated model of the machine says.

That model: to write a token, the weights that it uses are read once, from where they lie. So a token takes the bytes
read from each memory over its bandwidth, and on a GPU 5.5 ms more for the starts of its some thousand computations.
With that constant these reports for Qwen3.6-35B-A3B in four bits are met within a tenth: RTX 3090 107 to 136 tokens a
second, RTX 4090 120 (runaihome.com), GB10 65.3 (subterratechnologies.com), M2 Max 80 (raullenchai/Rapid-MLX, 1065).

To read a prompt is bound by computing: two operations for each active weight and token. Reached in that: 120 GFLOP/s
a core with AVX-512 (docs/performance.md, the rows of the 35B), 30 without (87 tokens a second with 16 threads,
ikawrakow/ik_llama.cpp, 1814). For GPUs nothing as simple holds, and no number is given.

An estimate is within a factor of two where it can be compared, and says that it is one.
"""

import ctypes
import threading
import time
from dataclasses import dataclass
from typing import Any

from qwencode.model.llama.fit import Fit
from qwencode.model.llama.footprint import Scale
from qwencode.model.llama.gguf_header import Header
from qwencode.model.llama.machine import Machine

_GPU_SECONDS = 5.5e-3
_OPERATIONS = {True: 120e9, False: 30e9}  # a second and core, with AVX-512 and without
_BUFFER = 64 << 20  # more than any cache that a core has for itself
_MEASURED_SECONDS = 0.1
_BANDWIDTH = {  # GB/s, from the makers' data sheets; the first name that is found counts
    **{"RTX 5090": 1792, "RTX 5080": 960, "RTX 5070 Ti": 896, "RTX 5070": 672, "RTX 5060": 448},
    **{"RTX 4090": 1008, "RTX 4080": 717, "RTX 4070": 504, "RTX 4060 Ti": 288, "RTX 4060": 272},
    **{"RTX 3090": 936, "RTX 3080": 760, "RTX 3070": 448, "RTX 3060": 360, "RTX 2080 Ti": 616, "GTX 1070": 256},
    **{"H200": 4800, "H100": 3350, "A100": 1555, "L40": 864, "L4": 300, "GB10": 273, "7900 XTX": 960, "7900 XT": 800},
    **{"M1 Max": 400, "M1 Pro": 200, "M2 Max": 400, "M2 Pro": 200, "M3 Max": 400, "M3 Pro": 150, "M4 Max": 546},
    **{"M4 Pro": 273, "Apple M1": 68, "Apple M2": 100, "Apple M3": 100, "Apple M4": 120},
}


@dataclass(frozen=True, slots=True)
class Expected:
    """Tokens a second: `prefill` of a prompt, `decode` of a reply; 0: unknown. `measured`: not estimated."""

    prefill: float
    decode: float
    measured: bool = False

    def first_token(self, tokens: int) -> float:
        """Return the seconds until a prompt of so many tokens is read; 0: unknown."""
        return tokens / self.prefill if self.prefill else 0.0


def expected(header: Header, fit: Fit, machine: Machine, main: float, wide: bool) -> Expected:
    """Return the estimate. `main`: bytes a second that are read from main memory; `wide`: the cores have AVX-512."""
    reads = Scale(header, machine).reads(fit)
    rates = [bandwidth(gpu.name) for gpu in machine.gpus]
    parts = [(reads.main, main), *zip(reads.gpus, rates, strict=True)]
    if any(size and not rate for size, rate in parts):  # a GPU that is not in the table, or nothing was measured
        return Expected(0.0, 0.0)
    seconds = sum(size / rate for size, rate in parts if size) + (_GPU_SECONDS if any(reads.gpus) else 0.0)
    operations = _OPERATIONS[wide] * min(fit.threads, machine.cores)
    prefill = 0.0 if any(reads.gpus) else operations / (2 * active_weights(header))
    return Expected(prefill, 1 / seconds if seconds else 0.0)


def active_weights(header: Header) -> int:
    """Return how many weights of the blocks work on each token of a prompt."""
    count = header.count
    width, length = count("embedding_length"), header.head_length("key")
    blocks = count("block_count") - count("nextn_predict_layers")
    attending = blocks // header.attention_interval
    gates = 1 if header.recurrent else 0  # of the output
    heads = (2 + gates) * count("attention.head_count") + 2 * count("attention.head_count_kv")
    mixing = 3 * count("ssm.inner_size") + 2 * count("ssm.group_count") * count("ssm.state_size")
    experts = count("expert_used_count") * count("expert_feed_forward_length")
    dense = 0 if experts and not header.recurrent else count("feed_forward_length")
    feeding = 3 * (experts + count("expert_shared_feed_forward_length") + dense)
    return width * (blocks * feeding + attending * heads * length + (blocks - attending) * mixing)


def bandwidth(gpu: str) -> float:
    """Return the bytes a second that a GPU of this name reads from its memory; 0: unknown."""
    return next((rate * 1e9 for name, rate in _BANDWIDTH.items() if name.lower() in gpu.lower()), 0.0)


def measure_memory(threads: int, seconds: float = _MEASURED_SECONDS) -> float:
    """Return the bytes a second that so many threads read from main memory.

    By the time that each thread had a processor: what else runs here takes turns with it, and is no property of the
    machine.
    """
    search = _memchr()
    rates = [0.0] * threads
    end = time.perf_counter() + seconds

    def read(number: int) -> None:
        buffer = ctypes.create_string_buffer(_BUFFER)
        ctypes.memset(buffer, 1, _BUFFER)  # else all pages would be one and the same
        passes, began = 0, time.thread_time()
        while not passes or time.perf_counter() < end:
            search(buffer, 2, _BUFFER)  # is not there, so everything is read
            passes += 1
        rates[number] = passes * _BUFFER / max(time.thread_time() - began, 1e-9)

    workers = [threading.Thread(target=read, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(rates)


def _memchr() -> Any:
    found = ctypes.CDLL(None).memchr  # lets other threads run while it reads
    found.restype, found.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    return found
