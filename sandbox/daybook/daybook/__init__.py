"""Double-entry bookkeeping with holds and reports."""

from daybook.account import Account, Hold, LedgerError, NotCovered
from daybook.ledger import Ledger, Transaction
from daybook.report import balances, statement, turnover

__all__ = [
    "Account",
    "Hold",
    "Ledger",
    "LedgerError",
    "NotCovered",
    "Transaction",
    "balances",
    "statement",
    "turnover",
]
