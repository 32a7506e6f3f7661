"""Seeing that a model got stuck, and what to say then. Pure: turns go in, a trouble with its remedy comes out.

A guard steps in when calls were refused twice in a row, when a call brought the same result for the third time (also a
good one), when the same edit is made for the third time, when files are for the third time in the same state, when
edits do not change what the tests say, and when nothing changes for long. Where what went wrong left no trace in the
files, the history goes back to before it, so that the model does not read its own mistakes again; a lesson stays. What
keeps happening ends the run.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from qwencode.agent.turns import Turn
from qwencode.excerpt import clip
from qwencode.messages import Reply, ToolCall
from qwencode.tools.protocol import ToolResult

REFUSED = 2
"""Turns in a row in which every call was refused."""
REPEATED = 3
"""Times that a call brought the same result while the files were in the same state."""
RETURNED = 3
"""Times that files are in the same state after having been in another."""
FRUITLESS = 5
"""Test runs in a row that say the same although files were changed before each."""
IDLE = 15
"""Turns without a change of the files."""
PATIENCE = 2
"""How often a guard steps in for the same kind of trouble before it ends the run."""
Kind = Literal["refused", "repeated", "again", "returned", "fruitless", "idle"]

_EMPTY = "Your reply held neither text nor a tool call. Call a tool to go on, or say in a sentence that you are done."
_CUT = "Your reply was cut off before it reached a tool call. Go on with a tool call, in few words."
_ANNOUNCED = "You said what you will do next, but called no tool. Call it now; or, if you are done, say so plainly."
_INTENT = re.compile(
    r"(?:^|[.!:\n]\s*)(?:(?:ok(?:ay)?|alright|now|next|first|then|so|great|good),?\s+)*"
    r"(?:let me(?! know)|let's|let us|i'll|i will|i'm going to|i am going to|i should|i need to|we need to)"
    r"(?! not)\b[^.!?\n]*[.:…]*\s*$",
    re.IGNORECASE,
)
_VOLATILE = re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|seconds?)\b|0x[0-9a-f]{6,}|\bpid[ =:]+\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a guard saw. `lesson` is for the model, `reason` for the user.

    `back` is the length to which the history is cut first; None: it stays. `final`: it happened too often, stop.
    """

    kind: Kind
    reason: str
    lesson: str
    back: int | None = None
    final: bool = False


@dataclass(slots=True)
class Guards:
    """Watches the turns of one run. `after` is to be told of each, in order. `start` names the files' first state.

    `to_change`: the work is to change files, so a model that does not for long is told so.
    """

    start: str = ""
    to_change: bool = True
    _refused: list[Turn] = field(default_factory=list[Turn])
    _results: Counter[str] = field(default_factory=Counter[str])
    _edits: Counter[str] = field(default_factory=Counter[str])
    _second: int | None = None  # where the first repetition began
    _states: Counter[str] = field(default_factory=Counter[str])
    _state: str | None = None
    _verdicts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])  # what tests said, and on what
    _idle: int = 0
    _stepped_in: Counter[Kind] = field(default_factory=Counter[Kind])

    def after(self, turn: Turn) -> Trouble | None:
        """Take note of a turn with calls, and return the trouble that it shows."""
        self._note_state(turn)
        found = (
            self._see_refusals(turn)
            or self._see_repetition(turn)
            or self._see_return(turn)
            or self._see_same_edit(turn)
            or self._see_fruitless(turn)
            or self._see_idleness()
        )
        if found is None:
            return None
        self._stepped_in[found.kind] += 1
        if self._stepped_in[found.kind] > PATIENCE:
            return Trouble(found.kind, found.reason, found.lesson, None, final=True)
        return found

    def forget(self) -> None:
        """Take note that the history begins anew: what was read may be read again, and there is no way back to it.

        What was done to the files stays known: they have not changed.
        """
        self._refused.clear()
        self._results.clear()
        self._second = None

    def _note_state(self, turn: Turn) -> None:
        before = self.start if self._state is None else self._state
        if self._state is None:
            self._states[self.start] += 1
        self._state = turn.state
        if turn.state == before:
            self._idle += 1
            return
        self._idle = 0
        self._second = None
        self._states[turn.state] += 1
        if self._states[turn.state] == 1:  # something new: what went wrong before is behind us
            for kind in ("refused", "repeated", "idle"):
                self._stepped_in.pop(kind, None)

    def _see_refusals(self, turn: Turn) -> Trouble | None:
        if not turn.answers or not all(result.refused for _, result in turn.answers):
            self._refused.clear()
            return None
        self._refused.append(turn)
        if len(self._refused) < REFUSED:
            return None
        first = self._refused[0].at
        call, result = turn.answers[-1]
        self._refused.clear()
        lesson = f"Your last calls of {call.name} were refused and are taken out. The last refusal was:\n{result.text}"
        return Trouble("refused", f"{call.name} was refused {REFUSED} times in a row", lesson, first)

    def _see_repetition(self, turn: Turn) -> Trouble | None:
        if not self._idle:  # it changed the files: to forget that would leave a history that is not true
            return None
        marks = [_mark(call, result, turn.state) for call, result in turn.answers if not result.refused]
        again = bool(marks) and all(mark in self._results for mark in marks)
        self._results.update(marks)
        if not again:
            self._second = None
            return None
        if self._second is None:
            self._second = turn.at
        if max(self._results[mark] for mark in marks) < REPEATED:
            return None
        back, self._second = self._second, None
        call, result = turn.answers[-1]
        asked = clip(json.dumps(dict(call.arguments), ensure_ascii=False, default=str), 300)
        lesson = (
            f"You have called {call.name} with {asked} again and again, and nothing has changed: the result was each "
            f"time `{clip(result.summary, 200)}`. Do not ask it again. Use what you know, or try another way."
        )
        return Trouble("repeated", f"{call.name} is called again and again with the same result", lesson, back)

    def _see_return(self, turn: Turn) -> Trouble | None:
        if self._idle or self._states[turn.state] < RETURNED:
            return None
        self._states[turn.state] = 1
        reason = "edits are undone and done again"
        lesson = (
            "Your edits undo each other: the files are in a state in which they were before, for the third time. "
            "Decide which of the two is right, or look for the cause elsewhere."
        )
        return Trouble("returned", reason, lesson)

    def _see_same_edit(self, turn: Turn) -> Trouble | None:
        if self._idle:
            return None
        asked = [_asked(call) for call, result in turn.answers if call.name == "edit" and result.ok]
        self._edits.update(asked)
        often = [mark for mark in asked if self._edits[mark] >= REPEATED]
        if not often:
            return None
        for mark in often:
            del self._edits[mark]
        lesson = (
            f"You have made the very same edit {REPEATED} times, and each time it changed the file. It is done "
            "already. Read what is there now, take back what is too much, and run the tests."
        )
        return Trouble("again", f"the same edit was made {REPEATED} times", lesson)

    def _see_fruitless(self, turn: Turn) -> Trouble | None:
        for call, result in turn.answers:
            if call.name != "run_tests" or result.refused:
                continue
            said = steady(result.summary)
            if self._verdicts and self._verdicts[-1][0] != said:
                self._verdicts.clear()
                self._stepped_in.pop("fruitless", None)
            if not result.ok and (not self._verdicts or self._verdicts[-1][1] != turn.state):
                self._verdicts.append((said, turn.state))
        if len(self._verdicts) < FRUITLESS:
            return None
        said = self._verdicts[-1][0]
        del self._verdicts[:-1]
        lesson = (
            f"{FRUITLESS} edits have not changed what the tests say ({said}). The cause is not where you are editing, "
            "or not what you think it is. Take back what did not help, read the failure again, and find out with "
            "a small experiment what really happens before the next edit."
        )
        return Trouble("fruitless", f"{FRUITLESS} edits did not change what the tests say", lesson)

    def _see_idleness(self) -> Trouble | None:
        if self._idle < IDLE or not self.to_change:
            return None
        self._idle = 0
        lesson = (
            f"In {IDLE} steps no file has changed. Make the edit that you think most likely now, and run the tests."
        )
        return Trouble("idle", f"no file has changed in {IDLE} steps", lesson)


def nudge(reply: Reply) -> str:
    """Return what to say to a model that called no tool and does not seem to be done either; '' when it does."""
    if reply.finish in ("length", "repetition"):
        return _CUT
    text = reply.message.content.strip()
    if not text:
        return _EMPTY
    return _ANNOUNCED if text.endswith(":") or _INTENT.search(text.rpartition("\n\n")[2]) else ""


def _mark(call: ToolCall, result: ToolResult, state: str) -> str:
    """Return what is the same for a call that brings the same result in the same state of the files."""
    return "\0".join((_asked(call), steady(result.text), state))


def _asked(call: ToolCall) -> str:
    return f"{call.name}\0{json.dumps(dict(call.arguments), sort_keys=True, default=str)}"


def steady(text: str) -> str:
    """Return the text without what differs from one run to the next: durations, addresses, process ids."""
    return _VOLATILE.sub("…", text)
