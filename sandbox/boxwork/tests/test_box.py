import pytest

from boxwork import Box


def test_right_and_bottom_lie_outside():
    box = Box(1, 2, 4, 4)
    assert (box.width, box.height, box.area) == (3, 2, 6)
    assert box.contains(1, 2)
    assert box.contains(3, 3)
    assert not box.contains(4, 3)
    assert not box.contains(3, 4)


@pytest.mark.parametrize("sides", [(3, 0, 1, 2), (0, 3, 1, 2)])
def test_no_box_is_inside_out(sides):
    with pytest.raises(ValueError, match="inside out"):
        Box(*sides)


def test_an_empty_box_has_no_cell():
    box = Box(2, 2, 2, 5)
    assert box.area == 0
    assert not box.contains(2, 3)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 1), (-2, 5)])
def test_moving_keeps_the_size(dx, dy):
    box = Box(1, 2, 4, 4).moved(dx, dy)
    assert (box.left, box.top) == (1 + dx, 2 + dy)
    assert (box.width, box.height) == (3, 2)


def test_no_margin_changes_nothing():
    assert Box(1, 2, 4, 4).grown(0) == Box(1, 2, 4, 4)


def test_a_margin_on_all_sides():
    assert Box(1, 2, 4, 4).grown(2) == Box(-1, 0, 6, 6)


def test_a_negative_margin_makes_it_smaller():
    assert Box(0, 0, 6, 8).grown(-2) == Box(2, 2, 4, 6)


def test_boxes_that_touch_do_not_overlap():
    box = Box(0, 0, 2, 2)
    assert box.overlaps(Box(1, 1, 3, 3))
    assert not box.overlaps(Box(2, 0, 4, 2))
    assert not box.overlaps(Box(0, 2, 2, 4))


def test_united():
    assert Box(0, 1, 2, 3).united(Box(5, 0, 6, 2)) == Box(0, 0, 6, 3)


def test_common():
    assert Box(0, 0, 4, 4).common(Box(2, 1, 6, 3)) == Box(2, 1, 4, 3)
    assert Box(0, 0, 1, 1).common(Box(1, 1, 2, 2)) is None
