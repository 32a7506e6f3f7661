"""The checks that look at one file after the other: conflict markers, syntax, left-overs, secrets."""

import re
from collections.abc import Callable, Iterator, Sequence

from qwencode.events import FindingReported
from qwencode.excerpt import split_lines
from qwencode.review.change import FileChange
from qwencode.review.leftovers import leftovers
from qwencode.review.secrets import secrets

_MARKER = re.compile(r"(<{7}|>{7}|\|{7})( |$)|={7}$")
_ALLOWED = re.compile(
    r"qwencode: ?allow|pragma: ?allowlist secret|gitleaks:allow|\bnosec\b|\bnoqa\b(?!:)|noqa:.*\bT10", re.I
)
"""Remarks that say that a line is meant as it is: ours, and those of programs that look for the same things."""
_ALLOWED_CHECKS = ("leftovers", "secrets")

_STUMBLES = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""What a text can bring a check to, deep ones RecursionError; signals and the end of the time are none of these."""

Check = Callable[[FileChange], Iterator[FindingReported]]


def conflicts(file: FileChange) -> Iterator[FindingReported]:
    """Find conflict markers that git left (git-merge(1), "How conflicts are presented").

    A line of seven `=` alone underlines a title in reStructuredText, so it counts only between the two others.
    """
    if file.after is None:
        return
    lines, opened = split_lines(file.after), 0
    for number, line in enumerate(lines, 1):
        if not _MARKER.match(line):
            continue
        if line.startswith("<"):
            opened = number
        if line.startswith(">") and opened:
            shown = next((at for at in range(opened, number + 1) if at in file.added), 0)
            if shown:
                what = f"A merge conflict is not resolved: lines {opened} to {number} hold both sides."
                yield FindingReported(
                    file.path, shown, "error", "conflicts/marker", what, "Keep what is right of the two."
                )
            opened = 0
        elif (
            line.startswith("<")
            and number in file.added
            and not any(each.startswith(">>>>>>>") for each in lines[number:])
        ):
            what = "A conflict marker was left here."
            yield FindingReported(file.path, number, "error", "conflicts/marker", what, "Delete the line.", "")


def syntax(file: FileChange) -> Iterator[FindingReported]:
    """Find what breaks the syntax of the file now and did not before."""
    if file.after is None:
        return
    from qwencode.tools.syntax import broken  # loads the parsers

    before = file.before if file.before is not None else next((other for other in file.others if other), None)
    if said := broken(file.path, before, file.after):
        found = re.match(r"Syntax error in line (\d+): (.*)", said, re.DOTALL)
        line, what = (int(found[1]), found[2]) if found else (1, said)
        yield FindingReported(file.path, line, "error", "syntax/error", f"Syntax error: {what}")


CHECKS: dict[str, Check] = {"conflicts": conflicts, "syntax": syntax, "leftovers": leftovers, "secrets": secrets}


def guarded(name: str, file: FileChange, found: Iterator[FindingReported]) -> Iterator[FindingReported]:
    """Yield what a check finds. A text that it cannot stand keeps neither commit nor other checks up."""
    try:
        yield from found
    except _STUMBLES as error:
        what = f"{name.capitalize()} could not be looked at here ({type(error).__name__})."
        yield FindingReported(file.path, 1, "note", f"{name}/not-looked-at", what)


def quick(files: Sequence[FileChange], checks: Sequence[str]) -> Iterator[FindingReported]:
    """Yield what the named checks find, without what a remark in the line allows."""
    for file in files:
        lines = split_lines(file.after or "")
        seen = set[tuple[str, int]]()
        for name in checks:
            if name == "syntax" and any(rule.startswith("conflicts/") for rule, _ in seen):
                continue  # markers are no syntax: it was said
            for found in guarded(name, file, CHECKS[name](file)):
                text = lines[found.line - 1] if found.line <= len(lines) else ""
                allowed = name in _ALLOWED_CHECKS and _ALLOWED.search(text)
                if not allowed and (found.rule, found.line) not in seen:
                    seen.add((found.rule, found.line))
                    yield found
