"""Bugs for the built-in model to mend: one small piece of damage to a correct function, from a seed.

Of every kind of bug (see kinds.py) the places are tried in random order until one gives damage that can be mended
within a few lines, still compiles and means something else.
"""

import ast
import random
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal

from builtin.kinds import KINDS, NAMES, NEEDS, TWICE, TWICE_WEIGHT, Kind
from builtin.kinds import covered as covered
from qwencode.repair.mutate.source import FUNCTIONS, Edit, Source
from qwencode.repair.proposals import differing

BUGGY_LINES = 2
CORRECT_LINES = 3
_TRIES = 4
"""So many edits of one statement are tried."""
_SIDE_TALK = ("log", "logger", "logging", "_log", "_logger", "warnings", "print", "click", "echo")


@dataclass(frozen=True, slots=True)
class Bug:
    """A damaged function, the correct one, and what was done to it."""

    before: str
    after: str
    kind: str


@dataclass(frozen=True, slots=True)
class Region:
    """The lines that differ, from 0, ends excluded: those of the buggy text, and those of the correct one."""

    start: int
    buggy_end: int
    correct_end: int


def region(before: str, after: str) -> Region:
    """Return the smallest run of lines in which two texts differ."""
    return Region(*differing(before.split("\n"), after.split("\n")))


def bugs(source: str, rng: random.Random, count: int, kinds: Collection[str] = NAMES) -> list[Bug]:
    """Return up to `count` different bugs of a function, of these kinds; fewer when it has not got that many, none when
    it does not compile. The same text and seed give the same bugs.
    """
    if not source.strip() or not _compiles(source, "ignore"):
        return []
    ground = _Ground(source)
    weights = {kind.name: kind.weight for kind in KINDS if ground.has(kind)} | {TWICE: TWICE_WEIGHT}
    left = {name: weight for name, weight in weights.items() if name in kinds}
    found: dict[str, Bug] = {}
    again = 0
    while len(found) < count and left and again < 3 * count:
        name = rng.choices(list(left), list(left.values()))[0]
        before = ground.broken_twice(rng) if name == TWICE else ground.broken(_BY_NAME[name], rng)
        if before is None:
            del left[name]
        elif before in found:
            again += 1
        else:
            found[before] = Bug(before, source, name)
    return list(found.values())


class _Ground:
    """A correct function, and the places where it may be damaged."""

    def __init__(self, text: str):
        self._source = Source("function.py", text)
        self._dump = ast.dump(self._source.tree)
        self._warned: Literal["error", "ignore"] = "error" if _compiles(text, "error") else "ignore"
        self._types = _names_of_types(self._source.tree)
        self._statements = [s for s in self._source.statements if not _left_alone(self._source, s)]
        top = self._source.tree.body[0]
        body = [s for s in getattr(top, "body", [top]) if not _is_doc(s)] or [top]
        self._first = body[0].lineno - 1
        """The lines before this one are the head of the function."""
        self._present = {type(node) for node in ast.walk(self._source.tree)}

    def has(self, kind: Kind) -> bool:
        """Say whether a function may have a place for a kind of bug: a quick look, before it is searched for."""
        return kind.name not in NEEDS or not self._present.isdisjoint(NEEDS[kind.name])

    def broken(self, kind: Kind, rng: random.Random) -> str | None:
        """Return the text with one bug of a kind; None when none was found."""
        for statement in rng.sample(self._statements, len(self._statements)):
            for edit in _drawn(_edits(self._source, statement, kind), rng):
                before = _applied(self._source.text, edit)
                if edit.text not in self._types and self._fit(before):
                    return before
        return None

    def broken_twice(self, rng: random.Random) -> str | None:
        """Return the text with two small bugs on one line, of which the second is not the first undone."""
        for _ in range(3):
            first = self.broken(rng.choices(_SMALL, [kind.weight for kind in _SMALL])[0], rng)
            if first is None:
                continue
            second = _Ground(first)
            line = region(first, self._source.text).start + 1
            statements = [s for s in second._statements if line in second._source.header_lines(s)]
            for kind in rng.sample(_SMALL, 4):
                for statement in statements:
                    for edit in _drawn(_edits(second._source, statement, kind), rng):
                        before = _applied(first, edit)
                        if self._fit(before) and self._mixed(before, first):
                            return before
        return None

    def _fit(self, before: str) -> bool:
        """Say whether a damaged text is fit to be mended: near enough, compiling, and another program."""
        place = region(before, self._source.text)
        if place.start < self._first or place.buggy_end - place.start > BUGGY_LINES:
            return False
        if place.correct_end - place.start > CORRECT_LINES:
            return False
        return _compiles(before, self._warned) and ast.dump(_parsed(before)) != self._dump

    def _mixed(self, before: str, first: str) -> bool:
        """Say whether a second bug lies on the line of the first and has not taken its place."""
        one, both = region(first, self._source.text), region(before, self._source.text)
        return both == one and region(before, first).start == one.start


def _edits(source: Source, statement: ast.stmt, kind: Kind) -> list[Edit]:
    nodes = [statement] if kind.statement else source.header(statement)
    # The operators know no matrix product.
    nodes = [node for node in nodes if not isinstance(getattr(node, "op", None), ast.MatMult)]
    found = [edit for node in nodes for edit in kind.propose(source, node) if edit.weight > 0]
    # Some operators go through sets, whose order differs from run to run.
    return sorted(found, key=lambda edit: (edit.start, edit.end, edit.text))


def _drawn(edits: list[Edit], rng: random.Random) -> Iterator[Edit]:
    """Yield a few edits, drawn by weight."""
    if edits:
        yield from rng.choices(edits, [edit.weight for edit in edits], k=min(_TRIES, len(edits)))


def _applied(text: str, edit: Edit) -> str:
    return text[: edit.start] + edit.text + text[edit.end :]


def _left_alone(source: Source, statement: ast.stmt) -> bool:
    """Say whether a statement is no place for a bug: a definition, an import, a docstring, or talk to the side."""
    if isinstance(
        statement, (*FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.Pass)
    ):
        return True
    if not isinstance(statement, ast.Expr):
        return False
    return _is_doc(statement) or source.src(statement).split("(")[0].split(".")[0].lower() in _SIDE_TALK


def _is_doc(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _names_of_types(tree: ast.Module) -> set[str]:
    """Return the names that only annotations use: they are no values."""
    inside: set[str] = set()
    outside: set[str] = set()
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, annotation = waiting.pop()
        if isinstance(node, ast.Name):
            (inside if annotation else outside).add(node.id)
        for field, value in ast.iter_fields(node):
            below = annotation or field in ("annotation", "returns")
            children = value if isinstance(value, list) else [value]
            waiting += [(child, below) for child in children if isinstance(child, ast.AST)]
    return inside - outside


def _compiles(text: str, on_warning: Literal["error", "ignore"]) -> bool:
    """Say whether a text compiles. What the compiler warns of (`is` with a literal) counts as a refusal if told so."""
    with warnings.catch_warnings():
        warnings.simplefilter(on_warning)
        try:
            compile(text, "<bug>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, Warning):
            return False
    return True


_BY_NAME = {kind.name: kind for kind in KINDS}
_SMALL = [kind for kind in KINDS if kind.small]
