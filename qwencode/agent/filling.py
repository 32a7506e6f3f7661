"""How full the context is: what a model counted last, and an estimate of what came since."""

from collections.abc import Sequence
from dataclasses import dataclass

from qwencode.agent.turns import estimated_tokens
from qwencode.messages import Message, Reply

MARK = 0.75
"""The share of the context at which it is compacted: the rest holds the request, the summary and a turn's results."""
FREED = 0.6
"""The share that a compacted history may take at most; one that takes more would be compacted over and over."""


@dataclass(slots=True)
class Filling:
    """`tokens` were counted in the first `messages` of a history. `too_long`: the model has said that it is."""

    tokens: int = 0
    messages: int = 0
    too_long: bool = False

    def count(self, history: Sequence[Message], reply: Reply | None) -> None:
        """Take note of what the model counted in the whole history when it replied."""
        if reply is not None:
            self.tokens, self.messages = reply.usage.prompt + reply.usage.generated, len(history)

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
