"""The session in a real terminal, with a scripted conversation: what a person sees, and what their keys do."""

import os
import re
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tmux import Tmux, needs_tmux

pytestmark = needs_tmux
ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "tests" / "ground" / "fake_chat.py"
Start = Callable[..., Tmux]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a conversation in a window of its own. `load`: how long its model loads."""
    windows = list[Tmux]()

    def begin(load: float = 0.0, keys: str = "emacs", size: tuple[int, int] = (80, 24), **environment: str) -> Tmux:
        window = Tmux(*size)
        windows.append(window)
        names = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environment}
        window.start([sys.executable, str(PROGRAM), str(tmp_path), str(load), keys], tmp_path, names)
        window.wait("❯")
        if load == 0:
            window.wait("Loaded.")
        return window

    yield begin
    for window in windows:
        try:
            assert "Traceback" not in window.everything()
        finally:
            window.close()


def log(tmp_path: Path) -> str:
    file = tmp_path / "log"
    return file.read_text() if file.exists() else ""


def logged(tmp_path: Path, wanted: str) -> None:
    """Wait until the conversation has noted something."""
    until = time.monotonic() + 20
    while wanted not in log(tmp_path):
        assert time.monotonic() < until, f"{wanted!r} is not in {log(tmp_path)!r}"
        time.sleep(0.03)


def rows(screen: str) -> list[str]:
    return [row for row in screen.split("\n") if row.strip()]


def test_the_prompt_is_there_before_the_model_and_takes_lines(start: Start, tmp_path: Path):
    window = start(load=1.5)
    window.wait("not loaded yet")
    window.say("listed")
    window.wait("Loading qwen3.6-35b-a3b", "1 queued", "  … listed")
    screen = window.wait("Loaded.", "s2  yesterday")
    assert "❯ listed" in screen
    window.gone("queued")
    window.press("C-d")
    window.wait("ended 0")
    assert log(tmp_path).endswith("closed\n")


def test_markdown_and_tools_stand_as_they_were_printed(start: Start):
    window = start(size=(80, 44))
    window.say("prose")
    window.wait("Done.", "20%")
    window.say("tool")
    screen = window.wait("FAILED test_add", "40%")
    assert [re.sub(r"[\d.]+ s ·", "T ·", row) for row in rows(screen)] == [
        "qwencode chat · /src/calc",
        "Loaded.",
        "❯ prose",
        "What is wrong",
        "The function add in calc.py takes the difference, so both tests that sum fail.",
        "One sign has to change:",
        "def add(a, b):",
        '    """Add two numbers."""',
        "    return a + b",
        "Two more things to know:",
        " 1 nothing else calls it",
        " 2 漢字 and 🙂 are as wide as they are",
        " test      before",
        " ────────────────",
        " test_add  failed",
        "Done.",
        "T · 2,048 tokens read, 1,900 from cache, 120 written at 14.1/s",
        "❯ tool",
        "I read it first.",
        "• calc.py: 200 lines · Ctrl-O shows 200 lines",
        "! tests: 1 failed, 3 passed (2.1 s)",
        "  E assert 1 == 3",
        "  FAILED test_add",
        "  ✓ 1 of 3 done",
        "  ▸ mend the sign",
        "  · run the tests",
        "T · 2,048 tokens read, 1,900 from cache, 12 written at 15.0/s",
        "ask ❯",
        "qwen3.6-35b-a3b · ask · think auto · context 40% · 14.2/s · main, 2 unsaved",
    ]


@pytest.mark.parametrize(
    ("scene", "going_on"),
    [("prefill", "from cache"), ("decode", "word30"), ("slow_tool", "run_shell_command sleep 60")],
)
def test_ctrl_c_stops_what_goes_on_and_the_next_line_is_taken(start: Start, tmp_path: Path, scene: str, going_on: str):
    window = start()
    window.say(scene)
    window.wait(going_on)
    window.press("C-c")
    window.wait("interrupted")
    window.say("listed")
    window.wait("s2  yesterday")
    assert log(tmp_path).count("interrupted") == 1


def test_an_edit_is_shown_and_allowed_with_one_key(start: Start, tmp_path: Path):
    window = start()
    window.say("allow_edit")
    window.wait("+    return a + b", "Edit calc.py?", "y yes · a always: edits in this repository")
    window.press("x", "Enter", "y")
    window.wait("Edit calc.py: allowed", "edited calc.py")
    assert "answer Answer(allow=True, lasting=False, reason='', command='')" in log(tmp_path)


@pytest.mark.slow
def test_a_command_is_changed_or_refused_with_a_reason(start: Start, tmp_path: Path):
    window = start()
    window.say("allow_command")
    window.wait("e edit it")
    window.press("e")
    window.wait("command: pytest -q")
    window.say(" -x")
    window.wait("pytest -q -x: exit code 0")
    window.say("allow_command")
    window.wait("n no, and why")
    window.press("n")
    window.wait("why not:")
    window.say("too slow")
    window.wait("not allowed: too slow")
    window.say("allow_command")
    window.wait("a always: commands: pytest …")
    window.press("a")
    window.wait("from now on: commands: pytest …")
    for wanted in ("command='pytest -q -x'", "reason='too slow'", "lasting=True"):
        assert wanted in log(tmp_path)


def test_what_is_typed_for_the_prompt_answers_no_question(start: Start, tmp_path: Path):
    window = start()
    window.say("allow_command 0.3")
    for _ in range(6):
        window.type("y")
        time.sleep(0.12)
    window.wait("answer when you have stopped typing", "yyyyyy")
    assert "answer" not in log(tmp_path)
    window.wait("y yes")
    window.press("y")
    logged(tmp_path, "allow=True")
    window.wait("ask ❯ yyyyyy")


def test_a_question_takes_no_key_in_its_first_moment(start: Start, tmp_path: Path):
    window = start()
    window.say("allow_command 1.2")
    window.wait("Run a command?", "answer when you have stopped typing")
    window.wait("y yes")
    window.press("y")
    logged(tmp_path, "allow=True")


def test_ctrl_c_twice_quits_and_one_clears_the_line(start: Start):
    window = start()
    window.type("half a line")
    window.wait("❯ half a line")
    window.press("C-c")
    window.gone("half a line")
    window.press("C-c")
    window.wait("Ctrl-C again quits")
    window.press("C-c")
    window.wait("ended 0")


@pytest.mark.slow
def test_ctrl_c_once_too_often_ends_it_all_the_same(start: Start):
    window = start()
    window.say("decode")
    window.wait("word10")
    for _ in range(12):
        window.press("C-c")
        time.sleep(0.05)
    window.wait("ended 0")


@pytest.mark.slow
def test_a_model_that_is_not_there_leaves_the_terminal_as_it_was(start: Start):
    window = start(load=-1)
    screen = window.wait("qwencode: There is no model.", "ended 4")
    assert "❯" not in screen
    window.say("typed after it")
    window.wait("typed after it\ntyped after it")  # the terminal echoes, and cat answers


@pytest.mark.slow
def test_a_bug_ends_the_session_with_its_traceback_and_a_sane_terminal(tmp_path: Path):
    window = Tmux(80, 40)
    try:
        window.start([sys.executable, str(PROGRAM), str(tmp_path)], tmp_path, {"PYTHONPATH": str(ROOT)})
        window.wait("Loaded.")
        window.say("bug")
        window.wait("here it comes", "ZeroDivisionError: a bug of ours", "ended 1")
    finally:
        window.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(start: Start, number: signal.Signals):
    window = start()
    window.say("decode")
    window.wait("word30")
    os.kill(window.program, number)
    window.wait(f"ended {128 + number}")


@pytest.mark.slow
def test_completion_history_and_search(start: Start, tmp_path: Path):
    window = start()
    window.type("/h")
    window.wait("/help", "about /history")
    window.press("Tab", "Tab")
    window.wait("❯ /history")
    window.press("Enter", "C-c")
    window.type("look at @te")
    window.wait("@tests/test_calc.py")
    window.press("Tab")
    window.wait("❯ look at @tests/test_calc.py")
    window.press("Enter", "Enter")
    window.wait("There is no scene 'look'")
    window.say("listed")
    window.wait("yesterday")
    window.press("Up")
    window.wait(lambda screen: "ask ❯ listed" in screen)
    window.press("C-c", "C-r")
    window.type("look")
    window.wait("I-search backward: look", "ask ❯ look at @tests")
    window.press("Enter", "Enter")
    window.wait(lambda screen: screen.count("There is no scene 'look'") == 2)
    assert stat.S_IMODE((tmp_path / "state" / "history").stat().st_mode) == 0o600
    window.press("C-d")
    window.wait("ended 0")
    again = start()
    again.press("Up", "Up")
    again.wait("ask ❯ listed")


@pytest.mark.slow
def test_several_lines_and_the_ways_to_write_them(start: Start, tmp_path: Path):
    window = start()
    window.type("one")
    window.press("M-Enter")
    window.type("two")
    window.press("C-j")
    window.type("three\\")
    window.press("Enter")
    window.type("four")
    window.wait("❯ one\n      two\n      three\n      four")
    window.press("Enter")
    logged(tmp_path, "'one\\ntwo\\nthree\\nfour'")


@pytest.mark.slow
def test_ten_thousand_pasted_lines_are_one_sign_and_arrive_whole(start: Start, tmp_path: Path):
    window = start()
    text = "\n".join(f"line {number} of a log" for number in range(10_000))
    window.type("explain ")
    window.paste(text)
    window.wait("❯ explain [10,000 lines pasted]")
    window.press("Enter")
    logged(tmp_path, f"took {len('explain ') + len(text)} characters")
    window.paste(text)
    window.wait(lambda screen: "ask ❯ [10,000 lines pasted]" in screen)
    window.press("BSpace")
    window.gone("ask ❯ [10,000 lines pasted]")
    window.paste("two\nlines")
    window.wait("❯ two\n      lines")


@pytest.mark.slow
def test_the_mode_is_switched_while_the_model_writes(start: Start):
    window = start()
    window.say("decode")
    window.wait("word20")
    for mode in ("auto", "plan", "ask"):
        window.press("BTab")
        window.wait(f"{mode} ❯")


@pytest.mark.slow
def test_what_waits_can_be_taken_back_and_comes_back_when_the_turn_is_stopped(start: Start, tmp_path: Path):
    window = start()
    window.say("decode")
    window.wait("word10")
    window.say("listed")
    window.say("proof")
    window.wait("2 queued", "… listed", "… proof")
    window.press("Up")
    window.wait("ask ❯ proof", "1 queued")
    window.press("C-c")
    window.wait("interrupted", "ask ❯ listed\n      proof")
    assert "took 6 characters: 'listed'" not in log(tmp_path)


@pytest.mark.slow
def test_more_is_shown_on_demand(start: Start):
    window = start()
    window.say("think 300")
    window.wait("thinking · ", "thought 30")
    window.press("C-o")
    window.wait(lambda screen: screen.count("thought") > 20)
    window.wait("So it is the sign.", "Ctrl-O shows it")
    window.press("C-o")
    window.wait("thought 299\n")
    assert "── thought for" in window.everything()
    window.say("tool")
    window.wait("Ctrl-O shows 200 lines")
    window.press("C-o")
    window.wait("line 200")
    assert "line 1\n" in window.everything()


@pytest.mark.slow
def test_rows_are_chosen_and_questions_confirmed(start: Start, tmp_path: Path):
    window = start()
    window.say("choose")
    window.wait("Go back to", "▸ turn 1: ask about add", "4 of 4")
    window.press("Down", "Down")
    window.wait("▸ turn 3: ask about mul")
    window.type("div")
    window.wait("▸ turn 4: ask about div", "1 of 4")
    window.press("Enter")
    logged(tmp_path, "chose 3")
    window.say("choose")
    window.wait("4 of 4")
    window.press("Escape")
    logged(tmp_path, "chose None")
    window.say("confirm")
    window.wait("Use what this folder says?")
    window.press("n")
    logged(tmp_path, "confirmed False")
    window.say("confirm")
    window.wait("y yes · n no · Ctrl-C stop")
    window.press("C-c")
    logged(tmp_path, "interrupted")


@pytest.mark.slow
def test_texts_are_edited_here_or_in_the_users_editor(start: Start, tmp_path: Path):
    window = start(VISUAL="", EDITOR="")
    window.say("edit")
    window.wait("Edit COMMIT_EDITMSG", "Mend the sign")
    window.say(" of add")
    logged(tmp_path, "edited 'Mend the sign of add'")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "from $(basename "$1")" >"$1"\n')
    editor.chmod(0o755)
    window = start(VISUAL=str(editor))
    window.say("edit")
    logged(tmp_path, "edited 'from COMMIT_EDITMSG'")
    window.type("draft")
    window.press("C-x", "C-e")
    window.wait("ask ❯ from message.md")
    window = start(VISUAL="/no/such/editor")
    window.type("draft")
    window.press("C-x", "C-e")
    window.wait("The editor /no/such/editor cannot be started", "ask ❯ draft")


@pytest.mark.slow
def test_vi_keys(start: Start, tmp_path: Path):
    window = start(keys="vi")
    window.type("one two")
    window.press("Escape")
    window.wait("-- normal --")
    window.type("bcwthree")
    window.gone("-- normal --")
    window.wait("❯ one three")
    window.press("Escape", "Enter")
    logged(tmp_path, "'one three'")


@pytest.mark.slow
def test_an_offered_text_and_a_cleared_screen(start: Start):
    window = start()
    window.say("offer")
    window.wait("ask ❯ say it again")
    window.press("C-c")
    window.say("clear")
    window.wait(lambda screen: rows(screen)[:1] == ["ask ❯"])


@pytest.mark.slow
def test_without_colour_no_colour_is_sent(start: Start):
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d|10\d)(?:;\d+)*m")
    for environment, wanted in (({}, True), ({"NO_COLOR": "1"}, False)):
        window = start(**environment)
        window.say("diff")
        window.wait("Ctrl-O shows all")
        assert bool(colour.search(window.screen(colour=True))) is wanted


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (40, 10), (20, 6), (12, 4)])
def test_every_scene_works_in_small_windows(start: Start, size: tuple[int, int], tmp_path: Path):
    window = start(size=size) if size == (80, 24) else start(load=0.01, size=size)
    for number, scene in enumerate(("prose", "tool", "diff", "proof", "think 5", "listed", "evil"), 1):
        window.say(scene)
        logged(tmp_path, f"{scene[:4]}")
        window.wait(lambda screen: "❯" in screen.split("\n")[-3] + screen or True)
        assert log(tmp_path).count("took") == number


@pytest.mark.slow
def test_resizing_leaves_what_was_printed_as_it_was(start: Start):
    window = start()
    window.say("decode")
    window.wait("word30")
    for width, height in ((60, 24), (40, 20), (100, 30), (50, 12), (80, 24)):
        window.resize(width, height)
        window.wait(lambda screen: screen.count("ask ❯") == 1 and "writing" in screen)
    for width in [*range(80, 40, -4), *range(40, 81, 4)]:
        window.resize(width, 24)
        time.sleep(0.02)
    window.wait(lambda screen: screen.count("ask ❯") == 1 and "writing" in screen)
    window.press("C-c")
    window.wait("interrupted", lambda screen: "writing" not in screen)
    printed = window.everything()
    assert "The first paragraph is whole.\n" in printed
    whole = printed[printed.rindex("word0 ") :]
    numbers = [int(number) for number in re.findall(r"word(\d+)", whole)]
    assert numbers == list(range(len(numbers)))
