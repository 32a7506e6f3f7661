"""Cutting a template into text, values and blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stencil.errors import TemplateError

_MARK = re.compile(r"\{\{-?(?P<value>.*?)-?\}\}|\{%-?(?P<block>.*?)-?%\}|\{#.*?#\}", re.DOTALL)
_OPEN = re.compile(r"\{\{|\{%|\{#")


@dataclass(frozen=True)
class Token:
    """A piece of the template. `kind` is "text", "value" or "block"."""

    kind: str
    text: str
    line: int


def scan(source: str) -> Iterator[Token]:
    """Yield the tokens of a template; comments are dropped, dashes beside marks strip the text next to them."""
    position, line, strip = 0, 1, False
    for match in _MARK.finditer(source):
        text = source[position : match.start()]
        _check(text, line)
        shown = text.lstrip() if strip else text
        if match[0].startswith("-", 2):
            shown = shown.rstrip()
        if shown:
            yield Token("text", shown, line)
        line += text.count("\n")
        kind = match.lastgroup
        if kind is not None:
            yield Token(kind, match[kind].strip(), line)
        strip = match[0].endswith("-", 0, -2)
        line += match[0].count("\n")
        position = match.end()
    rest = source[position:]
    _check(rest, line)
    if strip:
        rest = rest.lstrip()
    if rest:
        yield Token("text", rest, line)


def _check(text: str, line: int) -> None:
    if match := _OPEN.search(text):
        raise TemplateError(line + text[: match.start()].count("\n"), f"{match[0]} is not closed")
