from fractions import Fraction

import pytest

from pennywise.rounding import half_even, half_up, to_step, toward_zero


def test_toward_zero_drops_the_fraction_on_both_sides():
    assert toward_zero(Fraction("2.9")) == 2
    assert toward_zero(Fraction("-2.9")) == -2


def test_half_up_goes_to_the_nearest():
    assert half_up(Fraction("2.49")) == 2
    assert half_up(Fraction("2.51")) == 3
    assert half_up(Fraction("-2.51")) == -3


def test_half_up_takes_a_half_away_from_zero():
    assert [half_up(Fraction(text)) for text in ("0.5", "1.5", "-0.5", "-2.5")] == [1, 2, -1, -3]


def test_half_up_leaves_whole_numbers_alone():
    assert [half_up(Fraction(n)) for n in (-3, 0, 7)] == [-3, 0, 7]


def test_half_even_takes_a_half_to_the_even_neighbour():
    assert [half_even(Fraction(text)) for text in ("0.5", "1.5", "2.5", "-0.5", "-1.5")] == [0, 2, 2, 0, -2]


def test_half_even_goes_to_the_nearest_otherwise():
    assert half_even(Fraction("2.51")) == 3
    assert half_even(Fraction("-2.51")) == -3


@pytest.mark.parametrize(("units", "rounded"), [(1011, 1010), (1012, 1010), (1013, 1015), (1018, 1020), (-1013, -1015)])
def test_to_step_of_five(units, rounded):
    assert to_step(units, 5) == rounded


def test_to_step_refuses_a_step_below_one():
    with pytest.raises(ValueError):
        to_step(100, 0)
