"""The model's part of a review: one question a place on one history that only grows, findings by a tool.

The prefix (system message and tool) is the same for every repository, so a model in this process finds it on disk. What
it reports must stand on a changed line of the place that it was asked about and say what is wrong, or it is dropped.
"""

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from qwencode.errors import HistoryTooLong, ModelUnavailable, ToolError
from qwencode.events import CheckFinished, Event, FindingReported, MessageAdded, PhaseStarted, Progress
from qwencode.excerpt import listed
from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model.protocol import Model, Options
from qwencode.review.change import FileChange
from qwencode.review.hunks import Place, places
from qwencode.tools.calls import carry_out
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.schema import tool

NAME = "model"
MOST_PLACES = 40
REPLY_TOKENS = 700
_CHARS_A_TOKEN = 3.0  # of code, so that the estimate is rather too high
_FULL = 0.75  # of the context: then the history begins anew
_LEAST = 2.0  # seconds that a question is worth
_LEAST_WORDS = 4
_SEVERITIES = ("error", "warning", "note")
_SYSTEM = """\
You review a change before it is committed. You see one changed place of the code after the other. Lines marked + \
are new, lines marked - were there before, the others are unchanged.

Look for mistakes that the change makes: wrong conditions, off by one, wrong or swapped names and arguments, missing \
cases, None or empty values, errors that are swallowed, resources that are not closed, callers that no longer fit, \
security holes.

For each mistake call report_finding once, at the changed line where it is. Do not report style, naming, missing \
comments or tests, or what might be wrong somewhere else. Most changes are fine. When nothing is wrong, answer with \
the one word ok."""


@dataclass(frozen=True, slots=True)
class ModelPart:
    """Asks a model about the places of a change.

    `left`: seconds on the clock. `seconds_to_read`: how long it takes to load it and to read so many tokens.
    """

    files: Sequence[FileChange]
    open_model: Callable[[], Model]
    seconds_to_read: Callable[[int], float]
    left: Callable[[], float]

    def work(self) -> Generator[Event, None, bool]:
        """Yield findings and how the check ended; return whether it was complete."""
        began, asked = time.monotonic(), places(self.files)[:MOST_PLACES]
        found: list[FindingReported] = []
        skipped = ""
        if asked:
            try:
                skipped = self._too_slow(asked[0])
            except ModelUnavailable as error:
                skipped = str(error)
        if asked and not skipped:
            yield PhaseStarted(NAME, "The model reads the change")
            try:
                model = self.open_model()
                try:
                    skipped = yield from self._ask(model, asked, found)
                finally:
                    model.close()
            except ModelUnavailable as error:
                skipped = str(error)
        yield CheckFinished(NAME, "skipped" if skipped else "done", len(found), time.monotonic() - began, skipped)
        return not skipped

    def _too_slow(self, place: Place) -> str:
        """Say so where the time would be up before the model could say anything about the first place."""
        needed = self.seconds_to_read(int((len(_SYSTEM) + len(place.text())) / _CHARS_A_TOKEN))
        left = self.left()
        if math.isfinite(needed) and needed > left:
            return f"to load it and to read the first place takes about {needed:.0f} s, and {left:.0f} s are left"
        return ""

    def _ask(self, model: Model, asked: Sequence[Place], found: list[FindingReported]) -> Generator[Event, None, str]:
        history, too_large = [beginning()[0]], list[str]()
        for number, place in enumerate(asked):
            if self.left() < _LEAST:
                return f"the time was up after {number} of {len(asked)} places"
            yield Progress(NAME, number, len(asked), "places", note=place.file.path)
            question = Message("user", _question(place))
            reporting = _reporting(place, found)
            reply = yield from _replied(model, history, question, reporting.spec)
            if reply is None:
                too_large.append(f"{place.file.path}:{place.first}")
                continue
            history += [question, reply.message]
            yield MessageAdded(question)
            yield MessageAdded(reply.message)
            known = len(found)
            for call in reply.message.tool_calls:
                answer = Message("tool", carry_out({reporting.spec.name: reporting}, call).text, answers=call.id)
                history.append(answer)
                yield MessageAdded(answer)
            yield from found[known:]
            if model.context_length and reply.usage.prompt + reply.usage.generated > _FULL * model.context_length:
                del history[1:]
        return f"too large for the context of the model, not read: {listed(too_large, 3)}" if too_large else ""


def _replied(
    model: Model, history: list[Message], question: Message, spec: ToolSpec
) -> Generator[Event, None, Reply | None]:
    """Return the reply to a question. The history begins anew where both are too long; None: so is the question."""
    while True:
        try:
            return (yield from model.stream([*history, question], [spec], Options(max_tokens=REPLY_TOKENS)))
        except HistoryTooLong:
            if len(history) == 1:
                return None
            del history[1:]


def beginning() -> tuple[Message, list[ToolSpec]]:
    """Return the system message and the declarations with which every review begins."""
    return Message("system", _SYSTEM), [_reporting(cast("Place", None), []).spec]


def _question(place: Place) -> str:
    where = f" in {place.name}" if place.name else ""
    return f"{place.file.path}{where}, lines {place.first} to {place.last}:\n\n{place.text()}"


def _reporting(place: Place, found: list[FindingReported]) -> Tool:
    """Make the tool for the answers about a place."""

    def report_finding(
        file_path: str,
        line: Annotated[int, "a changed line"],
        severity: Annotated[str, "error, warning or note"],
        what: Annotated[str, "one sentence: what is wrong, and when"],
        suggestion: Annotated[str, "what to write instead"] = "",
    ) -> ToolResult:
        """Report one mistake that the change makes."""
        if file_path != place.file.path:
            raise ToolError(f"The place is in {place.file.path}; nothing was reported.")
        if line not in place.lines:
            raise ToolError(f"Line {line} is not one that the change touches here; nothing was reported.")
        if len(what.split()) < _LEAST_WORDS:
            raise ToolError("Say in a sentence what is wrong; nothing was reported.")
        if severity not in _SEVERITIES:
            raise ToolError(f"A severity is one of {', '.join(_SEVERITIES)}; nothing was reported.")
        if any(each.file == file_path and each.line == line for each in found):
            raise ToolError(f"Something was reported at line {line} already.")
        finding = FindingReported(file_path, line, severity, "model/review", " ".join(what.split()), suggestion.strip())
        found.append(finding)
        return ToolResult("Reported.", f"{file_path}:{line}: {finding.what}")

    return tool(report_finding)
