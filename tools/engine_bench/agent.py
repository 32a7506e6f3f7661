"""A recorded-looking agent's session, played to every engine: how many tokens each evaluates for what is new."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine_bench.ground import NO_PEER, Row, Setup, Watch, talk, words
from engine_bench.peers import Server, llama_tokens, open_llama, running_server
from engine_bench.speed import NOTE_TOOL
from qwencode.messages import Message
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.state import common_length
from qwencode.model.llama.transcript import Transcript
from qwencode.model.protocol import Options

TURNS = 20
RETRIED = {6: False, 13: True}  # turn: whether the second try thinks
EDITED = 10  # after this turn the result of an earlier one is changed, and what followed is dropped
COMPACTED = 16


@dataclass(frozen=True, slots=True)
class Played:
    """One request: the tokens of the prompt, how many of them were evaluated, and the tokens behind them."""

    prompt: list[int]
    evaluated: int
    behind: list[int]


class Player(Protocol):
    """Something that replies to a history."""

    def reply(self, history: Sequence[Message], thinking: bool, seed: int) -> tuple[Message, Played]: ...


class EnginePlayer:
    """qwencode's engine. What it evaluates is read off llama.cpp, not off its own account."""

    def __init__(self, model: LlamaModel, watch: Watch, count: int):
        self._model, self._watch, self._count = model, watch, count
        self._live: list[int] = []

    def reply(self, history: Sequence[Message], thinking: bool, seed: int) -> tuple[Message, Played]:
        self._watch.take()
        options = Options(thinking, max_tokens=self._count, seed=seed)
        reply = talk(self._model, history, [NOTE_TOOL], options)
        size, evaluated = reply.usage.prompt, 0
        for call in self._watch.take():
            if call.name == "llama_decode":
                self._live[call.position :] = call.tokens
                evaluated += max(0, min(size, call.position + len(call.tokens)) - call.position)
        behind = self._live[size : len(self._model._live.tokens)]  # without guesses that were wrong
        return reply.message, Played(self._live[:size], evaluated, behind)


class PeerPlayer:
    """A peer that is given tokens. It keeps its replies as it wrote them, as the engine does."""

    def __init__(self, transcript: Transcript, complete: Callable[[list[int], int], tuple[list[int], int]]):
        self._transcript, self._complete = transcript, complete
        self._numbers = itertools.count()

    def reply(self, history: Sequence[Message], thinking: bool, seed: int) -> tuple[Message, Played]:
        prompt = self._transcript.prompt(history, [NOTE_TOOL], thinking)
        drawn, evaluated = self._complete(prompt.tokens, seed)
        message = Message("assistant", f"reply {next(self._numbers)}")
        self._transcript.keep(prompt, message, drawn, "", thinking)
        return message, Played(prompt.tokens, evaluated, drawn[:-1])


def play(player: Player, text: Callable[[int], str]) -> list[Played]:
    """Play the session: two retries, one result edited afterwards, one compaction. `text` gives what the tools say."""
    numbers = itertools.count(1)
    history = [Message("system", text(0)), Message("user", f"Make the tests pass.\n\n{text(next(numbers))}")]
    requests: list[Played] = []
    for turn in range(1, TURNS + 1):
        message, played = player.reply(history, False, turn)
        requests.append(played)
        if turn in RETRIED:
            message, played = player.reply(history, RETRIED[turn], TURNS + turn)
            requests.append(played)
        history += [message, Message("tool", text(next(numbers)))]
        if turn == EDITED:
            history = [*history[:-5], Message("tool", text(next(numbers)))]
        if turn == COMPACTED:
            history = [*history[:2], Message("user", f"So far:\n\n{text(next(numbers))}")]
    return requests


def wanted(requests: Sequence[Played], message_start: int, result_end: int) -> int:
    """Return how many tokens had to be evaluated by one who forgets nothing.

    What a prompt shares with any sequence of before need not be. Where they part, the whole message in which they do
    counts as changed; what closes the turn of a tool's result belongs to the message after it.
    """
    seen: list[list[int]] = []
    total = 0
    for played in requests:
        prompt = played.prompt
        common, whole = max(((common_length(old, prompt), len(old)) for old in seen), default=(0, 0))
        if common not in (len(prompt), whole):
            common = max((at for at in range(common + 1) if prompt[at] == message_start), default=0)
            common -= 2 if common > 2 and prompt[common - 3] == result_end else 0
        total += len(prompt) - common
        seen.append([*prompt, *played.behind])
    return total


def evaluated_tokens(setup: Setup) -> Row:
    """Play the session to the engine, to llama_cpp.Llama and, where it is given, to llama-server."""
    reader = Engine(setup.model, Fit(context=256, threads=1, batch=64))
    marks = reader.tokenize("<|im_start|></tool_response>", special=True)
    texts: dict[int, str] = {}

    def text(number: int) -> str:
        if number not in texts:
            size = setup.sizes.prefix // 2 if number == 0 else setup.sizes.result
            texts[number] = words(reader.tokenize, size, number)
        return texts[number]

    counts = {"engine": _counts(_engine_session(setup, text), marks)}
    counts["llama_cpp.Llama"] = _counts(_library_session(setup, reader, text), marks)
    if setup.server:
        with running_server(setup) as server:
            player = PeerPlayer(Transcript(reader), _asking(server, setup.sizes.reply))
            counts["llama-server"] = _counts(play(player, text), marks)
    reader.close()
    shares = {name: evaluated / new for name, (evaluated, new) in counts.items()}
    numbers = {name: {"evaluated": counts[name][0], "new": counts[name][1], "share": shares[name]} for name in counts}
    note = "; ".join(f"{name} {evaluated:,} of {new:,}" for name, (evaluated, new) in counts.items())
    reached = shares["engine"] <= min(1.0, shares.get("llama-server", 1.0))
    if not setup.server:
        note += f"; llama-server {NO_PEER.format('--llama-server')}"
    name = f"evaluated / new tokens, {TURNS} turns"
    return Row(name, f"{shares['engine']:.3f}", "<= 1.00, llama-server", reached, note, numbers)


def _counts(requests: Sequence[Played], marks: Sequence[int]) -> tuple[int, int]:
    return sum(played.evaluated for played in requests), wanted(requests, *marks)


def _engine_session(setup: Setup, text: Callable[[int], str]) -> list[Played]:
    with Watch() as watch:
        model = LlamaModel(setup.model, setup.fit)
        requests = play(EnginePlayer(model, watch, setup.sizes.reply), text)
        model.close()
    return requests


def _library_session(setup: Setup, reader: Engine, text: Callable[[int], str]) -> list[Played]:
    with Watch() as watch:
        llama = open_llama(setup)

        def complete(prompt: list[int], seed: int) -> tuple[list[int], int]:
            watch.take()
            llama.set_seed(seed)
            drawn = [token for token, _ in llama_tokens(llama, prompt, setup.sizes.reply)]
            calls = [call for call in watch.take() if call.name == "llama_decode"]
            return drawn, sum(len(call.tokens) for call in calls) - (len(drawn) - 1)

        requests = play(PeerPlayer(Transcript(reader), complete), text)
        llama.close()
    return requests


def _asking(server: Server, count: int) -> Callable[[list[int], int], tuple[list[int], int]]:
    def complete(prompt: list[int], seed: int) -> tuple[list[int], int]:
        done = server.complete(prompt, count, seed)
        return done.tokens, done.evaluated

    return complete
