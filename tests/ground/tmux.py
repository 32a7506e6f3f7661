"""A real terminal for tests: one tmux server each, with a socket of its own and a window of a fixed size."""

import os
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

# Not without tmux on a developer's machine; where tests are run for everybody (CI), a lack of it is a failure.
needs_tmux = pytest.mark.skipif(
    shutil.which("tmux") is None and "CI" not in os.environ,
    reason="nothing else is a real terminal here: install tmux, as .ci/run does",
)
_AFTER = r"printf '\r\nended %s\r\n' $?; trap '' INT QUIT TSTP; while :; do cat; sleep 0.1; done"
SECONDS = 20.0
"""How long something may take to appear; a busy machine needs a multiple of what an idle one does."""


class Tmux:
    """A window in which one program runs. `screen` is what a person would see."""

    def __init__(self, width: int = 80, height: int = 24):
        self._socket = f"qwencode-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._size = (width, height)

    def start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start the program; the window stays when it has ended, and says `ended CODE`."""
        names = {"TERM": "tmux-256color", **(environment or {})}
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in names.items())
        line = f"trap : INT; {variables} {shlex.join(command)}; {_AFTER}"  # a Ctrl-C too many must not end the shell
        width, height = self._size
        options = ["-x", str(width), "-y", str(height), "-c", str(folder)]
        settings = ("escape-time", "0"), ("history-limit", "20000"), ("remain-on-exit", "on")
        before = [word for name, value in settings for word in ("set-option", "-g", name, value, ";")]
        self._run("-f", os.devnull, "start-server", ";", *before, "new-session", "-d", *options, line)

    def type(self, text: str) -> None:
        """Type a text, letter by letter."""
        self._run("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by the names that tmux has for them: Enter, C-c, BTab."""
        self._run("send-keys", *keys)

    def say(self, text: str) -> None:
        """Type a text and send it."""
        self.type(text)
        self.press("Enter")

    def paste(self, text: str | bytes) -> None:
        """Paste a text as a terminal does it."""
        data = text.encode() if isinstance(text, str) else text
        subprocess.run(["tmux", "-L", self._socket, "load-buffer", "-"], input=data, check=True)
        self._run("paste-buffer", "-p", "-r")

    def raw(self, data: bytes) -> None:
        """Send bytes as if they had been typed, whatever they are."""
        if data:
            subprocess.run(["tmux", "-L", self._socket, "load-buffer", "-"], input=data, check=True)
            self._run("paste-buffer", "-r")

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-x", str(width), "-y", str(height))

    def screen(self, colour: bool = False) -> str:
        """Return the rows of the window, without spaces at their ends."""
        return self._run("capture-pane", "-p", *(["-e"] if colour else []))

    def everything(self) -> str:
        """Return what has scrolled off, too, with lines that the window broke joined again."""
        return self._run("capture-pane", "-p", "-J", "-S", "-")

    def wait(self, *wanted: str | Callable[[str], bool], seconds: float = SECONDS) -> str:
        """Wait until every text stands on the screen, and every condition holds of it. Returns the screen."""
        until = time.monotonic() + seconds
        while True:
            screen = self.screen()
            missing = [each for each in wanted if not (each in screen if isinstance(each, str) else each(screen))]
            if not missing:
                return screen
            if time.monotonic() > until:
                raise AssertionError(f"not on the screen: {missing}\n{screen}")
            time.sleep(0.03)

    def gone(self, text: str) -> str:
        """Wait until a text is off the screen."""
        return self.wait(lambda screen: text not in screen)

    @property
    def program(self) -> int:
        """The process id of the program."""
        shell = self._run("display-message", "-p", "#{pane_pid}").strip()
        done = subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, check=True)
        return int(done.stdout.split()[0])

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self._socket, "kill-server"], capture_output=True, check=False)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-L", self._socket, *arguments], capture_output=True, text=True, check=True)
        return done.stdout
