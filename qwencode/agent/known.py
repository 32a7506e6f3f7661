"""What is known of a history beside its words: how full the context is, and the plan. It lasts from run to run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qwencode.agent.turns import estimated_tokens
from qwencode.events import ContextFilled, Event, HistoryRewound, PlanChanged
from qwencode.messages import Message, Reply

MARK = 0.75
"""The share of the context at which it is compacted: the rest holds the request, the summary and a turn's results."""
FREED = 0.6
"""The share that a compacted history may take at most; one that takes more would be compacted over and over."""


@dataclass(slots=True)
class Known:
    """`tokens` were counted in the first `messages` of a history; what came since is estimated.

    `plan` is (text, state). `too_long`: the model has said that the history is.
    """

    tokens: int = 0
    messages: int = 0
    plan: tuple[tuple[str, str], ...] = ()
    too_long: bool = False

    def hear(self, events: Iterable[Event], messages: int) -> None:
        """Take note of events, after which the history has so many messages."""
        for event in events:
            match event:
                case ContextFilled(tokens) if tokens:  # some servers do not count
                    self.tokens, self.messages = tokens, messages
                case HistoryRewound(length):
                    self.cut(length)
                case PlanChanged(items):
                    self.plan = items
                case _:
                    pass

    def count(self, history: Sequence[Message], reply: Reply | None) -> None:
        """Take note of what the model counted in the whole history when it replied."""
        if reply is not None:
            self.hear([ContextFilled(reply.usage.prompt + reply.usage.generated, 0)], len(history))

    def cut(self, length: int) -> None:
        """Take note that the history was cut, and may go on otherwise."""
        if length < self.messages:
            self.tokens = self.messages = 0
        self.too_long = False

    def of(self, history: Sequence[Message]) -> int:
        """Return about how many tokens a history takes."""
        return self.tokens + estimated_tokens(history[self.messages :])

    def is_due(self, history: Sequence[Message], size: int) -> bool:
        """Say whether a context of `size` tokens (0: unknown) is so full that it should be compacted."""
        return self.too_long or (bool(size) and self.of(history) >= MARK * size)

    def is_freed(self, history: Sequence[Message], size: int) -> bool:
        """Say whether compacting has left enough room."""
        return not size or self.of(history) < FREED * size
