"""A text in the user's own editor."""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from qwencode.errors import UsageError

_FALLBACKS = ("editor", "nano", "vi")


def named(environment: Mapping[str, str]) -> str:
    """Return the editor that the user has named, or ''."""
    return environment.get("VISUAL") or environment.get("EDITOR") or ""


def edited(text: str, name: str, environment: Mapping[str, str]) -> str:
    """Let the text be edited as a file of this name, and return it without its last line end.

    Raises UsageError that says why there is no new text.
    """
    command = named(environment) or next((each for each in _FALLBACKS if shutil.which(each)), "")
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"The editor {command!r} is not a command: {error}. Set $VISUAL.") from error
    if not words:
        raise UsageError("No editor was found. Set $VISUAL or $EDITOR.")
    with tempfile.TemporaryDirectory(prefix="qwencode-") as folder:
        file = Path(folder) / (Path(name).name or "text")
        file.write_text(text + "\n", encoding="utf-8", errors="replace")
        try:
            code = subprocess.call([*words, os.fspath(file)])
        except OSError as error:
            raise UsageError(f"The editor {words[0]} cannot be started: {error.strerror}. Set $VISUAL.") from error
        if code:
            raise UsageError(f"The editor {words[0]} ended with exit code {code}, so nothing was changed.")
        try:
            return file.read_text(encoding="utf-8", errors="replace").removesuffix("\n")
        except OSError as error:
            raise UsageError(f"The editor left nothing to read: {error.strerror}.") from error
