"""Candidate repairs of a repository, best first: suspicion of the place times prior of the operator."""

import ast
import heapq
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from qwencode.repair.mutate import syntax
from qwencode.repair.mutate.source import FUNCTIONS, Edit, Source, parse
from qwencode.repair.mutate.table import OPERATORS

PER_STATEMENT = 80
"""Edits of one operator for one statement at most, the likeliest kept."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One edit of one file that leaves it compiling. `score` orders the search; offsets are in characters
    of the text.
    """

    file: str
    start: int
    end: int
    text: str
    what: str
    line: int
    function: str
    score: float

    def applied(self, source: str) -> str:
        """Return the whole text of the file with this edit."""
        return source[: self.start] + self.text + source[self.end :]


@dataclass(frozen=True, slots=True)
class _Place:
    """A statement that waits to be expanded."""

    source: Source
    statement: ast.stmt
    score: float


class Seen:
    """The resulting texts that there have been; `texts` are the files by path."""

    def __init__(self, texts: Mapping[str, str]):
        self._texts = texts
        self._keys: set[tuple[str, int]] = set()

    def __contains__(self, candidate: Candidate) -> bool:
        return self._key(candidate) in self._keys

    def add(self, candidate: Candidate) -> None:
        """Take note of what comes of a candidate."""
        self._keys.add(self._key(candidate))

    def _key(self, candidate: Candidate) -> tuple[str, int]:
        return candidate.file, hash(candidate.applied(self._texts[candidate.file]))


def candidates(
    texts: Mapping[str, str],
    lines: Mapping[str, Mapping[int, float]],
    literals: Collection[str | int | float] = (),
    seen: Seen | None = None,
) -> Iterator[Candidate]:
    """Yield candidates for the files given by path and text, best score first, each resulting text once.

    `lines` gives the suspicion, 0 to 1, of each line (from 1) of a file; `literals` are constants worth a try.
    Statements are expanded only when the best that they could offer is next in turn, so the first candidates come at
    once. `seen` may be shared with whoever has other candidates for the same files.
    """
    queue: list[tuple[float, int, _Waiting]] = []
    count = 0
    for path, suspicion in lines.items():
        for score, item in _places(path, texts[path], suspicion, literals):
            queue.append((-score, count, item))
            count += 1
    heapq.heapify(queue)
    seen = Seen(texts) if seen is None else seen
    while queue:
        _, _, item = heapq.heappop(queue)
        if isinstance(item, _Place):
            for found in _of_statement(item):
                heapq.heappush(queue, (-found[0].score, count, found))
                count += 1
            continue
        candidate, unit = item
        if candidate not in seen and (unit is None or unit.compiles(candidate)):
            seen.add(candidate)
            yield candidate


def of_line(source: Source, line: int, texts: Mapping[str, tuple[str, float]]) -> Iterator[Candidate]:
    """Yield the candidates that put a text in the place of a whole line (from 1): texts to what they are and score.

    A text has its indentation, and any line ends; '' takes the line away. Those that do not compile or mean the same
    are left out; where the line lies in no function, all of them.
    """
    around = [s for s in source.statements if isinstance(s, FUNCTIONS) and s.lineno <= line <= (s.end_lineno or 0)]
    if not around:
        return
    function = max(around, key=lambda statement: statement.lineno)
    unit, name = _Unit(source, function), source.qualname(function)
    start, whole = source.line_span(line)
    end = start + len(source.text[start:whole].rstrip("\r\n"))
    for text, (what, score) in texts.items():
        new = text.replace("\n", source.newline)
        found = Candidate(source.path, start, end if text else whole, new, what, line, name, score)
        if unit.compiles(found):
            yield found


def _places(
    path: str, text: str, suspicion: Mapping[int, float], literals: Collection[str | int | float]
) -> Iterator[tuple[float, "_Waiting"]]:
    try:
        source = Source(path, text, literals)
    except SyntaxError:
        for line, score in sorted(suspicion.items(), key=lambda item: -item[1])[:3]:
            for edit in syntax.edits(text, line):
                found = _candidate(path, text, edit, "syntax", "<module>", score * edit.weight)
                yield found.score, (found, None)
        return
    for statement in source.statements:
        score = max((suspicion.get(line, 0.0) for line in source.header_lines(statement)), default=0.0)
        if score > 0:
            yield score, _Place(source, statement, score)


def _of_statement(place: _Place) -> Iterator[tuple[Candidate, "_Unit"]]:
    """Yield what the operators propose for one statement (its nested statements left out), not yet compiled."""
    source = place.source
    unit, function = _Unit(source, place.statement), source.qualname(place.statement)
    nodes = list(source.header(place.statement))
    for operator in OPERATORS:
        edits = [e for n in ([place.statement] if operator.statement else nodes) for e in operator.propose(source, n)]
        for edit in heapq.nlargest(PER_STATEMENT, edits, key=lambda edit: edit.weight):
            if source.text[edit.start : edit.end] != edit.text:
                score = place.score * operator.prior * edit.weight
                yield _candidate(source.path, source.text, edit, operator.name, function, score), unit


def _candidate(path: str, text: str, edit: Edit, name: str, function: str, score: float) -> Candidate:
    line = text.count("\n", 0, edit.start) + 1
    old, new = (" ".join(part.split()) for part in (text[edit.start : edit.end], edit.text))
    change = f"{old} → {new}" if old and new else f"insert {new}" if new else f"delete {old}"
    what = edit.what or f"{name}: {change if len(change) <= 100 else change[:99] + '…'}"
    return Candidate(path, edit.start, edit.end, edit.text, what, line, function, score)


def _bare(text: str) -> str:
    """Leave out what may make no difference: blanks, line ends and parentheses."""
    return "".join(character for character in text if character not in " \t\r\n()")


def _compiles(text: str, on_warning: Literal["error", "ignore"]) -> bool:
    """Say whether a text compiles. A warning of the compiler (`is` with a literal) can count as a refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter(on_warning, SyntaxWarning)
        try:
            compile(text, "<candidate>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError):
            return False
    return True


class _Unit:
    """The smallest piece of a file that compiles alone and holds a statement: an outermost function, or the
    statement.
    """

    def __init__(self, source: Source, statement: ast.stmt):
        top: ast.stmt = statement
        for up in source.above(statement):
            if isinstance(up, FUNCTIONS):
                top = up
        whole = source.lines(top)
        parent = source.parent(top)
        if whole is None or not isinstance(parent, ast.Module | ast.ClassDef):
            whole, parent = (0, len(source.text)), source.tree
        self._text, (self._start, self._end) = source.text, whole
        self._head = "class _:\n" if isinstance(parent, ast.ClassDef) else ""
        self._clean = _compiles(self._head + source.text[slice(*whole)], "error")

    def compiles(self, edit: Candidate) -> bool:
        """Say whether the edited unit compiles, with no warning that was not there before, and means something else."""
        start, end = min(self._start, edit.start), max(self._end, edit.end)
        text = self._text[start : edit.start] + edit.text + self._text[edit.end : end]
        if not _compiles(self._head + text, "error" if self._clean else "ignore"):
            return False
        if _bare(self._text[edit.start : edit.end]) != _bare(edit.text):
            return True
        before, after = (parse(self._head + part) for part in (self._text[start:end], text))
        return ast.dump(before) != ast.dump(after)


_Waiting = _Place | tuple[Candidate, _Unit | None]
