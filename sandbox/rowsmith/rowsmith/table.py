"""Rows with named columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rowsmith.reader import CsvError, parse, render

Row = dict[str, str]


def number(text: str) -> float | None:
    """Return the number that a text stands for, or None. Blanks around it and thousands commas are allowed."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


class Table:
    """Columns and rows. Every method that changes something returns a new table."""

    def __init__(self, columns: Sequence[str], rows: Iterable[Row]):
        self.columns = list(columns)
        self.rows = list(rows)

    @classmethod
    def from_csv(cls, text: str, delimiter: str = ",") -> Table:
        """Read a text whose first record names the columns. Raises CsvError for ragged or unnamed ones."""
        records = parse(text, delimiter)
        header = next(records, None)
        if header is None:
            raise CsvError("line 1: there is no header")
        columns = [name.strip() for name in header]
        if len(set(columns)) < len(columns):
            raise CsvError("line 1: two columns have the same name")
        rows: list[Row] = []
        for count, record in enumerate(records, 1):
            if len(record) != len(columns):
                raise CsvError(f"record {count}: {len(record)} fields where the header has {len(columns)}")
            rows.append(dict(zip(columns, record)))
        return cls(columns, rows)

    def to_csv(self, delimiter: str = ",") -> str:
        body = [[row[column] for column in self.columns] for row in self.rows]
        return render([self.columns, *body], delimiter)

    def column(self, name: str) -> list[str]:
        self._need(name)
        return [row[name] for row in self.rows]

    def numbers(self, name: str) -> list[float]:
        """Return the numbers of a column; values that are no number are left out."""
        found = (number(text) for text in self.column(name))
        return [value for value in found if value is not None]

    def select(self, *names: str) -> Table:
        """Keep some columns, in the order given."""
        for name in names:
            self._need(name)
        return Table(names, ({name: row[name] for name in names} for row in self.rows))

    def where(self, test: Callable[[Row], bool]) -> Table:
        return Table(self.columns, (row for row in self.rows if test(row)))

    def sort(self, name: str, descending: bool = False) -> Table:
        """Sort by a column: numbers first, by size, then texts. Equal rows keep their order, also when descending."""
        self._need(name)

        def key(row: Row) -> tuple[bool, float, str]:
            value = number(row[name])
            return (True, 0.0, row[name]) if value is None else (False, value, "")

        return Table(self.columns, sorted(self.rows, key=key, reverse=descending))

    def group(self, name: str) -> dict[str, Table]:
        """Split by the values of a column, in the order in which they first occur."""
        groups: dict[str, list[Row]] = {}
        for value, row in zip(self.column(name), self.rows):
            groups.setdefault(value, []).append(row)
        return {value: Table(self.columns, rows) for value, rows in groups.items()}

    def _need(self, name: str) -> None:
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; there are: {', '.join(self.columns)}")

    def __len__(self) -> int:
        return len(self.rows)
