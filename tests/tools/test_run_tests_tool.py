"""`run_tests`: what the model is told about a run, with given results and with the real runner."""

import functools
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.errors import ToolError
from qwencode.messages import ToolCall
from qwencode.sandbox.protocol import Sandbox
from qwencode.tools.calls import carry_out
from qwencode.tools.protocol import ToolResult
from qwencode.tools.run_tests import _TEST_ID, run_tests_tool  # pyright: ignore[reportPrivateUsage]
from qwencode.verify.commands import discover
from qwencode.verify.results import TestResult, TestRun
from qwencode.verify.runners import run
from qwencode.workspace import Workspace


def results(**outcomes: str) -> TestRun:
    found = {name: TestResult(name, outcome, message=f"{name} said no") for name, outcome in outcomes.items()}  # pyright: ignore[reportArgumentType]
    return TestRun("ran", found, "", 1.25)


def answer(now: TestRun, before: TestRun | None = None, selection: str = "") -> ToolResult:
    tool = run_tests_tool(lambda tests: now, before)
    return carry_out({"run_tests": tool}, ToolCall("1", "run_tests", {"selection": selection}))


def test_changes_against_the_run_before():
    before = results(a="failed", b="passed", c="failed", d="passed", e="failed")
    now = results(a="passed", b="passed", c="failed", d="error", f="failed")
    result = answer(now, before)
    assert result.text.splitlines()[:5] == [
        "3 failed, 2 passed in 1.2 s.",
        "Now passing (1): a",
        "Still failing (1): c",
        "BROKEN by your changes (passed before) (1): d",
        "Failing and new (1): f",
    ]
    assert "--- d\nd said no" in result.text
    assert (result.ok, result.summary) == (False, "tests: 3 failed, 2 passed")


def test_all_green():
    result = answer(results(a="passed", b="skipped"), results(a="failed"))
    assert (result.text, result.ok) == ("0 failed, 1 passed in 1.2 s.\nNow passing (1): a", True)


def test_many_and_long_failures_are_cut():
    found = {f"t{n:03}": TestResult(f"t{n:03}", "failed", message="x\n" * 5_000) for n in range(50)}
    text = answer(TestRun("ran", found, "", 1.0)).text
    assert len(text) < 9_000
    assert "[47 more; see one by its id as selection]" in text and "lines (" in text


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("timed_out", "did not end within 9 s and were killed"),
        (
            "no_tests",
            "No test was found. The selection was 'tests/test_mony.py'. Did you mean: tests/test_money.py::test_a?",
        ),
        ("not_found", "The test command does not exist here."),
        (
            "broken",
            "The test runner broke off. Before your changes there was no test 'tests/test_mony.py'. "
            "Did you mean: tests/test_money.py::test_a?\nThe runner printed:\nred alert",
        ),
    ],
)
def test_runs_without_results(status: str, said: str):
    before = results(**{"tests/test_money.py::test_a": "failed"})
    now = TestRun(status, {}, "\x1b[31mred\x1b[0m alert\n", 9.0)  # pyright: ignore[reportArgumentType]
    result = answer(now, before, "tests/test_mony.py")
    assert not result.ok and said in result.text and "\x1b" not in result.text


def test_the_strange_one_of_several_is_named():
    before = results(**{"tests/test_money.py::test_a": "failed", "tests/test_money.py::test_b[x y]": "passed"})
    broken = TestRun("broken", {}, "", 1.0)
    text = answer(
        broken, before, "tests/test_money.py tests/test_money.py::test_b[x y] tests/test_money.py::tst_a"
    ).text
    assert text.startswith(
        "The test runner broke off. Before your changes there was no test 'tests/test_money.py::tst_a'."
    )
    for selection in ("", "tests/test_money.py", "tests"):
        assert answer(broken, before, selection).text == "The test runner broke off."
    assert answer(broken, None, "tests/test_mony.py").text == "The test runner broke off."


def test_a_run_that_hung_shows_what_it_had():
    found = {"a": TestResult("a", "passed"), "b": TestResult("b", "error", message="killed in loop()")}
    result = answer(TestRun("timed_out", found, "", 30.0, unfinished=("c", "d")))
    assert not result.ok
    assert result.text.startswith(
        "The tests did not end within 30 s and were killed; look for an endless loop. 2 tests were"
    )
    assert "killed in loop()" in result.text


@given(st.lists(st.from_regex(r"[a-z/]+\.py::[a-z_]+(\[[^\[\]\n]*\])?", fullmatch=True), max_size=4))
def test_ids_with_blanks_in_brackets_stay_whole(ids: list[str]):
    assert _TEST_ID.findall(" ".join(ids)) == ids


@pytest.mark.slow
def test_with_the_real_runner(workspace: Workspace, sandbox: Sandbox):
    test = workspace.root / "tests" / "test_half.py"
    test.write_text("import sys\nsys.path.insert(0, 'src')\nimport money\ndef test_two(): assert money.half(4) == 2\n")
    command = discover(workspace, override=f"{sys.executable} -m pytest")
    once = functools.partial(run, command, sandbox, seconds=60.0)
    before = once(tests=())
    assert before.status == "ran"
    source = workspace.root / "src" / "money.py"
    source.write_text(source.read_text().replace("/ 2", "/ 3"))
    tool = run_tests_tool(lambda tests: once(tests=tests), before)
    result = tool.run(selection="tests/test_half.py::test_two")
    assert "BROKEN by your changes (passed before) (1): tests/test_half.py::test_two" in result.text
    assert "money.half(4)" in result.text
    with pytest.raises(ToolError, match=r"no test .*test_tow'\. Did you mean: tests/test_half\.py::test_two,"):
        tool.run(selection="tests/test_half.py::test_tow")
