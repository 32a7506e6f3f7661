"""How a loaded model is spoken to: its dialect, the tokens at which it stops, and those that it must not write."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qwencode.errors import ModelUnavailable
from qwencode.model.dialect import qwen
from qwencode.model.dialect.dialect import Dialect
from qwencode.model.dialect.generic import Generic
from qwencode.model.dialect.template import CHATML, NotLearned, learned, renderer
from qwencode.model.llama.gguf_header import CHAT_TOKENS, Header
from qwencode.model.llama.vocabulary import CONTROL, UNUSED, USER_DEFINED, Vocabulary
from qwencode.model.sampling import sampling_of

_NORMAL = 1  # token type in the file
_NOT_LEARNED = "cannot be used: its chat template does not work one message at a time"
_NO_SWITCH = "The chat template of this model has no switch for thinking: it thinks, or does not, as it was made."
_PLAIN_MARKS = "Its chat template marks turns in plain text: what the model reads in a file could pass for a turn."


@dataclass(frozen=True, slots=True)
class Speech:
    """`stops`: tokens that end a reply, spelled. `literals`: what the vocabulary takes for special tokens anywhere.

    `about`: what a user should know of it, sentences or nothing.
    """

    dialect: Dialect
    stops: Mapping[int, str]
    banned: NDArray[np.int32]
    literals: tuple[str, ...]
    about: str = ""


def speech_of(header: Header, vocabulary: Vocabulary) -> Speech:
    """Return how to speak to a model. Raises ModelUnavailable where that cannot be known."""
    kinds = {
        token: vocabulary.attributes(token)
        for token, kind in enumerate(header.metadata["tokenizer.ggml.token_type"].items)
        if kind != _NORMAL
    }
    if header.recurrent:
        dialect, stops, about = *_known(header, vocabulary), ""
    else:
        dialect, stops, about = _learned(header, vocabulary, kinds)
    unwanted = [token for token, bits in kinds.items() if bits & (CONTROL | UNUSED) and token not in stops]
    literals = [vocabulary.spelled(token) for token, bits in kinds.items() if bits & USER_DEFINED]
    return Speech(dialect, stops, np.array(unwanted, np.int32), tuple(literals), about)


def _known(header: Header, vocabulary: Vocabulary) -> tuple[Dialect, dict[int, str]]:
    for text in CHAT_TOKENS:
        _token(header, vocabulary, text)
    return qwen, {_token(header, vocabulary, text): text for text in qwen.STOP}


def _learned(header: Header, vocabulary: Vocabulary, kinds: Mapping[int, int]) -> tuple[Dialect, dict[int, str], str]:
    """Learn the dialect from the file's own template.

    A reply ends at any token that llama.cpp knows as an end, and at the one with which the frame after it begins.
    """
    bos = vocabulary.spelled(vocabulary.bos) if vocabulary.bos >= 0 else ""
    eos = vocabulary.spelled(vocabulary.eos) if vocabulary.eos >= 0 else ""
    try:
        frames = learned(renderer(header.template or CHATML, bos, eos))
    except NotLearned as problem:
        raise ModelUnavailable(f"{header.path} {_NOT_LEARNED}: {problem}.") from problem
    ends = [token for token in {*kinds, vocabulary.eos, vocabulary.eot} if token >= 0 and vocabulary.ends(token)]
    first = vocabulary.tokenize(frames.assistant_user, special=True)[:1]
    ends += [token for token in first if kinds.get(token, 0) & CONTROL]
    stops = {token: vocabulary.spelled(token) for token in ends}
    if not stops:
        raise ModelUnavailable(f"{header.path} cannot be used: no token of its vocabulary ends a reply.")
    specials = [vocabulary.spelled(token) for token, bits in kinds.items() if bits & (CONTROL | USER_DEFINED)]
    added = bos if vocabulary.adds_bos else ""
    dialect = Generic(frames, specials, list(stops.values()), added, sampling_of(header.metadata))
    plain = any(
        not any(kinds.get(token, 0) & (CONTROL | USER_DEFINED) for token in vocabulary.tokenize(mark, special=True))
        for mark in (frames.user_assistant, frames.assistant_user)
    )
    said = ((_NO_SWITCH, len({*frames.opening}) == 1), (_PLAIN_MARKS, plain))
    return dialect, stops, " ".join(sentence for sentence, holds in said if holds)


def _token(header: Header, vocabulary: Vocabulary, text: str) -> int:
    tokens = vocabulary.tokenize(text, special=True)
    if len(tokens) != 1:
        raise ModelUnavailable(f"{header.path} cannot be used: its vocabulary does not mark {text} as special.")
    return tokens[0]
