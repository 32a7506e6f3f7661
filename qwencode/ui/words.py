"""What is said about each event, in one place, so that the plain text and the terminal agree.

A line is (style, text); styles are the names that `terminal` colours: head, dim, good, bad, warn, text.
"""

from qwencode.events import (
    BaselineTaken,
    CacheMissed,
    CheckFinished,
    ContextFilled,
    Event,
    FindingReported,
    HistoryRewound,
    Listed,
    Notice,
    PlanChanged,
    ReplyFinished,
    RunFinished,
    RunStarted,
    SandboxReady,
    SearchFinished,
    SuspectsRanked,
    TestCommandChosen,
    ThinkingDecided,
    ToolFinished,
    TurnEnded,
    VerdictReached,
)
from qwencode.excerpt import listed
from qwencode.messages import Usage
from qwencode.ui.text import plural, seconds

Line = tuple[str, str]
_SHOWN_TESTS = 8
_SHOWN_SUSPECTS = 3
_SHOWN_COVERS = 2
_SHOWN_FILES = 5
_WORTH_TELLING = 0.5  # seconds of a reply: below, what it took is of no interest
MARKS = {"done": "✓", "in_progress": "▸", "pending": "·"}


def lines(event: Event) -> list[Line]:
    """Return what is said about an event; empty for those that are drawn (progress, deltas, diffs) or not shown."""
    match event:
        case RunStarted():
            said = [("head", f"qwencode {event.job} · {event.repository or event.model}")]
            if goal := event.goal.strip():
                said.append(("text", goal.splitlines()[0][:200]))
            return said
        case SandboxReady():
            covers = ", ".join(event.covers[:_SHOWN_COVERS]) or "nothing is confined"
            return [("dim" if event.covers else "warn", f"Sandbox: {event.rung} ({covers})")]
        case TestCommandChosen():
            return [("dim", f"Tests: {event.command} ({event.why})")]
        case Notice():
            style = {"info": "dim", "warning": "warn", "error": "bad"}[event.level]
            return [(style, line) for line in event.text.split("\n")]
        case ThinkingDecided():
            budget = f" (at most {event.budget:,} tokens)" if event.budget else ""
            return [("dim", f"Thinking {'on' if event.on else 'off'}: {event.reason}{budget}")]
        case HistoryRewound():
            where = f"Went back to message {event.length}" if event.length else "Began anew"
            return [("dim", f"{where}: {event.reason}")]
        case TurnEnded() if event.files:
            return [("dim", f"Changed: {listed(event.files, _SHOWN_FILES)} (/diff shows it, /undo takes it back)")]
        case CacheMissed():
            again = f", {plural(event.again, 'token')} of earlier messages with it" if event.again else ""
            return [("dim", f"Cache: {event.reason}; it is read again from there{again}")]
        case ToolFinished():
            return [("text" if event.ok else "warn", f"  {'•' if event.ok else '!'} {event.summary}")]
        case PlanChanged():
            return [("dim", f"  {MARKS.get(state, '·')} {text}") for text, state in event.items]
        case ContextFilled() if event.size and event.tokens >= event.size / 2:
            again = f"; to read it anew would take {seconds(event.seconds)}" if event.seconds is not None else ""
            full = f"{event.tokens:,} of {event.size:,} tokens ({event.tokens / event.size:.0%})"
            return [("dim", f"Context: {full}{again}")]
        case ReplyFinished():
            took = event.usage.prefill_seconds + event.usage.decode_seconds
            return [("dim", spent(event.usage))] if event.usage.generated and took >= _WORTH_TELLING else []
        case _:
            return _results(event)


def _results(event: Event) -> list[Line]:
    match event:
        case BaselineTaken():
            return _baseline(event)
        case SuspectsRanked() if event.suspects:
            places = [f"{s.file}:{s.line} {s.function} ({s.score:.2f})".replace("  ", " ") for s in event.suspects]
            return [("text", f"Suspicious: {', '.join(places[:_SHOWN_SUSPECTS])}")]
        case SearchFinished():
            return [("text" if event.plausible else "warn", _search(event))]
        case Listed():
            return table(event)
        case VerdictReached():
            return [({"partly": "warn", "not_fixed": "bad"}.get(event.status, "good"), event.reason)]
        case FindingReported():
            style = {"error": "bad", "warning": "warn", "note": "text"}[event.severity]
            file = event.file.replace("\n", "�")  # a name must not look like another finding
            said = [(style, f"{file}:{event.line}: {event.severity}: {event.what} [{event.rule}]")]
            return [*said, ("dim", f"    {event.suggestion}")] if event.suggestion else said
        case CheckFinished() if event.status == "skipped":
            return [("dim", f"Skipped: {event.check} ({event.reason})")]
        case RunFinished() if event.exit_code in (0, 1, 4):  # other ends are told by the sentence on stderr
            tokens = f", {spent(event.usage)}" if event.usage.prompt or event.usage.generated else ""
            ended = "Ended for want of a (larger) model after" if event.exit_code == 4 else "Finished in"
            return [("dim", f"{ended} {seconds(event.seconds)}{tokens}")]
        case _:
            return []


def table(event: Listed) -> list[Line]:
    """Return a table with its columns aligned, the last one as wide as it is."""
    rows = [event.heads, *event.rows] if event.heads else list(event.rows)
    widths = [max(len(row[n]) for row in rows if n < len(row)) for n in range(max(map(len, rows), default=0))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    styles = ["dim", *["text"] * len(event.rows)] if event.heads else ["text"] * len(rows)
    title = [("head", event.title)] if event.title else []
    return [*title, *((style, f"  {text}") for style, text in zip(styles, texts, strict=True))]


def _baseline(event: BaselineTaken) -> list[Line]:
    count = f"Before: {event.passing} passing, {len(event.failing)} failing ({seconds(event.seconds)})"
    said = [("text", count)]
    said += [("bad", f"  ✗ {test}") for test in event.failing[:_SHOWN_TESTS]]
    if (more := len(event.failing) - _SHOWN_TESTS) > 0:
        said.append(("bad", f"  … and {more} more"))
    if event.flaky:
        said.append(("warn", f"  flaky, left out of the goal: {', '.join(event.flaky[:_SHOWN_TESTS])}"))
    return said


def _search(event: SearchFinished) -> str:
    rate = f", {event.tried / event.seconds:.0f} a second" if event.seconds > 0 and event.tried else ""
    passing = "1 of them passes" if event.plausible == 1 else f"{event.plausible} of them pass"
    found = f"{passing} all tests" if event.plausible else "none passes all tests"
    reason = f" ({event.reason})" if event.reason else ""
    return f"Search: {plural(event.tried, 'edit')} tried in {seconds(event.seconds)}{rate}; {found}{reason}"


def spent(usage: Usage) -> str:
    """Return what replies have cost, in tokens."""
    cached = f", {usage.cached:,} from cache" if usage.cached else ""
    rate = usage.generated / usage.decode_seconds if usage.decode_seconds > 0.05 else 0.0
    speed = f" at {rate:.{0 if rate >= 100 else 1}f}/s" if rate else ""
    return f"{usage.prompt:,} tokens read{cached}, {usage.generated:,} written{speed}"
