"""The parts of a prompt, and what every dialect writes into them."""

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from qwencode.messages import ToolSpec


class Piece(NamedTuple):
    """A stretch of the prompt.

    `markup`: written by the template, special tokens are meant as such. Otherwise it holds text from outside and must
    be tokenised with `split_specials`. Pieces meet at special tokens only, so tokenising them one by one gives the
    tokens of the whole, as long as the text from outside spells no special token.
    """

    text: str
    markup: bool


def as_json(value: Any) -> str:
    """Return a value as JSON."""
    return json.dumps(value, ensure_ascii=False)  # spelled as the `tojson` of the transformers library


def declaration(tool: ToolSpec) -> dict[str, Any]:
    """Return the declaration of a tool in the form that most models were trained on."""
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def pieces(parts: Iterable[tuple[str, bool]], specials: re.Pattern[str]) -> list[Piece]:
    """Join (text, is the template's own) parts so that pieces meet at `specials` only.

    The template's text between a special token and a text from outside goes with the latter: a line break after a full
    stop is one token together with it.
    """
    made: list[Piece] = []
    for text, own in parts:
        found = list(specials.finditer(text)) if own else []
        if not found:
            _add(made, text, False)
            continue
        start, end = found[0].start(), found[-1].end()
        _add(made, text[:start], False)
        _add(made, text[start:end], True)
        _add(made, text[end:], False)
    return made


def _add(pieces: list[Piece], text: str, markup: bool) -> None:
    if not text:
        return
    if pieces and pieces[-1].markup == markup:
        text = pieces.pop().text + text
    pieces.append(Piece(text, markup))
