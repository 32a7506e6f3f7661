from boxwork import Box, draw, pack
from boxwork.drawing import draw_framed


def test_nothing_to_draw():
    assert draw([]) == ""
    assert draw_framed([]) == ""


def test_a_packed_shelf():
    assert draw(pack([(2, 1), (1, 2), (3, 1)], 4)) == "BAA\nB..\nCCC"


def test_a_drawing_begins_at_its_first_cell():
    assert draw([Box(5, 5, 7, 6), Box(6, 6, 7, 7)]) == "AA\n.B"


def test_later_boxes_lie_on_top():
    assert draw([Box(0, 0, 3, 1), Box(1, 0, 2, 1)]) == "ABA"


def test_a_frame_around_it():
    assert draw_framed([Box(0, 0, 2, 1)]) == "####\n#AA#\n####"
