"""How rich draws what both terminals show: the line of a run, and a conversation."""

from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from qwencode.events import Listed, VerdictReached
from qwencode.ui.text import safe
from qwencode.ui.words import Line

STYLES = {"head": "bold", "dim": "dim", "good": "bold green", "bad": "red", "warn": "yellow", "text": ""}
THEME = "ansi_dark"
"""The colours that the user has given to their terminal."""
_OUTCOMES = {"passed": "green", "failed": "red", "error": "red", "missing": "red"}


def line(said: Line) -> Text:
    """Return what `words.lines` says, in the style that it names."""
    style, text = said
    return Text(safe(text), style=STYLES[style])


def is_command(said: Line) -> bool:
    """Say whether a line is nothing but a command: the terminal breaks it, so that it can be copied as it is."""
    return said[1].startswith("git ")


def diff(text: str) -> Syntax:
    """Return a unified diff in colour."""
    return Syntax(safe(text), "diff", theme=THEME, background_color="default", word_wrap=True)


def listed(event: Listed) -> Padding:
    """Return a table whose last column has what room there is."""
    columns = max((len(row) for row in event.rows), default=len(event.heads))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=bool(event.heads), header_style="dim")
    for number in range(columns):
        head = Text(safe(event.heads[number])) if number < len(event.heads) else Text()
        table.add_column(head, overflow="fold", no_wrap=number < columns - 1)
    for row in event.rows:
        table.add_row(*(Text(safe(cell)) for cell in row))
    return Padding(table, (0, 0, 0, 2))


def proof(event: VerdictReached) -> Table:
    """Return the table of what a verdict rests on."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("test", "before", "after"):
        table.add_column(name, overflow="fold")
    for row in event.proof:
        outcomes = (Text(safe(outcome), style=_OUTCOMES.get(outcome, "yellow")) for outcome in (row.before, row.after))
        table.add_row(Text(safe(row.test)), *outcomes)
    table.add_row(Text("all passing tests", style="dim"), str(event.passing_before), str(event.passing_after))
    return table
