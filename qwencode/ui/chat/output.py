"""Writing to the terminal: all of one change at once, and in the right place after the window has changed its size."""

import os
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Size
from prompt_toolkit.layout import Layout
from prompt_toolkit.layout.screen import Screen
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.renderer import Renderer
from prompt_toolkit.styles import BaseStyle

STILL_SECONDS = 0.35
"""How long the window must keep its size before the area is drawn again. A window that is dragged has many sizes, and
tmux tells them late: what is drawn meanwhile would be broken by the next one."""
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
"""Terminals that know these draw everything in between at once; others do nothing."""


class Held(Vt100_Output):
    """Writes nothing while it is held, and then everything."""

    holding = False

    def __init__(self, stream: TextIO):
        super().__init__(stream, lambda: _size(stream), term=os.environ.get("TERM"))

    @property
    def responds_to_cpr(self) -> bool:
        """The terminal is never asked where its cursor is: over slow lines, answers have been taken for keys."""
        return False

    def flush(self) -> None:
        if not self.holding:
            super().flush()

    @contextmanager
    def held(self) -> Generator[None]:
        """Let everything that is written inside reach the terminal in one piece."""
        if self.holding:
            yield
            return
        self.holding = True
        self.write_raw(_BEGIN)
        try:
            yield
        finally:
            self.holding = False
            self.write_raw(_END)
            self.flush()


class Drawing(Renderer):
    """Draws an area as high as what it holds, and finds it again when the terminal has broken its lines anew."""

    def __init__(self, style: BaseStyle, output: Held, environment: Mapping[str, str]):
        self._held = output
        self._size: Size | None = None
        self._still_at = 0.0
        self._widths: list[int] = []
        self._reflows = reflows(environment)
        self._keeps_blanks = "TMUX" in environment
        super().__init__(style, output)

    def render(self, app: Application[Any], layout: Layout, is_done: bool = False) -> None:
        size = self._held.get_size()
        with self._held.held():
            self._notice(size)
            if time.monotonic() < self._still_at:
                return
            last = self.last_rendered_screen
            if last and last.height > layout.container.preferred_height(size.columns, size.rows).preferred:
                self.erase(leave_alternate_screen=False)
            self._size = size
            super().render(app, layout, is_done)
            if now := self.last_rendered_screen:
                self._widths = widths(now, self._widths if self._keeps_blanks else [])

    def erase(self, leave_alternate_screen: bool = True) -> None:
        """Take the area away, line by line: erased at once, some terminals would keep it among what has scrolled by."""
        self._notice(self._held.get_size())
        self._erase(self._cursor_pos.y, len(self._widths))
        self.reset(leave_alternate_screen=leave_alternate_screen)

    @property
    def moving(self) -> bool:
        """Whether the size of the window changed just now, so that nothing should be printed."""
        return time.monotonic() < self._still_at

    def _notice(self, size: Size) -> None:
        """Take the area away if the window has another size than it had when the area was drawn."""
        if self._size is None or size == self._size:
            return
        if self._widths:
            x, y = self._cursor_pos
            above = rows_taken(self._widths[:y], size.columns) + x // size.columns if self._reflows else y
            below = rows_taken(self._widths[y:], size.columns) if self._reflows else len(self._widths) - y
            self._erase(min(above, size.rows - 1), min(above + below, size.rows))
            self.reset(leave_alternate_screen=False)
        self._size, self._still_at = size, time.monotonic() + STILL_SECONDS

    def _erase(self, up: int, rows: int) -> None:
        """Go to where the area begins, and empty so many rows from there on."""
        output = self._held
        output.write_raw("\r")
        output.cursor_up(up)
        output.reset_attributes()
        for row in range(rows):
            output.write_raw("\x1b[2K" if row + 1 == rows else "\x1b[2K\n")
        output.cursor_up(max(rows - 1, 0))
        output.enable_autowrap()
        self._widths = []


def _size(stream: TextIO) -> Size:
    """Return the size of the window; where the terminal does not tell, what has been usual for fifty years."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except OSError:
        columns = rows = 0
    return Size(rows=rows or 24, columns=columns or 80)


def reflows(environment: Mapping[str, str]) -> bool:
    """Return whether the terminal breaks long lines anew when it gets narrower: all but xterm, screen and consoles."""
    plain = environment.get("TERM", "") in ("linux", "vt100", "vt220")
    return not (plain or "XTERM_VERSION" in environment or ("STY" in environment and "TMUX" not in environment))


def widths(screen: Screen, before: Sequence[int]) -> list[int]:
    """Return how many cells each row uses, at least as many as `before`: tmux counts those that were blanked, too."""
    found: list[int] = []
    for y in range(screen.height):
        row = screen.data_buffer[y]
        used = max((x + max(char.width, 1) for x, char in row.items() if char.char != " "), default=0)
        found.append(max(used, before[y] if y < len(before) else 0))
    return found


def rows_taken(used: Sequence[int], columns: int) -> int:
    """Return how many rows lines of so many cells take in a window that is `columns` wide."""
    return sum(max(-(-cells // columns), 1) for cells in used)
