import pytest

from quillexpr import SyntaxProblem, parse
from quillexpr.nodes import Binary, Call, Comparison, Index, Items, Literal, Logical, Name, Unary

A, B, C = Name("a"), Name("b"), Name("c")


def test_products_bind_tighter_than_sums():
    assert parse("a + b * c") == Binary("+", A, Binary("*", B, C))
    assert parse("(a + b) * c") == Binary("*", Binary("+", A, B), C)


def test_differences_go_to_the_left_and_powers_to_the_right():
    assert parse("a - b - c") == Binary("-", Binary("-", A, B), C)
    assert parse("a ** b ** c") == Binary("**", A, Binary("**", B, C))


def test_a_sign_binds_looser_than_a_power():
    assert parse("-a ** b") == Unary("-", Binary("**", A, B))
    assert parse("a ** -b") == Binary("**", A, Unary("-", B))


def test_logic():
    assert parse("a or b and not c") == Logical("or", A, Logical("and", B, Unary("not", C)))


def test_comparisons_are_chained():
    assert parse("a < b <= c") == Comparison((A, B, C), ("<", "<="))


def test_not_binds_looser_than_a_comparison():
    assert parse("not a in b") == Unary("not", Comparison((A, B), ("in",)))


def test_not_in_is_one_operator():
    assert parse("a not in b") == Comparison((A, B), ("not in",))


def test_calls_and_indexing():
    assert parse("f(a, [b])[0]['x']") == Index(Index(Call("f", (A, Items((B,)))), Literal(0)), Literal("x"))


def test_a_comma_may_end_a_list():
    assert parse("[a, b,]") == Items((A, B))
    assert parse("f()") == Call("f", ())


def test_constants():
    assert [parse(word) for word in ("true", "false", "null")] == [Literal(True), Literal(False), Literal(None)]


@pytest.mark.parametrize(
    ("source", "column"),
    [("", 1), ("a +", 4), ("(a", 3), ("a b", 3), ("[a b]", 4), ("a not b", 3), ("1 in", 5), ("f(,)", 3), ("a not", 3)],
)
def test_syntax_problems_name_the_column(source, column):
    with pytest.raises(SyntaxProblem) as error:
        parse(source)
    assert error.value.column == column
