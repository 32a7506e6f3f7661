"""Source text with its strings and comments blanked out, so that what is looked for is code."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from qwencode.languages import grammar

if TYPE_CHECKING:
    from tree_sitter import Node

_NO_CODE = re.compile(r"comment|string|char_literal|character|regex|heredoc|raw_text|text_interpolation$")
_MOST_CHARS = 500_000


def code_only(language: str, text: str) -> str:
    """Return the text with blanks for every character of a string or comment; line breaks stay.

    Code inside of an interpolated string is blanked, too. A text in no known language is returned as it is.
    """
    if not language or len(text) > _MOST_CHARS:
        return text
    from tree_sitter import Parser  # only when there is something to read

    data = bytearray(text.encode("utf-8", "replace"))
    for node in _outermost(Parser(grammar(language)).parse(bytes(data)).root_node):
        part = data[node.start_byte : node.end_byte]
        data[node.start_byte : node.end_byte] = bytes(10 if byte == 10 else 32 for byte in part)
    return data.decode("utf-8", "replace")


def _outermost(node: "Node") -> Iterator["Node"]:
    """Yield the strings and comments that lie in no other. Recursion would not stand deep trees."""
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if at.is_named and _NO_CODE.search(at.type):
            yield at
        else:
            waiting.extend(at.children)
