"""Positions: indices, slices and ranges.

Index and bound templates: PAR *Range Checker* and *Collection Size Checker* (Kim 2013); constant replacement (Offutt
1996).
"""

import ast
from collections.abc import Iterator

from qwencode.repair.mutate.source import Edit, Source


def index(source: Source, node: ast.AST) -> Iterator[Edit]:
    """The first for the last element and the neighbours: `x[0]`, `x[-1]`, `x[1]`; `x[-k]` for `x[k]`; a slice for an
    element.
    """
    if not isinstance(node, ast.Subscript) or isinstance(node.slice, ast.Slice):
        return
    text, place = source.src(node.slice), node.slice
    if text.lstrip("-").isdigit():
        for other, weight in (
            ("0", 1.0),
            ("-1", 1.0),
            ("1", 0.8),
            ("-2", 0.5),
            ("2", 0.4),
            (":" + text, 0.3),
            (text + ":", 0.3),
        ):
            if other != text:
                yield source.replace(place, other, weight)
    elif isinstance(place, ast.Name | ast.Attribute):
        yield source.replace(place, f"-{text}", 0.3)
        yield source.replace(place, f"{text}:", 0.2)
        yield source.replace(place, f":{text}", 0.2)


def bounds(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Bounds of a slice: one more, one less, dropped, put in, exchanged, reversed."""
    if not isinstance(node, ast.Slice):
        return
    start, end = source.span(node)
    low, high = (source.src(node.lower) if node.lower else ""), (source.src(node.upper) if node.upper else "")
    step = f":{source.src(node.step)}" if node.step else ""
    wanted: list[tuple[str, str, str, float]] = [("", high, step, 0.6), (low, "", step, 0.6), (high, low, step, 0.6)]
    for more in ("+ 1", "- 1"):
        wanted += [(_shift(low, more), high, step, 0.9)] if low else []
        wanted += [(low, _shift(high, more), step, 0.9)] if high else []
    for more in ("- 2", "- 3", "+ 2"):
        wanted += [(low, f"{high} {more}", step, 0.25)] if high and not high.lstrip("-").isdigit() else []
    wanted += [("1", high, step, 0.7)] if not low else []
    wanted += [(low, "-1", step, 0.7)] if not high else []
    wanted += [(f"-{low}", high, step, 0.4)] if low.isidentifier() else []
    wanted += [(low, high, "", 0.5)] if step else [(low, high, ":-1", 0.3), (low, high, ":2", 0.1)]
    wanted += [(low, high, ":1", 0.2)] if step == ":-1" else []
    for lower, upper, stride, weight in wanted:
        text = f"{lower}:{upper}{stride}"
        if text != f"{low}:{high}{step}":
            yield Edit(start, end, text, weight)


def _shift(text: str, more: str) -> str:
    if text.lstrip("-").isdigit():
        return str(int(text) + (1 if more == "+ 1" else -1))
    return f"{text} {more}"


def ranges(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Arguments of `range`: a start of 1 or 0, another end, a step of -1; `enumerate` from 1."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords or not node.args:
        return
    start, end = source.span(node.args[0])[0], source.span(node.args[-1])[1]
    words = [source.src(argument) for argument in node.args]
    if node.func.id == "range":
        if len(words) == 1:
            yield Edit(start, end, f"1, {words[0]}", 0.9)
            yield Edit(start, end, f"1, {words[0]} + 1", 0.7)
            yield Edit(start, end, f"{words[0]} - 1, -1, -1", 0.3)
        elif len(words) == 2:
            yield Edit(start, end, words[1], 0.7)
            yield Edit(start, end, f"{words[0]} + 1, {words[1]}", 0.9)
            yield Edit(start, end, f"{words[0]}, {words[1]} + 1", 1.0)
            yield Edit(start, end, f"{words[1]}, {words[0]}, -1", 0.3)
            yield Edit(start, end, f"{words[0]} + 1, {words[1]} + 1", 0.6)
        else:
            yield Edit(start, end, ", ".join(words[:2]), 0.5)
    elif node.func.id == "enumerate":
        yield Edit(start, end, f"{words[0]}, 1" if len(words) == 1 else words[0])
