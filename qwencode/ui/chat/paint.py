"""Text with the terminal's own escape codes, made by rich: whole lines, to be printed or to stand in the live area.

Lines of prose are broken at words; code and tables of commands are not, so that they can be copied as they are.
"""

import io
import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from markdown_it import MarkdownIt
from rich import markdown
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

from qwencode.ui import drawn
from qwencode.ui.text import safe

_PARSER = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")
_THEME = Theme(
    {
        "markdown.code": "cyan",
        "markdown.code_block": "none",
        "markdown.h1": "bold",
        "markdown.h2": "bold",
        "markdown.h3": "bold",
        "markdown.h4": "bold",
        "markdown.block_quote": "dim",
        "markdown.item.number": "none",
        "markdown.table.border": "dim",
    }
)
_TRAILING = re.compile(r"(?: |\x1b\[[0-9;]*m)+$")
_LEXED_LINES = 40
"""So many lines before a line of code tell its colours; more would make long blocks slow."""


class _Heading(markdown.Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text


class _IndentedCode(markdown.CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in str(self.text).rstrip().split("\n"):
            yield Text(f"    {line}", no_wrap=True, overflow="ignore")


class _Markdown(markdown.Markdown):
    """HTML is text here, since what a model writes in angle brackets is to be seen; links are not clickable."""

    elements: ClassVar = {
        **markdown.Markdown.elements,
        "heading_open": _Heading,
        "code_block": _IndentedCode,
        "fence": _IndentedCode,
    }

    def __init__(self, text: str):
        super().__init__("", hyperlinks=False)
        self.markup = text
        self.parsed = _PARSER.parse(text)
        for token in self.parsed:
            for part in (token, *(token.children or ())):
                part.content = safe(part.content)  # `&#8238;` has become what it stands for


class Paint:
    """Makes lines of the width that `width` tells, in one thread. Colours follow NO_COLOR, TERM and COLORTERM."""

    def __init__(self, width: Callable[[], int]):
        self._width = width
        self._console = Console(file=io.StringIO(), force_terminal=True, highlight=False, theme=_THEME)

    def drawn(self, what: RenderableType, soft: bool = False) -> list[str]:
        """Return the lines of anything that rich can draw; `soft`: long lines are left to the terminal to break."""
        self._console.width = max(self._width(), 4)
        with self._console.capture() as capture:
            self._console.print(what, soft_wrap=soft)
        lines = capture.get().split("\n")
        return [_stripped(line) for line in (lines[:-1] if lines[-1] == "" else lines)]

    def said(self, style: str, text: str) -> list[str]:
        """Return a text in one of the styles of `words`, broken at words where it is no command."""
        return self.drawn(drawn.line((style, text)), soft=drawn.is_command((style, text)))

    def markdown(self, text: str) -> list[str]:
        """Return a block, without empty lines around it."""
        lines = self.drawn(_Markdown(safe(text)))
        while lines and not _plain(lines[0]):
            lines.pop(0)
        while lines and not _plain(lines[-1]):
            lines.pop()
        return lines

    def code(self, before: Sequence[str], line: str, language: str) -> str:
        """Return a line of code in colour, as it is after the lines `before` it."""
        shown = [*before[-_LEXED_LINES:], line]
        plain = [safe(each).expandtabs(4).rstrip("\n") for each in shown]
        syntax = Syntax("", language or "text", theme=drawn.THEME, background_color="default")
        parts = syntax.highlight("\n".join(plain)).split("\n", allow_blank=True)
        text = parts[len(plain) - 1] if len(parts) >= len(plain) else Text(plain[-1])
        return "\n".join(self.drawn(text, soft=True)) or ""


def _stripped(line: str) -> str:
    """Return the line without spaces at its end: the terminal would break them when the window gets narrower."""
    return _TRAILING.sub(lambda found: found.group().replace(" ", ""), line)


def _plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
