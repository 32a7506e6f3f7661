import pytest

from quillexpr import EvaluationError, evaluate, names_in


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1 + 2 * 3", 7),
        ("10 - 4 - 3", 3),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("7 // 2 + 7 % 2", 4),
        ("1 / 4", 0.25),
        ("'ab' + \"c\"", "abc"),
        ("[1, 2][1]", 2),
    ],
)
def test_arithmetic(source, value):
    assert evaluate(source) == value


def test_values():
    assert evaluate("price * count", {"price": 3, "count": 4}) == 12


def test_chained_comparison():
    assert evaluate("0 < x < 10", {"x": 5}) is True
    assert evaluate("0 < x < 10", {"x": 10}) is False


def test_membership():
    assert evaluate("'b' in 'abc'") is True
    assert evaluate("country in ['DE', 'AT']", {"country": "FR"}) is False


def test_absence():
    assert evaluate("4 not in [1, 2, 3]") is True
    assert evaluate("'b' not in 'abc'") is False


def test_absence_among_other_conditions():
    rule = "age >= 18 and country not in ['DE', 'AT'] or vip"
    assert evaluate(rule, {"age": 20, "country": "FR", "vip": False}) is True
    assert evaluate(rule, {"age": 20, "country": "AT", "vip": False}) is False


def test_logic_gives_the_deciding_value():
    assert evaluate("0 or 'x'") == "x"
    assert evaluate("0 and 'x'") == 0


def test_logic_stops_when_decided():
    assert evaluate("n == 0 or 10 / n > 1", {"n": 0}) is True


def test_functions():
    assert evaluate("max(1, length('abc'))", functions={"max": max, "length": len}) == 3


@pytest.mark.parametrize("source", ["missing", "nope(1)", "1 / 0", "'a' + 1", "[1][5]", "2 ** 9999", "1 in 2"])
def test_what_has_no_value(source):
    with pytest.raises(EvaluationError):
        evaluate(source)


def test_names_in():
    assert names_in("a + f(b)[c] > 0 and not d or [e][0] in 'x'") == {"a", "b", "c", "d", "e"}
