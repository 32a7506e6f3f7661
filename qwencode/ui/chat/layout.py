"""Where everything stands, and what it says. No line is filled up to the border, where a narrower window breaks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from prompt_toolkit.filters import Condition, has_focus, vi_navigation_mode
from prompt_toolkit.formatted_text import ANSI, AnyFormattedText, StyleAndTextTuples, to_formatted_text
from prompt_toolkit.layout import (
    BufferControl,
    CompletionsMenu,
    ConditionalContainer,
    Dimension,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.styles import Style
from prompt_toolkit.utils import get_cwidth
from prompt_toolkit.widgets import SearchToolbar

from qwencode.ui.chat.toolbar import Piece, clipped, parts, toolbar

if TYPE_CHECKING:
    from qwencode.ui.chat.screen import LiveLines, Screen

STYLE = Style.from_dict(
    {
        "prompt": "bold",
        "mode.plan": "ansiblue bold",
        "mode.ask": "ansigreen bold",
        "mode.auto": "ansiyellow bold",
        "toolbar": "dim",
        "toolbar.hint": "bold",
        "toolbar.full": "ansiyellow",
        "queued": "dim italic",
        "asking.head": "bold",
        "asking.key": "bold underline",
        "asking.chosen": "bold",
        "search-toolbar.prompt": "dim",
    }
)
_MENU_LINES = 8
_LIVE_LINES = 14
_FRAMES = 4  # a second: how often the live area changes by itself
_QUEUED_LINES = 3
_ROOM_FOR_MODE = 20


def layout(screen: Screen) -> Layout:
    """Build the layout of a screen."""
    answering = Condition(lambda: screen.answering)
    in_field = Condition(lambda: bool(screen.answering and screen.asking and screen.asking.field))
    search = SearchToolbar()
    entry = Window(
        BufferControl(screen.entry, search_buffer_control=search.control, preview_search=True),
        height=lambda: Dimension(min=1, max=_most_rows(screen)),
        wrap_lines=True,
        dont_extend_height=True,
        get_line_prefix=lambda line, wrapped: _prefix(screen, line, wrapped),
    )
    field = Window(
        BufferControl(screen.field),
        height=lambda: Dimension(min=1, max=_most_rows(screen)),
        wrap_lines=True,
        dont_extend_height=True,
        get_line_prefix=lambda line, wrapped: _label(screen, line, wrapped),
    )
    rows = HSplit(
        [
            _text(lambda: live_text(screen)),
            ConditionalContainer(
                Window(screen.question, wrap_lines=True, dont_extend_height=True),
                Condition(lambda: screen.asking is not None),
            ),
            ConditionalContainer(field, in_field),
            _text(lambda: queued_text(screen)),
            ConditionalContainer(entry, ~answering),
            search,
            ConditionalContainer(CompletionsMenu(_MENU_LINES), has_focus(screen.entry)),
            Window(FormattedTextControl(lambda: toolbar_text(screen)), height=1),
        ]
    )
    return Layout(rows, focused_element=entry)


def _text(made: Callable[[], AnyFormattedText]) -> ConditionalContainer:
    """Return a place that is as high as its text, and nowhere when that is empty."""
    window = Window(FormattedTextControl(made), dont_extend_height=True)
    return ConditionalContainer(window, Condition(lambda: bool(to_formatted_text(made()))))


def _most_rows(screen: Screen) -> int:
    return max(screen.height // 2, 1)


def live_text(screen: Screen) -> StyleAndTextTuples:
    """Return the live area, bounded, so that the prompt is always there."""
    room = screen.height - min(screen.entry.document.line_count, _most_rows(screen)) - 6
    return _drawn_live(screen.live, screen.width, min(max(room, 1), _LIVE_LINES), int(time.monotonic() * _FRAMES))


@lru_cache(maxsize=2)  # it is asked for several times while one frame is drawn
def _drawn_live(live: LiveLines | None, width: int, height: int, frame: int) -> StyleAndTextTuples:
    letters = to_formatted_text(ANSI("\n".join(live(width, height, frame / _FRAMES)) if live else ""))
    runs = groupby(letters, key=lambda letter: letter[0])  # one piece for each letter would take most of the frame
    return [(style, "".join(letter[1] for letter in run)) for style, run in runs]


def asking_text(screen: Screen) -> StyleAndTextTuples:
    """Return the question as lines; the keys are only named when they do something."""
    if screen.asking is None:
        return []
    lines = screen.asking.lines(screen.field.text, screen.width - 1, max(screen.height - 4, 1))
    if not screen.answering:
        lines = [*lines[:-1], [("class:asking", "(answer when you have stopped typing)")]]
    return _lines(lines)


def queued_text(screen: Screen) -> StyleAndTextTuples:
    """Return what waits, one line each."""
    waiting = screen.lines.waiting()[:_QUEUED_LINES]
    shown = (clipped(f"  … {' '.join(line.shown.split())}", screen.width - 1) for line in waiting)
    return _lines([("class:queued", text)] for text in shown)


def toolbar_text(screen: Screen) -> StyleAndTextTuples:
    """Return the toolbar, or for a moment what has to be said instead."""
    if hint := screen.hinted:
        return [("class:toolbar.hint", clipped(hint, screen.width - 1))]
    screen.shown = screen.status
    keys = "normal" if vi_navigation_mode() else ""
    return [*toolbar(parts(screen.shown, len(screen.lines.waiting()), keys), screen.width - 1)]


def _lines(lines: Iterable[list[Piece]]) -> StyleAndTextTuples:
    found: StyleAndTextTuples = []
    for line in lines:
        found += [("", "\n")] if found else []
        found += line
    return found


def _prefix(screen: Screen, line: int, wrapped: int) -> StyleAndTextTuples:
    """Return what stands before a line of the input: the mode, which says what the model may do, and then its width."""
    mode = screen.status.mode
    sign: list[Piece] = [(f"class:mode.{mode}", mode)] if screen.width >= _ROOM_FOR_MODE else []
    sign.append(("class:prompt", " ❯ " if sign else "❯ "))
    return [("", " " * sum(get_cwidth(text) for _, text in sign))] if line or wrapped else [*sign]


def _label(screen: Screen, line: int, wrapped: int) -> StyleAndTextTuples:
    label = screen.asking.field.label if screen.asking and screen.asking.field else ""
    return [("class:asking.head", label if not (line or wrapped) else " " * len(label))]
