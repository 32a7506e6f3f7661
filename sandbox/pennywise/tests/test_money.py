from fractions import Fraction

import pytest

from pennywise import CurrencyMismatch, Money
from pennywise.rounding import half_even


@pytest.mark.parametrize(
    ("text", "currency", "units"),
    [("12.50", "EUR", 1250), ("12.5", "EUR", 1250), ("-3", "USD", -300), ("700", "JPY", 700), ("1.234", "KWD", 1234)],
)
def test_parse(text, currency, units):
    assert Money.parse(text, currency) == Money(units, currency)


@pytest.mark.parametrize("text", ["", "1,50", "1.2.3", "abc", "1.", ".5", "+1"])
def test_parse_refuses_what_is_not_an_amount(text):
    with pytest.raises(ValueError):
        Money.parse(text, "EUR")


def test_parse_refuses_too_many_decimal_places():
    with pytest.raises(ValueError, match="2 decimal places"):
        Money.parse("1.005", "EUR")


def test_unknown_currency():
    with pytest.raises(ValueError, match="ZZZ"):
        Money.parse("1", "ZZZ")


def test_sum_and_difference():
    assert Money(100, "EUR") + Money(20, "EUR") - Money(50, "EUR") == Money(70, "EUR")


def test_currencies_do_not_mix():
    with pytest.raises(CurrencyMismatch):
        Money(1, "EUR") + Money(1, "USD")
    with pytest.raises(CurrencyMismatch):
        Money(1, "EUR") < Money(1, "USD")


def test_order():
    assert Money(1, "EUR") < Money(2, "EUR")
    assert Money(2, "EUR") <= Money(2, "EUR")


def test_times_rounds_once():
    assert Money(999, "EUR").times("0.19") == Money(190, "EUR")
    assert Money(1000, "EUR").times(Fraction(1, 3)) == Money(333, "EUR")


def test_times_rounds_commercially_unless_told_otherwise():
    assert Money(250, "EUR").times("0.05") == Money(13, "EUR")
    assert Money(250, "EUR").times("0.05", half_even) == Money(12, "EUR")


def test_times_refuses_a_float():
    with pytest.raises(TypeError):
        Money(100, "EUR").times(0.19)


@pytest.mark.parametrize(
    ("money", "text"),
    [(Money(5, "EUR"), "0.05 EUR"), (Money(-1250, "USD"), "-12.50 USD"), (Money(7, "JPY"), "7 JPY")],
)
def test_text(money, text):
    assert str(money) == text
