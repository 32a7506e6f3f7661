"""Drawings of boxes in text."""

import string

from boxwork.shelves import around, framed

LETTERS = string.ascii_uppercase


def draw(boxes, empty="."):
    """Return a drawing of the boxes, a line for each row. Later boxes lie on top of earlier ones."""
    whole = around(boxes)
    if whole is None:
        return ""
    rows = [[empty] * whole.width for _ in range(whole.height)]
    for number, box in enumerate(boxes):
        letter = LETTERS[number % len(LETTERS)]
        for y in range(box.top, box.bottom):
            for x in range(box.left, box.right):
                rows[y - whole.top][x - whole.left] = letter
    return "\n".join("".join(row) for row in rows)


def draw_framed(boxes, margin=1, edge="#"):
    """Return the drawing inside a frame so many characters thick."""
    frame, inner = framed(boxes, margin), around(boxes)
    if frame is None:
        return ""
    drawn = iter(draw(boxes).split("\n"))
    lines = []
    for y in range(frame.top, frame.bottom):
        if inner.top <= y < inner.bottom:
            lines.append(edge * margin + next(drawn) + edge * margin)
        else:
            lines.append(edge * frame.width)
    return "\n".join()
