"""What the model reads, word for word, and how much of it there is."""

import math
import os
from pathlib import Path
from typing import Any

import pytest

from qwencode.context.instructions import Instructions, instructions
from qwencode.context.localised import AROUND, localised
from qwencode.context.prompts import chat_prompt, first_message, said, still_failing, system_prompt
from qwencode.events import Notice, Suspect
from qwencode.messages import Message, ToolSpec
from qwencode.model.dialect.qwen import render_prefix
from qwencode.tools.toolbox import toolbox
from qwencode.verify.results import Baseline, TestCommand, TestResult, TestRun
from qwencode.workspace import Workspace

SNAPSHOTS = Path(__file__).parent / "snapshots"
PROMPT_TOKENS = 1_500
CHARS_PER_TOKEN = 3.2
"""Conservative: English and JSON come to four and more with a vocabulary of this size."""

PARSER = """\
import re


class Parser:
    def __init__(self, text):
        self.text = text
        self.at = 0

    def number(self):
        match = re.compile(r"[0-9]+").match(self.text, self.at)
        self.at = match.end()
        return int(match.group())

    @property
    def done(self):
        return self.at > len(self.text)


LIMIT = 10
"""


@pytest.fixture
def workspace(repository: Path) -> Workspace:
    (repository / "src").mkdir()
    (repository / "src" / "parser.py").write_text(PARSER)
    (repository / "src" / "long.js").write_text("".join(f"line({n});\n" for n in range(1, 101)))
    return Workspace(repository)


@pytest.fixture
def declared(workspace: Workspace) -> list[ToolSpec]:
    nothing: Any = None
    return [tool.spec for tool in toolbox(workspace, nothing, lambda tests: nothing, look=lambda focus: "").values()]


def same_as_snapshot(name: str, text: str) -> None:
    """Compare with the kept text, or keep this one. Recording by environment works from any directory."""
    path = SNAPSHOTS / name
    if os.environ.get("RECORD_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), (
        "what the model reads has changed; if meant so: RECORD_SNAPSHOTS=1 pytest"
    )


def baseline(tmp_path: Path, **messages: str) -> Baseline:
    results = {test: TestResult(test, "failed", message=message) for test, message in messages.items()}
    command = TestCommand(("python", "-m", "pytest"), "pytest", "given", tmp_path)
    return Baseline(command, TestRun("ran", results, "", 1.0), (), {})


class TestPromptBudget:
    @pytest.mark.parametrize("prompt", [system_prompt(), chat_prompt()], ids=["fix", "chat"])
    def test_system_prompt_and_declarations_fit(self, declared: list[ToolSpec], prompt: Message):
        text = "".join(piece.text for piece in render_prefix(prompt.content, declared))
        assert math.ceil(len(text) / CHARS_PER_TOKEN) <= PROMPT_TOKENS

    @pytest.mark.parametrize(("name", "prompt"), [("fix", system_prompt()), ("chat", chat_prompt())])
    def test_the_text_is_kept(self, declared: list[ToolSpec], name: str, prompt: Message):
        text = "".join(piece.text for piece in render_prefix(prompt.content, declared))
        same_as_snapshot(f"{name}_prefix.txt", text)

    def test_declarations_are_flat_and_required_parameters_come_first(self, declared: list[ToolSpec]):
        files = ["read_file", "grep_search", "repo_map", "edit", "write_file"]
        names = [*files, "run_shell_command", "run_tests", "todo_write"]
        assert [spec.name for spec in declared] == names
        for spec in declared:
            properties, required = spec.parameters["properties"], spec.parameters["required"]
            assert list(properties)[: len(required)] == required
            for schema in properties.values():
                assert schema["type"] in ("string", "integer", "boolean") or schema["items"] == {"type": "string"}
            assert spec.description.endswith(".")

    def test_nothing_of_this_machine_is_in_the_prefix(self, workspace: Workspace, declared: list[ToolSpec]):
        text = "".join(piece.text for piece in render_prefix(system_prompt().content, declared))
        assert str(workspace.root) not in text and os.sep + "tmp" not in text


class TestFirstMessage:
    def test_the_whole_of_it(self, workspace: Workspace):
        suspects = [
            Suspect("src/parser.py", 16, "Parser.done", 1.0),
            Suspect("src/parser.py", 10, "Parser.number", 0.7),
            Suspect("src/parser.py", 11, "Parser.number", 0.7),
            Suspect("gone.py", 3, "f", 0.5),
        ]
        failing = baseline(
            workspace.root,
            **{
                "tests/test_parser.py::test_done": "    def test_done():\n>       assert done('')\nE       assert 0",
                "tests/test_parser.py::test_number": "AttributeError: 'NoneType' object has no attribute 'end'",
            },
        )
        message = first_message(
            workspace,
            task="Empty input should be accepted.",
            baseline=failing,
            suspects=suspects,
            instructions="# AGENTS.md\nUse double quotes.",
        )
        assert message.role == "user"
        same_as_snapshot("fix_first_message.txt", message.content)

    def test_a_task_alone(self, workspace: Workspace):
        text = first_message(workspace, task="Rename f to g.").content
        assert text == "<<< task\nRename f to g.\n>>>\n\nDo the task. The tests that pass now must still pass."

    def test_long_parts_are_cut_and_short_ones_are_not(self, workspace: Workspace):
        task = "A paragraph on one line. " * 100
        assert task.strip() in first_message(workspace, task=task).content
        messages = {f"test_{n:02}": "E  what\n" * 3_000 for n in range(40)}
        text = first_message(workspace, task="x\n" * 50_000, baseline=baseline(workspace.root, **messages)).content
        assert len(text) < 12_000 + 4_000 + 2_500
        assert "And 38 more: test_02, test_03" in text and "and 18 more" in text
        assert "Make the 40 failing tests pass and do the task, without breaking any other." in text

    def test_flaky_tests_are_not_the_goal(self, workspace: Workspace):
        taken = baseline(workspace.root, a="no", b="sometimes")
        taken = Baseline(taken.command, taken.run, ("b",), {})
        text = first_message(workspace, baseline=taken).content
        assert "sometimes" not in text and text.endswith("Make the failing test pass, without breaking any other.")

    def test_still_failing(self):
        assert still_failing([]) == ""
        assert "One test still fails: a." in still_failing(["a"])
        assert "12 of the tests still fail: 0, 1, 2, 3, 4, 5, 6, 7, and 4 more." in still_failing(
            [*map(str, range(12))]
        )


class TestSaid:
    def test_words_alone_stay_as_they_are(self):
        assert said("Why?\n\n  x = 1").content == "Why?\n\n  x = 1"

    def test_all_that_may_go_with_them(self):
        message = said("Why?", instructions="Be brief.", files="a.py\n1|x", notes=[("note", "n")], cut=True)
        assert message.content == (
            "(The reply before this was interrupted by the user.)\n\n"
            "<<< instructions from the repository\nBe brief.\n>>>\n\n<<< note\nn\n>>>\n\n"
            "<<< files that the message names\na.py\n1|x\n>>>\n\nWhy?"
        )

    def test_ten_thousand_lines_are_cut(self):
        text = said("\n".join(f"line {n}" for n in range(10_000))).content
        assert len(text) < 61_000 and "line 0\n" in text and text.endswith("line 9999") and "left out" in text


class TestLocalised:
    def test_the_innermost_function_with_its_decorator(self, workspace: Workspace):
        text = localised(workspace, [Suspect("src/parser.py", 16, "Parser.done", 1.0)], 4_000)
        assert text == (
            "src/parser.py, suspicious: Parser.done (line 16)\n"
            "14|    @property\n15|    def done(self):\n16|        return self.at > len(self.text)"
        )

    def test_other_languages_and_module_level_get_the_lines_around(self, workspace: Workspace):
        text = localised(workspace, [Suspect("src/long.js", 50, "", 1.0)], 4_000)
        assert text.startswith("src/long.js, suspicious: module (line 50)\n35|") and text.endswith("65|line(65);")
        assert localised(workspace, [Suspect("src/parser.py", 19, "", 1.0)], 4_000).count("\n") == AROUND + 1

    def test_no_line_is_shown_twice(self, workspace: Workspace):
        suspects = [Suspect("src/long.js", line, f"f{line}", 0.5) for line in (50, 60, 20, 45, 99)]
        text = localised(workspace, suspects, 10_000)
        numbers = [int(row.partition("|")[0]) for row in text.splitlines() if "|" in row]
        assert numbers == [*range(5, 76), *range(84, 101)]
        assert text.count("\n...\n") == 1

    def test_the_budget_holds_and_the_best_come_first(self, workspace: Workspace):
        suspects = [
            Suspect("src/parser.py", 10, "Parser.number", 1.0),
            Suspect("src/long.js", 50, "f", 0.9),
            Suspect("src/parser.py", 16, "Parser.done", 0.8),
        ]
        text = localised(workspace, suspects, 350)
        assert "number (line 10)" in text and "done (line 16)" in text and "long.js" not in text
        for limit in (0, 100, 200, 500, 1_000):
            body = [row for row in localised(workspace, suspects, limit).splitlines() if "|" in row]
            assert sum(map(len, body)) <= limit

    def test_a_long_function_is_shown_around_the_line(self, workspace: Workspace):
        body = "".join(f"    x = {n}\n" for n in range(300))
        (workspace.root / "big.py").write_text(f"def big():\n{body}")
        text = localised(workspace, [Suspect("big.py", 200, "big", 1.0)], 4_000)
        assert text.splitlines()[1:4] == ["1|def big():", "...", "185|    x = 183"]

    @pytest.mark.parametrize("source", ["def broken(:\n  x\n" * 3, "", "\n", "x"])
    def test_odd_sources(self, workspace: Workspace, source: str):
        (workspace.root / "odd.py").write_text(source)
        for line in (-1, 0, 1, 3, 999):
            localised(workspace, [Suspect("odd.py", line, "f", 1.0)], 4_000)


class TestInstructions:
    def test_none(self, workspace: Workspace):
        assert instructions(workspace) == Instructions()

    def test_from_the_root_down_to_where_the_user_is(self, workspace: Workspace):
        root = workspace.root
        (root / "src" / "deep").mkdir()
        for name, text in (("AGENTS.md", "root"), ("src/AGENTS.md", "nearer"), ("src/deep/AGENTS.md", "below")):
            (root / name).write_text(text + "\n")
        found = instructions(Workspace(root, root / "src"))
        assert found.text == "# AGENTS.md\nroot\n\n# src/AGENTS.md\nnearer"
        assert found.notices == (Notice("Following AGENTS.md, src/AGENTS.md (10 characters)."),)

    def test_the_nearest_is_served_first_when_there_is_too_much(self, workspace: Workspace):
        root = workspace.root
        (root / "AGENTS.md").write_text("far away\n" * 1_000)
        (root / "src" / "AGENTS.md").write_text("near\n" * 200)
        found = instructions(Workspace(root, root / "src"), limit=3_000)
        assert found.text.count("near") == 200 and "lines (" in found.text and len(found.text) < 3_300
        assert any("AGENTS.md is cut to" in notice.text and notice.level == "warning" for notice in found.notices)

    def test_files_that_cannot_be_followed_are_named(self, workspace: Workspace, tmp_path: Path):
        (tmp_path / "elsewhere.md").write_text("leak")
        (workspace.root / "AGENTS.md").symlink_to(tmp_path / "elsewhere.md")
        (workspace.root / "src" / "AGENTS.md").write_bytes(b"\0\1")
        found = instructions(Workspace(workspace.root, workspace.root / "src"))
        assert found.text == ""
        assert [notice.level for notice in found.notices] == ["warning", "warning"]
        assert "outside" in found.notices[1].text and "binary" in found.notices[0].text


def test_what_came_near_and_what_fails_elsewhere_are_told(workspace: Workspace):
    near = ["src/parser.py, line 14: `>=` in the place of `>` mends a, but not b."]
    text = first_message(workspace, task="Mend it.", near=near, elsewhere=["t::c", "t::d"]).content
    assert f"<<< small edits that were tried, came near, and were taken back\n{near[0]}\n>>>" in text
    assert "Other tests seem to fail for another cause, and are left for later: t::c, t::d." in text
    assert text.endswith("Do the task. The tests that pass now must still pass.")
    plain = first_message(workspace, task="Mend it.").content
    assert "came near" not in plain and "another cause" not in plain
