import pytest

from daybook import LedgerError, NotCovered


def test_held_money_is_not_available(ledger, day):
    ledger.hold("bank", 3000)
    account = ledger.account("bank")
    assert (account.balance, account.held, account.available) == (5000, 3000, 2000)
    with pytest.raises(NotCovered):
        ledger.transfer(2001, "bank", "cash", day)


def test_holds_add_up(ledger):
    ledger.hold("bank", 3000)
    with pytest.raises(NotCovered):
        ledger.hold("bank", 2001)
    ledger.hold("bank", 2000)
    assert ledger.account("bank").available == 0


def test_nothing_cannot_be_held(ledger):
    with pytest.raises(LedgerError):
        ledger.hold("bank", 0)


def test_release(ledger):
    hold = ledger.hold("bank", 3000)
    ledger.release(hold)
    assert ledger.account("bank").available == 5000
    with pytest.raises(LedgerError):
        ledger.release(hold)


def test_capture(ledger, day):
    hold = ledger.hold("bank", 5000)
    ledger.capture(hold, "fees", day)
    assert (ledger.account("bank").balance, ledger.account("fees").balance) == (0, 5000)
    assert ledger.account("bank").held == 0


def test_capture_of_a_part_releases_the_rest(ledger, day):
    hold = ledger.hold("bank", 3000)
    ledger.capture(hold, "fees", day, amount=1000)
    assert ledger.account("bank").available == 4000


def test_no_more_than_was_held(ledger, day):
    with pytest.raises(LedgerError, match="3000 only"):
        ledger.capture(ledger.hold("bank", 3000), "fees", day, amount=3001)


def test_a_capture_that_fails_keeps_the_hold_and_the_money(ledger, day):
    hold = ledger.hold("bank", 3000)
    with pytest.raises(LedgerError):
        ledger.capture(hold, "nobody", day)
    account = ledger.account("bank")
    assert (account.balance, account.held) == (5000, 3000)
