"""The command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rowsmith.reader import CsvError, render
from rowsmith.summary import Summary, describe
from rowsmith.table import Table


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _lines(summaries: Sequence[Summary], group: str = "") -> list[list[str]]:
    return [
        [group, s.column, str(s.filled), str(s.distinct), _text(s.mean), _text(s.median), _text(s.deviation)]
        for s in summaries
    ]


def summary(table: Table, by: str | None = None) -> str:
    """Return the summary of a table as CSV, one line for each column (and group)."""
    records = [["group", "column", "filled", "distinct", "mean", "median", "deviation"]]
    if by is None:
        records += _lines(describe(table))
    else:
        for value, part in table.group(by).items():
            records += _lines(describe(part), value)
    return render(records)


def main(arguments: Sequence[str]) -> int:
    """Run the tool; returns the exit status."""
    parser = argparse.ArgumentParser(prog="rowsmith", description="Summarise CSV files.")
    parser.add_argument("command", choices=["summary", "columns"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--by", metavar="COLUMN", help="summarise for each value of this column")
    parser.add_argument("--delimiter", default=",")
    options = parser.parse_args(arguments)
    try:
        table = Table.from_csv(options.file.read_text(encoding="utf-8"), options.delimiter)
        print(summary(table, options.by) if options.command == "summary" else "\n".join(table.columns), end="")
    except (CsvError, KeyError, OSError) as error:
        print(f"rowsmith: {error}")
        return 1
    return 0
