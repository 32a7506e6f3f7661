"""Cutting an expression into tokens."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from quillexpr.errors import SyntaxProblem

KEYWORDS = {"and", "or", "not", "in", "true", "false", "null"}
_TOKEN = re.compile(
    r"""(?P<number>\d+(?:\.\d+)?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<mark>\*\*|//|==|!=|<=|>=|[-+*/%<>()\[\],])""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t"}


@dataclass(frozen=True)
class Token:
    """`kind` is "number", "name", "text", "mark", "keyword" or "end"; `value` is what it stands for."""

    kind: str
    value: str | int | float
    column: int

    def is_(self, *values: str) -> bool:
        """Tell whether this is one of these marks or keywords."""
        return self.kind in ("mark", "keyword") and self.value in values


def tokens(source: str) -> Iterator[Token]:
    """Yield the tokens of an expression and an end token. Raises SyntaxProblem for a character that has no place."""
    position = 0
    while position < len(source):
        if source[position].isspace():
            position += 1
            continue
        match = _TOKEN.match(source, position)
        if match is None:
            problem = "a text is not closed" if source[position] in "'\"" else f"{source[position]!r} is not understood"
            raise SyntaxProblem(problem, position + 1)
        yield _token(match, position + 1)
        position = match.end()
    yield Token("end", "", len(source) + 1)


def _token(match: re.Match[str], column: int) -> Token:
    kind, text = str(match.lastgroup), match[0]
    if kind == "number":
        return Token(kind, float(text) if "." in text else int(text), column)
    if kind == "text":
        return Token(kind, re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text[1:-1]), column)
    if text in KEYWORDS:
        return Token("keyword", text, column)
    return Token(kind, text, column)
