"""The places of a change that a model is asked about: a definition with its changed lines, most suspicious first."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qwencode.excerpt import clip, split_lines
from qwencode.languages import language_of
from qwencode.review.change import FileChange, Hunk
from qwencode.verify.protected import is_test_path

AROUND = 6
"""Lines shown before and after a change where no definition is around it, or a very long one."""
WHOLE = 70
"""Lines up to which a definition is shown whole."""
REMOVED = 60
"""Lines that were there before, shown of one place at most: a deletion can be as long as a file."""
_REMOVED_GUARD = re.compile(
    r"\b(if|raise|assert|except|catch|throw|return|lock|close|free|check|valid\w*|escape\w*)\b", re.I
)
_RISKY = re.compile(
    r"[<>!=]=?=?|\b(not|and|or|in|is|if|while|for|range|return|None|null|nil|undefined|True|False)\b|\[[^\]]*:|[-+*/%]|&&|\|\|"
)
_DULL = re.compile(r"^\s*($|#|//|/?\*|\"\"\"|'''|import\b|from\b.*\bimport\b|use\b|using\b|package\b|[)\]}]+[,;]?$)")


@dataclass(frozen=True, slots=True)
class Place:
    """Some lines of a file after the change. `lines` are those that a finding may point at."""

    file: FileChange
    name: str
    first: int
    last: int
    lines: tuple[int, ...]
    score: float

    def text(self) -> str:
        """Return the code with the new lines marked `+` and the old ones `-`, as a model is shown it."""
        before, after = split_lines(self.file.before or ""), split_lines(self.file.after or "")
        removed = {hunk.new.start: [before[number - 1] for number in hunk.old] for hunk in self.file.hunks if hunk.old}
        rows: list[str] = []
        room = REMOVED
        for number in range(self.first, self.last + 2):
            gone = removed.get(number, ())
            rows += [f"-    |{clip(line)}" for line in gone[:room]]
            if len(gone) > room:
                rows.append(f"-    |… {len(gone) - room:,} more lines were there before")
            room = max(room - len(gone), 0)
            if number <= min(self.last, len(after)):
                rows.append(f"{'+' if number in self.file.added else ' '}{number:>4}|{clip(after[number - 1])}")
        return "\n".join(rows)


def places(files: Sequence[FileChange]) -> list[Place]:
    """Return what of a change is worth a question, most suspicious first."""
    found = [place for file in files for place in _of(file)]
    return sorted((place for place in found if place.score > 0), key=lambda place: -place.score)


def _of(file: FileChange) -> Iterator[Place]:
    language = language_of(file.path)
    if file.after is None or not language:
        return
    from qwencode.context.repomap.extract import tags_of  # loads a grammar

    spans = [
        (each.line, each.last, each.name)
        for each in tags_of(file.after.encode("utf-8", "replace"), language).definitions
    ]
    count = len(split_lines(file.after))
    groups: dict[tuple[int, int, str], list[Hunk]] = {}
    for hunk in file.hunks:
        if hunk.new and not file.added.intersection(hunk.new):
            continue  # of the other side of a merge
        at, end = hunk.new.start, max(hunk.new.start, hunk.new.stop - 1)
        inside = [span for span in spans if span[0] <= at and end <= span[1] and span[1] - span[0] < WHOLE]
        window = (max(1, at - AROUND), min(count, end + AROUND), "")
        groups.setdefault(min(inside, key=lambda span: span[1] - span[0], default=window), []).append(hunk)
    for (first, last, name), hunks in groups.items():
        lines = sorted({line for hunk in hunks for line in hunk.new} & file.added)
        allowed = lines or [max(1, min(count, hunks[0].new.start))]
        yield Place(file, name, first, min(last, first + 2 * WHOLE), tuple(allowed), _score(file, hunks))


def _score(file: FileChange, hunks: Sequence[Hunk]) -> float:
    """Say how suspicious a change is: conditions and arithmetic that are new, guards that are gone; tests less so."""
    before, after = split_lines(file.before or ""), split_lines(file.after or "")
    new = [line for hunk in hunks for line in (after[number - 1] for number in hunk.new) if not _DULL.match(line)]
    old = [line for hunk in hunks for line in (before[number - 1] for number in hunk.old) if not _DULL.match(line)]
    kept = {line.strip() for line in new}
    score = sum(1.0 + 0.5 * len(_RISKY.findall(line)) for line in new[:60])
    score += sum(3.0 for line in old if _REMOVED_GUARD.search(line) and line.strip() not in kept)
    score += sum(0.5 for _ in old)
    edited = 1.5 if old and new else 1.0  # what was there and is another now breaks more than what is new
    return score * edited * (0.3 if is_test_path(file.path) else 1.0)
