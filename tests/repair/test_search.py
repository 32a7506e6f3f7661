"""The whole search on small repositories, with the real probe and the real fork server."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from qwencode.errors import ToolError
from qwencode.events import CandidateFound, PhaseStarted, Progress, SearchFinished
from qwencode.repair.forkserver import ServerFailed
from qwencode.repair.mutate.candidates import Candidate
from qwencode.repair.plain import PlainTrial
from qwencode.repair.search import Budget, Patch, apply, search
from qwencode.repair.trial import ForkTrial
from qwencode.sandbox.ladder import open_sandbox
from qwencode.sandbox.protocol import Process, Sandbox
from qwencode.verify import runners
from replies import drive

CODE = '''"""Limits."""


def clamp(value, low, high):
    if value < low:
        return low
    if value > high:
        return low
    return value


def helper(x):
    return x
'''
TESTS = """import pytest
from pkg.limits import clamp, helper


@pytest.mark.parametrize("value, expected", [(0, 1), (5, 3), (2, 2)])
def test_clamp(value, expected):
    assert clamp(value, 1, 3) == expected


def test_clamp_wide():
    assert clamp(500, 0, 100) == 100


def test_helper():
    assert helper(1) == 1
"""
FILES = {"pkg/__init__.py": "", "pkg/limits.py": CODE, "tests/test_limits.py": TESTS, "conftest.py": ""}
BUDGET = Budget(60, 600)

Lab = Callable[..., Any]


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and ".git" not in p.parts
    }


def processes_of(sandbox: Any) -> dict[int, int]:
    """Return the fork servers and their children, by what runs from this sandbox's scratch, with their parents."""
    found: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            if len(words) > 1 and words[1].startswith(bytes(sandbox.scratch)) and b"inside_server" in words[1]:
                found[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def server_of(sandbox: Any) -> int:
    """Return the server: numbers of processes begin anew some time, so its children may have smaller ones."""
    found = processes_of(sandbox)
    (server,) = (process for process, parent in found.items() if parent not in found)
    return server


def kill(process: int, *, wait: bool) -> None:
    os.kill(process, signal.SIGKILL)
    while wait and Path("/proc", str(process)).exists():
        time.sleep(0.01)


def test_finds_tells_and_applies(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(FILES)
    before = tree(workspace.root)
    result, events = drive(search(workspace, sandbox, baseline, ranking, BUDGET))
    assert tree(workspace.root) == before
    assert isinstance(events[0], PhaseStarted)
    finished = events[-1]
    assert isinstance(finished, SearchFinished)
    assert (finished.plausible, finished.tried) == (result.plausible, result.tried)
    assert result.way == "fork"
    best = result.patches[0]
    assert best.after == CODE.replace("value > high:\n        return low", "value > high:\n        return high")
    assert finished.diffs[0] == best.diff()
    assert "-        return low\n+        return high\n" in best.diff()
    assert len([event for event in events if isinstance(event, CandidateFound)]) == result.plausible
    assert all((event.seconds_left or 0) <= BUDGET.seconds for event in events if isinstance(event, Progress))
    apply(workspace, best)
    assert runners.run(baseline.command, sandbox, seconds=60).failing == ()


@pytest.mark.slow
def test_plain_way_finds_the_same(lab: Lab):
    right = CODE.replace("        return low\n    return value", "        return high\n    return value")
    wrong = right.replace("value > high", "value < high")
    workspace, sandbox, baseline, ranking = lab({**FILES, "pkg/limits.py": wrong})
    ranking = replace(ranking, lines={"pkg/limits.py": {7: 1.0}})
    forked, _ = drive(search(workspace, sandbox, baseline, ranking, Budget(60, 40)))
    assert forked.patches[0].after == right
    before = tree(workspace.root)
    stamp = (workspace.root / "pkg/limits.py").stat().st_mtime_ns
    plain, _ = drive(search(workspace, sandbox, baseline, ranking, Budget(60, 3), plain=True))
    assert plain.way == "plain"
    assert plain.patches[0] == forked.patches[0]
    assert tree(workspace.root) == before
    assert (workspace.root / "pkg/limits.py").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("ends", ["\r\n", "\n"])
@pytest.mark.slow
def test_encoding_and_line_ends_survive(lab: Lab, ends: str):
    text = ("# -*- coding: latin-1 -*-\n" + CODE.replace("Limits.", "Größen.")).replace("\n", ends)
    files = {**FILES, "pkg/limits.py": text.encode("latin-1")}
    workspace, sandbox, baseline, ranking = lab(files)
    result, _ = drive(search(workspace, sandbox, baseline, ranking, Budget(60, 150)))
    apply(workspace, result.patches[0])
    now = (workspace.root / "pkg/limits.py").read_bytes()
    assert now == text.replace(
        f"value > high:{ends}        return low", f"value > high:{ends}        return high"
    ).encode("latin-1")
    assert now.decode("latin-1").count(ends) == text.count(ends)


@pytest.mark.slow
def test_what_only_an_import_can_express(lab: Lab):
    files = {
        "pkg/__init__.py": "",
        "pkg/base.py": "STEP = 3\n",
        "pkg/limits.py": "from pkg.base import STEP\n\nTABLE = [n * STEP for n in range(3)]\n\n\ndef row(n):\n    return TABLE[n]\n",
        "tests/test_limits.py": "from pkg.limits import row\n\n\ndef test_row():\n    assert row(3) == 9\n\n\ndef test_two():\n    assert row(2) == 6\n",
        "conftest.py": "",
    }
    workspace, sandbox, baseline, ranking = lab(files)
    result, _ = drive(search(workspace, sandbox, baseline, ranking, BUDGET))
    assert any("range(4)" in patch.after or "range(3 + 1)" in patch.after for patch in result.patches)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("right", "wrong"),
    [("def clamp(value, low, high):", "def clamp(value, low, high)"), ("def helper(x):", "def helper(x=LOW):")],
)
def test_collection_errors_are_mended(lab: Lab, right: str, wrong: str):
    code = CODE.replace("        return low\n    return value", "        return high\n    return value")
    code = code.replace('"""Limits."""\n', '"""Limits."""\n\nLOWEST = 0\n') if "LOW" in wrong else code
    workspace, sandbox, baseline, ranking = lab({**FILES, "pkg/limits.py": code.replace(right, wrong)})
    assert baseline.goal == ("tests/test_limits.py",)
    result, _ = drive(search(workspace, sandbox, baseline, ranking, BUDGET))
    assert result.plausible


@pytest.mark.slow
def test_a_failure_that_needs_earlier_tests_is_tried_in_their_order(lab: Lab):
    files = {
        "bag.py": "class Bag:\n    def __init__(self, items=[]):\n        self.items = items\n\n    def add(self, item):\n        self.items.append(item)\n",
        "test_bag.py": "from bag import Bag\n\n\ndef test_add():\n    bag = Bag()\n    bag.add(1)\n    assert bag.items == [1]\n\n\ndef test_new():\n    assert Bag().items == []\n",
    }
    workspace, sandbox, baseline, ranking = lab(files)
    assert baseline.goal == ("test_bag.py::test_new",)
    result, _ = drive(search(workspace, sandbox, baseline, ranking, BUDGET))
    assert result.way == "fork"
    assert result.plausible


TWO_FAULTS = {
    "pkg/__init__.py": "",
    "pkg/limits.py": "def low(x):\n    return x - 1\n\n\ndef high(x):\n    return max(x, 10)\n",
    "tests/test_limits.py": "from pkg.limits import high, low\n\n\ndef test_a():\n    assert low(2) == 3\n\n\n"
    "def test_b():\n    assert high(50) == 'no such thing'\n\n\ndef test_c():\n    assert high(10) == 10\n",
    "conftest.py": "",
}


@pytest.mark.parametrize("plain", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_came_near_is_told_when_nothing_is_plausible(lab: Lab, plain: bool):
    workspace, sandbox, baseline, ranking = lab(TWO_FAULTS)
    ranking = replace(ranking, lines={"pkg/limits.py": {2: 1.0}}) if plain else ranking
    before = tree(workspace.root)
    result, _ = drive(search(workspace, sandbox, baseline, ranking, Budget(60, 60 if not plain else 12), plain=plain))
    assert (result.plausible, result.way) == (0, "plain" if plain else "fork")
    best = result.near[0]
    assert (best.mended, best.broken) == (("tests/test_limits.py::test_a",), ())
    assert "return x + 1" in best.patch.after
    assert len(result.near) <= 3
    assert tree(workspace.root) == before


@pytest.mark.slow
def test_an_edit_that_mends_all_and_breaks_little_came_near(lab: Lab):
    tests = "from pkg.limits import high\n\n\ndef test_a():\n    assert high(3) == 3\n\n\ndef test_b():\n    assert high(4) == 10\n\n\n"
    files = {**TWO_FAULTS, "tests/test_limits.py": tests}
    workspace, sandbox, baseline, ranking = lab(files)
    result, _ = drive(search(workspace, sandbox, baseline, ranking, Budget(60, 30)))
    assert result.plausible == 0
    assert ("tests/test_limits.py::test_a",) in [miss.mended for miss in result.near]
    assert all(miss.broken == ("tests/test_limits.py::test_b",) for miss in result.near)


@pytest.mark.slow
def test_nothing_to_find_ends_with_a_reason_and_an_unchanged_tree(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(
        {**FILES, "tests/test_limits.py": TESTS.replace("== 100", "== 'no such thing'")}
    )
    before = tree(workspace.root)
    result, _ = drive(search(workspace, sandbox, baseline, ranking, Budget(60, 50)))
    assert (result.plausible, result.patches) == (0, ())
    assert result.tried >= 50
    assert "50 candidates" in result.reason
    assert tree(workspace.root) == before


@pytest.mark.slow
def test_time_is_kept(lab: Lab):
    tests = TESTS.replace("    assert", "    time.sleep(0.2)\n    assert").replace("== 100", "== 'no'")
    workspace, sandbox, baseline, ranking = lab({**FILES, "tests/test_limits.py": f"import time\n{tests}"})
    result, _ = drive(search(workspace, sandbox, baseline, ranking, Budget(3.0)))
    assert "3 s" in result.reason  # hundreds of candidates at 0.2 s and more each: no machine tries them all
    assert result.tried > 0
    assert result.seconds < 30


@pytest.mark.slow
def test_test_files_are_never_edited(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(FILES)
    ranking = replace(
        ranking,
        lines={**ranking.lines, "tests/test_limits.py": {7: 1.0}},
        texts={**ranking.texts, "tests/test_limits.py": TESTS},
    )
    result, _ = drive(search(workspace, sandbox, baseline, ranking, Budget(60, 60)))
    assert {patch.file for patch in result.patches} <= {"pkg/limits.py"}


def test_without_suspects_it_ends_at_once(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(FILES, known={"tests/test_limits.py::test_clamp_wide": "failed"})
    result, _ = drive(search(workspace, sandbox, baseline, replace(ranking, lines={})))
    assert result.tried == 0
    assert "no suspicious place" in result.reason


@pytest.mark.slow
def test_closing_it_midway_leaves_no_process_and_an_unchanged_tree(lab: Lab):
    workspace, sandbox, baseline, ranking = lab(FILES)
    before = tree(workspace.root)
    for plain in (False, True):
        running = search(workspace, sandbox, baseline, ranking, BUDGET, plain=plain)
        for event in running:
            if isinstance(event, Progress | CandidateFound):
                break
        running.close()
        assert tree(workspace.root) == before
        assert processes_of(sandbox) == {}


@pytest.mark.slow
@pytest.mark.parametrize("noticed", ["by its silence", "by what it is given next"])
def test_a_server_that_dies_is_started_again(lab: Lab, noticed: str):
    workspace, sandbox, baseline, ranking = lab(FILES)
    running = search(workspace, sandbox, baseline, ranking, BUDGET)
    killed = 0
    result = None
    while result is None:
        try:
            event = next(running)
        except StopIteration as stop:
            result = stop.value
            break
        if isinstance(event, Progress) and event.done and not killed:
            killed = server_of(sandbox)
            kill(killed, wait=noticed == "by what it is given next")
    assert killed
    assert result.way == "fork"
    assert result.patches[0].after.count("return high") == 1


class StartsOnce:
    """A sandbox in which the first process starts, and no other."""

    def __init__(self, sandbox: Sandbox):
        self.scratch, self._sandbox, self._started = sandbox.scratch, sandbox, False

    def start(self, command: Sequence[str], **others: Any) -> Process:
        first, self._started = not self._started, True
        return self._sandbox.start(command if first else ["false"], **others)


def test_what_a_server_did_not_come_to_is_handed_on(lab: Lab):
    _, sandbox, baseline, _ = lab(FILES, known={"tests/test_limits.py::test_clamp_wide": "failed"})
    trial = ForkTrial(cast("Sandbox", StartsOnce(sandbox)), baseline, {"pkg/limits.py": CODE})
    candidate = Candidate("pkg/limits.py", 0, 0, "#", "a comment", 1, "", 0.5)
    trial.start()
    kill(server_of(sandbox), wait=True)
    with pytest.raises(ServerFailed):
        trial.submit(candidate)
    assert trial.unfinished() == [candidate]
    trial.close()


@pytest.mark.parametrize("when", ["before", "meanwhile", "gone"])
def test_the_plain_way_leaves_a_file_alone_that_somebody_has_saved(lab: Lab, when: str):
    workspace, sandbox, baseline, _ = lab(FILES, known={"tests/test_limits.py::test_clamp_wide": "failed"})
    path = workspace.root / "pkg/limits.py"
    start = CODE.index("low\n    return value")
    candidate = Candidate("pkg/limits.py", start, start + 3, "high", "what", 8, "clamp", 0.5)
    trial = PlainTrial(workspace, sandbox, baseline, {"pkg/limits.py": CODE})
    if when == "meanwhile":  # the test itself saves it
        saving = "import pathlib\n\n\ndef test_clamp_wide():\n    pathlib.Path('pkg/limits.py').write_text('# Mine.')\n    assert 0"
        (workspace.root / "tests/test_limits.py").write_text(saving)
    elif when == "before":
        path.write_text("# Mine.")
    else:
        path.unlink()
    trial.submit(candidate)
    assert trial.poll(0) == [(candidate, "goal_failed" if when == "meanwhile" else "invalid")]
    assert path.exists() == (when != "gone")
    assert when == "gone" or path.read_text() == "# Mine."


@pytest.mark.slow
def test_in_the_real_sandbox(lab: Lab):
    workspace, _, baseline, ranking = lab(FILES)
    with_rung = open_sandbox(workspace.root)
    try:
        result, _ = drive(search(workspace, with_rung, baseline, ranking, Budget(60, 100)))
    finally:
        with_rung.close()
    assert with_rung.rung != "none"
    assert result.way == "fork"
    assert "return high" in result.patches[0].after


def test_apply_refuses_a_file_that_has_changed(lab: Lab):
    workspace, *_ = lab(FILES, known={"tests/test_limits.py::test_clamp_wide": "failed"})
    patch = Patch("pkg/limits.py", CODE + "# old", CODE, "what", 0.5)
    with pytest.raises(ToolError, match="has changed since"):
        apply(workspace, patch)


def test_diff_of_a_file_without_an_end():
    patch = Patch("a.py", "x = 1\x0c\ny = 2", "x = 1\x0c\ny = 3", "number", 0.5)
    assert (
        patch.diff()
        == "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n x = 1\x0c\n-y = 2\n\\ No newline at end of file\n+y = 3\n\\ No newline at end of file\n"
    )
