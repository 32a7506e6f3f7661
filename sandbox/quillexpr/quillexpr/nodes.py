"""The syntax tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Literal:
    value: Any


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Items:
    """A list in brackets."""

    items: tuple[Node, ...]


@dataclass(frozen=True)
class Unary:
    operator: str
    operand: Node


@dataclass(frozen=True)
class Binary:
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Comparison:
    """`a < b <= c` has the operands a, b, c and the operators <, <=."""

    operands: tuple[Node, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True)
class Logical:
    """`and` or `or`; the right side is evaluated only if the left one does not decide."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Index:
    owner: Node
    key: Node


Node = Literal | Name | Items | Unary | Binary | Comparison | Logical | Call | Index
