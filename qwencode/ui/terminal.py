"""The terminal: what is finished scrolls by, what is going on is one live line below it."""

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from qwencode.events import (
    CallDelta,
    CandidateFound,
    Event,
    PhaseStarted,
    PrefillProgress,
    ReplyFinished,
    RunFinished,
    TextDelta,
    ThinkingDelta,
    ToolStarted,
    TreeChanged,
    VerdictReached,
)
from qwencode.events import Progress as PhaseProgress
from qwencode.ui import drawn
from qwencode.ui.reader import ask_on
from qwencode.ui.text import safe, seconds
from qwencode.ui.words import lines

_TAIL = 48


class _Left(ProgressColumn):
    """Elapsed time, and what is left where there is an honest estimate."""

    def render(self, task: Task) -> Text:
        left = task.fields.get("left")
        until = f", about {seconds(left)} left" if left is not None else ""
        return Text(f"{seconds(task.elapsed or 0)}{until}", style="dim")


class Terminal:
    """Draws with rich. Colours follow NO_COLOR and FORCE_COLOR."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(highlight=False)
        self._live: Progress | None = None
        self._phase = ""
        self._text = ""
        self._generated = 0

    def show(self, event: Event) -> None:
        match event:
            case PhaseStarted():
                self._start(event.detail or event.phase)
            case PhaseProgress():
                count = (
                    f"{event.done}/{event.total} {event.unit}" if event.total else f"{event.done or ''} {event.unit}"
                )
                self._update(event.done, event.total, f"{count} {event.note}".strip(), event.seconds_left)
            case PrefillProgress():
                speed = f" at {event.tokens_per_second:.0f}/s" if event.tokens_per_second else ""
                note = f"reading {event.total - event.cached:,} tokens{speed} ({event.cached:,} from cache)"
                self._update(event.done, event.total, note, event.seconds_left)
            case ThinkingDelta() | CallDelta() | TextDelta():
                self._delta(event)
            case ToolStarted():
                self._update(0, 0, event.call.name)
            case CandidateFound():
                self._update_note(f"{event.number} found: {event.what}")
            case TreeChanged():
                self._print(drawn.diff(event.diff))
            case VerdictReached():
                self._proof(event)
            case RunFinished():
                self._stop()
                self._say(event)
            case _:
                self._say(event)

    def ask(self, question: str) -> bool | None:
        self._stop()
        return ask_on(self.console.file, question)  # pyright: ignore[reportArgumentType]

    def close(self) -> None:
        self._stop()

    def _say(self, event: Event) -> None:
        if isinstance(event, ReplyFinished):
            self._flush_text()
        for said in lines(event):
            self._print(drawn.line(said), soft=drawn.is_command(said))

    def _print(self, what: Text | Syntax | Table | Markdown, soft: bool = False) -> None:
        (self._live.console if self._live else self.console).print(what, soft_wrap=soft)

    def _start(self, phase: str) -> None:
        self._stop()
        if not self.console.is_terminal:
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(24),
            TextColumn("{task.fields[note]}", markup=False),
            _Left(),
        )
        self._live = Progress(*columns, console=self.console, transient=True)
        self._live.add_task(safe(phase), total=None, note="", left=None)
        self._live.start()

    def _stop(self) -> None:
        if self._live:
            self._live.stop()
            self._live = None
        self._flush_text()

    def _update(self, done: float, total: float, note: str, left: float | None = None) -> None:
        self._generated = 0
        if self._live:
            task = self._live.task_ids[0]
            self._live.update(task, completed=done, total=total or None, note=Text(safe(note)).plain, left=left)

    def _update_note(self, note: str) -> None:
        if self._live:
            self._live.update(self._live.task_ids[0], note=safe(note))

    def _delta(self, event: ThinkingDelta | CallDelta | TextDelta) -> None:
        """Fold what streams in into the live line; finished text is printed when the reply ends."""
        self._generated += 1
        if isinstance(event, TextDelta):
            self._text += event.text
        kind = {"ThinkingDelta": "thinking", "CallDelta": "calling", "TextDelta": "writing"}[type(event).__name__]
        what = f"{event.name} {event.parameter}" if isinstance(event, CallDelta) else event.text
        tail = " ".join(safe(what).split())[-_TAIL:]
        self._update_note(f"{kind} {self._generated:,} {tail}")

    def _flush_text(self) -> None:
        if text := self._text.strip():
            self._text = ""
            self._print(Markdown(safe(text)))

    def _proof(self, event: VerdictReached) -> None:
        self._stop()
        self.console.print(drawn.proof(event))
        self._say(event)
