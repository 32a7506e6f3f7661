from datetime import date

import pytest

from daybook import Ledger


@pytest.fixture
def day():
    return date(2025, 3, 1)


@pytest.fixture
def ledger(day):
    """Books with 100.00 in cash, 50.00 at the bank, and an account without a floor."""
    ledger = Ledger()
    for name in ("cash", "bank", "fees"):
        ledger.open(name)
    ledger.open("world", floor=None)
    ledger.post("Opening", {"world": -15000, "cash": 10000, "bank": 5000}, day)
    return ledger
