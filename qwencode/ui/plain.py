"""Plain text, line by line: without a terminal, with TERM=dumb, in a log."""

import sys
from typing import TextIO

from qwencode.events import Event, PhaseStarted, TextDelta, TreeChanged, VerdictReached
from qwencode.ui.reader import ask_on
from qwencode.ui.text import safe
from qwencode.ui.words import lines


class Plain:
    """Prints finished things only: no bars, no colours, no cursor movement."""

    def __init__(self, out: TextIO):
        self._out = out
        self._text = ""

    def show(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._text += event.text
            return
        if self._text:
            self._print(self._text.strip())
            self._text = ""
        match event:
            case PhaseStarted():
                self._print(f"== {event.phase}{f': {event.detail}' if event.detail else ''}")
            case TreeChanged():
                self._print(event.diff.rstrip("\n"))
            case VerdictReached():
                self._proof(event)
            case _:
                for _, text in lines(event):
                    self._print(text)

    def show_text(self, text: str) -> None:
        """Print a text that is no event."""
        self._print(text)

    def ask(self, question: str) -> bool | None:
        return ask_on(self._out, question)

    def close(self) -> None:
        self._out.flush()

    def _proof(self, event: VerdictReached) -> None:
        width = max((len(row.test) for row in event.proof), default=0)
        for row in event.proof:
            self._print(f"  {row.test:<{width}}  {row.before} -> {row.after}")
        self._print(f"  passing: {event.passing_before} -> {event.passing_after}")
        for _, text in lines(event):
            self._print(text)

    def _print(self, text: str) -> None:
        if not text:
            return
        encoding = self._out.encoding or sys.getdefaultencoding()
        self._out.write(safe(text).encode(encoding, "replace").decode(encoding) + "\n")
        self._out.flush()
