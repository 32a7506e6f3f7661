"""A tolerant, incremental parser of what Qwen3.5 and Qwen3.6 write: reasoning, text and XML tool calls.

A state machine over the text with its special tokens visible. A decision is taken only when the text that it hangs on
has arrived, so how the text was cut into pieces never matters. What it forgives is what these models are known to do: a
call inside an unclosed think block, a missing `<tool_call>`, closers twice or not at all, XML inside values, text after
a call, stray `</think>` and `</function_invocation>`, JSON instead of XML, `name="…"` attributes.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from qwencode.events import CallDelta, Event, TextDelta, ThinkingDelta
from qwencode.messages import Message, ToolCall, ToolSpec
from qwencode.model.dialect.arguments import CALL_DECODER, TRUNCATED, build_call, read_json_call, valid
from qwencode.model.dialect.prose import Prose

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_ENDS = ("</parameter>", "</function>", "</function_invocation>", CLOSE)
_AFTER_VALUE = ("<parameter", "<function", "</function>", "</function_invocation>", CLOSE, OPEN)
_HEADS = ("<function", "<parameter")
_HEAD = re.compile(r"<(function|parameter)(?:=|\s+name\s*=)\s*([^<>\n]*)(>?)")
_AFTER_UNKNOWN = re.compile(f"{CLOSE}|{OPEN}|</think>")
_CALL_CLOSERS = re.compile(r"(?:</function(?:_invocation)?>\s*)*(?:</tool_call>\s*)?")
_QUOTED = "\udfff"  # stands behind a `<` that begins no mark: half a surrogate pair, which no decoded text holds
_BEGUN = re.compile(r'\{\s*"(?:name|function|type|arguments|parameters)"\s*:')
_VALUE_CLOSERS = re.compile(r"(?:</parameter>\s*)+")
_FORM = "<tool_call>, <function=NAME>, one <parameter=NAME> block for each value, </function>, </tool_call>"


@dataclass(slots=True)
class _Draft:
    """A call as it is being written."""

    name: str
    written: dict[str, Any] = field(default_factory=dict[str, Any])
    problems: list[str] = field(default_factory=list[str])
    open: str = "function"  # what is not closed yet: function, parameter, or nothing


class Parser:
    """Reads one reply. `thinking`: the prompt ended inside a think block.

    `feed` returns events as soon as their text is certain: ThinkingDelta and TextDelta (joined, they are the message's
    reasoning and content), and CallDelta: one with the name alone when a call begins, one with empty text when a
    parameter begins (the one before is then complete), then pieces of the value as written, before any conversion.
    `drain` says that no more text comes and returns the last events; `finish` returns the message.

    Calls are named `call-<n>`, from `first_call` on; `form` says how to write one. Nothing that a model writes raises.
    """

    def __init__(self, tools: Sequence[ToolSpec], thinking: bool, first_call: int = 1, form: str = _FORM):
        self._form = form
        self._tools = {tool.name: tool for tool in tools}
        self._first_call = first_call
        self._reasoning, self._content = Prose(), Prose()
        self._drafts: list[_Draft] = []
        self._events: list[Event] = []
        self._buffer: str = ""
        self._ended = False
        self._line_start = True  # only white space so far on this line of prose
        self._prose_after_call = False
        self._scanned: int = 0  # how much of a JSON call was searched for its closer
        self._value: list[str] = []
        self._parameter: str = ""
        self._earlier: str = ""  # what the parameter held before it was given again
        self._fresh = False  # nothing of the value was read yet
        self._in_thinking = thinking
        self._marks = {f"<function={name}>": name for name in self._tools}
        self._prose_marks = (OPEN, *_ENDS, "<think>", "</think>", *self._marks)
        self._find_mark = re.compile("|".join(map(re.escape, self._prose_marks))).search
        self._state: Callable[[], bool] = self._in_prose

    @property
    def thinking(self) -> bool:
        """Whether the text so far ends inside reasoning."""
        return self._in_thinking and self._state == self._in_prose

    @property
    def calling(self) -> bool:
        """Whether the text so far ends inside a tool call."""
        return self._state != self._in_prose

    @property
    def at_line_start(self) -> bool:
        """Whether only white space has come so far on this line of text."""
        return self._line_start

    @property
    def deciding(self) -> bool:
        """Whether a mark has come that may open a call, or be a word of the text."""
        return self._state == self._at_opening

    @property
    def opened(self) -> bool:
        """Whether a call was opened of which nothing but white space has come."""
        return self.deciding and not self._buffer.strip()

    def feed(self, text: str, quoted: bool = False) -> list[Event]:
        """Read on, and return what became certain. `quoted`: whatever it spells outside of a call is no mark."""
        self._buffer += text.replace("<", f"<{_QUOTED}") if quoted and not self.calling else text
        while self._state():
            pass
        events, self._events = self._events, []
        return events

    def drain(self) -> list[Event]:
        """Say that the reply has ended, and return what was waiting for more text."""
        self._ended = True
        return self.feed("")

    def finish(self, truncated: bool = False) -> Message:
        """Return the whole message. `truncated`: it was cut off at a limit, so that an open call is not complete."""
        self.drain()
        if self._state == self._in_value:
            self._drafts[-1].written[self._parameter] = self._earlier + "".join(self._value)
        calls = tuple(self._built(number, draft, truncated) for number, draft in enumerate(self._drafts))
        return Message("assistant", self._content.text, self._reasoning.text, calls)

    def _built(self, number: int, draft: _Draft, truncated: bool) -> ToolCall:
        problem = ""
        if draft.open and truncated:
            problem = TRUNCATED
        elif draft.open == "parameter":
            problem = (
                f"The value of {self._parameter} was not closed, so the call was not carried out. Write it again and "
                "end every value with </parameter>, then </function> and </tool_call>."
            )
        call_id, known = f"call-{self._first_call + number}", filter(None, (problem, *draft.problems))
        return build_call(call_id, draft.name, draft.written, self._tools, " ".join(known))

    # Each state reads from the buffer and returns whether it got anywhere.

    def _in_prose(self) -> bool:
        found = self._find_mark(self._buffer)
        if found is None:
            tag = self._buffer.rfind("<")
            waits = tag >= 0 and self._may_become(self._buffer[tag:], self._prose_marks)
            self._say(self._take(tag if waits else len(self._buffer)))
            return False
        self._say(self._take(found.start()))
        self._on_mark(found.group(), self._take(len(found.group())))
        return True

    def _on_mark(self, mark: str, text: str) -> None:
        if mark == OPEN:
            self._state = self._at_opening
        elif self._in_thinking:
            if mark == "</think>":
                self._in_thinking, self._line_start = False, True
            elif mark != "<think>" or self._reasoning.text:
                self._say(text)
        elif mark == "<think>" and not (self._content.text or self._reasoning.text or self._drafts):
            self._in_thinking = True
        elif not self._line_start:
            self._say(text)
        elif mark in self._marks:
            self._begin_call(self._marks[mark])
        elif mark == "</think>" and not (self._reasoning.text or self._drafts):
            self._reasoning, self._content = self._content, Prose()
        elif mark == _ENDS[0] and self._prose_after_call:
            self._drafts[-1].problems.append(
                "It is not clear where the last value of this call ends: text and another </parameter> follow the "
                "call. Write it again; if the value has to contain these closing tags, write it in parts."
            )
        elif mark != "</think>" and not (mark in _ENDS and self._drafts):
            self._say(text)

    def _at_opening(self) -> bool:
        rest = self._buffer.lstrip()
        if not rest and not self._ended:
            return False
        if rest.startswith("{"):
            self._state, self._scanned = self._in_json, 0
            return True
        if self._head_waits(rest):
            return False
        head = _HEAD.match(rest)
        if head and head.group(1) == "function":
            return self._read_head(rest, head)
        self._state = self._in_unknown
        return True

    def _in_unknown(self) -> bool:
        """After a `<tool_call>` that nothing known follows: a broken call, or a word of the prose."""
        found = _AFTER_UNKNOWN.search(self._buffer) if self._line_start else None
        if self._line_start and found is None and not self._ended:
            return False
        if found is not None and found.group() == CLOSE:
            self._broken_call(self._take(found.end())[: -len(CLOSE)])
        else:
            self._state = self._in_prose
            self._say(OPEN)
        return True

    def _in_json(self) -> bool:
        close = self._buffer.find(CLOSE, self._scanned)
        if close < 0 and not self._ended:
            self._scanned = max(0, len(self._buffer) - len(CLOSE))
            return False
        text = self._buffer.lstrip()
        try:
            call, end = CALL_DECODER.raw_decode(text)
            call = valid(call)
        except (ValueError, RecursionError):
            if close >= 0 and not self._ended:
                self._scanned = close + 1
                return True
            if CLOSE not in text and _BEGUN.match(text):  # it ends in the middle
                self._broken_call(self._take(len(self._buffer)))
                self._drafts[-1].open = "function"
                return True
            self._state = self._in_unknown
            return True
        self._buffer = text[end:]
        if (read := read_json_call(call)) is None:
            self._broken_call(text[:end])
            return True
        name, arguments = read
        self._begin_call(name)
        self._drafts[-1].written.update(arguments)
        for key, value in arguments.items():
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            self._events += [CallDelta(name, key), CallDelta(name, key, shown)]
        self._end_call()
        return True

    def _in_body(self) -> bool:
        rest = self._buffer.lstrip()
        if not rest:
            return False
        if end := next((end for end in _ENDS if rest.startswith(end)), ""):
            self._buffer = rest[len(end) :]
            if end != _ENDS[0]:
                self._end_call()
            return True
        if rest.startswith(OPEN):
            self._buffer = rest
            self._end_call()
            return True
        if self._may_become(rest, (*_ENDS, OPEN)) or self._head_waits(rest):
            return False
        head = _HEAD.match(rest)
        if head and (head.group(1) == "parameter" or _unquoted(head.group(2)) in self._tools):
            return self._read_head(rest, head)
        self._say(rest[0])
        self._buffer, self._state = rest[1:], self._in_stray
        return True

    def _in_stray(self) -> bool:
        """Text between the parameters belongs to none of them: it is said, like text around a call."""
        tag = self._buffer.find("<")
        self._say(self._take(tag if tag >= 0 else len(self._buffer)))
        if tag >= 0:
            self._state = self._in_body
        return tag >= 0

    def _in_value(self) -> bool:
        if self._fresh and self._buffer:
            self._fresh = False
            self._buffer = self._buffer.removeprefix("\n")
        tag = self._buffer.find("<")
        end = self._value_end(tag) if tag >= 0 else "open"
        if end == "no":
            self._add_value(self._take(tag + 1))
            return True
        if end == "open":  # a line break before what is not certain may be the closer's
            certain = self._buffer[: tag if tag >= 0 else len(self._buffer)].removesuffix("\n")
            self._add_value(self._take(len(certain)))
            return False
        self._add_value(self._buffer[: end[0]].removesuffix("\n"))
        self._buffer = self._buffer[end[1] :]
        value, stray = "".join(self._value), ""
        if end[0] == end[1]:  # no closer here: was it one further up, with text between this parameter and the next?
            before, closer, after = value.rpartition(_ENDS[0])
            if closer and _unclosed(before) <= 0:
                value, stray = before.removesuffix("\n"), after
        self._drafts[-1].written[self._parameter] = self._earlier + value
        self._say(stray)
        self._drafts[-1].open, self._state = "function", self._in_body
        return True

    def _value_end(self, tag: int) -> tuple[int, int] | Literal["open", "no"]:
        """Say whether the value ends before the `<` at `tag`: where it ends and where to read on, or "open": not sure.

        `</parameter>` ends it only before something that may follow a parameter, so that values may contain XML.
        Without it, at the start of a line, so do the next parameter, and the closers of the call before the next call
        or the end.
        """
        rest = self._buffer[tag:]
        if rest.startswith(_ENDS[0]):
            return self._value_end_at_closer(tag)
        line_start = self._buffer[tag - 1] == "\n" if tag else not self._value
        draft = self._drafts[-1]
        spec = self._tools.get(draft.name)
        expected = spec.parameters.get("properties", {}) if spec else ()
        heads = [f"<parameter={name}>" for name in expected if name not in draft.written]
        if line_start:
            if rest.startswith(tuple(heads)):
                return tag, tag
            closed = cast(re.Match[str], _CALL_CLOSERS.match(rest)).end()
            after = rest[closed:]
            if closed and (after.startswith(OPEN) or (self._ended and not after)):
                return tag, tag
            if closed and self._may_become(after, (OPEN, *_ENDS)):
                return "open"
        return "open" if self._may_become(rest, (*_ENDS, *heads)) else "no"

    def _value_end_at_closer(self, tag: int) -> tuple[int, int] | Literal["open", "no"]:
        closers = cast(re.Match[str], _VALUE_CLOSERS.match(self._buffer, tag))
        after = self._buffer[closers.end() :]
        if not after.startswith(_AFTER_VALUE) and not (self._ended and not after):
            return "open" if self._may_become(after, (*_AFTER_VALUE, _ENDS[0])) else "no"
        # Several closers in a row: one too many, unless the value itself opened a parameter.
        unclosed = _unclosed("".join(self._value) + self._buffer[:tag])
        places = [tag + found.start() for found in re.finditer(_ENDS[0], closers.group())]
        place = places[max(0, min(unclosed, len(places) - 1))]
        return place, place + len(_ENDS[0])

    # What the states do.

    def _may_become(self, text: str, marks: Sequence[str]) -> bool:
        """Say whether more text could make `text` begin with one of the marks, which it does not yet."""
        return not self._ended and any(len(text) < len(mark) and mark.startswith(text) for mark in marks)

    def _take(self, length: int) -> str:
        taken, self._buffer = self._buffer[:length], self._buffer[length:]
        return taken

    def _say(self, text: str) -> None:
        text = text.replace(_QUOTED, "")
        if not text:
            return
        last = text.rpartition("\n")
        self._line_start = (self._line_start or bool(last[1])) and not last[2].strip()
        certain = (self._reasoning if self._in_thinking else self._content).add(text)
        if certain:
            self._prose_after_call = bool(self._drafts)
            self._events.append(ThinkingDelta(certain) if self._in_thinking else TextDelta(certain))

    def _head_waits(self, rest: str) -> bool:
        """Say whether `rest` may still become, or is, a head of which the end has not arrived."""
        if self._ended or not rest.startswith(_HEADS):
            return self._may_become(rest, _HEADS)
        head = _HEAD.match(rest)
        return head.end() == len(rest) and not head.group(3) if head else not re.search(r"[<>\n]", rest[1:])

    def _read_head(self, rest: str, head: re.Match[str]) -> bool:
        self._buffer = rest[head.end() :]
        if head.group(1) == "parameter":
            self._begin_value(_unquoted(head.group(2)))
        else:
            self._begin_call(_unquoted(head.group(2)))
        return True

    def _begin_call(self, name: str) -> None:
        if self._drafts:
            self._end_call()
        self._in_thinking = False
        self._content.at_start = True
        self._drafts.append(_Draft(name))
        self._events.append(CallDelta(name))
        self._state = self._in_body

    def _end_call(self) -> None:
        self._drafts[-1].open = ""
        self._state, self._line_start, self._prose_after_call = self._in_prose, True, False
        self._content.at_start = True

    def _broken_call(self, text: str) -> None:
        shown = " ".join(text.split())
        self._begin_call("")
        self._drafts[-1].written["text"] = text.strip()
        self._drafts[-1].problems.append(f"The tool call could not be read: {shown[:400]!r}. Write it as {self._form}.")
        self._end_call()

    def _begin_value(self, name: str) -> None:
        draft, self._earlier = self._drafts[-1], ""
        if name in draft.written:
            self._earlier = f"{draft.written[name]}\n</parameter>\n<parameter={name}>\n"
            draft.problems.append(f"The parameter {name} was given twice. Write the call again with one value for it.")
        self._parameter, self._value, self._fresh = name, [], True
        draft.open, self._state = "parameter", self._in_value
        draft.written.setdefault(name, "")
        self._events.append(CallDelta(draft.name, name))

    def _add_value(self, text: str) -> None:
        if text:
            self._value.append(text)
            self._events.append(CallDelta(self._drafts[-1].name, self._parameter, text))


def _unclosed(value: str) -> int:
    return len(re.findall(r"<parameter\b", value)) - value.count(_ENDS[0])


def _unquoted(name: str) -> str:
    return name.strip(" \t\"'/")
