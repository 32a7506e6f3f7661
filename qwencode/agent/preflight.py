"""Stopping a call while it is being written: an edit that cannot match ends before its new text is paid for.

Covered: a call whose tool has a `preflight`, each time that a further parameter begins, since what came before it is
complete then. Not covered, so that nothing is ever stopped that would have been carried out: files that an earlier call
of the same reply may change; whatever follows a call of which it is not certain that it will be read as it was shown.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field

from qwencode.events import CallDelta, Event, PrefillProgress, TextDelta, ThinkingDelta
from qwencode.messages import Message, Reply, ToolCall, ToolSpec, Usage
from qwencode.model.dialect.arguments import build_call
from qwencode.model.protocol import CallRefused, ReplyInterrupted, Stopped
from qwencode.tools.calls import refusal
from qwencode.tools.protocol import Tool

_CLOSER = "</parameter>"  # a value that holds it may turn out to have ended there
_CHARS_PER_TOKEN = 4
_UNFINISHED = "unfinished"


def _nowhere(message: Message) -> None:
    """Keep nothing."""


def watched(
    stream: Generator[Event, None, Reply],
    tools: Mapping[str, Tool],
    history: Sequence[Message] = (),
    keep: Callable[[Message], None] = _nowhere,
) -> Generator[Event, None, Reply]:
    """Pass a model's reply on, and stop it inside a call that its tool refuses: finish `refused`.

    The message then holds reasoning, text and calls so far; the last call has the arguments that were complete, and its
    `problem` is the tool's answer. Calls are named `call-<n>`, counting on from those of the `history`. What the reply
    took is known to a model that catches CallRefused; for others the tokens generated are estimated, four characters
    each, and those of the prompt are what the last PrefillProgress said, 0 where there was none.

    `keep` is given what there is of a reply that is closed or interrupted before its end, if that is anything.

    `stream` must be the model's own: something between that catches exceptions would keep the model from stopping well.
    """
    said = _Said(tools, 1 + sum(len(message.tool_calls) for message in history))
    try:
        while True:
            try:
                said.last = event = next(stream)
            except StopIteration as end:
                return end.value
            yield event
            said.last = None
            if problem := said.take(event):
                return (yield from _stopped(stream, CallRefused(said.message(problem)), said.usage()))
    except (GeneratorExit, KeyboardInterrupt) as stop:
        message = stop.message if isinstance(stop, ReplyInterrupted) else _half(stream, said)
        if message.content or message.reasoning or message.tool_calls:
            keep(message)
        raise
    finally:
        stream.close()


def _half(stream: Generator[Event, None, Reply], said: "_Said") -> Message:
    """End a reply where it is and return what there is of it."""
    try:
        stream.throw(Stopped())
    except StopIteration as end:
        return end.value.message
    except Stopped:
        pass
    return said.so_far()


def _stopped(
    stream: Generator[Event, None, Reply], refused: CallRefused, estimate: Usage
) -> Generator[Event, None, Reply]:
    try:
        event = stream.throw(refused)
        while True:
            yield event
            event = next(stream)
    except StopIteration as end:
        return end.value
    except CallRefused:
        return Reply(refused.message, "refused", estimate)


@dataclass(slots=True)
class _Call:
    name: str
    written: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class _Said:
    """A reply so far, as its events show it."""

    tools: Mapping[str, Tool]
    first_call: int
    reasoning: list[str] = field(default_factory=list[str])
    content: list[str] = field(default_factory=list[str])
    calls: list[_Call] = field(default_factory=list[_Call])
    changed: frozenset[str] = frozenset()  # files that the calls before the last one may change
    sure: bool = True  # the calls before the last one will be read as they were shown
    prefill: PrefillProgress | None = None
    characters: int = 0
    last: Event | None = None  # that was passed on, but not taken note of

    def take(self, event: Event) -> str:
        """Take note of an event. Returns why its call will not be carried out, '' as long as it may be."""
        match event:
            case PrefillProgress():
                self.prefill = event
            case ThinkingDelta(text):
                self.reasoning.append(text)
            case TextDelta(text):
                self.content.append(text)
                self.sure = self.sure and not (self.calls and text.strip())  # it may belong to a value before it
            case CallDelta(name, ""):
                self._settle()
                self.calls.append(_Call(name))
            case CallDelta(_, parameter, "") if self.calls:
                return self._begin(self.calls[-1], parameter)
            case CallDelta(_, parameter, text) if self.calls:
                self.calls[-1].written[parameter] = self.calls[-1].written.get(parameter, "") + text
            case _:
                return ""
        self.characters += len(getattr(event, "text", ""))
        return ""

    def message(self, problem: str) -> Message:
        """Return what was said; of the last call, what was complete before its parameter that is open."""
        *before, last = self.calls
        made = [self._built(number, call, "") for number, call in enumerate(before)]
        cut = self._built(len(before), last, _UNFINISHED)
        made.append(ToolCall(cut.id, cut.name, cut.arguments, problem, refused=True))
        return Message("assistant", "".join(self.content), "".join(self.reasoning), tuple(made))

    def so_far(self) -> Message:
        """Return what was said, without a last call, which may not be whole."""
        if self.last:
            self.take(self.last)
        calls = (self._built(number, call, "") for number, call in enumerate(self.calls[:-1]))
        return Message("assistant", "".join(self.content), "".join(self.reasoning), tuple(calls))

    def usage(self) -> Usage:
        """Estimate what was used so far."""
        total, cached = (self.prefill.total, self.prefill.cached) if self.prefill else (0, 0)
        generated = -(-self.characters // _CHARS_PER_TOKEN)
        return Usage(prompt=total, cached=cached, evaluated=total - cached, generated=generated)

    def _begin(self, call: _Call, parameter: str) -> str:
        self.sure = self.sure and parameter not in call.written
        problem = self._judged(call)
        if not problem:
            call.written.setdefault(parameter, "")
        return problem

    def _judged(self, call: _Call) -> str:
        """Return the tool's refusal of a call that is not whole."""
        tool = self.tools.get(call.name)
        if not self.sure or tool is None or not call.written or _CLOSER in "".join(call.written.values()):
            return ""
        if not call.written.keys() <= tool.spec.parameters["properties"].keys():
            return ""  # it will be refused for a parameter that nobody knows, nor its type
        arguments = self._built(0, call, _UNFINISHED).arguments
        if self.changed and (tool.changes is None or tool.changes(arguments) & self.changed):
            return ""
        return refusal(tool, arguments)

    def _settle(self) -> None:
        """Take the last call, which is whole, into account."""
        if not self.calls:
            return
        call = self._built(0, self.calls[-1], "")
        tool = self.tools.get(call.name)
        doubtful = call.problem or _CLOSER in "".join(self.calls[-1].written.values())
        if doubtful or tool is None or tool.changes is None:
            self.sure = False
        else:
            self.changed |= tool.changes(call.arguments)

    def _built(self, number: int, call: _Call, problem: str) -> ToolCall:
        specs: dict[str, ToolSpec] = {name: tool.spec for name, tool in self.tools.items()}
        return build_call(f"call-{self.first_call + number}", call.name, call.written, specs, problem)
