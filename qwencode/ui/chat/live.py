"""What stands above the prompt while it changes: the unfinished block, the plan, and what is going on."""

from collections.abc import Iterable
from dataclasses import dataclass

from prompt_toolkit.utils import get_cwidth
from rich.text import Text

from qwencode.ui.chat.paint import Paint
from qwencode.ui.chat.toolbar import clipped
from qwencode.ui.text import safe, seconds
from qwencode.ui.words import MARKS

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_BAR_CELLS = 10
_PLAN_LINES = 5
_SHOWN_CHARS = 3_000  # of an unfinished block: its end
_THINKING_LINES = 8
_LEAST_TAIL = 10  # cells: fewer say nothing


@dataclass(frozen=True, slots=True)
class Doing:
    """What is going on, since when (by the monotonic clock), and how far it is. `total` 0: unknown.

    `tail`: the end of what is being written and not shown, as thinking is.
    """

    label: str
    since: float
    done: int = 0
    total: int = 0
    note: str = ""
    left: float | None = None
    tail: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """The state of the area. `rest` is Markdown without an end, or a line of code without one."""

    rest: str = ""
    in_code: bool = False
    doing: Doing | None = None
    plan: tuple[tuple[str, str], ...] = ()
    open_tail: bool = False
    """Whether the tail is shown in several lines instead of one."""


def live_lines(live: Live, paint: Paint, width: int, height: int, now: float) -> list[str]:
    """Return the lines of the area, at most `height`; what is nearest to the prompt changes most and goes last."""
    last: list[str] = []
    if live.doing:
        if live.open_tail and live.doing.tail:
            last = paint.said("dim", live.doing.tail)[-min(_THINKING_LINES, max(height - 1, 0)) :]
        last += paint.drawn(Text(doing_line(live.doing, width - 1, now, live.open_tail), style="dim"))
    plan = [line for item in short_plan(live.plan) for line in paint.said("dim", clipped(item, width - 1))]
    room = height - len(last)
    plan = plan[: max(room, 0)]
    text = _unfinished(live, paint)
    room -= len(plan)
    if len(text) > room:
        text = [*paint.said("dim", "…"), *text[len(text) - room + 1 :]] if room > 1 else []
    return [*text, *plan, *last][-height:] if height > 0 else []


def doing_line(doing: Doing, width: int, now: float, open_tail: bool = False) -> str:
    """Return one line of at most `width` cells: what, a bar, how much, how long, and the end of what is written."""
    sign = _SPINNER[int(now * 4) % len(_SPINNER)]
    label = f"{sign} {safe(doing.label)}"
    if doing.total:
        filled = round(_BAR_CELLS * min(doing.done / doing.total, 1.0))
        label += f" {'█' * filled}{'░' * (_BAR_CELLS - filled)}"
    said = {
        "label": label,
        "note": safe(doing.note),
        "time": seconds(max(now - doing.since, 0.0)),
        "left": "" if doing.left is None else f"about {seconds(doing.left)} left",
    }
    for needless in ("time", "note", "left"):
        if get_cwidth(_joined(said.values())) > width:
            said[needless] = ""
    line = clipped(_joined(said.values()), width)
    tail = " ".join(safe(doing.tail[-200:]).split())
    room = width - get_cwidth(line) - 3
    return f"{line} · {_end(tail, room)}" if tail and room >= _LEAST_TAIL and not open_tail else line


def short_plan(items: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the plan in a few lines: what is done as a count, then what comes."""
    done = sum(state == "done" for _, state in items)
    open_items = [(text, state) for text, state in items if state != "done"]
    said = [f"  {MARKS['done']} {done} of {len(items)} done"] if done else []
    shown = open_items[: _PLAN_LINES - 1 - len(said)] if len(open_items) + len(said) > _PLAN_LINES else open_items
    said += [f"  {MARKS.get(state, '·')} {' '.join(safe(text).split())}" for text, state in shown]
    more = len(open_items) - len(shown)
    return [*said, f"  … and {more} more"] if more else said


def _unfinished(live: Live, paint: Paint) -> list[str]:
    if not live.rest.strip():
        return []
    rest = live.rest[-_SHOWN_CHARS:]
    return paint.said("text", rest.expandtabs(4).rstrip("\n")) if live.in_code else paint.markdown(rest)


def _joined(said: Iterable[str]) -> str:
    return " · ".join(filter(None, said))


def _end(text: str, width: int) -> str:
    """Return the end of the text, as much of it as fits."""
    while get_cwidth(text) > width:
        text = text[max(len(text) - width, 1) :]
    return text
