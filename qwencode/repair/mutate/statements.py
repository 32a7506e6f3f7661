"""Statements: deleted, moved, copied, in or out of a block, and how control leaves them.

SDL, statement deletion: Offutt 1996; Delamaro et al. 2014. Delete, swap and insert from the same file: GenProg (Le
Goues et al., TSE 2012). Move, and return statement templates: TBar FP14, FP15 (Liu et al., ISSTA 2019).
"""

import ast
from collections.abc import Iterator
from functools import lru_cache

from qwencode.repair.mutate.source import BUILTINS, FUNCTIONS, Edit, Function, Source

_SIMPLE = (
    ast.Expr,
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.Return,
    ast.Raise,
    ast.Delete,
    ast.Break,
    ast.Continue,
)
# Classes that a program raises or catches: an edit puts another one of them in the place of one.
_EXCEPTIONS = (  # what a handler may name instead, those of everyday code first
    "ValueError",
    "KeyError",
    "TypeError",
    "IndexError",
    "AttributeError",
    "LookupError",
    "ZeroDivisionError",
    "RuntimeError",
    "StopIteration",
    "OSError",
    "FileNotFoundError",
    "ArithmeticError",
    "NotImplementedError",  # caught where a method may be left abstract
    "Exception",
    "OverflowError",
)


def _text_lines(source: Source, first: ast.stmt, last: ast.stmt | None = None) -> tuple[int, int, str] | None:
    """Return the span of whole lines and their text, which ends with a line end; None when they cannot be moved."""
    whole = source.lines(first, last)
    if whole is None:
        return None
    text = source.text[whole[0] : whole[1]]
    return (*whole, text if text.endswith("\n") else text + source.newline)


def _shifted(source: Source, node: ast.stmt, text: str, old: str, new: str) -> str | None:
    """Return lines with another indentation; None when a text over several lines would change with it."""
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr | ast.Constant) and "\n" in source.src(part):
            return None
    rows = text.splitlines(keepends=True)
    return "".join(new + row[len(old) :] if row.startswith(old) else row for row in rows)


def _is_doc(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def delete(source: Source, node: ast.AST) -> Iterator[Edit]:
    """SDL (Offutt 1996; GenProg delete): a statement taken out; the last one of a block becomes `pass`."""
    if (
        isinstance(node, ast.stmt)
        and not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Pass))
        and not _is_doc(node)
    ):
        weight = 1.0 if isinstance(node, _SIMPLE) else 0.4
        whole = source.lines(node)
        elif_ = source.text.startswith("elif", source.span(node)[0])
        if whole and not elif_ and len(source.block(node)) > 1:
            yield Edit(*whole, "", weight)
        elif not elif_:
            yield Edit(*source.span(node), "pass", weight * 0.8)


def swap(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Two neighbours the other way round (GenProg swap)."""
    if not isinstance(node, ast.stmt) or isinstance(node, ast.Import | ast.ImportFrom) or _is_doc(node):
        return
    block = source.block(node)
    for step in (1, 2, 3):
        at = block.index(node) + step
        if at >= len(block) or isinstance(block[at], (*FUNCTIONS, ast.ClassDef)):
            return
        mine, others = _text_lines(source, node), _text_lines(source, block[at - step + 1], block[at])
        if mine and others:
            yield Edit(mine[0], others[1], others[2] + source.text[mine[1] : others[0]] + mine[2], 1.0 / step**1.5)
            last = _text_lines(source, block[at])
            if step > 1 and last:
                yield Edit(mine[0], last[1], last[2] + source.text[mine[0] : last[0]], 0.6 / step)


def move_out(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A statement out of its block: after it when it was the last, before it when it was the first (TBar FP15)."""
    if not isinstance(node, ast.stmt) or _is_doc(node):
        return
    above = source.parent(node)
    if not isinstance(above, ast.For | ast.AsyncFor | ast.While | ast.If | ast.With | ast.Try):
        return
    block, mine = source.block(node), _text_lines(source, node)
    inner, outer = source.indent(node), source.indent(above)
    text = _shifted(source, node, mine[2], inner, outer) if mine else None
    if mine is None or text is None or len(block) < 2:
        return
    if node is block[-1]:
        end = source.span(above)[1]
        if source.span(node)[1] == end:
            yield Edit(mine[0], mine[1], text)
        else:
            rest = source.text[mine[1] : end]
            yield Edit(mine[0], end, rest + source.newline + text.rstrip("\r\n"), 0.4)
    if (
        node is block[0]
        and (whole := source.lines(above))
        and not source.text.startswith("elif", source.span(above)[0])
    ):
        yield Edit(whole[0], mine[1], text + source.text[whole[0] : mine[0]])


def move_in(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A statement into the block before it, at its end, or into the one after it, at its start (TBar FP15)."""
    if not isinstance(node, ast.stmt) or isinstance(node, (*FUNCTIONS, ast.ClassDef)) or _is_doc(node):
        return
    block, mine = source.block(node), _text_lines(source, node)
    at = block.index(node)
    if mine is None:
        return
    if at and isinstance(before := block[at - 1], ast.For | ast.While | ast.If | ast.With | ast.Try):
        last = before
        while isinstance(last, ast.For | ast.While | ast.If | ast.With | ast.Try):
            last = (getattr(last, "finalbody", None) or getattr(last, "orelse", None) or last.body)[-1]
            if source.lines(last):
                text = _shifted(source, node, mine[2], source.indent(node), source.indent(last))
                if text is not None:
                    yield Edit(mine[0], mine[1], text)
    if at + 1 < len(block) and isinstance(after := block[at + 1], ast.For | ast.While | ast.If | ast.With):
        first = after.body[0]
        text = _shifted(source, node, mine[2], source.indent(node), source.indent(first))
        if text is not None and (place := source.lines(first)):
            yield Edit(mine[0], place[0], source.text[mine[1] : place[0]] + text)


@lru_cache(maxsize=64)
def _copies(source: Source, scope: Function) -> list[tuple[ast.stmt, str, float]]:
    """Return the one-line statements of the file whose names make sense in a function, with their weights."""
    known, owner = source.names_in(scope), source.owner(scope)
    found: dict[str, tuple[ast.stmt, str, float]] = {}
    for other in source.statements:
        home, text = source.function(other), source.src(other)
        kinds = ast.Expr | ast.Assign | ast.AugAssign | ast.Delete | ast.Raise
        if home is None or not isinstance(other, kinds) or _is_doc(other) or "\n" in text or len(text) > 100:
            continue
        own = source.names_in(home)
        local = [name for name in source.names_in(other) if name in own and name not in source.definitions]
        if home is scope or all(name in known or name in BUILTINS for name in local):
            weight = 0.5 if home is scope else 1.0 if owner and source.owner(other) is owner else 0.3
            found.setdefault(text, (other, text, weight))
    return list(found.values())


def insert_copy(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A copy of a statement of the same function, class or file, before or after this one (GenProg insert).

    After a loop or a branch also under the condition that what it uses is not empty: the forgotten last round.
    """
    scope = source.function(node)
    if not isinstance(node, ast.stmt) or scope is None or isinstance(node, (*FUNCTIONS, ast.ClassDef)) or _is_doc(node):
        return
    if (whole := source.lines(node)) is None:
        return
    pad, line, block = source.indent(node), source.newline, source.block(node)
    simple = not isinstance(node, ast.Return | ast.Raise | ast.Break | ast.Continue) and not hasattr(node, "body")
    after = whole[1] if simple and source.text[: whole[1]].endswith("\n") else None
    at = block.index(node)
    flush = at > 0 and isinstance(block[at - 1], ast.For | ast.While | ast.With)
    stored = {n.id for n in ast.walk(scope) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for other, text, weight in _copies(source, scope):
        if other is node:
            continue
        yield Edit(whole[0], whole[0], pad + text + line, weight)
        if after is not None:
            yield Edit(after, after, pad + text + line, weight)
        for name in sorted(source.names_in(other).keys() & stored) if flush else ():
            yield Edit(whole[0], whole[0], f"{pad}if {name}:{line}{pad}    {text}{line}", weight)


def remember(source: Source, node: ast.AST) -> Iterator[Edit]:
    """What was looked for and not found is put in: `if x not in seen:` without `seen.add(x)` (TBar FP15)."""
    above = source.parent(node)
    if not isinstance(node, ast.stmt) or not isinstance(above, ast.If) or node is not above.body[0]:
        return
    whole = source.lines(node)
    for test in ast.walk(above.test) if whole else ():
        if whole and isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.NotIn):
            key, container = source.src(test.left), source.src(test.comparators[0])
            for rank, made in enumerate(
                (f"{container}.add({key})", f"{container}.append({key})", f"{container}[{key}] = 1")
            ):
                text = f"{source.indent(node)}{made}{source.newline}"
                yield Edit(whole[0], whole[0], text, 1.0 / (1 + rank))


def leave(source: Source, node: ast.AST) -> Iterator[Edit]:
    """`break`, `continue`, `return` and `pass` for one another; one put in at the end of a block in a loop (TBar
    FP14).
    """
    if isinstance(node, ast.Break | ast.Continue | ast.Pass):
        for other in ("break", "continue", "return", "pass"):
            if other != source.src(node) and (source.loop(node) or other in ("return", "pass")):
                yield source.replace(node, other, 0.5 if other in ("return", "pass") else 1.0)
    elif (
        isinstance(node, ast.stmt)
        and source.loop(node)
        and node is source.block(node)[-1]
        and not isinstance(node, ast.Return | ast.Raise)
    ):
        mine = _text_lines(source, node)
        if mine and not hasattr(node, "body"):
            for word in ("break", "continue"):
                yield Edit(
                    mine[0],
                    mine[1],
                    f"{mine[2]}{source.indent(node)}{word}{source.newline}",
                    0.6 if word == "break" else 0.4,
                )


def returned(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing `return`, one too early, and one with another value (TBar FP14)."""
    scope = source.function(node)
    if scope is None:
        return
    if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant | ast.Yield | ast.YieldFrom):
        yield Edit(*source.span(node), f"return {source.src(node)}", 1.0)
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        yield Edit(*source.span(node), f"return {source.src(node.value)}", 0.4)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield Edit(*source.span(node), f"yield {source.src(node.value)}", 0.15)
        for text, weight in (("None", 0.4), ("True", 0.3), ("False", 0.3), ("[]", 0.2), ("0", 0.2), ("self", 0.2)):
            yield source.replace(node.value, text, weight)
    elif isinstance(node, ast.Return):
        for text, weight in (("False", 0.6), ("True", 0.6), ("[]", 0.4), ("0", 0.4), ("self", 0.4), ('""', 0.2)):
            yield Edit(*source.span(node), f"return {text}", weight)
    if (
        isinstance(node, ast.stmt)
        and node is scope.body[-1]
        and not isinstance(node, ast.Return | ast.Raise)
        and (mine := _text_lines(source, node))
    ):
        pad = source.indent(node)
        names = [n.id for n in ast.walk(scope) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        for name in dict.fromkeys([*names[::-1], *(a.arg for a in scope.args.args), "True", "False"]):
            yield Edit(mine[0], mine[1], f"{mine[2]}{pad}return {name}{source.newline}", 0.8)


def generator(source: Source, node: ast.AST) -> Iterator[Edit]:
    """`yield` and `yield from` for one another."""
    if isinstance(node, ast.Yield) and node.value is not None:
        yield source.replace(node, f"yield from {source.src(node.value)}")
        if isinstance(source.parent(node), ast.Expr):
            yield source.replace(node, f"return {source.src(node.value)}", 0.4)
    elif isinstance(node, ast.YieldFrom):
        yield source.replace(node, f"yield {source.src(node.value)}")


def exceptions(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Another type of exception, raised or caught; one more that is caught (TBar FP7; PAR *Class Cast Checker*)."""
    parent = source.parent(node)
    caught = isinstance(parent, ast.ExceptHandler) and node is parent.type
    raised = isinstance(node, ast.Name) and (
        isinstance(parent, ast.Raise)
        or (isinstance(parent, ast.Call) and node is parent.func and isinstance(source.parent(parent), ast.Raise))
    )
    if not caught and not raised:
        return
    own = [
        name
        for name, definition in source.definitions.items()
        if isinstance(definition, ast.ClassDef) and name.endswith(("Error", "Exception"))
    ]
    for rank, other in enumerate(dict.fromkeys([*own, *_EXCEPTIONS])):
        if other != source.src(node):
            yield source.replace(node, other, 1.0 / (1 + 0.1 * rank))
            if caught and isinstance(node, ast.Name):
                yield source.replace(node, f"({source.src(node)}, {other})", 0.9 / (1 + 0.1 * rank))


def construction(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing `super().__init__`, and names that are assigned but not declared `nonlocal` or `global`."""
    if not isinstance(node, FUNCTIONS) or (place := source.lines(node.body[0])) is None:
        return
    pad, line = source.indent(node.body[0]), source.newline
    owner = source.parent(node)
    if (
        node.name == "__init__"
        and isinstance(owner, ast.ClassDef)
        and owner.bases
        and "super()" not in source.src(node)
    ):
        names = [a.arg for a in node.args.args[1:]]
        for given in dict.fromkeys(["", ", ".join(names), *names]):
            yield Edit(place[0], place[0], f"{pad}super().__init__({given}){line}", 0.9)
    outer = source.function(node)
    for name in dict.fromkeys(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)):
        if outer is not None and name in source.names_in(outer):
            yield Edit(place[0], place[0], f"{pad}nonlocal {name}{line}", 0.5)
        elif name in source.globals:
            yield Edit(place[0], place[0], f"{pad}global {name}{line}", 0.5)
