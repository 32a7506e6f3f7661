import pytest
from snapshot_ground import project

__all__ = ["project"]


@pytest.fixture(autouse=True)
def permissions_hold_in_every_test(permissions_hold: None) -> None:
    """Ask for them: whatever is kept and put back depends on permissions."""
