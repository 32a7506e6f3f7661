"""The vocabulary of the built-in model: byte-level BPE under Qwen's way of cutting text, with Qwen's special tokens.

Training reads with the `tokenizers` library what llama.cpp reads in use; a test compares the two.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import build_model
from qwencode.model.builtin.prompt import MARKUP

CUT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The regular expression of llama.cpp's pre-tokenizer `qwen35` (src/llama-vocab.cpp)."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens in the order of their ids, their GGUF types, and the merges, most frequent first."""

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[tuple[str, str], ...]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps([self.tokens, self.types, self.merges]), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        tokens, types, merges = json.loads(path.read_text(encoding="utf-8"))
        return cls(tuple(tokens), tuple(types), tuple((left, right) for left, right in merges))

    def tokenizer(self) -> Tokenizer:
        """Return what encodes a text as llama.cpp does with its special tokens."""
        count = sum(kind == build_model.NORMAL for kind in self.types)
        normal = {token: number for number, token in enumerate(self.tokens[:count])}
        made = Tokenizer(models.BPE(vocab=normal, merges=list(self.merges)))
        _prepare(made)
        made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in self.tokens[count:]])
        return made


def learn(texts: Iterable[str], size: int) -> Vocabulary:
    """Make a vocabulary of `size` tokens from texts: 256 bytes, merges, the special tokens, MARKUP."""
    special = [*build_model.SPECIAL, *MARKUP]
    types = [*build_model.SPECIAL.values(), *[build_model.USER_DEFINED] * len(MARKUP)]
    made = Tokenizer(models.BPE())
    _prepare(made)
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(special), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    model = json.loads(made.to_str())["model"]
    normal = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
    normal += [f"w{number}" for number in range(size - len(special) - len(normal))]  # too little text for so many
    kinds = [build_model.NORMAL] * len(normal) + types
    return Vocabulary((*normal, *special), tuple(kinds), tuple(merges))


def _prepare(made: Tokenizer) -> None:
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CUT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
