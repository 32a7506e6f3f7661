"""What is known of one source file: what it defines, and which names each part of it uses."""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

NAME_CHARS = 100
SIGNATURE_CHARS = 120
VALUES = frozenset(("constant", "field", "property", "macro"))
"""Kinds of definitions that are not functions, classes and the like."""


class Definition(NamedTuple):
    """A definition. Lines count from 1; `inside` is the index of the definition around it in the same file, or -1."""

    name: str
    kind: str
    """What the grammar's tags call it: class, function, method, constant, …"""
    line: int
    last: int
    inside: int
    text: str
    """Its first line or lines up to the body, on one line and safe to show."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A use of a name, in a line, by the definition with the index `inside` (-1: by the file itself)."""

    name: str
    kind: str
    line: int
    inside: int


@dataclass(frozen=True, slots=True)
class FileTags:
    """The definitions in the order of lines, and for the file itself and each of them what it uses.

    `calls[0]` holds the names that the grammar's tags give as references outside of definitions, `calls[n + 1]` those
    directly in definition n, joined by blanks. `words` holds in the same way the other names that are mentioned there.
    """

    definitions: tuple[Definition, ...]
    calls: tuple[str, ...]
    words: tuple[str, ...]


EMPTY = FileTags((), ("",), ("",))


def grouped(
    definitions: Sequence[Definition], references: Iterable[Reference], mentions: Sequence[set[str]]
) -> FileTags:
    """Put references and mentioned words (one set for the file, then one a definition) together."""
    calls: list[set[str]] = [set() for _ in range(len(definitions) + 1)]
    for reference in references:
        calls[reference.inside + 1].add(reference.name)
    own = [set[str](), *({definition.name} for definition in definitions)]
    words = [mentioned - called - name for mentioned, called, name in zip(mentions, calls, own, strict=True)]
    return FileTags(
        tuple(definitions),
        tuple(" ".join(sorted(names)) for names in calls),
        tuple(" ".join(sorted(names)) for names in words),
    )


def pack(tags: FileTags) -> bytes:
    """Return the tags as compressed JSON."""
    return zlib.compress(
        json.dumps([tags.definitions, tags.calls, tags.words], separators=(",", ":")).encode(), level=1
    )


def unpack(data: bytes) -> FileTags:
    """Return what `pack` was given."""
    rows, calls, words = json.loads(zlib.decompress(data))
    return FileTags(tuple(map(Definition._make, rows)), tuple(calls), tuple(words))


def safe(text: str, limit: int = SIGNATURE_CHARS) -> str:
    """Return a text from a repository on one line, without control or invisible characters, cut at `limit`."""
    if not text.isprintable():
        text = "".join(map(_visible, text))
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _visible(char: str) -> str:
    return char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
