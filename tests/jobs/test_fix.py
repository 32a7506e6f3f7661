"""`fix` from end to end: what is proven is kept, and whatever else happens the tree is as it was."""

import subprocess
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from fix_ground import SUM, SUM_TEXT, Ran, contents
from qwencode.errors import BudgetSpent, ConsentNeeded, ModelUnavailable
from qwencode.events import (
    BaselineTaken,
    HistoryRewound,
    MessageAdded,
    Notice,
    PhaseStarted,
    ReplyFinished,
    SearchFinished,
    ToolFinished,
    TreeChanged,
    VerdictReached,
)
from qwencode.messages import Message, ToolCall
from qwencode.model.scripted import ScriptedModel, call
from qwencode.snapshots import undo
from qwencode.workspace import Workspace

OLD = """        while self._next.is_(*COMPARISONS):
            operators.append(str(self._take().value))
            operands.append(self._sum())
"""
NEW = """        while operator := self._operator():
            operators.append(operator)
            operands.append(self._sum())
"""
METHOD_OLD = "    def _sum(self) -> Node:\n"
METHOD = '''    def _operator(self) -> str:
        """Take a comparison operator, which may be two words, and return it; '' when there is none."""
        if self._next.is_(*COMPARISONS):
            return str(self._take().value)
        if self._next.is_("not") and self._tokens[self._position + 1].is_("in"):
            self._position += 2
            return "not in"
        return ""

'''
PARSER = "quillexpr/parser.py"
GOOD = [
    call("read_file", file_path=PARSER, offset=55, limit=30),
    call("edit", file_path=PARSER, old_string=OLD, new_string=NEW),
    call("run_tests", selection="tests/test_parser.py"),
    call("edit", file_path=PARSER, old_string=METHOD_OLD, new_string=METHOD + METHOD_OLD),
    call("run_tests"),
    "The parser had no case for `not in`; it has one now.",
]
RunFix = Callable[..., Ran]


RIGHT = [
    call("read_file", file_path=SUM),
    call("edit", file_path=SUM, old_string="result = 1", new_string="result = 0"),
    call("run_tests"),
    call("edit", file_path=SUM, old_string="result -= value", new_string="result += value"),
    call("run_tests"),
    "It began at one and went down.",
]


@pytest.fixture
def quillexpr(practice_copy: Callable[[str], Path]) -> Path:
    return practice_copy("quillexpr")


def verdict_of(ran: Ran) -> VerdictReached:
    assert ran.error is None, ran.error
    return ran.of(VerdictReached)[-1]


@pytest.mark.slow
def test_a_scripted_model_mends_what_search_cannot(run_fix: RunFix, quillexpr: Path):
    model = ScriptedModel(GOOD)
    before = contents(quillexpr)
    ran = run_fix(quillexpr, model, use_search=False)
    verdict = verdict_of(ran)
    assert verdict.status == "fixed", verdict.reason
    assert ran.outcome and ran.outcome.exit_code == 0
    assert verdict.changed_files == (PARSER,)
    assert {row.after for row in verdict.proof} == {"passed"}
    assert len(verdict.proof) == 3
    assert [event.ok for event in ran.of(ToolFinished)] == [True, True, False, True, True]
    assert '+            return "not in"' in ran.of(TreeChanged)[-1].diff
    assert contents(quillexpr).keys() == before.keys()
    assert undo(Workspace.find(quillexpr))
    assert contents(quillexpr) == before


def test_the_first_message_saves_the_model_a_search(run_small: RunFix):
    model = ScriptedModel(RIGHT)
    run_small(model, use_search=False, goal="Mend the sum.")
    history, tools, _ = model.requests[0]
    assert [message.role for message in history] == ["system", "user"]
    for part in ("Mend the sum.", "test_some", "AssertionError: -2 != 3", "def total(values):"):
        assert part in history[1].content
    assert [tool.name for tool in tools] == [
        *("read_file", "grep_search", "repo_map", "edit", "write_file"),
        *("run_shell_command", "run_tests", "todo_write"),
    ]


def test_every_request_only_appends_to_the_one_before(run_small: RunFix, small: Path):
    model = ScriptedModel(RIGHT)
    run_small(model, use_search=False)
    histories = [history for history, _, _ in model.requests]
    for earlier, later in pairwise(histories):
        assert later[: len(earlier)] == earlier
    assert all(tools == model.requests[0][1] for _, tools, _ in model.requests)


@pytest.mark.slow
def test_without_a_model_search_mends(run_fix: RunFix, practice_copy: Callable[[str], Path]):
    root = practice_copy("stencil")
    ran = run_fix(root)
    assert verdict_of(ran).status == "fixed"
    assert ran.of(SearchFinished)[0].plausible >= 1
    assert "is not None" in ran.of(TreeChanged)[-1].diff


@pytest.mark.slow
def test_forty_turns_where_nothing_else_is_said(run_small: RunFix, small: Path):
    model = ScriptedModel([call("write_file", file_path=f"note{number}.txt", content="x") for number in range(41)])
    ran = run_small(model, use_search=False)
    assert isinstance(ran.error, BudgetSpent) and "All 40 steps are used." in str(ran.error)
    assert len(model.lines) == 1


def test_what_a_model_did_not_mend_is_put_back(run_small: RunFix, small: Path):
    before = contents(small)
    wrong = call("edit", file_path=SUM, old_string="result = 1", new_string="result = 0")
    more = [
        call("write_file", file_path="notes.md", content="x"),
        call("run_shell_command", command="rm -rf total.py README.md"),
    ]
    ran = run_small(ScriptedModel([wrong, *more, "Done.", "Done!", "Really done."]), use_search=False)
    assert verdict_of(ran).status == "not_fixed"
    assert ran.outcome and ran.outcome.exit_code == 1
    assert contents(small) == before
    reminders = [event.message.content for event in ran.of(MessageAdded) if event.message.role == "user"]
    assert sum("still" in text for text in reminders[1:]) == 2


@pytest.mark.parametrize("keep", [False, True])
def test_a_model_that_goes_away_after_the_repair_takes_nothing_with_it(run_small: RunFix, small: Path, keep: bool):
    ran = run_small(ScriptedModel([RIGHT[1], RIGHT[3]]), use_search=False, keep=keep)
    verdict = verdict_of(ran)
    assert (verdict.status, verdict.by, verdict.changed_files) == ("fixed", "the model scripted", (SUM,))
    assert ran.outcome and ran.outcome.exit_code == 0
    assert (small / SUM).read_text() == SUM_TEXT.replace("= 1", "= 0").replace("-=", "+=")
    assert ["could not go on: The script" in notice.text for notice in ran.of(Notice)] == [True]


@pytest.mark.slow
def test_half_a_repair_of_a_model_that_goes_away_is_a_part(run_small: RunFix, small: Path):
    verdict = verdict_of(run_small(ScriptedModel(RIGHT[:2]), use_search=False, attempts=2))
    assert (verdict.status, verdict.changed_files) == ("partly", (SUM,))
    assert "result = 0" in (small / SUM).read_text()


@pytest.mark.parametrize("keep", [False, True])
def test_what_mends_nothing_is_put_back_when_the_model_goes_away_unless_it_is_to_be_kept(
    run_small: RunFix, small: Path, keep: bool
):
    before = contents(small)
    ran = run_small(ScriptedModel([call("write_file", file_path="notes.md", content="x")]), use_search=False, keep=keep)
    assert isinstance(ran.error, ModelUnavailable)
    assert contents(small).keys() - before.keys() == ({"notes.md"} if keep else set())


def test_half_of_what_was_asked_in_words_is_not_kept_when_the_model_goes_away(run_small: RunFix, small: Path):
    (small / SUM).write_text(SUM_TEXT.replace("= 1", "= 0").replace("-=", "+="))
    before = contents(small)
    model = ScriptedModel([call("write_file", file_path="version.py", content='VERSION = "2"\n')])
    assert isinstance(run_small(model, goal="Add a version.").error, ModelUnavailable)
    assert contents(small) == before


def test_keep_keeps_what_was_not_mended(run_small: RunFix, small: Path):
    before = contents(small)
    lines = [call("write_file", file_path="notes.md", content="x\n"), "Done.", "Done!", "Really."]
    ran = run_small(ScriptedModel(lines), use_search=False, keep=True)
    assert ran.outcome and ran.outcome.exit_code == 1
    assert contents(small).keys() - before.keys() == {"notes.md"}
    undo(Workspace.find(small))
    assert contents(small) == before


def test_keep_commits_nothing_that_is_not_proven(run_small: RunFix, small: Path):
    head = _git(small, "rev-parse", "HEAD")
    lines = [call("write_file", file_path="notes.md", content="x\n"), "Done.", "Done!", "Really."]
    ran = run_small(ScriptedModel(lines), use_search=False, keep=True, commit=True)
    assert ran.outcome and ran.outcome.exit_code == 1
    assert (small / "notes.md").exists() and _git(small, "rev-parse", "HEAD") == head


def test_keep_is_a_yes_that_nobody_has_to_be_asked_for(run_small: RunFix, small: Path):
    ran = run_small(ScriptedModel(RIGHT), use_search=False, keep=True, approve=False)
    assert ran.error is None and verdict_of(ran).status == "fixed"
    assert (small / SUM).read_text() != SUM_TEXT


def test_a_dry_run_shows_and_puts_back(run_small: RunFix, small: Path):
    before = contents(small)
    ran = run_small(ScriptedModel(RIGHT), use_search=False, dry_run=True)
    assert verdict_of(ran).status == "fixed"
    assert ran.of(TreeChanged)
    assert contents(small) == before


def test_a_change_that_is_not_wanted_is_put_back(run_small: RunFix, small: Path):
    before = contents(small)
    ran = run_small(ScriptedModel(RIGHT), use_search=False, approve=False)
    assert isinstance(ran.error, ConsentNeeded)
    assert contents(small) == before


def test_commit_takes_the_changed_files_alone(run_small: RunFix, small: Path):
    (small / "README.md").write_text("the user's own change\n")
    _git(small, "add", "README.md")
    _git(small, "config", "user.name", "User")
    _git(small, "config", "user.email", "user@example.invalid")
    ran = run_small(ScriptedModel(RIGHT), use_search=False, commit=True)
    assert verdict_of(ran).status == "fixed"
    assert _git(small, "show", "--name-only", "--format=%s", "HEAD").split() == ["Mend", "failing", "tests", SUM]
    assert _git(small, "diff", "--cached", "--name-only").split() == ["README.md"]


def test_what_a_test_leaves_is_no_part_of_the_change(run_small: RunFix, small: Path):
    tests = small / "tests" / "test_total.py"
    tests.write_text(tests.read_text() + "\n\nopen('log.txt', 'a').write('x')\n")
    _git(small, "config", "user.name", "User")
    _git(small, "config", "user.email", "user@example.invalid")
    _git(small, "commit", "-qam", "A log")
    run = call("run_shell_command", command="python3 -m unittest")
    ran = run_small(ScriptedModel([RIGHT[1], RIGHT[3], run, "Done."]), use_search=False, commit=True)
    assert verdict_of(ran).changed_files == (SUM,) and (small / "log.txt").exists()
    assert _git(small, "show", "--name-only", "--format=", "HEAD").split() == [SUM]


@pytest.mark.slow
def test_commit_leaves_a_file_alone_that_held_own_changes(run_small: RunFix, small: Path):
    (small / SUM).write_text(SUM_TEXT + "# a half-done thought\n")
    head = _git(small, "rev-parse", "HEAD")
    ran = run_small(ScriptedModel(RIGHT), use_search=False, commit=True)
    assert verdict_of(ran).status == "fixed"
    assert "Not committed: total.py" in ran.of(Notice)[-1].text
    assert _git(small, "rev-parse", "HEAD") == head


class TestSomebodyElse:
    """What the user saves in an editor while `fix` is at work."""

    def test_it_is_kept_and_told_of_when_the_tree_is_put_back(self, run_small: RunFix, small: Path):
        lines = [meanwhile(small / "README.md", "Mine.\n"), "Done.", "Done."]
        before = contents(small)
        ran = run_small(ScriptedModel([RIGHT[1], *lines]), use_search=False, dry_run=True)
        assert verdict_of(ran).changed_files == (SUM,)
        assert contents(small) == before
        (told,) = [notice.text for notice in ran.of(Notice) if "you or a test: README.md" in notice.text]
        subprocess.run(["sh", "-c", told.partition("again:\n")[2]], cwd=small, check=True)
        assert (small / "README.md").read_text() == "Mine.\n"

    def test_it_is_told_of_when_the_run_ends_in_an_error(self, run_small: RunFix, small: Path):
        lines = [*RIGHT[:-1], meanwhile(small / "README.md", "Mine.\n")]
        ran = run_small(ScriptedModel(lines), use_search=False, approve=False)
        assert isinstance(ran.error, ConsentNeeded)
        assert "you or a test: README.md" in ran.events[-1].text

    def test_it_is_left_to_be_told_when_the_run_is_closed(self, run_small: RunFix, small: Path):
        def saved(event: object) -> bool:
            return isinstance(event, MessageAdded) and event.message.content == "Saved."

        model = ScriptedModel([meanwhile(small / "README.md", "Mine.\n", "Saved.")])
        ran = run_small(model, use_search=False, stop_at=saved)
        assert "you or a test: README.md" in ran.aside
        assert not ran.of(Notice)

    @pytest.mark.slow
    def test_it_is_told_of_between_attempts(self, run_small: RunFix, small: Path):
        lines = [meanwhile(small / "mine.txt", "Mine.\n"), "Done.", "Done."]
        ran = run_small(ScriptedModel([*lines, *RIGHT]), use_search=False, attempts=2)
        assert verdict_of(ran).status == "fixed"
        assert sum("you or a test: mine.txt" in notice.text for notice in ran.of(Notice)) == 1

    def test_it_is_not_committed_with_the_repair(self, run_small: RunFix, small: Path):
        _git(small, "config", "user.name", "User")
        _git(small, "config", "user.email", "user@example.invalid")
        ran = run_small(
            ScriptedModel([*RIGHT[:-1], meanwhile(small / "README.md", "Mine.\n")]), use_search=False, commit=True
        )
        assert verdict_of(ran).changed_files == (SUM,)
        assert _git(small, "show", "--name-only", "--format=", "HEAD").split() == [SUM]
        assert (small / "README.md").read_text() == "Mine.\n"
        assert _git(small, "diff", "--name-only") == "README.md"

    def test_a_repair_in_a_file_that_it_has_saved_is_not_committed(self, run_small: RunFix, small: Path):
        head = _git(small, "rev-parse", "HEAD")
        saving = meanwhile(small / SUM, SUM_TEXT.replace("= 1", "= 0").replace("-=", "+=") + "# Mine.\n")
        ran = run_small(ScriptedModel([*RIGHT[:-1], saving]), use_search=False, commit=True)
        assert verdict_of(ran).status == "fixed"
        assert "Not committed: total.py holds changes of yours, too." in ran.of(Notice)[-1].text
        assert _git(small, "rev-parse", "HEAD") == head

    @pytest.mark.slow
    def test_a_file_that_changes_under_the_search_is_left_alone(self, run_small: RunFix, small: Path):
        (small / SUM).write_text(SUM_TEXT.replace("= 1", "= 0"))

        def saving(event: object) -> bool:
            if isinstance(event, SearchFinished):
                (small / SUM).write_text("# Mine.\n")
            return False

        ran = run_small(stop_at=saving)
        assert verdict_of(ran).status == "not_fixed"
        assert any("Changed while it was searched" in notice.text for notice in ran.of(Notice))
        assert any("you or a test: total.py" in notice.text for notice in ran.of(Notice))


def meanwhile(file: Path, text: str, said: str = "Done.") -> Callable[[Sequence[Message]], str]:
    """Have the user save a file while the model replies."""

    def reply(history: Sequence[Message]) -> str:
        file.write_text(text)
        return said

    return reply


def test_a_goal_in_words_needs_a_model(run_small: RunFix, small: Path):
    (small / SUM).write_text(SUM_TEXT.replace("= 1", "= 0").replace("-=", "+="))
    ran = run_small(goal="Make it nicer.")
    assert isinstance(ran.error, ModelUnavailable)


def test_a_model_that_never_stops_ends_at_its_budget(run_small: RunFix, small: Path):
    def again(history: Sequence[Message]) -> Message:
        arguments = {"file_path": f"{len(history)}.txt", "content": "x"}
        return Message("assistant", tool_calls=(ToolCall(f"c{len(history)}", "write_file", arguments),))

    before = contents(small)
    ran = run_small(ScriptedModel([again] * 20), use_search=False, max_steps=6)
    assert isinstance(ran.error, BudgetSpent)
    assert "6 steps" in str(ran.error)
    assert contents(small) == before


def test_a_model_that_is_stuck_is_stopped_long_before(run_small: RunFix, small: Path):
    ran = run_small(ScriptedModel([call("read_file", file_path="README.md", offset=7)] * 20), use_search=False)
    assert verdict_of(ran).status == "not_fixed"
    assert [len(ran.of(ReplyFinished)), len(ran.of(HistoryRewound))] == [6, 2]


@pytest.mark.parametrize("way", ["edit", "shell", "runner"])
def test_a_model_that_changes_tests_proves_nothing(run_small: RunFix, small: Path, way: str):
    test = small / "tests" / "test_total.py"
    first = test.read_text().splitlines(keepends=True)[0]
    lines = {
        "edit": call("edit", file_path="tests/test_total.py", old_string=first, new_string=f"# easier\n{first}"),
        "shell": call("run_shell_command", command="echo > tests/test_total.py"),
        "runner": call("run_shell_command", command="echo 'import unittest' > sitecustomize.py"),
    }
    before = contents(small)
    ran = run_small(ScriptedModel([lines[way], "Done.", "Done.", "Done."]), use_search=False)
    verdict = verdict_of(ran)
    assert verdict.status == "not_fixed"
    assert bool(verdict.touched_tests) == (way != "edit"), "the edit tool refuses, a shell is seen by the verdict"
    if way == "shell":
        told = [event.message.content for event in ran.of(MessageAdded) if event.message.role == "tool"]
        assert "belong to the tests and have changed: tests/test_total.py" in told[0]
    assert contents(small) == before


@pytest.mark.parametrize("phase", ["baseline", "localise", "search", "agent", "verdict"])
def test_closing_the_job_anywhere_puts_everything_back(run_small: RunFix, small: Path, phase: str):
    before = contents(small)
    head = _git(small, "rev-parse", "HEAD"), _git(small, "status", "--porcelain")
    ran = run_small(
        ScriptedModel(RIGHT),
        use_search=phase == "search",
        stop_at=lambda event: isinstance(event, PhaseStarted) and event.phase == phase,
    )
    assert ran.outcome is None
    assert contents(small) == before
    assert (_git(small, "rev-parse", "HEAD"), _git(small, "status", "--porcelain")) == head


def test_a_goal_in_words_proves_only_that_nothing_broke(run_small: RunFix, small: Path):
    (small / SUM).write_text(SUM_TEXT.replace("= 1", "= 0").replace("-=", "+="))
    line = call("write_file", file_path="version.py", content='VERSION = "2"\n')
    ran = run_small(ScriptedModel([line, "Done."]), goal="Add a version.")
    verdict = verdict_of(ran)
    assert verdict.status == "unbroken"
    assert "Only that was proven" in verdict.reason
    assert ran.outcome and ran.outcome.exit_code == 0
    assert (small / "version.py").read_text() == 'VERSION = "2"\n'


@pytest.mark.slow
def test_paths_narrow_the_goal(run_fix: RunFix, repository: Path):
    (repository / "a.py").write_text("def a():\n    return 1 - 1\n\n\ndef b():\n    return 'b'\n")
    (repository / "test_a.py").write_text("from a import a\n\ndef test_a():\n    assert a() == 2\n")
    (repository / "test_b.py").write_text("from a import b\n\ndef test_b():\n    assert b() == 'something else'\n")
    ran = run_fix(repository, wanted=("test_a.py",))
    assert verdict_of(ran).status == "fixed"
    assert ran.of(BaselineTaken)[0].failing == ("test_a.py::test_a", "test_b.py::test_b")
    assert [row.test for row in verdict_of(ran).proof] == ["test_a.py::test_a"]


def test_no_tool_of_the_model_reaches_git(run_small: RunFix, small: Path):
    lines = [
        call("run_shell_command", command="git commit -am x; echo x > .git/hooks/pre-commit; git stash; true"),
        call("read_file", file_path=".git/config"),
        "Done.",
        "Done.",
        "Done.",
    ]
    head = _git(small, "rev-parse", "HEAD")
    run_small(ScriptedModel(lines), use_search=False)
    assert _git(small, "rev-parse", "HEAD") == head
    assert not (small / ".git" / "hooks" / "pre-commit").exists()


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


LIMIT = "def made(count):\n    if count > 2:\n        raise ValueError(count)\n    return count\n"
LIMIT_TESTS = """\
import unittest
import limit

class Three(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.made = limit.made(3)

    def test_three(self):
        self.assertEqual(self.made, 3)

class Four(unittest.TestCase):
    def test_too_many(self):
        self.assertRaises(ValueError, limit.made, 4)
"""


@pytest.mark.parametrize(
    "script", [None, [call("edit", file_path="limit.py", old_string="> 2", new_string="> 3"), "It is 3."]]
)
def test_what_fails_before_any_test_is_mended_when_its_tests_pass(
    run_fix: RunFix, repository: Path, script: list[Message | str] | None
):
    (repository / "limit.py").write_text(LIMIT)
    (repository / "test_limit.py").write_text(LIMIT_TESTS)
    model = script and ScriptedModel(script)
    ran = run_fix(repository, model, test="python3 -m unittest", use_search=script is None)
    assert ran.outcome and ran.outcome.verdict and ran.outcome.verdict.status == "fixed"
    assert [row.after for row in ran.outcome.verdict.proof][:1] == ["its tests pass"]
    assert not model or len(model.requests) == 2, "it is not sent on when it is done"
