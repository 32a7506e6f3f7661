"""What is printed of a conversation, and what is folded."""

import re
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fake_chat
from qwencode import events
from qwencode.jobs.chat.person import Nobody
from qwencode.messages import Message, ToolCall, Usage
from qwencode.ui.chat.live import Live
from qwencode.ui.chat.paint import Paint
from qwencode.ui.chat.view import View, unfolded, unfolding

CODE = re.compile(r"\x1b\[[0-9;]*m")


class Shown:
    """A view that keeps what it printed."""

    def __init__(self, width: int = 80):
        self.text, self.live = "", Live()
        self.view = View(Paint(lambda: width), self.put)

    def put(self, text: str, live: Live) -> None:
        assert text == "" or text.endswith("\n")
        self.text += text
        self.live = live

    def run(self, happened: Iterable[events.Event]) -> str:
        for event in happened:
            self.view.show(event)
        self.view.settle()
        return CODE.sub("", self.text)


def test_a_diff_that_is_asked_about_is_never_folded():
    shown = Shown()
    shown.view.diff(fake_chat.LONG_DIFF, whole=True)
    assert all(f"+new line {number}\n" in CODE.sub("", shown.text) for number in range(1, 61)) and not shown.view.folds


def scene(name: str, width: int = 80) -> tuple[Shown, str]:
    chat, shown = fake_chat.FakeChat(Nobody(), lambda text: None), Shown(width)
    text = shown.run(fake_chat.SCENES[name](chat, "3"))
    return shown, text


def test_markdown_is_printed_block_by_block():
    _, text = scene("prose")
    assert text == (
        "What is wrong\n"
        "\n"
        "The function add in calc.py takes the difference, so both tests that sum fail.\n"
        "One sign has to change:\n"
        "\n"
        "def add(a, b):\n"
        '    """Add two numbers."""\n'
        "    return a + b\n"
        "\n"
        "Two more things to know:\n"
        "\n"
        " 1 nothing else calls it\n"
        " 2 漢字 and 🙂 are as wide as they are\n"
        "\n"
        " test      before\n"
        " ────────────────\n"
        " test_add  failed\n"
        "\n"
        "Done.\n"
    )


def test_what_is_printed_is_the_same_however_it_came():
    def printed(size: int) -> str:
        return Shown().run(events.TextDelta(piece) for piece in fake_chat.pieces(fake_chat.PROSE, size))

    assert printed(1) == printed(13) == printed(10_000)


def test_what_is_not_finished_stands_in_the_live_area_only():
    shown = Shown()
    shown.view.show(events.TextDelta("first\n\nsec"))
    assert CODE.sub("", shown.text) == "first\n"
    assert shown.live.rest == "sec"
    assert shown.live.doing is not None


def test_thinking_leaves_one_line_and_can_be_read():
    shown, text = scene("think")
    line, _, answer = text.split("\n")[:3]
    assert re.fullmatch(r"thought for 0\.\d s, 3 tokens \(the first turn of a task\) · Ctrl-O shows it", line)
    assert answer == "So it is the sign."
    assert "thought 0 thought 1 thought 2" in unfolding(shown.view, Paint(lambda: 80))()


def test_a_tool_is_one_line_and_a_failed_one_shows_its_end():
    shown, text = scene("tool")
    assert text.split("\n")[2:6] == [
        "• calc.py: 200 lines · Ctrl-O shows 200 lines",
        "! tests: 1 failed, 3 passed (2.1 s)",
        "  E assert 1 == 3",
        "  FAILED test_add",
    ]
    assert "line 200" not in text
    assert "line 200" in unfolding(shown.view, Paint(lambda: 80))()


def test_a_long_diff_is_folded_and_a_short_one_is_not():
    shown, text = scene("diff")
    assert "+    return a + b" in text
    assert "… 39 more lines of the diff, Ctrl-O shows all" in text
    assert "+new line 60" not in text
    assert "+new line 60" in CODE.sub("", unfolding(shown.view, Paint(lambda: 80))())


def test_of_a_long_list_both_ends_are_printed():
    shown = Shown()
    text = shown.run([events.Listed("$ make", (), tuple((f"row {number}",) for number in range(200)))])
    assert text.startswith("$ make\n  row 0\n")
    assert "  … 153 more lines, Ctrl-O shows all\n" in text
    assert text.endswith("  row 199\n")
    assert text.count("\n") == 49
    assert "row 100\n" in CODE.sub("", unfolding(shown.view, Paint(lambda: 80))())


def test_each_press_shows_what_was_folded_before_that():
    shown = Shown()
    for number in (1, 2):
        call = ToolCall("c", "read_file", {"file_path": f"f{number}.py"})
        output = "\n".join([f"from file {number}"] * 5)
        shown.run([events.MessageAdded(Message("tool", output)), events.ToolFinished(call, True, "read")])
    more = unfolding(shown.view, Paint(lambda: 80))
    assert "── read_file f2.py: 5 lines" in more()
    assert "── read_file f1.py: 5 lines" in more()
    assert more() == ""


def test_while_the_model_thinks_the_key_opens_and_closes_the_line():
    shown = Shown()
    more = unfolding(shown.view, Paint(lambda: 80))
    shown.view.show(events.ThinkingDelta("hm"))
    assert not shown.live.open_tail
    assert more() == ""
    shown.view.show(events.ThinkingDelta("hm"))
    assert shown.live.open_tail
    more()
    shown.view.show(events.ThinkingDelta("hm"))
    assert not shown.live.open_tail


def test_a_turn_ends_with_what_it_took():
    text = Shown(200).run(
        [
            events.TurnStarted(1, "why?", 0),
            events.TextDelta("So."),
            events.ReplyFinished("stop", Usage(100, 40, 60, 10, 1.0, 2.0)),
            events.ReplyFinished("stop", Usage(120, 110, 10, 10, 1.0, 2.0)),
            events.TurnEnded(1, "interrupted", ("a.py", "b.py")),
        ]
    )
    took = "0.0 s · 220 tokens read, 150 from cache, 20 written at 5.0/s · changed: a.py, b.py"
    assert text == f"So.\n\n{took}\n"


def test_there_is_a_sign_of_life_from_the_first_moment_on():
    shown = Shown()

    def going_on(event: events.Event) -> str:
        shown.view.show(event)
        return shown.live.doing.label if shown.live.doing else ""

    call = ToolCall("c", "run_tests", {"selection": "test_a.py"})
    assert going_on(events.TurnStarted(1, "why?", 0)) == "waiting for the model"
    assert going_on(events.ThinkingDecided(True, "first")) == "waiting for the model"
    assert going_on(events.ToolStarted(call)) == "run_tests test_a.py"
    resume = shown.view.pause()
    assert shown.live.doing is None
    resume()
    assert shown.live.doing and shown.live.doing.label == "run_tests test_a.py"
    assert going_on(events.ToolFinished(call, True, "4 passed")) == "waiting for the model"
    assert going_on(events.TurnEnded(1, "answered")) == ""


def test_the_plan_stands_live_and_is_printed_at_the_end():
    shown = Shown()
    shown.view.show(events.PlanChanged((("a", "done"), ("b", "pending"))))
    assert shown.text == ""
    assert shown.live.plan
    assert shown.run([]) == "  ✓ 1 of 2 done\n  · b\n"
    assert shown.live == Live()


def test_a_proof_is_a_table():
    _, text = scene("proof")
    assert [line.split("  ")[-1].strip() for line in text.split("\n")[:4]] == ["after", "passed", "4", "Fixed: 1 of 1."]


def test_nothing_that_was_read_steers_the_terminal():
    shown, _ = scene("evil")
    assert "\x1b]" not in shown.text
    assert "\x07" not in shown.text
    assert "\x1b[2J" not in shown.text


TEXT = st.text(max_size=80)
CALL = st.builds(
    ToolCall,
    id=st.just("c"),
    name=st.sampled_from(["edit", "run_shell_command"]),
    arguments=st.dictionaries(TEXT, TEXT, max_size=2),
)
MADE: list[st.SearchStrategy[events.Event]] = [
    st.builds(events.TextDelta, TEXT),
    st.builds(events.ThinkingDelta, TEXT),
    st.builds(events.CallDelta, TEXT, TEXT, TEXT),
    st.builds(events.Notice, TEXT),
    st.builds(events.ToolStarted, CALL),
    st.builds(events.ToolFinished, CALL, st.booleans(), TEXT, st.floats(0, 100)),
    st.builds(events.TreeChanged, TEXT, st.just(())),
    st.builds(
        events.Progress, TEXT, st.integers(0, 10**6), st.integers(0, 10**6), TEXT, st.none() | st.floats(0, 10**6)
    ),
    st.builds(events.PlanChanged, st.lists(st.tuples(TEXT, TEXT), max_size=4).map(tuple)),
    st.builds(events.Listed, TEXT, st.tuples(TEXT, TEXT), st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)),
    st.builds(events.TurnEnded, st.integers(0, 9), TEXT, st.lists(TEXT, max_size=9).map(tuple)),
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(MADE), max_size=12), st.integers(1, 120))
def test_no_event_makes_it_fail_or_print_control_codes(happened: list[events.Event], width: int):
    shown = Shown(width)
    text = shown.run(happened)
    folded = "".join(unfolded(fold, Paint(lambda: width)) for fold in shown.view.folds)
    for printed in (text, CODE.sub("", folded)):
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", printed)


def test_without_colour_there_is_none(monkeypatch: pytest.MonkeyPatch):
    colour = re.compile(r"\x1b\[(?:\d;)*(?:[39]\d|[34]8)")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colour.search(scene("diff")[0].text)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(scene("diff")[0].text)


@pytest.mark.parametrize(
    "mark",
    [
        "\x1b",
        "\x9b",
        "\r",
        "\u202e",
        "\u2066",
        "\u200e",
        "\u200f",
        "\u061c",
        "\u2028",
        "\u200b",
        "\ufeff",
        "\U000e0041",
    ],
)
@pytest.mark.parametrize(
    "form", ["a {} b", "`a {} b`", "# {}", "| a {} |\n|---|\n| b |", "[a{}](http://x/{})", "![{}](y)"]
)
def test_no_mark_that_steers_or_hides_comes_through_markdown(mark: str, form: str):
    paint = Paint(lambda: 80)
    for written in (mark, f"&#{ord(mark)};", f"&#x{ord(mark):x};"):
        shown = "\n".join(paint.markdown(form.replace("{}", written)))
        assert mark not in re.sub(r"\x1b\[[0-9;]*m", "", shown)
