"""Findings as GitHub annotations: workflow commands that a runner shows at the lines of a pull request.

The form, and which characters are escaped, is that of GitHub's "Workflow commands for GitHub Actions" and its toolkit.
"""

from typing import TextIO

from qwencode.events import CheckFinished, Event, FindingReported, Notice

_LEVELS = {"error": "error", "warning": "warning", "note": "notice", "info": "notice"}


class Annotations:
    """Writes a command a line."""

    def __init__(self, out: TextIO):
        self._out = out

    def show(self, event: Event) -> None:
        match event:
            case FindingReported():
                where = {"file": event.file, "line": str(event.line), "title": f"qwencode {event.rule}"}
                self._write(_LEVELS[event.severity], f"{event.what} {event.suggestion}".strip(), where)
            case CheckFinished() if event.status == "skipped":
                self._write("notice", f"{event.check} was skipped: {event.reason}", {})
            case Notice() if event.level != "info":
                self._write(_LEVELS[event.level], event.text, {})
            case _:
                pass

    def ask(self, question: str) -> bool | None:
        return None

    def close(self) -> None:
        self._out.flush()

    def _write(self, level: str, text: str, where: dict[str, str]) -> None:
        named = ",".join(f"{name}={_escaped(value, (':', ','))}" for name, value in where.items())
        line = f"::{level}{f' {named}' if named else ''}::{_escaped(text)}\n"
        encoding = self._out.encoding or "utf-8"
        self._out.write(line.encode(encoding, "replace").decode(encoding))
        self._out.flush()


def _escaped(text: str, also: tuple[str, ...] = ()) -> str:
    """Escape what ends a command or, in a property, a value."""
    for mark in ("%", "\r", "\n", *also):
        text = text.replace(mark, f"%{ord(mark):02X}")
    return text
