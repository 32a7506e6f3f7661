"""Breakers of statements: lines, guards, branches, returns and handlers lost, and lines that say less than before."""

import ast
from collections.abc import Iterator

from builtin.expressions import called_name, exchanged, parts
from qwencode.repair.mutate.source import FUNCTIONS, Edit, Source

_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete, ast.Raise, ast.Assert)
_LEAVES = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_INITIAL = {
    "0": ("1", "None", "-1"),
    "1": ("0", "2"),
    "-1": ("0", "1"),
    "[]": ("None", "{}", "set()", "[None]"),
    "{}": ("[]", "None", "set()"),
    "set()": ("[]", "{}", "None"),
    "list()": ("None", "set()"),
    "dict()": ("[]", "None"),
    '""': ("None", '" "'),
    "''": ("None", "' '"),
    "None": ("0", "[]", "False", '""'),
    "True": ("False", "None"),
    "False": ("True", "None"),
    "0.0": ("1.0", "0", "None"),
    "1.0": ("0.0", "1"),
    'float("inf")': ("0", '-float("inf")'),
    "float('inf')": ("0", "-float('inf')"),
    "[0]": ("[]", "[1]"),
    "[[]]": ("[]",),
}


def _names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


def _is_elif(source: Source, node: ast.stmt) -> bool:
    return source.text.startswith("elif", source.span(node)[0])


def _value(node: ast.AST) -> ast.expr | None:
    """Return the expression that a statement is about."""
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return):
        return node.value
    if isinstance(node, ast.If | ast.While | ast.Assert):
        return node.test
    return node.iter if isinstance(node, ast.For | ast.AsyncFor) else None


def line(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A whole line lost; the only one of a block becomes `pass`."""
    if isinstance(node, _SIMPLE) and (whole := source.lines(node)):
        if len(source.block(node)) > 1:
            yield Edit(*whole, "")
        else:
            yield Edit(*source.span(node), "pass", 0.5)


def lines(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Two neighbouring lines lost, or a small block."""
    if not isinstance(node, ast.stmt) or isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return
    block = source.block(node)
    at = block.index(node)
    if hasattr(node, "body"):
        if len(block) > 1 and not _is_elif(source, node) and (whole := source.lines(node)):
            yield Edit(*whole, "")
    elif len(block) > 2 and at + 1 < len(block) and not isinstance(other := block[at + 1], (*_LEAVES, *FUNCTIONS)):
        whole = source.lines(node, other)
        yield from [Edit(*whole, "")] if whole else []


def guard(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A guard lost: an `if` whose block leaves, or the block without its condition."""
    if not isinstance(node, ast.If) or node.orelse or _is_elif(source, node):
        return
    whole = source.lines(node)
    if whole and isinstance(node.body[-1], _LEAVES) and len(source.block(node)) > 1:
        yield Edit(*whole, "")


def opened(source: Source, node: ast.AST) -> Iterator[Edit]:
    """The line of an `if` or `with` lost, and what stood in it done always; a `while` or `for` that goes round once."""
    if isinstance(node, ast.If | ast.With | ast.AsyncWith) and not getattr(node, "orelse", None):
        whole, inner = source.lines(node), source.lines(node.body[0], node.body[-1])
        elif_ = isinstance(node, ast.If) and _is_elif(source, node)
        if whole and inner and not elif_ and node.body[0].lineno > node.lineno:
            deep, flat = source.indent(node.body[0]), source.indent(node)
            rows = source.text[inner[0] : whole[1]].splitlines(keepends=True)
            yield Edit(*whole, "".join(flat + row.removeprefix(deep) if row.strip() else row for row in rows))
    elif isinstance(node, ast.While) and not node.orelse:
        start = source.span(node)[0]
        yield Edit(start, start + 5, "if")


def branch(source: Source, node: ast.AST) -> Iterator[Edit]:
    """The `else`, `elif` or `finally` part lost; `if` for `elif`."""
    if isinstance(node, ast.If | ast.For | ast.While) and node.orelse:
        start, other = source.lines(node.body[-1]), node.orelse
        chained = isinstance(other[0], ast.If) and _is_elif(source, other[0])
        last = other[0].body[-1] if chained and isinstance(other[0], ast.If) else other[-1]
        end = source.lines(last)
        if start and end:
            yield Edit(start[1], end[1], "")
        if chained:
            at = source.span(other[0])[0]
            yield Edit(at, at + 4, "if", 0.5)
    elif isinstance(node, ast.Try) and node.finalbody:
        before = node.orelse or (node.handlers[-1].body if node.handlers else [])
        start = source.lines(before[-1]) if before else None
        if start and (end := source.lines(node.finalbody[-1])):
            yield Edit(start[1], end[1], "")


def swapped(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Two neighbours of which one needs the other, in the wrong order."""
    if not isinstance(node, ast.stmt) or hasattr(node, "body"):
        return
    block = source.block(node)
    at = block.index(node) + 1
    if at >= len(block) or hasattr(other := block[at], "body"):
        return
    stored, used = _names(node, ast.Store), _names(other, ast.Load)
    later, read = _names(other, ast.Store), _names(node, ast.Load)
    changed = {source.src(t) for n in (node, other) if isinstance(n, ast.AugAssign) for t in [n.target]}
    needed = stored & used or later & read or changed & (used | read)
    if not needed and not isinstance(other, _LEAVES):
        return
    first, second = source.lines(node), source.lines(other)
    if first and second and source.text[: second[1]].endswith("\n"):
        yield Edit(first[0], second[1], source.text[second[0] : second[1]] + source.text[first[0] : first[1]])


def returned(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A `return` that comes too early, is missing, or stands in the loop instead of after it."""
    if isinstance(node, ast.Assign | ast.AugAssign) and source.block(node)[-1] is not node:
        yield Edit(source.span(node)[0], source.span(node.value)[0], "return ", 0.7)
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and (whole := source.lines(node)):
            yield Edit(whole[1], whole[1], f"{source.indent(node)}return {target.id}\n", 0.5)
    elif isinstance(node, ast.Return) and node.value is not None:
        block = source.block(node)
        if isinstance(node.value, ast.Call | ast.Await):
            yield Edit(source.span(node)[0], source.span(node.value)[0], "", 0.7)
        if len(block) > 1 and (whole := source.lines(node)):
            yield Edit(*whole, "", 0.8)
            before = block[block.index(node) - 1]
            if isinstance(before, _LOOPS) and not before.orelse:
                yield Edit(whole[0], source.span(node)[0], source.indent(before.body[0]), 2.0)
        if scope := source.function(node):
            for name in sorted(_names(scope, ast.Store) | {a.arg for a in scope.args.args} - {"self", "cls"}):
                yield Edit(*source.span(node), f"return {name}", 0.25)


def simplified(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A line that says less: its value replaced by a part of itself, or by nothing in particular."""
    value = _value(node)
    if value is None or isinstance(value, ast.Name | ast.Constant):
        return
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
        return
    found = {source.src(part): 1.0 for part in parts(source, value)}
    for text, weight in found.items():
        if text not in ("self", "cls"):
            yield source.replace(value, f"({text})" if "\n" in text else text, weight)
    if isinstance(node, ast.Assign | ast.Return):
        nothing = {ast.ListComp: "[]", ast.List: "[]", ast.Dict: "{}", ast.DictComp: "{}", ast.BinOp: "0"}
        yield source.replace(value, nothing.get(type(value), "None"), 0.3)


def initial(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Another value to begin with, or as a default."""
    values: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        values = list(node.value.elts) if isinstance(node.value, ast.Tuple) else [node.value]
    elif isinstance(node, ast.Call):
        values = [keyword.value for keyword in node.keywords]
        if called_name(node) in ("get", "pop", "setdefault", "getattr", "next", "sum", "reduce"):
            values += node.args[1:]
    for value in values:
        for rank, other in enumerate(_INITIAL.get(source.src(value), ())):
            yield source.replace(value, other, 1.0 / (1 + rank))


def accumulation(source: Source, node: ast.AST) -> Iterator[Edit]:
    """What was gathered before is lost: `x += y` as `x = y`, `x.append(y)` as `x = [y]`, `x = max(x, y)` as `x = y`."""
    if isinstance(node, ast.AugAssign):
        start, end = source.span(node.target)[1], source.span(node.value)[0]
        yield Edit(start, end, " = ")
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = source.src(node.targets[0]), node.value
        operands: list[ast.expr] = []
        if isinstance(value, ast.BinOp):
            operands = [value.left, value.right]
        elif isinstance(value, ast.Call):
            operands = value.args
        if any(source.src(one) == target for one in operands):
            yield from (source.replace(value, source.src(one)) for one in operands if source.src(one) != target)
    elif isinstance(node, ast.Expr) and isinstance(call := node.value, ast.Call):
        if not isinstance(call.func, ast.Attribute) or len(call.args) != 1 or call.keywords:
            return
        made = {"append": "[{}]", "extend": "{}", "update": "{}", "add": "{{{}}}", "appendleft": "[{}]"}
        if call.func.attr in made:
            base, given = source.src(call.func.value), source.src(call.args[0])
            yield source.replace(node, f"{base} = {made[call.func.attr].format(given)}")
        if (
            isinstance(inner := call.func.value, ast.Call)
            and called_name(inner) == "setdefault"
            and len(inner.args) > 1
        ):
            place = f"{source.src(inner.func)[: -len('.setdefault')]}[{source.src(inner.args[0])}]"
            yield source.replace(node, f"{place} = {source.src(call.args[0])}", 2.0)


def family(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A neighbouring way to say it that means something else, with its arguments: `d.get(k, x)` as `d[k]`."""
    if not isinstance(node, ast.Call):
        return
    name, given = called_name(node), [source.src(one) for one in node.args]
    base = source.src(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    if isinstance(node.func, ast.Name) and name in ("max", "min") and len(given) == 2:
        yield from (source.replace(node, f"({one})" if " " in one else one) for one in given)
        yield source.replace(node, f"{'min' if name == 'max' else 'max'}({', '.join(given)})")
    elif isinstance(node.func, ast.Name) and name == "isinstance" and isinstance(node.args[-1], ast.Tuple):
        yield from (source.replace(node.args[-1], source.src(one)) for one in node.args[-1].elts)
    elif isinstance(node.func, ast.Name) and name == "zip" and len(given) > 1:
        yield source.replace(node, f"zip({', '.join(reversed(given))})")
        yield source.replace(node, f"enumerate({given[0]})")
    elif base and name == "get" and given:
        yield source.replace(node, f"{base}[{given[0]}]")
    elif base and name in ("setdefault", "pop") and len(given) == 2:
        yield source.replace(node, f"{base}.get({', '.join(given)})")
        yield source.replace(node, f"{base}[{given[0]}]", 0.6)
    elif base and name in ("split", "rsplit") and given:
        yield source.replace(node, f"{base}.{name}()")
        yield source.replace(node, f"{base}.partition({given[0]})", 0.6)
    elif base and name in ("items", "values", "keys") and not given:
        yield source.replace(node, base)
    elif base and name in ("append", "add") and len(given) == 1 and isinstance(source.parent(node), ast.Expr):
        yield source.replace(node, f"{base}.{'extend' if name == 'append' else 'update'}({given[0]})")
        yield source.replace(node, f"{base}.insert(0, {given[0]})", 0.6)
    elif base and name == "extend" and len(given) == 1:
        yield source.replace(node, f"{base}.append({given[0]})")
    elif base and name in ("startswith", "endswith", "strip", "lstrip", "rstrip", "find", "index", "replace") and given:
        others = {"startswith": "endswith", "endswith": "startswith", "find": "rfind", "index": "find"}
        yield source.replace(node, f"{base}.{others.get(name, 'strip')}({given[0]})")
        if name in ("strip", "lstrip", "rstrip"):
            yield source.replace(node, f"{base}.strip()")


def handling(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Errors handled less: one type of several, `pass` or `raise` for what was done, the cause or the error lost."""
    if isinstance(node, ast.ExceptHandler):
        if isinstance(node.type, ast.Tuple):
            yield from (source.replace(node.type, source.src(one), 2.0) for one in node.type.elts)
        if len(node.body) == 1:
            for other in ("pass", "raise"):
                yield Edit(*source.span(node.body[0]), other)
        elif whole := source.lines(node.body[0]):
            yield Edit(*whole, "", 0.5)
    elif isinstance(node, ast.Raise) and node.exc is not None:
        yield Edit(*source.span(node), "return None", 0.6)
        if node.cause is not None:
            yield Edit(source.span(node.exc)[1], source.span(node)[1], "", 0.4)
        if isinstance(node.exc, ast.Call):
            yield Edit(*source.span(node), f"return {source.src(node.exc.func)}", 0.1)


def unpacked(source: Source, node: ast.AST) -> Iterator[Edit]:
    """The names of an unpacking in another order."""
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    if isinstance(node, ast.Assign | ast.For | ast.comprehension) and isinstance(target, ast.Tuple):
        yield from (exchanged(source, a, b) for a, b in zip(target.elts, target.elts[1:], strict=False))
