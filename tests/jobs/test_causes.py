"""Several faults and several attempts: what is mended stays, what failed leaves a lesson and nothing else."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fix_ground import SUM, Ran, contents
from qwencode.agent.budget import Budget, Meter
from qwencode.errors import BudgetSpent, ConsentNeeded
from qwencode.events import (
    HistoryRewound,
    MessageAdded,
    Notice,
    PhaseStarted,
    SearchFinished,
    ToolFinished,
    VerdictReached,
)
from qwencode.jobs.shares import part_of
from qwencode.messages import Message
from qwencode.model.builtin.prompt import PASSED
from qwencode.model.scripted import Line, ScriptedModel, call
from qwencode.snapshots import undo
from qwencode.workspace import Workspace

RunFix = Callable[..., Ran]
STEP, WORDS = "step.py", "words.py"
FILES = {
    STEP: "def up(x):\n    return x - 1\n",
    WORDS: "def shout(text):\n    return text\n\n\ndef quiet(text):\n    return text\n",
    "tests/__init__.py": "",
    "tests/test_step.py": "import unittest\n\nfrom step import up\n\n\nclass StepTest(unittest.TestCase):\n"
    "    def test_up(self):\n        self.assertEqual(up(2), 3)\n",
    "tests/test_words.py": "import unittest\n\nfrom words import quiet, shout\n\n\n"
    "class WordsTest(unittest.TestCase):\n"
    "    def test_shout(self):\n        self.assertEqual(shout('hi'), 'HI! (2)')\n\n"
    "    def test_quiet(self):\n        self.assertEqual(quiet('hi'), 'hi')\n",
}
UP, SHOUT = "tests.test_step.StepTest.test_up", "tests.test_words.WordsTest.test_shout"
OLD = "def shout(text):\n    return text\n"
LOUD = call(
    "edit", file_path=WORDS, old_string=OLD, new_string=OLD.replace("text\n", 'f"{text.upper()}! ({len(text)})"\n')
)
WRONG = call("edit", file_path=WORDS, old_string=OLD, new_string=OLD.replace("return text", "return text.upper()"))
UPWARDS = call("edit", file_path=STEP, old_string="x - 1", new_string="x + 1")


@pytest.fixture
def pair(repository: Path, run_git: Callable[..., str]) -> Path:
    """A repository with two faults that have nothing to do with each other; search can mend one of them."""
    for name, text in FILES.items():
        (repository / name).parent.mkdir(exist_ok=True)
        (repository / name).write_text(text)
    (repository / WORDS).chmod(0o755)
    run_git(repository, "add", "--all")
    run_git(repository, "commit", "-qm", "Pair")
    return repository


@pytest.fixture
def run_pair(run_fix: RunFix, pair: Path) -> RunFix:
    def run(lines: Sequence[Line] | None = None, **more: object) -> Ran:
        model = ScriptedModel(lines) if lines is not None else None
        return run_fix(pair, model, **{"test": "python3 -m unittest", "use_search": False, **more})

    return run


def verdict_of(ran: Ran) -> VerdictReached:
    assert ran.error is None, ran.error
    (verdict,) = ran.of(VerdictReached)
    return verdict


def told(ran: Ran) -> list[str]:
    return [event.message.content for event in ran.of(MessageAdded) if event.message.role == "user"]


@pytest.mark.slow
def test_search_mends_one_cause_and_the_model_the_other(run_pair: RunFix, pair: Path):
    before = contents(pair)
    seen: list[str] = []

    def look(history: Sequence[Message]) -> Message:
        seen.append((pair / STEP).read_text())
        return LOUD

    ran = run_pair([look, call("run_tests"), "It shouts now."], use_search=True)
    verdict = verdict_of(ran)
    assert (verdict.status, verdict.changed_files) == ("fixed", (STEP, WORDS)), verdict.reason
    assert verdict.by.startswith("search") and verdict.by.endswith(" and the model scripted")
    assert [(row.test, row.after) for row in verdict.proof] == [(UP, "passed"), (SHOUT, "passed")]
    assert seen == ["def up(x):\n    return x + 1\n"], "what was mended stays while the next cause is worked on"
    assert any("2 causes" in notice.text for notice in ran.of(Notice))
    assert len(ran.of(SearchFinished)) == 3, "all at once, then each cause, and never twice in one state of the tree"
    (task,) = told(ran)
    assert SHOUT in task and UP not in task
    assert ran.of(ToolFinished)[-1].ok, "a test that is another cause's business is not shown"
    undo(Workspace.find(pair))
    assert contents(pair) == before


def test_an_attempt_that_failed_leaves_a_lesson(run_fix: RunFix, pair: Path):
    (pair / STEP).write_text(FILES[STEP].replace("-", "+"))
    model = ScriptedModel([WRONG, "Done.", "Done!", "Really.", LOUD, "It shouts now."])
    ran = run_fix(pair, model, test="python3 -m unittest", use_search=False, attempts=2)
    assert verdict_of(ran).status == "fixed"
    first, second = model.requests[0][0], model.requests[4][0]
    assert second[:2] == first, "nothing of what was read is read again"
    (lesson,) = second[2:]
    assert lesson.role == "user"
    for part in (
        "Attempt 1",
        "-    return text\n",
        "+    return text.upper()\n",
        f"{SHOUT} still does not pass",
        "E AssertionError: 'HI' !=",
    ):
        assert part in lesson.content, part
    assert [event.length for event in ran.of(HistoryRewound)] == [2]
    assert all(tools == model.requests[0][1] for _, tools, _ in model.requests)


@pytest.mark.slow
def test_a_failed_attempt_is_rolled_back_to_the_byte(run_fix: RunFix, pair: Path):
    (pair / STEP).write_text(FILES[STEP].replace("-", "+"))
    before = contents(pair)
    mess = (
        "chmod 600 words.py; printf 'x\\r\\n' > step.py; mkdir deep; ln -s ../words.py deep/link; rm tests/test_step.py"
    )
    states: list[dict[str, tuple[int, str]]] = []

    def look(history: Sequence[Message]) -> Message:
        states.append(contents(pair))
        return LOUD

    lines = [call("run_shell_command", command=mess), "Done.", "Done.", "Done.", look, "It shouts."]
    ran = run_fix(pair, ScriptedModel(lines), test="python3 -m unittest", use_search=False, attempts=2)
    assert verdict_of(ran).status == "fixed"
    assert states == [before]
    after = contents(pair)
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == {WORDS}
    assert after[WORDS][0] == before[WORDS][0]


FAILING = [WRONG, "Done.", "Done.", "Done."]


@pytest.mark.slow
def test_a_part_is_kept_and_called_a_part(run_pair: RunFix, pair: Path):
    before = contents(pair)
    ran = run_pair([UPWARDS, "Done.", *FAILING])
    verdict = verdict_of(ran)
    assert (verdict.status, verdict.changed_files) == ("partly", (STEP,))
    assert "1 of 2 failing tests passes now" in verdict.reason and f"still failing: {SHOUT}" in verdict.reason
    assert ran.outcome and ran.outcome.exit_code == 1
    assert (pair / STEP).read_text() == "def up(x):\n    return x + 1\n"
    assert (pair / WORDS).read_text() == FILES[WORDS]
    undo(Workspace.find(pair))
    assert contents(pair) == before


@pytest.mark.slow
@pytest.mark.parametrize("way", ["dry_run", "refused"])
def test_a_part_is_kept_only_where_a_whole_would_be(run_pair: RunFix, pair: Path, way: str):
    before = contents(pair)
    ran = run_pair([UPWARDS, "Done.", *FAILING], dry_run=way == "dry_run", approve=way != "refused")
    assert isinstance(ran.error, ConsentNeeded) == (way == "refused")
    assert ran.of(VerdictReached)[-1].status == "partly"
    assert contents(pair) == before


@pytest.mark.slow
def test_a_part_of_one_cause_is_kept_when_no_attempt_does_better(run_small: RunFix, small: Path):
    good = call("edit", file_path=SUM, old_string="result = 1", new_string="result = 0")
    bad = call("edit", file_path=SUM, old_string="result = 1", new_string="result = 7")
    lines = [good, "Done.", "Done.", "Done.", bad, "Done.", "Done.", "Done."]
    ran = run_small(ScriptedModel(lines), use_search=False, attempts=2)
    assert verdict_of(ran).status == "partly"
    assert "result = 0" in (small / SUM).read_text()


@pytest.mark.parametrize("stop", ["after the first cause", pytest.param("within the second", marks=pytest.mark.slow)])
def test_what_ends_between_causes_leaves_the_tree_as_it_was(run_pair: RunFix, pair: Path, stop: str):
    before, phases = contents(pair), list[str]()

    def reached(event: object) -> bool:
        if isinstance(event, PhaseStarted):
            phases.append(event.phase)
        return phases.count("baseline" if stop.startswith("after") else "agent") == 2

    ran = run_pair([UPWARDS, "Done.", LOUD, "Done."], stop_at=reached)
    assert ran.outcome is None and ran.error is None
    assert contents(pair) == before


@pytest.mark.slow
def test_a_model_that_goes_away_does_not_take_what_was_mended_with_it(run_pair: RunFix, pair: Path):
    ran = run_pair([UPWARDS, "Done.", WRONG])
    assert verdict_of(ran).status == "partly"
    assert (pair / WORDS).read_text() == FILES[WORDS]
    assert any("could not go on" in notice.text for notice in ran.of(Notice) if notice.level == "warning")


@pytest.mark.slow
def test_a_model_of_lines_mends_cause_by_cause(run_fix: RunFix, pair: Path):
    def policy(history: Sequence[Message]) -> Message | str:
        if history[-1].content == PASSED:
            return "Done."
        if history[0].content.startswith(f"# {STEP}"):
            return call("edit", file_path=STEP, old_string="    return x - 1", new_string="    return x + 1")
        loud = '    return f"{text.upper()}! ({len(text)})"'
        return call("edit", file_path=WORDS, old_string="    return text", new_string=loud)

    model = ScriptedModel([policy] * 40)
    ran = run_fix(pair, model, test="python3 -m unittest", use_search=False, lines=True)
    verdict = verdict_of(ran)
    assert (verdict.status, verdict.by, verdict.changed_files) == ("fixed", "the built-in model", (STEP, WORDS))


@pytest.mark.slow
def test_attempts_share_the_steps(run_fix: RunFix, pair: Path):
    (pair / STEP).write_text(FILES[STEP].replace("-", "+"))
    before = contents(pair)
    model = ScriptedModel([call("read_file", file_path=WORDS, offset=number + 1) for number in range(7)])
    ran = run_fix(pair, model, test="python3 -m unittest", use_search=False, attempts=2, max_steps=6)
    assert isinstance(ran.error, BudgetSpent) and "All 6 steps are used." in str(ran.error)
    assert [len(history) for history, _, _ in model.requests] == [2, 4, 6, 8, 3, 5]
    assert "Attempt 1 changed no file." in model.requests[4][0][2].content
    assert contents(pair) == before


@pytest.mark.slow
def test_what_came_near_is_told_to_the_model(run_small: RunFix, small: Path):
    lines = [
        call("edit", file_path=SUM, old_string="result = 1", new_string="result = 0"),
        call("edit", file_path=SUM, old_string="-=", new_string="+="),
        "It began at one and went down.",
    ]
    ran = run_small(ScriptedModel(lines))
    assert verdict_of(ran).status == "fixed"
    (task,) = told(ran)
    assert "small edits that were tried, came near, and were taken back" in task
    assert "total.py, line 2: `result = 0` in the place of `result = 1` mends" in task


@pytest.mark.parametrize(
    ("budget", "share", "expected"),
    [(Budget(40, 0.0), 1.0, 40), (Budget(40, 0.0), 2 / 3, 27), (Budget(1, 0.0), 0.1, 1), (Budget(0, 0.0), 0.5, 0)],
)
def test_a_part_of_a_budget(budget: Budget, share: float, expected: int):
    part = part_of(Meter(budget), share)
    assert (part.steps, part.seconds) == (expected, 0.0)


def test_time_that_is_up_is_not_time_without_limit():
    meter = Meter(Budget(5, 10.0), started=-1e6)
    assert 0 < part_of(meter, 1.0).seconds < 0.01
