"""A parser of what models of other families write: text, reasoning, and calls in JSON.

`qwen_parser` reads; this one decides what is a mark. Where the vocabulary has no token for `<tool_call>` or `<think>`,
they come as ordinary text, and a model that speaks about them must not be taken at its word. So as text `<tool_call>`
opens a call only where it begins a line, outside of code fences, and nothing but JSON follows on that line; `<think>`
opens reasoning only as the very first word. A reply that is nothing but calls in JSON, as Llama 3 writes them, is read
as such. How the text was cut into pieces never matters.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any, cast

from qwencode.events import Event
from qwencode.messages import Message, ToolSpec
from qwencode.model.dialect.arguments import CALL_DECODER, read_json_call, valid
from qwencode.model.dialect.pieces import as_json
from qwencode.model.dialect.qwen_parser import CLOSE, OPEN
from qwencode.model.dialect.qwen_parser import Parser as Reader

FORM = '<tool_call>, {"name": NAME, "arguments": {…}} as one JSON object, </tool_call>'
MARKS = (OPEN, CLOSE, "<think>", "</think>")
_FENCE, _PYTHON = "```", "<|python_tag|>"
_PLACE = re.compile("|".join(map(re.escape, (*MARKS, _FENCE, "\n"))))
_BEGINNINGS = ("{", "<function")  # of what is inside a call
_ALONE = re.compile(r"[ \t]*\n")
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)(?:```)?", re.DOTALL)
_NO_CALL = re.compile(
    r'[\[\s]*\{\s*(?:[^\s"]|"(?!(?:name|function|type|id|arguments|parameters)")[^"]*")|\[\s*[^\s{\[]'
)
_BETWEEN = re.compile(r"[\s;,]*")


class Parser:
    """Reads one reply, as `qwen_parser.Parser` does. `special`: marks for which the vocabulary has tokens."""

    def __init__(self, tools: Sequence[ToolSpec], thinking: bool, first_call: int = 1, special: Collection[str] = ()):
        self._reader = Reader(tools, thinking, first_call, FORM)
        self._tools = {tool.name for tool in tools}
        self._special = special
        self._held: str = ""  # text of which it is not certain yet what it is
        self._waits = False  # it begins with a mark that may open a call
        self._ended = False
        self._fenced = False
        self._whole = bool(tools) and not thinking  # all of the text so far may be nothing but calls
        self._called = False

    @property
    def thinking(self) -> bool:
        """Whether the text so far ends inside reasoning."""
        return self._reader.thinking and not self._waits

    @property
    def calling(self) -> bool:
        """Whether the text so far ends inside a tool call, or behind what may open one."""
        return self._reader.calling or self._waits

    @property
    def opened(self) -> bool:
        """Whether a call was opened of which nothing but white space has come."""
        return self._reader.opened or (self._waits and not self._held[len(OPEN) :].strip())

    def feed(self, text: str, quoted: bool = False) -> list[Event]:
        """Read on, and return what became certain. `quoted`: it came as ordinary tokens."""
        if quoted or text not in self._special or self._reader.calling:
            self._held += text
            return self._read()
        return [*self._settle(), *self._mark(text)]

    def drain(self) -> list[Event]:
        """Say that the reply has ended, and return what was waiting for more text."""
        return [*self._settle(), *self._reader.drain()]

    def finish(self, truncated: bool = False) -> Message:
        """Return the whole message. `truncated`: it was cut off at a limit, so that an open call is not complete."""
        self.drain()
        return self._reader.finish(truncated)

    def _settle(self) -> list[Event]:
        """Read what is held as if nothing followed it."""
        self._ended = True
        events = self._read()
        self._ended = False
        return events

    def _read(self) -> list[Event]:
        events, before = list[Event](), ""
        while self._held and self._held != before:
            before = self._held
            events += self._in_call() if self._reader.calling else self._in_prose()
        return events

    def _in_call(self) -> list[Event]:
        """Hand on what belongs to the call. It ends behind a tag; before it is certain to be one, anywhere."""
        end = 1 if self._reader.deciding else self._held.find(">") + 1 or len(self._held)
        events = self._reader.feed(self._take(end))
        self._called = True
        return events

    def _in_prose(self) -> list[Event]:
        if self._whole:
            if not self._ended and _may_be_calls(self._held):
                return []
            self._whole = False
            if self._ended and (calls := _calls(self._held, self._tools)):
                self._held, self._called = "", True
                return [event for call in calls for event in self._reader.feed(f"{OPEN}{call}{CLOSE}")]
        found = _PLACE.search(self._held)
        if found is None:
            return self._say(len(self._held) - (0 if self._ended else _beginning(self._held)))
        return self._say(found.start()) if found.start() else self._at(found.group())

    def _at(self, place: str) -> list[Event]:
        """Read what may be a mark, with which the held text begins."""
        line_start = self._reader.at_line_start and not self._fenced
        if place == _FENCE and self._reader.at_line_start:
            self._fenced = not self._fenced
        elif place == OPEN and line_start and OPEN not in self._special:
            return self._at_opening()
        elif place not in self._special and (
            (place == CLOSE and line_start and self._called)
            or (place == "<think>" and line_start)
            or (place == "</think>" and self._reader.thinking)
        ):
            return self._mark(self._take(len(place)))
        return self._say(len(place))

    def _at_opening(self) -> list[Event]:
        rest = self._held[len(OPEN) :]
        after = rest.lstrip()
        opens = after.startswith(_BEGINNINGS) or _ALONE.match(rest)
        self._waits = not opens and not self._ended and any(begin.startswith(after) for begin in _BEGINNINGS)
        if self._waits:
            return []
        return self._mark(self._take(len(OPEN))) if opens else self._say(len(OPEN))

    def _mark(self, mark: str) -> list[Event]:
        thought = self._reader.thinking
        events = self._reader.feed(mark)
        if thought and not self._reader.calling and not self._reader.thinking:
            self._fenced, self._whole = False, bool(self._tools)
        elif self._reader.calling or self._reader.thinking:
            self._whole = False
        return events

    def _say(self, length: int) -> list[Event]:
        return self._reader.feed(self._take(length), quoted=True)

    def _take(self, length: int) -> str:
        taken, self._held = self._held[:length], self._held[length:]
        return taken


def _beginning(text: str) -> int:
    """Return how many of the last characters may become a mark."""
    lengths = range(min(len(text), max(map(len, MARKS))), 0, -1)
    return next((size for size in lengths if any(mark.startswith(text[-size:]) for mark in (*MARKS, _FENCE))), 0)


def _may_be_calls(text: str) -> bool:
    """Say whether more text could make this nothing but calls in JSON."""
    rest = text.lstrip()
    if _PYTHON.startswith(rest):
        return True
    rest = rest.removeprefix(_PYTHON).lstrip()
    if rest.startswith("`"):
        line, ended, rest = rest.partition("\n")
        if not ended:
            return f"{_FENCE}json".startswith(line.rstrip())
        if line.rstrip() not in (_FENCE, f"{_FENCE}json"):
            return False
        rest = rest.lstrip()
    return not rest or (rest[0] in "{[" and not _NO_CALL.match(rest))


def _calls(text: str, tools: Collection[str]) -> list[str]:
    """Return the calls that a text is, in JSON; none at all if it is anything else besides."""
    rest = text.strip().removeprefix(_PYTHON).strip()
    if fenced := _FENCED.fullmatch(rest):
        rest = fenced[1].strip()
    calls, at = list[str](), 0
    while at < len(rest):
        try:
            value, end = CALL_DECODER.raw_decode(rest, at)
            items = cast("list[Any]", valid(value)) if isinstance(value, list) else [valid(value)]
        except (ValueError, RecursionError):
            return []
        if not all(_is_call(item, tools) for item in items):
            return []
        calls += map(as_json, items) if isinstance(value, list) else [rest[at:end]]
        at = cast("re.Match[str]", _BETWEEN.match(rest, end)).end()
    return calls


def _is_call(value: Any, tools: Collection[str]) -> bool:
    call = read_json_call(value)
    if call is None or call[0] not in tools:
        return False
    inner = value.get("function")
    return any(isinstance(part, dict) and {"arguments", "parameters"} & part.keys() for part in (value, inner))
