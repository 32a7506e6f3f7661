"""A Python file as text and as a syntax tree, joined by exact character offsets.

Operators look at the tree and answer with replacements of the text, so that nothing else in the file moves.
"""

import ast
import builtins
import re
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

BUILTINS = frozenset(dir(builtins))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef
_ATOMS = (ast.Name, ast.Call, ast.Attribute, ast.Subscript, ast.List, ast.Dict, ast.Set, ast.ListComp, ast.Constant)
_TIGHT = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.Attribute, ast.Await, ast.Starred, ast.IfExp)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters [start, end) by `text`. `weight`, 0 to 1, says how likely it is among its operator's
    edits.
    """

    start: int
    end: int
    text: str
    weight: float = 1.0
    what: str = ""


def parse(text: str) -> ast.Module:
    """Parse without the warnings of the compiler. Raises SyntaxError (ValueError and RecursionError are turned into
    it).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error)) from error


class Source:
    """One file. Raises SyntaxError when it does not parse with this interpreter's grammar."""

    def __init__(self, path: str, text: str, literals: Collection[str | int | float] = ()):
        self.path = path
        self.literals = tuple(literals)
        """Texts and numbers that the failing tests speak of."""
        self.text = text
        self.tree = parse(text)
        self.newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
        self._starts: list[int] = []
        position = 0
        for match in _LINE.finditer(text):
            self._starts.append(position)
            position = match.end()
        self._parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self._names: dict[ast.AST, dict[str, int]] = {}
        self._misplaced = self._nodes_of_fstrings()

    # -- text ----------------------------------------------------------------------------------------------------

    def offset(self, line: int, column: int) -> int:
        """Turn a line (from 1) and a column in UTF-8 bytes into an offset in characters."""
        start = self._starts[line - 1]
        row = self.text[start : start + column]
        if row.isascii():
            return start + column
        return start + len(_LINE.match(self.text, start).group().encode()[:column].decode("utf-8", "ignore"))  # pyright: ignore[reportOptionalMemberAccess]

    def line_span(self, line: int) -> tuple[int, int]:
        """Return the offsets [start, end) of a line (from 1), its line end included."""
        start = self._starts[line - 1]
        return start, start + len(_LINE.match(self.text, start).group())  # pyright: ignore[reportOptionalMemberAccess]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the offsets [start, end) of a node; decorators belong to their definition."""
        first: Any = node
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and node.decorator_list:
            first = node.decorator_list[0]
        last: Any = node
        start = self.offset(first.lineno, first.col_offset)
        if first is not node:
            start = self.text.rindex("@", 0, start)
        return start, self.offset(last.end_lineno, last.end_col_offset)

    def src(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    def atom(self, node: ast.AST) -> str:
        """Return the text of an expression, in parentheses unless it holds together by itself."""
        text = self.src(node)
        return (
            text if isinstance(node, _ATOMS) and not (isinstance(node, ast.Constant) and "\n" in text) else f"({text})"
        )

    def replace(self, node: ast.AST, text: str, weight: float = 1.0, *, loose: bool = False) -> Edit:
        """Replace a node. `loose` text (an operator expression) gets parentheses where its surroundings
        bind tighter.
        """
        parent = self.parent(node)
        tight = isinstance(parent, _TIGHT) or (
            isinstance(parent, ast.Subscript | ast.Call)
            and node in (getattr(parent, "value", None), getattr(parent, "func", None))
        )
        return Edit(*self.span(node), f"({text})" if loose and tight else text, weight)

    def between(self, left: ast.AST, right: ast.AST, symbol: str) -> tuple[int, int] | None:
        """Return the span of an operator between two nodes, comments skipped; None when it is not there."""
        start, end = self.span(left)[1], self.span(right)[0]
        gap = re.sub(r"#[^\r\n]*", lambda match: " " * len(match.group()), self.text[start:end])
        pattern = r"\s+".join(re.escape(word) for word in symbol.split())
        found = re.search(rf"\b{pattern}\b" if symbol[0].isalpha() else pattern, gap)
        return (start + found.start(), start + found.end()) if found else None

    def lines(self, first: ast.stmt, last: ast.stmt | None = None) -> tuple[int, int] | None:
        """Return the span of whole lines that these statements fill alone, line end included; None if they share
        lines.
        """
        start, end = self.span(first)[0], self.span(last or first)[1]
        line = self.text.rfind("\n", 0, start) + 1
        rest = re.compile(r"[ \t]*(#[^\r\n]*)?(\r\n|\n|\r|$)").match(self.text, end)
        if self.text[line:start].strip(" \t") or rest is None:
            return None
        return line, rest.end()

    def indent(self, statement: ast.stmt) -> str:
        """Return the white space before a statement that starts its line."""
        start = self.span(statement)[0]
        return self.text[self.text.rfind("\n", 0, start) + 1 : start]

    # -- tree ----------------------------------------------------------------------------------------------------

    def parent(self, node: ast.AST) -> ast.AST | None:
        return self._parents.get(node)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the parents of a node, innermost first."""
        up = self._parents.get(node)
        while up is not None:
            yield up
            up = self._parents.get(up)

    def function(self, node: ast.AST) -> Function | None:
        """Return the innermost function around a node (the node itself excluded)."""
        return next((up for up in self.above(node) if isinstance(up, FUNCTIONS)), None)

    def owner(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the innermost class around a node."""
        return next((up for up in self.above(node) if isinstance(up, ast.ClassDef)), None)

    def loop(self, node: ast.AST) -> ast.For | ast.AsyncFor | ast.While | None:
        """Return the loop around a node within its function."""
        for up in self.above(node):
            if isinstance(up, ast.For | ast.AsyncFor | ast.While):
                return up
            if isinstance(up, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
                return None
        return None

    def qualname(self, node: ast.AST) -> str:
        """Return the dotted name of the definition around a node, '<module>' outside any."""
        names = [up.name for up in self.above(node) if isinstance(up, (*FUNCTIONS, ast.ClassDef))]
        names = [node.name, *names] if isinstance(node, (*FUNCTIONS, ast.ClassDef)) else names
        return ".".join(reversed(names)) or "<module>"

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """Return the list of statements that holds this one."""
        for _, value in ast.iter_fields(self._parents[statement]):
            if isinstance(value, list) and statement in value:
                return value  # pyright: ignore[reportUnknownVariableType]
        return [statement]

    @cached_property
    def statements(self) -> list[ast.stmt]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.stmt)]

    def header(self, statement: ast.stmt) -> Iterator[ast.AST]:
        """Yield the nodes of a statement whose place in the text is known, nested statements left out."""
        waiting: list[ast.AST] = [statement]
        while waiting:
            node = waiting.pop()
            if node not in self._misplaced:
                yield node
            waiting += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]

    def header_lines(self, statement: ast.stmt) -> range:
        """Return the lines of a statement without those of its nested blocks."""
        last = statement.end_lineno or statement.lineno
        body = getattr(statement, "body", None) or getattr(statement, "cases", None)
        if body:
            first = body[0]
            last = max(statement.lineno, getattr(first, "lineno", None) or statement.lineno + 1) - 1
            last = max(last, statement.lineno)
        start = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", []))])
        return range(start, last + 1)

    def names_in(self, scope: ast.AST) -> dict[str, int]:
        """Count the names (parameters too) that occur in a scope."""
        if scope in self._names:
            return self._names[scope]
        counts = self._names[scope] = {}
        for node in ast.walk(scope):
            name = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else ""
            if name:
                counts[name] = counts.get(name, 0) + 1
        return counts

    @cached_property
    def definitions(self) -> dict[str, Function | ast.ClassDef]:
        """Functions and classes of the file by name."""
        return {node.name: node for node in self.statements if isinstance(node, (*FUNCTIONS, ast.ClassDef))}

    @cached_property
    def globals(self) -> set[str]:
        """Names that the module assigns at its top level (definitions and imports left out)."""
        return {
            n.id
            for s in self.tree.body
            if isinstance(s, ast.Assign | ast.AnnAssign)
            for n in ast.walk(s)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }

    @cached_property
    def strings(self) -> list[str]:
        """The string constants of the file, docstrings left out."""
        found = [n for n in ast.walk(self.tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        return list(
            dict.fromkeys(
                str(n.value) for n in found if not isinstance(self.parent(n), ast.Expr) and n not in self._misplaced
            )
        )

    def attributes(self, scope: ast.AST, base: str = "self") -> dict[str, int]:
        """Count the attributes that are used on a name within a scope."""
        counts: dict[str, int] = {}
        for node in ast.walk(scope):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == base:
                counts[node.attr] = counts.get(node.attr, 0) + 1
        return counts

    def _nodes_of_fstrings(self) -> set[ast.AST]:
        """Return the nodes inside f-strings whose positions cannot be trusted (before 3.12 some are not exact)."""
        wrong: set[ast.AST] = set()
        for string in ast.walk(self.tree):
            if not isinstance(string, ast.JoinedStr):
                continue
            for part in ast.walk(string):
                if part is not string and not (isinstance(part, ast.expr) and self._exact(part)):
                    wrong.add(part)
        return wrong

    def _exact(self, node: ast.expr) -> bool:
        if isinstance(node, ast.JoinedStr | ast.FormattedValue | ast.Constant):
            return False
        try:
            return ast.dump(ast.parse(self.src(node), mode="eval").body) == ast.dump(node)
        except (SyntaxError, ValueError, IndexError):
            return False
