"""Rounding of exact fractions to whole numbers.

Every function takes a `Fraction` and returns an `int`; none of them goes through a float.
"""

from fractions import Fraction
from math import floor

HALF = Fraction(1, 2)


def toward_zero(value: Fraction) -> int:
    """Drop the fraction: 2.9 becomes 2, -2.9 becomes -2."""
    return -floor(-value) if value < 0 else floor(value)


def half_up(value: Fraction) -> int:
    """Round to the nearest whole number; a half goes away from zero (commercial rounding)."""
    whole = toward_zero(value)
    rest = abs(value - whole)
    if rest > HALF:
        return whole + (1 if value > 0 else -1)
    return whole


def half_even(value: Fraction) -> int:
    """Round to the nearest whole number; a half goes to the even neighbour (bankers' rounding)."""
    low = floor(value)
    rest = value - low
    if rest == HALF:
        return low if low % 2 == 0 else low + 1
    return low if rest < HALF else low + 1


def to_step(units: int, step: int) -> int:
    """Round whole units to the nearest multiple of a step, a half away from zero.

    Cash totals in some countries are rounded to five cents: `to_step(1013, 5)` is 1015.
    """
    if step < 1:
        raise ValueError(f"a step is at least 1, not {step}")
    return half_up(Fraction(units, step)) * step
