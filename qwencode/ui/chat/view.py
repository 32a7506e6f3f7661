"""Turns events into what is printed, once and for good, and what stands in the live area until then."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from qwencode.events import (
    CallDelta,
    CandidateFound,
    ContextFilled,
    Event,
    Listed,
    MessageAdded,
    PhaseStarted,
    PlanChanged,
    PrefillProgress,
    Progress,
    ReplyFinished,
    TextDelta,
    ThinkingDecided,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
    TreeChanged,
    TurnEnded,
    TurnStarted,
    VerdictReached,
)
from qwencode.excerpt import listed, plain
from qwencode.messages import ToolCall, Usage
from qwencode.ui import drawn
from qwencode.ui.chat.blocks import Block, Blocks
from qwencode.ui.chat.live import Doing, Live, short_plan
from qwencode.ui.chat.paint import Paint
from qwencode.ui.text import plural, safe, seconds
from qwencode.ui.words import lines, spent

DIFF_LINES = 40
"""A longer diff is folded to its first part."""
_FOLDED_DIFF_LINES = 24
_OUTPUT_LINES = 5  # what a tool has said is worth a hint from here on
_FAILED_LINES = 4
_KEPT_FOLDS = 40
_LISTED_LINES = 50
_WAITING = "waiting for the model"
_SHOWN_FILES = 6
_ARGUMENTS = ("command", "file_path", "selection", "pattern", "path")
_KEY = "Ctrl-O"


@dataclass(frozen=True, slots=True)
class Fold:
    """What was shown in one line, or cut. `kind` says how the whole text is drawn."""

    kind: str
    title: str
    text: str


class View:
    """Shows events. `put` gets finished lines, each with its end, and the state of the live area, both at once."""

    def __init__(self, paint: Paint, put: Callable[[str, Live], None]):
        self._paint = paint
        self._put = put
        self._out: list[str] = []
        self._last = ""  # the kind of what was printed last: decides about empty lines
        self._blocks = Blocks()
        self._code: list[str] = []
        self._thinking = ""
        self._thoughts = 0  # pieces of thinking
        self._why = ""
        self._doing: Doing | None = None
        self._plan: tuple[tuple[str, str], ...] = ()
        self._result = ""  # what the tool that is running has answered
        self._usage = Usage()
        self._began = 0.0
        self.folds: deque[Fold] = deque(maxlen=_KEPT_FOLDS)
        self.open_thinking = False
        """Whether more of the thinking is shown than its last words."""

    @property
    def thinks(self) -> bool:
        """Whether the model is thinking."""
        return bool(self._thinking)

    def show(self, event: Event) -> None:
        """Show an event. Never raises for its content."""
        match event:
            case TextDelta():
                self._thought()
                self._write(self._blocks.feed(event.text))
                self._do("writing", keep=True)
            case ThinkingDelta():
                self._thinking += event.text
                self._thoughts += 1
                self._do("thinking", keep=True, note=f"{plural(self._thoughts, 'token')}", tail=self._thinking[-2000:])
            case CallDelta():
                self._end_text()
                self._do(f"calling {event.name}", keep=True, note=event.parameter, tail=event.text)
            case PhaseStarted() | Progress() | PrefillProgress() | ToolStarted() | CandidateFound():
                self._going_on(event)
            case ThinkingDecided():
                self._why = event.reason
                self._do(_WAITING, keep=True)
            case MessageAdded():
                self._result = event.message.content if event.message.role == "tool" else ""
            case ContextFilled():
                pass  # the toolbar shows it
            case ReplyFinished():
                self._end_text()
                self._usage += event.usage
            case PlanChanged():
                self._plan = event.items
            case _:
                self._finished(event)
        self._send()

    def user(self, shown: str) -> None:
        """Print what the user has sent."""
        self._gap("user", True)
        first, *more = safe(shown).split("\n")
        self._print([text for line in (f"❯ {first}", *(f"  {each}" for each in more)) for text in self._user(line)])
        self._send()

    def settle(self) -> None:
        """Nothing goes on any more: print what has no end, and take down the live area."""
        self._end_text()
        self._doing = None
        self._print_plan()
        self._send()

    def pause(self) -> Callable[[], None]:
        """The user is asked: nothing goes on until they answer. Returns what goes on with what was done before."""
        self._end_text()
        before, self._doing = self._doing, None
        self._send()

        def resume() -> None:
            self._doing = replace(before, since=time.monotonic()) if before else None
            self._send()

        return resume

    def forget(self) -> None:
        """The screen was cleared: what comes next is at its top."""
        self._last = ""

    def print(self, style: str, text: str) -> None:
        """Print a sentence of the terminal's own."""
        self._gap("line")
        self._print(self._paint.said(style, text))
        self._send()

    def diff(self, text: str, whole: bool = False) -> None:
        """Print a diff, folded when it is long; `whole`: what is to be consented to is never folded."""
        self._gap("diff")
        all_lines = text.rstrip("\n").split("\n")
        if whole or len(all_lines) <= DIFF_LINES:
            self._print(self._paint.drawn(drawn.diff(text.rstrip("\n"))))
        else:
            self._print(self._paint.drawn(drawn.diff("\n".join(all_lines[:_FOLDED_DIFF_LINES]))))
            more = f"… {len(all_lines) - _FOLDED_DIFF_LINES:,} more lines of the diff, {_KEY} shows all"
            self._print(self._paint.said("dim", more))
            self.folds.append(Fold("diff", f"the whole diff, {plural(len(all_lines), 'line')}", text))
        self._send()

    def _finished(self, event: Event) -> None:
        self._end_text()
        match event:
            case ToolFinished():
                self._tool(event)
            case TreeChanged():
                self.diff(event.diff)
            case VerdictReached():
                self._gap("line", True)
                self._print(self._paint.drawn(drawn.proof(event)))
                self._say(event)
            case Listed():
                self._listed(event)
            case TurnStarted():
                self._usage, self._began = Usage(), time.monotonic()
                self._do(_WAITING)
            case TurnEnded():
                self._doing = None
                self._print_plan()
                self._turn_ended(event)
            case _:
                self._say(event)

    def _going_on(self, event: PhaseStarted | Progress | PrefillProgress | ToolStarted | CandidateFound) -> None:
        match event:
            case PhaseStarted():
                self._end_text()
                self._do(event.detail or event.phase)
            case Progress():
                count = f"{event.done:,} of {event.total:,}" if event.total else f"{event.done or ''}"
                note = " ".join(f"{count} {event.unit} {event.note}".split())
                label = self._doing.label if self._doing else event.phase
                self._do(label, keep=True, note=note, done=event.done, total=event.total, left=event.seconds_left)
            case PrefillProgress():
                cached = f"{event.cached:,} from cache" if event.cached else "tokens"
                note = f"{event.done:,} of {event.total:,}, {cached}"
                self._do("reading", keep=True, note=note, done=event.done, total=event.total, left=event.seconds_left)
            case ToolStarted():
                self._end_text()
                self._result = ""
                self._do(called(event.call))
            case CandidateFound():
                label = self._doing.label if self._doing else "searching"
                self._do(label, keep=True, note=f"{event.number} found: {event.what}")

    def _do(
        self,
        label: str,
        keep: bool = False,
        note: str = "",
        tail: str = "",
        done: int = 0,
        total: int = 0,
        left: float | None = None,
    ) -> None:
        """Say what is going on. `keep`: the clock goes on where the same was going on before."""
        now = time.monotonic()
        since = self._doing.since if keep and self._doing and self._doing.label == label else now
        self._doing = Doing(label, since, done, total, note, left, tail)

    def _tool(self, event: ToolFinished) -> None:
        self._gap("tool")
        self._do(_WAITING)
        output = plain(self._result).rstrip()
        count = output.count("\n") + 1 if output else 0
        took = f" ({seconds(event.seconds)})" if event.seconds >= 1 else ""
        line = drawn.line(
            ("text" if event.ok else "warn", f"{'•' if event.ok else '!'} {one_line(event.summary)}{took}")
        )
        if count >= _OUTPUT_LINES:
            self.folds.append(Fold("output", f"{called(event.call)}: {plural(count, 'line')}", output))
            line.append(f" · {_KEY} shows {plural(count, 'line')}", style="dim")
        self._print(self._paint.drawn(line))
        if not event.ok:
            tail = [line for line in output.split("\n") if line.strip()][-_FAILED_LINES:]
            self._print([shown for line in tail for shown in self._paint.said("dim", f"  {line}"[:400])])
        self._result = ""

    def _listed(self, event: Listed) -> None:
        """Print a table, and of a long one both ends: what a command has said last matters most."""
        self._gap("list", True)
        said = [] if not event.title else self._paint.said("head", event.title)
        if max(map(len, event.rows), default=0) > 1:
            said += self._paint.drawn(drawn.listed(event))
        else:  # the output of a command: long lines stay whole
            said += [shown for row in event.rows for cell in row for shown in self._soft(f"  {cell}")]
        if len(said) > _LISTED_LINES:
            half = _LISTED_LINES // 2 - 1
            text = "\n".join(text for _, text in lines(event))
            self.folds.append(Fold("output", event.title or plural(len(said), "line"), text))
            more = self._paint.said("dim", f"  … {len(said) - 2 * half:,} more lines, {_KEY} shows all")
            said = [*said[:half], *more, *said[-half:]]
        self._print(said)

    def _soft(self, text: str) -> list[str]:
        return self._paint.drawn(drawn.line(("text", text)), soft=True)

    def _turn_ended(self, event: TurnEnded) -> None:
        said = list[str]()  # why it ended is told by a sentence of its own
        if self._usage.generated:
            said += [seconds(time.monotonic() - self._began), spent(self._usage)]
        if event.files:
            said.append(f"changed: {listed(event.files, _SHOWN_FILES)}")
        if said:
            self._gap("line", True)
            self._print(self._paint.said("dim", " · ".join(said)))

    def _say(self, event: Event) -> None:
        for number, (style, text) in enumerate(lines(event)):
            self._gap("line", style == "head" and not number)
            self._print(self._paint.said(style, text))

    def _write(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            match block.kind:
                case "prose":
                    self._gap("prose", True)
                    self._print(self._paint.markdown(block.text))
                case "open":
                    self._gap("code", True)
                    self._code = []
                case "code":
                    self._print([self._paint.code(self._code, block.text, block.language)])
                    self._code.append(block.text)
                case "gap" | "close":
                    pass

    def _end_text(self) -> None:
        self._thought()
        self._write(self._blocks.finish())

    def _thought(self) -> None:
        """Thinking is over: one line stays of it."""
        if text := self._thinking.strip():
            took = seconds(time.monotonic() - self._doing.since) if self._doing else ""
            why = f" ({self._why})" if self._why else ""
            title = f"thought for {took}, {plural(self._thoughts, 'token')}{why}"
            self._gap("line", True)
            self._print(self._paint.said("dim", f"{title} · {_KEY} shows it"))
            self.folds.append(Fold("thinking", title, text))
        self._thinking, self._thoughts = "", 0

    def _print_plan(self) -> None:
        if self._plan:
            self._gap("line", True)
            self._print([line for item in short_plan(self._plan) for line in self._paint.said("dim", item)])
            self._plan = ()

    def _gap(self, kind: str, always: bool = False) -> None:
        """An empty line where another kind of thing begins; `always`: also between two of a kind."""
        if self._last and (always or (kind != self._last and "line" not in (kind, self._last))):
            self._out.append("")
        self._last = kind

    def _user(self, line: str) -> list[str]:
        return self._paint.drawn(drawn.line(("head", line)))

    def _print(self, printed: Sequence[str]) -> None:
        self._out += printed

    def _send(self) -> None:
        text = "".join(f"{line}\n" for line in self._out)
        self._out = []
        live = Live(
            self._blocks.rest, self._blocks.in_code, self._doing, self._plan, self.open_thinking and self.thinks
        )
        self._put(text, live)


def unfolding(view: View, paint: Paint) -> Callable[[], str]:
    """Return what a press of the key does: each gives the last of what is folded and was not shown yet, to print.

    While the model thinks it only opens the live line, and the next press folds it again.
    """

    def more() -> str:
        if view.thinks:
            view.open_thinking = not view.open_thinking
            return ""
        try:
            return unfolded(view.folds.pop(), paint)
        except IndexError:
            return ""

    return more


def unfolded(fold: Fold, paint: Paint) -> str:
    """Return the whole of what was folded, under its title, as lines to print."""
    head = paint.said("head", f"── {fold.title}")
    body = paint.drawn(drawn.diff(fold.text)) if fold.kind == "diff" else paint.said("dim", fold.text)
    return "".join(f"{line}\n" for line in ["", *head, *body])


def called(call: ToolCall) -> str:
    """Return a call as one line: the tool, and what it is about."""
    about = next((str(call.arguments[name]) for name in _ARGUMENTS if call.arguments.get(name)), "")
    return one_line(f"{call.name} {about}")[:120]


def one_line(text: str) -> str:
    """Return the text without line breaks."""
    return " ".join(safe(text).split())
