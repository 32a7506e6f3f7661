"""Markdown cut into blocks as it streams in. What is finished is printed once, so it is never cut another way later.

A paragraph, a list, a table or a quotation ends with a blank line, a heading with its own line; items that blank lines
part are blocks of their own. Fenced code goes line by line, wherever it stands. The texts of all blocks and `rest`,
joined, are what was fed.
"""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["prose", "gap", "open", "code", "close"]
MOST_CHARS = 12_000
"""A block that grows longer is cut at the end of a line, so that to draw the unfinished one stays cheap."""
_INSIDE = r"(?P<inside>(?:\s|>|[-*+]\s|\d{1,9}[.)]\s)*)"
_OPENS = re.compile(_INSIDE + r"(?P<fence>`{3,}|~{3,})(?P<info>[^`\n]*)\n?")
_CLOSES = re.compile(r"[\s>]*(?P<fence>`{3,}|~{3,})\s*")
_HEADING = re.compile(r" {0,3}#{1,6}(?:\s|$)")
_ITEM = re.compile(r" {0,3}(?:[-*+]|\d{1,9}[.)])\s")
_INDENTED = re.compile(r" {2}|\t")


@dataclass(frozen=True, slots=True)
class Block:
    """A finished part. `language`: what the fence says that the code is."""

    kind: Kind
    text: str
    language: str = ""


class Blocks:
    """Takes pieces of one text, of any size, and gives its blocks as they are finished."""

    def __init__(self) -> None:
        self._part = ""  # a line that has no end yet
        self._prose = ""
        self._gap = False  # a list that has had a blank line: the next line says whether it goes on
        self._fence = ""
        self._language = ""

    @property
    def rest(self) -> str:
        """What belongs to no finished block yet."""
        return self._prose + self._part

    @property
    def in_code(self) -> bool:
        """Whether `rest` is the begin of a line of code."""
        return bool(self._fence)

    def feed(self, text: str) -> list[Block]:
        """Take a piece and return the blocks that it has finished."""
        self._part += text
        if "\n" not in text:
            return []
        *whole, self._part = self._part.split("\n")
        return [block for line in whole for block in self._line(line + "\n")]

    def finish(self) -> list[Block]:
        """The text is over: return what is left. A fence that was not closed ends here."""
        found = self._line(self._part) if self._part else []
        self._part = ""
        found += self._ended()
        self._fence = self._language = ""
        return found

    def _line(self, line: str) -> list[Block]:
        if self._fence:
            return [self._code(line)]
        opens = _OPENS.fullmatch(line)
        if opens:
            found = self._ended()
            self._fence, self._language = opens["fence"], (opens["info"].split() or [""])[0]
            return [*found, Block("open", line, self._language)]
        if not line.strip():
            return self._blank(line)
        found: list[Block] = []
        if self._gap and not _INDENTED.match(line):
            found = self._ended()
        self._gap = False
        if _HEADING.match(line):
            return [*found, *self._ended(), Block("prose", line)]
        self._prose += line
        return found + (self._ended() if len(self._prose) > MOST_CHARS else [])

    def _blank(self, line: str) -> list[Block]:
        if not self._prose:
            return [Block("gap", line)]
        self._prose += line
        if _ITEM.match(self._prose):
            self._gap = True
            return []
        return self._ended()

    def _code(self, line: str) -> Block:
        closes = _CLOSES.fullmatch(line)
        if closes and closes["fence"].startswith(self._fence):
            self._fence = ""
            return Block("close", line)
        return Block("code", line, self._language)

    def _ended(self) -> list[Block]:
        text, self._prose, self._gap = self._prose, "", False
        return [Block("prose", text)] if text else []
