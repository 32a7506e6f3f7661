"""What a conversation holds: its messages, the turns of the user, and what was taken back. A fold over its events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from qwencode.agent.known import Known
from qwencode.events import Event, HistoryRewound, MessageAdded, TurnEnded, TurnsRedone, TurnStarted, TurnsUndone
from qwencode.messages import Message

INTERRUPTED = "interrupted"
"""How a turn ends that the user has stopped."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing that the user said. `before` is the history as it was then, also where it was compacted since.

    `state` names the run in which the files are kept as they were; `files` are those that have changed.
    """

    number: int
    text: str
    before: tuple[Message, ...]
    state: str
    files: tuple[str, ...] = ()
    reason: str = ""
    """How it ended; '' while it goes on."""
    said: tuple[Message, ...] = ()
    """The messages with which it began."""
    plan: tuple[tuple[str, str], ...] = ()
    """The plan as it was before."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back: the turns, with their talk (`history` is the one that held it) or the files alone."""

    turns: tuple[Turn, ...]
    talk: bool
    runs: tuple[str, ...]
    history: tuple[Message, ...]
    plan: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Talk:
    """One conversation. `told` counts the messages of the history that events have told of so far.

    `states` counts the turns that were ever begun, so that no two have a state of the same name.
    """

    history: list[Message] = field(default_factory=list[Message])
    known: Known = field(default_factory=Known)
    turns: list[Turn] = field(default_factory=list[Turn])
    undone: list[Undone] = field(default_factory=list[Undone])
    told: int = 0
    states: int = 0
    _beginning: bool = False

    @property
    def was_cut(self) -> bool:
        """Whether the last thing in the history is half a reply, which the user has cut off."""
        cut = bool(self.turns) and self.turns[-1].reason == INTERRUPTED
        return cut and len(self.history) > len(self.turns[-1].before) and self.history[-1].role == "assistant"

    def heard(self, event: Event) -> None:
        """Take note of an event; the history itself is as it says already.

        What a damaged file tells of turns that are not there is passed over.
        """
        self.known.hear([event], self.told)
        match event:
            case MessageAdded(message):
                self.told += 1
                if self._beginning:
                    self._beginning = message.role in ("system", "user")
                    said = self.turns[-1].said + (message,) * self._beginning
                    self.turns[-1] = replace(self.turns[-1], said=said)
            case HistoryRewound(length):
                self.told = length
            case TurnStarted(_, text, _, state):
                self.turns.append(Turn(len(self.turns) + 1, text, tuple(self.history), state, plan=self.known.plan))
                self.undone.clear()
                self.states += 1
                self._beginning = True
            case TurnEnded(_, reason, files) if self.turns:
                self._beginning = False
                self.turns[-1] = replace(self.turns[-1], files=files, reason=reason)
            case TurnsUndone(first, talk, runs) if 1 <= first <= len(self.turns):
                if self.turns[-1].reason:  # else it was cut off in the middle, and there is no way back to that
                    turns, history = tuple(self.turns[first - 1 :]), tuple(self.history)
                    self.undone.append(Undone(turns, talk, runs, history, self.known.plan))
                self._beginning = False
                if talk:
                    self.known.plan = self.turns[first - 1].plan
                    del self.turns[first - 1 :]
            case TurnsRedone() if self.undone:
                done = self.undone.pop()
                self.turns += done.turns if done.talk else ()
                self.known.plan = done.plan if done.talk else self.known.plan
            case _:
                pass

    def take(self, event: Event) -> None:
        """Take note of an event, and do to the history what it says."""
        if isinstance(event, MessageAdded):
            self.history.append(event.message)
        elif isinstance(event, HistoryRewound):
            del self.history[max(event.length, 0) :]
        self.heard(event)

    def untold(self) -> list[Event]:
        """Return the events that bring those who listened up to the history as it is."""
        events: list[Event] = []
        if self.told > len(self.history):
            events.append(HistoryRewound(len(self.history), "interrupted"))
        return [*events, *(MessageAdded(message) for message in self.history[self.told :])]


def folded(events: Iterable[Event]) -> Talk:
    """Return the conversation that these events tell of, all of it."""
    talk = Talk()
    for event in events:
        talk.take(event)
    return talk


def becoming(now: Sequence[Message], wanted: Sequence[Message], reason: str) -> list[Event]:
    """Return the events that turn one history into another."""
    same = next((n for n, (a, b) in enumerate(zip(now, wanted, strict=False)) if a != b), min(len(now), len(wanted)))
    events: list[Event] = [HistoryRewound(same, reason)] if same < len(now) else []
    return [*events, *(MessageAdded(message) for message in wanted[same:])]
