"""Recursive descent, one method for each level of precedence."""

from quillexpr.errors import SyntaxProblem
from quillexpr.nodes import Binary, Call, Comparison, Index, Items, Literal, Logical, Name, Node, Unary
from quillexpr.tokens import Token, tokens

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in")
CONSTANTS = {"true": True, "false": False, "null": None}


def parse(source: str) -> Node:
    """Return the syntax tree of an expression. Raises SyntaxProblem."""
    parser = _Parser(source)
    node = parser.disjunction()
    parser.expect_end()
    return node


class _Parser:
    def __init__(self, source: str):
        self._tokens: list[Token] = list(tokens(source))
        self._position = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _take(self) -> Token:
        token = self._next
        self._position += 1
        return token

    def _expect(self, mark: str) -> None:
        if not self._next.is_(mark):
            raise SyntaxProblem(f"{mark!r} is missing", self._next.column)
        self._take()

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise SyntaxProblem(f"{self._next.value!r} is not expected here", self._next.column)

    def disjunction(self) -> Node:
        node = self._conjunction()
        while self._next.is_("or"):
            self._take()
            node = Logical("or", node, self._conjunction())
        return node

    def _conjunction(self) -> Node:
        node = self._negation()
        while self._next.is_("and"):
            self._take()
            node = Logical("and", node, self._negation())
        return node

    def _negation(self) -> Node:
        if self._next.is_("not"):
            self._take()
            return Unary("not", self._negation())
        return self._comparison()

    def _comparison(self) -> Node:
        operands = [self._sum()]
        operators: list[str] = []
        while self._next.is_(*COMPARISONS):
            operators.append(str(self._take().value))
            operands.append(self._sum())
        if not operators:
            return operands[0]
        return Comparison(tuple(operands), tuple(operators))

    def _sum(self) -> Node:
        node = self._product()
        while self._next.is_("+", "-"):
            operator = str(self._take().value)
            node = Binary(operator, node, self._product())
        return node

    def _product(self) -> Node:
        node = self._sign()
        while self._next.is_("*", "/", "//", "%"):
            operator = str(self._take().value)
            node = Binary(operator, node, self._sign())
        return node

    def _sign(self) -> Node:
        if self._next.is_("-"):
            self._take()
            return Unary("-", self._sign())
        return self._power()

    def _power(self) -> Node:
        base = self._postfix()
        if self._next.is_("**"):
            self._take()
            return Binary("**", base, self._sign())
        return base

    def _postfix(self) -> Node:
        node = self._atom()
        while True:
            if self._next.is_("(") and isinstance(node, Name):
                self._take()
                node = Call(node.name, self._list_until(")"))
            elif self._next.is_("["):
                self._take()
                node = Index(node, self.disjunction())
                self._expect("]")
            else:
                return node

    def _list_until(self, closing: str) -> tuple[Node, ...]:
        """Read values with commas between them and the closing mark; a comma may stand before it."""
        items: list[Node] = []
        while not self._next.is_(closing):
            items.append(self.disjunction())
            if not self._next.is_(closing):
                self._expect(",")
        self._take()
        return tuple(items)

    def _atom(self) -> Node:
        token = self._take()
        if token.kind in ("number", "text"):
            return Literal(token.value)
        if token.kind == "name":
            return Name(str(token.value))
        if token.is_(*CONSTANTS):
            return Literal(CONSTANTS[str(token.value)])
        if token.is_("("):
            node = self.disjunction()
            self._expect(")")
            return node
        if token.is_("["):
            return Items(self._list_until("]"))
        raise SyntaxProblem("a value is missing", token.column)
