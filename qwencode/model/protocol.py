"""The model seam: message list in, cache inside."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from qwencode.events import Event
from qwencode.messages import Message, Reply, ToolSpec


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller may choose for one turn. Sampling values are the model's own, by mode."""

    thinking: bool = False
    thinking_budget: int = 0
    """Tokens of thinking before it is closed by force; 0 is no limit."""
    max_tokens: int = 8192
    """Tokens generated at most, thinking included."""
    tool_choice: Literal["auto", "required"] = "auto"
    """`required`: the reply is at least one call of a declared tool, with valid names and parameters."""
    seed: int | None = None


class CallRefused(Exception):
    """Thrown into a reply that is being written, at the event that it last yielded: it ends here, as `message`.

    A model that knows what it has in memory catches it and returns a reply of that message with finish `refused`, so
    that it can go on from there. For any other it is a close.
    """

    def __init__(self, message: Message):
        super().__init__(message.tool_calls[-1].problem)
        self.message = message


class Stopped(Exception):
    """Thrown into a reply that is being written, at the event that it last yielded: it ends here, with what there is.

    A model that knows what it has in memory catches it and returns a reply of that with finish `interrupted`, so that a
    history with this message goes on from there. For any other it is a close.
    """


class ReplyInterrupted(KeyboardInterrupt):
    """A Ctrl-C that came while a model was at work. `message` is what it has written, and still has in memory."""

    def __init__(self, message: Message):
        super().__init__()
        self.message = message


class Model(Protocol):
    """Anything that continues a history.

    `stream` is given the whole history every time and never shows tokens or checkpoints: rewinding, retrying, forking
    and undoing are nothing but passing a shorter or different list. It yields events (prefill progress, thinking, text,
    call deltas) as they happen and returns the reply. It never raises for what the model wrote: a call that cannot be
    parsed carries its `problem`. Closing the generator, or throwing CallRefused or Stopped into it, stops the work
    between two tokens and leaves a usable model.

    Raises ModelUnavailable when the model cannot be reached; HistoryTooLong, a kind of it, when the history does not
    fit.
    """

    @property
    def name(self) -> str:
        """What to call it in the UI: `Qwen3.6-35B-A3B-UD-Q4_K_XL`, `http://…`, `scripted`."""
        ...

    @property
    def context_length(self) -> int:
        """Tokens that history and reply may take together; 0 when unknown."""
        ...

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        """Continue the history by one assistant message."""
        ...

    def close(self) -> None:
        """Give back memory and connections. Idempotent."""
        ...


@runtime_checkable
class Reads(Protocol):
    """A model that can be given a history before a reply is wanted. One in this process can."""

    def read(self, history: Sequence[Message], tools: Sequence[ToolSpec]) -> Generator[Event, None, None]:
        """Evaluate the history, so that a reply to it begins at once. Raises ModelUnavailable as `stream` does."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of keeping a history: its `tokens`, the bytes that they take on disk, and why they are not there."""

    tokens: int
    size: int
    problem: str = ""


@runtime_checkable
class Keeps(Reads, Protocol):
    """A model whose memory of a history can be kept in a folder, and recalled later. One in this process can."""

    def keep(self, history: Sequence[Message], tools: Sequence[ToolSpec], folder: Path) -> Generator[Event, None, Kept]:
        """Keep the history, in the place of what was kept there before. Raises ModelUnavailable as `stream` does."""
        ...

    def recall(self, history: Sequence[Message], tools: Sequence[ToolSpec], folder: Path) -> int:
        """Return how many tokens of the history are in memory from what was kept; 0: nothing of that fits."""
        ...


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a text is: the natural logarithm of its probability, and of how many tokens that is the product."""

    total: float
    tokens: int

    @property
    def mean(self) -> float:
        """The mean for a token; 0 for no text."""
        return self.total / self.tokens if self.tokens else 0.0


@runtime_checkable
class Judges(Protocol):
    """A model that can also say how likely texts are. One in this process can; a server does not tell."""

    def likelihoods(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], texts: Sequence[str]
    ) -> Generator[Event, None, list[Likelihood]]:
        """Return how likely each text is as the visible text of the next assistant message, without thinking.

        The history is evaluated once, and what follows is as if the texts had never been there. Raises ModelUnavailable
        as `stream` does.
        """
        ...
