"""Every reader shows every event, and none lets what was read steer the terminal."""

import io
import json
import os
import pty
import subprocess
import sys
from typing import get_args

import pytest
from rich.console import Console

from qwencode import events
from qwencode.event_json import from_dict
from qwencode.messages import Message, ToolCall, Usage
from qwencode.ui.json_lines import JsonLines
from qwencode.ui.plain import Plain
from qwencode.ui.reader import Reader, open_reader
from qwencode.ui.terminal import Terminal
from qwencode.ui.text import plural, seconds

DIFF = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n"
CALL = ToolCall("call-1", "edit", {"file_path": "x.py"})
RUN: list[events.Event] = [
    events.RunStarted("fix", "/src/project", "s1", "0.1.0", "", "model"),
    events.SandboxReady("bubblewrap", ("no network",), ("timing",)),
    events.TestCommandChosen("pytest", "pytest", "found tests/"),
    events.PhaseStarted("baseline", "Running the tests"),
    events.Progress("baseline", 3, 10, "tests", 4.0),
    events.BaselineTaken(("tests/test_x.py::test_a",), 12, ("tests/test_x.py::test_f",), 1.25),
    events.SuspectsRanked((events.Suspect("x.py", 3, "f", 0.71),), 0.1),
    events.CandidateFound(DIFF, "constant", 1),
    events.SearchFinished(120, 1, 2.0, (DIFF,)),
    events.ThinkingDecided(True, "the first turn of a task"),
    events.PrefillProgress(512, 2048, 128, 40.0, 30.0),
    events.CacheMissed(640, 3, "message 3 was edited", 120),
    events.ThinkingDelta("hm"),
    events.TextDelta("I will *mend* it."),
    events.CallDelta("edit", "old_string", "a = 1"),
    events.ReplyFinished("tool_calls", Usage(2048, 128, 1920, 30, 40.0, 3.0)),
    events.ContextFilled(40_000, 65_536, 95.0),
    events.MessageAdded(Message("assistant", "I will *mend* it.", "hm", (CALL,))),
    events.HistoryRewound(2, "the edit did not help"),
    events.ToolStarted(CALL),
    events.ToolFinished(CALL, True, "edited x.py"),
    events.PlanChanged((("read", "done"), ("mend", "in_progress"))),
    events.Notice("Mind the gap.", "warning"),
    events.TreeChanged(DIFF, ("x.py",)),
    events.VerdictReached(
        "fixed", "Fixed: 1 of 1.", "search", (events.TestChange("tests/test_x.py::test_a", "failed", "passed"),), 12, 13
    ),
    events.TurnStarted(1, "why?", 2, "run-1"),
    events.TurnEnded(1, "answered", ("x.py",)),
    events.TurnsUndone(1, True, ("run-1",)),
    events.TurnsRedone(1, True, ("run-1",)),
    events.Listed("Sessions", ("id", "begun"), (("s1", "today"), ("s2", "yesterday"))),
    events.InputOffered("why?"),
    events.ScreenCleared(),
    events.FindingReported("x.py", 3, "error", "secrets/github-token", "A token.", "Take it out."),
    events.CheckFinished("tests", "skipped", 0, 1.0, "no time was left"),
    events.RunFinished(0, "Fixed: 1 of 1.", 7.5, Usage(2048, 128, 1920, 30)),
]


def shown_by(make: type[Plain] | type[Terminal], run: list[events.Event], **console: object) -> str:
    out = io.StringIO()
    reader: Reader = Plain(out) if make is Plain else Terminal(Console(file=out, highlight=False, width=100, **console))  # type: ignore[arg-type]
    for event in run:
        reader.show(event)
    reader.close()
    return out.getvalue()


def test_the_run_above_holds_every_event():
    assert {type(event) for event in RUN} == set(get_args(events.Event))


@pytest.mark.parametrize("make", [Plain, Terminal])
def test_a_run_tells_its_story(make: type[Plain] | type[Terminal]):
    text = shown_by(make, RUN)
    for part in (
        "/src/project",
        "bubblewrap",
        "pytest",
        "12 passing, 1 failing",
        "x.py:3 f",
        "x.py:3: error: A token. [secrets/github-token]",
        "Skipped: tests (no time was left)",
        "+a = 2",
        "120 edits",
        "message 3 was edited",
        "120 tokens",
        "Fixed",
    ):
        assert part in text, part
    assert "mend" in text
    assert text.index("failed") < text.rindex("passed")


@pytest.mark.parametrize("make", [Plain, Terminal])
def test_a_part_is_not_shown_as_a_success(make: type[Plain] | type[Terminal]):
    rows = (events.TestChange("t::a", "failed", "passed"), events.TestChange("t::b", "failed", "failed"))
    verdict = events.VerdictReached("partly", "1 of 2 passes.", "search", rows, 3, 4)
    text = shown_by(make, [verdict, events.RunFinished(1, verdict.reason, 1.0)], force_terminal=make is Terminal)
    assert "1 of 2 passes." in text and "t::b" in text
    assert make is Plain or "\x1b[33m1 of 2 passes." in text


@pytest.mark.parametrize(
    ("code", "said"), [(0, "Finished in 1.0 s"), (1, "Finished in"), (4, "(larger) model after 1.0")]
)
def test_the_end_is_called_what_it_is(code: int, said: str):
    text = shown_by(Plain, [events.RunFinished(code, "", 1.0)])
    assert said in text and ("Finished" in text) == (code != 4)


@pytest.mark.parametrize("make", [Plain, Terminal])
def test_a_blank_goal_of_an_old_run_is_shown(make: type[Plain] | type[Terminal]):
    assert "qwencode fix" in shown_by(make, [events.RunStarted("fix", "/src", "s1", "0.1.0", " \n\x1c", "")])


@pytest.mark.parametrize("make", [Plain, Terminal])
def test_a_diff_of_lines_with_carriage_returns_is_shown_without_them(make: type[Plain] | type[Terminal]):
    text = shown_by(make, [events.TreeChanged(DIFF.replace("\n", "\r\n"), ("x.py",))])
    assert "+a = 2" in text and "\r" not in text and "�" not in text


@pytest.mark.parametrize("make", [Plain, Terminal])
def test_a_command_in_a_notice_can_be_copied_as_it_is(make: type[Plain] | type[Terminal]):
    command = f"git restore --source=refs/qwencode/main/recovered/20261129-1 -- {'/long' * 20}"
    text = shown_by(make, [events.Notice(f"{'It is kept. ' * 20}To have it again:\n{command}", "warning")])
    assert f"\n{command}\n" in text


def test_what_was_typed_before_a_question_is_no_answer_to_it():
    above, below = pty.openpty()
    program = "import select, sys; from qwencode.ui.reader import ask_on; print('go', flush=True)"
    program += "; select.select([0], [], []); print(ask_on(sys.stdout, 'Keep?'), flush=True)"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=below, stdout=below, stderr=below)
    os.close(below)
    seen = b""

    def until(text: bytes) -> None:
        nonlocal seen
        while text not in seen:
            seen += os.read(above, 1000)

    try:
        until(b"go")
        os.write(above, b"\n")
        until(b"[Y/n] ")
        os.write(above, b"n\n")
        until(b"e\r\n")
        assert b"False" in seen
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.wait()
        os.close(above)


@pytest.mark.parametrize("make", [Plain, Terminal])
def test_a_name_that_is_not_utf_8_is_shown(make: type[Plain] | type[Terminal]):
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8", errors="strict")
    reader = Plain(out) if make is Plain else Terminal(Console(file=out, force_terminal=True, width=100))
    name = os.fsdecode(b"caf\xe9.py")
    for event in (
        events.FindingReported(name, 1, "error", "syntax/error", f"A mistake in {name}.", name),
        events.PhaseStarted("quick", name),
        events.Progress("quick", 1, 2, "files", 1.0, name),
        events.ToolFinished(CALL, True, f"edited {name}"),
        events.TreeChanged(DIFF.replace("x.py", name), (name,)),
        events.TextDelta(name),
        events.RunFinished(0, "", 1.0),
    ):
        reader.show(event)
    reader.close()
    out.flush()
    assert "caf�.py:1: error" in raw.getvalue().decode("utf-8")


def test_plain_text_has_no_escape_sequences():
    assert "\x1b" not in shown_by(Plain, RUN)


@pytest.mark.parametrize("make", [Plain, Terminal])
def test_what_a_test_prints_cannot_steer_the_terminal(make: type[Plain] | type[Terminal]):
    evil = "\x1b]0;owned\x07\x1b[2J[bold]x[/bold]"
    run: list[events.Event] = [
        events.Notice(evil),
        events.TextDelta(evil),
        events.PhaseStarted("agent", evil),
        events.ToolFinished(CALL, False, evil),
        events.TreeChanged(f"+{evil}", ("x",)),
        events.FindingReported(f"a\n{evil}", 1, "note", evil, evil, evil),
        events.CheckFinished(evil, "skipped", 0, 1.0, evil),
        events.VerdictReached("not_fixed", evil, "x", (events.TestChange(evil, "failed", evil),), 0, 0),
    ]
    text = shown_by(make, run, color_system=None)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]x[/bold]" in text


def test_a_live_terminal_leaves_nothing_behind_when_it_closes():
    text = shown_by(Terminal, RUN[:12], force_terminal=True)
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is shown again"


def test_json_gives_every_event_back():
    out = io.StringIO()
    reader = JsonLines(out)
    for event in RUN:
        reader.show(event)
    lines = out.getvalue().splitlines()
    assert [from_dict(json.loads(line)) for line in lines] == RUN


def test_the_reader_fits_the_output(monkeypatch: pytest.MonkeyPatch):
    class Tty(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(open_reader(json=True), JsonLines)
    assert isinstance(open_reader(json=False, out=io.StringIO()), Plain)
    assert isinstance(open_reader(json=False, out=Tty(), environment={"TERM": "dumb"}), Plain)
    assert isinstance(open_reader(json=False, out=Tty(), environment={"TERM": "xterm"}), Terminal)


def test_nobody_to_ask_is_no_answer():
    assert Plain(io.StringIO()).ask("Keep it?") is None


def test_a_narrow_encoding_is_survived():
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    reader = Plain(out)
    for event in RUN:
        reader.show(event)
    reader.close()
    assert b"? tests/test_x.py" in raw.getvalue()


@pytest.mark.parametrize(("value", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (42.4, "42 s"), (185, "3 min 05 s")])
def test_durations(value: float, text: str):
    assert seconds(value) == text


def test_plurals():
    assert [plural(1, "test"), plural(1200, "test")] == ["1 test", "1,200 tests"]
