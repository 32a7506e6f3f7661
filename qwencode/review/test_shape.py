"""What the tests of a file hold: their assertions, cases and marks, read from the syntax tree (Python) or counted."""

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from qwencode.review.code_only import code_only

_ASSERTING = re.compile(r"^(assert|check_|verify_|expect|should|fail$|ensure_)", re.IGNORECASE)
_RAISING = {"raises", "warns", "deprecated_call", "assertRaises", "assertWarns", "assertLogs", "assertRaisesRegex"}
_SKIPPING = {
    "skip",
    "skipif",
    "xfail",
    "skipIf",
    "skipUnless",
    "expectedFailure",
    "skipTest",
    "importorskip",
    "SkipTest",
}
_FOLLOWED = 2  # calls deep: how far helpers of the same file are looked into for their assertions
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class TestShape:
    """One test. `asserts` are its assertions as normalised source, those of its helpers included."""

    __test__ = False

    name: str
    line: int
    body: str
    asserts: Counter[str]
    hollow: tuple[str, ...] = ()
    """Assertions that hold whatever the code does."""
    marks: tuple[str, ...] = ()
    """What skips it or lets it fail: `skip`, `xfail`, …"""
    cases: int = 1
    names: frozenset[str] = frozenset()
    """Every name that it mentions."""

    @property
    def weight(self) -> int:
        """How much it checks: its assertions, once for each case."""
        return max(1, self.asserts.total()) * self.cases


@dataclass(frozen=True, slots=True)
class FileShape:
    """The tests of a Python file by name, `Class.test` for methods, and what it defines."""

    tests: Mapping[str, TestShape] = field(default_factory=dict[str, TestShape])
    defined: frozenset[str] = frozenset()


Helpers = Mapping[str, _Function]


def parsed(text: str | None) -> ast.Module | None:
    """Return the tree of a Python file, an empty one for none; None for a text that cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text or "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def functions_in(tree: ast.Module) -> Helpers:
    """Return the functions of a file by name, methods included."""
    return {node.name: node for node in ast.walk(tree) if isinstance(node, _Function)}


def fixtures_in(tree: ast.Module) -> Helpers:
    """Return the fixtures of a `conftest.py` by name: tests use them without an import."""
    found = functions_in(tree)
    return {name: node for name, node in found.items() if any("fixture" in ast.unparse(d) for d in node.decorator_list)}


def python_shape(tree: ast.Module, helpers: Mapping[tuple[str, str], _Function], fixtures: Helpers) -> FileShape:
    """Return the tests of a Python file. `helpers` are functions of other files by the last word of their module and
    their name; its tests use those that it imports so. `fixtures` need no import.
    """
    own = functions_in(tree)
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {((node.module or "").rpartition(".")[2], alias.name) for node in froms for alias in node.names}
    functions = {**fixtures, **{key[1]: helpers[key] for key in names & helpers.keys()}, **own}
    classes = (node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    marks = _module_marks(tree)
    found = {shape.name: shape for shape in _tests(tree.body, "", marks, functions)}
    return FileShape(found, frozenset((*own, *classes)))


def _tests(body: list[ast.stmt], prefix: str, marks: tuple[str, ...], functions: Helpers) -> Iterator[TestShape]:
    for node in body:
        if isinstance(node, ast.ClassDef) and (node.name.startswith("Test") or _is_case(node)):
            own = (*marks, *_marks(node.decorator_list), *_assigned_marks(node.body))
            yield from _tests(node.body, f"{prefix}{node.name}.", own, functions)
        elif isinstance(node, _Function) and node.name.startswith("test"):
            yield _shape(node, prefix, marks, functions)
        elif isinstance(node, ast.If | ast.Try):
            yield from _tests(node.body, prefix, marks, functions)


def _is_case(node: ast.ClassDef) -> bool:
    """Say whether a class looks like a unittest case: its base or its own name does."""
    return any("Test" in ast.unparse(base) for base in node.bases) or node.name.endswith(("Test", "Tests", "TestCase"))


def _shape(node: _Function, prefix: str, marks: tuple[str, ...], functions: Helpers) -> TestShape:
    asserts, hollow = Counter[str](), list[str]()
    for text, is_hollow in _assertions(node, functions, _FOLLOWED, (node.name,)):
        asserts[text] += 1
        if is_hollow:
            hollow.append(text)
    inside = [_last_name(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)]
    skips = [name for name in inside if name in _SKIPPING and name not in ("importorskip",)]
    skips += ["skip" for each in ast.walk(node) if isinstance(each, ast.Raise) and "SkipTest" in ast.unparse(each)]
    if _returns_at_once(node):
        skips.append("return at its beginning")
    own = tuple(dict.fromkeys((*marks, *_marks(node.decorator_list), *skips)))
    names = frozenset(_names(node))
    body = "\n".join(ast.unparse(each) for each in node.body)
    return TestShape(
        f"{prefix}{node.name}", node.lineno, body, asserts, tuple(hollow), own, _cases(node.decorator_list), names
    )


def _names(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Attribute):
            yield each.attr


def _assertions(node: ast.AST, functions: Helpers, depth: int, seen: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Yield each assertion in a test, and whether it says nothing; a helper's in the place of the call of it."""
    for each in ast.walk(node):
        if isinstance(each, ast.arg) and depth and each.arg in functions and each.arg not in seen:
            yield from _assertions(functions[each.arg], functions, depth - 1, (*seen, each.arg))  # a fixture
        if isinstance(each, ast.Assert):
            yield f"assert {ast.unparse(each.test)}", _is_hollow(each.test)
        elif isinstance(each, ast.Call):
            name = _last_name(each.func)
            helper = functions.get(name)
            if helper is not None and depth and name not in seen:
                inner = list(_assertions(helper, functions, depth - 1, (*seen, name)))
                yield from inner
                if inner:
                    continue
            if _ASSERTING.match(name) or name in _RAISING:
                first = each.args[0] if each.args else None
                hollow = (
                    name in ("assertTrue", "assertIsNotNone", "assert_") and first is not None and _is_hollow(first)
                )
                same = name in ("assertEqual", "assertEquals", "assertIs") and len(each.args) >= 2
                hollow = hollow or (same and ast.dump(each.args[0]) == ast.dump(each.args[1]))
                yield ast.unparse(each), hollow


def _is_hollow(test: ast.expr) -> bool:
    """Say whether an expression is true whatever the code under test does."""
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return bool(parts)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_is_hollow(value) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=ast.Constant(value=value)):
            return not value
        case ast.Compare(left=left, ops=[ast.Eq() | ast.Is()], comparators=[right]):
            return ast.dump(left) == ast.dump(right) and not any(isinstance(part, ast.Call) for part in ast.walk(left))
        case _:
            return False


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _marks(decorators: list[ast.expr]) -> list[str]:
    found: list[str] = []
    for each in decorators:
        name = _last_name(each.func if isinstance(each, ast.Call) else each)
        if name in _SKIPPING:
            found.append(name)
    return found


def _module_marks(tree: ast.Module) -> tuple[str, ...]:
    """Return what skips every test of the module: `pytestmark`, or a call of `skip` outside of functions."""
    calls = [node.value for node in tree.body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    return (*_assigned_marks(tree.body), *(name for call in calls if (name := _last_name(call.func)) in _SKIPPING))


def _assigned_marks(body: list[ast.stmt]) -> list[str]:
    found: list[str] = []
    for node in body:
        if isinstance(node, ast.Assign) and any(_last_name(target) == "pytestmark" for target in node.targets):
            values = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
            found += _marks(values)
        if isinstance(node, ast.Assign) and any(_last_name(target) == "__test__" for target in node.targets):
            found += ["__test__ = False"] if ast.unparse(node.value) == "False" else []
    return found


def _returns_at_once(node: _Function) -> bool:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return len(body) > 1 and isinstance(body[0], ast.Return)


def _cases(decorators: list[ast.expr]) -> int:
    """Return how often `parametrize` runs a test, as far as its cases are written out."""
    cases = 1
    for each in decorators:
        match each:
            case ast.Call(
                func=called, args=[_, ast.List(elts=values) | ast.Tuple(elts=values) | ast.Set(elts=values), *_]
            ):
                cases *= max(1, len(values)) if _last_name(called) == "parametrize" else 1
            case _:
                pass
    return cases


@dataclass(frozen=True, slots=True)
class Counts:
    """The tests of a file in another language, counted in its code."""

    tests: int = 0
    asserts: int = 0
    skips: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.tests + other.tests, self.asserts + other.asserts, self.skips + other.skips)


_JAVASCRIPT = (
    r"(?<![\w.$])(?:it|test|specify)(?:\.(?:each|concurrent|only|failing))*\s*[(`]",
    r"(?<![\w$])(?:expect|assert)(?:\.\w+)*\s*\(|\bt\.(?:is|deepEqual|true|false|throws|not)\s*\(|\.should\b",
    r"\b(?:it|test|describe|context|suite)\.(?:skip|todo|fails)\b|(?<![\w.$])x(?:it|test|describe|context)\s*\(|\bthis\.skip\(",
)
_COUNTED: dict[str, tuple[str, str, str]] = {
    "javascript": _JAVASCRIPT,
    "typescript": _JAVASCRIPT,
    "tsx": _JAVASCRIPT,
    "go": (
        r"^func (?:Test|Fuzz|Example)\w*\(",
        r"\b[tb]\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\(|\b(?:assert|require|is|qt)\.\w+\(|\bcmp\.Diff\(",
        r"\b[tb]\.(?:Skip|Skipf|SkipNow)\(",
    ),
    "rust": (r"#\[(?:\w+::)*test\b", r"\b(?:debug_)?assert(?:_eq|_ne|_matches)?!|#\[should_panic", r"#\[ignore\b"),
    "java": (
        r"@(?:Parameterized|Repeated)?Test\b",
        r"\b(?:assert\w*|verify|fail|expect\w*)\s*\(",
        r"@(?:Disabled|Ignore)\w*\b|\bassume\w+\(",
    ),
    "c_sharp": (
        r"\[(?:Fact|Theory|Test|TestMethod|TestCase)\b",
        r"\bAssert\.\w+|\.Should\(",
        r"\[Ignore\b|\bSkip\s*=|\bAssert\.(?:Ignore|Inconclusive)",
    ),
    "ruby": (
        r"^[ \t]*(?:it|specify|test|scenario)\b(?=\s*(?:\(|do\b|\{|$|\s))|^[ \t]*def test_\w+",
        r"\b(?:assert|refute)\w*\b|\bexpect\b|\.must_\w+|\.should\b",
        r"^[ \t]*(?:xit|xdescribe|xcontext|skip|pending)\b",
    ),
    "php": (
        r"\bfunction test\w*\s*\(|#\[Test\]",
        r"(?:->|::)assert\w+\s*\(|\bexpect\s*\(",
        r"\bmarkTest(?:Skipped|Incomplete)\s*\(",
    ),
}
_PATTERNS = {
    language: tuple(re.compile(pattern, re.MULTILINE) for pattern in patterns)
    for language, patterns in _COUNTED.items()
}


def counts(language: str, text: str | None) -> Counts | None:
    """Count what the tests of a file hold; None for a language that is not known here."""
    if language not in _PATTERNS:
        return None
    code = code_only(language, text) if text else ""
    return Counts(*(len(pattern.findall(code)) for pattern in _PATTERNS[language]))
