"""Invoices: lines, discount, and tax shown per rate."""

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from pennywise.money import CurrencyMismatch, Money
from pennywise.rounding import to_step


@dataclass(frozen=True)
class Line:
    """One position. `rate` is the tax rate as text: "0.19" for 19 percent."""

    title: str
    price: Money
    quantity: int = 1
    rate: str = "0"

    def net(self) -> Money:
        return self.price.times(self.quantity)


@dataclass
class Invoice:
    """Lines of one currency, with a discount in percent on the net amount of every line."""

    currency: str
    lines: list[Line] = field(default_factory=list)
    discount: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 100:
            raise ValueError(f"a discount is 0 to 100 percent, not {self.discount}")
        for line in self.lines:
            self._check(line)

    def _check(self, line: Line) -> None:
        if line.price.currency != self.currency:
            raise CurrencyMismatch(f"{line.title} is priced in {line.price.currency}, the invoice in {self.currency}")

    def add(self, line: Line) -> None:
        self._check(line)
        self.lines.append(line)

    def line_total(self, line: Line) -> Money:
        """Return the net amount of a line after the discount, rounded per line."""
        return line.net().times(Fraction(100 - self.discount, 100))

    def net(self) -> Money:
        return sum((self.line_total(line) for line in self.lines), Money.zero(self.currency))

    def taxes(self) -> dict[str, Money]:
        """Return the tax for each rate: computed on the sum of its lines, rounded once per rate."""
        base: dict[str, Money] = defaultdict(lambda: Money.zero(self.currency))
        for line in self.lines:
            base[line.rate] = base[line.rate] + self.line_total(line)
        return {rate: amount.times(rate) for rate, amount in sorted(base.items())}

    def total(self) -> Money:
        return sum(self.taxes().values(), self.net())

    def cash_total(self, step: int = 5) -> Money:
        """Return the total as paid in cash, where the smallest coin is `step` units."""
        return Money(to_step(self.total().units, step), self.currency)
