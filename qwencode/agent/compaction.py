"""What is kept when the context fills up: the task word for word, a summary, the plan and the change so far.

The summary is asked for as one more turn, after everything that the model has in its memory already, so that asking
costs the summary and nothing else. Then the history begins anew with what every run begins with, which is in memory
too. Where not even the request for it fits any more, the end of the conversation stands in its place.

It cannot forget the task, which is not summarised, and it cannot loop: after it the history is short, and where
it is not, the run ends.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace

from qwencode.agent.budget import Meter
from qwencode.agent.thinking import Decision
from qwencode.agent.turns import add, ask, estimated_tokens
from qwencode.errors import HistoryTooLong
from qwencode.events import Event, HistoryRewound, Notice
from qwencode.excerpt import PARAGRAPH_CHARS, trimmed
from qwencode.messages import Message
from qwencode.model.protocol import Model, Options
from qwencode.tools.protocol import Tool

SUMMARY_TOKENS = 1_000
DIFF_CHARS = 6_000
SUMMARY_CHARS = 8_000
_UNKNOWN_SIZE = 1 << 15
_REQUEST = """\
The context is nearly full and will be shortened to what you write now. Call no tool. \
Write for yourself, in at most 300 words:
- what you found out about the cause (files, functions, line numbers, values), and what you ruled out;
- what you tried and what came of it;
- what is to be done next.
The task, your plan and the change so far are kept and need not be repeated."""
_SILENT = "(No summary was written. Read again what you need.)"
_NO_ROOM = """\
(No summary could be written: the conversation was longer than the context. Its older part is left out. \
Read again what you need. The end of it was:)"""
_WHO = {"user": "The user", "assistant": "You", "tool": "Result"}
_WORDS, _FEW_WORDS = 1_000, 100  # characters: of one message at most, and less of which are not worth it


def can_be_shortened(history: Sequence[Message]) -> bool:
    """Say whether there is anything but what is kept."""
    return any(message.role == "assistant" for message in history)


def task_of(history: Sequence[Message]) -> list[Message]:
    """Return what is never summarised: all before the model's first word, and what it was asked last."""
    first = next((n for n, message in enumerate(history) if message.role == "assistant"), len(history))
    last = next((n for n in range(len(history), 0, -1) if history[n - 1].role in ("assistant", "tool")), 0)
    return [*history[:first], *history[max(first, last) :]]


def request(mind: str = "") -> Message:
    """Return the message that asks for the summary; `mind`: what it should hold above all."""
    return Message("user", f"{_REQUEST}\nMind above all: {mind}" if mind else _REQUEST)


def request_options(options: Options, size: int) -> Options:
    """Return the options of the turn that writes it: short, without thinking."""
    return replace(options, thinking=False, max_tokens=min(SUMMARY_TOKENS, max(size // 16, 64)))


def summary(
    model: Model, tools: Mapping[str, Tool], options: Options, history: Sequence[Message], meter: Meter, mind: str = ""
) -> Generator[Event, None, str]:
    """Return what the model sums the history up to; '' when the time was up before.

    It is asked on a copy: wherever this ends, neither the request nor half a reply to it is left in the history.
    Where that does not fit into the context, it is the end of the history, with a note that says so.
    """
    asked, size = list(history), model.context_length or _UNKNOWN_SIZE
    yield from add(asked, request(mind))
    decision = Decision(False, "summing up what was found, to make room")
    try:
        reply = yield from ask(model, tools, request_options(options, size), decision, asked, meter)
    except HistoryTooLong:
        yield Notice("The conversation is too long to be summed up: its older part is left out.", "warning")
        return end_of(history, min(size, estimated_tokens(history)))
    return reply.message.content if reply else ""


def end_of(history: Sequence[Message], size: int) -> str:
    """Return the last words of a conversation, as many as leave most of a context of `size` tokens free."""
    room, parts = min(SUMMARY_CHARS, size // 3) - len(_NO_ROOM), list[str]()
    for message in reversed(history):
        said = message.content.strip() or ", ".join(call.name for call in message.tool_calls)
        if room < _FEW_WORDS or message.role not in _WHO:
            break
        parts.append(f"{_WHO[message.role]}: {trimmed(said, min(_WORDS, room // 2))}")
        room -= len(parts[-1]) + 2
    return "\n\n".join([_NO_ROOM, *reversed(parts)])


def resumed(
    summary: str, plan: Sequence[tuple[str, str]], diff: str, last: str = "Go on with the task from here."
) -> Message:
    """Return the message with which the work goes on. `plan` is (text, state); empty parts are left out."""
    text = trimmed(summary.strip(), SUMMARY_CHARS, line_chars=PARAGRAPH_CHARS) or _SILENT
    marks = {"done": "x", "in_progress": ">", "pending": " "}
    steps = "\n".join(f"[{marks.get(state, ' ')}] {step}" for step, state in plan)
    parts = [
        "The conversation was shortened here. What you wrote down:",
        f"<<< summary\n{text}\n>>>",
        f"<<< plan\n{steps}\n>>>" if steps else "",
        f"<<< change so far, already in the files\n{trimmed(diff.strip(), DIFF_CHARS)}\n>>>" if diff.strip() else "",
        last,
    ]
    return Message("user", "\n\n".join(part for part in parts if part))


def begun_anew(history: list[Message], task: Sequence[Message], resumed: Message) -> Generator[Event, None, None]:
    """Put the task and `resumed` in the place of a history: all of it or nothing, wherever this is stopped."""
    kept = next((n for n, (a, b) in enumerate(zip(history, task, strict=False)) if a is not b), len(task))
    yield HistoryRewound(kept, "the context was full, and is shortened to the task and a summary")
    fresh = [*task[kept:], resumed]
    try:
        del history[kept:]
        yield from add(history, *fresh)
    finally:
        history[kept:] = fresh
