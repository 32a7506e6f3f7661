import pytest

from sluice import ManualClock


@pytest.fixture
def clock():
    return ManualClock(100.0)
