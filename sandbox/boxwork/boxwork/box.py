"""Boxes with whole numbers as sides. Right and bottom lie outside."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A box on a grid, from (left, top) up to, but without, (right, bottom)."""

    left: int
    top: int
    right: int
    bottom: int

    def __post_init__(self):
        if self.right < self.left or self.bottom < self.top:
            raise ValueError(f"inside out: {self.left}, {self.top}, {self.right}, {self.bottom}")

    @property
    def width(self):
        return self.right - self.left

    @property
    def height(self):
        return self.bottom - self.top

    @property
    def area(self):
        return self.width * self.height

    def moved(self, dx, dy):
        """Return the box moved to the right and down."""
        return Box(self.left + dx, self.top + dy, self.right + dx, self.bottom + dy)

    def grown(self, margin):
        """Return the box with a margin on all four sides; a negative one makes it smaller."""
        return Box(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)

    def contains(self, x, y):
        """Say whether a point lies inside."""
        return self.left <= x < self.right and self.top <= y < self.bottom

    def overlaps(self, other):
        """Say whether the boxes share a cell."""
        across = self.left < other.right and other.left < self.right
        down = self.top < other.bottom and other.top < self.bottom
        return across and down

    def united(self, other):
        """Return the smallest box around both."""
        left, top = min(self.left, other.left), min(self.top, other.top)
        right, bottom = max(self.right, other.right), max(self.bottom, other.bottom)
        return Box(left, top, right, bottom)

    def common(self, other):
        """Return the box of the cells that both have, or None."""
        if not self.overlaps(other):
            return None
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Box(left, top, right, bottom)
