"""Computing the value of an expression."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from quillexpr.errors import EvaluationError
from quillexpr.nodes import Binary, Call, Comparison, Index, Items, Literal, Logical, Name, Node, Unary
from quillexpr.parser import parse

MAX_EXPONENT = 1000
ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, owner: item in owner,
    "not in": lambda item, owner: item not in owner,
}


def evaluate(
    source: str, values: Mapping[str, Any] | None = None, functions: Mapping[str, Callable[..., Any]] | None = None
) -> Any:
    """Return the value of an expression. Raises SyntaxProblem or EvaluationError, nothing else."""
    try:
        return _Evaluator(values or {}, functions or {}).value(parse(source))
    except (TypeError, ArithmeticError, LookupError) as error:
        raise EvaluationError(str(error)) from error


def names_in(source: str) -> set[str]:
    """Return the names of the values that an expression refers to."""
    found: set[str] = set()

    def visit(node: Node) -> None:
        match node:
            case Name(name):
                found.add(name)
            case Items(items) | Call(_, items) | Comparison(items, _):
                for item in items:
                    visit(item)
            case Unary(_, operand):
                visit(operand)
            case Binary(_, left, right) | Logical(_, left, right) | Index(left, right):
                visit(left)
                visit(right)
            case Literal():
                pass

    visit(parse(source))
    return found


class _Evaluator:
    def __init__(self, values: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]):
        self._values = values
        self._functions = functions

    def value(self, node: Node) -> Any:
        match node:
            case Literal(value):
                return value
            case Name(name):
                if name not in self._values:
                    raise EvaluationError(f"there is no value named {name!r}")
                return self._values[name]
            case Items(items):
                return [self.value(item) for item in items]
            case Unary(op, operand):
                return not self.value(operand) if op == "not" else -self.value(operand)
            case Binary(op, left, right):
                return self._arithmetic(op, self.value(left), self.value(right))
            case Logical(op, left, right):
                first = self.value(left)
                return first if bool(first) == (op == "or") else self.value(right)
            case Comparison(operands, operators):
                return self._compare(operands, operators)
            case Index(owner, key):
                return self.value(owner)[self.value(key)]
            case Call(name, arguments):
                if name not in self._functions:
                    raise EvaluationError(f"there is no function named {name!r}")
                return self._functions[name](*(self.value(argument) for argument in arguments))

    def _arithmetic(self, op: str, left: Any, right: Any) -> Any:
        if op == "**" and isinstance(right, (int, float)) and abs(right) > MAX_EXPONENT:
            raise EvaluationError(f"the exponent {right} is too large")
        return ARITHMETIC[op](left, right)

    def _compare(self, operands: tuple[Node, ...], operators: tuple[str, ...]) -> bool:
        left = self.value(operands[0])
        for op, node in zip(operators, operands[1:]):
            right = self.value(node)
            if not COMPARE[op](left, right):
                return False
            left = right
        return True
