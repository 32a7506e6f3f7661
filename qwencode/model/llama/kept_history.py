"""A whole conversation on disk, where the user asked for that: going on with it evaluates nothing of it.

Beside the state lie the tokens of every message. Those of a reply are the ids that the model produced, which no
tokeniser gives back from its text. What does not load is a miss and never an error, as with `prefix_store`, whose files
these are: one folder for each conversation.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import build
from qwencode.model.llama.prefix_store import PrefixStore, State, prefixes
from qwencode.model.llama.state import LiveState
from qwencode.model.llama.transcript import Prompt
from qwencode.model.protocol import Kept

_MOST_BYTES = 1 << 38
_INDEX = hashlib.blake2b(b"tokens of the messages", digest_size=32).digest()
_NOT_READ = "the model file cannot be read"


@dataclass(frozen=True, slots=True)
class Recalled:
    """Tokens of a history that are live again. `keys` and `stops` are those of `transcript.Prompt`."""

    keys: list[bytes]
    stops: list[int]
    tokens: list[int]


def put(folder: Path, file: Path, fit: Fit, prompt: Prompt, state: State) -> Kept:
    """Keep the state after all messages of a prompt in the place of what was kept in this folder."""
    store = PrefixStore(folder, _MOST_BYTES)
    states, tokens = prefixes(store, file, fit, build()), prompt.tokens[: prompt.stops[-1]]
    if states is None:
        return Kept(len(tokens), 0, _NOT_READ)
    index = {"keys": [key.hex() for key in prompt.keys], "stops": prompt.stops, "tokens": tokens}
    store.clear()
    states.keep(tokens, state)
    problem = states.problem or store.put(_INDEX, np.frombuffer(json.dumps(index).encode(), np.uint8))
    return Kept(len(tokens), 0 if problem else state.nbytes, problem)


def get(folder: Path, file: Path, fit: Fit, prompt: Prompt, live: LiveState) -> Recalled | None:
    """Make what is kept the live tokens, if it is the beginning of the prompt; None: nothing has changed."""
    store = PrefixStore(folder, _MOST_BYTES)
    states, found = prefixes(store, file, fit, build()), _index(store)
    if states is None or found is None or found.keys != list(prompt.keys[: len(found.keys)]):
        return None
    return found if states.fetch(live, found.tokens) else None


def _index(store: PrefixStore) -> Recalled | None:
    data = store.get(_INDEX)
    if data is None:
        return None
    index = json.loads(data.tobytes())  # whole and unaltered, so the store says
    return Recalled([bytes.fromhex(key) for key in index["keys"]], index["stops"], index["tokens"])


def parts(recalled: Recalled) -> list[tuple[bytes, Sequence[int]]]:
    """Return the tokens of each message by its key, those of the fixed prefix first."""
    starts = [0, *recalled.stops]
    return [
        (key, recalled.tokens[start:stop])
        for key, start, stop in zip(recalled.keys, starts, recalled.stops, strict=False)
    ]
