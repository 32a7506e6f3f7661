"""Read, filter, group and summarise CSV files."""

from rowsmith.reader import CsvError, parse, render
from rowsmith.summary import Summary, describe
from rowsmith.table import Table

__all__ = ["CsvError", "Summary", "Table", "describe", "parse", "render"]
