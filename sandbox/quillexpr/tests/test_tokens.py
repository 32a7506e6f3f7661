import pytest

from quillexpr import SyntaxProblem
from quillexpr.tokens import tokens


def kinds(source):
    return [token.kind for token in tokens(source)]


def test_kinds():
    assert kinds("a1 >= 2.5 and 'x'") == ["name", "mark", "number", "keyword", "text", "end"]


def test_two_character_marks_win():
    assert [token.value for token in tokens("a**b//c<=d")][1::2] == ["**", "//", "<=", ""]


def test_escapes():
    assert next(tokens(r"'it\'s\n'")).value == "it's\n"
    assert next(tokens('"it\'s"')).value == "it's"


def test_columns_count_from_one():
    assert [token.column for token in tokens(" a + b")] == [2, 4, 6, 7]


@pytest.mark.parametrize(("source", "column"), [("a ? b", 3), ("'open", 1), ("x == \"open'", 6)])
def test_what_is_not_understood(source, column):
    with pytest.raises(SyntaxProblem) as error:
        list(tokens(source))
    assert error.value.column == column
