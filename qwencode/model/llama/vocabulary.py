"""The tokens of a loaded file: from text to ids and back."""

import ctypes
from typing import Any

import llama_cpp.llama_cpp as bindings

lib: Any = bindings  # its annotations are for people
UNUSED, CONTROL, USER_DEFINED = 2, 8, 16
"""Attribute bits of a token, after `llama_token_attr`."""


class Vocabulary:
    """What a model has in the way of tokens; `model` is llama.cpp's handle, which must outlive this."""

    def __init__(self, model: Any):
        self.vocab: Any = lib.llama_model_get_vocab(model)
        self.vocab_size: int = lib.llama_vocab_n_tokens(self.vocab)

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Return the tokens of a text. `special`: control tokens spelled in it are meant as such."""
        data = text.encode("utf-8", "surrogatepass")
        room = len(data) + 8
        buffer = (lib.llama_token * room)()
        count = lib.llama_tokenize(self.vocab, data, len(data), buffer, room, False, special)
        if count < 0:  # cannot be: a token stands for at least one byte
            raise RuntimeError(f"llama.cpp wants {-count} tokens for {len(data)} bytes")
        return buffer[:count]

    def piece(self, token: int, special: bool = False) -> bytes:
        """Return the bytes of a token. Control tokens have none unless `special`."""
        buffer = ctypes.create_string_buffer(64)
        size = lib.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
        if size < 0:
            buffer = ctypes.create_string_buffer(-size)
            size = lib.llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
        return buffer.raw[:size]

    def spelled(self, token: int) -> str:
        """Return the text of a token, a control token's own name included."""
        return self.piece(token, special=True).decode("utf-8", "replace")

    def attributes(self, token: int) -> int:
        """Return the attribute bits of a token."""
        return lib.llama_vocab_get_attr(self.vocab, token)

    def ends(self, token: int) -> bool:
        """Say whether llama.cpp knows a token as an end of replies: by its role in the file, or by its usual name."""
        return lib.llama_vocab_is_eog(self.vocab, token)

    @property
    def bos(self) -> int:
        """The token with which every text begins; -1: there is none."""
        return lib.llama_vocab_bos(self.vocab)

    @property
    def eos(self) -> int:
        """The token at which every text ends; -1: there is none."""
        return lib.llama_vocab_eos(self.vocab)

    @property
    def eot(self) -> int:
        """The token at which every turn ends; -1: there is none."""
        return lib.llama_vocab_eot(self.vocab)

    @property
    def adds_bos(self) -> bool:
        """Whether `bos` belongs before a text that does not begin with it."""
        return lib.llama_vocab_get_add_bos(self.vocab)
