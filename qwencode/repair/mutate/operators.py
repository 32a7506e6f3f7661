"""Operators of expressions.

AOR, ROR, LCR, UOI, AOD and COR: Offutt, Lee, Rothermel, Untch, Zapf, *An experimental determination of sufficient
mutant operators*, TOSEM 1996; Just, *The Major mutation framework*, ISSTA 2014.
"""

import ast
from collections.abc import Iterator

from qwencode.repair.mutate.source import BUILTINS, Edit, Source

_ARITHMETIC: dict[type[ast.AST], tuple[str, str]] = {
    ast.Add: ("+", "- *"),
    ast.Sub: ("-", "+ %"),
    ast.Mult: ("*", "/ + ** //"),
    ast.Div: ("/", "// *"),
    ast.FloorDiv: ("//", "/ % *"),
    ast.Mod: ("%", "// * -"),
    ast.Pow: ("**", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "| ^"),
    ast.BitOr: ("|", "& ^"),
    ast.BitXor: ("^", "| &"),
    ast.MatMult: ("@", "*"),
}
_ORDERED = ("+", "-", "*", "/", "//", "%", "**", "@")  # for some types of operands it matters which comes first
_COUNTS = ("len", "int", "min", "max", "round", "sum", "abs")
_RELATIONAL: dict[type[ast.AST], tuple[str, tuple[tuple[str, float], ...]]] = {
    ast.Lt: ("<", (("<=", 1.0), (">", 0.7), (">=", 0.5), ("!=", 0.3), ("==", 0.2))),
    ast.LtE: ("<=", (("<", 1.0), (">=", 0.7), (">", 0.5), ("==", 0.3))),
    ast.Gt: (">", ((">=", 1.0), ("<", 0.7), ("<=", 0.5), ("!=", 0.3), ("==", 0.2))),
    ast.GtE: (">=", ((">", 1.0), ("<=", 0.7), ("<", 0.5), ("==", 0.3))),
    ast.Eq: ("==", (("!=", 1.0), ("<=", 0.5), (">=", 0.5), ("is", 0.3), ("in", 0.3), ("<", 0.2), (">", 0.2))),
    ast.NotEq: ("!=", (("==", 1.0), ("<", 0.4), (">", 0.4), ("is not", 0.3), ("not in", 0.3))),
    ast.Is: ("is", (("is not", 1.0), ("==", 0.9))),
    ast.IsNot: ("is not", (("is", 1.0), ("!=", 0.9))),
    ast.In: ("in", (("not in", 1.0), ("==", 0.4))),
    ast.NotIn: ("not in", (("in", 1.0), ("!=", 0.4))),
}


def arithmetic(source: Source, node: ast.AST) -> Iterator[Edit]:
    """AOR (Offutt 1996): another arithmetic operator, also in an augmented assignment."""
    if isinstance(node, ast.AugAssign):
        left, right, tail = node.target, node.value, "="
    elif isinstance(node, ast.BinOp):
        left, right, tail = node.left, node.right, ""
        if isinstance(left, ast.Constant | ast.JoinedStr) and isinstance(getattr(left, "value", ""), str | bytes):
            return  # formatting or joining text
    else:
        return
    symbol, others = _ARITHMETIC.get(type(node.op), ("", ""))
    place = source.between(left, right, symbol + tail) if symbol else None
    for rank, other in enumerate(others.split() if place else ()):
        yield Edit(*place, other + tail, 1.0 / (1 + rank * 0.5))  # type: ignore[misc]


def swap_operands(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Operands the other way round (Just 2014; TBar FP11, Liu et al., ISSTA 2019)."""
    if not isinstance(node, ast.BinOp) or (symbol := _ARITHMETIC.get(type(node.op), ("",))[0]) not in _ORDERED:
        return
    place = source.between(node.left, node.right, symbol)
    if place is None:
        return
    start, end = source.span(node)
    left, right = source.text[start : place[0]], source.text[place[1] : end]
    first, second = left.rstrip(), right.lstrip()
    if isinstance(node.left, ast.BinOp) and not first.endswith(")"):
        first = f"({first})"
    gap = left[len(left.rstrip()) :] + symbol + right[: len(right) - len(right.lstrip())]
    yield Edit(start, end, second + gap + first, 0.4 if symbol == "+" else 1.0)


def drop_operand(source: Source, node: ast.AST) -> Iterator[Edit]:
    """AOD (Offutt 1996): one operand instead of the operation; a stray `+ 1` or `- 1` first."""
    if isinstance(node, ast.BinOp):
        one = isinstance(node.right, ast.Constant) and node.right.value == 1
        yield source.replace(node, source.atom(node.left), 1.0 if one else 0.4)
        yield source.replace(node, source.atom(node.right), 0.25)


def add_operand(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing operand (the inverse of AOD): another variable of the function added or multiplied."""
    scope = source.function(node)
    if scope is None or not isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.BinOp):
        return
    if not isinstance(
        source.parent(node), ast.Assign | ast.Return | ast.AugAssign | ast.Compare | ast.keyword | ast.Slice
    ):
        return
    if isinstance(getattr(node, "ctx", None), ast.Store):
        return
    names = source.names_in(scope).keys() - {"self", "cls", "_", source.src(node)} - BUILTINS
    for name in sorted(name for name in names if name not in source.definitions):
        for symbol, weight in (("+", 1.0), ("-", 0.8), ("*", 0.6)):
            yield source.replace(node, f"{source.atom(node)} {symbol} {name}", weight, loose=True)


def plus_minus_one(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing `+ 1` or `- 1` where counts and positions are used (UOI, Offutt 1996; off-by-one, PAR, Kim et al.
    2013).
    """
    parent = source.parent(node)
    if not isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.BinOp | ast.Subscript):
        return
    if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del) or isinstance(parent, ast.Attribute):
        return
    if isinstance(parent, ast.Slice) or (isinstance(parent, ast.Subscript) and node is parent.slice):
        weight = 1.0
    elif isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "range":
        weight = 1.0 if node is not parent.func else 0.0
    elif isinstance(parent, ast.Compare):
        weight = 0.7
    elif isinstance(parent, ast.Return | ast.BinOp | ast.Assign | ast.AugAssign):
        weight = 0.45
    elif isinstance(parent, ast.Tuple | ast.List | ast.keyword) or (
        isinstance(parent, ast.Call) and node in parent.args
    ):
        weight = 0.35
    else:
        return
    if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant | ast.JoinedStr):
        weight *= 0.3
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") not in _COUNTS:
        return
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div | ast.FloorDiv):
        return
    text = source.src(node)
    for more in ("+ 1", "- 1") if weight else ():
        yield source.replace(node, f"{text} {more}", weight, loose=True)


def relational(source: Source, node: ast.AST) -> Iterator[Edit]:
    """ROR (Offutt 1996): another comparison, the boundary case first (`<` and `<=`; Just 2014)."""
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            symbol, others = _RELATIONAL[type(operator)]
            place = source.between(left, right, symbol)
            for other, weight in others if place else ():
                yield Edit(*place, other, weight)  # type: ignore[misc]


def logical(source: Source, node: ast.AST) -> Iterator[Edit]:
    """LCR (Offutt 1996): `and` for `or`, and back."""
    if isinstance(node, ast.BoolOp):
        symbol, other = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            if place := source.between(left, right, symbol):
                yield Edit(*place, other)


def drop_term(source: Source, node: ast.AST) -> Iterator[Edit]:
    """COR (Just 2014), expression remover of PAR (Kim 2013): one term of a condition taken out."""
    if isinstance(node, ast.BoolOp):
        for index, value in enumerate(node.values):
            if index:
                cut = Edit(source.span(node.values[index - 1])[1], source.span(value)[1], "")
            else:
                cut = Edit(source.span(value)[0], source.span(node.values[1])[0], "")
            removed = source.text[cut.start : cut.end]
            if removed.count("(") == removed.count(")"):
                yield cut
            elif len(node.values) == 2:
                yield source.replace(node, source.atom(node.values[1 - index]))


def unary(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Unary operator deletion (Offutt 1996): without its `not`, `-` or `~`; and UOI: with a minus sign, with `abs`."""
    if isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield source.replace(node, source.atom(node.operand))
    elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and isinstance(
        getattr(node, "ctx", None), ast.Load
    ):
        if isinstance(source.parent(node), ast.Return | ast.BinOp | ast.Tuple | ast.Assign | ast.Lambda):
            yield source.replace(node, f"-{source.src(node)}", 0.25, loose=True)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        yield source.replace(node, f"abs({source.src(node)})", 0.4)


def regroup(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Other parentheses: `a + b * c` as `(a + b) * c`, `a or b and c` as `(a or b) and c`, and grouping taken away."""
    if isinstance(node, ast.BinOp):
        start, end = source.span(node)
        inner = (
            node.right if isinstance(node.right, ast.BinOp) else node.left if isinstance(node.left, ast.BinOp) else None
        )
        if inner is None:
            return
        cut = source.span(inner.left)[1] if inner is node.right else source.span(inner.right)[0]
        text = source.text
        if inner is node.right and text[start:cut].count("(") == text[start:cut].count(")"):
            yield Edit(start, end, f"({text[start:cut]}){text[cut:end]}")
        elif inner is node.left and text[cut:end].count("(") == text[cut:end].count(")"):
            yield Edit(start, end, f"{text[start:cut]}({text[cut:end]})")
        a, b = source.span(inner)
        before, after = text[:a].rstrip(" "), text[b:].lstrip(" ")
        if before.endswith("(") and after.startswith(")"):
            left, right = len(before) - 1, len(text) - len(after) + 1
            if start <= left and right <= end:
                yield Edit(left, right, text[a:b], 0.8)
    elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and isinstance(node.values[-1], ast.BoolOp):
        start, end = source.span(node)
        cut = source.span(node.values[-1].values[0])[1]
        head = source.text[start:cut]
        if head.count("(") == head.count(")"):
            yield Edit(start, end, f"({head}){source.text[cut:end]}")


def assignment(source: Source, node: ast.AST) -> Iterator[Edit]:
    """`=` for `+=` and back (assignment operator replacement, Offutt 1996)."""
    if (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name | ast.Attribute | ast.Subscript)
    ):
        if place := source.between(node.targets[0], node.value, "="):
            for rank, other in enumerate(("+=", "-=", "|=", "*=")):
                yield Edit(*place, other, 1.0 / (1 + rank))
    elif isinstance(node, ast.AugAssign):
        symbol = _ARITHMETIC.get(type(node.op), ("",))[0]
        if symbol and (place := source.between(node.target, node.value, symbol + "=")):
            yield Edit(*place, "=")
