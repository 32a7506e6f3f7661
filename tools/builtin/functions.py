"""Functions taken out of Python files: which files, which functions, and what makes two of them the same.

A function is kept as its own text, at the left margin, without decorators and without its docstring. Two functions
are the same when their syntax trees are; two have the same shape when their trees are, names and constants left out.
"""

import ast
import hashlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LINES = range(3, 41)
CHARACTERS = 1_600
FILE_BYTES = 1_000_000

# Folders of tests, of code that belongs to somebody else, and of code that a program wrote.
_FOLDERS = re.compile(
    r"tests?|testing|.*_tests?|tests_.*|test_.*|idle_test|lib2to3|turtledemo|ensurepip|site-packages|__pycache__"
    r"|_?vendor|_?vendored|_?vendored_packages|third_?party.*|_?externals?|extern|_deps|node_modules"
    r"|_?generated|_?gen|.*_templates?|templates?|cookiecutters?|bin"
)
_FILES = re.compile(r"tests?\.py|test_.*|.*_tests?\.py|conftest\.py|.*_pb2(_grpc)?\.py|_?parsetab\.py|.*_generated\.py")
_GENERATED = re.compile(
    r"do not (edit|modify)|@generated|auto[- ]?(matically )?generated|this file was generated", re.I
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Found:
    """One function of a file. `exact` and `shape` are digests of its tree, with and without its names."""

    path: str
    name: str
    source: str
    exact: bytes
    shape: bytes


def files(root: Path) -> Iterator[Path]:
    """Yield the Python files below a folder in a fixed order; tests, vendored and generated code left out."""
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if any(_FOLDERS.fullmatch(part.lower()) for part in inside.parts[:-1]) or _FILES.fullmatch(path.name.lower()):
            continue
        if path.is_file() and path.stat().st_size <= FILE_BYTES:
            yield path


def of_file(path: Path) -> list[Found]:
    """Return the functions of one file that are fit for the corpus; none when it does not parse."""
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return []
    if _GENERATED.search(text[:1_500]):
        return []
    short = "/".join(path.parts[-2:])
    return [
        Found(short, name, source, digest(tree), shape(tree))
        for name, source, tree in of_text(text)
        if source.count("\n") + 1 in LINES and len(source) <= CHARACTERS
    ]


def of_text(text: str) -> Iterator[tuple[str, str, Function]]:
    """Yield qualified name, text and tree of the functions and methods of a module, those inside others left out."""
    module = _parsed(text)
    if module is None:
        return
    rows = text.split("\n")
    waiting: list[tuple[ast.AST, str]] = [(module, "")]
    while waiting:
        node, within = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                if taken := _taken(rows, child):
                    yield within + child.name, *taken
            elif isinstance(child, ast.ClassDef):
                waiting.append((child, f"{within}{child.name}."))
            elif isinstance(child, ast.If | ast.Try | ast.With):
                waiting.append((child, within))


def digest(tree: Function) -> bytes:
    return hashlib.blake2b(ast.dump(tree).encode("utf-8", "replace"), digest_size=12).digest()


def shape(tree: Function) -> bytes:
    """Return a digest of a tree in which names and constants are left out; their number and place count."""
    return hashlib.blake2b(_outline(tree).encode(), digest_size=12).digest()


def _outline(node: ast.AST) -> str:
    parts = [type(node).__name__, "("]
    for _, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            parts.append(_outline(value))
        elif isinstance(value, list):
            parts += ["[", *(_outline(item) if isinstance(item, ast.AST) else "." for item in value), "]"]
        else:
            parts.append("-" if value is None else ".")
    parts.append(")")
    return "".join(parts)


def _taken(rows: list[str], node: Function) -> tuple[str, Function] | None:
    """Return text and tree of a function by itself; None when it cannot be cut out without a change of meaning."""
    first, last = node.lineno - 1, node.end_lineno or node.lineno
    if last - first > 400:
        return None
    mine = rows[first:last]
    body, doc = node.body, node.body[0]
    if isinstance(doc, ast.Expr) and isinstance(doc.value, ast.Constant) and isinstance(doc.value.value, str):
        body = body[1:]
        top, bottom = doc.lineno - 1 - first, (doc.end_lineno or doc.lineno) - first
        if not body or top == 0 or body[0].lineno - 1 - first < bottom:
            return None
        while bottom < len(mine) and not mine[bottom].strip():
            bottom += 1
        del mine[top:bottom]
    pad = mine[0][: len(mine[0]) - len(mine[0].lstrip())]
    text = "\n".join(row.removeprefix(pad) if row.strip() else "" for row in mine)
    alone = _parsed(text)
    if alone is None or len(alone.body) != 1 or not isinstance(tree := alone.body[0], Function):
        return None
    fields: dict[str, Any] = {**dict(ast.iter_fields(node)), "body": body, "decorator_list": []}
    bare = type(node)(**fields)
    # A text over several lines loses its margin with the function: then it is another function.
    return (text, tree) if ast.dump(bare) == ast.dump(tree) else None


def _parsed(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
