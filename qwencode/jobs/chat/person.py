"""The person at the other end, as the job sees one: somebody to ask. What is shown goes as events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from qwencode.messages import ToolCall


@dataclass(frozen=True, slots=True)
class Question:
    """A call that needs consent.

    `what` is a line for the eye. An edit comes with the `diff` that it would make, a command with its text. `always`
    says in words what a lasting yes would allow from now on; '' where there is no such answer.
    """

    call: ToolCall
    what: str
    diff: str = ""
    command: str = ""
    always: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Yes or no. `lasting`: also to all that `Question.always` names, in this session.

    `reason`: why not, for the model. `command`: run this one instead, as the person has edited it.
    """

    allow: bool
    lasting: bool = False
    reason: str = ""
    command: str = ""


class Person(Protocol):
    """Somebody who can be asked. Every method blocks until there is an answer.

    Raises KeyboardInterrupt when the person interrupts instead of answering.
    """

    def allow(self, question: Question) -> Answer:
        """Ask whether a call may be carried out."""
        ...

    def confirm(self, question: str) -> bool:
        """Ask yes or no. Where nobody is: no."""
        ...

    def choose(self, title: str, rows: Sequence[str]) -> int | None:
        """Let a row be chosen and return its index; None for none of them, and where nobody is."""
        ...

    def edit(self, text: str, name: str) -> str | None:
        """Let a text be edited, as a file of this name would be; None when it is given up, and where nobody is."""
        ...


class Nobody:
    """Without a terminal there is nobody to ask: what needs consent is refused, and the model is told so."""

    def allow(self, question: Question) -> Answer:
        return Answer(False, reason="nobody is there to allow it")

    def confirm(self, question: str) -> bool:
        return False

    def choose(self, title: str, rows: Sequence[str]) -> int | None:
        return None

    def edit(self, text: str, name: str) -> str | None:
        return None
