"""Parts of texts for a reader with little room: numbered, clipped, trimmed. Every cut says what is missing."""

import re
from collections.abc import Iterable, Sequence

LINE_CHARS = 400
PARAGRAPH_CHARS = 4_000
"""For prose, where a line is a paragraph."""
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_NUMBER = re.compile(r"^\d+\|", re.MULTILINE)
_NUMBERED = re.compile(r"(?:^\d+\|.*(?:\n|\Z)){2,}", re.MULTILINE)
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def split_lines(text: str) -> list[str]:
    """Return the lines without their endings (LF or CRLF), counted as editors and compilers count them."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def counted(lines: Sequence[str]) -> str:
    """Return `1 line`, `2 lines`."""
    return f"{len(lines)} line" + "s" * (len(lines) != 1)


def clip(line: str, limit: int = LINE_CHARS) -> str:
    """Return the line, cut after `limit` characters with a note of how many are missing."""
    return line if len(line) <= limit else f"{line[:limit]}… [+{len(line) - limit:,} characters]"


def numbered(lines: Iterable[str], first: int = 1) -> str:
    """Return `12|text` lines. No line begins with white space: chat templates trim the start of a message."""
    return "\n".join(f"{number}|{clip(line)}" for number, line in enumerate(lines, first))


def unnumbered(text: str) -> list[str]:
    """Return the runs of two lines or more that `numbered` made, as the text that they were made of."""
    runs = (match.group() for match in _NUMBERED.finditer(text))
    return [_NUMBER.sub("", run) for run in runs]


def trimmed(text: str, limit: int, rest: str = "", line_chars: int = LINE_CHARS) -> str:
    """Keep whole lines from the head (two fifths of `limit` characters) and the tail (three fifths).

    `rest` tells how to get what is left out; it goes into the line that marks the gap. Lines are cut at `line_chars`.
    """
    lines = [clip(line, line_chars) for line in text.split("\n")]
    if sum(map(len, lines)) + len(lines) <= limit:
        return "\n".join(lines)
    head = _fitting(lines, limit * 2 // 5)
    tail = _fitting(lines[head:][::-1], limit - limit * 2 // 5)
    gap = lines[head : len(lines) - tail]
    mark = f"[… {len(gap):,} lines ({sum(map(len, gap)):,} characters) left out{'; ' if rest else ''}{rest} …]"
    return "\n".join([*lines[:head], mark, *lines[len(lines) - tail :]])


def plain(output: str) -> str:
    """Return terminal output as it reads on paper: no escape sequences, overwritten progress lines dropped."""
    lines = (line.removesuffix("\r").rpartition("\r")[2] for line in _ANSI.sub("", output).split("\n"))
    return _UNSEEN.sub("", "\n".join(lines))


def listed(names: Sequence[str], most: int) -> str:
    """Join names with commas; past `most`, say how many more there are."""
    more = f", and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _fitting(lines: Sequence[str], limit: int) -> int:
    """Return how many of the first lines fit into `limit` characters."""
    used = 0
    for count, line in enumerate(lines):
        used += len(line) + 1
        if used > limit:
            return count
    return len(lines)
