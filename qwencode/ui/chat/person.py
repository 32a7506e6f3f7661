"""The person at the prompt, as the conversation asks one. Everything here is called in the main thread."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from prompt_toolkit.utils import get_cwidth

from qwencode.jobs.chat.person import Answer, Question
from qwencode.ui.chat.asking import Asking
from qwencode.ui.chat.questions import Allowing, Choosing, Confirming, Editing, command_rows, is_long, one
from qwencode.ui.chat.screen import Screen
from qwencode.ui.chat.view import View
from qwencode.ui.text import spelled

T = TypeVar("T")


class AtPrompt:
    """Asks in place of the prompt and says above it what was answered. Implements `Person`."""

    def __init__(self, screen: Screen, view: View, stopped: Callable[[], None]):
        self._screen = screen
        self._view = view
        self._stopped = stopped

    def allow(self, question: Question) -> Answer:
        if question.diff:
            self._view.diff(question.diff, whole=True)
        width, height = self._screen.width - 1, self._screen.height - 4
        if question.command and is_long(question.command, width, height):
            self._view.print("text", "\n".join(command_rows(question.command, width)))
        always = spelled(question.always)
        if get_cwidth(always) > width - len("a always: "):  # the question would cut it
            self._view.print("dim", f"  always: {always}")
        answer = self._ask(Allowing(question))
        said = "allowed" if answer.allow else f"not allowed{': ' if answer.reason else ''}{answer.reason}"
        said += f", and from now on: {question.always}" if answer.lasting else ""
        said += f", as: {one(answer.command)}" if answer.command else ""
        self._view.print("dim" if answer.allow else "warn", f"  {one(question.what)}: {said}")
        return answer

    def confirm(self, question: str) -> bool:
        answer = self._ask(Confirming(question))
        self._view.print("dim", f"{question} {'yes' if answer else 'no'}")
        return answer

    def choose(self, title: str, rows: Sequence[str]) -> int | None:
        chosen = self._ask(Choosing(title, rows)) if rows else -1
        self._view.print("dim", f"{title}: {one(rows[chosen]) if chosen >= 0 else 'none'}")
        return chosen if chosen >= 0 else None

    def edit(self, text: str, name: str) -> str | None:
        edited = self._ask(Editing(text, name))
        return edited if isinstance(edited, str) else None

    def _ask(self, asking: Asking[T]) -> T:
        resume = self._view.pause()
        try:
            answer = self._screen.ask(asking)
            resume()
            return answer
        except KeyboardInterrupt:
            self._stopped()
            raise
