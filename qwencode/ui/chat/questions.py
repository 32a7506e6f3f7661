"""What a conversation asks of the person at the prompt."""

from collections.abc import Sequence
from functools import lru_cache

from prompt_toolkit.utils import get_cwidth

from qwencode.jobs.chat.person import Answer, Question
from qwencode.ui.chat.asking import Asking, Field
from qwencode.ui.chat.toolbar import Piece, clipped
from qwencode.ui.text import safe, spelled

_HEAD = "class:asking.head"
_TEXT = "class:asking"
_KEY = "class:asking.key"
_SHOWN_ROWS = 3
_OTHER_ROWS = 6  # the question itself and its keys, at most


class Allowing(Asking[Answer]):
    """May this be done? The diff and the whole of a long command stand above already."""

    sudden = True

    def __init__(self, question: Question):
        super().__init__()
        self.question = question

    def lines(self, text: str, width: int, height: int) -> list[list[Piece]]:
        asked = self.question
        found: list[list[Piece]] = [[(_HEAD, f"{spelled(one(asked.what))}?")]]
        rows = [*command_rows(asked.command, width)] if asked.command else []
        if len(rows) > _SHOWN_ROWS:  # all of it would push the keys off the screen
            rows[1:-1] = [f"    … {len(rows) - 2:,} more rows …"]
        found += [[(_TEXT, row)] for row in rows]
        if self.field is None:
            found += _keys(self._keys(), width)
        else:
            found += _keys([("Enter", "sends it"), ("Esc", "back")], width)
        return found[:1] + found[1:][-(height - 1) :] if height > 1 else found[-1:]

    def press(self, key: str) -> None:
        asked = self.question
        if key == "y":
            self.answer(Answer(True))
        elif key == "a" and asked.always:
            self.answer(Answer(True, lasting=True))
        elif key == "n":
            self.field = Field("why not: ")
        elif key == "e" and asked.command:
            self.field = Field("command: ", asked.command, several=True, file="command.sh")

    def entered(self, text: str) -> None:
        if self.field and self.field.text:
            if text.strip():
                self.answer(Answer(True, command="" if text == self.question.command else text))
        else:
            self.answer(Answer(False, reason=text.strip()))

    def left(self) -> None:
        self.field = None

    def _keys(self) -> list[tuple[str, str]]:
        always = [("a", f"always: {spelled(one(self.question.always))}")] if self.question.always else []
        edit = [("e", "edit it")] if self.question.command else []
        return [("y", "yes"), *always, ("n", "no, and why"), *edit, ("Ctrl-C", "stop")]


class Confirming(Asking[bool]):
    """Yes or no."""

    def __init__(self, question: str):
        super().__init__()
        self._question = question

    def lines(self, text: str, width: int, height: int) -> list[list[Piece]]:
        head: list[list[Piece]] = [[(_HEAD, line)] for line in safe(self._question).split("\n")]
        keys = _keys([("y", "yes"), ("n", "no"), ("Ctrl-C", "stop")], width)
        return [*head[: max(height - len(keys), 0)], *keys]

    def press(self, key: str) -> None:
        if key in ("y", "n"):
            self.answer(key == "y")

    def left(self) -> None:
        self.answer(False)


class Choosing(Asking[int]):
    """One of several rows; what is typed narrows them down. The answer is an index, -1 for none."""

    def __init__(self, title: str, rows: Sequence[str]):
        super().__init__(Field("find: "))
        self._title = title
        self._rows = [one(safe(row)) for row in rows]
        self._at = 0
        self._typed = ""

    def fitting(self, typed: str) -> list[int]:
        """Return the rows that hold every word of what is typed."""
        words = typed.lower().split()
        return [number for number, row in enumerate(self._rows) if all(word in row.lower() for word in words)]

    def lines(self, text: str, width: int, height: int) -> list[list[Piece]]:
        if text != self._typed:
            self._typed, self._at = text, 0
        fitting = self.fitting(text)
        self._at = min(self._at, max(len(fitting) - 1, 0))
        room = max(height - 2, 1)
        first = max(min(self._at - room // 2, len(fitting) - room), 0)
        found: list[list[Piece]] = [[(_HEAD, safe(self._title))]]
        for place, number in enumerate(fitting[first : first + room], first):
            sign, style = ("▸", "class:asking.chosen") if place == self._at else (" ", _TEXT)
            found.append([(style, clipped(f"{sign} {self._rows[number]}", width - 1))])
        if not fitting:
            found.append([(_TEXT, "  nothing fits")])
        keys = [("↑ ↓", f"{len(fitting)} of {len(self._rows)}"), ("Enter", "takes it"), ("Esc", "none")]
        return [*found, *_keys(keys, width)][-max(height, 1) :]

    def move(self, step: int) -> None:
        self._at = max(self._at + step, 0)

    def entered(self, text: str) -> None:
        fitting = self.fitting(text)
        if fitting:
            self.answer(fitting[min(self._at if text == self._typed else 0, len(fitting) - 1)])

    def left(self) -> None:
        self.answer(-1)


class Editing(Asking[str | bool]):
    """A text to go on with. False: it was given up."""

    def __init__(self, text: str, name: str):
        super().__init__(Field("", text, several=True, file=name, editor=True))
        self._name = name

    def lines(self, text: str, width: int, height: int) -> list[list[Piece]]:
        keys = [("Enter", "takes it"), ("Ctrl-J", "new line"), ("Ctrl-X Ctrl-E", "editor"), ("Esc", "none")]
        return [[(_HEAD, f"Edit {safe(self._name)}")], *_keys(keys, width)][-max(height, 1) :]

    def entered(self, text: str) -> None:
        self.answer(text)

    def left(self) -> None:
        self.answer(False)


def is_long(command: str, width: int, height: int) -> bool:
    """Return whether a command has to be printed, since the question has no room for it."""
    return len(command_rows(command, width)) > min(_SHOWN_ROWS, height - _OTHER_ROWS)


@lru_cache(maxsize=2)  # it is asked for with every frame
def command_rows(command: str, width: int) -> tuple[str, ...]:
    """Return a command in rows of at most `width` cells, with every character in sight."""
    rows: list[str] = []
    for line in spelled(command).split("\n"):
        rows.append("  $ ")
        used = len(rows[-1])
        for character in line:
            used += (cells := get_cwidth(character))
            if used > width:
                rows.append("    ")
                used = len(rows[-1]) + cells
            rows[-1] += character
    return tuple(rows)


def one(text: str) -> str:
    """Return the text without line breaks."""
    return " ".join(text.split())


def _keys(keys: Sequence[tuple[str, str]], width: int) -> list[list[Piece]]:
    """Return the keys and what they do, in as many lines as they need; none is broken inside."""
    lines: list[list[Piece]] = []
    used = width
    for key, what in keys:
        what = clipped(what, width - len(key) - 1)
        cells = len(key) + 1 + get_cwidth(what)
        if lines and used + 3 + cells <= width:
            lines[-1].append((_TEXT, " · "))
            used += 3 + cells
        else:
            lines.append([])
            used = cells
        lines[-1] += [(_KEY, key), (_TEXT, f" {what}")]
    return lines
