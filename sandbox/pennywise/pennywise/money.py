"""The value type: an amount of whole minor units in one currency."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from pennywise.rounding import half_up

DIGITS = {"EUR": 2, "USD": 2, "CHF": 2, "JPY": 0, "KWD": 3}
_AMOUNT = re.compile(r"(?P<sign>-?)(?P<whole>\d+)(?:\.(?P<part>\d+))?")


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies were put together."""


def digits_of(currency: str) -> int:
    """Return the number of decimal places of a currency. Raises ValueError for one that is not known."""
    try:
        return DIGITS[currency]
    except KeyError:
        raise ValueError(f"unknown currency {currency!r}") from None


@dataclass(frozen=True, order=False)
class Money:
    """An amount: `units` of the smallest coin. `Money(1250, "EUR")` is 12.50 EUR."""

    units: int
    currency: str

    @classmethod
    def parse(cls, text: str, currency: str) -> Money:
        """Read `"12.5"` or `"-3"`. More decimal places than the currency has are refused, not rounded."""
        digits = digits_of(currency)
        match = _AMOUNT.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"not an amount: {text!r}")
        part = match["part"] or ""
        if len(part) > digits:
            raise ValueError(f"{currency} has {digits} decimal places: {text!r}")
        units = int(match["whole"] + part.ljust(digits, "0"))
        return cls(-units if match["sign"] else units, currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(0, currency)

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} do not mix")

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.units + other.units, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.units - other.units, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.units, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.units < other.units

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.units <= other.units

    def times(self, factor: int | str | Fraction, rounding: Callable[[Fraction], int] = half_up) -> Money:
        """Multiply exactly, then round once. A factor with a fraction is given as text or Fraction, never as float."""
        if isinstance(factor, float):
            raise TypeError("a float is not exact; write the factor as text, such as '0.19'")
        return Money(rounding(self.units * Fraction(factor)), self.currency)

    def __str__(self) -> str:
        digits = digits_of(self.currency)
        sign = "-" if self.units < 0 else ""
        text = str(abs(self.units)).rjust(digits + 1, "0")
        if not digits:
            return f"{sign}{text} {self.currency}"
        return f"{sign}{text[:-digits]}.{text[-digits:]} {self.currency}"
