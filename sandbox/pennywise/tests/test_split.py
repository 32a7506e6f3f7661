import pytest

from pennywise import Money, allocate, split_evenly
from pennywise.split import instalments


def units(shares):
    return [share.units for share in shares]


def test_even_split_gives_spare_cents_to_the_first():
    assert units(split_evenly(Money(1000, "EUR"), 3)) == [334, 333, 333]


def test_negative_amounts_split_like_positive_ones():
    assert units(split_evenly(Money(-1000, "EUR"), 3)) == [-334, -333, -333]


def test_allocation_by_weights():
    assert units(allocate(Money(100, "EUR"), [1, 1, 4])) == [17, 17, 66]


def test_a_zero_weight_gets_nothing():
    assert units(allocate(Money(101, "EUR"), [1, 0, 1])) == [51, 0, 50]


@pytest.mark.parametrize("amount", [0, 1, 99, 1000, -7])
@pytest.mark.parametrize("weights", [[1], [3, 3, 1], [5, 0, 2, 9]])
def test_nothing_is_lost(amount, weights):
    assert sum(units(allocate(Money(amount, "EUR"), weights))) == amount


@pytest.mark.parametrize("weights", [[], [0, 0], [2, -1]])
def test_bad_weights(weights):
    with pytest.raises(ValueError):
        allocate(Money(100, "EUR"), weights)


def test_the_fee_is_paid_with_the_first_instalment():
    assert units(instalments(Money(1000, "EUR"), 3, Money(50, "EUR"))) == [384, 333, 333]
