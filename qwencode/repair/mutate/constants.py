"""Constants: numbers, truth values, texts and defaults.

CRP, constant replacement: DeMillo and Offutt 1991 (Mothra); Just 2014 (Major, LVR). Literal templates: TBar FP9 (Liu et
al., ISSTA 2019).
"""

import ast
import difflib
from collections.abc import Iterator

from qwencode.repair.mutate.source import FUNCTIONS, Edit, Source


def number(source: Source, node: ast.AST) -> Iterator[Edit]:
    """CRP: off by one, 0, 1, -1, other powers of ten, and the other numbers of the file."""
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return
    value = node.value
    base: dict[int | float, float] = {value + 1: 1.0, value - 1: 1.0, 0: 0.7, 1: 0.7, -1: 0.5, 2: 0.3, -value: 0.5}
    for factor in (10, 60, 2, 100, 1000, 1024):
        base.setdefault(value * factor, 0.25)
        if isinstance(value, int) and value % factor == 0:
            base.setdefault(value // factor, 0.25)
    for step in (2, 5, 10):
        base.setdefault(value + step, 0.15)
        base.setdefault(value - step, 0.15)
    for usual in (60, 24, 7, 12, 100, 365, 1000, 3600):
        base.setdefault(usual, 0.3)
    if isinstance(value, float):
        base = {
            value * 10: 0.5,
            value / 10: 0.5,
            0.0: 0.5,
            1.0: 0.5,
            value + 1: 0.4,
            value - 1: 0.4,
            1 - value: 0.4,
            value * 2: 0.3,
            value / 2: 0.3,
            -value: 0.3,
        }
    for other in ast.walk(source.tree):
        if (
            isinstance(other, ast.Constant)
            and not isinstance(other.value, bool)
            and isinstance(other.value, int | float)
        ):
            base.setdefault(other.value, 0.25)
    for other in source.literals:
        if isinstance(other, int | float):
            base[other] = max(base.get(other, 0.0), 0.45)
    for other, weight in base.items():
        if other != value or type(other) is not type(value):
            yield source.replace(node, repr(other), weight, loose=other < 0)


def truth(source: Source, node: ast.AST) -> Iterator[Edit]:
    """True for False and back; None for the empty values that stand in for it (TBar FP9)."""
    if not isinstance(node, ast.Constant):
        return
    if isinstance(node.value, bool):
        yield source.replace(node, repr(not node.value))
        yield source.replace(node, "None", 0.3)
    elif node.value is None:
        for rank, other in enumerate(("False", "True", "[]", "{}", '""', "0", "()", "set()")):
            yield source.replace(node, other, 0.6 / (1 + rank * 0.3))


def emptiness(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Empty values for one another (LVR, Just 2014): `[]`, `{}`, `set()`, `""`, `0`, `None`."""
    empty = (isinstance(node, ast.List | ast.Tuple) and not node.elts) or (isinstance(node, ast.Dict) and not node.keys)
    if (empty and not isinstance(getattr(node, "ctx", None), ast.Store)) or (
        isinstance(node, ast.Constant) and node.value == ""
    ):
        if isinstance(source.parent(node), ast.Expr):
            return
        for other in ("None", "[]", "{}", "set()", '""', "0"):
            if other != source.src(node):
                yield source.replace(node, other, 0.6 if other == "None" else 0.4)


def _variants(value: str, *, raw: bool) -> Iterator[str]:
    """Yield texts that differ in case, blanks, a sign or an end; for patterns also in what they repeat."""
    if raw or value.startswith(("^", "\\", "[", "(")) or value.endswith(("$", "+", "*", ")")):
        yield from (value + "$", value + "+", value + "*", value.rstrip("$"), "^" + value)
        swaps = (
            ("+", "*"),
            ("*", "+"),
            ("*", "*?"),
            ("+", "+?"),
            (r"\d", r"-?\d"),
            (r"\w", r"[\w-]"),
            (r"\.", "."),
            (".", r"\."),
        )
        yield from (value.replace(old, new) for old, new in swaps)
    yield from (value.strip(), value.lower(), value.upper(), value.title(), value.capitalize())
    yield from (value + " ", " " + value, value[:-1], value[1:])
    if len(value) <= 2:
        yield from ("", " ", ",", ", ", "\n", "\t", "-", "_", ".", ":", ": ", "/", ";", "=", "|", "'", '"', "\\")
        yield from (value + "\n", "\n" + value, value * 2)
    if "%" in value and value[-1:] in "dfsr":
        yield from (value[:-1] + kind for kind in "dfsr")


def string(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A text that another text of the file looks like, or that differs in case, blanks or an end (TBar FP9)."""
    if (
        not isinstance(node, ast.Constant)
        or not isinstance(node.value, str)
        or isinstance(source.parent(node), ast.Expr | ast.JoinedStr)
    ):
        return
    written = source.src(node)
    bare = written.lstrip("rR")
    raw = written != bare
    if len(written) - len(bare) > 1 or bare[:1] not in "'\"" or "\n" in bare or bare.startswith(('"""', "'''")):
        return
    value, wanted = node.value, dict[str, float]()
    near = [text for text in source.literals if isinstance(text, str)]
    for other in (*source.strings, *near):
        ratio = (
            difflib.SequenceMatcher(None, value, other).quick_ratio() if len(value) < 80 and len(other) < 80 else 0.0
        )
        wanted[other] = max(0.4 if other in near else 0.15, ratio**2)
    for other in _variants(value, raw=raw):
        wanted[other] = max(wanted.get(other, 0.0), 0.3)
    wanted.pop(value, None)
    for other, weight in sorted(wanted.items(), key=lambda item: -item[1])[:40]:
        yield source.replace(node, _quoted(other, bare[0], raw=raw), weight)


def _quoted(text: str, quote: str, *, raw: bool) -> str:
    """Write a text as a literal, in the manner of the one that it stands for where that is possible."""
    if raw and "\\" in text and quote not in text and not text.endswith("\\") and text.isprintable():
        return f"r{quote}{text}{quote}"
    made = repr(text)
    if made[0] != quote and '"' not in text and "'" not in text:
        made = quote + made[1:-1] + quote
    return "r" + made if raw and "\\" not in made else made


def prefix(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A text that should be formatted: a missing `f` before a text with names in braces; a missing `r`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and source.src(node)[:1] in "'\"":
        known = source.function(node)
        if "{" in node.value and known and any(f"{{{name}" in node.value for name in source.names_in(known)):
            yield source.replace(node, "f" + source.src(node))
        elif "\\" in source.src(node):
            yield source.replace(node, "r" + source.src(node), 0.4)


def conversion(source: Source, node: ast.AST) -> Iterator[Edit]:
    """Conversions and formats inside an f-string: `!r` or `!s` put in or taken out, another precision,
    width or sign.
    """
    if not isinstance(node, ast.JoinedStr):
        return
    start, end = source.span(node)
    text, position = source.text[start:end], 0
    while (open_ := text.find("{", position)) >= 0:
        close = text.find("}", open_)
        field, position = text[open_ + 1 : close], close + 1
        if close < 0 or not field or field.startswith("{"):
            position = max(position, open_ + 2)
            continue
        name, mark, form = field.partition(":")
        base, bang, _ = name.partition("!")
        new = [base] if bang else [f"{field}!r" if not mark else f"{name}!r:{form}"]
        if mark:
            digits = "".join(c for c in form if c.isdigit())[-1:]
            new += [
                f"{name}:{form.replace(a, b)}"
                for a, b in (
                    ("<", ">"),
                    (">", "<"),
                    ("^", "<"),
                    (".1", ".2"),
                    (".2", ".1"),
                    (".2", ".3"),
                    (".0", ".2"),
                    (".2", ".0"),
                    ("d", "02d"),
                    ("f", "e"),
                    (",", ""),
                )
                if a in form
            ]
            new += [f"{name}:0{form}", f"{name}:>{form}", f"{name}:<{form}", f"{name}:,{form}", name] + (
                [f"{name}:{form.replace(digits, str(int(digits) + step))}" for step in (1, -1)]
                if digits and digits != "0"
                else []
            )
        else:
            new += [f"{name}:.2f", f"{name}:02d", f"{name}:,"]
        for other in dict.fromkeys(new):
            if other != field:
                yield Edit(start + open_ + 1, start + close, other, 0.6 if mark or bang else 0.25)


def mutable_default(source: Source, node: ast.AST) -> Iterator[Edit]:
    """A list, dict or set as default is shared between calls: None, and made anew in the body."""
    if not isinstance(node, FUNCTIONS):
        return
    arguments = node.args
    pairs = list(zip((arguments.posonlyargs + arguments.args)[::-1], arguments.defaults[::-1], strict=False))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    first = (
        node.body[1]
        if len(node.body) > 1 and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
        else node.body[0]
    )
    whole = source.lines(first)
    for argument, default in pairs:
        if whole and isinstance(default, ast.List | ast.Dict | ast.Set | ast.Call):
            start, end = source.span(default)
            made, pad, line = source.src(default), source.indent(first), source.newline
            guard = f"{pad}if {argument.arg} is None:{line}{pad}    {argument.arg} = {made}{line}"
            yield Edit(
                start,
                whole[0],
                "None" + source.text[end : whole[0]] + guard,
                1.0 if not isinstance(default, ast.Call) else 0.4,
            )
