"""Accounts: a balance, a floor, and money that is set aside."""

from dataclasses import dataclass, field


class LedgerError(ValueError):
    """The books cannot do what they were asked to."""


class NotCovered(LedgerError):
    """An account would go below its floor."""


@dataclass(frozen=True)
class Hold:
    """Money of an account that is set aside."""

    number: int
    account: str
    amount: int


@dataclass
class Account:
    """An account. `floor` is the smallest balance it may have; None is no limit."""

    name: str
    floor: int | None = 0
    balance: int = 0
    holds: dict[int, Hold] = field(default_factory=dict)

    @property
    def held(self) -> int:
        return sum(hold.amount for hold in self.holds.values())

    @property
    def available(self) -> int | None:
        """What may still be taken out: down to the floor and without what is held. None is no limit."""
        if self.floor is None:
            return None
        return self.balance - self.held - self.floor

    def require(self, change: int) -> None:
        """Raise NotCovered if the account may not change by this amount. Money may always be put in."""
        available = self.available
        if change < 0 and available is not None and -change > available:
            raise NotCovered(f"{self.name} has {available} available, and {-change} are needed")
