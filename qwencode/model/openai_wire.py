"""The chat-completions form that OpenAI-compatible servers speak: messages out, streamed chunks in. No network here."""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from qwencode.errors import ModelUnavailable
from qwencode.events import CallDelta, Event, PrefillProgress
from qwencode.messages import Finish, Message, Reply, ToolCall, ToolSpec, Usage
from qwencode.model.dialect.arguments import DECODER, DEEPEST, TRUNCATED, build_call, decode, valid
from qwencode.model.dialect.qwen import STOP, Parser


def to_wire(message: Message) -> dict[str, Any]:
    """Return a message as servers expect it. Reasoning goes back under both names in use."""
    data: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.role == "tool":
        data["tool_call_id"] = message.answers
    if message.reasoning:
        data["reasoning_content"] = data["reasoning"] = message.reasoning
    if message.tool_calls:
        data["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name or "unknown",
                    "arguments": json.dumps(dict(call.arguments), ensure_ascii=False),
                },
            }
            for call in message.tool_calls
        ]
    return cast(dict[str, Any], valid(data))  # what was read or typed may hold half a character


def declare(tool: ToolSpec) -> dict[str, Any]:
    """Return a tool as servers expect it."""
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def server_sent_events(received: Iterable[bytes]) -> Iterator[str]:
    """Yield the data of each server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).

    Lines end at a line feed only: some servers write U+2028 and its kin raw into JSON strings. An `error:` field, which
    older llama-servers use, is given as an error object.
    """
    buffer, data = b"", list[str]()
    for piece in received:
        *lines, buffer = (buffer + piece).split(b"\n")
        for raw in lines:
            line = raw.removesuffix(b"\r").decode("utf-8", "replace")
            name, _, value = line.partition(":")
            if name == "data":
                data.append(value.removeprefix(" "))
            elif name == "error":
                data.append(f'{{"error":{value}}}')
            elif not line and data:
                yield "\n".join(data)
                data = []
    last = buffer.decode("utf-8", "replace").strip()
    if last.startswith("data:"):
        data.append(last[5:].strip())
    if data:
        yield "\n".join(data)


def text_of(value: Any) -> str:
    """Return what stands where a text is due as one that can be shown, stored and sent; '' for nothing."""
    return str(valid(str(value or "")))


def count_of(value: Any) -> int:
    """Return a count; 0 for whatever is none that a program can reckon with."""
    return int(_number(value))


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one for anything else."""
    return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a JSON array, or none for anything else."""
    return [mapping(item) for item in cast(list[Any], value)] if isinstance(value, list) else []


@dataclass(slots=True)
class _Call:
    """A tool call as its fragments come in."""

    id: str = ""
    name: str = ""
    text: str = ""
    read: int = 0  # how much of `text` was shown
    parameter: str = ""  # whose string value `read` stands in
    announced: bool = False
    whole: bool = False  # its arguments are complete


_LARGEST = 1e15  # for a count or a time
_LETTER = (  # of a JSON string, what can be decoded without what follows
    r'(?:[^"\\]|\\(?:["\\/bfnrt]|u(?![dD][89a-fA-F])[0-9a-fA-F]{4}|'
    r"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}))"
)
_STRING = re.compile(_LETTER + "+")
_KEY = re.compile(rf'\s*[{{,]?\s*("{_LETTER}*")\s*:\s*(?=[^\s])')


@dataclass(slots=True)
class Assembly:
    """Builds a reply from the chunks of one stream.

    What a server leaves of the model's own markup in reasoning or content (a call inside an unclosed think block, or
    all of it where the server has no parser for this model) is read by the dialect's parser.
    """

    tools: Sequence[ToolSpec]
    first_call: int
    used_ids: frozenset[str]
    finish_reason: str = ""
    received: int = 0
    _calls: list[_Call] = field(default_factory=list[_Call])
    _slots: dict[int, _Call] = field(default_factory=dict[int, _Call])
    _usage: Mapping[str, Any] = field(default_factory=dict[str, Any])
    _timings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    _began: float = field(default_factory=time.monotonic)
    _first: float = 0.0
    _halves: dict[Parser, str] = field(default_factory=dict[Parser, str])
    _thoughts: Parser = field(init=False)
    _words: Parser = field(init=False)

    def __post_init__(self) -> None:
        self._thoughts = Parser(self.tools, thinking=True)
        self._words = Parser(self.tools, thinking=False)

    def add(self, chunk: Mapping[str, Any]) -> list[Event]:
        """Take in one chunk and return what it says. Unknown fields are passed over."""
        events: list[Event] = []
        if progress := mapping(chunk.get("prompt_progress")):
            events += _progress(progress)
        self._usage = mapping(chunk.get("usage")) or self._usage
        self._timings = mapping(chunk.get("timings")) or self._timings
        for choice in mappings(chunk.get("choices"))[:1]:
            delta = mapping(choice.get("delta")) or mapping(choice.get("message"))
            events += self._add_delta(delta)
            self.finish_reason = str(choice.get("finish_reason") or self.finish_reason)
        if events and not self._first and any(not isinstance(event, PrefillProgress) for event in events):
            self._first = time.monotonic()
        return events

    def _add_delta(self, delta: Mapping[str, Any]) -> list[Event]:
        events: list[Event] = []
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        for text, parser in ((reasoning, self._thoughts), (delta.get("content"), self._words)):
            if isinstance(text, str) and text:
                self.received += len(text)
                text = self._halves.pop(parser, "") + text
                if "\ud800" <= text[-1] <= "\udbff":  # half of a character; the other half is in the next chunk
                    self._halves[parser], text = text[-1], text[:-1]
                events += parser.feed(valid(text))
        for fragment in mappings(delta.get("tool_calls")):
            events += self._add_fragment(fragment)
        return events

    def _add_fragment(self, fragment: Mapping[str, Any]) -> list[Event]:
        function, call_id = mapping(fragment.get("function")), text_of(fragment.get("id"))
        name, arguments = text_of(function.get("name")), function.get("arguments")
        index = fragment.get("index")
        call = self._slots.get(index) if isinstance(index, int) else (self._calls[-1] if self._calls else None)
        begins_another = name and call is not None and (index is None or (call_id and call.id and call_id != call.id))
        if call is None or begins_another:
            call = _Call()
            self._calls.append(call)
            if isinstance(index, int):
                self._slots[index] = call
        call.id = call.id or call_id
        call.name = call.name or name
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if isinstance(arguments, str):
            call.text += arguments
            self.received += len(arguments)
        return list(self._show_calls())

    def _show_calls(self) -> Iterator[CallDelta]:
        """Yield what has newly arrived of the calls, one after the other, also where a server writes two at a time."""
        for call in self._calls:
            if not call.whole:
                yield from _show(call)
                if call is self._calls[-1] or _arguments(call.text)[1]:
                    return
                call.whole = True

    def drain(self) -> list[Event]:
        """Say that the stream has ended, and return what was waiting for more text."""
        return [*self._thoughts.drain(), *self._words.drain()]

    def reply(self) -> Reply:
        """Return the reply. Needs a `finish_reason`; without one the stream was cut off."""
        truncated = self.finish_reason in ("length", "repetition")
        thoughts, words = self._thoughts.finish(truncated), self._words.finish(truncated)
        calls = self._structured(truncated)
        known = [(call.name, call.arguments) for call in calls]
        for call in (*thoughts.tool_calls, *words.tool_calls):
            if not calls or (not call.problem and (call.name, call.arguments) not in known):
                calls.append(call)
        named: list[ToolCall] = []
        for number, call in enumerate(calls):
            taken = self.used_ids.union(one.id for one in named)
            own = call.id if call.id and call.id not in taken and number < len(known) else ""
            call_id = own or next(n for n in self._names(number) if n not in taken)
            named.append(ToolCall(call_id, call.name, call.arguments, call.problem))
        content = "\n\n".join(filter(None, (thoughts.content, words.content)))
        for stop in STOP:
            content = content.removesuffix(stop).rstrip()
        reasoning = "\n\n".join(filter(None, (thoughts.reasoning, words.reasoning)))
        message = Message("assistant", content, reasoning, tuple(named))
        finish: Finish = "tool_calls" if named else "stop"
        finish = cast("Finish", self.finish_reason) if truncated else finish
        return Reply(message, finish, self._cost())

    def _names(self, number: int) -> Iterator[str]:
        while True:
            yield f"call-{self.first_call + number}"
            number += 1

    def _structured(self, truncated: bool) -> list[ToolCall]:
        declared, calls = {tool.name: tool for tool in self.tools}, list[ToolCall]()
        for number, call in enumerate(self._calls, 1):
            arguments, problem = _arguments(call.text)
            if problem and truncated and number == len(self._calls):
                problem = TRUNCATED
            calls.append(build_call(call.id, call.name, arguments, declared, problem))
        return calls

    def _cost(self) -> Usage:
        """Return tokens from `usage`, else from llama.cpp's `timings`; seconds from the latter, else by our clock."""
        now, times = time.monotonic(), self._timings
        details = mapping(self._usage.get("prompt_tokens_details"))
        cached = count_of(details.get("cached_tokens")) or count_of(times.get("cache_n"))
        prompt = count_of(self._usage.get("prompt_tokens")) or cached + count_of(times.get("prompt_n"))
        first = self._first or now
        return Usage(
            prompt=prompt,
            cached=min(cached, prompt),
            evaluated=max(prompt - cached, 0),
            generated=count_of(self._usage.get("completion_tokens")) or count_of(times.get("predicted_n")),
            prefill_seconds=_number(times.get("prompt_ms")) / 1000 if times else first - self._began,
            decode_seconds=_number(times.get("predicted_ms")) / 1000 if times else now - first,
        )


def parse_chunk(data: str, where: str) -> Mapping[str, Any]:
    """Return the JSON object of an event. Raises ModelUnavailable when it is none."""
    try:
        chunk = json.loads(data)
    except (ValueError, RecursionError):
        chunk = None
    if not isinstance(chunk, dict) or _is_deeper(chunk, DEEPEST):
        raise ModelUnavailable(f"{where} sent a malformed stream: {data[:80]!r} is not a JSON object.")
    return cast(Mapping[str, Any], chunk)


def _is_deeper(value: Any, most: int) -> bool:
    """Say whether more lists and objects lie inside each other than `most`, which not every reader could take."""
    match value:
        case dict():
            inner = cast(dict[str, Any], value).values()
        case list():
            inner = cast(list[Any], value)
        case _:
            return False
    return not most or any(_is_deeper(each, most - 1) for each in inner)


def _progress(progress: Mapping[str, Any]) -> list[Event]:
    total, cached = count_of(progress.get("total")), count_of(progress.get("cache"))
    done, seconds = count_of(progress.get("processed")), _number(progress.get("time_ms")) / 1000
    speed = (done - cached) / seconds if seconds > 0 and done > cached else 0.0
    return [PrefillProgress(done, total, cached, speed, (total - done) / speed if speed else None)]


def _number(value: Any) -> float:
    """Return a count or a time; 0 for what is none."""
    right = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LARGEST
    return value if right else 0


def _arguments(text: str) -> tuple[dict[str, Any], str]:
    try:
        arguments = decode(text.strip() or "{}")
        if isinstance(arguments, str):  # encoded twice
            arguments = decode(arguments)
    except ValueError as error:
        return {}, f"The arguments are not valid JSON ({error}). Write the whole call again."
    if not isinstance(arguments, dict):
        return {}, "The arguments must be one JSON object. Write the whole call again."
    return cast(dict[str, Any], arguments), ""


def _show(call: _Call) -> Iterator[CallDelta]:
    """Yield what has newly arrived of a call: its name, and the string values of its arguments as they grow."""
    if call.name and not call.announced:
        call.announced = True
        yield CallDelta(call.name)
    while call.announced:
        if not call.parameter:
            key = _KEY.match(call.text, call.read)
            if key is None:
                return
            name = str(DECODER.decode(key.group(1)))
            if call.text[key.end()] == '"':
                yield CallDelta(call.name, name)
                call.parameter, call.read = name, key.end() + 1
                continue
            try:
                value, end = DECODER.raw_decode(call.text, key.end())
                value = valid(value)
            except (ValueError, RecursionError):
                return
            if end == len(call.text):
                return  # a number may go on
            yield CallDelta(call.name, name)
            yield CallDelta(call.name, name, json.dumps(value, ensure_ascii=False))
            call.read = end
            continue
        if value := _STRING.match(call.text, call.read):
            call.read = value.end()
            yield CallDelta(call.name, call.parameter, str(DECODER.decode(f'"{value.group()}"')))
        if call.text[call.read : call.read + 1] != '"':
            return
        call.parameter, call.read = "", call.read + 1
