"""Breaking paragraphs into lines, greedily: every line takes as many words as fit."""

import re

from inkwell.cells import width

_PARAGRAPH = re.compile(r"\n\s*\n")


def wrap(text: str, limit: int, indent: str = "", hang: str | None = None) -> list[str]:
    """Break text into lines of at most `limit` cells.

    Paragraphs are separated by blank lines in the input and in the output. `indent` starts every line; with `hang`, it
    starts the first line of a paragraph only and `hang` the others. A word that is too long gets a line of its own.
    """
    if limit < 1:
        raise ValueError(f"cannot wrap to {limit} cells")
    lines: list[str] = []
    for paragraph in _PARAGRAPH.split(text.strip()):
        if lines:
            lines.append("")
        lines += _fill(paragraph.split(), limit, indent, indent if hang is None else hang)
    return lines


def _fill(words: list[str], limit: int, first: str, others: str) -> list[str]:
    lines: list[str] = []
    line: list[str] = []
    start, used = first, width(first)
    for word in words:
        blank = 1 if line else 0
        if line and used + width(word) > limit:
            lines.append(start + " ".join(line))
            line, start, used, blank = [], others, width(others), 0
        line.append(word)
        used += blank + width(word)
    if line:
        lines.append(start + " ".join(line))
    return lines


def justify(text: str, limit: int) -> list[str]:
    """Wrap text and stretch the lines to the full width, save the last of each paragraph.

    Spare blanks go between the words from the left, one each.
    """
    lines = wrap(text, limit)
    stretched: list[str] = []
    for index, line in enumerate(lines):
        last = index + 1 == len(lines) or not lines[index + 1]
        stretched.append(line if last else _stretch(line.split(), limit))
    return stretched


def _stretch(words: list[str], limit: int) -> str:
    gaps = len(words) - 1
    spare = limit - sum(width(word) for word in words)
    if gaps < 1 or spare < gaps:
        return " ".join(words)
    even, odd = divmod(spare, gaps)
    text = words[0]
    for index, word in enumerate(words[1:]):
        text += " " * (even + (1 if index < odd else 0)) + word
    return text
