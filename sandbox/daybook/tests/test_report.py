from datetime import date

import pytest

from daybook import LedgerError, balances, statement, turnover


def test_statement_with_running_balance(ledger, day):
    ledger.transfer(2000, "cash", "bank", date(2025, 3, 3), "Deposit")
    entries = statement(ledger, "cash")
    assert [(entry.text, entry.change, entry.balance) for entry in entries] == [
        ("Opening", 10000, 10000),
        ("Deposit", -2000, 8000),
    ]


def test_statement_goes_by_the_day(ledger):
    ledger.transfer(1, "cash", "bank", date(2025, 3, 9), "late")
    ledger.transfer(2, "cash", "bank", date(2025, 3, 5), "early")
    assert [entry.text for entry in statement(ledger, "cash")] == ["Opening", "early", "late"]


def test_statement_of_a_span_starts_with_what_was_there(ledger):
    ledger.transfer(2000, "cash", "bank", date(2025, 3, 3))
    (entry,) = statement(ledger, "cash", since=date(2025, 3, 2), until=date(2025, 3, 3))
    assert entry.balance == 8000


def test_statement_of_an_unknown_account(ledger):
    with pytest.raises(LedgerError):
        statement(ledger, "nobody")


def test_balances_of_a_day(ledger, day):
    ledger.transfer(2000, "cash", "bank", date(2025, 3, 3))
    assert balances(ledger, day)["cash"] == 10000
    assert balances(ledger)["cash"] == 8000


def test_turnover_leaves_out_what_was_reversed(ledger, day):
    ledger.transfer(300, "cash", "bank", day)
    ledger.transfer(700, "cash", "bank", day)
    ledger.reverse(2, day)
    assert turnover(ledger, "cash") == (10000, 700)
