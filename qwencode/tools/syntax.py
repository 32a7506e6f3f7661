"""Whether an edit broke the syntax of a file, and where: said at once, so that no test run has to find it.

Covered: Python by our own compiler, JSON and TOML by the standard library, eleven more languages by tree-sitter. Only
what was not wrong before is told. Not covered: whatever a parser does not see (names, types); C and C++ beyond their
brackets, since macros are no syntax; the checkers of the project, which run its code and configuration.
"""

import json
import re
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from tree_sitter import Node, Parser

from qwencode.excerpt import clip
from qwencode.languages import grammar, language_of

_MOST_CHARS = 200_000  # where there are errors, the walk over a tree of that size takes about a second
_SHOWN_CHARS = 60
_BRACKETS_ONLY = ("c", "cpp")
_NO_BRACKETS = ("bash",)  # `case` has closers without openers
_CLOSERS = {"(": ")", "[": "]", "{": "}"}
_WITH_COMMENTS = re.compile(r"(^|/)(tsconfig[^/]*|jsconfig|devcontainer|\.vscode/[^/]+)\.json$")
_NEWER = {"type_alias_statement", "type_parameter", "interpolation"}
"""Of Python's tree, what our interpreter may be too old for: PEP 695 and 701."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error: the line, from 1, and what is wrong there, in words that follow a colon."""

    line: int
    what: str


def broken(name: str, before: str | None, after: str) -> str:
    """Return a sentence on what is wrong with the file `name` now and was not `before` (None: a new file), else ''."""
    find = _finder(name)
    if find is None or len(after) > _MOST_CHARS or not (found := find(after)):
        return ""
    old = find(before) if before is not None and len(before) <= _MOST_CHARS else []
    if len(found) <= len(old):
        return ""
    said_before = [problem.what for problem in old]
    new = next((problem for problem in found if problem.what not in said_before), found[0])
    return f"Syntax error in line {new.line}: {new.what}{'' if new.what.endswith('?') else '.'}"


def _finder(name: str) -> Callable[[str], list[Problem]] | None:
    """Return what finds the errors in a file of this name; None where nothing does."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".json" and not _WITH_COMMENTS.search(name):
        return _in_json
    if suffix == ".toml":
        return _in_toml
    language = language_of(name)
    if language == "python":
        return _in_python
    return (lambda text: _in_tree(language, text)) if language else None


def _in_json(text: str) -> list[Problem]:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return [Problem(error.lineno, f"{error.msg[:1].lower()}{error.msg[1:]} at column {error.colno}")]
    except (ValueError, RecursionError):  # a number longer than `int` reads is sound JSON
        pass
    return []


def _in_toml(text: str) -> list[Problem]:
    try:
        tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        what = str(error)
        at = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", what)
        line = int(at[1]) if at and at[1] else text.count("\n") + 1
        what = what[: at.start()] if at else what
        return [Problem(line, what[:1].lower() + what[1:])]
    except (ValueError, RecursionError):
        pass
    return []


def _in_python(text: str) -> list[Problem]:
    """Ask the compiler, which says best what is wrong; tree-sitter decides where the syntax may be newer than it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<edited>", "exec", dont_inherit=True)
    except SyntaxError as error:
        line = error.lineno or 1
        if not _in_tree("python", text) and _newer_at(text, line):
            return []
        return [Problem(line, error.msg.rstrip("."))]
    except (ValueError, RecursionError, MemoryError):
        pass
    return []


def _newer_at(text: str, line: int) -> bool:
    """Say whether a line holds what an older Python does not know."""
    for node in _nodes(_parsed("python", text)):
        first, last = node.start_point.row + 1, node.end_point.row + 1
        if node.type in _NEWER and first <= line <= last:
            return True
        if node.type == "except_clause" and first == line:  # without parentheses since 3.14
            return True
    return False


def _in_tree(language: str, text: str) -> list[Problem]:
    root = _parsed(language, text)
    if not root.has_error:
        return []
    found = [] if language in _NO_BRACKETS else _unmatched(root)
    if language not in _BRACKETS_ONLY:
        found += _errors(root, text)
    return found


def _errors(root: Node, text: str) -> list[Problem]:
    lines = text.split("\n")
    found: list[Problem] = []
    for node in _nodes(root):
        row = node.start_point.row
        if node.is_missing:
            found.append(Problem(row + 1, f"{node.type!r} is missing"))
        elif node.is_error:
            found.append(Problem(row + 1, f"not valid from `{clip(lines[row].strip(), _SHOWN_CHARS)}` on"))
    return found


def _unmatched(root: Node) -> list[Problem]:
    """Return the brackets without a partner. What stands in strings and comments is no token, and does not count."""
    opened: list[tuple[str, int]] = []
    found: list[Problem] = []
    for node in _nodes(root):
        if node.child_count or node.is_named or node.is_missing:
            continue
        first, last, line = node.type[:1], node.type[-1:], node.start_point.row + 1
        if last in _CLOSERS:
            opened.append((last, line))
        elif first in _CLOSERS.values():
            partner = next((at for at in reversed(range(len(opened))) if _CLOSERS[opened[at][0]] == first), None)
            if partner is None:
                found.append(Problem(line, f"{first!r} closes nothing"))
                continue
            found += [Problem(at, f"{mark!r} was never closed") for mark, at in opened[partner + 1 :]]
            del opened[partner:]
    return found + [Problem(at, f"{mark!r} was never closed") for mark, at in opened]


def _nodes(root: Node) -> Iterator[Node]:
    """Yield the nodes of a tree in the order in which they stand in the text."""
    cursor = root.walk()
    while True:
        if (node := cursor.node) is not None:
            yield node
        if cursor.goto_first_child() or cursor.goto_next_sibling():
            continue
        while cursor.goto_parent():
            if cursor.goto_next_sibling():
                break
        else:
            return


def _parsed(language: str, text: str) -> Node:
    return Parser(grammar(language)).parse(text.encode("utf-8", "replace")).root_node
