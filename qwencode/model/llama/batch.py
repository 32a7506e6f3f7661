"""A small model evaluated for many sequences at once: they share what they begin with, and part from there."""

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwencode.errors import ModelUnavailable
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import errors, lib, load, reason
from qwencode.model.llama.vocabulary import Vocabulary

Logits = NDArray[np.float32]


class BatchEngine(Vocabulary):
    """A model file in memory with a context of several sequences, numbered from 0.

    `context`: tokens that all sequences have together; what they share counts once. `batch`: tokens of a beginning that
    are evaluated at a time. Every call runs in the caller's thread and cannot be stopped, which is for small models: a
    batch takes milliseconds. One thread at a time may call. Raises ModelUnavailable when llama.cpp cannot load the file
    or has no memory for the context.
    """

    def __init__(self, path: Path, sequences: int, context: int, batch: int, threads: int):
        batch = max(batch, sequences)
        model = load(path, Fit(context=context, threads=threads, batch=batch))
        super().__init__(model)
        self._context: Any = lib.llama_init_from_model(model, _parameters(sequences, context, batch, threads))
        if not self._context:
            lib.llama_model_free(model)
            raise ModelUnavailable(f"There is no memory for {sequences} sequences of {path}.{reason()}")
        self._batch = lib.llama_batch_init(batch, 0, 1)
        self._free = weakref.finalize(self, _free, model, self._context, self._batch)
        for at in range(batch):
            self._batch.n_seq_id[at] = 1
        self._places = [np.ctypeslib.as_array(getattr(self._batch, name), (batch,)) for name in ("token", "pos")]
        self._flags = np.ctypeslib.as_array(self._batch.logits, (batch,))
        self._memory = lib.llama_get_memory(self._context)
        self.context_length: int = lib.llama_n_ctx(self._context)
        self.batch_size = batch

    def close(self) -> None:
        """Free everything. Idempotent; nothing else may be called afterwards."""
        self._free()

    def extend(self, sequence: int, tokens: Sequence[int], position: int) -> Logits:
        """Evaluate tokens that follow the first `position` of a sequence, and return the logits after the last one.

        Raises ModelUnavailable when llama.cpp cannot.
        """
        for at in range(0, len(tokens), self.batch_size):
            part = tokens[at : at + self.batch_size]
            self._flags[: len(part)] = 0
            self._flags[len(part) - 1] = at + len(part) == len(tokens)
            self._decode(part, range(position + at, position + at + len(part)), [sequence] * len(part))
        return self._logits(1)[0]

    def step(self, sequences: Sequence[int], tokens: Sequence[int], positions: Sequence[int]) -> Logits:
        """Evaluate one token for each of some sequences, at its position there, and return a row of logits for each.

        Raises ModelUnavailable when llama.cpp cannot.
        """
        self._flags[: len(tokens)] = 1
        self._decode(tokens, positions, sequences)
        return self._logits(len(tokens))

    def copy(self, source: int, target: int) -> None:
        """Let an empty sequence begin as another one is now. That costs next to nothing until they part."""
        lib.llama_memory_seq_cp(self._memory, source, target, -1, -1)

    def drop(self, sequence: int) -> None:
        """Make a sequence empty."""
        lib.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def _decode(self, tokens: Sequence[int], positions: Sequence[int], sequences: Sequence[int]) -> None:
        count = len(tokens)
        for place, values in zip(self._places, (tokens, positions), strict=True):
            place[:count] = values
        for at, sequence in enumerate(sequences):
            self._batch.seq_id[at][0] = sequence
        self._batch.n_tokens = count
        errors.clear()
        if status := lib.llama_decode(self._context, self._batch):
            raise ModelUnavailable(f"The built-in model could not go on: llama_decode returned {status}.{reason()}")
        lib.llama_synchronize(self._context)

    def _logits(self, rows: int) -> Logits:
        """Return a copy of the logits that were asked for, in the order of the batch."""
        found = np.ctypeslib.as_array(lib.llama_get_logits(self._context), (rows * self.vocab_size,))
        return found.reshape(rows, self.vocab_size).copy()


def _parameters(sequences: int, context: int, batch: int, threads: int) -> Any:
    parameters = lib.llama_context_default_params()
    parameters.n_ctx = context
    parameters.n_batch = parameters.n_ubatch = batch
    parameters.n_threads = parameters.n_threads_batch = threads
    parameters.n_seq_max = parameters.n_outputs_max = sequences
    parameters.kv_unified = True  # one cache for all: the shared beginning lies there once
    return parameters


def _free(model: Any, context: Any, batch: Any) -> None:
    lib.llama_batch_free(batch)
    lib.llama_free(context)
    lib.llama_model_free(model)
