"""Which functions stand alone: their free names are builtins or come out of harmless standard modules."""

import ast
import builtins
import copy
import re
import symtable
import textwrap
import typing
from dataclasses import dataclass

LONGEST = 3000
"""Characters of a function that is taken."""

MODULES: dict[str, str] = {
    "math": "sqrt ceil floor log log2 log10 exp sin cos tan pi atan atan2 hypot gcd isclose isnan isinf isfinite "
    "degrees radians factorial prod fabs inf nan",
    "re": "",
    "itertools": "chain product permutations combinations groupby islice zip_longest accumulate repeat cycle takewhile "
    "dropwhile tee starmap compress combinations_with_replacement pairwise",
    "functools": "reduce partial wraps cmp_to_key lru_cache",
    "collections": "defaultdict deque Counter OrderedDict namedtuple ChainMap",
    "collections.abc": "Iterable Iterator Mapping MutableMapping Sequence Hashable Callable Sized Collection Generator",
    "string": "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits punctuation whitespace",
    "operator": "itemgetter attrgetter mul",
    "bisect": "bisect_left bisect_right insort",
    "heapq": "heappush heappop heapify",
    "datetime": "timedelta date timezone",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "statistics": "mean median stdev",
    "textwrap": "dedent indent",
    "json": "",
    "copy": "deepcopy",
    "numbers": "Number Integral Real",
    "struct": "",
    "binascii": "hexlify unhexlify",
    "base64": "b64encode b64decode",
    "unicodedata": "",
    "keyword": "iskeyword",
    "difflib": "SequenceMatcher",
    "html": "",
    "calendar": "",
    "colorsys": "",
    "cmath": "",
    "fnmatch": "",
    "shlex": "",
    "zlib": "",
    "hashlib": "",
    "types": "",
    "enum": "",
    "warnings": "",
    "typing": "cast Any Optional Union",
    "posixpath": "",
    "os": "",
    "sys": "",
    "urllib.parse": "quote unquote urlparse urlsplit urljoin urlencode parse_qs parse_qsl urlunparse urlunsplit",
}
"""Modules and what is taken out of them by its bare name."""

_FROM = {name: module for module, names in MODULES.items() for name in names.split()}
_CALLED = {"datetime": "datetime", "copy": "copy", "bisect": "bisect"}
"""Names of a module and of something in it: called, it is the latter."""
_PARTS = {
    "sys": {"maxsize", "version_info", "float_info", "byteorder", "maxunicode"},
    "os": {"path", "sep", "extsep", "pardir", "curdir", "altsep", "linesep", "pathsep"},
}
"""All that may be used of a module that can do harm."""
_PATHS = {"join", "basename", "dirname", "splitext", "split", "normpath", "commonprefix", "commonpath", "isabs", "sep"}
_BANNED = {"open", "exec", "eval", "input", "compile", "__import__", "globals", "locals", "vars", "breakpoint", "exit"}
_BANNED |= {"quit", "help", "id", "hash", "super", "memoryview", "dir", "delattr", "__build_class__", "__loader__"}
_BUILTINS = set(dir(builtins)) - _BANNED
_TYPING = set(typing.__all__)
_METHOD = re.compile(r"\b(?:self|cls)[.\[]|\bawait\b|^(?:async )?def test|\bnp\.")
"""What most functions that do not stand alone have, found without parsing them."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that can be run alone after its prelude of imports."""

    name: str
    source: str
    prelude: str
    tree: ast.FunctionDef


def function(source: str) -> Function | None:
    """Take a function's text if it stands alone."""
    if len(source) > LONGEST or _METHOD.search(source):
        return None
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    if len(body) != 1 or not isinstance(body[0], ast.FunctionDef):
        return None
    tree = body[0]
    if tree.decorator_list:
        source = _undecorated(source, tree)
        if not source:
            return None
        tree = _only(source)
    if not _harmless(tree):
        return None
    prelude = _prelude(tree)
    return None if prelude is None else Function(tree.name, source, prelude, tree)


def _only(source: str) -> ast.FunctionDef:
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.FunctionDef)
    return tree


def _undecorated(source: str, tree: ast.FunctionDef) -> str:
    """Without `@staticmethod`, which means nothing outside a class; any other decorator: ''."""
    decorator = tree.decorator_list[0]
    if len(tree.decorator_list) > 1 or not isinstance(decorator, ast.Name) or decorator.id != "staticmethod":
        return ""
    return textwrap.dedent("".join(source.splitlines(keepends=True)[tree.lineno - 1 :]))


def _harmless(tree: ast.FunctionDef) -> bool:
    """Say whether only the harmless part of `os` and `sys` is used, and a `self` is not used at all."""
    first = [argument.arg for argument in (*tree.args.posonlyargs, *tree.args.args)][:1]
    parents = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith | ast.AsyncFunctionDef | ast.Global | ast.Import):
            return False
        if isinstance(node, ast.ImportFrom | ast.ClassDef):
            return False
        if isinstance(node, ast.Attribute):
            inner = node.value
            if isinstance(inner, ast.Name) and node.attr not in _PARTS.get(inner.id, {node.attr}):
                return False
            if isinstance(inner, ast.Attribute) and ast.unparse(inner) == "os.path" and node.attr not in _PATHS:
                return False
            if node.attr.startswith("__") and node.attr not in ("__name__", "__class__", "__len__", "__doc__"):
                return False
        if isinstance(node, ast.Name):
            if node.id in _PARTS and not isinstance(parents[id(node)], ast.Attribute):
                return False
            if node.id in first and node.id in ("self", "cls"):
                return False
    return True


def _prelude(tree: ast.FunctionDef) -> str | None:
    """Return the imports that a function needs, or None when a free name is none of ours."""
    bare = copy.deepcopy(tree)
    annotations = _strip(bare)
    called = {node.func.id for node in ast.walk(bare) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    lines: set[str] = set()
    try:
        free = _free(ast.unparse(ast.fix_missing_locations(bare)))
    except SyntaxError:  # `nonlocal` of a function around it that is not here
        return None
    for name in free - {tree.name}:
        if name in _BUILTINS:
            continue
        if name in _FROM or (name in _CALLED and name in called):
            lines.add(f"from {_FROM.get(name) or _CALLED[name]} import {name}")
        elif name in MODULES:
            lines.add(f"import {name}")
        elif name == "urllib":
            lines.add("import urllib.parse")
        else:
            return None
    foreign = annotations - _BUILTINS - {line.rsplit(" ", 1)[1] for line in lines}
    if foreign and foreign <= _TYPING:
        lines |= {f"from typing import {name}" for name in foreign}
    head = "from __future__ import annotations\n" if foreign and not foreign <= _TYPING else ""
    return head + "".join(f"{line}\n" for line in sorted(lines))


def _strip(tree: ast.FunctionDef) -> set[str]:
    """Take the annotations of arguments and of the result off, and return the names in them."""
    found: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            found.append(node.annotation)
            node.annotation = None
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            found.append(node.returns)
            node.returns = None
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            node.annotation = ast.Constant(0)  # of a local name it is never evaluated
    return {node.id for part in found for node in ast.walk(part) if isinstance(node, ast.Name)}


def _free(source: str) -> set[str]:
    """Names that a text takes from outside."""
    table = symtable.symtable(source, "<function>", "exec")
    names: set[str] = set()
    waiting = [table]
    while waiting:
        scope = waiting.pop()
        waiting += scope.get_children()
        top = scope.get_type() == "module"
        names |= {s.get_name() for s in scope.get_symbols() if s.is_referenced() and (top or s.is_global())}
    return names
