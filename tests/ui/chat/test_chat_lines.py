"""The queue of inputs, and Ctrl-C while something goes on."""

import signal
import threading
import time
from collections.abc import Generator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.events import Event, Notice
from qwencode.ui.chat.app import Stop
from qwencode.ui.chat.lines import Line, Lines
from qwencode.ui.chat.output import reflows, rows_taken


def line(text: str) -> Line:
    return Line(text, text)


def test_lines_come_in_their_order_and_can_be_taken_back():
    lines = Lines()
    for text in ("a", "b", "c"):
        lines.put(line(text))
    assert lines.take_back() == line("c")
    assert lines.waiting() == (line("a"), line("b"))
    assert lines.take() == line("a")


def test_the_end_reaches_who_waits():
    lines, found = Lines(), list[Line | None]()
    waiting = threading.Thread(target=lambda: found.append(lines.take()))
    waiting.start()
    lines.end()
    waiting.join(10)
    assert found == [None]
    lines.put(line("late"))
    assert lines.take() is None


def interruptible(log: list[str], steps: int) -> Generator[Event, None, None]:
    try:
        for number in range(steps):
            yield Notice(f"step {number}")
        log.append("whole")
    except KeyboardInterrupt:
        log.append("interrupted")
        yield Notice("cleared up")


@pytest.fixture
def stop() -> Generator[Stop, None, None]:
    stop = Stop()
    before = signal.signal(signal.SIGINT, stop.heard)
    yield stop
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_an_event_is_shown_goes_to_the_work(stop: Stop):
    log, shown = list[str](), list[str]()

    def show(event: Event) -> None:
        assert isinstance(event, Notice)
        shown.append(event.text)
        if event.text in ("step 1", "cleared up"):
            stop.press()

    assert stop.follow(interruptible(log, 5), show)
    assert log == ["interrupted"]
    assert shown == ["step 0", "step 1", "cleared up"]


def test_ctrl_c_inside_the_work_arises_there(stop: Stop):
    log = list[str]()

    def work() -> Generator[Event, None, None]:
        yield Notice("begin")
        try:
            stop.press()
            time.sleep(20)
        except KeyboardInterrupt:
            log.append("inside")
            raise

    assert not stop.follow(work(), lambda event: None)
    assert log == ["inside"]


def test_ctrl_c_does_nothing_while_nothing_goes_on(stop: Stop):
    stop.press()
    stop.heard(signal.SIGINT, None)
    log = list[str]()
    assert stop.follow(interruptible(log, 3), lambda event: None)
    assert log == ["whole"]


def test_ctrl_c_that_another_program_is_given_is_not_ours(stop: Stop):
    stop.lent = lambda: True
    log = list[str]()
    assert stop.follow(interruptible(log, 3), lambda event: stop.press())
    assert log == ["whole"]


def test_what_the_work_raises_comes_out(stop: Stop):
    def work() -> Generator[Event, None, None]:
        yield Notice("begin")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stop.follow(work(), lambda event: None)
    assert not stop.busy


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm", "XTERM_VERSION": "XTerm(390)"}, False),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/x", "STY": "1.x"}, True),
        ({"TERM": "screen", "STY": "1.x"}, False),
        ({"TERM": "linux"}, False),
    ],
)
def test_which_terminals_break_lines_anew(environment: dict[str, str], wanted: bool):
    assert reflows(environment) is wanted


@settings(max_examples=50)
@given(st.lists(st.integers(0, 300), max_size=20), st.integers(1, 200))
def test_rows_are_counted_as_a_terminal_breaks_them(used: list[int], columns: int):
    broken = [max(len([cells[at] for at in range(0, len(cells), columns)]), 1) for cells in (range(n) for n in used)]
    assert rows_taken(used, columns) == sum(broken)
