"""The suspicious code itself, so that the model need not go looking: whole functions, best first, within a budget."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from qwencode.errors import ToolError
from qwencode.events import Suspect
from qwencode.excerpt import numbered, split_lines
from qwencode.workspace import Workspace

AROUND = 15
"""Lines shown on either side of a suspicious line that is in no known function."""
FUNCTION_LINES = 90
"""A longer function is shown around the suspicious line only, with its first line."""


@dataclass(frozen=True, slots=True)
class _Span:
    """Lines `first` to `last` of a file, both counted from 1 and included."""

    first: int
    last: int


def localised(workspace: Workspace, suspects: Sequence[Suspect], limit: int) -> str:
    """Return the code around the suspects, by file, in at most `limit` characters; no line is shown twice.

    Suspects are given best first. One that does not fit is left out, and later, smaller ones may still fit.
    """
    lines: dict[str, list[str]] = {}
    spans: dict[str, list[_Span]] = {}
    blamed: dict[str, list[Suspect]] = {}
    left = limit
    for suspect in suspects:
        if suspect.file not in lines:
            try:
                lines[suspect.file] = split_lines(workspace.read(suspect.file).text)
            except ToolError:
                continue
        code, shown = lines[suspect.file], spans.get(suspect.file, [])
        wanted = [span for span in _around(code, suspect) if not any(_covers(other, span) for other in shown)]
        merged = _merged([*shown, *wanted])
        cost = _cost(code, merged) - _cost(code, shown)
        if cost > left or not merged:
            continue
        left -= cost
        spans[suspect.file] = merged
        blamed.setdefault(suspect.file, []).append(suspect)
    return "\n\n".join(_section(file, lines[file], spans[file], blamed[file]) for file in spans)


def _section(file: str, code: Sequence[str], spans: Sequence[_Span], suspects: Sequence[Suspect]) -> str:
    by_function: dict[str, list[str]] = {}
    for suspect in suspects:
        by_function.setdefault(suspect.function, []).append(str(suspect.line))
    named = [f"{name or 'module'} (line {', '.join(dict.fromkeys(at))})" for name, at in by_function.items()]
    parts = [numbered(code[span.first - 1 : span.last], span.first) for span in spans]
    return f"{file}, suspicious: {'; '.join(named)}\n" + "\n...\n".join(parts)


def _around(code: Sequence[str], suspect: Suspect) -> list[_Span]:
    """Return what to show of one suspect: its function, or the lines around it."""
    line = min(max(suspect.line, 1), len(code))
    near = _Span(max(1, line - AROUND), min(len(code), line + AROUND))
    function = _enclosing(code, line) if suspect.file.endswith((".py", ".pyi")) else None
    if not code:
        return []
    if function is None:
        return [near]
    if function.last - function.first < FUNCTION_LINES:
        return [function]
    inside = _Span(max(function.first, near.first), min(function.last, near.last))
    return [_Span(function.first, function.first), inside]


def _enclosing(code: Sequence[str], line: int) -> _Span | None:
    """Return the innermost Python function around a line, decorators included; None outside of functions."""
    try:
        tree = ast.parse("\n".join(code))
    except (SyntaxError, ValueError, RecursionError):
        return None
    found: list[_Span] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found.append(_Span(first, node.end_lineno or node.lineno))
    around = [span for span in found if span.first <= line <= span.last]
    return max(around, key=lambda span: span.first, default=None)


def _covers(outer: _Span, inner: _Span) -> bool:
    return outer.first <= inner.first and inner.last <= outer.last


def _merged(spans: Sequence[_Span]) -> list[_Span]:
    """Join spans that overlap, touch or leave out a single line, in the order of lines."""
    merged: list[_Span] = []
    for span in sorted(spans, key=lambda span: span.first):
        if merged and span.first <= merged[-1].last + 2:
            merged[-1] = _Span(merged[-1].first, max(merged[-1].last, span.last))
        else:
            merged.append(span)
    return merged


def _cost(code: Sequence[str], spans: Sequence[_Span]) -> int:
    """Return the characters that the spans take, numbers included."""
    return sum(len(numbered(code[span.first - 1 : span.last], span.first)) for span in spans)
