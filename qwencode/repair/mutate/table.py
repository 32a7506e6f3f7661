"""Every operator of search repair in one table: name, prior, where it comes from.

The prior is the chance, relative to the other operators, that such an edit at the right place is the repair. The values
were set on small programs written for this purpose; small edits come first.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qwencode.repair.mutate import calls, conditions, constants, imports, names, operators, slices, statements
from qwencode.repair.mutate.source import Edit, Source

MOTHRA = "DeMillo and Offutt 1991"
OFFUTT = "Offutt et al. 1996"
MAJOR = "Just 2014"
GENPROG = "Le Goues et al. 2012"
PAR = "Kim et al. 2013"
TBAR = "Liu et al. 2019"
PYTER = "Oh and Oh 2022"


@dataclass(frozen=True, slots=True)
class Operator:
    """A way to edit. `propose` yields the edits of one node; `statement` ones are asked with whole statements only."""

    name: str
    prior: float
    source: str
    propose: Callable[[Source, ast.AST], Iterator[Edit]]
    statement: bool = False


OPERATORS: tuple[Operator, ...] = (
    Operator("relational operator", 1.0, OFFUTT, operators.relational),
    Operator("arithmetic operator", 0.9, OFFUTT, operators.arithmetic),
    Operator("logical operator", 0.9, OFFUTT, operators.logical),
    Operator("assignment operator", 0.45, OFFUTT, operators.assignment),
    Operator("unary operator", 0.6, OFFUTT, operators.unary),
    Operator("operand order", 0.5, TBAR, operators.swap_operands),
    Operator("operand dropped", 0.6, OFFUTT, operators.drop_operand),
    Operator("operand added", 0.2, OFFUTT, operators.add_operand),
    Operator("off by one", 0.7, PAR, operators.plus_minus_one),
    Operator("condition term dropped", 0.5, MAJOR, operators.drop_term),
    Operator("grouping", 0.45, TBAR, operators.regroup),
    Operator("number", 0.8, MOTHRA, constants.number),
    Operator("truth value", 0.9, MAJOR, constants.truth),
    Operator("empty value", 0.4, MAJOR, constants.emptiness),
    Operator("text", 0.5, TBAR, constants.string),
    Operator("text prefix", 0.5, TBAR, constants.prefix),
    Operator("format", 0.5, TBAR, constants.conversion),
    Operator("mutable default", 0.9, TBAR, constants.mutable_default, statement=True),
    Operator("variable", 0.6, TBAR, names.variable),
    Operator("attribute or method", 0.75, PAR, names.attribute),
    Operator("variable or attribute", 0.5, TBAR, names.local_or_attribute),
    Operator("function", 0.75, PAR, names.function),
    Operator("index", 0.8, PAR, slices.index),
    Operator("slice bounds", 0.75, PAR, slices.bounds),
    Operator("range", 0.75, PAR, slices.ranges),
    Operator("arguments", 0.6, PAR, calls.arguments),
    Operator("missing argument", 0.5, PAR, calls.missing),
    Operator("missing conversion", 0.45, TBAR, calls.wrapper),
    Operator("missing method call", 0.45, TBAR, calls.method),
    Operator("missing bound", 0.2, PAR, calls.clamp),
    Operator("superfluous call", 0.45, TBAR, calls.unwrap),
    Operator("call parentheses", 0.6, TBAR, calls.parentheses),
    Operator("lookup with default", 0.6, TBAR, calls.lookup),
    Operator("await", 0.9, TBAR, calls.awaited),
    Operator("negated condition", 0.7, TBAR, conditions.negate),
    Operator("truth or identity", 0.8, TBAR, conditions.identity),
    Operator("condition term", 0.3, PAR, conditions.terms),
    Operator("comprehension filter", 0.35, PAR, conditions.comprehension_filter),
    Operator("branch", 0.4, MAJOR, conditions.constant_condition),
    Operator("guard", 0.18, PAR, conditions.guard, statement=True),
    Operator("made conditional", 0.2, TBAR, conditions.wrap_in_if, statement=True),
    Operator("statement deleted", 0.5, GENPROG, statements.delete, statement=True),
    Operator("statements swapped", 0.45, GENPROG, statements.swap, statement=True),
    Operator("moved out of a block", 0.55, TBAR, statements.move_out, statement=True),
    Operator("moved into a block", 0.45, TBAR, statements.move_in, statement=True),
    Operator("statement copied", 0.25, GENPROG, statements.insert_copy, statement=True),
    Operator("membership noted", 0.3, TBAR, statements.remember, statement=True),
    Operator("loop exit", 0.5, TBAR, statements.leave, statement=True),
    Operator("return", 0.5, TBAR, statements.returned, statement=True),
    Operator("yield", 0.7, TBAR, statements.generator),
    Operator("exception type", 0.55, TBAR, statements.exceptions),
    Operator("import", 1.0, PYTER, imports.missing, statement=True),
    Operator("construction", 0.4, TBAR, statements.construction, statement=True),
)
