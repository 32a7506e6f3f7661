"""Edits that follow each other: refused ones tried again, several in one reply, files that others change meanwhile."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwencode.agent.budget import Budget
from qwencode.agent.loop import Agent
from qwencode.messages import Message, ToolCall
from qwencode.model.protocol import Options
from qwencode.model.scripted import ScriptedModel
from qwencode.tools.calls import carry_out, refusal
from qwencode.tools.edit import KEPT, REPEATED, edit_tool
from qwencode.tools.files import Files
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.workspace import TextFile, Workspace
from replies import drive

Use = Callable[..., ToolResult]
LAST = "    return amount / 2"
NEW = "    return amount // 2  # rounds down"


@pytest.fixture
def money(use: Use) -> Callable[..., ToolResult]:
    return lambda **arguments: use("edit", **{"file_path": "src/money.py", **arguments})


def text_of(workspace: Workspace) -> str:
    return (workspace.root / "src/money.py").read_text()


class TestWithoutRepeatingTheNewText:
    def test_the_last_refused_one_is_used(self, money: Use, workspace: Workspace):
        refused = money(old_string="    return amount * 2", new_string=NEW)
        assert not refused.ok and refused.text.endswith(KEPT)
        assert "leave it out" not in refused.summary
        assert money(old_string=LAST).ok
        assert text_of(workspace).endswith(NEW + "\n")

    def test_it_can_fail_again(self, money: Use, workspace: Workspace):
        money(old_string="    return amount * 2", new_string=NEW)
        assert money(old_string="nothing like this").text.endswith(KEPT)
        assert money(old_string=LAST).ok and NEW in text_of(workspace)

    def test_an_ambiguous_one_must_grow_with_its_old_text(self, money: Use, workspace: Workspace):
        """Neighbouring lines that are only in the old text would be deleted."""
        before = text_of(workspace)
        money(old_string="no", new_string=NEW)
        refused = money(old_string="amount", new_string="value")
        assert refused.text.endswith(
            "Add neighbouring lines to both texts until it is unique, or set replace_all to true."
        )
        assert "new_string is missing" in money(old_string=LAST).text
        assert text_of(workspace) == before

    def test_one_that_repeats_the_mistake_is_to_be_written_anew(
        self, tools: dict[str, Tool], money: Use, workspace: Workspace
    ):
        before = text_of(workspace)
        wrong = {"old_string": "    if amount <= 0:\n" + LAST, "new_string": "    if amount <= 0:\n" + NEW}
        assert money(**wrong).text.endswith(REPEATED)
        assert refusal(tools["edit"], {"file_path": "src/money.py", **wrong}).endswith(REPEATED)
        assert "new_string is missing" in money(old_string=LAST).text
        assert text_of(workspace) == before

    def test_the_latest_wins_and_an_empty_one_is_one(self, money: Use, workspace: Workspace):
        money(old_string="no 1", new_string=NEW)
        money(old_string="no 2", new_string="")
        assert money(old_string=LAST + "\n").ok
        assert text_of(workspace).endswith("return -half(-amount)\n")

    def test_it_is_used_once(self, money: Use, workspace: Workspace):
        money(old_string="no", new_string=NEW)
        assert money(old_string=LAST).ok
        before = text_of(workspace)
        again = money(old_string=NEW)
        assert again.text == "new_string is missing, and no refused edit of src/money.py is left to take it from."
        assert text_of(workspace) == before

    def test_every_file_has_its_own(self, use: Use, workspace: Workspace):
        (workspace.root / "b.py").write_text("x = 1\n")
        (workspace.root / "c.py").symlink_to("b.py")
        use("edit", file_path="src/money.py", old_string="no", new_string=NEW)
        assert "new_string is missing" in use("edit", file_path="b.py", old_string="x = 1").text
        use("edit", file_path="b.py", old_string="no", new_string="x = 2")
        assert use("edit", file_path="./c.py", old_string="x = 1").ok, "another name of the same file"
        assert (workspace.root / "b.py").read_text() == "x = 2\n"
        assert use("edit", file_path="src/money.py", old_string=LAST).ok

    def test_a_missing_old_text_is_said_first(self, money: Use):
        refused = money(old_string="return amount * 2")
        assert refused.text.startswith("old_string is not in src/money.py.") and KEPT not in refused.text

    def test_what_other_refusals_said_is_not_kept(self, use: Use, money: Use):
        money(old_string=LAST, new_string=LAST)
        use("edit", file_path="tests/test_money.py", old_string="True", new_string="False")
        assert "new_string is missing" in money(old_string=LAST).text

    def test_a_text_that_was_cut_off_is_not_the_one_before(self, tools: dict[str, Tool], money: Use):
        """The preflight refuses an edit whose new text was not written: leaving it out means nothing then."""
        money(old_string="no", new_string=NEW)
        early = refusal(tools["edit"], {"file_path": "src/money.py", "old_string": "zebra crossing 12345"})
        assert early.startswith("old_string is not in src/money.py.") and KEPT not in early
        assert "new_string is missing" in money(old_string=LAST).text

    def test_a_whole_one_counts_also_when_the_preflight_refuses(self, tools: dict[str, Tool], money: Use):
        early = refusal(tools["edit"], {"file_path": "src/money.py", "old_string": "no", "new_string": NEW})
        assert early.endswith(KEPT)
        assert money(old_string=LAST).ok


class TestSeveralInOneReply:
    def reply(self, tools: dict[str, Tool], *edits: dict[str, Any]) -> list[str]:
        calls = tuple(ToolCall(f"c{n}", "edit", {"file_path": "src/money.py", **edit}) for n, edit in enumerate(edits))
        model = ScriptedModel([Message("assistant", tool_calls=calls), "Done."])
        history = [Message("user", "Go.")]
        drive(Agent(model, tools, Options(), Budget()).run(history))
        return [message.content for message in history if message.role == "tool"]

    def test_each_sees_what_the_ones_before_have_done(self, tools: dict[str, Tool], workspace: Workspace):
        said = self.reply(
            tools,
            {"old_string": LAST, "new_string": "    result = amount / 2\n    return result"},
            {"old_string": "    return result", "new_string": "    return round(result)"},
            {"old_string": "def half(amount):", "new_string": '"""Money."""\n\n\ndef half(amount):'},
        )
        assert text_of(workspace) == (
            '"""Money."""\n\n\ndef half(amount):\n    if amount < 0:\n        return -half(-amount)\n'
            "    result = amount / 2\n    return round(result)\n"
        )
        assert [text.partition("\n")[0] for text in said] == ["Edited src/money.py. It now reads:"] * 3
        assert "5|    return round(result)" in said[1]

    def test_one_that_fails_does_not_stop_the_others(self, tools: dict[str, Tool], workspace: Workspace):
        said = self.reply(
            tools,
            {"old_string": "amount < 0", "new_string": "amount <= 0"},
            {"old_string": "amount", "new_string": "x"},
            {"old_string": LAST, "new_string": NEW},
        )
        assert [text.split()[0] for text in said] == ["Edited", "old_string", "Edited"]
        assert "amount <= 0" in text_of(workspace) and NEW in text_of(workspace)

    def test_an_overlap_is_named(self, tools: dict[str, Tool], workspace: Workspace):
        said = self.reply(
            tools,
            {"old_string": "amount < 0", "new_string": "amount <= 0"},
            {"old_string": "def half(amount):\n    if amount < 0:\n", "new_string": "def half(x):\n    if x < 0:\n"},
        )
        assert said[1].startswith(
            "old_string was in src/money.py until an earlier edit changed it, at line 2. The first difference is in "
            "line 2, where old_string has `if amount < 0:`. Copy it from the file. The closest lines are:\n"
            "1|def half(amount):\n2|    if amount <= 0:"
        )
        assert "def half(amount)" in text_of(workspace)

    def test_what_was_never_there_is_no_overlap(self, tools: dict[str, Tool]):
        said = self.reply(
            tools, {"old_string": "< 0", "new_string": "<= 0"}, {"old_string": "amount > 0", "new_string": "x"}
        )
        assert said[1].startswith("old_string is not in src/money.py.")


class TestFilesThatOthersChange:
    def test_the_old_text_is_guard_enough_for_one_place(self, use: Use, money: Use, workspace: Workspace):
        use("read_file", file_path="src/money.py")
        path = workspace.root / "src/money.py"
        path.write_text("import math\n\n\n" + path.read_text())
        assert money(old_string=LAST, new_string=NEW).ok
        assert text_of(workspace).startswith("import math\n") and NEW in text_of(workspace)

    def test_places_that_were_not_seen_are_not_changed(self, use: Use, money: Use, workspace: Workspace):
        use("read_file", file_path="src/money.py")
        path = workspace.root / "src/money.py"
        path.write_text(path.read_text() + "\n\ndef paid(amount):\n    return amount > 0\n")
        refused = money(old_string="amount", new_string="sum", replace_all=True)
        assert refused.text == (
            "src/money.py has changed on disk since you saw it last: old_string is now 6 times in it, and was 4 times. "
            f"Read the file again.{KEPT}"
        )
        assert "sum" not in text_of(workspace)
        use("read_file", file_path="src/money.py")
        assert money(old_string="amount", replace_all=True).ok
        assert "amount" not in text_of(workspace)

    def test_other_changes_are_no_hindrance(self, use: Use, money: Use, workspace: Workspace):
        use("read_file", file_path="src/money.py")
        path = workspace.root / "src/money.py"
        path.write_text("import math\n" + path.read_text())
        assert money(old_string="amount", new_string="sum", replace_all=True).ok

    def test_own_edits_were_seen(self, use: Use, money: Use, workspace: Workspace):
        use("read_file", file_path="src/money.py")
        assert money(old_string=LAST, new_string="    rest = amount % 2\n    return (amount - rest) / 2").ok
        assert money(old_string="amount", new_string="sum", replace_all=True).ok
        use("write_file", file_path="new.py", content="a\na\n")
        assert use("edit", file_path="new.py", old_string="a", new_string="b", replace_all=True).ok

    def test_what_someone_saves_while_it_is_edited_is_not_lost(self, workspace: Workspace):
        class Impatient(Workspace):
            """Someone saves right after the tool has read."""

            def read(self, path: str | Path) -> TextFile:
                found = super().read(path)
                found.path.write_text("mine\n")
                return found

        tools = {"edit": edit_tool(Files(Impatient(workspace.root)))}
        arguments = {"file_path": "src/money.py", "old_string": LAST, "new_string": NEW}
        result = carry_out(tools, ToolCall("1", "edit", arguments))
        assert not result.ok
        assert result.text == (
            "src/money.py was changed by someone else just now, and this edit was not made. Read the file again."
        )
        assert text_of(workspace) == "mine\n"

    def test_a_file_that_appears_is_not_overwritten(self, use: Use, tools: dict[str, Tool], workspace: Workspace):
        assert refusal(tools["write_file"], {"file_path": "new.py"}) == ""
        (workspace.root / "new.py").write_text("mine\n")
        result = use("write_file", file_path="new.py", content="theirs\n")
        assert result.text == "new.py exists already and was not overwritten. Change it with edit."
        assert (workspace.root / "new.py").read_text() == "mine\n"


class TestBrokenSyntax:
    def test_it_is_said_in_the_same_result_and_the_edit_stays(self, money: Use, workspace: Workspace):
        result = money(old_string="def half(amount):", new_string="def half(amount:")
        assert result.ok and result.text.endswith("\nSyntax error in line 1: '(' was never closed.")
        assert result.summary == "edited src/money.py, line 1; Syntax error in line 1: '(' was never closed."
        assert "def half(amount:" in text_of(workspace)
        result = money(old_string="def half(amount:", new_string="def half(amount):")
        assert "Syntax" not in result.text

    def test_a_new_file(self, use: Use, workspace: Workspace):
        result = use("write_file", file_path="new.json", content='{"a": 1,}\n')
        assert result.ok and result.text.startswith("Created new.json with 1 line.\nSyntax error in line 1: ")
        assert (workspace.root / "new.json").exists()
