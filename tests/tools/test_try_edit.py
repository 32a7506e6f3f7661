"""The `edit` of the built-in model: tried at once, kept when all tests pass, and else put back to the byte."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from qwencode.errors import Interrupted
from qwencode.messages import ToolCall
from qwencode.model.builtin.prompt import PASSED, Excerpt, excerpt, refusal
from qwencode.model.llama.grammar import call_grammar
from qwencode.tools.calls import carry_out
from qwencode.tools.files import Files
from qwencode.tools.protocol import ToolResult
from qwencode.tools.try_edit import Aim, Tries
from qwencode.verify.results import Baseline, TestCommand, TestResult, TestRun
from qwencode.workspace import Workspace

FILE = "src/money.py"
TEXT = """class Money:
    def half(self):
        if self.cents < 0:
            return 0
        return self.cents

    def third(self):
        if self.cents < 0:
            return 0
        return self.cents / 3
"""
HALF, THIRD = "test_half", "test_third"
MESSAGE = ">       assert half(2) == 1\nE       assert {} == 1"


class Suite:
    """Two tests that look at the text of the file: one wants a half, the other wants the third left alone."""

    def __init__(self, workspace: Workspace):
        self.workspace = workspace
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, tests: tuple[str, ...]) -> TestRun:
        self.asked.append(tests)
        text = self.workspace.read(FILE).text
        passing = {HALF: "self.cents / 2" in text, THIRD: text.count("return self.cents / 3") == 1}
        return ran({name: good for name, good in passing.items() if not tests or name in tests})


def ran(passing: dict[str, bool]) -> TestRun:
    results = {
        name: TestResult(name, "passed" if good else "failed", message="" if good else MESSAGE.format(2))
        for name, good in passing.items()
    }
    return TestRun("ran", results, "", 0.1)


class Ground:
    def __init__(self, root: Path, text: str = TEXT):
        self.path = root / FILE
        self.path.write_bytes(text.encode())
        self.workspace = Workspace(root)
        self.suite: Callable[[tuple[str, ...]], TestRun] = Suite(self.workspace)
        baseline = Baseline(TestCommand((), "pytest", "", root), ran({HALF: False, THIRD: True}), (), {})
        files = Files(self.workspace, lambda path: path.startswith("tests/"))
        self.tries = Tries(files, lambda tests: self.suite(tests), baseline)

    def aim(self, line: int, marked: Sequence[int] = ()) -> Excerpt:
        shown = excerpt(self.workspace.read(FILE).text, line)
        assert shown
        self.tries.aim = Aim(FILE, shown, frozenset(marked or [line]))
        return shown

    def edit(self, old: str, new: str, file: str = FILE) -> ToolResult:
        tool = self.tries.tool()
        arguments = {"file_path": file, "old_string": old, "new_string": new}
        return carry_out({"edit": tool}, ToolCall("1", "edit", arguments))


@pytest.fixture
def ground(workspace: Workspace) -> Ground:
    return Ground(workspace.root)


def test_what_mends_everything_stays(ground: Ground):
    ground.aim(5)
    done = ground.edit("    return self.cents", "    return self.cents / 2")
    assert (done.text, done.ok) == (PASSED, True)
    assert ground.path.read_text() == TEXT.replace("return self.cents\n", "return self.cents / 2\n")
    assert isinstance(ground.suite, Suite)
    assert ground.suite.asked == [(HALF,), ()], "the failing test first, and all only where it passes"
    again = ground.edit("        return 0", "        return 1")
    assert not again.ok
    assert "passed" not in again.summary
    assert "/ 2" in ground.path.read_text()


def test_what_fails_is_taken_back_and_not_run_twice(ground: Ground):
    ground.aim(5)
    answers = [ground.edit("    return self.cents", "    return self.cents / 4") for _ in range(2)]
    assert {answer.text for answer in answers} == {refusal("> assert half(2) == 1\nE assert 2 == 1")}
    assert [answer.summary.rpartition(": ")[2] for answer in answers] == ["taken back, tests fail", "tried before"]
    assert ground.path.read_text() == TEXT
    assert ground.tries.ran == 1
    assert isinstance(ground.suite, Suite)
    assert ground.suite.asked == [(HALF,)]


def test_what_breaks_another_test_is_taken_back(ground: Ground):
    ground.aim(10)
    done = ground.edit("    return self.cents / 3", "    return self.cents / 2")
    assert not done.ok
    assert ground.path.read_text() == TEXT
    assert isinstance(ground.suite, Suite)
    assert ground.suite.asked == [(HALF,), ()]


@pytest.mark.parametrize(
    ("old", "new", "file", "said"),
    [
        ("    return self.euros", "    return 1", FILE, "no such line"),
        ("", "    return 1", FILE, "empty"),
        ("    return self.cents", "    return self.cents", FILE, "nothing would change"),
        ("    return self.cents", "    return self.cents / 2", "src/nowhere.py", "does not exist"),
        ("def test_half():", "def no_test():", "tests/test_money.py", "belongs to the tests"),
        ("x", "y", "../outside.py", "outside"),
        ("x", "y", "notes.txt", "only Python"),
    ],
)
def test_what_cannot_be_made_is_refused_without_a_run(ground: Ground, old: str, new: str, file: str, said: str):
    (ground.workspace.root / "notes.txt").write_text("x\n")
    test = (ground.workspace.root / "tests/test_money.py").read_bytes()
    ground.aim(5)
    done = ground.edit(old, new, file)
    assert (done.text, done.ok) == (refusal(), False)
    assert said in done.summary
    assert ground.tries.ran == 0
    assert ground.path.read_text() == TEXT
    assert (ground.workspace.root / "tests/test_money.py").read_bytes() == test


def test_a_line_that_stands_twice_is_the_marked_one(ground: Ground):
    ground.aim(4)
    ground.suite = lambda tests: ran({HALF: True, THIRD: True})
    assert ground.edit("        return 0", "        return 1").ok
    assert ground.path.read_text() == TEXT.replace("return 0", "return 1", 1)


def test_the_mark_decides_also_for_the_second_one(ground: Ground):
    ground.aim(9)
    ground.suite = lambda tests: ran({HALF: True, THIRD: True})
    assert ground.edit("    if self.cents < 0:", "    if self.cents <= 0:").summary.endswith("more than once")
    ground.aim(8)
    assert ground.edit("    if self.cents < 0:", "    if self.cents <= 0:").ok
    before, after = ground.path.read_text().split("def third")
    assert "<=" not in before
    assert "<= 0" in after


def test_what_is_no_python_costs_no_run(ground: Ground):
    ground.aim(5)
    done = ground.edit("    return self.cents", "    return self.cents)")
    assert done.text.startswith(refusal("E SyntaxError"))
    assert ground.tries.ran == 0


def test_more_lines_get_the_indentation_of_the_file(ground: Ground):
    ground.aim(5)
    ground.suite = lambda tests: ran({HALF: True, THIRD: True})
    assert ground.edit("    return self.cents", "    if not self.cents:\n        return 0\n    return self.cents").ok
    wanted = "        if not self.cents:\n            return 0\n        return self.cents\n"
    assert ground.path.read_text() == TEXT.replace("        return self.cents\n", wanted)


@pytest.mark.parametrize("kept", [True, False])
def test_line_endings_and_bytes_stay(workspace: Workspace, kept: bool):
    text = ("# -*- coding: latin-1 -*-\n# Preis in \xa3\n" + TEXT).replace("\n", "\r\n")
    ground = Ground(workspace.root, "")
    ground.path.write_bytes(text.encode("latin-1"))
    ground.aim(7)
    ground.suite = lambda tests: ran({HALF: kept, THIRD: True})
    new = "    half = self.cents / 2\n    return half"
    assert ground.edit("    return self.cents", new).ok == kept
    wanted = "        half = self.cents / 2\r\n        return half\r\n"
    after = text.replace("        return self.cents\r\n", wanted) if kept else text
    assert ground.path.read_bytes() == after.encode("latin-1")


def test_a_character_that_the_file_cannot_hold(workspace: Workspace):
    ground = Ground(workspace.root, "")
    text = "# -*- coding: latin-1 -*-\n# \xa3\n" + TEXT
    ground.path.write_bytes(text.encode("latin-1"))
    ground.aim(7)
    assert not ground.edit("    return self.cents", "    return '→'").ok
    assert ground.path.read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Interrupted("stopped")])
def test_an_interruption_puts_the_file_back(ground: Ground, stop: BaseException):
    def run(tests: tuple[str, ...]) -> TestRun:
        assert "/ 2" in ground.path.read_text()
        raise stop

    ground.aim(5)
    ground.suite = run
    with pytest.raises(type(stop)):
        ground.edit("    return self.cents", "    return self.cents / 2")
    assert ground.path.read_text() == TEXT
    assert not ground.tries.passed


def test_tests_that_hang_or_break_off_mend_nothing(ground: Ground):
    ground.aim(5)
    ground.suite = lambda tests: TestRun("timed_out", {}, "", 5.0)
    done = ground.edit("    return self.cents", "    return self.cents / 2")
    assert (done.text, done.ok) == (refusal(), False)
    assert ground.path.read_text() == TEXT


def test_the_declared_parameters_are_those_of_the_real_edit(ground: Ground):
    spec = ground.tries.tool().spec
    assert spec.name == "edit"
    assert list(spec.parameters["properties"]) == ["file_path", "old_string", "new_string"]


def test_what_was_shown_narrows_the_declaration(ground: Ground):
    ground.aim(5, [2, 3, 5])
    properties = ground.tries.tool().spec.parameters["properties"]
    lines = ["def half(self):", "    if self.cents < 0:", "    return self.cents"]
    assert properties["file_path"]["enum"] == [FILE]
    assert properties["old_string"]["enum"] == [*lines, f"{lines[0]}\n{lines[1]}"]
    assert properties["new_string"] == {"type": "string"}
    grammar = call_grammar([ground.tries.tool().spec])
    assert '"    return self.cents"' in grammar and "return 0" not in grammar


@pytest.mark.parametrize("text", [TEXT + "# Mine.\n", None])
def test_what_somebody_saves_while_the_tests_run_stays(ground: Ground, text: str | None):
    ground.aim(5)

    def saving(tests: tuple[str, ...]) -> TestRun:
        if text is None:
            ground.path.unlink()
        else:
            ground.path.write_text(text)
        return ran({HALF: False, THIRD: True})

    ground.suite = saving
    assert not ground.edit("return self.cents", "return self.cents * 2").ok
    assert (ground.path.read_text() if ground.path.exists() else None) == text
