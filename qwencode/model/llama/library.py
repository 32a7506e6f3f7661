"""llama.cpp through ctypes, and nothing else: a loaded file with one context, sampler chains, grammars.

With `vocabulary`, `batch`, `mtp` and `ggml` the only module that touches the bindings. It knows tokens and bytes; what
they mean is decided elsewhere. A model file must have passed `gguf_header.check` first: llama.cpp ends the process on
some bad ones.
"""

import ctypes
import functools
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as bindings
import numpy as np
from numpy.typing import NDArray

from qwencode.errors import ModelUnavailable
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.ggml import experts_on_cpu
from qwencode.model.llama.mtp import Head
from qwencode.model.llama.stopper import Stopper
from qwencode.model.llama.vocabulary import Vocabulary
from qwencode.model.sampling import Sampling

lib: Any = bindings  # its annotations are for people
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)], align=True)
"""The layout of llama.cpp's `llama_token_data`."""
_BIAS = np.dtype([("token", np.int32), ("bias", np.float32)], align=True)
_ERROR = 4
_SEQUENCE = 0
_NEVER = lib.ggml_abort_callback()
_STOPPABLE = 16  # tokens: a batch of fewer is over soon
_PARTIAL = lib.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
_WHOLE = 0
_CACHE_TYPES = {"f16": lib.GGML_TYPE_F16, "q8_0": lib.GGML_TYPE_Q8_0}

State = NDArray[np.uint8]
Ids = NDArray[np.int32]
Tokens = Sequence[int] | Ids
errors: list[str] = []
"""What llama.cpp has complained about since this was cleared: its first lines."""


@lib.llama_log_callback
def _log(level: int, text: bytes | None, _: Any) -> None:
    if level == _ERROR and text and (line := " ".join(text.decode("utf-8", "replace").split())):
        errors.append(line[:300])
        del errors[8:]


def reason() -> str:
    """Return llama.cpp's first error since the list was cleared, as a sentence; the later ones only follow from it."""
    return f" llama.cpp says: {errors[0].rstrip('.')}." if errors else ""


def start() -> None:
    """Make llama.cpp ready, and take what it has to say instead of the terminal. Idempotent."""
    lib.llama_log_set(_log, ctypes.c_void_p(0))
    lib.llama_backend_init()


def build() -> str:
    """Return what tells this llama.cpp from another build of it, and this processor from one with other instructions.

    States are exchanged only within one: their layout is nobody's promise, and other kernels round otherwise.
    """
    start()  # else the facts would be told before, and others after, the processors have been looked for
    folder = Path(lib._lib._name).parent
    files = sorted([*folder.glob("libllama*"), *folder.glob("libggml*")])
    facts = [(file.name, found.st_size, found.st_mtime_ns) for file in files for found in [file.stat()]]
    return repr((lib.llama_version(), lib.llama_print_system_info(), facts))


class Engine(Vocabulary):
    """A model file in memory with one context of one sequence.

    Raises ModelUnavailable when llama.cpp cannot load the file or has no memory for the context.
    """

    def __init__(self, path: Path, fit: Fit):
        self._model = load(path, fit)
        self._context = lib.llama_init_from_model(self._model, _context_parameters(fit))
        if not self._context:
            lib.llama_model_free(self._model)
            raise ModelUnavailable(
                f"A context of {fit.context:,} tokens with {fit.cache_type} cache cannot be made: there is not enough "
                f"memory, or the device cannot do it.{reason()}"
            )
        self._batch = lib.llama_batch_init(fit.batch, 0, 1)
        contexts = [self._context]
        self._free = weakref.finalize(self, _free, self._model, contexts, self._batch)
        self._head = Head(self._model, self._context, _context_parameters(fit)) if fit.mtp else None
        if self._head:
            contexts.append(self._head.context)
        self.guesses = fit.mtp
        self.begun = self.done = 0
        for at in range(fit.batch):
            self._batch.n_seq_id[at] = 1
            self._batch.seq_id[at][0] = _SEQUENCE
        fields = self._batch.token, self._batch.pos, self._batch.logits
        self._places = [np.ctypeslib.as_array(field, (fit.batch,)) for field in fields]
        self._stopper = stopper()
        self._asked = lib.ggml_abort_callback(self._stopper.asked)
        self._memory = lib.llama_get_memory(self._context)
        self.recurrent: bool = lib.llama_model_is_recurrent(self._model) or lib.llama_model_is_hybrid(self._model)
        super().__init__(self._model)
        self.context_length: int = lib.llama_n_ctx(self._context)
        self.batch_size = fit.batch

    def close(self) -> None:
        """Free everything. Idempotent; nothing else may be called afterwards."""
        self._free()

    # Evaluation.

    def decode(self, tokens: Sequence[int], position: int, outputs: int) -> None:
        """Evaluate at most `batch_size` tokens that follow the first `position`, with the logits of the last `outputs`.

        Raises ModelUnavailable when llama.cpp cannot; what it has in memory is then not to be relied upon. After an
        interruption `begun` and `done` say how far it came.
        """
        count = len(tokens)
        ids, positions, flags = self._places
        ids[:count] = tokens
        positions[:count] = range(position, position + count)
        flags[: count - outputs], flags[count - outputs : count] = 0, 1
        self._batch.n_tokens = count
        errors.clear()
        if status := self._stopper.run(self._decode) if count < _STOPPABLE else self._decode_stoppably():
            raise ModelUnavailable(f"The model could not go on: llama_decode returned {status}.{reason()}")

    def _decode(self) -> int:
        """Evaluate: to be called in the stopper's thread."""
        self.begun += 1
        status = lib.llama_decode(self._context, self._batch)
        lib.llama_synchronize(self._context)
        if self._head and self.guesses and not status:
            ids, positions, _ = self._places
            self._head.follow(ids[: self._batch.n_tokens], int(positions[0]))
        self.done += not status
        return status

    def _decode_stoppably(self) -> int:
        """Evaluate so that Ctrl-C need not wait for the end of the batch. Asking takes time, so only long ones do."""
        lib.llama_set_abort_callback(self._context, self._asked, None)
        try:
            return self._stopper.run(self._decode)
        finally:
            lib.llama_set_abort_callback(self._context, _NEVER, None)

    def logits(self, row: int = -1) -> NDArray[np.float32]:
        """Return the logits of one of the last decoded tokens: a view, valid until the next `decode`.

        `row` counts from the end: -1 is the last token.
        """
        return np.ctypeslib.as_array(lib.llama_get_logits_ith(self._context, row), (self.vocab_size,))

    def sample(self, chain: Any, row: int) -> int:
        """Draw a token from the logits of a row, all of it in llama.cpp. The chain takes note of it."""
        return lib.llama_sampler_sample(chain, self._context, row)

    def guess(self, token: int, position: int, most: int) -> list[int]:
        """Return tokens that may follow one at the end that is not evaluated yet, as the file's own head predicts them.

        None when there is no head, or it cannot say.
        """
        head = self._head
        return self._stopper.run(lambda: head.guess(token, position, most)) if head and self.guesses else []

    # Memory.

    def save(self) -> State:
        """Return a copy of the recurrent state: what cannot be rolled back. The attention cache is not in it."""
        if not self.recurrent:
            return np.empty(0, np.uint8)
        state = self._copied(_PARTIAL)
        return self._head.save(state, self._length) if self._head else state

    def restore(self, state: State, length: int) -> bool:
        """Go back to `state`, saved after `length` tokens that are still in the attention cache. False: it failed."""
        if not self.recurrent:
            return self.rollback(length)
        own = self._head.restore(state, length) if self._head else state
        read = lib.llama_state_seq_set_data_ext(self._context, _bytes_at(own), len(own), _SEQUENCE, _PARTIAL)
        return read == len(own) and lib.llama_memory_seq_rm(self._memory, _SEQUENCE, length, -1)

    def dump(self) -> State:
        """Return a copy of everything that belongs to the tokens so far: recurrent state and attention cache."""
        state = self._copied(_WHOLE)
        return self._head.dump(state, self._length) if self._head else state

    def _copied(self, what: int) -> State:
        size = lib.llama_state_seq_get_size_ext(self._context, _SEQUENCE, what)
        state = np.empty(size, np.uint8)
        written = lib.llama_state_seq_get_data_ext(self._context, _bytes_at(state), size, _SEQUENCE, what)
        if written != size:
            raise RuntimeError(f"llama.cpp saved {written} of {size} bytes")
        return state

    @property
    def _length(self) -> int:
        return lib.llama_memory_seq_pos_max(self._memory, _SEQUENCE) + 1

    def load(self, state: State) -> bool:
        """Put what `dump` gave in the place of all tokens. False: llama.cpp does not take it, and nothing is left."""
        self.clear()
        own = self._head.load(state) if self._head else state
        read = lib.llama_state_seq_set_data_ext(self._context, _bytes_at(own), len(own), _SEQUENCE, _WHOLE)
        if read != len(own):
            self.clear()
        return read == len(own)

    def rollback(self, length: int) -> bool:
        """Go back to the first `length` tokens; a recurrent state by at most `Fit.draft_tokens`, in the last batch.

        llama.cpp keeps the recurrent state after each of the last tokens of a batch (`n_rs_seq`). It does not check
        that what it goes back to belongs to that batch; the caller does. False: it cannot; nothing has changed then.
        Without a recurrent state it goes back to any length; False: so many tokens were not there.
        """
        removed = lib.llama_memory_seq_rm(self._memory, _SEQUENCE, length, -1)
        return removed and (self.recurrent or self._length == length)

    def clear(self) -> None:
        """Forget all tokens."""
        lib.llama_memory_clear(self._memory, True)
        if self._head:
            self._head.clear()


def load(path: Path, fit: Fit) -> Any:
    """Return llama.cpp's handle of a model file. Raises ModelUnavailable when it cannot be loaded."""
    start()
    errors.clear()
    parameters = lib.llama_model_default_params()
    parameters.n_gpu_layers = fit.gpu_layers
    parameters.load_mtp = fit.mtp
    overrides = experts_on_cpu(fit.cpu_experts)  # referred to below, so it lives long enough
    if fit.cpu_experts:
        parameters.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)
    model = lib.llama_model_load_from_file(os.fsencode(path), parameters)
    if not model:
        raise ModelUnavailable(f"{path} cannot be loaded.{reason()}")
    return model


def _context_parameters(fit: Fit) -> Any:
    """Return the parameters of a context. Flash attention, without which a q8_0 cache cannot be, is found by itself."""
    parameters = lib.llama_context_default_params()
    parameters.n_ctx = fit.context
    parameters.n_batch = parameters.n_ubatch = fit.batch
    parameters.n_threads = parameters.n_threads_batch = fit.threads
    parameters.type_k = parameters.type_v = _CACHE_TYPES[fit.cache_type]
    parameters.n_rs_seq = fit.draft_tokens
    parameters.n_outputs_max = min(fit.batch, 1 + fit.draft_tokens)  # by default room for the logits of whole batches
    return parameters


@functools.cache
def stopper() -> Stopper:
    """Return the one thread in which everything is evaluated: OpenMP has its own threads for each caller.

    A process that forks takes no thread along, so that its child gets another one.
    """
    os.register_at_fork(after_in_child=stopper.cache_clear)
    return Stopper()


def _bytes_at(state: State) -> Any:
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _free(model: Any, contexts: Sequence[Any], batch: Any) -> None:
    lib.llama_batch_free(batch)
    for context in reversed(contexts):
        lib.llama_free(context)
    lib.llama_model_free(model)


class Chain:
    """Draws a token: bans, penalties, top-k, temperature, top-p, min-p, then chance. For one reply.

    The order is that of the servers with which the model's authors measured: the temperature comes before the nucleus.
    The penalty looks back over `window` drawn tokens.
    """

    def __init__(self, engine: Engine, sampling: Sampling, banned: Tokens, seed: int, window: int):
        self._engine = engine
        self._penalties: Any = None
        self._noted: list[int] = []
        self._chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        self._free = weakref.finalize(self, lib.llama_sampler_free, self._chain)
        if len(banned):
            bias: NDArray[Any] = np.empty(len(banned), _BIAS)
            bias["token"], bias["bias"] = banned, -np.inf
            data = bias.ctypes.data_as(lib.llama_logit_bias_p)
            self._add(lib.llama_sampler_init_logit_bias(engine.vocab_size, len(banned), data))
        if sampling.presence_penalty:
            penalty = sampling.presence_penalty
            self._penalties = lib.llama_sampler_init_penalties(engine.vocab_size, window, 1.0, 0.0, penalty)
            self._add(self._penalties)
        self._add(lib.llama_sampler_init_top_k(sampling.top_k))
        self._add(lib.llama_sampler_init_temp(sampling.temperature))
        self._add(lib.llama_sampler_init_top_p(sampling.top_p, 1))
        self._add(lib.llama_sampler_init_min_p(sampling.min_p, 1))
        self._add(lib.llama_sampler_init_dist(seed))

    def _add(self, sampler: Any) -> None:
        lib.llama_sampler_chain_add(self._chain, sampler)

    def sample(self, row: int) -> int:
        """Draw a token from the logits of a row of the last batch, and take note of it."""
        token = self._engine.sample(self._chain, row)
        self._noted.append(token)
        return token

    def draw(self, candidates: NDArray[Any]) -> int:
        """Draw a token out of the candidates, which are spoilt by it, and take note of it."""
        array = _token_array(candidates)
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        token = int(array.data[array.selected].id)
        self.note(token)
        return token

    def note(self, token: int) -> None:
        """Take note of a token: the penalty counts it."""
        lib.llama_sampler_accept(self._chain, token)
        self._noted.append(token)

    def forget(self) -> None:
        """Take back the last note: the token was refused."""
        self._noted.pop()
        if self._penalties:
            lib.llama_sampler_reset(self._penalties)
            for token in self._noted:
                lib.llama_sampler_accept(self._penalties, token)


class Grammar:
    """Says which tokens may follow. Raises ValueError for a grammar that llama.cpp cannot read."""

    def __init__(self, engine: Engine, text: str):
        errors.clear()
        self._grammar = lib.llama_sampler_init_grammar(engine.vocab, text.encode(), b"root")
        if not self._grammar:
            raise ValueError(f"llama.cpp cannot read the grammar.{reason()}")
        self._free = weakref.finalize(self, lib.llama_sampler_free, self._grammar)
        self._one: NDArray[Any] = np.zeros(1, CANDIDATE)
        self._one_array = _token_array(self._one)  # for every token the same: it takes longer to make than to ask

    def mask(self, candidates: NDArray[Any]) -> None:
        """Set the logit of every candidate that may not follow to minus infinity."""
        array = _token_array(candidates)
        lib.llama_sampler_apply(self._grammar, ctypes.byref(array))

    def allows(self, token: int) -> bool:
        """Say whether a token may follow."""
        self._one[0] = token, 0, 0
        lib.llama_sampler_apply(self._grammar, ctypes.byref(self._one_array))
        return bool(self._one["logit"][0] == 0)

    def fits(self, tokens: Ids) -> NDArray[np.bool_]:
        """Say of each of the tokens whether it may follow."""
        candidates: NDArray[Any] = np.zeros(len(tokens), CANDIDATE)
        candidates["id"] = tokens
        self.mask(candidates)
        return candidates["logit"] == 0

    def accept(self, token: int) -> None:
        """Go on by a token. It must be allowed: llama.cpp ends the process otherwise."""
        lib.llama_sampler_accept(self._grammar, token)

    def reset(self) -> None:
        """Begin again."""
        lib.llama_sampler_reset(self._grammar)


def _token_array(candidates: NDArray[Any]) -> Any:
    data = candidates.ctypes.data_as(lib.llama_token_data_p)
    return lib.llama_token_data_array(data, len(candidates), -1, False)
