"""The ledger: accounts, transactions and holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from daybook.account import Account, Hold, LedgerError


@dataclass(frozen=True)
class Transaction:
    """What was booked: the change of every account that takes part. The changes add up to zero."""

    number: int
    on: date
    text: str
    changes: Mapping[str, int]
    reverses: int | None = None


@dataclass
class Ledger:
    """The books. Nothing is ever removed: a mistake is corrected by a reversing transaction."""

    accounts: dict[str, Account] = field(default_factory=dict)
    transactions: list[Transaction] = field(default_factory=list)
    closed_until: date | None = None
    _holds: int = 0

    def open(self, name: str, floor: int | None = 0) -> Account:
        """Open an account with nothing in it."""
        if name in self.accounts:
            raise LedgerError(f"there is already an account {name}")
        self.accounts[name] = Account(name, floor)
        return self.accounts[name]

    def account(self, name: str) -> Account:
        try:
            return self.accounts[name]
        except KeyError:
            raise LedgerError(f"there is no account {name}") from None

    def post(self, text: str, changes: Mapping[str, int], on: date, reverses: int | None = None) -> Transaction:
        """Book a transaction. Raises LedgerError, and then nothing has changed."""
        self._check(changes, on)
        for name, change in changes.items():
            account = self.account(name)
            account.require(change)
            account.balance += change
        transaction = Transaction(len(self.transactions) + 1, on, text, dict(changes), reverses)
        self.transactions.append(transaction)
        return transaction

    def transfer(self, amount: int, source: str, target: str, on: date, text: str = "Transfer") -> Transaction:
        """Move money from one account to another."""
        if amount <= 0:
            raise LedgerError(f"{amount} cannot be transferred")
        if source == target:
            raise LedgerError(f"{source} is both source and target")
        return self.post(text, {source: -amount, target: amount}, on)

    def reverse(self, number: int, on: date) -> Transaction:
        """Book the opposite of a transaction, once."""
        original = self.transaction(number)
        if any(other.reverses == number for other in self.transactions):
            raise LedgerError(f"transaction {number} was reversed before")
        changes = {name: -change for name, change in original.changes.items()}
        return self.post(f"Reversal: {original.text}", changes, on, reverses=number)

    def transaction(self, number: int) -> Transaction:
        if not 1 <= number <= len(self.transactions):
            raise LedgerError(f"there is no transaction {number}")
        return self.transactions[number - 1]

    def hold(self, name: str, amount: int) -> Hold:
        """Set money aside. Raises NotCovered when so much is not available."""
        if amount <= 0:
            raise LedgerError(f"{amount} cannot be held")
        account = self.account(name)
        account.require(-amount)
        self._holds += 1
        account.holds[self._holds] = Hold(self._holds, name, amount)
        return account.holds[self._holds]

    def release(self, hold: Hold) -> None:
        """Make held money available again."""
        if self.account(hold.account).holds.pop(hold.number, None) is None:
            raise LedgerError(f"hold {hold.number} does not exist any more")

    def capture(self, hold: Hold, target: str, on: date, amount: int | None = None) -> Transaction:
        """Pay held money to an account, all of it or less; the rest becomes available again.

        When the payment cannot be booked, the money stays held.
        """
        paid = hold.amount if amount is None else amount
        if paid > hold.amount:
            raise LedgerError(f"hold {hold.number} is for {hold.amount} only")
        self.release(hold)
        try:
            return self.transfer(paid, hold.account, target, on, f"Capture of hold {hold.number}")
        except LedgerError:
            self.account(hold.account).holds[hold.number] = hold
            raise

    def close(self, until: date) -> None:
        """Close the books up to and including a day: nothing more is booked on it or before."""
        if self.closed_until is not None and until < self.closed_until:
            raise LedgerError(f"the books are closed until {self.closed_until} already")
        self.closed_until = until

    def _check(self, changes: Mapping[str, int], on: date) -> None:
        if len(changes) < 2:
            raise LedgerError("a transaction has at least two accounts")
        if sum(changes.values()) != 0:
            raise LedgerError(f"the changes add up to {sum(changes.values())}, not to zero")
        if self.closed_until is not None and on <= self.closed_until:
            raise LedgerError(f"the books are closed until {self.closed_until}")
