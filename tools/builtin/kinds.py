"""The kinds of bugs that are made: search repair's own operators, and the breakers that go beyond them, with weights.

A weight says how often a kind is tried relative to the others; it is spread over kinds so that what search can undo by
itself is the smaller part. Whether it can was measured: covered.toml holds the share for each kind.
"""

import ast
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from builtin import expressions, statements
from qwencode.repair.mutate.source import Edit, Source
from qwencode.repair.mutate.table import OPERATORS

COVERED = Path(__file__).with_name("covered.toml")
TWICE = "two small edits"


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to break a function. `statement` ones are asked with whole statements; `small` ones may come in twos."""

    name: str
    weight: float
    propose: Callable[[Source, ast.AST], Iterator[Edit]]
    statement: bool = False
    small: bool = False


_OPERATORS = {  # those whose damage looks like a slip; the ones that add what nobody would write are seldom
    "relational operator": 4.0,
    "arithmetic operator": 3.0,
    "logical operator": 3.0,
    "assignment operator": 0.3,
    "unary operator": 0.8,
    "operand order": 1.5,
    "operand added": 0.2,
    "off by one": 0.5,
    "grouping": 2.0,
    "number": 1.8,
    "truth value": 0.8,
    "empty value": 0.3,
    "text": 0.5,
    "text prefix": 0.1,
    "format": 0.2,
    "variable": 2.0,
    "attribute or method": 1.2,
    "variable or attribute": 0.8,
    "function": 0.8,
    "index": 2.5,
    "slice bounds": 3.0,
    "range": 3.0,
    "arguments": 0.8,
    "missing argument": 0.2,
    "missing conversion": 0.15,
    "missing method call": 0.15,
    "missing bound": 0.1,
    "superfluous call": 0.4,
    "call parentheses": 0.2,
    "lookup with default": 0.3,
    "await": 0.3,
    "negated condition": 0.8,
    "truth or identity": 0.7,
    "condition term": 0.3,
    "comprehension filter": 0.2,
    "branch": 0.3,
    "guard": 0.15,
    "made conditional": 0.2,
    "moved out of a block": 2.0,
    "moved into a block": 1.2,
    "statement copied": 0.3,
    "loop exit": 1.5,
    "yield": 1.0,
    "exception type": 1.0,
}
_SMALL = (
    "relational operator",
    "arithmetic operator",
    "number",
    "variable",
    "attribute or method",
    "negated condition",
)

KINDS: tuple[Kind, ...] = (
    *(
        Kind(o.name, _OPERATORS[o.name], o.propose, o.statement, o.name in _SMALL)
        for o in OPERATORS
        if o.name in _OPERATORS
    ),
    Kind("term dropped", 3.0, expressions.term, small=True),
    Kind("condition dropped", 4.0, expressions.condition_term, small=True),
    Kind("comparison dropped", 1.5, expressions.comparison, small=True),
    Kind("argument dropped", 1.5, expressions.argument_dropped, small=True),
    Kind("argument changed", 2.0, expressions.argument_changed, small=True),
    Kind("call dropped", 2.5, expressions.call_dropped, small=True),
    Kind("attribute dropped", 0.8, expressions.attribute_dropped, small=True),
    Kind("bound lost", 3.5, expressions.bound_lost, small=True),
    Kind("offset lost", 6.0, expressions.offset_lost, small=True),
    Kind("other value", 1.8, expressions.other_value, small=True),
    Kind("comprehension", 4.0, expressions.comprehension),
    Kind("choice lost", 4.0, expressions.choice_lost),
    Kind("sort key", 6.0, expressions.sort_key),
    Kind("element", 1.2, expressions.element),
    Kind("other key", 0.6, expressions.other_key),
    Kind("line dropped", 2.5, statements.line, statement=True),
    Kind("lines dropped", 0.8, statements.lines, statement=True),
    Kind("guard dropped", 4.0, statements.guard, statement=True),
    Kind("condition lost", 1.5, statements.opened, statement=True),
    Kind("branch lost", 2.5, statements.branch, statement=True),
    Kind("order of statements", 4.0, statements.swapped, statement=True),
    Kind("wrong return", 1.8, statements.returned, statement=True),
    Kind("simplified", 2.5, statements.simplified, statement=True),
    Kind("initial value", 2.0, statements.initial, small=True),
    Kind("accumulation lost", 4.0, statements.accumulation, statement=True),
    Kind("method of a family", 4.0, statements.family, small=True),
    Kind("handling lost", 1.8, statements.handling),
    Kind("unpacking order", 2.0, statements.unpacked),
)
TWICE_WEIGHT = 5.0
NEEDS: dict[str, tuple[type[ast.AST], ...]] = {  # without one of these in a function, the kind need not be tried there
    "relational operator": (ast.Compare,),
    "arithmetic operator": (ast.BinOp, ast.AugAssign),
    "logical operator": (ast.BoolOp,),
    "operand order": (ast.BinOp,),
    "grouping": (ast.BinOp, ast.BoolOp),
    "index": (ast.Subscript,),
    "slice bounds": (ast.Slice,),
    "await": (ast.AsyncFunctionDef,),
    "yield": (ast.Yield, ast.YieldFrom),
    "exception type": (ast.ExceptHandler, ast.Raise),
    "loop exit": (ast.For, ast.AsyncFor, ast.While),
    "term dropped": (ast.BinOp,),
    "condition dropped": (ast.BoolOp,),
    "comparison dropped": (ast.Compare,),
    "bound lost": (ast.Subscript,),
    "comprehension": (ast.comprehension,),
    "choice lost": (ast.IfExp,),
    "sort key": (ast.keyword,),
    "element": (ast.List, ast.Tuple, ast.Set, ast.Dict),
    "guard dropped": (ast.If,),
    "condition lost": (ast.If, ast.With, ast.While, ast.AsyncWith),
    "branch lost": (ast.If, ast.For, ast.While, ast.Try),
    "handling lost": (ast.ExceptHandler, ast.Raise),
    "unpacking order": (ast.Tuple,),
}
NAMES: tuple[str, ...] = (*(kind.name for kind in KINDS), TWICE)


@cache
def _shares() -> dict[str, float]:
    return tomllib.loads(COVERED.read_text(encoding="utf-8"))["share"]


def covered(kind: str) -> float:
    """Return the share of the bugs of a kind that one edit of search repair undoes, 0 to 1."""
    return _shares()[kind]
