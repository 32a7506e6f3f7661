"""What to tell the model when its old text is not in the file: the closest lines, and what differs."""

import re
import unicodedata
from collections.abc import Sequence

from rapidfuzz import fuzz, process

from qwencode.excerpt import clip, numbered, split_lines

_NUMBERED = re.compile(r"\s*\d+\|")
_LOOK_ALIKES = str.maketrans(
    "‘’‛′“”„″‐‑‒–—−аеорсухіјѕАВЕКМНОРСТХІЈЅαοιυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "''''\"\"\"\"------aeopcyxijsABEKMHOPCTXIJSaoiuABEZHIKMNOPTYX",
)  # quotes, dashes, Cyrillic and Greek letters
_ALIKE_ENOUGH = 60.0
_SHOWN = 14


def miss(text: str, old: str, new: str) -> str:
    """Return sentences for the model, ending with numbered lines of the file where any resemble the old text."""
    ours, lines = split_lines(old.strip("\r\n")), split_lines(text)
    if ours and all(_NUMBERED.match(line) for line in ours if line.strip()):
        return "It begins with line numbers as read_file shows them. Leave out every NUMBER| and try again."
    said = ""
    if new.strip() and (at := text.find(new)) >= 0:
        said = f"new_string stands in the file already, at line {text.count(chr(10), 0, at) + 1}. "
    first = _closest(ours, lines)
    if first is None:
        return said + "Nothing in the file resembles it. Read the part that you mean with read_file."
    window = lines[first : first + len(ours)]
    shown = numbered(window[:_SHOWN], first + 1)
    return f"{said}{_difference(ours, window, first + 1)} Copy it from the file. The closest lines are:\n{shown}"


def _closest(ours: Sequence[str], lines: Sequence[str]) -> int | None:
    """Return the index of the first line of the window most like ours, or None."""
    if not any(line.strip() for line in ours):
        return None
    bare = [line.strip()[:400] for line in lines]
    lead = max(range(len(ours)), key=lambda index: len(ours[index].strip()))
    near = process.extract(
        ours[lead].strip()[:400], bare, scorer=fuzz.ratio, processor=None, limit=5, score_cutoff=_ALIKE_ENOUGH
    )
    wanted = "\n".join(line.strip() for line in ours)
    windows = {max(0, index - lead) for _, _, index in near}
    scores = {first: fuzz.ratio(wanted, "\n".join(bare[first : first + len(ours)])) for first in windows}
    best = max(scores, key=lambda first: (scores[first], -first), default=None)
    return None if best is None or scores[best] < _ALIKE_ENOUGH else best


def _difference(ours: Sequence[str], theirs: Sequence[str], first: int) -> str:
    """Name the first difference, and its kind where it is one that the eye does not see."""
    for number, (our, their) in enumerate(zip(ours, theirs, strict=False), first):
        our, their = our.rstrip(), their.rstrip()
        if our == their:
            continue
        if our.strip() == their.strip():
            return f"Line {number} is indented by {_blanks(their)}, old_string by {_blanks(our)}."
        if _folded(our) == _folded(their):
            our, their = our.strip(), their.strip()
            return f"Line {number} has {_odd(their, our)} where old_string has {_odd(our, their)}."
        return f"The first difference is in line {number}, where old_string has `{clip(our.strip(), 200)}`."
    return f"The file has {len(theirs)} of its {len(ours)} lines there."


def _blanks(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    tabs, spaces = indent.count("\t"), indent.count(" ")
    parts = [f"{count} {name}{'s' * (count > 1)}" for count, name in ((tabs, "tab"), (spaces, "space")) if count]
    return " and ".join(parts) or "nothing"


def _folded(line: str) -> str:
    seen = "".join(char for char in line if unicodedata.category(char) != "Cf")  # zero width
    return " ".join(unicodedata.normalize("NFKC", seen).translate(_LOOK_ALIKES).split())


def _odd(line: str, other: str) -> str:
    """Name the first character that differs from the other line."""
    same = next((i for i, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), min(len(line), len(other)))
    if same == len(line):
        return "nothing more"
    char = line[same]
    name = "" if char.isascii() else " " + unicodedata.name(char, "")
    return f"{char!r} (U+{ord(char):04X}{name.lower().rstrip()})"
