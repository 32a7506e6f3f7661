"""Bulleted, numbered and definition lists."""

from collections.abc import Iterable, Mapping

from inkwell.cells import pad, width
from inkwell.wrap import wrap


def bullets(items: Iterable[str], limit: int, mark: str = "- ") -> list[str]:
    """Lay out one item after another; lines after the first are set under the text, not under the mark."""
    hang = " " * width(mark)
    return [line for item in items for line in wrap(item, limit, mark, hang)]


def numbered(items: Iterable[str], limit: int, start: int = 1) -> list[str]:
    """Like `bullets`, with numbers that are aligned to the right."""
    texts = list(items)
    digits = len(str(start + len(texts) - 1)) if texts else 1
    lines: list[str] = []
    for number, item in enumerate(texts, start):
        mark = f"{number:>{digits}}. "
        lines += wrap(item, limit, mark, " " * len(mark))
    return lines


def definitions(entries: Mapping[str, str], limit: int, gap: int = 2) -> list[str]:
    """Set terms in a left column as wide as the longest, their texts wrapped beside them."""
    if not entries:
        return []
    column = max(width(term) for term in entries) + gap
    lines: list[str] = []
    for term, text in entries.items():
        lines += wrap(text, limit, pad(term, column), " " * column)
    return lines
