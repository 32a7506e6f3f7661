"""Breakers of expressions: parts of a value, a call or a condition lost or taken for another.

Each is asked with one node, as the operators of search repair are, and answers with edits that damage it. Most lose
something that cannot be guessed back by an operator, only from what the rest of the function says.
"""

import ast
from collections.abc import Iterator, Sequence

from qwencode.repair.mutate.source import Edit, Source

_VALUES = (ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.BinOp, ast.Compare, ast.UnaryOp, ast.BoolOp)
_ORDERED = ("sorted", "sort", "min", "max", "nlargest", "nsmallest", "groupby")


def _loaded(node: ast.AST) -> bool:
    return isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)


def _called(source: Source, node: ast.AST) -> bool:
    return isinstance(up := source.parent(node), ast.Call) and up.func is node


def _read(source: Source, node: ast.AST) -> bool:
    """Say whether a node is a value by itself, at a known place of the text: not what is called, not in an f-string."""
    return _loaded(node) and not _called(source, node) and not isinstance(source.parent(node), ast.FormattedValue)


def called_name(node: ast.Call) -> str:
    """Return the last part of the name of what is called."""
    return getattr(node.func, "id", "") or getattr(node.func, "attr", "")


def without(source: Source, items: Sequence[ast.AST], index: int) -> Edit:
    """Leave one of several comma-separated parts out."""
    start, end = source.span(items[index])
    if index:
        start = source.span(items[index - 1])[1]
    elif len(items) > 1:
        end = source.span(items[1])[0]
    return Edit(start, end, "")


def exchanged(source: Source, left: ast.AST, right: ast.AST) -> Edit:
    """Let two parts of the text change places."""
    (start, middle), (after, end) = source.span(left), source.span(right)
    return Edit(start, end, source.text[after:end] + source.text[middle:after] + source.text[start:middle])


def parts(source: Source, node: ast.AST) -> Iterator[ast.expr]:
    """Yield the values inside an expression that mean something outside of it too."""
    own = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    own |= {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    for part in source.header(node):  # pyright: ignore[reportArgumentType]
        if part is node or not isinstance(part, _VALUES) or not _loaded(part) or _called(source, part):
            continue
        if not any(isinstance(n, ast.Name) and n.id in own for n in ast.walk(part)):
            yield part


def term(source: Source, node: ast.AST) -> Iterator[Edit]:
    """An operand of a sum or product lost, whatever it was."""
    if isinstance(node, ast.BinOp):
        yield source.replace(node, source.atom(node.left))
        yield source.replace(node, source.atom(node.right), 0.6)


def condition_term(source: Source, node: ast.AST) -> Iterator[Edit]:
    """One of several conditions lost, or all but one."""
    if isinstance(node, ast.BoolOp):
        for index, value in enumerate(node.values):
            yield source.replace(node, source.atom(value), 0.6)
            if len(node.values) > 2:
                word = " and " if isinstance(node.op, ast.And) else " or "
                rest = [source.atom(v) for at, v in enumerate(node.values) if at != index]
                yield source.replace(node, word.join(rest), loose=True)


def comparison(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A comparison reduced to whether its left side is anything; one link of a chain lost."""
    if isinstance(node, ast.Compare):
        yield source.replace(node, source.atom(node.left))
        if len(node.ops) > 1:
            yield Edit(source.span(node.comparators[-2])[1], source.span(node)[1], "", 2.0)
            yield Edit(source.span(node)[0], source.span(node.comparators[0])[0], "", 2.0)


def argument_dropped(source: Source, node: ast.AST) -> Iterator[Edit]:
    """An argument lost, by position or by name; the last ones lost together."""
    if not isinstance(node, ast.Call):
        return
    given = [*node.args, *node.keywords]
    for index in range(len(given)):
        yield without(source, given, index)
    if len(given) > 2:
        yield Edit(source.span(given[0])[1], source.span(given[-1])[1], "", 0.5)


def argument_changed(source: Source, node: ast.AST) -> Iterator[Edit]:
    """An argument that is another one of the call again, None, a part of itself, or a value used nearby."""
    if not isinstance(node, ast.Call):
        return
    values = [*node.args, *(keyword.value for keyword in node.keywords)]
    nearby = [source.src(p) for up in _around(source, node) for p in parts(source, up) if not isinstance(p, ast.Call)]
    for value in values:
        if isinstance(value, ast.Starred | ast.GeneratorExp):
            continue
        mine = source.src(value)
        for other in values:
            if other is not value and isinstance(other, ast.Name | ast.Attribute | ast.Constant | ast.Subscript):
                yield source.replace(value, source.src(other))
        for part in parts(source, value):
            yield source.replace(value, source.src(part))
        for text in sorted(set(nearby) - {mine})[:12]:
            yield source.replace(value, text, 0.2)
        if mine != "None":
            yield source.replace(value, "None", 0.3)


def _around(source: Source, node: ast.AST) -> list[ast.AST]:
    """Return the statement of a node and its neighbours in the block."""
    above = next((up for up in source.above(node) if isinstance(up, ast.stmt)), None)
    if above is None:
        return []
    block = source.block(above)
    at = block.index(above)
    return [n for n in block[max(0, at - 2) : at + 3] if not hasattr(n, "body")]


def call_dropped(source: Source, node: ast.AST) -> Iterator[Edit]:
    """What a value was passed through lost: `f(x, y)` as `x`, `x.m(y)` as `x`."""
    if not isinstance(node, ast.Call) or isinstance(source.parent(node), ast.Expr | ast.Await):
        return
    for index, given in enumerate(node.args[:2]):
        if not isinstance(given, ast.Starred | ast.GeneratorExp):
            yield source.replace(node, source.atom(given), 0.15 if index or isinstance(given, ast.Constant) else 1.0)
    if isinstance(node.func, ast.Attribute) and source.src(node.func.value) not in ("self", "cls", "super()"):
        yield source.replace(node, source.src(node.func.value))
    if isinstance(node.func, ast.Attribute) and isinstance(inner := node.func.value, ast.Call):
        yield Edit(source.span(inner)[0], source.span(node.func)[1], f"{source.src(inner.func)}.{node.func.attr}", 0.3)


def attribute_dropped(source: Source, node: ast.AST) -> Iterator[Edit]:
    """The object in place of what it holds: `a.b.c` as `a.b`."""
    if isinstance(node, ast.Attribute) and _read(source, node):
        base = source.src(node.value)
        yield from [source.replace(node, base)] if base not in ("self", "cls", "super()") else []


def bound_lost(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A slice without one of its bounds or its step; the whole in place of a slice or an element; another end of it."""
    if not isinstance(node, ast.Subscript) or not _loaded(node):
        return
    if isinstance(cut := node.slice, ast.Slice):
        for part in (cut.lower, cut.upper):
            if part is not None:
                yield Edit(*source.span(part), "")
        if cut.step is not None:
            yield Edit(source.text.rindex(":", 0, source.span(cut.step)[0]), source.span(cut.step)[1], "", 2.0)
        yield source.replace(node, source.src(node.value))
    else:
        yield source.replace(node, source.src(node.value), 0.4)
        if isinstance(cut, ast.Constant) and cut.value == 0:
            yield source.replace(cut, "-1", 0.5)
        elif source.src(cut) == "-1":
            yield source.replace(cut, "0", 0.5)


def offset_lost(source: Source, node: ast.AST) -> Iterator[Edit]:
    """`x + 1` as `x`, `range(1, n)` as `range(n)`, `enumerate(x, 1)` as `enumerate(x)`; a constant factor lost."""
    if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) and isinstance(node.right.value, int):
        yield source.replace(node, source.atom(node.left), 1.5)
        if isinstance(node.op, ast.Add | ast.Sub):
            other = "-" if isinstance(node.op, ast.Add) else "+"
            yield source.replace(node, f"{source.src(node.left)} {other} {source.src(node.right)}", 0.5, loose=True)
    elif isinstance(node, ast.Call) and called_name(node) in ("range", "enumerate", "islice", "arange"):
        for index in range(len(node.args) if len(node.args) > 1 else 0):
            yield without(source, node.args, index)


def other_value(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A value in place of another that the function uses too, both more than a bare name."""
    if not isinstance(node, ast.Attribute | ast.Subscript | ast.Call) or not _read(source, node):
        return
    scope = source.function(node)
    if scope is None or isinstance(source.parent(node), ast.Expr | ast.Attribute | ast.Starred):
        return
    mine = source.src(node)
    found: dict[str, float] = {}
    for other in ast.walk(scope):
        if isinstance(other, ast.Attribute | ast.Subscript | ast.Call | ast.Name) and _read(source, other):
            found.setdefault(source.src(other), 1.0 if type(other) is type(node) else 0.3)
    for text, weight in found.items():
        if text not in (mine, "self", "cls") and "\n" not in text and len(text) < 60:
            yield source.replace(node, text, weight)


def comprehension(source: Source, node: ast.AST) -> Iterator[Edit]:
    """The condition of a comprehension lost, or what it does with each element."""
    if isinstance(node, ast.comprehension):
        for test in node.ifs:
            start = source.text.rfind("if", 0, source.span(test)[0])
            yield Edit(start, source.span(test)[1], "", 2.0)
            yield Edit(start, start + 2, "if not", 0.4)
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        for part in source.header(node.elt):  # pyright: ignore[reportArgumentType]
            known = part is not node.elt and isinstance(part, ast.Name | ast.Attribute | ast.Subscript)
            if known and _read(source, part):
                yield source.replace(node.elt, source.src(part), 0.6)
        if isinstance(node, ast.ListComp) and len(node.generators) == 1 and not node.generators[0].ifs:
            yield source.replace(node, source.src(node.generators[0].iter), 0.3)
    elif isinstance(node, ast.DictComp):
        yield exchanged(source, node.key, node.value)


def choice_lost(source: Source, node: ast.AST) -> Iterator[Edit]:
    """`a if c else b` as one of its ends, or with its ends exchanged."""
    if isinstance(node, ast.IfExp):
        yield source.replace(node, source.atom(node.body))
        yield source.replace(node, source.atom(node.orelse))
        yield exchanged(source, node.body, node.orelse)


def sort_key(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A wrong key of a sort: another position, another sign, one part of several; no key, no direction."""
    if not isinstance(node, ast.Call) or called_name(node) not in _ORDERED:
        return
    given = [*node.args, *node.keywords]
    for index, keyword in enumerate(given):
        if not isinstance(keyword, ast.keyword) or keyword.arg not in ("key", "reverse"):
            continue
        yield without(source, given, index)
        if not isinstance(keyword.value, ast.Lambda) or keyword.value.args is None:
            continue
        body = keyword.value.body
        if isinstance(body, ast.Tuple):
            yield from (source.replace(body, source.src(part)) for part in body.elts)
            yield from (exchanged(source, a, b) for a, b in zip(body.elts, body.elts[1:], strict=False))
        for part in ast.walk(body):
            if isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub):
                yield source.replace(part, source.src(part.operand))
            elif isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Constant):
                if isinstance(value := part.slice.value, int):
                    yield source.replace(part.slice, str(1 - value if value in (0, 1) else value - 1))
            elif isinstance(part, ast.Call | ast.Attribute) and not _called(source, part):
                yield source.replace(part, source.src(part.func if isinstance(part, ast.Call) else part.value), 0.5)


def element(source: Source, node: ast.AST) -> Iterator[Edit]:
    """An element of a written list, tuple, set or dictionary lost; two of a tuple exchanged."""
    if isinstance(node, ast.List | ast.Tuple | ast.Set) and _loaded(node) and len(node.elts) > 1:
        for index in range(len(node.elts) if len(node.elts) > 2 or not isinstance(node, ast.Tuple) else 0):
            yield without(source, node.elts, index)
    elif isinstance(node, ast.Dict) and len(node.keys) > 1 and None not in node.keys:
        pairs = zip(node.keys, node.values, strict=True)
        spans = [(source.span(key)[0], source.span(value)[1]) for key, value in pairs if key]
        for index, (start, end) in enumerate(spans):
            yield Edit(spans[index - 1][1] if index else start, end if index else spans[1][0], "")
    if isinstance(node, ast.Tuple) and len(node.elts) > 1:
        yield from (exchanged(source, a, b) for a, b in zip(node.elts, node.elts[1:], strict=False))


def other_key(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Another text of the function as a key."""
    key: ast.AST | None = node.slice if isinstance(node, ast.Subscript) else None
    if isinstance(node, ast.Call) and called_name(node) in ("get", "pop", "setdefault", "startswith", "endswith"):
        key = node.args[0] if node.args else None
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        for text in source.strings:
            if text != key.value and text.isprintable() and 0 < len(text) <= 24:
                yield source.replace(key, repr(text))
