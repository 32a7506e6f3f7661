"""Everything that happens, as values. The only channel to every reader: terminal, text, JSON lines, trace, report.

An event is a frozen dataclass of plain JSON-able fields; `event_json` says how it looks on the wire and on disk.
"""

from dataclasses import dataclass, field
from typing import Literal

from qwencode.findings import CheckFinished, FindingReported
from qwencode.messages import Message, ToolCall, Usage


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A job began. `goal` is the user's text, or empty when the goal is the failing tests.

    `repository` and `session` are empty for a job that works on no repository.
    """

    job: str
    repository: str
    session: str
    version: str
    goal: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A part of the job began: baseline, localise, search, model, warm, agent, verdict, restore.

    For model files: find, check, pull, copy, verify.
    """

    phase: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the phase is. `total` 0 means unknown; `seconds_left` None means no honest estimate."""

    phase: str
    done: int
    total: int = 0
    unit: str = ""
    seconds_left: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence that the user should read."""

    text: str
    level: Literal["info", "warning", "error"] = "info"


@dataclass(frozen=True, slots=True)
class SandboxReady:
    """Which rung confines what is run, what it stops, and what it does not stop."""

    rung: str
    covers: tuple[str, ...]
    gaps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TestCommandChosen:
    """How the tests of the repository are run, and why this way."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    command: str
    runner: str
    why: str


@dataclass(frozen=True, slots=True)
class BaselineTaken:
    """The state of the tests before any change. Lists hold test ids, relative to the repository."""

    failing: tuple[str, ...]
    passing: int
    flaky: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Suspect:
    """One suspicious place. `score` is the Ochiai coefficient, 0 to 1."""

    file: str
    line: int
    function: str
    score: float


@dataclass(frozen=True, slots=True)
class SuspectsRanked:
    """Where the fault may be, most suspicious first."""

    suspects: tuple[Suspect, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class CandidateFound:
    """A plausible edit: with it the failing tests pass and no other test fails, so far as the search has run them."""

    diff: str
    what: str
    number: int


@dataclass(frozen=True, slots=True)
class SearchFinished:
    """The outcome of search repair: `tried` candidates in `seconds`; `diffs` are the plausible ones, best first."""

    tried: int
    plausible: int
    seconds: float
    diffs: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ThinkingDecided:
    """Whether the next turn thinks, and why. `budget`: for how many tokens at most; 0: no limit."""

    on: bool
    reason: str
    budget: int = 0


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """Tokens of the prompt evaluated so far. `cached` ones were not evaluated again."""

    done: int
    total: int
    cached: int
    tokens_per_second: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class CacheMissed:
    """The history is not the one before with more at its end, so that tokens are evaluated again.

    It parts at `token`, in message `number` (counted from 0 without the system message; -1: before all of them), for
    `reason`. `again`: tokens of the messages before it that are evaluated once more, since no checkpoint is nearer.
    """

    token: int
    number: int
    reason: str
    again: int


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A piece of the model's reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the model's visible text."""

    text: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A piece of a tool call as it streams in, the calls of a reply one after the other.

    `parameter` is empty in the one that begins a call, and `text` in the one that begins a parameter; whatever came
    before of this call is complete then. The other texts, joined, are the value as the model wrote it.
    """

    name: str
    parameter: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """A turn of the model ended. `seed`: with it a model in this process says the same to the same history."""

    finish: str
    usage: Usage
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ContextFilled:
    """How full the model's context is: `tokens` of `size` (0: unknown).

    `seconds` is what it would take this machine to read them anew; None while nothing was measured.
    """

    tokens: int
    size: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """The history grew by this message."""

    message: Message


@dataclass(frozen=True, slots=True)
class HistoryRewound:
    """The history was cut back to its first `length` messages."""

    length: int
    reason: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool call is about to be carried out."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call was answered. `summary` is one line for the eye; the model's text is in the message."""

    call: ToolCall
    ok: bool
    summary: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """The visible plan: (text, state) with state pending, in_progress or done."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TreeChanged:
    """The working tree differs from the snapshot by this unified diff."""

    diff: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TestChange:
    """One line of the proof table: a test before and after."""

    __test__ = False

    test: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class VerdictReached:
    """The outcome with its proof.

    `status`: fixed (goal tests pass, nothing broke, no test changed), partly (the same, but some goal tests still
    fail), unbroken (no failing test was the goal; nothing broke), not_fixed. `proof` holds the goal tests and every
    test whose outcome changed.
    """

    status: Literal["fixed", "partly", "unbroken", "not_fixed"]
    reason: str
    by: str
    proof: tuple[TestChange, ...]
    passing_before: int
    passing_after: int
    changed_files: tuple[str, ...] = ()
    touched_tests: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The user said something in a session; the model's turns that answer it follow. Counted from 1.

    `length`: messages of the history before it. `state` names the run in which the files are kept as they were before.
    """

    number: int
    text: str
    length: int
    state: str = ""


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """What the user said is answered, interrupted or given up, for `reason`. `files`: those that have changed."""

    number: int
    reason: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnsUndone:
    """The user went back to before turn `first`: with the `talk` (events of the history follow), or the files alone.

    `runs` are those of the snapshots that were taken back.
    """

    first: int
    talk: bool
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TurnsRedone:
    """What was taken back last is there again, from turn `first` on."""

    first: int
    talk: bool
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A table for the eye, the answer to a command of the user. `heads` may be empty."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class InputOffered:
    """A text that the user may go on with: it is put where they type."""

    text: str


@dataclass(frozen=True, slots=True)
class ScreenCleared:
    """What was shown so far is of no more interest."""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The job ended. `exit_code` is that of the process."""

    exit_code: int
    reason: str
    seconds: float
    usage: Usage = field(default_factory=Usage)


Event = (
    RunStarted
    | PhaseStarted
    | Progress
    | Notice
    | SandboxReady
    | TestCommandChosen
    | BaselineTaken
    | SuspectsRanked
    | CandidateFound
    | SearchFinished
    | ThinkingDecided
    | PrefillProgress
    | CacheMissed
    | ThinkingDelta
    | TextDelta
    | CallDelta
    | ReplyFinished
    | ContextFilled
    | MessageAdded
    | HistoryRewound
    | ToolStarted
    | ToolFinished
    | PlanChanged
    | TreeChanged
    | VerdictReached
    | TurnStarted
    | TurnEnded
    | TurnsUndone
    | TurnsRedone
    | Listed
    | InputOffered
    | ScreenCleared
    | FindingReported
    | CheckFinished
    | RunFinished
)
