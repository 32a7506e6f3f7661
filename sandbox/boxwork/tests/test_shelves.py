import itertools

import pytest

from boxwork import Box, pack, waste
from boxwork.shelves import around, framed

SIZES = [(4, 2), (3, 3), (5, 1), (2, 2), (1, 3)]


def test_nothing_overlaps():
    for one, other in itertools.combinations(pack(SIZES, 8), 2):
        assert not one.overlaps(other)


def test_boxes_keep_their_size_and_order():
    assert [(box.width, box.height) for box in pack(SIZES, 8)] == SIZES


def test_the_highest_come_first():
    boxes = pack(SIZES, 8)
    assert boxes[1] == Box(0, 0, 3, 3)
    assert boxes[4] == Box(3, 0, 4, 3)
    assert boxes[0] == Box(4, 0, 8, 2)


def test_a_gap_between_neighbours_and_shelves():
    assert pack([(2, 2), (2, 2), (2, 1)], 5, gap=1) == [Box(0, 0, 2, 2), Box(3, 0, 5, 2), Box(0, 3, 2, 4)]


def test_what_is_too_wide_is_refused():
    with pytest.raises(ValueError, match="9 wide"):
        pack([(9, 1)], 8)


def test_around():
    assert around([]) is None
    assert around([Box(1, 1, 2, 2), Box(4, 0, 5, 3)]) == Box(1, 0, 5, 3)


def test_waste():
    assert waste([]) == 0.0
    assert waste([Box(0, 0, 2, 2)]) == 0.0
    assert waste([Box(0, 0, 2, 2), Box(2, 0, 4, 1)]) == 0.25


def test_framed():
    assert framed([], 1) is None
    assert framed([Box(0, 0, 2, 2), Box(2, 0, 4, 1)], 0) == Box(0, 0, 4, 2)
