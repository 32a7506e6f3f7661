"""Which failing tests have one cause: clusters of tests by where they fail and by what they run.

Failures of one fault tend to crash at one place, and to run the same lines that passing tests do not (failure
clustering: Podgurski et al., *Automated support for classifying software failure reports*, ICSE 2003; Jones, Bowring
and Harrold, *Debugging in parallel*, ISSTA 2007). One test may run far more than another that fails for the same
reason, so what counts is how much of the smaller one is in the larger one. Of the thirteen practice repositories, which
have one fault each, none is split so; by the share of both in common (Jaccard), six were.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from qwencode.errors import ToolError
from qwencode.repair.localise import FRAMES
from qwencode.verify.protected import is_test_path
from qwencode.verify.results import Baseline
from qwencode.workspace import Workspace

Line = tuple[str, int]
APART = 0.4
"""Mean distance, from 0 to 1, above which two groups are not joined."""
_COVERED = 200  # failing tests at most whose coverage is looked at: it may be many lines for each
_CLUSTERED = 120  # distinct failures compared with each other; further ones go to the group that is nearest
_RAISED = re.compile(r"^(?:E\s+)?(assert\b|(?:[\w.]+\.)?[A-Z]\w*(?=:|\s*$))(.*)", re.M)
_VOLATILE = re.compile(r"""'[^'\n]*'|"[^"\n]*"|0x[0-9a-fA-F]+|(?<!\w)/\S+|\d+(?:\.\d+)?""")
_ASSERTION = "AssertionError"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a failing test tells of its cause.

    `frames`: the repository's own lines in its traceback, tests left out, the innermost first. `kind`: the exception
    with its message, without what changes from case to case; '' when unknown. `lines`: what it ran outside of tests, to
    a weight: 1 for a line that no passing test ran, 1 / (1 + n) for one that n of them did.
    """

    frames: tuple[Line, ...] = ()
    kind: str = ""
    lines: Mapping[Line, float] = field(default_factory=dict[Line, float])


@dataclass(frozen=True, slots=True)
class Cause:
    """Failing tests that seem to fail for one reason, sorted. `where`: what they share, in words, or ''.

    `spread` is their mean distance, 0 to 1. `lines` are those that all of them ran, which is where a single cause must
    lie, unless it is a statement that runs at import; `places` is their weight, infinite when nothing is known.
    """

    tests: tuple[str, ...]
    where: str
    spread: float
    places: float
    lines: frozenset[Line] = frozenset()


def causes(evidence: Mapping[str, Evidence]) -> tuple[Cause, ...]:
    """Partition failing tests by cause, what is easiest to mend first.

    Easiest: few places to look at, which weighs more the further the tests lie apart; then the cause of more tests,
    since mending it shows most. The order in which tests are given makes no difference.
    """
    same: dict[tuple[object, ...], list[str]] = {}
    for test in sorted(evidence):
        found = evidence[test]
        same.setdefault((found.frames, found.kind, frozenset(found.lines)), []).append(test)
    firsts = [tests[0] for tests in same.values()]
    far = {pair: distance(evidence[pair[0]], evidence[pair[1]]) for pair in combinations(firsts[:_CLUSTERED], 2)}
    groups = _joined(firsts[:_CLUSTERED], far)
    for test in firsts[_CLUSTERED:]:
        near = [_mean([distance(evidence[test], evidence[other]) for other in group]) for group in groups]
        if min(near) <= APART:
            groups[near.index(min(near))].append(test)
        else:
            groups.append([test])
    whole = {tests[0]: tests for tests in same.values()}
    made = [_cause(group, [test for first in group for test in whole[first]], evidence) for group in groups]
    return tuple(sorted(made, key=lambda cause: (cause.places * (1 + cause.spread), -len(cause.tests), cause.tests)))


def independent(found: Sequence[Cause]) -> bool:
    """Say whether no line is known to be run by the tests of all causes, so that hardly one edit can mend them all."""
    return (
        len(found) > 1
        and all(cause.lines for cause in found)
        and not found[0].lines.intersection(*(cause.lines for cause in found[1:]))
    )


def distance(one: Evidence, other: Evidence) -> float:
    """Return how unlike two failures are, from 0 to 1: the mean of what is known of both.

    Where they crash counts when both crashed outside of tests. What they ran counts when it is known of both: the
    weight that they share, as a part of that of the one that ran less. When neither is known, only the kind of failure
    is left.
    """
    known: list[float] = []
    if one.frames and other.frames:
        shared, either = {*one.frames} & {*other.frames}, {*one.frames} | {*other.frames}
        at_one_place = one.frames[0] == other.frames[0]
        known.append((0.0 if one.kind == other.kind else 0.5) if at_one_place else 1 - len(shared) / len(either) / 2)
    if one.lines and other.lines:
        shared = sum(one.lines[line] for line in sorted(one.lines.keys() & other.lines.keys()))
        smaller = min(sum(each[line] for line in sorted(each)) for each in (one.lines, other.lines))
        known.append(min(1.0, max(0.0, 1 - shared / smaller)))
    return _mean(known) if known else float(one.kind != other.kind)


def evidence(baseline: Baseline, workspace: Workspace) -> dict[str, Evidence]:
    """Return what the goal tests of a baseline tell. Where they are very many, where they crash has to do."""
    covered = len(baseline.goal) <= _COVERED
    passing: dict[Line, int] = {}
    for test in baseline.run.passing if covered else ():
        for line in _ran(baseline, test):
            passing[line] = passing.get(line, 0) + 1
    found: dict[str, Evidence] = {}
    for test in baseline.goal:
        result = baseline.run.results[test]
        lines = {line: 1 / (1 + passing.get(line, 0)) for line in _ran(baseline, test)} if covered else {}
        frames = _frames(result.message, workspace) or _crash(result.crash)
        found[test] = Evidence(frames, kind(result.message), lines)
    return found


def kind(message: str) -> str:
    """Return the exception that a failure ended with and its message, both without what is volatile; '' if unknown.

    An assertion is that and no more: what it compared is another thing in every test.
    """
    raised = [match for match in _RAISED.finditer(message)]
    if not raised:
        return ""
    name, text = raised[-1].groups()
    if any(match[1] in ("assert", _ASSERTION) for match in raised):
        return _ASSERTION
    return _VOLATILE.sub("*", f"{name}{text}".strip())[:200]


def _ran(baseline: Baseline, test: str) -> list[Line]:
    covered = baseline.run.coverage.get(test, {})
    own = [file for file in covered if file not in baseline.protected and not is_test_path(file)]
    return [(file, line) for file in own for line in covered[file]]


def _frames(message: str, workspace: Workspace) -> tuple[Line, ...]:
    hits = sorted((m.start(), m.group(1), int(m.group(2))) for pattern in FRAMES for m in pattern.finditer(message))
    found: dict[Line, None] = {}
    for _, name, line in reversed(hits):
        try:
            file = workspace.relative(workspace.resolve(name))
        except ToolError:
            continue
        if not is_test_path(file) and (workspace.root / file).is_file():
            found[file, line] = None
    return tuple(found)


def _crash(place: str) -> tuple[Line, ...]:
    """Return where a runner says that a test failed: all there is for languages other than Python."""
    file, _, line = place.rpartition(":")
    return ((file, int(line)),) if file and line.isdecimal() and not is_test_path(file) else ()


def _joined(tests: Sequence[str], far: Mapping[tuple[str, str], float]) -> list[list[str]]:
    """Join the two groups that are nearest on average, the first ones on a tie, until none are near enough."""
    groups = [[test] for test in tests]
    between = {(i, j): far[tests[i], tests[j]] for i, j in combinations(range(len(tests)), 2)}
    while between:
        (i, j), least = min(between.items(), key=lambda item: (item[1], item[0]))
        if least > APART:
            break
        for k in range(len(groups)):
            if k not in (i, j) and (to_i := (min(i, k), max(i, k))) in between:
                to_j = between.pop((min(j, k), max(j, k)))
                size_i, size_j = len(groups[i]), len(groups[j])
                between[to_i] = (size_i * between[to_i] + size_j * to_j) / (size_i + size_j)
        del between[i, j]
        groups[i] += groups[j]
        groups[j] = []
    return [group for group in groups if group]


def _cause(firsts: Sequence[str], tests: Sequence[str], known: Mapping[str, Evidence]) -> Cause:
    first = known[firsts[0]]
    shared = set(first.lines).intersection(*(known[test].lines for test in firsts))
    weight = sum(first.lines[line] for line in sorted(shared))
    frames = {known[test].frames[:1] for test in firsts}
    kinds = {known[test].kind for test in firsts}
    at = f"{first.frames[0][0]}:{first.frames[0][1]}" if len(frames) == 1 and first.frames else ""
    where = " at ".join(filter(None, [first.kind if len(kinds) == 1 else "", at]))
    spread = _mean([distance(known[one], known[other]) for one, other in combinations(sorted(firsts), 2)])
    places = weight or (float(len(first.frames)) if first.frames else math.inf)
    return Cause(tuple(sorted(tests)), where, spread, places, frozenset(shared))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
