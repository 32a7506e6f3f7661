"""Templates: parsed once, rendered as often as wanted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stencil.errors import TemplateError
from stencil.expression import Expression, ExpressionParser
from stencil.filters import FILTERS, Filter, text
from stencil.scanner import Token, scan

Scope = Mapping[str, Any]


@dataclass
class Text:
    content: str

    def render(self, scope: Scope) -> str:
        return self.content


@dataclass
class Value:
    expression: Expression

    def render(self, scope: Scope) -> str:
        return text(self.expression.evaluate(scope))


@dataclass
class Group:
    nodes: list[Any] = field(default_factory=list)

    def render(self, scope: Scope) -> str:
        return "".join(node.render(scope) for node in self.nodes)


@dataclass
class If:
    condition: Expression
    then: Group
    otherwise: Group

    def render(self, scope: Scope) -> str:
        return (self.then if self.condition.evaluate(scope) else self.otherwise).render(scope)


@dataclass
class For:
    name: str
    items: Expression
    body: Group
    otherwise: Group

    def render(self, scope: Scope) -> str:
        items = list(self.items.evaluate(scope) or ())
        if not items:
            return self.otherwise.render(scope)
        parts: list[str] = []
        for index, item in enumerate(items):
            loop = {"index": index + 1, "first": index == 0, "last": index == len(items) - 1}
            parts.append(self.body.render({**scope, self.name: item, "loop": loop}))
        return "".join(parts)


class Template:
    """A parsed template. `filters` are added to the ones that every template has."""

    def __init__(self, source: str, filters: Mapping[str, Filter] | None = None):
        self._filters = {**FILTERS, **(filters or {})}
        self._tokens: Iterator[Token] = scan(source)
        self._root, end = self._group(())
        assert end is None

    def render(self, **scope: Any) -> str:
        return self._root.render(scope)

    def _group(self, ends: tuple[str, ...], opened: int = 1) -> tuple[Group, Token | None]:
        """Read nodes up to one of the blocks in `ends`, or to the end of the template where there are none."""
        group = Group()
        for token in self._tokens:
            if token.kind == "text":
                group.nodes.append(Text(token.text))
            elif token.kind == "value":
                group.nodes.append(Value(self._expression(token.text, token.line)))
            elif token.text in ends:
                return group, token
            else:
                group.nodes.append(self._block(token))
        if ends:
            raise TemplateError(opened, "this block has no end")
        return group, None

    def _block(self, token: Token) -> If | For:
        word, _, rest = token.text.partition(" ")
        if word not in ("if", "for"):
            raise TemplateError(token.line, f"{{% {token.text} %}} is not expected here")
        body, end = self._group(("else", "end"), token.line)
        otherwise = Group()
        if end is not None and end.text == "else":
            otherwise, _ = self._group(("end",), token.line)
        if word == "if":
            return If(self._expression(rest, token.line), body, otherwise)
        name, separator, items = rest.partition(" in ")
        if not separator or not name.strip().isidentifier():
            raise TemplateError(token.line, "write a loop as {% for name in items %}")
        return For(name.strip(), self._expression(items, token.line), body, otherwise)

    def _expression(self, source: str, line: int) -> Expression:
        return ExpressionParser(source, line, self._filters).parse()


def render(source: str, **scope: Any) -> str:
    """Parse and render in one go."""
    return Template(source).render(**scope)
