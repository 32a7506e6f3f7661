"""Where the user types: what was typed before, what may come next, and pastes that are too long to look at."""

import json
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import History

from qwencode.ui.chat.conversation import Conversation
from qwencode.ui.chat.lines import Line
from qwencode.ui.text import safe

FOLDED_LINES = 12
"""A paste of more lines is shown as one sign."""
FOLDED_CHARS = 2_000
_LABEL = re.compile(r"\[[\d,]+ (?:lines|characters) pasted(?:, \d+)?\]")
_ENTRY_CHARS = 64_000  # what is longer is not kept on disk
_READ_BYTES = 1_000_000  # of the end of the file: what can be gone back to
_MENU_LINES = 200


class Pastes:
    """Knows what the signs in the input stand for."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def sign(self, pasted: str) -> str:
        """Return what is to stand in the input: the text, or a sign for it. Line ends become those of Unix."""
        text = pasted.replace("\r\n", "\n").replace("\r", "\n")
        count = text.count("\n") + (not text.endswith("\n"))
        if count <= FOLDED_LINES and len(text) <= FOLDED_CHARS:
            return text
        what = f"{count:,} lines" if count > FOLDED_LINES else f"{len(text):,} characters"
        number = 1
        while self._texts.setdefault(sign := f"[{what} pasted{f', {number}' if number > 1 else ''}]", text) != text:
            number += 1
        return sign

    def whole(self, shown: str) -> str:
        """Return the input with every sign replaced by what it stands for."""
        return _LABEL.sub(lambda found: self._texts.get(found.group(), found.group()), shown)

    def before(self, left: str) -> str:
        """Return the sign that `left` ends with, or ''."""
        return next((sign for sign in self._texts if left.endswith(sign)), "")

    def line(self, shown: str) -> Line:
        """Return an input as it is sent: every byte that was no UTF-8 is marked, since it cannot be written on."""
        return Line(_writable(shown), _writable(self.whole(shown)))


class PrivateHistory(History):
    """What was sent, one JSON string a line, in a file that only the user can read. Without the file, in memory."""

    def __init__(self, file: Path, whole: Callable[[str], str]):
        super().__init__()
        self._file = file
        self._whole = whole

    def load_history_strings(self) -> Iterable[str]:
        """Return what was sent, the last first."""
        try:
            with self._file.open("rb") as stream:
                begin = max(stream.seek(0, os.SEEK_END) - _READ_BYTES, 0)
                stream.seek(begin)
                lines = stream.read().split(b"\n")
        except OSError:
            return []
        found = (_parsed(line) for line in reversed(lines[1:] if begin else lines))
        return [text for text in found if text]

    def store_string(self, string: str) -> None:
        """Keep it for the next session, unless it is very long. A disk that takes nothing is no reason to stop."""
        text = _writable(self._whole(string))
        if len(text) > _ENTRY_CHARS:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as stream:
                stream.write(json.dumps(text).encode() + b"\n")
        except OSError:
            pass


class Completing(Completer):
    """Asks the conversation, which is there when the model begins to load."""

    def __init__(self, conversation: Callable[[], Conversation | None]):
        self._conversation = conversation

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Return what may follow; nothing before there is a conversation."""
        conversation = self._conversation()
        if conversation is None:
            return
        for offered in conversation.completions(document.text_before_cursor)[:_MENU_LINES]:
            start = max(min(offered.start, 0), -document.cursor_position)
            yield Completion(offered.text, start, display=safe(offered.text), display_meta=safe(offered.help))


def wants_completions(left: str) -> bool:
    """Return whether a menu is of use while `left` is being typed: for a command, and for a file after `@`."""
    command = left.startswith("/") and "\n" not in left
    word = re.split(r"\s", left)[-1]
    return command or word.startswith("@")


def _parsed(line: bytes) -> str:
    try:
        text = json.loads(line)
    except ValueError:
        return ""
    return text if isinstance(text, str) else ""


def _writable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
