"""Edits of a file that does not parse: the usual slips of the pen around the line that the parser names.

Every candidate that parses again is worth a try; there are few. After the single-token repairs of Corchuelo et al.,
*Repairing syntax errors in LR parsers*, TOPLAS 2002: insert, delete or replace one token.
"""

import re
from collections.abc import Iterator

from qwencode.repair.mutate.source import Edit, parse

_TOKENS = (":", ")", "]", "}", "(", "[", ",", "=", '"', "'", "in ")
_TOKEN = re.compile(r"\w+|[^\w\s]+|[^\w\s]")


def edits(text: str, line: int) -> Iterator[Edit]:
    """Yield the edits on the named line and the one before it after which the text parses, the named line first."""
    rows = re.findall(r"[^\r\n]*(?:\r\n|\r|\n|$)", text)
    for number in (line, line - 1, line + 1):
        if not 1 <= number <= len(rows):
            continue
        start = sum(len(row) for row in rows[: number - 1])
        row = rows[number - 1].rstrip("\r\n")
        for edit in _of_line(row, start):
            if _parses(text[: edit.start] + edit.text + text[edit.end :]):
                yield edit


def _of_line(row: str, start: int) -> Iterator[Edit]:
    bare = row.rstrip()
    end = start + len(bare)
    yield from (Edit(end, end, token) for token in (":", ")", "]", "}", '"', "'", "):", "]):", ",", '")'))
    for match in re.finditer(r"(?<![=!<>+\-*/%&|^:])=(?!=)", row):
        yield Edit(start + match.start(), start + match.end(), "==")
    yield from (Edit(start + m.start(), start + m.end(), "=") for m in re.finditer("==", row))
    width = len(row) - len(row.lstrip())
    for indent in (width + 4, width - 4, width + 1, width - 1, width + 2, width - 2):
        if indent >= 0:
            yield Edit(start, start + width, " " * indent)
    for match in _TOKEN.finditer(row):
        yield Edit(start + match.start(), start + match.end(), "", 0.5)
        for token in _TOKENS:
            yield Edit(start + match.start(), start + match.start(), token, 0.5)
            yield Edit(start + match.end(), start + match.end(), token, 0.5)


def _parses(text: str) -> bool:
    try:
        parse(text)
    except SyntaxError:
        return False
    return True
