"""What a run may use: model turns, minutes, tokens."""

import time
from collections.abc import Generator
from dataclasses import dataclass, field

from qwencode.errors import HistoryTooLong
from qwencode.events import Event
from qwencode.messages import Reply, Usage


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one run; 0 is no limit. `tokens` counts what was evaluated and generated, not what the cache held."""

    steps: int = 40
    seconds: float = 1800.0
    tokens: int = 0


@dataclass(slots=True)
class Meter:
    """What was used so far. The clock starts when it is made.

    A reply is stopped when the time is up. A tool call is not: it has limits of its own.
    """

    budget: Budget
    steps: int = 0
    usage: Usage = field(default_factory=Usage)
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def tokens_left(self) -> int | None:
        """Tokens that may still be used; None is no limit."""
        used = self.usage.evaluated + self.usage.generated
        return max(0, self.budget.tokens - used) if self.budget.tokens else None

    def seconds_to_read(self, tokens: int) -> float | None:
        """Return how long the model would read this many tokens, by what this run measured; None: nothing was."""
        read, seconds = self.usage.evaluated, self.usage.prefill_seconds
        return tokens * seconds / read if read and seconds else None

    @property
    def time_is_up(self) -> bool:
        return bool(self.budget.seconds) and self.seconds >= self.budget.seconds

    def spent(self) -> str:
        """Return a sentence when a limit is reached, else ''."""
        if self.time_is_up:
            return f"The time is up: {round(self.budget.seconds / 60, 1):g} minutes."
        if self.budget.steps and self.steps >= self.budget.steps:
            return f"All {self.budget.steps} steps are used."
        return f"All {self.budget.tokens:,} tokens are used." if self.tokens_left == 0 else ""

    def within(self, stream: Generator[Event, None, Reply]) -> Generator[Event, None, Reply | None]:
        """Pass a reply's events on, and count it. Stops the model and returns None when the time is up first."""
        try:
            while not self.time_is_up:
                try:
                    event = next(stream)
                except StopIteration as end:
                    reply: Reply = end.value
                    self.usage += reply.usage
                    return reply
                yield event
            return None
        except HistoryTooLong:
            self.steps -= 1  # no model has looked at it
            raise
        finally:
            self.steps += 1
            stream.close()
