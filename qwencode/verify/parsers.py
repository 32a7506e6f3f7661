"""Readers of what test runners print: TAP, JUnit XML, `go test -json`, `cargo test`, and our reporter for node.

Every reader takes any text and never raises: lines that are not of the format are passed over. Ids of two results that
would be the same are told apart by `#2`, `#3`, … in the order of the output.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

from qwencode.verify.results import Outcome, TestResult

_POINT = re.compile(r"^( {0,160})(not )?ok\b *(\d+)? *(- )? *(.*?)(?: +# +((?i:skip|todo))\S*(?: +(.*))?)?$")
_LOCATION = re.compile(r"^\s*location: '(.+?):(\d+):\d+'$", re.MULTILINE)
_NODE_FRAME = re.compile(r"^\s*at (?:.*\()?node:[\w/]+")
_GO_OUTCOMES: dict[str, Outcome] = {"pass": "passed", "fail": "failed", "skip": "skipped"}


@dataclass(slots=True)
class _Point:
    name: str
    outcome: Outcome
    depth: int
    details: list[str] = field(default_factory=list[str])
    children: list["_Point"] = field(default_factory=list["_Point"])


def parse_tap(text: str, root: Path = Path()) -> list[TestResult]:
    """Read the Test Anything Protocol, versions 12 to 14: nested subtests, its directives for tests that are skipped
    or not expected to pass yet, YAML details.

    A test with subtests counts by itself only when it fails although none of them does. Ids are `outer > inner`.
    """
    waiting: list[_Point] = []  # finished points whose parent has not come yet
    comments: list[str] = []
    block: _Point | None = None
    lines = text.splitlines()
    numbered = any(found[3] for found in map(_POINT.match, lines) if found)
    for line in lines:
        if block is not None:
            if line.strip() == "...":
                block = None
            else:
                block.details.append(line[block.depth + 2 :])
        elif line.strip() == "---" and waiting:
            block = waiting[-1]
        elif (found := _POINT.match(line)) and not (numbered and found[5] and not (found[3] or found[4])):
            indent, bad, _, _, name, directive, _ = found.groups()  # beside numbered points, "ok then" is no point
            outcome: Outcome = "skipped" if directive else "failed" if bad else "passed"
            point = _Point(re.sub(r"\\(.)", r"\1", name).strip() or "(unnamed)", outcome, len(indent))
            while waiting and waiting[-1].depth > point.depth:
                point.children.insert(0, waiting.pop())
            if bad and not point.children:
                point.details += comments
            comments = []
            waiting.append(point)
        elif line.lstrip().startswith("# ") and not line.lstrip().startswith("# Subtest"):
            comments.append(line.lstrip()[2:])
        elif line.startswith("Bail out!"):
            waiting.append(_Point("(bail out)", "error", 0, [line]))
    return _unique(result for point in waiting for result in _leaves(point, "", root))


def _leaves(point: _Point, above: str, root: Path) -> Iterable[TestResult]:
    name = f"{above} > {point.name}" if above else point.name
    children = [result for child in point.children for result in _leaves(child, name, root)]
    yield from children
    details = "\n".join(point.details).strip()
    failed = point.outcome in ("failed", "error")
    if not children or (failed and not any(child.bad for child in children)):
        place = _LOCATION.search(details)
        file, line = (_relative(place[1], root), place[2]) if place else ("", "")
        elapsed = re.search(r"^\s*duration_ms: ([\d.]+)$", details, re.MULTILINE)
        seconds = _number(elapsed[1]) / 1000 if elapsed else 0.0
        crash = f"{file}:{line}" if failed and file else ""
        yield TestResult(_relative(name, root), point.outcome, seconds, details if failed else "", file, crash)


def parse_node(text: str, root: Path) -> tuple[list[TestResult], bool, str]:
    """Read our reporter's lines: the results, whether the session ended by itself, and what the tests printed.

    Ids are `file > outer > inner`, files relative to the root.
    """
    results: list[TestResult] = []
    output: dict[str, list[str]] = {}
    finished = False
    for data in _json_lines(text):
        file = _relative(str(data.get("file", "")), root)
        match data:
            case {"event": "output", "text": str(printed)}:
                output.setdefault(file, []).append(printed)
            case {"event": "test", "name": [*path], "ok": bool(ok)}:
                names = [_relative(str(name), root) for name in path]
                test = " > ".join([file, *(name for name in names if name != file)] if file else names)
                bad = not ok and not data.get("skip")
                if data.get("suite") and (
                    ok or any(result.bad and result.id.startswith(f"{test} > ") for result in results)
                ):
                    continue
                message = str(data.get("message", "")) if bad else ""
                if bad and names == [file]:  # the file itself could not be run: what it printed says why
                    message += "\n" + "".join(output.get(file, ()))
                outcome: Outcome = "failed" if bad else "skipped" if data.get("skip") else "passed"
                crash = _javascript_crash(message, root) if bad else ""
                seconds = _number(data.get("milliseconds")) / 1000
                results.append(TestResult(test, outcome, seconds, _javascript_message(message, root), file, crash))
            case {"event": "finish"}:
                finished = True
            case _:
                pass
    return _unique(results), finished, "".join(piece for pieces in output.values() for piece in pieces)


def _javascript_crash(stack: str, root: Path) -> str:
    for path, line in re.findall(r"(?:\(|at |file://)(/[^():\n]+):(\d+)", stack):
        name = _relative(path, root)
        if not name.startswith("/") and "node_modules/" not in name:
            return f"{name}:{line}"
    return ""


def _javascript_message(message: str, root: Path) -> str:
    """Return a message without node's own frames, which tell nothing, and with paths relative to the root."""
    start = root.as_posix().rstrip("/") + "/"
    lines = [line for line in message.split("\n") if not _NODE_FRAME.match(line)]
    return "\n".join(lines).replace(f"file://{start}", "").replace(start, "")


def parse_junit(text: str, root: Path = Path()) -> list[TestResult]:
    """Read JUnit XML wherever it stands in the text. Ids are `classname::name`."""
    results: list[TestResult] = []
    for document in re.findall(r"<testsuites?\b.*?</testsuites?>\s*(?=\Z|[^<]|<\?xml|<testsuites?\b)", text, re.DOTALL):
        if "<!" in document.replace("<![CDATA[", ""):
            continue  # a document type or an entity: no test runner writes one, only an attack does
        try:
            tree = ElementTree.fromstring(document)
        except (ElementTree.ParseError, ValueError):
            continue
        for case in tree.iter("testcase"):
            parts = {child.tag: child for child in case}
            tag = next((tag for tag in ("error", "failure", "skipped") if tag in parts), "")
            outcomes: dict[str, Outcome] = {"error": "error", "failure": "failed", "skipped": "skipped", "": "passed"}
            told = parts.get(tag)
            message = "" if told is None else "\n".join(filter(None, (told.get("message"), told.text)))
            test = "::".join(filter(None, (case.get("classname"), case.get("name")))) or "(unnamed)"
            file = _relative(case.get("file", ""), root)
            results.append(TestResult(test, outcomes[tag], _number(case.get("time")), message.strip(), file))
    return _unique(results)


def parse_go(text: str) -> list[TestResult]:
    """Read `go test -json`. Ids are `package.Test`; a package that fails though none of its tests does (it cannot be
    built, or ends outside of a test) is an error with its own name.
    """
    printed: dict[str, list[str]] = {}
    results: dict[str, TestResult] = {}
    packages: dict[str, float] = {}
    owners: dict[str, str] = {}
    for data in _json_lines(text):
        package = str(data.get("Package") or str(data.get("ImportPath", "")).split(" ")[0])
        test = str(data.get("Test", ""))
        name = f"{package}.{test}" if test else package
        owners[name] = package
        action = str(data.get("Action", ""))
        if action in ("output", "build-output"):
            printed.setdefault(name, []).append(str(data.get("Output", "")))
        elif action in _GO_OUTCOMES and test:
            message = "".join(printed.get(name, ())) if action == "fail" else ""
            results[name] = TestResult(name, _GO_OUTCOMES[action], _number(data.get("Elapsed")), message)
        elif action == "fail" and package:
            packages[package] = _number(data.get("Elapsed"))
    for name, lines in printed.items():  # started, and neither passed nor failed: the process died in it
        prefix, dot, test = name.rpartition(".")
        if dot and test.startswith(("Test", "Fuzz", "Example")) and name not in results and prefix:
            results[name] = TestResult(name, "error", 0.0, "".join(lines))
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("{"))
    for package in re.findall(r"^FAIL\s+(\S+) \[(?:build|setup) failed\]", plain, re.MULTILINE):
        packages.setdefault(package, 0.0)
        printed.setdefault(package, [plain])
    told = {owners[name] for name, result in results.items() if result.bad}
    for package, seconds in packages.items():
        if package not in told:
            results[package] = TestResult(package, "error", seconds, "".join(printed.get(package, ())))
    return list(results.values())


def parse_cargo(text: str, root: Path = Path(), cwd: Path = Path()) -> list[TestResult]:
    """Read the text of `cargo test`, started in `cwd`. Ids are `target::test`, where a target is its source file, or
    `doc`. A target that did not come to its end is an error by its own name.

    Cargo prints that file relative to its crate, and crates of a workspace name theirs alike; what it built it tells
    in lines of JSON, where the file is whole.
    """
    built = {Path(str(data.get("executable"))).name: data.get("target") for data in _json_lines(text)}
    sources = {name: str(cast("dict[str, Any]", of)["src_path"]) for name, of in built.items() if _has_source(of)}
    targets: list[_Target] = []
    for line in text.splitlines():
        if found := re.match(r"\s+Running (?:unittests )?(\S+) \((.+)\)$", line):
            name = sources.get(Path(found[2]).name, found[1])
            targets.append(_Target(_relative(name, root) if name.startswith("/") else _located(name, root, cwd)))
        elif re.match(r"\s+Doc-tests ", line):
            targets.append(_Target("doc"))
        elif not line.startswith('{"reason":'):
            targets = targets or [_Target("", ended=True)]
            targets[-1].read(line)
    results = [result for target in targets for result in target.results(root, cwd)]
    if not results and (found := re.search(r"^error(?:\[|:)[\s\S]*could not compile[\s\S]*", text, re.MULTILINE)):
        results.append(TestResult("cargo build", "error", 0.0, found[0].strip()))
    return _unique(results)


def _has_source(target: object) -> bool:
    return isinstance(target, dict) and "src_path" in target


@dataclass(slots=True)
class _Target:
    """What one test binary of cargo printed, or the tests in the documentation of one crate."""

    name: str
    ended: bool = False
    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    messages: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    lines: list[str] = field(default_factory=list[str])
    current: str = ""

    def read(self, line: str) -> None:
        words: dict[str, Outcome] = {"ok": "passed", "FAILED": "failed", "ignored": "skipped"}
        self.lines.append(line)
        if found := re.match(r"test (.+?)(?: - should panic)? \.\.\. .*?(ok|FAILED|ignored)\b", line):
            self.outcomes[found[1]] = words[found[2]]
        elif found := re.match(r"---- (.+?) stdout ----$", line):
            self.current = found[1].removesuffix(" - should panic")
        elif line.startswith(("failures:", "test result:")):
            self.current = ""
            self.ended = self.ended or line.startswith("test result:")
        elif self.current:
            self.messages.setdefault(self.current, []).append(line)

    def results(self, root: Path, cwd: Path) -> Iterable[TestResult]:
        for test, outcome in self.outcomes.items():
            message = "\n".join(self.messages.get(test, ())).strip() if outcome == "failed" else ""
            name = re.sub(r" \(line \d+\)", "", test)  # an edit above a test of the documentation moves it
            file = test.split(" - ")[0] if self.name == "doc" else self.name
            file = _located(file, root, cwd) if self.name == "doc" else _module(file, name, root)
            yield TestResult(f"{self.name}::{name}", outcome, 0.0, message, file, _panic(message, root, cwd))
        if not self.ended:
            message = "\n".join(self.lines).strip()
            yield TestResult(self.name, "error", 0.0, message, self.name, _panic(message, root, cwd))


def _panic(message: str, root: Path, cwd: Path) -> str:
    found = re.search(r"panicked at (\S+?):(\d+):", message)
    place = _located(found[1], root, cwd) if found else ""
    return f"{place}:{found[2]}" if found and not place.startswith("/") else ""


def _located(name: str, root: Path, cwd: Path) -> str:
    """Return a path relative to the root that cargo tells relative to a crate or a workspace around `cwd`."""
    for folder in (cwd, *cwd.parents):
        if folder.is_relative_to(root) and os.path.isfile(folder / name):  # noqa: PTH113 (never raises)
            return _relative(f"{folder / name}", root)
    return name


def _module(file: str, test: str, root: Path) -> str:
    """Return the file that a test of Rust stands in, by the modules in its name."""
    parts = test.split("::")[:-1]
    for count in range(len(parts), 0, -1):
        path = Path(file).parent.joinpath(*parts[:count]).as_posix()
        for name in (f"{path}.rs", f"{path}/mod.rs"):
            if os.path.isfile(root / name):  # noqa: PTH113 (never raises)
                return name
    return file


def parse_any(text: str, root: Path) -> list[TestResult]:
    """Read whatever structure an unknown command printed: JUnit XML or TAP; empty where there is none."""
    if results := parse_junit(text, root):
        return results
    plan = re.search(r"^(TAP version \d+|\d+\.\.\d+)\s*$", text, re.MULTILINE)
    return parse_tap(text, root) if plan else []


def _json_lines(text: str) -> Iterable[dict[str, Any]]:
    for line in text.splitlines():
        if not line.startswith("{"):
            continue
        try:
            data: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(data, dict):
            yield cast("dict[str, Any]", data)


def _number(value: object) -> float:
    try:
        number = float(cast("str", value))
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if 0 <= number < 1e9 else 0.0


def _relative(name: str, root: Path) -> str:
    path = name.removeprefix("file://")
    start = root.as_posix().rstrip("/") + "/"
    return path.removeprefix(start) if root.is_absolute() and path.startswith(start) else name


def _unique(results: Iterable[TestResult]) -> list[TestResult]:
    seen: dict[str, int] = {}
    found: list[TestResult] = []
    for result in results:
        count = seen[result.id] = seen.get(result.id, 0) + 1
        found.append(result if count == 1 else replace(result, id=f"{result.id} #{count}"))
    return found
