"""Dividing an amount among several without losing a cent."""

from collections.abc import Sequence
from fractions import Fraction

from pennywise.money import Money
from pennywise.rounding import toward_zero


def allocate(amount: Money, weights: Sequence[int]) -> list[Money]:
    """Divide by weights, after the largest-remainder method (Hamilton).

    The shares add up to the amount exactly. What is left over after rounding towards zero goes, a unit each, to the
    shares that lost most by it; of equal ones the earlier comes first.
    """
    total = sum(weights)
    if not weights or total <= 0 or min(weights) < 0:
        raise ValueError("weights must not be negative, and at least one must be positive")
    exact = [Fraction(amount.units * weight, total) for weight in weights]
    shares = [toward_zero(part) for part in exact]
    lost = [abs(part - share) for part, share in zip(exact, shares)]
    left = amount.units - sum(shares)
    unit = 1 if left > 0 else -1
    by_loss = sorted(range(len(weights)), key=lambda index: (-lost[index], index))
    for index in by_loss[: abs(left)]:
        shares[index] += unit
    return [Money(share, amount.currency) for share in shares]


def split_evenly(amount: Money, parts: int) -> list[Money]:
    """Divide into equal parts; the first ones carry the cents that do not divide."""
    if parts < 1:
        raise ValueError(f"cannot split into {parts} parts")
    return allocate(amount, [1] * parts)


def instalments(amount: Money, months: int, fee: Money) -> list[Money]:
    """Return the monthly payments for an amount, the fee being paid with the first."""
    payments = split_evenly(amount, months)
    return [payments[0] + fee, *payments[1:]]
