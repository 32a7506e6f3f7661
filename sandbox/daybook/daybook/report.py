"""What the books say."""

from dataclasses import dataclass
from datetime import date

from daybook.ledger import Ledger


@dataclass(frozen=True)
class Entry:
    """One line of a statement, with the balance after it."""

    on: date
    text: str
    change: int
    balance: int


def statement(ledger: Ledger, name: str, since: date | None = None, until: date | None = None) -> list[Entry]:
    """Return the entries of an account, both days included, in order of the day and then of booking."""
    ledger.account(name)
    booked = sorted((t for t in ledger.transactions if name in t.changes), key=lambda t: (t.on, t.number))
    entries: list[Entry] = []
    balance = 0
    for transaction in booked:
        change = transaction.changes[name]
        balance += change
        if (since is None or transaction.on >= since) and (until is None or transaction.on <= until):
            entries.append(Entry(transaction.on, transaction.text, change, balance))
    return entries


def balances(ledger: Ledger, on: date | None = None) -> dict[str, int]:
    """Return the balance of every account at the end of a day, or now."""
    sums = dict.fromkeys(ledger.accounts, 0)
    for transaction in ledger.transactions:
        if on is None or transaction.on <= on:
            for name, change in transaction.changes.items():
                sums[name] += change
    return sums


def turnover(ledger: Ledger, name: str) -> tuple[int, int]:
    """Return what went into an account and what went out, both positive. Reversed transactions do not count."""
    ledger.account(name)
    reversed_ones = {t.reverses for t in ledger.transactions if t.reverses is not None}
    into = out = 0
    for transaction in ledger.transactions:
        if transaction.number in reversed_ones or transaction.reverses is not None:
            continue
        change = transaction.changes.get(name, 0)
        into += max(0, change)
        out += max(0, -change)
    return into, out
