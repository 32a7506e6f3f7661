"""Calls: arguments, missing and superfluous calls, conversions.

Parameter replacer, adder and remover: PAR (Kim et al., ICSE 2013). Method call expression and data type templates: TBar FP7,
FP10 (Liu et al., ISSTA 2019).
"""

import ast
from collections.abc import Iterator

from qwencode.repair.mutate.source import FUNCTIONS, Edit, Source

_WRAPPERS = {
    "int": 0.7,
    "str": 0.8,
    "len": 0.6,
    "float": 0.5,
    "list": 0.7,
    "sorted": 0.6,
    "abs": 0.7,
    "set": 0.4,
    "tuple": 0.4,
}
_WRAPPERS |= {"round": 0.4, "reversed": 0.3, "dict": 0.3, "bool": 0.3, "repr": 0.3, "Decimal": 0.5, "deepcopy": 0.4}
_METHODS = {
    "strip()": 1.0,
    "lower()": 0.9,
    "copy()": 0.8,
    "items()": 0.7,
    "rstrip()": 0.5,
    "lstrip()": 0.4,
    "upper()": 0.5,
}
_METHODS |= {
    "values()": 0.5,
    "keys()": 0.3,
    "split()": 0.4,
    'rstrip("\\n")': 0.4,
    "casefold()": 0.3,
    "pop()": 0.2,
    "title()": 0.2,
}
_REMOVABLE = {*_WRAPPERS, "min", "max", "sum", "any", "all", "enumerate", "frozenset", "iter", "next"}
_WITH_KEY = ("sorted", "min", "max", "sort")


def arguments(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Arguments exchanged, and one left out (PAR *Parameter Replacer*, *Parameter Adder or Remover*)."""
    if not isinstance(node, ast.Call):
        return
    given = node.args
    for index, (left, right) in enumerate(zip(given, given[1:], strict=False)):
        (start, middle), (after, end) = source.span(left), source.span(right)
        yield Edit(start, end, source.text[after:end] + source.text[middle:after] + source.text[start:middle], 1.0)
        if index + 2 < len(given):
            (third, last) = source.span(given[index + 2])
            yield Edit(
                start, last, source.text[third:last] + source.text[middle:third] + source.text[start:middle], 0.4
            )
    if len(node.keywords) > 1:
        for left, right in zip(node.keywords, node.keywords[1:], strict=False):
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


def keywords(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing keyword (PAR *Parameter Adder*): `reverse=True`, `key=…`, `default=…`, a limit of `split`, one used elsewhere."""
    if not isinstance(node, ast.Call):
        return
    name = (
        node.func.id
        if isinstance(node.func, ast.Name)
        else node.func.attr
        if isinstance(node.func, ast.Attribute)
        else ""
    )
    present = {keyword.arg for keyword in node.keywords}
    wanted: dict[str, float] = {}
    if name in _WITH_KEY:
        if name in ("sorted", "sort"):
            wanted["reverse=True"] = 1.0
        keys = [
            "len",
            "str.lower",
            "str",
            "abs",
            "int",
            "lambda item: item[1]",
            "lambda item: item[0]",
            "lambda item: -item[1]",
            "lambda item: (-item[1], item[0])",
        ]
        wanted |= {f"key={key}": 0.4 for key in keys}
        wanted |= {"default=None": 0.4, "default=0": 0.6} if name in ("min", "max") and len(node.args) == 1 else {}
    elif name in ("split", "rsplit", "replace") and len(node.args) == (2 if name == "replace" else 1):
        wanted["1"] = 0.8
    elif name in ("get", "pop", "next", "getattr", "setdefault", "sum", "round", "int"):
        few = len(node.args) == (2 if name == "getattr" else 1)
        values = {
            "get": ["0", "None", "[]", '""', "{}", "set()", "False"],
            "sum": ["0", "0.0"],
            "round": ["2", "0", "1"],
            "int": ["16", "10", "2"],
        }
        wanted |= {value: 0.7 for value in values.get(name, ["None", "0", "[]"])} if few else {}
    elif name in ("dumps", "dump"):
        wanted |= {"sort_keys=True": 0.7, "ensure_ascii=False": 0.5, "indent=2": 0.5}
    elif name in (
        "open",
        "DictReader",
        "DictWriter",
        "reader",
        "writer",
        "compile",
        "sub",
        "match",
        "search",
        "findall",
    ):
        wanted |= (
            {'newline=""': 0.5, 'encoding="utf-8"': 0.5}
            if name == "open"
            else {"flags=re.IGNORECASE": 0.4, "flags=re.MULTILINE": 0.4}
        )
    for other in ast.walk(source.tree):
        if (
            isinstance(other, ast.Call)
            and other is not node
            and other.keywords
            and source.src(other.func) == source.src(node.func)
        ):
            wanted |= {source.src(k): 0.7 for k in other.keywords if k.arg}
    definition = source.definitions.get(name)
    if isinstance(definition, FUNCTIONS) and (scope := source.function(node)):
        names = source.names_in(scope)
        wanted |= {
            f"{a.arg}={a.arg}": 0.9
            for a in [*definition.args.args, *definition.args.kwonlyargs]
            if a.arg in names and a.arg != "self"
        }
    last = ([*node.args, *node.keywords] or [None])[-1]
    if last is None or (isinstance(last, ast.GeneratorExp) and len(node.args) == 1):
        return
    place = source.span(last)[1]
    while source.text[place] in ") " and source.text[:place].count("(") and place < source.span(node)[1] - 1:
        place += 1
    for text, weight in wanted.items():
        if text.partition("=")[0] not in present:
            yield Edit(place, place, f", {text}", weight)


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


def method(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A missing method call: `.strip()`, `.lower()`, `.copy()`, `.items()` (TBar FP10)."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(node, ast.Name) and node.id in ("self", "cls", "True", "None"):
            return
        position = _value_position(source, node)
        for name, weight in _METHODS.items() if position else ():
            if not source.src(node).endswith(f".{name}"):
                yield source.replace(node, f"{source.atom(node)}.{name}", weight * position)


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
