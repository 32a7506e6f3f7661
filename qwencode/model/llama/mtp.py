"""The block of a model file that predicts one token further (multi-token prediction, MTP), in a context of its own.

From the hidden state that the model has after a token, and the token that came then, it predicts the one after that;
from its own hidden state the next, and so on, less surely each time. They are guesses, checked like any others (see
`decoder.py`). Method: DeepSeek-V3 (https://arxiv.org/abs/2412.19437), section 2.2, with one block used again and again.

The block has an attention cache of its own, so it reads every token that the model reads, paired with the hidden state
after the token before. A saved state of the model therefore comes with the last hidden state.
"""

import ctypes
from typing import Any

import llama_cpp.llama_cpp as bindings
import numpy as np
from numpy.typing import NDArray

from qwencode.errors import ModelUnavailable

lib: Any = bindings  # its annotations are for people
_SEQUENCE = 0
_SIZES = "<u8"
Bytes = NDArray[np.uint8]


class Head:
    """The prediction block of `model` beside the context `target`, in which the model is evaluated.

    `parameters` are those of the target's context. `follow`, `guess` and the state are for the thread in which
    everything is evaluated. Raises ModelUnavailable when the block cannot be used.
    """

    def __init__(self, model: Any, target: Any, parameters: Any):
        self._staged = _staged()
        self._target = target
        batch = parameters.n_batch
        self._width: int = lib.llama_model_n_embd_out(model)
        self._vocab_size: int = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        self._pairs: NDArray[np.float32] = np.zeros((batch, self._width), np.float32)
        self._ids, self._positions = np.zeros((2, batch), np.int32)
        self._wanted = np.zeros(batch, np.int8)
        self._batch = lib.llama_batch(
            token=_at(self._ids, lib.llama_token),
            embd=_at(self._pairs, ctypes.c_float),
            pos=_at(self._positions, lib.llama_pos),
            logits=_at(self._wanted, ctypes.c_int8),
        )
        parameters.ctx_type = lib.LLAMA_CONTEXT_TYPE_MTP
        parameters.n_rs_seq, parameters.n_outputs_max = 0, 1
        self.context = lib.llama_init_from_model(model, parameters)
        if not self.context:
            raise ModelUnavailable(
                "The block that predicts further tokens cannot be used: the file has none, or there is no room for it."
            )
        self._memory = lib.llama_get_memory(self.context)
        self._staged.llama_set_embeddings_nextn(target, True, False)  # of every token
        self._staged.llama_set_embeddings_nextn(self.context, True, True)  # of those whose logits are wanted
        self._hidden = self._pairs[:0]  # states after the tokens of the last batch
        self._first = 0  # the position of the first of them

    @property
    def length(self) -> int:
        """Tokens that the block has read."""
        return lib.llama_memory_seq_pos_max(self._memory, _SEQUENCE) + 1

    def follow(self, tokens: NDArray[np.int32], position: int) -> None:
        """Read what the model has just evaluated, the tokens from `position` on."""
        count = len(tokens)
        rows = self._staged.llama_get_embeddings_nextn(self._target)
        hidden = np.ctypeslib.as_array(rows, (count, self._width)).copy()
        self._cut(position)
        before = self._state_before(position)
        self._pairs[0] = 0 if before is None else before
        self._pairs[1:count] = hidden[:-1]
        self._ids[:count] = tokens
        self._positions[:count] = range(position, position + count)
        self._wanted[:count] = 0
        if self._decode(count):
            self.clear()
        self._hidden, self._first = hidden, position

    def guess(self, token: int, position: int, most: int) -> list[int]:
        """Return at most `most` tokens that may follow `token`, which came at `position` and was not evaluated yet.

        None when the hidden state before it is not known.
        """
        found: list[int] = []
        state = self._state_before(position)
        if state is None or self.length < position:
            return found
        self._cut(position)
        self._wanted[0] = 1
        while len(found) < most:
            self._ids[0], self._positions[0], self._pairs[0] = token, position + len(found), state
            if self._decode(1):
                break
            logits = np.ctypeslib.as_array(lib.llama_get_logits_ith(self.context, -1), (self._vocab_size,))
            token = int(logits.argmax())
            found.append(token)
            state = np.ctypeslib.as_array(self._staged.llama_get_embeddings_nextn_ith(self.context, -1), (self._width,))
        return found

    def save(self, state: Bytes, position: int) -> Bytes:
        """Return a saved state of the model, and after it the hidden state before `position`, zeros if not known."""
        hidden = self._state_before(position)
        more = np.zeros(self._width, np.float32) if hidden is None else hidden
        return np.concatenate([state, more.view(np.uint8)])

    def restore(self, state: Bytes, position: int) -> Bytes:
        """Go back to `position`, where `save` was called, and return what is the model's."""
        own, hidden = np.split(state, [len(state) - self._hidden.itemsize * self._width])
        self._hidden, self._first = hidden.copy().view(np.float32).reshape(1, -1), position - 1
        return own

    def dump(self, state: Bytes, position: int) -> Bytes:
        """Return what `save` does with a copy of the block's attention cache behind it."""
        self._cut(position)
        size = lib.llama_state_seq_get_size_ext(self.context, _SEQUENCE, 0)
        cache = np.empty(size, np.uint8)
        lib.llama_state_seq_get_data_ext(self.context, _at(cache, ctypes.c_uint8), size, _SEQUENCE, 0)
        return np.concatenate([self.save(state, position), cache, np.array([size, position], _SIZES).view(np.uint8)])

    def load(self, state: Bytes) -> Bytes:
        """Put what `dump` gave in the place of everything, and return what is the model's."""
        rest, sizes = np.split(state, [len(state) - 2 * np.dtype(_SIZES).itemsize])
        size, position = (int(number) for number in sizes.copy().view(_SIZES))
        rest, cache = np.split(rest, [len(rest) - size])
        lib.llama_state_seq_set_data_ext(self.context, _at(cache, ctypes.c_uint8), size, _SEQUENCE, 0)
        return self.restore(rest, position)

    def clear(self) -> None:
        """Forget all tokens."""
        lib.llama_memory_clear(self._memory, True)
        self._hidden = self._hidden[:0]

    def _decode(self, count: int) -> int:
        self._batch.n_tokens = count
        return lib.llama_decode(self.context, self._batch)

    def _cut(self, position: int) -> None:
        """Make `position` the end of what was read; all of it goes when there is a gap before it."""
        if self.length < position:
            lib.llama_memory_clear(self._memory, True)
        else:
            lib.llama_memory_seq_rm(self._memory, _SEQUENCE, position, -1)

    def _state_before(self, position: int) -> NDArray[np.float32] | None:
        row = position - 1 - self._first
        return self._hidden[row] if 0 <= row < len(self._hidden) else None


def _staged() -> Any:
    """Return the functions of llama.cpp that are exported but not promised yet (`llama-ext.h`)."""
    try:
        from llama_cpp import llama_cpp_ext
    except (ImportError, AttributeError) as error:
        raise ModelUnavailable(
            f"This llama.cpp cannot use the block that predicts further tokens ({error})."
        ) from error
    return llama_cpp_ext


def _at(array: Any, kind: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(kind))
