"""Figures about the columns of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from rowsmith.table import Table


@dataclass(frozen=True)
class Summary:
    """What a column holds. The figures are None where there is nothing to compute them from."""

    column: str
    filled: int
    distinct: int
    mean: float | None
    median: float | None
    deviation: float | None


def mean(values: Sequence[float]) -> float | None:
    """Return the arithmetic mean, or None when there are no values."""
    return sum(values) / len(values)


def median(values: Sequence[float]) -> float | None:
    """Return the middle value, or the mean of the two middle ones; None when there are no values."""
    if not values:
        return None
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2


def deviation(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation, or None when there are fewer than two values."""
    if len(values) < 2:
        return None
    middle = sum(values) / len(values)
    return sqrt(sum((value - middle) ** 2 for value in values) / (len(values) - 1))


def describe(table: Table) -> list[Summary]:
    """Summarise every column of a table."""
    return [summarise(table, name) for name in table.columns]


def summarise(table: Table, name: str) -> Summary:
    texts = [text for text in table.column(name) if text.strip()]
    values = table.numbers(name)
    return Summary(name, len(texts), len(set(texts)), mean(values), median(values), deviation(values))
