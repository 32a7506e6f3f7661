"""A recorded edit, written again token by token, with guesses out of the context and without."""

import time
from collections.abc import Sequence
from dataclasses import replace

from engine_bench.ground import Row, Setup, at_least, spread, words
from qwencode.model.llama.decoder import Decoder
from qwencode.model.llama.draft import Lookup, Pace
from qwencode.model.llama.library import Engine
from qwencode.model.llama.sampler import Sampler, Source
from qwencode.model.llama.state import LiveState
from qwencode.model.sampling import sampling_for

_DRAFT = 15  # with the token before them a batch of 16

FILE = '''\
def vocabulary(shape: Shape) -> tuple[list[str], list[int], list[str]]:
    """Return the tokens, their types and the merges: 256 bytes, merges, filler, the special tokens, padding."""
    room = shape.vocab - 256 - len(SPECIAL) - shape.padding
    if room < 0:
        raise ValueError(f"a vocabulary of {shape.vocab} has no room for {256 + len(SPECIAL) + shape.padding} tokens")
    alphabet = byte_alphabet()
    merges = train(Path(__file__).read_text(encoding="utf-8"), min(room, 4096))
    normal = list(dict.fromkeys([*alphabet, *("".join(pair) for pair in merges)]))
    filler = [f"[unused{number}]" for number in range(256 + room - len(normal))]
    padding = [f"[pad{number}]" for number in range(shape.padding)]
    tokens = [*normal, *filler, *SPECIAL, *padding]
    types = [NORMAL] * len(normal) + [UNUSED] * len(filler) + list(SPECIAL.values()) + [UNUSED] * len(padding)
    return tokens, types, [" ".join(pair) for pair in merges]
'''
BEFORE = FILE[FILE.index("    alphabet") :]
AFTER = (
    BEFORE.replace("[unused{number}]", "w{number}")
    .replace("[NORMAL] * len(normal) + [UNUSED] * len(filler)", "[NORMAL] * len(normal + filler)")
    .replace("    tokens = [", "    # words of a real vocabulary may be drawn\n    tokens = [")
)
"""A change that was made to this very builder."""


def call(path: str, old: str, new: str) -> str:
    """Return an edit in the model's own format."""
    values = {"file_path": path, "old_string": old, "new_string": new}
    inner = "".join(f"<parameter={name}>\n{value}\n</parameter>\n" for name, value in values.items())
    return f"<tool_call>\n<function=edit>\n{inner}</function>\n</tool_call>"


class Recorded(Sampler):
    """Draws as ever, and then takes the recorded token instead."""

    def __init__(self, engine: Engine, tokens: Sequence[int]):
        super().__init__(engine, sampling_for(thinking=False), [], 0, len(tokens))
        self._tokens = iter(tokens)

    def draw(self, source: Source) -> int:
        super().draw(source)
        return next(self._tokens)


def speculation_row(setup: Setup) -> Row:
    """Measure the edit with drafts over without; what the drafts get right is the text's own."""
    most = setup.fit.draft_tokens or _DRAFT
    drafting = Engine(setup.model, replace(setup.fit, draft_tokens=most))
    plain = Engine(setup.model, replace(setup.fit, draft_tokens=0))
    edit = plain.tokenize(call("tools/build_model.py", BEFORE, AFTER), False)
    pace = Pace(most)
    ratios: list[float] = []
    speeds: list[float] = []
    shares: list[float] = []
    for number in range(setup.repeat):
        without, _ = _written(plain, setup, edit, Pace(0), number)
        seconds, decoder = _written(drafting, setup, edit, pace, number)
        ratios.append(without / seconds)
        speeds.append(len(edit) / seconds)
        shares.append(decoder.accepted / max(1, decoder.guessed))
    drafting.close()
    plain.close()
    numbers = {"ratio": spread(ratios), "tokens_s": spread(speeds), "accepted": spread(shares), "tokens": len(edit)}
    note = f"{len(edit)} tokens, {decoder.accepted} guessed rightly of {decoder.guessed}, at most {most} at once"
    return Row("decode of a copied edit, with drafts over without", **at_least(1.5, ratios), note=note, numbers=numbers)


def _written(engine: Engine, setup: Setup, edit: Sequence[int], pace: Pace, number: int) -> tuple[float, Decoder]:
    """Read the file, write the edit, and return the seconds of the latter."""
    around = words(engine.tokenize, setup.sizes.prompt // 2, number)
    earlier = call("tools/check", "set -e", "set -eu")
    prompt = engine.tokenize(f"{around}\n\n{earlier}\n\n{FILE}\n\n{around}", False)
    engine.clear()
    live = LiveState(engine, setup.fit.checkpoint_bytes)
    for at in range(0, len(prompt), engine.batch_size):
        live.extend(prompt[at : at + engine.batch_size], outputs=1)
    decoder = Decoder(live, Recorded(engine, edit), Lookup(), pace, engine.context_length)
    began = time.perf_counter()
    for _ in edit:
        decoder.push([decoder.draw()])
    seconds = time.perf_counter() - began
    decoder.close()
    return seconds, decoder
