import pytest

from pennywise import CurrencyMismatch, Invoice, Line, Money


def eur(text):
    return Money.parse(text, "EUR")


def test_empty_invoice():
    assert Invoice("EUR").total() == eur("0")


def test_net_and_tax_per_rate():
    invoice = Invoice("EUR", [Line("Book", eur("10.00"), 2, "0.07"), Line("Lamp", eur("30.00"), 1, "0.19")])
    assert invoice.net() == eur("50.00")
    assert invoice.taxes() == {"0.07": eur("1.40"), "0.19": eur("5.70")}
    assert invoice.total() == eur("57.10")


def test_tax_is_rounded_once_per_rate():
    invoice = Invoice("EUR", [Line("Pin", eur("0.03"), 1, "0.19") for _ in range(10)])
    assert invoice.taxes() == {"0.19": eur("0.06")}


def test_discount_is_rounded_per_line():
    invoice = Invoice("EUR", [Line("Pen", eur("0.99")), Line("Ink", eur("4.99"))], discount=10)
    assert invoice.net() == eur("5.38")


def test_half_a_cent_of_tax_is_charged():
    assert Invoice("EUR", [Line("Card", eur("2.50"), 1, "0.05")]).taxes() == {"0.05": eur("0.13")}


def test_discount_out_of_range():
    with pytest.raises(ValueError):
        Invoice("EUR", discount=101)


def test_a_line_of_another_currency_is_refused():
    invoice = Invoice("EUR")
    with pytest.raises(CurrencyMismatch):
        invoice.add(Line("Book", Money(1000, "USD")))
    assert invoice.lines == []


def test_cash_total_goes_to_five_cents():
    assert Invoice("CHF", [Line("Tea", Money(1013, "CHF"))]).cash_total() == Money(1015, "CHF")
