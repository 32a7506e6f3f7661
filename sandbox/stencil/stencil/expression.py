"""Expressions: a name or literal, followed by filters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stencil.errors import TemplateError
from stencil.filters import Filter

_TERM = re.compile(r'\s*(?:(?P<string>"[^"]*")|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*(?:\.\w+)*))\s*')
_CONSTANTS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Term:
    """A literal, or a path of names such as `user.address.city`."""

    value: Any = None
    path: tuple[str, ...] = ()

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        if not self.path:
            return self.value
        found: Any = scope
        for name in self.path:
            found = _member(found, name)
        return found


def _member(owner: Any, name: str) -> Any:
    if isinstance(owner, Mapping):
        return owner.get(name)
    if isinstance(owner, (list, tuple)) and name.isdigit():
        return owner[int(name)] if int(name) < len(owner) else None
    return None if name.startswith("_") else getattr(owner, name, None)


@dataclass(frozen=True)
class Expression:
    """A term and the filters that it goes through, each with its arguments."""

    term: Term
    filters: tuple[tuple[Filter, tuple[Term, ...]], ...] = ()

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        value = self.term.evaluate(scope)
        for function, arguments in self.filters:
            value = function(value, *(argument.evaluate(scope) for argument in arguments))
        return value


class ExpressionParser:
    """Reads one expression. Raises TemplateError for what it does not understand."""

    def __init__(self, source: str, line: int, filters: Mapping[str, Filter]):
        self._source = source
        self._line = line
        self._filters = filters
        self._position = 0

    def parse(self) -> Expression:
        term = self._term()
        filters: list[tuple[Filter, tuple[Term, ...]]] = []
        while self._take("|"):
            name = ".".join(self._term().path)
            if name not in self._filters:
                raise TemplateError(self._line, f"there is no filter {name!r}")
            filters.append((self._filters[name], self._arguments()))
        if self._position < len(self._source):
            raise TemplateError(self._line, f"{self._source[self._position:]!r} is not understood")
        return Expression(term, tuple(filters))

    def _arguments(self) -> tuple[Term, ...]:
        if not self._take("("):
            return ()
        arguments = [self._term()]
        while self._take(","):
            arguments.append(self._term())
        if not self._take(")"):
            raise TemplateError(self._line, "a ')' is missing")
        return tuple(arguments)

    def _term(self) -> Term:
        match = _TERM.match(self._source, self._position)
        if match is None:
            raise TemplateError(self._line, f"a value is missing in {self._source!r}")
        self._position = match.end()
        if match["string"]:
            return Term(match["string"][1:-1])
        if match["number"]:
            return Term(float(match["number"]) if "." in match["number"] else int(match["number"]))
        if match["name"] in _CONSTANTS:
            return Term(_CONSTANTS[match["name"]])
        return Term(path=tuple(match["name"].split(".")))

    def _take(self, mark: str) -> bool:
        if not self._source.startswith(mark, self._position):
            return False
        self._position += 1
        while self._source[self._position : self._position + 1].isspace():
            self._position += 1
        return True
