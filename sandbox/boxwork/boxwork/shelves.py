"""Packing: boxes stand on shelves, one shelf below the other."""

from boxwork.box import Box


def pack(sizes, width, gap=0):
    """Return a box for each (width, height), in the order given, none overlapping another.

    The highest come first, as that wastes least. `gap` is left free between neighbours and between shelves.
    """
    order = sorted(range(len(sizes)), key=lambda number: (-sizes[number][1], number))
    placed = {}
    left = top = shelf = 0
    for number in order:
        wide, high = sizes[number]
        if wide > width:
            raise ValueError(f"a box {wide} wide does not fit into {width}")
        if left and left + wide > width:
            top += shelf + gap
            left = shelf = 0
        placed[number] = Box(left, top, left + wide, top + high)
        left += wide + gap
        shelf = max(shelf, high)
    return [placed[number] for number in range(len(sizes))]


def around(boxes):
    """Return the smallest box around all of them, None for none."""
    whole = None
    for box in boxes:
        whole = box if whole is None else whole.united(box)
    return whole


def waste(boxes):
    """Return the share of the area around the boxes that none of them takes, from 0 to 1."""
    whole = around(boxes)
    if whole is None or not whole.area:
        return 0.0
    return 1 - sum(box.area for box in boxes) / whole.area


def framed(boxes, margin):
    """Return the box around all of them with a margin."""
    whole = around(boxes)
    return None if whole is None else whole.grown(margin)
