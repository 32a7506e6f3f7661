"""What a model takes of this machine when it is run in a given way: bytes of main memory and of each GPU.

Where a block lies is computed as llama.cpp does it (`load_tensors` in its llama-model.cpp).
"""

import bisect
import itertools
import re
from dataclasses import dataclass

from qwencode.model.llama.fit import Fit, cache_bytes
from qwencode.model.llama.gguf_header import Array, Header
from qwencode.model.llama.machine import Machine

RESERVE = 1 << 30
"""Bytes of each memory left to others: the tests that are run, the screen, what the GPU's libraries take. On a small
machine less, an eighth of what is free."""
_TOKEN, _MERGE, _NODE = 158, 140, 410  # bytes, see `tables_bytes`
_GRAPHS = 3  # the last two computed, for a batch and for one token, and the one for which memory was reserved
_BLOCK = re.compile(r"blk\.(\d+)\.(ffn_(?:up|down|gate|gate_up)_(?:ch|)exps\.)?")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of main memory, which include those on GPUs that share it, and of each GPU."""

    main: int
    gpus: tuple[int, ...]


class Scale:
    """Weighs the ways to run one model on one machine."""

    def __init__(self, header: Header, machine: Machine):
        self.header, self.machine = header, machine
        self.layers = header.count("block_count") + 1
        """The blocks and the output layer."""
        self._interval = header.attention_interval
        self._blocks = header.count("block_count") - header.count("nextn_predict_layers")
        self._attending = self._blocks // self._interval
        self._weights = _weights(header, self.layers)

    @property
    def has_experts(self) -> bool:
        """Whether there are weights that may stay in main memory while the rest of their block is on a GPU."""
        return any(experts for _, experts in self._weights)

    def weigh(self, fit: Fit) -> Footprint:
        """Return what the model takes."""
        compute = compute_bytes(self.header, fit) * (1 + fit.mtp)
        cache, state = self._memory(fit)
        placed = [0] * len(self.machine.gpus)
        for layer, gpu in self._gpu_of_layers(fit):
            dense, experts = self._weights[layer]
            placed[gpu] += dense + (experts if layer >= fit.cpu_experts else 0)
            if layer < self._blocks:
                placed[gpu] += cache if (layer + 1) % self._interval == 0 else state
            elif fit.mtp and layer < self.layers - 1:
                placed[gpu] += cache
        on_gpus = tuple(size + compute if size else 0 for size in placed)
        memories = cache * (self._attending + fit.mtp) + state * (self._blocks - self._attending)
        main = self.header.file_size + memories - sum(placed) + compute + fit.checkpoint_bytes
        main += tables_bytes(self.header, fit)
        shared = sum(size for size, gpu in zip(on_gpus, self.machine.gpus, strict=True) if gpu.shared)
        return Footprint(main + shared, on_gpus)

    def reads(self, fit: Fit) -> Footprint:
        """Return the bytes of weights that are read for each single token, from main memory and from each GPU.

        Of the experts these are as many as a token uses; of the embedding one row, which counts for nothing. A head for
        multi-token prediction is not counted.
        """
        experts_used = self.header.count("expert_used_count") / max(1, self.header.count("expert_count"))
        read = [0.0] * len(self.machine.gpus)
        gpu_of = dict(self._gpu_of_layers(fit))
        main = 0.0
        for layer, (dense, experts) in enumerate(self._weights):
            if self._blocks <= layer < self.layers - 1:
                continue
            for size, on_gpu in ((dense, True), (experts * experts_used, layer >= fit.cpu_experts)):
                if on_gpu and layer in gpu_of:
                    read[gpu_of[layer]] += size
                else:
                    main += size
        return Footprint(int(main), tuple(map(int, read)))

    def fits_gpus(self, fit: Fit) -> bool:
        """Say whether every GPU has room for its part."""
        pairs = zip(self.weigh(fit).gpus, self.machine.gpus, strict=True)
        return all(not size or size <= room(gpu.free) for size, gpu in pairs)

    def fits(self, fit: Fit) -> bool:
        """Say whether all memories have room. Where it is unknown what of the main one is free, it has."""
        free = self.machine.free
        return (not free or self.weigh(fit).main <= room(free)) and self.fits_gpus(fit)

    def _memory(self, fit: Fit) -> tuple[int, int]:
        """Return the bytes of one block's attention cache, and of one block's recurrent states."""
        cache = cache_bytes(self.header, fit.context, fit.cache_type) // max(1, self._attending)
        recurrent = max(1, self._blocks - self._attending)
        return cache, self.header.state_bytes // recurrent * (1 + fit.draft_tokens)

    def _gpu_of_layers(self, fit: Fit) -> list[tuple[int, int]]:
        """Return the layers that are on GPUs with the number of it; GPUs get layers in the ratio of free memory."""
        count = self.layers if fit.gpu_layers < 0 else min(fit.gpu_layers, self.layers)
        bounds = list(itertools.accumulate(gpu.free for gpu in self.machine.gpus))
        if not bounds or not bounds[-1]:
            return []
        first = self.layers - count
        return [(first + number, bisect.bisect_right(bounds, number * bounds[-1] // count)) for number in range(count)]


def room(free: int) -> int:
    """Return what may be taken of so many free bytes."""
    return free - min(RESERVE, free // 8)


def compute_bytes(header: Header, fit: Fit) -> int:
    """Return about the bytes of the buffer in which a batch is evaluated.

    For each token a row of the attention mask and the widest tensors that are alive together, and the logits, twice.
    An estimate from above: for the 35B, 65,536 tokens of context, batches of 512 and 8 drafts llama.cpp takes 150 MiB
    on the CPU, and this gives 154.
    """
    convolved = header.count("ssm.inner_size") + 2 * header.count("ssm.group_count") * header.count("ssm.state_size")
    fed = header.count("feed_forward_length")
    if not header.recurrent:
        fed = max(fed, 2 * header.count("expert_used_count") * header.count("expert_feed_forward_length"))
    widest = 4 * convolved + 2 * header.count("embedding_length") + fed
    tokens = fit.batch
    return tokens * (4 * widest + 2 * (fit.context + 256)) + 8 * header.vocab_size * (1 + fit.draft_tokens)


def tables_bytes(header: Header, fit: Fit) -> int:
    """Return about the bytes of llama.cpp's own tables in main memory: of the vocabulary, and the nodes of its graphs.

    It keeps the text of each token three times (list, index, what it is written as) and both halves of each merge; the
    bytes were measured with 248,320 tokens and 4,096 to 247,587 merges. Graphs have room for 40 nodes a token of a
    batch, or 32 a tensor (`graph_max_nodes` in its llama-context.cpp), of 368 bytes and their places in lists and sets.
    """
    merges = header.metadata.get("tokenizer.ggml.merges")
    words = _TOKEN * header.vocab_size + _MERGE * (merges.count if isinstance(merges, Array) else 0)
    nodes = max(40 * fit.batch, 32 * len(header.tensors))
    return words + _GRAPHS * _NODE * nodes * (1 + fit.mtp)


def _weights(header: Header, layers: int) -> list[tuple[int, int]]:
    """Return the bytes of each block's weights but for the experts, and of these; at the end the output layer's."""
    found = [[0, 0] for _ in range(layers)]
    for name, size in header.tensors.items():
        match = _BLOCK.match(name)
        if match and int(match[1]) < layers - 1:
            found[int(match[1])][bool(match[2])] += size
    output = "output.weight" if "output.weight" in header.tensors else "token_embd.weight"
    found[-1][0] = header.tensors.get(output, 0) + header.tensors.get("output_norm.weight", 0)
    return [(dense, experts) for dense, experts in found]
