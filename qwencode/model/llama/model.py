"""The model in this process: message list in, cache inside."""

import time
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from qwencode.errors import HistoryTooLong, ModelUnavailable
from qwencode.events import Event, Notice, PrefillProgress, Progress
from qwencode.excerpt import unnumbered
from qwencode.messages import Finish, Message, Reply, ToolSpec, Usage
from qwencode.model.dialect.pieces import Piece
from qwencode.model.llama import calibration, kept_history
from qwencode.model.llama.cache_miss import Seen, explain
from qwencode.model.llama.calibration import Calibration
from qwencode.model.llama.decoder import Decoder
from qwencode.model.llama.draft import Lookup, Pace
from qwencode.model.llama.fit import Fit, check_memory
from qwencode.model.llama.gguf_header import LINE_FORM, check
from qwencode.model.llama.grammar import call_grammar
from qwencode.model.llama.library import Engine, build
from qwencode.model.llama.likelihood import likelihood
from qwencode.model.llama.machine import free_memory
from qwencode.model.llama.prefix_store import PrefixStore, Warmed, prefixes
from qwencode.model.llama.sampler import QuickGrammar, Sampler
from qwencode.model.llama.speech import speech_of
from qwencode.model.llama.state import LiveState
from qwencode.model.llama.steering import Steering
from qwencode.model.llama.transcript import Prompt, Transcript
from qwencode.model.llama.writer import Writer
from qwencode.model.protocol import CallRefused, Kept, Likelihood, Options, ReplyInterrupted, Stopped
from qwencode.model.sampling import LINES

_STOPS_KEPT = 8  # of a long prompt that is read at once, the last ones
_SAMPLE = "Write a Python function that reads an INI file into nested dictionaries, with a docstring and three tests."
T = TypeVar("T")


class LlamaModel:
    """Runs a GGUF file through llama.cpp, in the dialect of its family. Implements `qwencode.model.protocol.Model`.

    `store`: where the state after the fixed prefix is kept between runs, so no system message may hold text of a
    repository. `speed`: what was measured on this machine. `about`: sentences on how it runs, told once, at the first
    turn. `string_limit`: characters of a string in a constrained call at most, for models with random weights, which
    never close one; 0: no limit. A file of LINE_FORM is not told about the tools, which parser and grammar know all the
    same; its conversations are short and begin anew by intent, so that none is a miss of the cache.

    Raises ModelUnavailable when the file cannot be used or the context does not fit into memory.
    """

    def __init__(
        self,
        path: Path,
        fit: Fit,
        *,
        store: PrefixStore | None = None,
        speed: Calibration | None = None,
        about: Sequence[str] = (),
        string_limit: int = 0,
    ):
        self.path, self.fit, self.about = path, fit, [text for text in about if text]
        self.speed = speed
        header = check(path)
        check_memory(header, fit, free_memory())
        self._declares = header.form != LINE_FORM
        self._prefixes = prefixes(store, path, fit, build() if store else "")
        self._engine = Engine(path, fit)
        try:
            speech = speech_of(header, self._engine)
        except ModelUnavailable:
            self._engine.close()
            raise
        self.about += [speech.about] if speech.about else []
        self._dialect, self._stops, self._banned = speech.dialect, speech.stops, speech.banned
        self._live = LiveState(self._engine, fit.checkpoint_bytes)
        self._transcript = Transcript(self._engine, speech.literals, dialect=self._dialect)
        self._string_limit = string_limit
        self._grammars: dict[str, QuickGrammar] = {}
        self._lookup, self._pace = Lookup(), Pace(fit.draft_tokens, dict(speed.points) if speed else None)
        self._shown: Collection[str] = ()
        self._seen: Seen | None = None
        self._turn = 0

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def context_length(self) -> int:
        return self._engine.context_length

    def close(self) -> None:
        self._turn = -1
        self._grammars.clear()
        self._live = LiveState(self._engine, 0)  # the checkpoints go
        self._engine.close()

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        """Continue the history by one message. One reply at a time: a new one ends the one before.

        `required` gives exactly one call. With `auto`, a call that the model begins is held to the declarations.
        """
        prompt, turn = self._begin(history, tools, options.thinking)
        while self.about:
            yield Notice(self.about.pop(0))
            self._check_turn(turn)
        began = time.monotonic()
        self._read(history)
        seen = Seen.of(history, tools, prompt)
        shared = self._live.shared(prompt.tokens)
        cached = self._align(prompt)
        missed = self._declares and self._seen and explain(self._seen, seen, prompt, shared, cached)
        self._seen = seen
        if missed:
            yield missed
        yield from self._prefill(prompt, cached, turn)
        read = time.monotonic()
        room = min(options.max_tokens, self.context_length - len(prompt.tokens))
        first_call = 1 + sum(len(message.tool_calls) for message in history)
        writer = Writer(self._engine, tools, options.thinking, first_call, self._dialect)
        sampling = self._dialect.sampling(options.thinking) if self._declares else LINES
        sampler = Sampler(self._engine, sampling, self._banned, options.seed, room)
        predict = self._engine.guess if self._engine.guesses else None
        decoder = Decoder(self._live, sampler, self._lookup, self._pace, self.context_length, predict)
        try:
            cut = yield from self._write(tools, options, writer, sampler, decoder, room, turn)
            self._check_turn(turn)
            message, finish = writer.finish(cut)
        except CallRefused as refusal:
            self._check_turn(turn)
            writer.drain()
            message, finish = refusal.message, "refused"
        except Stopped:
            self._check_turn(turn)
            message, finish = writer.broken_off(), "interrupted"
        except KeyboardInterrupt:
            message = writer.broken_off()
            self._keep(prompt, seen, message, writer, options.thinking)
            raise ReplyInterrupted(message) from None
        finally:
            if self._turn == turn:
                decoder.close()
        self._keep(prompt, seen, message, writer, options.thinking)
        usage = Usage(
            prompt=len(prompt.tokens),
            cached=cached,
            evaluated=len(prompt.tokens) - cached,
            generated=len(writer.ids),
            prefill_seconds=read - began,
            decode_seconds=time.monotonic() - read,
            drafted=decoder.guessed,
            accepted=decoder.accepted,
        )
        return Reply(message, finish, usage, sampler.seed)

    def likelihoods(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], texts: Sequence[str]
    ) -> Generator[Event, None, list[Likelihood]]:
        """Say how likely each text is as the next message. Implements `qwencode.model.protocol.Judges`."""
        prompt, turn = self._begin(history, tools, thinking=False)
        parts = [self._transcript.encode([Piece(text, False)]) for text in texts]
        self._fits(len(prompt.tokens) + max(map(len, parts), default=0))
        self._seen = Seen.of(history, tools, prompt)
        yield from self._prefill(prompt, self._align(prompt), turn)
        found: list[Likelihood] = []
        for number, tokens in enumerate(parts):
            yield Progress("search", number, len(parts), "edits", note="the model compares them")
            self._check_turn(turn)
            found.append(likelihood(self._live, tokens, self.fit.draft_tokens + 1))
        return found

    def read(self, history: Sequence[Message], tools: Sequence[ToolSpec]) -> Generator[Event, None, None]:
        """Bring a history into memory. Implements `qwencode.model.protocol.Reads`."""
        prompt, turn = self._begin(history, tools, thinking=False)
        prompt = replace(prompt, tokens=prompt.tokens[: prompt.stops[-1]])
        self._seen = Seen.of(history, tools, prompt)
        if not self._live.holds(prompt.tokens) and (cached := self._align(prompt)) < len(prompt.tokens):
            yield from self._prefill(prompt, cached, turn)

    def keep(self, history: Sequence[Message], tools: Sequence[ToolSpec], folder: Path) -> Generator[Event, None, Kept]:
        """Keep a history on disk. Implements `qwencode.model.protocol.Keeps`."""
        yield from self.read(history, tools)
        prompt, _ = self._begin(history, tools, thinking=False)
        return kept_history.put(folder, self.path, self.fit, prompt, self._engine.dump())

    def recall(self, history: Sequence[Message], tools: Sequence[ToolSpec], folder: Path) -> int:
        """Bring back what was kept. Implements `qwencode.model.protocol.Keeps`."""
        prompt, _ = self._begin(history, tools, thinking=False)
        if (found := kept_history.get(folder, self.path, self.fit, prompt, self._live)) is None:
            return 0
        self._transcript.learn(kept_history.parts(found))
        return len(found.tokens)

    def warm(self, history: Sequence[Message], tools: Sequence[ToolSpec]) -> Generator[Event, None, Warmed]:
        """Bring the fixed prefix of a history into memory and into the store, and nothing after it."""
        if self._prefixes is None:
            raise ModelUnavailable(f"The model {self.name} was opened without a place for its prefix.")
        prompt, turn = self._begin(history, tools, thinking=False)
        prompt = replace(prompt, tokens=prompt.tokens[: prompt.prefix], stops=[])
        began = time.monotonic()
        cached = self._align(prompt)
        if cached < prompt.prefix:
            yield from self._prefill(prompt, cached, turn)
        return self._prefixes.warmed(prompt.tokens, cached, time.monotonic() - began)

    def measure(self, cache: Path, seconds: float) -> Calibration:
        """Return how fast this model is here: as kept below the directory `cache`, else measured now, for `seconds`.

        Ends the reply that is being written. What is in memory may go. With the file's own head in use, it is measured
        whether that pays.
        """
        self._next_turn()
        found = calibration.load(self.path, self.fit, cache)
        if found is None:
            found = self._alone(lambda: calibration.calibrate(self._engine, self.fit.draft_tokens, seconds))
            calibration.keep(found, self.path, self.fit, cache)
        self._pace = Pace(self.fit.draft_tokens, dict(found.points))
        if self.fit.mtp and not found.mtp:
            found = replace(found, mtp=self._mtp_gain(round(seconds / 4 / found.decode)))
            calibration.keep(found, self.path, self.fit, cache)
        self.speed = found
        return found

    def _alone(self, work: Callable[[], T]) -> T:
        """Return what is measured while the head does not follow. Nothing is in memory then, nor afterwards."""
        self._live = LiveState(self._engine, self.fit.checkpoint_bytes)
        self._engine.guesses = False
        try:
            return work()
        finally:
            self._engine.clear()
            self._engine.guesses = self.fit.mtp

    def _mtp_gain(self, tokens: int) -> float:
        """Return how many times as fast a reply of so many tokens is written with the head's guesses as without."""
        options = Options(max_tokens=min(256, max(16, tokens)), seed=0)
        spent = {True: 0.0, False: 0.0}
        try:
            for guesses in (True, False, False, True):  # the first one, so that the head knows the prompt
                self._engine.guesses = guesses
                usage = _usage(self.stream([Message("user", _SAMPLE)], (), options))
                spent[guesses] += usage.decode_seconds / max(1, usage.generated)
        finally:
            self._engine.guesses = self.fit.mtp
        return spent[False] / spent[True]

    def _begin(self, history: Sequence[Message], tools: Sequence[ToolSpec], thinking: bool) -> tuple[Prompt, int]:
        """Return the prompt, which fits into the context, and the number of the turn that begins."""
        turn = self._next_turn()
        prompt = self._transcript.prompt(history, tools if self._declares else (), thinking)
        self._fits(len(prompt.tokens))
        return prompt, turn

    def _fits(self, tokens: int) -> None:
        if tokens >= self.context_length:
            raise HistoryTooLong(
                f"The conversation has {tokens:,} tokens and the context holds {self.context_length:,}: "
                "raise the setting `context`, or begin a new session."
            )

    def _next_turn(self) -> int:
        """Return a new number of a turn; a reply of an older one ends."""
        if self._turn < 0:
            raise ModelUnavailable(f"The model {self.name} was closed.")
        self._turn += 1
        return self._turn

    def _align(self, prompt: Prompt) -> int:
        """Return how many tokens of the prompt need not be evaluated: they are live, or were in the store."""
        cached = self._live.align(prompt.tokens)
        if self._prefixes and cached < prompt.prefix:
            self._prefixes.fetch(self._live, prompt.tokens[: prompt.prefix])
        return len(self._live.tokens)

    def _prefill(self, prompt: Prompt, cached: int, turn: int) -> Generator[Event]:
        """Evaluate the rest of the prompt, a batch at a time, and keep the places to go back to."""
        began, total = time.monotonic(), len(prompt.tokens)
        places = {prompt.prefix, *prompt.stops[-_STOPS_KEPT:]}
        at = cached
        while True:
            self._check_turn(turn)
            if at in places and at:
                self._live.checkpoint(pinned=at == prompt.prefix)
                if self._prefixes and cached < at == prompt.prefix:
                    self._prefixes.keep(prompt.tokens[:at], self._engine.dump())
            if at == total:
                break
            if at == cached:
                known = self.speed and (self.speed.prefill, self.speed.seconds(total - cached))
                yield PrefillProgress(at, total, cached, *(known or ()))
            end = min([total, at + self._engine.batch_size, *(place for place in places if place > at)])
            self._check_turn(turn)
            self._live.extend(prompt.tokens[at:end], outputs=int(end == total))
            at = end
            speed = (at - cached) / max(time.monotonic() - began, 1e-9)
            yield PrefillProgress(at, total, cached, speed, (total - at) / speed)
        self._live.checkpoint(logits=True)

    def _write(
        self,
        tools: Sequence[ToolSpec],
        options: Options,
        writer: Writer,
        sampler: Sampler,
        decoder: Decoder,
        room: int,
        turn: int,
    ) -> Generator[Event, None, Finish | None]:
        """Write the reply token by token. Returns why it was cut off, or None when it ended by itself."""
        grammar = self._grammar(tools)
        required = options.tool_choice == "required" and grammar is not None
        steering = Steering(self._engine.tokenize, options, room, required)
        held = opened = False
        cut: Finish | None = "length"
        while len(writer.ids) < room:
            forced = steering.forced(writer)
            tokens = forced or [decoder.draw()]
            if required and writer.thinking and tokens[0] in self._stops:
                tokens = forced = steering.closer(writer)  # what is wanted has not come yet
            tokens = tokens[: room - len(writer.ids)]
            for token in tokens if forced else ():
                sampler.note(token)
            if tokens[0] in self._stops:
                cut = None
                if self._stops[tokens[0]] == self._dialect.CLOSING:
                    writer.end(tokens[0], self._dialect.CLOSING)
                break
            decoder.push(tokens)
            yield from writer.take(tokens)
            self._check_turn(turn)
            steering.took(tokens, writer)
            before, opened = opened, writer.opened
            if grammar and opened and not before:
                sampler.constrain(grammar)
                held = True
            elif grammar and held and not writer.calling:
                sampler.constrain(None)
                held = False
                if required:
                    cut = None
                    break
            if steering.repeats:
                cut = "repetition"
                break
        yield from writer.drain()
        return cut

    def _keep(self, prompt: Prompt, seen: Seen, message: Message, writer: Writer, thinking: bool) -> None:
        """Remember with which tokens a message was written."""
        key = self._transcript.keep(prompt, message, writer.ids, writer.text, thinking)
        self._seen = replace(seen, keys=[*prompt.keys, key], replied=True)

    def _read(self, history: Sequence[Message]) -> None:
        """Give the files that messages show to the lookup, without the line numbers: that is how they are copied."""
        shown = dict.fromkeys(message.content for message in history if message.role in ("user", "tool"))
        for content in shown:
            for text in unnumbered(content) if content not in self._shown else ():
                self._lookup.read(self._engine.tokenize(text, False))
        self._shown = shown.keys()

    def _grammar(self, tools: Sequence[ToolSpec]) -> QuickGrammar | None:
        if not tools:
            return None
        text = call_grammar(tools, self._string_limit, self._dialect.CALLS)
        if text not in self._grammars:
            self._grammars = {text: QuickGrammar(self._engine, text)}
        return self._grammars[text]

    def _check_turn(self, turn: int) -> None:
        """Raise RuntimeError in a reply that was ended. To be asked after every `yield`: anything may have happened."""
        if self._turn != turn:
            raise RuntimeError("this reply was ended by a newer one, a measurement or close()")


def _usage(reply: Generator[Event, None, Reply]) -> Usage:
    """Let a reply be written and return what it took."""
    while True:
        try:
            next(reply)
        except StopIteration as end:
            return end.value.usage
