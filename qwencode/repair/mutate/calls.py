"""Calls: arguments, missing and superfluous calls, conversions.

Parameter replacer, adder and remover: PAR (Kim et al., ICSE 2013). Method call expression and data type templates:
TBar FP7, FP10 (Liu et al., ISSTA 2019).
"""

import ast
from collections.abc import Iterator
from itertools import pairwise

from qwencode.repair.mutate.source import FUNCTIONS, Edit, Source


def _weights(text: str) -> dict[str, float]:
    """Read `weight: name name …` groups, separated by `|`."""
    groups = (group.partition(":") for group in text.split("|"))
    return {name: float(weight) for weight, _, names in groups for name in names.split()}


_WRAPPERS = _weights(
    "0.8: str | 0.7: int list abs | 0.6: len sorted | 0.5: float Decimal | 0.4: set tuple round deepcopy"
    "| 0.3: reversed dict bool repr"
)
_METHODS = _weights(
    "1: strip() | 0.9: lower() | 0.8: copy() | 0.7: items() | 0.5: rstrip() upper() values() | 0.4: lstrip() split()"
    '| 0.4: rstrip("\\n") | 0.3: keys() casefold() | 0.2: pop() title()'
)
_STRIPS = ("strip", "rstrip", "lstrip", "split")
_REMOVABLE = {*_WRAPPERS, "min", "max", "sum", "any", "all", "enumerate", "frozenset", "iter", "next"}
_KEYS = ("len", "str.lower", "str", "abs", "int", "lambda item: item[1]", "lambda item: item[0]")
_PAIR_KEYS = ("lambda item: -item[1]", "lambda item: (-item[1], item[0])")
_MISSING: dict[str, tuple[int, tuple[str, ...]]] = {  # how many arguments there are, and what may follow
    "get": (1, ("0", "None", "[]", '""', "{}", "set()", "False")),
    "sum": (1, ("0", "0.0")),
    "round": (1, ("2", "0", "1")),
    "int": (1, ("16", "10", "2")),
    "pop": (1, ("None", "0", "[]")),
    "setdefault": (1, ("[]", "0", "{}")),
    "next": (1, ("None", "0", "False")),
    "getattr": (2, ("None",)),
    "split": (1, ("1",)),
    "rsplit": (1, ("1",)),
    "replace": (2, ("1",)),
    "min": (1, ("default=0", "default=None")),
    "max": (1, ("default=0", "default=None")),
    "dumps": (1, ("sort_keys=True", "ensure_ascii=False", "indent=2")),
    "open": (1, ('newline=""', 'encoding="utf-8"')),
    "compile": (1, ("re.IGNORECASE", "re.MULTILINE", "re.DOTALL")),
    "findall": (2, ("re.IGNORECASE", "re.MULTILINE")),
    "match": (2, ("re.IGNORECASE",)),
    "search": (2, ("re.IGNORECASE",)),
}


def arguments(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Arguments exchanged, and one left out (PAR *Parameter Replacer*, *Parameter Adder or Remover*)."""
    if not isinstance(node, ast.Call):
        return
    given = node.args
    for index, (left, right) in enumerate(pairwise(given)):
        (start, middle), (after, end) = source.span(left), source.span(right)
        yield Edit(start, end, source.text[after:end] + source.text[middle:after] + source.text[start:middle], 1.0)
        if index + 2 < len(given):
            (third, last) = source.span(given[index + 2])
            yield Edit(
                start, last, source.text[third:last] + source.text[middle:third] + source.text[start:middle], 0.4
            )
    if len(node.keywords) > 1:
        for left, right in pairwise(node.keywords):
            (start, middle), (after, end) = source.span(left.value), source.span(right.value)
            yield Edit(start, end, source.text[after:end] + source.text[middle:after] + source.text[start:middle], 0.6)
    everything = [*given, *node.keywords]
    for index, argument in enumerate(everything):
        if isinstance(argument, ast.GeneratorExp):
            continue
        start, end = source.span(argument)
        if index:
            start = source.span(everything[index - 1])[1]
        elif len(everything) > 1:
            end = source.span(everything[1])[0]
        if source.text[start:end].count("(") == source.text[start:end].count(")"):
            yield Edit(start, end, "", 0.4)


def missing(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing argument (PAR *Parameter Adder*): `reverse=True`, `key=…`, a default, a limit, one given elsewhere."""
    if not isinstance(node, ast.Call) or any(isinstance(argument, ast.GeneratorExp) for argument in node.args):
        return
    name = getattr(node.func, "id", "") or getattr(node.func, "attr", "")
    count, texts = _MISSING.get(name, (-1, ()))
    wanted = dict.fromkeys(texts, 0.7) if count == len(node.args) else dict[str, float]()
    if name in ("sorted", "sort", "min", "max"):
        wanted |= {"reverse=True": 1.0} if name.startswith("sort") else {}
        wanted |= {f"key={key}": 0.4 for key in (*_KEYS, *_PAIR_KEYS)}
    for other in ast.walk(source.tree):
        if isinstance(other, ast.Call) and other is not node and source.src(other.func) == source.src(node.func):
            wanted |= {source.src(keyword): 0.7 for keyword in other.keywords if keyword.arg}
    definition, scope = source.definitions.get(name), source.function(node)
    if isinstance(definition, FUNCTIONS) and scope:
        names = source.names_in(scope)
        parameters = [a.arg for a in (*definition.args.args, *definition.args.kwonlyargs) if a.arg != "self"]
        wanted |= {f"{name}={name}": 0.9 for name in parameters if name in names}
    end = source.span(node)[1] - 1
    place = len(source.text[:end].rstrip(" \t\r\n,"))
    comma = ", " if node.args or node.keywords else ""
    for text, weight in wanted.items():
        if text.partition("=")[0] not in {keyword.arg for keyword in node.keywords}:
            yield Edit(place, place, comma + text, weight)


def _value_position(source: Source, node: ast.AST) -> float:
    """Say how likely an expression is wrapped in a call here: 0 where it is not a value by itself."""
    parent = source.parent(node)
    if not isinstance(node, ast.expr) or isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
        return 0.0
    if isinstance(
        parent, ast.Return | ast.Assign | ast.Compare | ast.For | ast.comprehension | ast.FormattedValue | ast.keyword
    ):
        return 1.0
    if isinstance(parent, ast.Call):
        return 0.8 if node is not parent.func else 0.0
    if isinstance(
        parent, ast.BinOp | ast.AugAssign | ast.Tuple | ast.List | ast.Dict | ast.IfExp | ast.Yield | ast.BoolOp
    ):
        return 0.6
    if isinstance(parent, ast.Subscript):
        return 0.5
    return 0.4 if isinstance(parent, ast.Attribute) and isinstance(node, ast.Name) else 0.0


def wrapper(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing conversion or reduction: `int(x)`, `str(x)`, `len(x)`, `abs(x)`, `list(x)`, `sorted(x)` (TBar FP7)."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call | ast.BinOp | ast.ListComp):
        position = _value_position(source, node)
        text = source.src(node)
        for name, weight in _WRAPPERS.items() if position else ():
            if (name in ("Decimal", "deepcopy") and name not in source.text) or text.startswith(f"{name}("):
                continue
            if isinstance(node, ast.BinOp) and name not in ("int", "abs", "round", "float", "str"):
                continue
            scale = 0.5 if isinstance(node, ast.Call | ast.ListComp) else 1.0
            yield source.replace(node, f"{name}({text})", weight * position * scale)


def clamp(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing bound: `max(x, y)` or `min(x, y)` with another value of the statement or function (PAR
    *Range Checker*).
    """
    scope = source.function(node)
    if scope is None or not isinstance(node, ast.Name | ast.Attribute | ast.BinOp | ast.Call | ast.Subscript):
        return
    position = _value_position(source, node)
    if not position or isinstance(source.parent(node), ast.FormattedValue | ast.BoolOp | ast.For):
        return
    text = source.src(node)
    above = next((up for up in source.above(node) if isinstance(up, ast.stmt)), scope)
    inside = [source.src(n) for n in source.header(above) if isinstance(n, ast.Subscript) and n is not node]
    stored = [n.id for n in ast.walk(scope) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    others = {**dict.fromkeys([*stored, *(a.arg for a in scope.args.args)], 0.5), "0": 1.0, "1": 0.6}
    others |= dict.fromkeys((part for part in inside if part not in text and text not in part), 0.8)
    for other, weight in others.items():
        if other not in ("self", "cls", text):
            yield source.replace(node, f"max({other}, {text})", weight * position)
            yield source.replace(node, f"min({other}, {text})", weight * position)


def method(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing method call: `.strip()`, `.lower()`, `.copy()`, `.items()` (TBar FP10); a missing reversal."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(node, ast.Name) and node.id in ("self", "cls", "True", "None"):
            return
        position = _value_position(source, node)
        short = [text for text in source.strings if 0 < len(text) <= 2][:4]
        stripped = {
            f'{name}("{text}")': 0.3 for text in short if text.isprintable() and text not in '"\\' for name in _STRIPS
        }
        for name, weight in {**_METHODS, **stripped}.items() if position else ():
            if not source.src(node).endswith(f".{name}"):
                yield source.replace(node, f"{source.atom(node)}.{name}", weight * position)
        if position and not source.src(node).endswith("]"):
            yield source.replace(node, f"{source.atom(node)}[::-1]", 0.5 * position)


def unwrap(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A call too many: `f(x)` as `x`, `x.m()` as `x` (TBar FP10, method invocation removal)."""
    if isinstance(node, ast.Call):
        if (
            isinstance(node.func, ast.Name)
            and len(node.args) == 1
            and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp)
        ):
            yield source.replace(node, source.atom(node.args[0]), 1.0 if node.func.id in _REMOVABLE else 0.4)
        elif isinstance(node.func, ast.Attribute) and not isinstance(source.parent(node), ast.Expr):
            yield source.replace(node, source.src(node.func.value), 0.7 if not node.args else 0.4)


def parentheses(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A method named but not called: `text.strip` for `text.strip()`; and the other way round for properties."""
    parent = source.parent(node)
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Load)
        and not (isinstance(parent, ast.Call) and node is parent.func)
    ):
        yield source.replace(
            node, f"{source.src(node)}()", 1.0 if isinstance(source.definitions.get(node.attr), FUNCTIONS) else 0.4
        )
    elif (
        isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Load)
        and node.id in source.definitions
        and isinstance(parent, ast.Return | ast.Assign | ast.BinOp | ast.Compare)
    ):
        yield source.replace(node, f"{node.id}()", 0.6)
    elif isinstance(node, ast.Call) and not node.args and not node.keywords:
        yield source.replace(node, source.src(node.func), 0.5)


def lookup(source: Source, node: ast.AST) -> Iterator[Edit]:
    """`d[k]` as `d.get(k)` with a default, and back; `d.get(k, x)` as `d.setdefault(k, x)` is in the method pairs."""
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and not isinstance(node.slice, ast.Slice | ast.Tuple)
    ):
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int):
            return
        base, key = source.src(node.value), source.src(node.slice)
        for rank, default in enumerate(("", ", 0", ", []", ', ""', f", {key}", ", {}", ", set()", ", False")):
            yield source.replace(node, f"{base}.get({key}{default})", 1.0 / (1 + rank * 0.25))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get" and node.args:
        yield source.replace(node, f"{source.src(node.func.value)}[{source.src(node.args[0])}]")


def awaited(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing `await`, and one too many."""
    if isinstance(node, ast.Await):
        yield source.replace(node, source.src(node.value), 0.5)
    elif (
        isinstance(node, ast.Call)
        and isinstance(source.function(node), ast.AsyncFunctionDef)
        and not isinstance(source.parent(node), ast.Await)
    ):
        yield source.replace(node, f"await {source.src(node)}", loose=True)
