"""The first run in a terminal: one screen, and a model on a yes. The network is asked for nothing before it."""

import hashlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub import Hub, serving_hub
from qwencode.errors import ModelUnavailable, UsageError

ENTRY = "import sys; from qwencode.cli import main; main()"
NAME = "someone/Tiny-GGUF/tiny.gguf"
QUESTION = "Measure how long the download takes?"
FETCH = "Fetch it now (0.0 GB)?"


class Terminal:
    """A process at a terminal of its own: what it wrote, and what is typed."""

    def __init__(self, arguments: list[str], directory: Path, environment: dict[str, str]):
        self._own, theirs = pty.openpty()
        self.work = subprocess.Popen(
            [sys.executable, "-c", ENTRY, *arguments],
            cwd=directory,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "dumb", **environment},
            start_new_session=True,
        )
        os.close(theirs)
        self.said = ""

    def until(self, text: str) -> None:
        """Read until it has written a text."""
        end = time.monotonic() + 60
        while text not in self.said:
            assert time.monotonic() < end, self.said
            if not self._read():
                raise AssertionError(self.said)

    def type(self, text: str) -> None:
        os.write(self._own, text.encode())

    def end(self) -> int:
        """Read all of the rest, and return the exit code."""
        while self._read():
            pass
        os.close(self._own)
        return self.work.wait(60)

    def _read(self) -> bool:
        if not select.select([self._own], [], [], 60)[0]:
            return False
        try:
            data = os.read(self._own, 65536)
        except OSError:  # the other end is closed
            return False
        self.said += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)


@pytest.fixture
def hub(own_directories: Path, tiny: Path) -> Iterator[Hub]:
    """Serve a small file that the user's own catalogue recommends."""
    data = tiny.read_bytes()
    own = own_directories / "config" / "qwencode" / "catalogue.toml"
    own.parent.mkdir(parents=True)
    own.write_text(
        f"""
recommended = ["Tiny"]
[[file]]
name = "Tiny"
repository = "someone/Tiny-GGUF"
file = "tiny.gguf"
quantisation = "F16"
shape = "0.8b"
bytes = {len(data)}
sha256 = "{hashlib.sha256(data).hexdigest()}"
"""
    )
    with serving_hub(files={NAME: data}) as found:
        yield found


@pytest.fixture
def broken(repository: Path) -> Path:
    (repository / "test_x.py").write_text("def test_x():\n    assert open('nothing').read() == 'x'\n")
    return repository


@contextmanager
def running(hub: Hub, broken: Path, *arguments: str) -> Iterator[Terminal]:
    found = Terminal(["fix", *arguments, str(broken)], broken, {"HF_ENDPOINT": hub.url})
    try:
        yield found
    finally:
        found.work.kill()
        found.work.wait()


def test_a_yes_fetches_the_model(hub: Hub, broken: Path, own_directories: Path) -> None:
    with running(hub, broken, "--no-search") as terminal:
        terminal.until(QUESTION)
        assert hub.requests == []
        terminal.type("y\n")
        terminal.until(FETCH)
        assert "MB a second that your line gives now" in terminal.said
        terminal.type("y\n")
        assert terminal.end() == 4  # the run itself had no model
    assert f"Next: qwencode warm, which measures this machine once; then qwencode fix {broken}" in terminal.said
    assert (own_directories / "data/qwencode/models" / NAME).stat().st_size == len(hub.files[NAME])


@pytest.mark.slow
def test_a_no_asks_the_network_for_nothing(hub: Hub, broken: Path, own_directories: Path) -> None:
    with running(hub, broken) as terminal:
        terminal.until(QUESTION)
        terminal.type("n\n")
        terminal.until(FETCH)
        terminal.type("n\n")
        assert terminal.end() == 4
    assert hub.requests == []
    assert not (own_directories / "data/qwencode/models").exists()
    assert "Traceback" not in terminal.said


def test_a_conversation_goes_on_with_what_was_fetched(hub: Hub, broken: Path) -> None:
    terminal = Terminal(["chat"], broken, {"HF_ENDPOINT": hub.url})
    try:
        for question, answer in ((QUESTION, "n\n"), (FETCH, "y\n")):
            terminal.until(question)
            terminal.type(answer)
        terminal.until("Next: qwencode warm")
        terminal.until(f"· {broken}")  # what a conversation begins with
        assert "cannot hold a conversation" not in terminal.said
    finally:
        terminal.work.kill()
        terminal.work.wait()


def test_without_network_the_address_is_there(hub: Hub, broken: Path) -> None:
    hub.head_statuses.append(503)
    with running(hub, broken, "--no-search") as terminal:
        terminal.until(QUESTION)
        terminal.type("\n")
        assert terminal.end() == 4
    assert "The hub answers 503; try again later. With another machine it can be fetched by hand" in terminal.said
    assert f"{hub.url}/someone/Tiny-GGUF/resolve/main/tiny.gguf" in terminal.said
    assert f"SHA-256 {hashlib.sha256(hub.files[NAME]).hexdigest()}" in terminal.said
    assert FETCH not in terminal.said


def test_ctrl_c_at_the_question(hub: Hub, broken: Path) -> None:
    with running(hub, broken, "--no-search") as terminal:
        terminal.until(QUESTION)
        terminal.work.send_signal(signal.SIGINT)
        assert terminal.end() == 130
    assert "qwencode: Interrupted; nothing was fetched." in terminal.said
    assert "Traceback" not in terminal.said


def test_ctrl_c_in_the_middle_of_a_pull(hub: Hub, own_directories: Path, tmp_path: Path) -> None:
    hub.slow = 100_000
    work = Terminal(["models", "pull", "tiny"], tmp_path, {"HF_ENDPOINT": hub.url})
    assert hub.reached.wait(30)
    work.until("Fetching")
    work.work.send_signal(signal.SIGINT)
    assert work.end() == 130
    hub.go.set()
    assert "qwencode: Interrupted; what is done so far is kept." in work.said
    models = own_directories / "data/qwencode/models"
    assert [path.name for path in models.rglob("*") if not path.name.startswith(".") and path.is_file()] == []


def test_without_a_terminal_the_screen_is_printed(
    hub: Hub, broken: Path, call: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelUnavailable, match=r"^--no-search needs a model\."):
        call("fix", "--no-search", broken)
    said = capsys.readouterr().out
    assert "There is no large model on this machine. The one that suits it:\n  name       Tiny" in said
    assert QUESTION not in said
    assert hub.requests == []


def test_how_long_it_would_take_can_be_asked(
    hub: Hub, call: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    said = call("models", "pull", "--dry-run")
    assert said.startswith("Tiny has 0.00 GB, which takes 0 seconds at the ")
    assert call("models", "pull", "--dry-run", "--json").startswith('{"name": "Tiny", "bytes": ')


def test_a_catalogue_that_is_broken(call: Callable[..., str], own_directories: Path, repository: Path) -> None:
    own = own_directories / "config" / "qwencode" / "catalogue.toml"
    own.parent.mkdir(parents=True)
    own.write_text("[[file")
    for arguments in (["models"], ["models", "pull", "x"], ["fix", repository]):
        with pytest.raises(UsageError, match=r"catalogue\.toml is not valid TOML"):
            call(*arguments)
    said = call("doctor", code=2)
    assert "catalogue.toml is not valid TOML" in said
    assert "Next: " in said
