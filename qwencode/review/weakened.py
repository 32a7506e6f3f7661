"""Tests that check less than before: gone, with fewer or emptier assertions, skipped, or allowed to fail.

Python's are compared by their syntax trees, those of other languages are counted. The whole change is looked at: what
moved or was renamed is no loss, nor is a test whose subject goes with it, nor one that others take the place of.
"""

import ast
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from qwencode.events import FindingReported
from qwencode.excerpt import listed
from qwencode.findings import Severity
from qwencode.languages import language_of, spoken_name
from qwencode.review.change import FileChange, hunks_of
from qwencode.review.test_shape import (
    Counts,
    FileShape,
    Helpers,
    TestShape,
    counts,
    fixtures_in,
    functions_in,
    parsed,
    python_shape,
)
from qwencode.verify.commands import is_python_test
from qwencode.verify.protected import is_test_path

_ALIKE = 0.6
_COMPARED_CHARS = 4_000
_MOST_COMPARED = 2_000  # pairs of tests: to look at more of them letter by letter would take too long
_NAMED = 3
_LET_FAIL = ("xfail", "expectedFailure")
_EQUAL = re.compile(r"^(?:assert (?P<bare>.+?) == .+|self\.assertEquals?\((?P<case>.+?), .+\))$", re.DOTALL)

_WEAK = (
    r"assert LEFT(?: (?:is not None|in .+|>=? .+|<=? .+|!= .+))?",
    r"assert isinstance\(LEFT, .+\)",
    r"self\.assert(?:True|IsNotNone|IsInstance|In|Greater\w*|Less\w*|NotEqual)\(LEFT(?:, .+)?\)",
)
"""What asks less of a value than equality."""
_RAISED = re.compile(r"(?:pytest\.raises|self\.assertRaises)\((\w+)")
_ANY_ERROR = re.compile(r"(?:Base)?Exception")


def weakened(files: Sequence[FileChange]) -> list[FindingReported]:
    """Find tests that check less than before. In a merge only what is so against every parent."""
    found = list(_against(files))
    for number in range(max((len(file.others) for file in files), default=0)):
        other = [_seen_from(file, number) for file in files]
        same = {(each.file, each.rule, each.what) for each in _against(other)}
        found = [each for each in found if (each.file, each.rule, each.what) in same]
    return found


def _seen_from(file: FileChange, number: int) -> FileChange:
    before = file.others[number] if number < len(file.others) else None
    return replace(file, before=before, before_path=file.path, hunks=tuple(hunks_of(before or "", file.after or "")))


def _against(files: Sequence[FileChange]) -> Iterator[FindingReported]:
    yield from _python(
        [file for file in files if language_of(file.path) == "python" or language_of(file.before_path) == "python"]
    )
    yield from _counted([file for file in files if is_test_path(file.path) or is_test_path(file.before_path)])


@dataclass(frozen=True, slots=True)
class _Pair:
    """A test file before and after."""

    file: FileChange
    before: FileShape
    after: FileShape


def _python(files: Sequence[FileChange]) -> Iterator[FindingReported]:
    pairs: list[_Pair] = []
    left, there = set[str](), set[str]()
    trees = [(file, was, now) for file in files if (was := parsed(file.before)) and (now := parsed(file.after))]
    known = [_known(side) for side in _sides(trees)]
    for file, *sides in trees:  # broken syntax is told by another check
        try:
            before, after = (python_shape(tree, *each) for tree, each in zip(sides, known, strict=True))
        except RecursionError:  # an expression of hundreds of parts, as programs write them
            continue
        left |= before.defined
        there |= after.defined
        if _is_test(file):
            collected = is_python_test(file.path) or not is_python_test(file.before_path)
            pairs.append(_Pair(file, before, after if collected else FileShape(defined=after.defined)))
    known = {name for pair in pairs for name in pair.before.tests}
    new = [test for pair in pairs for name, test in pair.after.tests.items() if name not in pair.before.tests]
    yield from _gone(pairs, new, left - there)
    for pair in pairs:
        for name, test in pair.after.tests.items():
            before = pair.before.tests.get(name) or _moved(name, pairs) if name in known else None
            if before is not None:
                yield from _weaker(pair.file, before, test)


_Tree = tuple[FileChange, ast.Module]


def _sides(trees: Sequence[tuple[FileChange, ast.Module, ast.Module]]) -> tuple[list[_Tree], list[_Tree]]:
    """Return the trees before and those after, of test files and what lies among them."""
    among = [each for each in trees if _is_test(each[0])]
    return [(file, before) for file, before, _ in among], [(file, after) for file, _, after in among]


def _known(side: Sequence[_Tree]) -> tuple[dict[tuple[str, str], ast.FunctionDef | ast.AsyncFunctionDef], Helpers]:
    """Return the functions that tests may import, and the fixtures that they may name."""
    files = [(spoken_name(file.path), tree) for file, tree in side]
    helpers = {(module, name): node for module, tree in files for name, node in functions_in(tree).items()}
    shared = [tree for file, tree in side if file.path.endswith("conftest.py")]
    return helpers, dict(pair for tree in shared for pair in fixtures_in(tree).items())


def _is_test(file: FileChange) -> bool:
    return is_python_test(file.path) or is_python_test(file.before_path) or is_test_path(file.path)


def _moved(name: str, pairs: Sequence[_Pair]) -> TestShape | None:
    return next((pair.before.tests[name] for pair in pairs if name in pair.before.tests), None)


def _gone(pairs: Sequence[_Pair], new: list[TestShape], left: set[str]) -> Iterator[FindingReported]:
    """Find tests that nothing takes the place of. `left`: names that the change takes out of the code."""
    there = {name for pair in pairs for name in pair.after.tests}
    for pair in pairs:
        missing = [
            test for name, test in pair.before.tests.items() if name not in pair.after.tests and name not in there
        ]
        kept: list[TestShape] = []
        for test in missing:
            near = len(missing) * len(new) <= _MOST_COMPARED
            twin = next((each for each in new if each.body == test.body or (near and _alike(each, test))), None)
            if twin is not None:
                new.remove(twin)
                if less := test.weight - twin.weight:
                    kept += [test] if less > 0 and twin.weight < test.weight / 2 else []
            elif not (test.names & left) and not test.marks:
                kept.append(test)
        spare = sum(test.weight for test in new if test.name in pair.after.tests)  # tests that were put in their place
        kept = kept if spare < sum(test.weight for test in kept) else []
        if kept:
            whole = len(kept) == len(pair.before.tests) and pair.file.after is None
            names = listed([test.name for test in kept], _NAMED)
            severity: Severity = "error" if len(kept) == len(pair.before.tests) else "warning"
            number = "1 test is" if len(kept) == 1 else f"{len(kept)} tests are"
            what = f"{number} gone, and nothing takes the place: {names}."
            line = 1 if whole else pair.file.nearest(kept[0].line)
            yield _finding(pair.file, line, severity, "test-removed", what)


def _alike(one: TestShape, other: TestShape) -> bool:
    """Say whether a test is another one under a new name."""
    matcher = difflib.SequenceMatcher(None, one.body[:_COMPARED_CHARS], other.body[:_COMPARED_CHARS])
    return matcher.real_quick_ratio() >= _ALIKE and matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE


def _weaker(file: FileChange, before: TestShape, after: TestShape) -> Iterator[FindingReported]:
    name = after.name
    line = after.line if after.line in file.added else _line_in(file, after)
    marks = [mark for mark in after.marks if mark not in before.marks]
    if marks:
        how = "may fail now" if marks[0] in _LET_FAIL else "is not run any more"
        yield _finding(file, line, "warning", "test-skipped", f"{name} {how} ({marks[0]}).")
    if len(after.hollow) > len(before.hollow):
        yield _finding(
            file, line, "error", "assert-hollow", f"{name} asserts what is always true: `{after.hollow[-1][:80]}`."
        )
    lost, won = before.asserts - after.asserts, after.asserts - before.asserts
    fewer = before.asserts.total() - after.asserts.total()
    if fewer > 0 and before.cases >= after.cases:
        severity: Severity = "error" if not after.asserts else "warning"
        rest = f"{before.asserts.total()} before, {after.asserts.total() or 'none'} now"
        what = f"{name} asserts less ({rest}), as `{next(iter(lost))[:80]}` is gone."
        yield _finding(file, line, severity, "assert-removed", what)
    elif after.cases < before.cases and fewer >= 0:
        what = f"{name} is run for fewer cases ({before.cases} before, {after.cases} now)."
        yield _finding(file, line, "warning", "cases-removed", what)
    elif said := _looser(lost, won):
        yield _finding(file, line, "warning", "assert-loosened", f"{name} {said}.")


def _line_in(file: FileChange, test: TestShape) -> int:
    """Return the changed line that is nearest below the start of a test."""
    below = [hunk.new.start for hunk in file.hunks if hunk.new.start >= test.line]
    inside = test.line + test.body.count("\n") + 1
    return below[0] if below and below[0] <= inside + 5 else file.nearest(test.line)


def _looser(lost: Mapping[str, int], won: Mapping[str, int]) -> str:
    """Say what became easier to hold: equality of a value that is only asked to be there now, any exception for one."""
    for old in lost:
        if match := _EQUAL.match(old):
            left = re.escape(match["bare"] or match["case"])
            weak = re.compile("|".join(form.replace("LEFT", left) for form in _WEAK), re.DOTALL)
            if new := next(filter(weak.fullmatch, won), ""):
                return f"asks for less: `{new[:80]}` in the place of `{old[:80]}`"
        raised = _RAISED.match(old)
        if raised and not _ANY_ERROR.fullmatch(raised[1]):
            wide = [new for new in won if (now := _RAISED.match(new)) and _ANY_ERROR.fullmatch(now[1])]
            if wide:
                return f"accepts any exception: `{wide[0][:80]}` in the place of `{old[:80]}`"
    return ""


def _counted(files: Sequence[FileChange]) -> Iterator[FindingReported]:
    """Compare the counts of all test files of a language, so that what moved from one to another is no loss."""
    groups: dict[str, list[tuple[FileChange, Counts, Counts]]] = {}
    for file in files:
        language = language_of(file.path) or language_of(file.before_path)
        before, after = counts(language, file.before), counts(language, file.after)
        if before is not None and after is not None and before.tests + after.tests + before.asserts:
            groups.setdefault(language, []).append((file, before, after))
    for group in groups.values():
        was = sum((before for _, before, _ in group), Counts())
        now = sum((after for _, _, after in group), Counts())
        for file, before, after in group:
            if before.tests and after.skips > before.skips and now.skips > was.skips:
                what = f"{_times(after.skips - before.skips)} more than before a test is skipped here."
                yield _finding(file, _skip_line(file), "warning", "test-skipped", what)
            if after.tests < before.tests and now.tests < was.tests:
                less = min(before.tests - after.tests, was.tests - now.tests)
                severity: Severity = "warning" if after.tests else "error"
                what = f"{less} {'test is' if less == 1 else 'tests are'} gone, and nothing takes the place."
                yield _finding(file, file.nearest(1), severity, "test-removed", what)
            elif after.asserts < before.asserts and now.asserts < was.asserts and after.tests <= before.tests:
                what = f"The tests assert less ({before.asserts} assertions before, {after.asserts} now)."
                severity = "warning" if after.asserts else "error"
                yield _finding(file, file.nearest(1), severity, "assert-removed", what)


def _times(number: int) -> str:
    return "Once" if number == 1 else f"{number} times"


def _skip_line(file: FileChange) -> int:
    lines = (file.after or "").split("\n")
    marked = [
        line
        for line in sorted(file.added)
        if re.search(r"(?i)skip|todo|ignore|disabled|pending|\bx(it|test|describe|context)\b", lines[line - 1])
    ]
    return marked[0] if marked else file.nearest(1)


def _finding(file: FileChange, line: int, severity: Severity, rule: str, what: str) -> FindingReported:
    suggestion = "Let the code meet the test, or say in the commit why the test was wrong."
    return FindingReported(file.path, line, severity, f"weakened/{rule}", what, suggestion)
