"""Work with a hard end: whatever it does, it ends in time, its events come through, and nothing of it is left."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwencode.errors import BudgetSpent, HistoryTooLong, ModelUnavailable
from qwencode.events import Event, Notice, Progress
from qwencode.jobs.bounded import Failed, bounded

pytestmark = pytest.mark.skipif(
    sys.platform != "linux",
    reason="only Linux hands a process its orphans, by which the tests see what was left running",
)


def children() -> set[int]:
    found = set[int]()
    for path in Path("/proc/self/task").glob("*/children"):
        found |= set(map(int, path.read_text().split()))
    return found


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """See that no process is left, also none that has lost its parent: those would become ours."""
    before = children()
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    yield
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
    assert children() <= before


def drained(work: Iterator[Event]) -> tuple[list[Event], bool | None]:
    events: list[Event] = []
    generator = iter(work)
    while True:
        try:
            events.append(next(generator))
        except StopIteration as stop:
            return events, stop.value


def test_events_come_through_and_the_folder_goes():
    folders: list[str] = []

    def work(folder: Path) -> Iterator[Event]:
        (folder / "file").write_text("x")
        yield Notice(str(folder))
        yield Progress("tests", 1, 2)
        yield Notice("\udcff" + "x" * 200_000)

    events, ended = drained(bounded(work, 30))
    folders += [event.text for event in events[:1] if isinstance(event, Notice)]
    assert ended is True
    assert events[1:] == [Progress("tests", 1, 2), Notice("\udcff" + "x" * 200_000)]
    assert not Path(folders[0]).exists()


@pytest.mark.parametrize(
    "error", [ModelUnavailable("There is none."), HistoryTooLong("It is too long."), BudgetSpent("It is spent.")]
)
def test_errors_come_through(error: Exception):
    def work(folder: Path) -> Iterator[Event]:
        yield Notice("a")
        raise error

    generator = bounded(work, 30)
    assert next(generator) == Notice("a")
    with pytest.raises(type(error), match=str(error)):
        next(generator)


def test_a_bug_is_a_traceback_and_an_error_here(capfd: pytest.CaptureFixture[str]):
    def work(folder: Path) -> Iterator[Event]:
        raise ZeroDivisionError("ours")
        yield

    with pytest.raises(Failed):
        drained(bounded(work, 30))
    assert "ZeroDivisionError: ours" in capfd.readouterr().err


def test_what_is_printed_does_not_get_among_the_events(capfd: pytest.CaptureFixture[str]):
    def work(folder: Path) -> Iterator[Event]:
        os.write(1, b"noise\n")
        yield Notice("a")

    assert drained(bounded(work, 30)) == ([Notice("a")], True)
    assert capfd.readouterr().out == ""


def test_work_that_never_ends_is_ended():
    def work(folder: Path) -> Iterator[Event]:
        yield Notice("a")
        while True:
            time.sleep(0.01)

    assert drained(bounded(work, 0.2)) == ([Notice("a")], False)


def test_work_that_does_not_listen_is_killed_with_all_that_it_started(tmp_path: Path):
    script = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.setsid(); time.sleep(600)"

    def work(folder: Path) -> Iterator[Event]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        other = subprocess.Popen([sys.executable, "-c", script])
        nested = subprocess.Popen(["sh", "-c", f"{sys.executable} -c '{script}' & sleep 600"], start_new_session=True)
        yield Notice(f"{other.pid} {nested.pid}")
        while True:
            time.sleep(0.01)

    events, ended = drained(bounded(work, 0.8))
    assert ended is False
    (said,) = (event.text for event in events if isinstance(event, Notice))
    assert not any(Path(f"/proc/{pid}").exists() for pid in said.split())


def test_who_stops_listening_leaves_nothing():
    def work(folder: Path) -> Iterator[Event]:
        while True:
            yield Notice("a")

    generator = bounded(work, 30)
    next(generator)
    generator.close()


def test_the_child_goes_when_its_parent_is_killed(tmp_path: Path):
    code = (
        "import sys, time, os\nfrom qwencode.events import Notice\nfrom qwencode.jobs.bounded import bounded\n"
        "def work(folder):\n    yield Notice(str(os.getpid()))\n    time.sleep(600)\n"
        "for event in bounded(work, 500): print(event.text, flush=True)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    os.waitpid(child, 0)  # it has become ours, and ends by itself


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGINT])
def test_a_signal_while_it_clears_away_waits(number: signal.Signals):
    """The clock of a hook rings, or Ctrl-C is pressed again, while a child that does not listen is waited for."""

    def ring(*_: object) -> None:
        raise BudgetSpent("The time was up.")

    def work(folder: Path) -> Iterator[Event]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        yield Notice(f"{folder} {os.getpid()}")
        while True:
            time.sleep(0.01)

    def ringing() -> None:
        time.sleep(0.3)
        os.kill(os.getpid(), number)

    before = signal.signal(number, ring)
    thread = threading.Thread(target=ringing)
    said: list[str] = []
    try:
        with pytest.raises(BudgetSpent):
            for event in bounded(work, 0.15):
                said += [event.text] if isinstance(event, Notice) else []
                thread.start()
    finally:
        thread.join()
        signal.signal(number, before)
    folder, pid = said[0].split()
    assert not Path(folder).exists()
    assert not Path(f"/proc/{pid}").exists()


def test_who_is_asked_to_end_may_clear_up(tmp_path: Path):
    def work(folder: Path) -> Iterator[Event]:
        try:
            yield Notice("a")
            while True:
                time.sleep(0.01)
        finally:
            time.sleep(0.1)
            (tmp_path / "cleared").touch()

    assert drained(bounded(work, 0.2)) == ([Notice("a")], False)
    assert (tmp_path / "cleared").exists()
