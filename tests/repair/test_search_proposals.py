"""Proposals of a small model in the search: a fake one, and everything else real."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from math import inf, log
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.errors import ModelUnavailable
from qwencode.events import CandidateFound, Notice, Progress
from qwencode.model.builtin.task import Proposal, Task
from qwencode.repair.mutate.candidates import Candidate, Seen, candidates
from qwencode.repair.proposals import Ahead, Merged, Questions, as_line, prior, ranked
from qwencode.repair.search import Budget, search
from qwencode.verify.results import Baseline
from replies import drive

CODE = '''"""Prices."""


def total(prices, rate):
    net = sum(prices)
    return round(net, 2)


def label(name):
    return name
'''
TESTS = """from pkg.prices import label, total


def test_total():
    assert total([1, 2], 0.5) == 4.5


def test_other():
    assert total([10], 0.1) == 11


def test_label():
    assert label("a") == "a"
"""
FILES = {"pkg/__init__.py": "", "pkg/prices.py": CODE, "tests/test_prices.py": TESTS, "conftest.py": ""}
RIGHT = "    return round(net * (1 + rate), 2)"
OLD = "    return round(net, 2)"
BUDGET = Budget(20, 400)
Lab = Callable[..., Any]


class Fake:
    """Answers a line with what it was given for it, and takes its time."""

    def __init__(
        self,
        news: Mapping[str, Sequence[str | tuple[str, float]]],
        seconds: float = 0.0,
        error: Exception | None = None,
        likely: Mapping[str, float] | None = None,
    ):
        self.news, self.seconds, self.error, self.likely = news, seconds, error, likely or {}
        self.asked: list[Task] = []
        self.scored: list[tuple[Task, tuple[str, ...]]] = []
        self.threads: set[threading.Thread] = set()
        self.gate = threading.Event()
        self.gate.set()

    def propose(self, task: Task) -> list[Proposal]:
        self.asked.append(task)
        self.threads.add(threading.current_thread())
        time.sleep(self.seconds)
        assert self.gate.wait(30)
        if self.error:
            raise self.error
        pairs = [new if isinstance(new, tuple) else (new, 0.5) for new in self.news.get(task.old, ())]
        return [Proposal(new, log(chance)) for new, chance in pairs]

    def score(self, task: Task, news: Sequence[str]) -> list[float]:
        self.scored.append((task, tuple(news)))
        return [log(self.likely.get(new, 1e-6)) for new in news]


def known(lab: Lab, code: str = CODE, lines: Mapping[int, float] | None = None) -> tuple[Baseline, dict[str, str], Any]:
    """Return what the parts of a search need, without running a test."""
    outcomes = {"tests/test_prices.py::test_total": "failed", "tests/test_prices.py::test_label": "passed"}
    _, _, baseline, ranking = lab({**FILES, "pkg/prices.py": code}, known=outcomes)
    texts = {"pkg/prices.py": code}
    return baseline, texts, replace(ranking, texts=texts, lines={"pkg/prices.py": lines or {6: 1.0}})


def everything(ahead: Ahead) -> list[Candidate]:
    found: list[Candidate] = []
    while ahead.waiting:
        found += ahead.take(0.0)
        ahead.wait(1.0)
    return found


def proposed(lab: Lab, code: str, line: int, news: Sequence[str]) -> list[str]:
    """Return the texts of the file that come of proposals for a line."""
    baseline, texts, ranking = known(lab, code, {line: 1.0})
    old = code.splitlines()[line - 1]
    fake = Fake({old: news, old.removeprefix("    "): news})
    with closing(Ahead(fake, Questions(baseline, texts), texts, ranking.lines)) as ahead:
        return [candidate.applied(code) for candidate in everything(ahead)]


@pytest.mark.slow
def test_what_no_operator_mends_is_found_through_it(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(FILES)
    without, _ = drive(search(workspace, sandbox, baseline, ranking, BUDGET))
    assert without.plausible == 0
    fake = Fake({OLD: ["    return net", RIGHT]})
    found, events = drive(search(workspace, sandbox, baseline, ranking, BUDGET, propose=fake))
    assert found.patches[0].after == CODE.replace(OLD, RIGHT)
    assert found.patches[0].what == "built-in model: return round(net, 2) → return round(net * (1 + rate), 2)"
    assert not [event for event in events if isinstance(event, Notice)]
    question = next(task.question for task in fake.asked if task.old == OLD)
    assert "# pkg/prices.py\n> assert total(" in question
    assert f">>{OLD}" in question
    assert not any(thread.is_alive() for thread in fake.threads)
    assert threading.main_thread() not in fake.threads


@pytest.mark.slow
def test_only_suspicious_lines_of_functions_that_may_change_are_asked_about(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(FILES)
    lines = {**ranking.lines, "tests/test_prices.py": {5: 1.0}, "pkg/prices.py": {1: 0.9, 6: 0.5, 5: 1.0}}
    ranking = replace(ranking, lines=lines, texts={**ranking.texts, "tests/test_prices.py": TESTS})
    fake = Fake({})
    drive(search(workspace, sandbox, baseline, ranking, BUDGET, propose=fake))
    assert [(task.file, task.line) for task in fake.asked] == [("pkg/prices.py", 5), ("pkg/prices.py", 6)]


@pytest.mark.slow
def test_a_slow_model_does_not_stall_the_search(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(FILES)
    fake, tried = Fake({OLD: [RIGHT]}), 0
    fake.gate.clear()
    with closing(search(workspace, sandbox, baseline, ranking, Budget(60, 400), propose=fake)) as running:
        for event in running:
            tried = event.done if isinstance(event, Progress) else tried
            if tried >= 5:  # candidates of the operators, while the model thinks
                fake.gate.set()
            if isinstance(event, CandidateFound):
                break
        else:
            pytest.fail("what the model came up with was not tried")
    assert not any(thread.is_alive() for thread in fake.threads)


@pytest.mark.parametrize("error", [ModelUnavailable("It broke."), OSError("It broke.")])
@pytest.mark.slow
def test_a_model_that_cannot_go_on_is_told_once_and_done_without(lab: Lab, error: Exception):
    workspace, sandbox, baseline, ranking = lab({**FILES, "pkg/prices.py": CODE.replace("sum(prices)", "max(prices)")})
    fake = Fake({}, error=error)
    found, events = drive(search(workspace, sandbox, baseline, ranking, Budget(20, 30), propose=fake))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert notices == ["The search goes on without the built-in model: It broke."]
    assert found.tried >= 30
    assert len(fake.asked) <= 3


@pytest.mark.slow
def test_closing_it_midway_ends_the_thread(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(FILES)
    before = set(threading.enumerate())
    fake = Fake({}, seconds=0.3)
    running = search(workspace, sandbox, baseline, ranking, BUDGET, propose=fake)
    for event in running:
        if isinstance(event, Progress):
            break
    assert fake.threads
    running.close()
    assert not set(threading.enumerate()) - before


@pytest.mark.slow
def test_a_keyboard_interrupt_ends_the_thread(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(FILES)
    before = set(threading.enumerate())
    running = search(workspace, sandbox, baseline, ranking, BUDGET, propose=Fake({}, seconds=0.3))
    next(running)
    next(running)
    with pytest.raises(KeyboardInterrupt):
        running.throw(KeyboardInterrupt())
    assert not set(threading.enumerate()) - before


@pytest.mark.slow
def test_an_error_of_ours_is_not_hidden(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(FILES)
    with pytest.raises(ZeroDivisionError):
        drive(search(workspace, sandbox, baseline, ranking, BUDGET, propose=Fake({}, error=ZeroDivisionError())))


def test_each_text_comes_once_and_the_best_first(lab: Lab):
    baseline, texts, ranking = known(lab)
    news = [("    return round(net, 3)", 0.9), (RIGHT, 0.5), ("    return round((net), 2)", 0.9), ("    return (", 0.9)]
    fake = Fake({OLD: [*news, ("    return round(net, 1)", 1e-9)]})
    seen = Seen(texts)
    with closing(Ahead(fake, Questions(baseline, texts), texts, ranking.lines)) as ahead:
        ahead.wait(5)
        merged = Merged(candidates(texts, ranking.lines, (), seen), seen, ahead)
        found: list[Candidate] = []
        while not merged.exhausted:
            found += [candidate] if (candidate := merged.take()) else []
    after = [candidate.applied(CODE) for candidate in found]
    assert len(set(after)) == len(after)
    assert [candidate.score for candidate in found] == sorted((c.score for c in found), reverse=True)
    assert CODE.replace(OLD, "    return (") not in after  # does not compile
    assert CODE.replace(OLD, "    return round((net), 2)") not in after  # means the same
    assert after.index(CODE.replace(OLD, RIGHT)) < after.index(CODE.replace("net, 2", "net, 1"))
    last = next(c for c in found if c.applied(CODE) == CODE.replace("net, 2", "net, 1"))
    assert last.what.startswith("number")  # the operator thinks more of it than the model


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("new", "rows"),
    [
        ("", []),
        ("    net = max(prices)", ["    net = max(prices)"]),
        ("    if rate:\n        net = 1", ["    if rate:", "        net = 1"]),
    ],
)
@pytest.mark.parametrize("method", [False, True])
def test_lines_take_the_indentation_and_the_line_ends_of_the_file(
    lab: Lab, ends: str, new: str, rows: list[str], method: bool
):
    head = ["class Prices:"] if method else []
    indent = "    " if method else ""
    body = ["def total(prices, rate):", "    net = 0", "    net = sum(prices)", "    return net"]
    lines = [*head, *(indent + row for row in body), ""]
    at = lines.index(indent + body[2])
    wanted = [*lines[:at], *(indent + row for row in rows), *lines[at + 1 :]]
    assert proposed(lab, ends.join(lines), at + 1, [new]) == [ends.join(wanted)]


def test_the_last_line_of_a_file_without_an_end(lab: Lab):
    code = "def one():\n    x = 1\n    return x"
    assert proposed(lab, code, 3, ["    return x + 1"]) == ["def one():\n    x = 1\n    return x + 1"]
    assert proposed(lab, code, 3, [""]) == ["def one():\n    x = 1\n"]


def test_the_prior_grows_with_the_probability():
    chances = [prior(log(chance)) for chance in (1e-8, 1e-4, 1e-2, 0.1, 1.0)]
    assert chances == sorted(chances)
    assert chances == pytest.approx([0.00796, 0.1262, 0.5024, 1.0, 1.0], rel=1e-3)
    assert prior(0.1) == 1.0
    assert prior(-inf) == 0.0


def candidate(text: str, old: str, new: str, score: float) -> Candidate:
    start = text.index(old)
    line = text.count("\n", 0, start) + 1
    return Candidate("pkg/prices.py", start, start + len(old), new, "what", line, "total", score)


def test_plausible_edits_are_ordered_by_score_and_likelihood(lab: Lab):
    baseline, texts, _ = known(lab)
    operator, model = candidate(CODE, "net, 2", "net, 3", 0.6), candidate(CODE, OLD, RIGHT, 0.4)
    added = candidate(CODE, OLD, f"    net += rate\n{OLD}", 0.1)
    wide = candidate(CODE, "net = sum(prices)\n    return round(net, 2)", "return 4.5", 0.2)
    found = [operator, model, wide, added]
    fake = Fake({}, likely={RIGHT: 0.9, f"    net += rate\n{OLD}": 0.99})
    assert ranked(found, fake, Questions(baseline, texts), texts) == [model, added, wide, operator]
    asked = {task.line: news for task, news in fake.scored}
    assert asked[6] == ("    return round(net, 3)", RIGHT, f"    net += rate\n{OLD}")
    assert asked[5] == ("    net = sum(prices)\n    net += rate",)
    none = Fake({})
    assert ranked(found, none, Questions(baseline, texts), texts)[-1] == added


@pytest.mark.slow
def test_the_order_of_found_edits_follows_the_model(lab: Lab):
    code = CODE.replace("round(net, 2)", "round(net * rate, 2)")
    tests = TESTS.replace("([1, 2], 0.5) == 4.5", "([2, 2], 2) == 2").replace("([10], 0.1) == 11", "([6], 2) == 3")
    workspace, sandbox, baseline, ranking = lab({**FILES, "pkg/prices.py": code, "tests/test_prices.py": tests})
    first = "    return round(net / rate, 2)"
    second = "    return round(net // rate, 2)"
    for best in (first, second):
        fake = Fake({}, likely={best: 0.9})
        found, _ = drive(search(workspace, sandbox, baseline, ranking, BUDGET, propose=fake))
        assert found.patches[0].after == code.replace("    return round(net * rate, 2)", best)


ROWS = st.lists(st.sampled_from(["a", "b", " c", ""]), max_size=6).map("\n".join)


@given(ROWS, ROWS)
def test_a_change_put_as_one_line_is_the_change(before: str, after: str):
    rows = before.split("\n")
    for line, text in as_line(before, after):
        assert 1 <= line <= len(rows)
        new = text.split("\n") if text or after.count("\n") >= before.count("\n") else []
        assert "\n".join([*rows[: line - 1], *new, *rows[line:]]) == after
