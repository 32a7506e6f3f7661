"""Conditions and guards.

Condition templates: PAR *Expression Adder, Remover, Replacer* and *Null Pointer Checker* (Kim et al., ICSE 2013);
TBar FP2 null-pointer check, FP6 conditional mutation (Liu et al., ISSTA 2019).
"""

import ast
from collections.abc import Iterator
from functools import lru_cache

from qwencode.repair.mutate.source import BUILTINS, FUNCTIONS, Edit, Function, Source

_TEST = (ast.If, ast.While, ast.IfExp, ast.Assert)


def _is_test(source: Source, node: ast.AST) -> bool:
    parent = source.parent(node)
    return (isinstance(parent, _TEST) and parent.test is node) or (
        isinstance(parent, ast.comprehension) and node in parent.ifs
    )


def negate(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A condition the other way round (COI of Just 2014; TBar FP6)."""
    if not isinstance(node, ast.expr) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
        return
    simple = (
        isinstance(node, ast.Compare)
        and len(node.ops) == 1
        and isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn | ast.Is | ast.IsNot)
    )
    if (_is_test(source, node) or isinstance(source.parent(node), ast.BoolOp)) and not simple:
        yield source.replace(node, f"not {source.atom(node)}", loose=isinstance(source.parent(node), ast.Compare))
    elif (
        isinstance(source.parent(node), ast.Return | ast.Assign | ast.keyword)
        and isinstance(node, ast.Call | ast.Name | ast.Compare | ast.Attribute)
        and not simple
    ):
        yield source.replace(node, f"not {source.atom(node)}", 0.4)


def identity(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Truth against identity: `x` and `x is not None`, `not x` and `x is None`, `x or y` as `x if x is not None else
    y`.
    """
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.Is | ast.IsNot):
        if isinstance(node.comparators[0], ast.Constant) and node.comparators[0].value is None:
            bare = source.atom(node.left)
            yield source.replace(
                node, f"not {bare}" if isinstance(node.ops[0], ast.Is) else bare, loose=isinstance(node.ops[0], ast.Is)
            )
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield source.replace(node, f"{source.atom(node.operand)} is None", loose=True)
        yield source.replace(node, f"len({source.src(node.operand)}) == 0", 0.2, loose=True)
    elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or) and len(node.values) == 2:
        first, second = source.atom(node.values[0]), source.atom(node.values[1])
        if not isinstance(node.values[0], ast.Compare):
            yield source.replace(node, f"{first} if {first} is not None else {second}", 0.9, loose=True)
    elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call | ast.NamedExpr) and (
        _is_test(source, node) or isinstance(source.parent(node), ast.BoolOp)
    ):
        yield source.replace(node, f"{source.atom(node)} is not None", loose=True)


@lru_cache(maxsize=64)
def _pool(source: Source, scope: Function | None) -> dict[str, float]:
    """Conditions of the same function and file by text, those of the function first."""
    found: dict[str, float] = {}
    for other in ast.walk(source.tree):
        tested = isinstance(other, ast.expr) and (
            _is_test(source, other) or isinstance(source.parent(other), ast.BoolOp)
        )
        if (
            tested
            and not isinstance(other, ast.BoolOp | ast.IfExp | ast.NamedExpr | ast.Lambda)
            and len(source.src(other)) < 80
        ):
            found.setdefault(source.src(other), 1.0 if source.function(other) is scope else 0.3)
    return found


@lru_cache(maxsize=64)
def _simple_conditions(source: Source, scope: Function | None) -> dict[str, float]:
    """Conditions on the variables of a function."""
    nodes = list(ast.walk(scope)) if scope else []
    local = {n.arg for n in nodes if isinstance(n, ast.arg)}
    local |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    made: dict[str, float] = {}
    for name in sorted(local - {"self", "cls", "_"}):
        made |= {name: 0.8, f"not {name}": 0.8, f"{name} is None": 0.5, f"{name} is not None": 0.6, f"{name} > 0": 0.4}
    return made


def terms(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing term: another condition of the function or the file joined by `and` or `or` (PAR
    *Expression Adder*).
    """
    if not isinstance(node, ast.expr) or not (
        _is_test(source, node)
        or (isinstance(source.parent(node), ast.Return) and isinstance(node, ast.Compare | ast.BoolOp))
    ):
        return
    own = source.atom(node) if isinstance(node, ast.BoolOp | ast.IfExp | ast.Lambda) else source.src(node)
    start, end = source.span(node)
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript) and not isinstance(part.slice, ast.Slice):
            container, key = source.src(part.value), source.src(part.slice)
            yield Edit(start, end, f"{key} not in {container} or {own}")
            yield Edit(start, end, f"{key} in {container} and {own}", 0.9)
            yield Edit(start, end, f"{container} and {own}", 0.9)
            yield Edit(start, end, f"not {container} or {own}", 0.8)
    simple = {text: 0.6 * weight for text, weight in _simple_conditions(source, source.function(node)).items()}
    for text, weight in {**simple, **_pool(source, source.function(node))}.items():
        if text not in own:
            yield Edit(start, end, f"{own} and {text}", weight)
            yield Edit(start, end, f"{own} or {text}", weight * 0.9)
            yield Edit(start, end, f"{text} and {own}", weight * 0.5)
            yield Edit(start, end, text, weight * 0.4)


def comprehension_filter(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing filter of a comprehension, and one too many."""
    if isinstance(node, ast.comprehension) and isinstance(node.target, ast.Name):
        if node.ifs:
            yield Edit(source.span(node.iter)[1], source.span(node.ifs[-1])[1], "", 0.6)
        else:
            end = source.span(node.iter)[1]
            name = node.target.id
            for text, weight in (
                (name, 1.0),
                (f"{name} is not None", 0.6),
                (f"{name}.strip()", 0.6),
                (f"{name} > 0", 0.2),
            ):
                yield Edit(end, end, f" if {text}", weight)


def constant_condition(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A branch always taken (COR, Just 2014): `if` unwrapped, or its `else` chosen in a conditional expression."""
    if isinstance(node, ast.IfExp):
        yield source.replace(node, source.atom(node.body), 0.6)
        yield source.replace(node, source.atom(node.orelse), 0.5)
        yield source.replace(
            node,
            f"{source.atom(node.orelse)} if {source.src(node.test)} else {source.atom(node.body)}",
            0.8,
            loose=True,
        )
    elif isinstance(node, ast.If):
        start = source.span(node)[0]
        if source.text.startswith("if", start):
            yield Edit(start, start + 2, "while", 0.4)
            block = source.block(node)
            at = block.index(node)
            if at and isinstance(block[at - 1], ast.If) and not getattr(block[at - 1], "orelse", None):
                yield Edit(start, start + 2, "elif", 0.8)
        elif source.text.startswith("elif", start):
            yield Edit(start, start + 4, "if", 0.8)
    elif isinstance(node, ast.While):
        start = source.span(node)[0]
        yield Edit(start, start + 5, "if", 0.4)


@lru_cache(maxsize=64)
def _leaves(source: Source, scope: Function, looped: bool) -> list[str]:
    """Ways to leave before a statement: as the function and the file do it, then the usual ones."""
    inside = [n for n in ast.walk(scope) if isinstance(n, ast.Return | ast.Raise)]
    raised = [n for n in ast.walk(source.tree) if isinstance(n, ast.Raise) and n.exc]
    own = [source.src(n) for n in (*inside, *raised) if len(source.src(n)) < 100 and "\n" not in source.src(n)]
    exits = [f"return {value}" for value in ("None", "[]", "0", "False", "True", '""', "{}", "set()", "1")]
    usual = [*(["continue", "break"] if looped else []), *exits[:5], 'raise ValueError("invalid value")', *exits[5:]]
    return list(dict.fromkeys([*own[:8], *usual]))


@lru_cache(maxsize=64)
def _exceptions(source: Source) -> list[str]:
    """The exceptions that the file defines or raises."""
    own = [name for name, node in source.definitions.items() if isinstance(node, ast.ClassDef)]
    own = [name for name in own if name.endswith(("Error", "Exception"))]
    raised = [n.exc for n in ast.walk(source.tree) if isinstance(n, ast.Raise) and n.exc]
    names = [source.src(n.func if isinstance(n, ast.Call) else n) for n in raised]
    return list(dict.fromkeys([*own, *(name for name in names if name.isidentifier())]))[:3]


def _doubts(source: Source, node: ast.stmt, scope: Function) -> dict[str, float]:
    """Conditions under which a statement may not make sense, by what it uses."""
    first = node in scope.body[:2]
    found: dict[str, float] = {}
    used = [n.id for n in source.header(node) if isinstance(n, ast.Name)]
    used += [a.arg for a in (*scope.args.args, *scope.args.kwonlyargs)] if first else []
    for part in source.header(node):
        if isinstance(part, ast.Subscript) and not isinstance(part.slice, ast.Slice):
            container, key = source.src(part.value), source.src(part.slice)
            found[f"{key} not in {container}"] = 1.0
        own = isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Load) and source.src(part).count(".") == 1
        if own and source.src(part).startswith("self.") and not isinstance(source.parent(part), ast.Call):
            used.append(source.src(part))
    names = dict.fromkeys(name for name in used if name not in ("self", "cls") and name not in BUILTINS)
    for name in [name for name in names if name not in source.definitions][:4]:
        found |= {
            f"not {name}": 1.0,
            f"{name} is None": 0.8,
            f"{name} < 0": 0.5,
            f"{name} <= 0": 0.6,
            f"{name} == 0": 0.4,
        }
    return found


def guard(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing early exit before a statement: `if not x: return …` (PAR *Null Pointer Checker*, TBar FP2)."""
    scope = source.function(node)
    if not isinstance(node, ast.stmt) or scope is None or isinstance(node, FUNCTIONS):
        return
    if (whole := source.lines(node)) is None or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        return
    pad, line, first = source.indent(node), source.newline, node in scope.body[:2]
    conditions = {
        **{text: 0.5 * weight for text, weight in _pool(source, source.function(node)).items()},
        **_doubts(source, node, scope),
    }
    leaves = _leaves(source, scope, source.loop(node) is not None)
    for condition, likely in conditions.items():
        subject = condition.removeprefix("not ").split(" ")[0]
        raises = [f"raise {name}({subject})" for name in _exceptions(source)]
        for rank, leave in enumerate(dict.fromkeys([*leaves[:3], *raises, *leaves[3:]])):
            weight = likely * (1.0 if first or leave == "continue" else 0.7) / (1 + 0.15 * rank)
            yield Edit(whole[0], whole[0], f"{pad}if {condition}:{line}{pad}    {leave}{line}", weight)


def wrap_in_if(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A statement that should happen only sometimes (PAR *Expression Adder* for a whole statement; TBar FP2)."""
    if (
        not isinstance(node, ast.Expr | ast.Assign | ast.AugAssign | ast.Return | ast.Raise | ast.Delete)
        or source.function(node) is None
    ):
        return
    whole = source.lines(node)
    if (
        whole is None
        or "\n" in source.src(node)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ):
        return
    pad, line = source.indent(node), source.newline
    start = whole[0]
    conditions = {
        **{k: v * 0.6 for k, v in _simple_conditions(source, source.function(node)).items()},
        **_pool(source, source.function(node)),
    }
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        container, key = source.src(node.targets[0].value), source.src(node.targets[0].slice)
        conditions[f"{key} not in {container}"] = 1.2
    for condition, weight in conditions.items():
        end = source.span(node)[1]
        yield Edit(start, end, f"{pad}if {condition}:{line}{pad}    {source.src(node)}", min(1.0, weight))
