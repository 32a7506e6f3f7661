"""Where a piece of text that a model remembers stands in a file, and what stands there after the edit.

Three steps, and the first that finds anything decides: the exact text; the same but for line endings and white space at
line ends; whole lines shifted by one indentation. Nothing fuzzier: a wrong guess is worse than a refusal. A line ending
of two characters is one: no place begins or ends in the middle of it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_INDENT = re.compile(r"[ \t]*")
_LONE_CR = re.compile(r"\r(?!\n)")
_CR_OF_A_LINE_END = re.compile(r"\r+(?=\n|\Z)")


@dataclass(frozen=True, slots=True)
class Place:
    """A span `text[start:end]`: the lines of the old text with `add` put before each, or `drop` taken off."""

    start: int
    end: int
    add: str = ""
    drop: str = ""


def places(text: str, old: str, new: str) -> list[Place]:
    """Return where the old text stands, in order, overlaps included; nowhere also if `new` cannot follow the shift."""
    if exact := _exact(text, old):
        return exact
    old = _unix(old)
    if not old.strip():
        return _exact(text, old.replace("\n", "\r\n"))
    return _loose(text, old) or list(_shifted(text, old, _unix(new)))


def stands_in(text: str, old: str, new: str = "") -> bool:
    """Say whether the old text stands anywhere. Where it needs a shift, no new text can follow one that '' cannot."""
    return bool(places(text, old, new))


def apart(found: Sequence[Place]) -> list[Place]:
    """Return the places without those that overlap an earlier one."""
    kept: list[Place] = []
    for place in found:
        if not kept or place.start >= kept[-1].end:
            kept.append(place)
    return kept


def replaced(text: str, place: Place, old: str, new: str) -> str:
    """Return what stands in the place after the edit.

    Lines that begin or end both old and new text are context: they keep the file's own characters, line endings and
    trailing white space included. The others get the indentation of the place and the line ending that is usual there.
    """
    if "\n" not in old + new and not (place.add or place.drop):
        half = new.endswith("\r") and not _LONE_CR.search(text)  # of a line ending that is in the file already
        return _unix(new) if half else new
    region = text[place.start : place.end]
    theirs, before, after = region.split("\n"), _unix(old).split("\n"), _unix(new).split("\n")
    if len(before) > len(theirs):  # old ends with a line break, the file does not
        before, after = before[:-1], after[:-1] if after[-1] == "" else after
    top = _common(before, after)
    bottom = _common(before[top:][::-1], after[top:][::-1])
    usual = _line_ending(text, place)
    fresh = [_shift(line, place) for line in after[top : len(after) - bottom]]
    endings = ["\r\n" if line.endswith("\r") else "\n" for line in theirs[:-1]] + [usual]
    contents = [line.removesuffix("\r") for line in theirs[:-1]] + theirs[-1:]
    rows = list(zip(contents, endings, strict=True))
    rows = rows[:top] + [(line, usual) for line in fresh] + rows[len(rows) - bottom :]
    return "".join(line + ending for line, ending in rows[:-1]) + "".join(line for line, _ in rows[-1:])


def _exact(text: str, old: str) -> list[Place]:
    found: list[Place] = []
    start = text.find(old) if old else -1
    while start >= 0:
        end = start + len(old)
        if not any(text.startswith("\r\n", border - 1) for border in (start, end) if border):
            found.append(Place(start, end))
        start = text.find(old, start + 1)
    return found


def _loose(text: str, old: str) -> list[Place]:
    """Find the text with any line ending and any white space before it."""
    pieces = old.split("\n")
    last = pieces[-1].rstrip(" \t")
    pattern = r"[ \t]*\r?\n".join(re.escape(piece.rstrip(" \t")) for piece in pieces[:-1])
    if len(pieces) > 1 and not pieces[0].strip(" \t"):
        # begin at the first blank of a run, or the search takes quadratic time, and not in the middle of a line ending
        pattern = r"(?<![ \t])(?<!\r(?=\n))" + pattern
    if not last and len(pieces) > 1:
        pattern += r"[ \t]*(?:\r?\n|\Z)"
    else:
        pattern += (r"[ \t]*\r?\n" if len(pieces) > 1 else "") + re.escape(last)
        pattern += r"[ \t]*(?=\r?\n|\Z)" if last != pieces[-1] else ""
    found: list[Place] = []
    match = (regex := re.compile(pattern)).search(text)
    while match:
        found.append(Place(*match.span()))
        match = regex.search(text, match.start() + 1)
    return found


def _shifted(text: str, old: str, new: str) -> Iterator[Place]:
    """Find whole lines that differ from the old ones by one indentation, the same for all."""
    whole = old.endswith("\n")
    wanted = (old[:-1] if whole else old).split("\n")
    lead = next(number for number, line in enumerate(wanted) if line.strip())
    lines, starts = text.split("\n"), [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    for number, line in enumerate(lines):
        first = number - lead
        if line.strip() != wanted[lead].strip() or first < 0 or first + len(wanted) > len(lines):
            continue
        add, drop = _difference(line, wanted[lead])
        window = lines[first : first + len(wanted)]
        if not (add or drop) or not all(
            _same(theirs, ours, add, drop) for theirs, ours in zip(window, wanted, strict=True)
        ):
            continue
        if drop and not all(row.startswith(drop) for row in new.split("\n") if row.strip()):
            continue
        last = first + len(wanted) - 1
        end = starts[last] + len(lines[last].removesuffix("\r"))
        yield Place(starts[first], min(starts[last + 1], len(text)) if whole else end, add, drop)


def _difference(theirs: str, ours: str) -> tuple[str, str]:
    """Return (what the file's line has more of indentation, what it has less)."""
    file_indent, our_indent = _indent(theirs), _indent(ours)
    if file_indent.endswith(our_indent):
        return file_indent.removesuffix(our_indent) if our_indent else file_indent, ""
    return "", our_indent.removesuffix(file_indent) if our_indent.endswith(file_indent) else ""


def _same(theirs: str, ours: str, add: str, drop: str) -> bool:
    theirs, ours = theirs.rstrip(), ours.rstrip()
    return theirs == ours == "" or (bool(theirs and ours) and drop + theirs == add + ours)


def _shift(line: str, place: Place) -> str:
    return place.add + line.removeprefix(place.drop) if line.strip() else line


def _line_ending(text: str, place: Place) -> str:
    """Return the line ending of the place: of its lines and the next one, else of the whole text."""
    here = text[place.start : text.find("\n", place.end) + 1]
    sample = here if "\n" in here else text
    return "\r\n" if sample.count("\r\n") * 2 > sample.count("\n") else "\n"


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Return how many lines at the start are the same."""
    count = 0
    while count < min(len(ours), len(theirs)) and ours[count] == theirs[count]:
        count += 1
    return count


def _indent(line: str) -> str:
    match = _INDENT.match(line)
    return match.group() if match else ""


def _unix(text: str) -> str:
    return _CR_OF_A_LINE_END.sub("", text)
