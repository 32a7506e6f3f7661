"""Tables with columns that share the room there is."""

from collections.abc import Sequence

from inkwell.cells import clip, pad, width

SEPARATOR = " | "


class Table:
    """A header and rows of text. `align` has one letter for each column ("l", "r" or "c"); missing ones are "l"."""

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence[str]], align: str = ""):
        self.header = list(header)
        self.rows = [list(row) for row in rows]
        self.align = align.ljust(len(self.header), "l")
        for number, row in enumerate(self.rows, 1):
            if len(row) != len(self.header):
                raise ValueError(f"row {number} has {len(row)} cells, the header has {len(self.header)}")

    def widths(self, limit: int | None = None) -> list[int]:
        """Return the width of each column. Too wide a table is narrowed at its widest column, cell by cell."""
        widths = [max(width(cell) for cell in column) for column in zip(self.header, *self.rows)]
        if limit is None:
            return widths
        room = limit - len(SEPARATOR) * (len(widths) - 1)
        if room < len(widths):
            raise ValueError(f"{len(widths)} columns do not fit into {limit} cells")
        while sum(widths) > room:
            widths[widths.index(max(widths))] -= 1
        return widths

    def render(self, limit: int | None = None) -> str:
        """Draw the table: header, a rule, the rows. No line ends with blanks."""
        widths = self.widths(limit)
        lines = [self._line(self.header, widths)]
        lines.append("-+-".join("-" * cells for cells in widths))
        lines += [self._line(row, widths) for row in self.rows]
        return "\n".join(lines)

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = [pad(clip(text, cells), cells, align) for text, cells, align in zip(row, widths, self.align)]
        return SEPARATOR.join(cells).rstrip()
