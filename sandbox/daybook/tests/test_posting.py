from datetime import date

import pytest

from daybook import LedgerError, NotCovered, balances


def test_a_transaction_moves_money(ledger, day):
    transaction = ledger.post("Deposit", {"cash": -2000, "bank": 2000}, day)
    assert transaction.number == 2
    assert balances(ledger) == {"cash": 8000, "bank": 7000, "fees": 0, "world": -15000}


def test_the_changes_add_up_to_zero(ledger, day):
    with pytest.raises(LedgerError, match="add up to 1"):
        ledger.post("Wrong", {"cash": -2000, "bank": 2001}, day)


def test_one_account_is_not_enough(ledger, day):
    with pytest.raises(LedgerError):
        ledger.post("Wrong", {"cash": 0}, day)


def test_down_to_the_floor_but_not_below(ledger, day):
    ledger.transfer(5000, "bank", "cash", day)
    with pytest.raises(NotCovered, match="bank has 0 available, and 1 are needed"):
        ledger.transfer(1, "bank", "cash", day)


def test_without_a_floor(ledger, day):
    ledger.transfer(10**9, "world", "cash", day)
    assert ledger.account("world").available is None


def test_money_may_always_be_put_in(ledger, day):
    ledger.open("debt", floor=100)
    ledger.transfer(50, "cash", "debt", day)
    assert ledger.account("debt").balance == 50


def test_a_refused_transaction_changes_nothing(ledger, day):
    with pytest.raises(NotCovered):
        ledger.post("Purchase", {"fees": 500, "cash": -9000, "bank": -6000, "world": 14500}, day)
    assert [account.balance for account in ledger.accounts.values()] == [10000, 5000, 0, -15000]
    assert len(ledger.transactions) == 1


def test_an_unknown_account_changes_nothing(ledger, day):
    with pytest.raises(LedgerError, match="no account post"):
        ledger.post("Stamps", {"cash": -100, "post": 100}, day)
    assert ledger.account("cash").balance == 10000


def test_a_refused_transfer_can_be_tried_again(ledger, day):
    with pytest.raises(NotCovered):
        ledger.post("Fees", {"fees": 5001, "bank": -5001}, day)
    ledger.post("Fees", {"fees": 5000, "bank": -5000}, day)
    assert ledger.account("fees").balance == 5000


@pytest.mark.parametrize(("amount", "target"), [(0, "bank"), (-5, "bank"), (5, "cash")])
def test_transfers_that_make_no_sense(ledger, day, amount, target):
    with pytest.raises(LedgerError):
        ledger.transfer(amount, "cash", target, day)


def test_an_account_is_opened_once(ledger):
    with pytest.raises(LedgerError):
        ledger.open("cash")


def test_closed_books(ledger, day):
    ledger.close(day)
    with pytest.raises(LedgerError, match="closed"):
        ledger.transfer(1, "cash", "bank", day)
    ledger.transfer(1, "cash", "bank", date(2025, 3, 2))
    with pytest.raises(LedgerError):
        ledger.close(date(2025, 2, 28))


def test_reversal(ledger, day):
    ledger.transfer(700, "cash", "bank", day)
    reversal = ledger.reverse(2, day)
    assert (reversal.reverses, reversal.text) == (2, "Reversal: Transfer")
    assert ledger.account("cash").balance == 10000
    with pytest.raises(LedgerError, match="before"):
        ledger.reverse(2, day)


def test_reversing_what_is_not_there(ledger, day):
    with pytest.raises(LedgerError):
        ledger.reverse(2, day)
