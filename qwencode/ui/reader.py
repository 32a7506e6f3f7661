"""Readers of events. A reader only shows: it never asks the job for anything and keeps nothing that others need."""

import os
import sys
import termios
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol, TextIO

from qwencode.events import Event
from qwencode.ui.text import safe


class Reader(Protocol):
    """Shows events as they happen."""

    def show(self, event: Event) -> None:
        """Show one event. Never raises for its content."""
        ...

    def ask(self, question: str) -> bool | None:
        """Ask yes or no. None when nobody can be asked."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was. Idempotent."""
        ...


def open_reader(json: bool, out: TextIO | None = None, environment: Mapping[str, str] | None = None) -> Reader:
    """Choose the reader: JSON lines when asked for, rich on a capable terminal, plain text otherwise."""
    stream = sys.stdout if out is None else out
    names = os.environ if environment is None else environment
    if json:
        from qwencode.ui.json_lines import JsonLines

        return JsonLines(stream)
    if stream.isatty() and names.get("TERM", "dumb") != "dumb":
        from qwencode.ui.terminal import Terminal

        return Terminal()
    from qwencode.ui.plain import Plain

    return Plain(stream)


def ask_on(stream: TextIO, question: str) -> bool | None:
    """Ask on a stream when somebody sits at both ends. An empty answer is a yes, the end of input a no."""
    if not (sys.stdin.isatty() and stream.isatty()):
        return None
    with suppress(OSError, termios.error):  # what was typed before the question was there is no answer to it
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
    while True:
        stream.write(f"{safe(question)} [Y/n] ")
        stream.flush()
        answer = sys.stdin.readline()
        if not answer:
            return False
        if answer.strip().lower() in {"", "y", "yes"}:
            return True
        if answer.strip().lower() in {"n", "no"}:
            return False
