"""The model in this process: message list in, cache inside."""

import time
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np

from qwencode.errors import ModelUnavailable
from qwencode.events import Event, PrefillProgress
from qwencode.messages import Message, Reply, ToolSpec, Usage
from qwencode.model.dialect import qwen
from qwencode.model.llama.fit import Fit, check_memory
from qwencode.model.llama.gguf_header import CHAT_TOKENS, check
from qwencode.model.llama.grammar import call_grammar
from qwencode.model.llama.library import CONTROL, UNUSED, USER_DEFINED, Engine, Grammar
from qwencode.model.llama.machine import free_memory
from qwencode.model.llama.sampler import Sampler
from qwencode.model.llama.state import LiveState
from qwencode.model.llama.transcript import Prompt, Transcript
from qwencode.model.llama.writer import Writer
from qwencode.model.protocol import Options
from qwencode.model.sampling import sampling_for

_STOPS_KEPT = 8  # of a long prompt that is read at once, the last ones
_NORMAL = 1  # token type in the file


class LlamaModel:
    """Runs a GGUF file of the Qwen3.5 and Qwen3.6 family through llama.cpp. Implements `qwencode.model.protocol.Model`.

    `string_limit`: characters of a string in a constrained call at most, for models with random weights, which never
    close one; 0: no limit.

    Raises ModelUnavailable when the file cannot be used or the context does not fit into memory.
    """

    def __init__(self, path: Path, fit: Fit, *, string_limit: int = 0):
        self.path = path
        header = check(path)
        check_memory(header, fit, free_memory())
        self._engine = Engine(path, fit)
        self._stops = {self._token(text): text for text in qwen.STOP}
        self._call = self._token("<tool_call>")
        for text in CHAT_TOKENS:
            self._token(text)
        kinds = {
            token: self._engine.attributes(token)
            for token, kind in enumerate(header.metadata["tokenizer.ggml.token_type"].items)
            if kind != _NORMAL
        }
        unwanted = [token for token, bits in kinds.items() if bits & (CONTROL | UNUSED) and token not in self._stops]
        self._banned = np.array(unwanted, np.int32)
        literals = [
            self._engine.piece(token).decode(errors="replace") for token, bits in kinds.items() if bits & USER_DEFINED
        ]
        self._live = LiveState(self._engine, fit.checkpoint_bytes)
        self._transcript = Transcript(self._engine, literals)
        self._string_limit = string_limit
        self._grammars: dict[str, Grammar] = {}
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
        self._engine.close()

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        """Continue the history by one message. One reply at a time: a new one ends the one before.

        `required` gives exactly one call. With `auto`, a call that the model begins is held to the declarations.
        """
        if self._turn < 0:
            raise ModelUnavailable(f"The model {self.name} was closed.")
        self._turn += 1
        turn = self._turn
        prompt = self._transcript.prompt(history, tools, options.thinking)
        if len(prompt.tokens) >= self.context_length:
            raise ModelUnavailable(
                f"The conversation has {len(prompt.tokens):,} tokens and the context holds {self.context_length:,}: "
                "raise the setting `context`, or begin a new session."
            )
        began = time.monotonic()
        cached = self._live.align(prompt.tokens)
        yield from self._prefill(prompt, cached, turn)
        read = time.monotonic()
        writer = Writer(self._engine, tools, options.thinking, 1 + sum(len(message.tool_calls) for message in history))
        window = self._room(prompt, options)
        sampler = Sampler(self._engine, sampling_for(options.thinking), self._banned, options.seed, window)
        truncated = yield from self._write(prompt, tools, options, writer, sampler, turn)
        message, finish = writer.finish(truncated)
        self._transcript.keep(prompt, message, writer.ids, writer.text, options.thinking)
        usage = Usage(
            prompt=len(prompt.tokens),
            cached=cached,
            evaluated=len(prompt.tokens) - cached,
            generated=len(writer.ids),
            prefill_seconds=read - began,
            decode_seconds=time.monotonic() - read,
        )
        return Reply(message, finish, usage, sampler.seed)

    def _prefill(self, prompt: Prompt, cached: int, turn: int) -> Generator[Event]:
        """Evaluate the rest of the prompt, a batch at a time, and keep the places to go back to."""
        began, total = time.monotonic(), len(prompt.tokens)
        places = {prompt.prefix, *prompt.stops[-_STOPS_KEPT:]}
        at = cached
        while True:
            if at in places and at:
                self._live.checkpoint(pinned=at == prompt.prefix)
            if at == total:
                break
            if at == cached:
                yield PrefillProgress(at, total, cached)
            end = min([total, at + self._engine.batch_size, *(place for place in places if place > at)])
            self._check_turn(turn)
            self._live.extend(prompt.tokens[at:end], logits=end == total)
            at = end
            speed = (at - cached) / max(time.monotonic() - began, 1e-9)
            yield PrefillProgress(at, total, cached, speed, (total - at) / speed)
        self._check_turn(turn)
        self._live.checkpoint(logits=True)

    def _write(
        self,
        prompt: Prompt,
        tools: Sequence[ToolSpec],
        options: Options,
        writer: Writer,
        sampler: Sampler,
        turn: int,
    ) -> Generator[Event, None, bool]:
        """Write the reply token by token. Returns whether it was cut off at a limit."""
        room = self._room(prompt, options)
        grammar = self._grammar(tools)
        required = options.tool_choice == "required" and grammar is not None
        budget = options.thinking_budget or (room // 2 if required else room)
        held = False
        truncated = True
        while len(writer.ids) < room:
            self._check_turn(turn)
            tokens = self._set_tokens(writer, budget, required)[: room - len(writer.ids)]
            for token in tokens:
                sampler.note(token)
            tokens = tokens or [sampler.draw(self._live.logits)]
            if required and writer.thinking and tokens[0] in self._stops:
                tokens = self._closer(writer)  # what is wanted has not come yet
            if tokens[0] in self._stops:
                truncated = False
                if self._stops[tokens[0]] == qwen.STOP[0]:
                    writer.end(tokens[0], qwen.STOP[0])
                break
            yield from writer.take(tokens)
            if grammar and writer.calling and tokens[-1] == self._call:
                sampler.constrain(grammar)
                held = True
            elif grammar and held and not writer.calling:
                sampler.constrain(None)
                held = False
                if required:
                    truncated = False
                    break
            self._check_turn(turn)
            if len(writer.ids) < room:
                self._live.extend(tokens, logits=True)
        yield from writer.drain()
        return truncated

    def _set_tokens(self, writer: Writer, budget: int, required: bool) -> list[int]:
        """Return tokens that must come next whatever the model would like: the end of thinking, the start of a call."""
        if writer.thinking:
            if len(writer.ids) < budget:
                return []
            return self._closer(writer)
        if not required or writer.calling:
            return []
        gap = "" if not writer.text or writer.text.endswith("\n\n") else "\n\n"
        return [*self._engine.tokenize(gap, special=False), self._call]

    def _closer(self, writer: Writer) -> list[int]:
        return self._engine.tokenize("</think>\n\n" if writer.text.endswith("\n") else "\n</think>\n\n", special=True)

    def _room(self, prompt: Prompt, options: Options) -> int:
        return min(options.max_tokens, self.context_length - len(prompt.tokens))

    def _grammar(self, tools: Sequence[ToolSpec]) -> Grammar | None:
        if not tools:
            return None
        text = call_grammar(tools, self._string_limit)
        if text not in self._grammars:
            self._grammars = {text: Grammar(self._engine, text)}
        return self._grammars[text]

    def _token(self, text: str) -> int:
        tokens = self._engine.tokenize(text, special=True)
        if len(tokens) != 1:
            self._engine.close()
            raise ModelUnavailable(f"{self.path} cannot be used: its vocabulary does not mark {text} as special.")
        return tokens[0]

    def _check_turn(self, turn: int) -> None:
        if self._turn != turn:
            raise RuntimeError("this reply was ended by a newer one or by close()")
