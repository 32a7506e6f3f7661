"""A question that stands in place of the prompt: a small machine, into which keys go, and out of which an answer comes.

The main thread waits for the answer; everything else here happens in the prompt's thread.
"""

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

from qwencode.ui.chat.toolbar import Piece

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    """A text that is typed as the answer. `several`: it may have more than one line.

    `file`: what an editor is told that it is called; `editor`: the user's own is opened at once, if they have one.
    """

    label: str
    text: str = ""
    several: bool = False
    file: str = "text"
    editor: bool = False


class Asking(ABC, Generic[T]):
    """A question. With a `field` keys are text, without one each key is an answer."""

    sudden = False
    """Whether it comes when the user may just begin to type something else."""

    def __init__(self, field: Field | None = None) -> None:
        self.field = field
        self._answered = threading.Event()
        self._answer: T | None = None
        self._interrupted = False

    def wait(self) -> T:
        """Block until there is an answer. Raises KeyboardInterrupt when the user interrupts instead."""
        self._answered.wait()
        if self._interrupted or self._answer is None:
            raise KeyboardInterrupt
        return self._answer

    @property
    def over(self) -> bool:
        """Whether it is answered."""
        return self._answered.is_set()

    def answer(self, answer: T) -> None:
        """Give the answer. The first one counts."""
        if not self.over:
            self._answer = answer
            self._answered.set()

    def interrupt(self) -> None:
        """Ctrl-C was pressed, or the prompt is gone."""
        if not self.over:
            self._interrupted = True
            self._answered.set()

    @abstractmethod
    def lines(self, text: str, width: int, height: int) -> list[list[Piece]]:
        """Return what to show above the field, at most `height` lines. `text`: what is typed in it so far."""

    def press(self, key: str) -> None:
        """A key was pressed, and there is no field."""

    def move(self, step: int) -> None:
        """An arrow was pressed."""

    def entered(self, text: str) -> None:
        """The text in the field was sent."""

    def left(self) -> None:
        """Escape was pressed."""
