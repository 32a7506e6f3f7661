"""What the built-in model is shown and what it answers. It was trained on texts that these very functions made.

The question names a file, the failing assertion where one is known, and a function with the suspicious lines marked.
The answer is an `edit` call whose `old_string` is a marked line. Nothing else is in the prompt: no system message and
no tool declarations, which would cost more than all the rest.
"""

import ast
import functools
import re
import textwrap
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from qwencode.excerpt import plain
from qwencode.model.dialect.qwen import Piece

MARK = ">>"
"""Stands before a suspicious line, in front of its indentation."""
GAP = "..."
"""Stands for lines that are not shown."""
PASSED = "All tests pass."
"""What the tool says after an edit that mended everything; the reply to it is DONE."""
FAILED = "Still failing. The edit was taken back."
"""What the tool says after any other edit; the failing assertion may follow."""
DONE = "Done."

OPEN_CALL = "\n<function=edit>\n<parameter=file_path>\n"
OPEN_OLD = "\n</parameter>\n<parameter=old_string>\n"
OPEN_NEW = "\n</parameter>\n<parameter=new_string>\n"
CLOSE_CALL = "\n</parameter>\n</function>\n"
MARKUP = (OPEN_CALL, OPEN_OLD, OPEN_NEW, CLOSE_CALL)
"""Stretches between `<tool_call>` and `</tool_call>` that are one token each in the vocabulary of this model."""

CODE_CHARS = 700
"""Characters of code shown at most, marks left out."""
FAILURE_CHARS = 120
"""Characters of each of the two lines about the failure."""
_LINE_END = re.compile(r"\r\n|\r|\n")  # those of the syntax: `str.splitlines` knows some that Python's grammar does not
_ASSERTION = re.compile(r"^>\s+(\S.*)$", re.M)
_ERROR = re.compile(r"^E\s+(\S.*)$", re.M)
_SOURCE = re.compile(r"^\s+((?:self\.)?assert.*)$", re.M)
_LAST = re.compile(r"^([A-Za-z_.]*(?:Error|Exception|Exit|Interrupt|Warning)\b.*)$", re.M)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of one function, without its docstring and with `indent` taken off. `numbers` are those of the file,
    from 1; 0 stands beside GAP.
    """

    lines: tuple[str, ...]
    numbers: tuple[int, ...]
    indent: str


def excerpt(text: str, line: int, limit: int = CODE_CHARS) -> Excerpt | None:
    """Return the innermost function around a line of a file, cut to what fits around that line.

    None when the text does not parse, the line lies in no function, or in a part that is not shown.
    """
    rows = _LINE_END.split(text)
    around = [n for n in _functions(text) if n.lineno <= line <= (n.end_lineno or 0)]
    if not around:
        return None
    node = max(around, key=lambda n: n.lineno)
    hidden = _docstring(node)
    numbers = [n for n in range(node.lineno, (node.end_lineno or node.lineno) + 1) if n not in hidden]
    if line not in numbers or line > len(rows):
        return None
    head = rows[node.lineno - 1]
    indent = head[: len(head) - len(head.lstrip())]
    shown = [rows[n - 1].removeprefix(indent) for n in numbers]
    first, last = _window(shown, numbers.index(line), limit)
    lines, places = shown[first:last], numbers[first:last]
    if first > 0:  # what a function is called and takes is always worth its place
        between = [GAP] if first > 1 else []
        lines, places = [shown[0], *between, *lines], [numbers[0], *([0] * len(between)), *places]
    if last < len(shown):
        lines, places = [*lines, GAP], [*places, 0]
    return Excerpt(tuple(lines), tuple(places), indent)


def question(file: str, shown: Excerpt, marked: Collection[int], failure: str = "") -> str:
    """Return what the user says: the file, the failure (as `failure_of` gives it), the code with lines marked.

    `marked` are numbers of lines of the file.
    """
    code = [MARK + text if number in marked else text for text, number in zip(shown.lines, shown.numbers, strict=True)]
    return "\n".join([f"# {file}", *([failure] if failure else []), *code])


def failure_of(message: str) -> str:
    """Return the two lines about a failure out of a report of pytest or unittest: what was asserted, what came out.

    Fewer lines, or '', where the report holds no such thing.
    """
    message = plain(message)
    asserted = _ASSERTION.search(message) or _SOURCE.search(message)
    error = _ERROR.search(message)
    said = error.group(1) if error else (_LAST.findall(message) or [""])[-1]
    if said.startswith("AssertionError: assert "):
        said = said.removeprefix("AssertionError: ")
    lines = [f"> {asserted.group(1)}" if asserted else "", f"E {said}" if said else ""]
    return "\n".join(row.rstrip()[:FAILURE_CHARS] for row in lines if row)


def answer(file: str, old: str, new: str) -> str:
    """Return the call that replaces `old` by `new`, as the model writes it."""
    return f"<tool_call>{OPEN_CALL}{file}{OPEN_OLD}{old}{OPEN_NEW}{new}{CLOSE_CALL}</tool_call>"


def begun(file: str, old: str) -> str:
    """Return the beginning of a call, up to where `new` follows. What the model adds ends at CLOSE_CALL."""
    return "".join(piece.text for piece in beginning(file, old))


def beginning(file: str, old: str) -> list[Piece]:
    """Return the pieces of `begun`, in which the text from outside is told from the markup."""
    return [
        Piece("<tool_call>" + OPEN_CALL, True),
        Piece(file, False),
        Piece(OPEN_OLD, True),
        Piece(old, False),
        Piece(OPEN_NEW, True),
    ]


def refusal(failure: str = "") -> str:
    """Return what the tool says after an edit that did not mend everything."""
    return f"{FAILED}\n{failure}" if failure else FAILED


def replacement(shown: Excerpt, new: str) -> str:
    """Return new lines with the indentation of the file."""
    return textwrap.indent(new, shown.indent)


@functools.lru_cache(4)  # one line after the other of the same file is asked about
def _functions(text: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the functions of a file; none when it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> range:
    first = node.body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    if not is_text or len(node.body) == 1 or first.lineno == node.lineno:
        return range(0)
    return range(first.lineno, (first.end_lineno or first.lineno) + 1)


def _window(lines: Sequence[str], at: int, limit: int) -> tuple[int, int]:
    """Return the span of lines around one that fits into so many characters, grown evenly on both sides."""
    first, last, used, grown = at, at + 1, len(lines[at]), True
    while grown:
        grown = False
        for place in (first - 1, last):
            if 0 <= place < len(lines) and used + len(lines[place]) + 1 <= limit:
                used += len(lines[place]) + 1
                first, last = min(first, place), max(last, place + 1)
                grown = True
    return first, last
