"""Runs tests inside the sandbox and reads what they did.

Python tests are watched by the probe, which is copied into the sandbox's scratch directory for every run; node gets a
reporter of ours; the others are read by what they print. Runs are made repeatable where that costs nothing: fixed
seeds for hashes and hypothesis, no parallel workers, no cache of earlier runs, no bytecode caches of the repository.
"""

import hmac
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qwencode.sandbox.protocol import Completed, Limits, Sandbox
from qwencode.verify import parsers
from qwencode.verify.commands import npm_script
from qwencode.verify.results import COLLECTION, Status, TestCommand, TestResult, TestRun

OUTPUT_CHARACTERS = 16_000
OUTPUT_BYTES = 32_000_000
PYTHON_MEMORY = 8 << 30  # address space; numerical libraries reserve far more than they use
STILL_RUNNING = "Still running when the time was up"
PROCESS_ENDED = "The test process ended"
_FREE = ("npm", "make", "custom")  # what these print is not known to be JSON
_PROBE = ("inside_probe.py", "inside_pytest.py", "inside_unittest.py")
_TAKES_VALUE = {
    *("-c", "-k", "-m", "-p", "-o", "-r", "-W", "-n", "--rootdir", "--confcutdir", "--ignore", "--deselect"),
    *("--basetemp", "--junitxml", "--junit-xml", "--cov", "--cov-config", "--import-mode", "--durations"),
}


def run(
    command: TestCommand,
    sandbox: Sandbox,
    *,
    tests: Sequence[str] = (),
    seconds: float,
    coverage: bool = False,
    env: Mapping[str, str] | None = None,
) -> TestRun:
    """Run the tests to the end or for `seconds` at most.

    `tests` are ids of earlier results (for pytest also files, directories and `file::name`); runners that cannot
    choose (npm, make, an unknown command) run everything. `coverage` asks for the executed lines of each test, which
    pytest and unittest can give. `env` is added to the sandbox's environment. Never raises for what the tests do.
    """
    root = command.root if command.root != Path() else command.cwd
    if str(command) in tests or COLLECTION in tests:
        tests = ()
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=sandbox.scratch))
    try:
        plan = _plan(command, root, folder, tests, seconds, coverage)
        python = command.runner in ("pytest", "unittest")
        limits = Limits(seconds, OUTPUT_BYTES, memory_bytes=PYTHON_MEMORY if python else 0)
        done = sandbox.run(plan.argv, cwd=command.cwd, limits=limits, env={**plan.env, **(env or {})})
        records = _records(folder / "log", plan.key)
        if records is None and not python:
            return _from_output(command, root, done, tests)
        found = _from_probe(records or [], done, _text(folder / "log.stacks"))
        if not python:
            return _by_exit_status(found, command, done)
        if not found.results and (reason := _broken_conftest(done.text, root, command.cwd)):
            return replace(found, status="ran", results={COLLECTION: reason})
        ended = [record["status"] for record in records or [] if record["event"] == "finish"]
        return _accounted(found, command, done, found.status == "ran" and ended == [1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def trim(text: str, characters: int = OUTPUT_CHARACTERS) -> str:
    """Cut the middle out of a long text and say so: how a run begins and how it ends matter most."""
    if len(text) <= characters:
        return text
    head, tail = characters // 4, characters - characters // 4
    return f"{text[:head]}\n[... {len(text) - characters:,} characters left out ...]\n{text[-tail:]}"


@dataclass(frozen=True, slots=True)
class _Plan:
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict[str, str])
    key: str = ""


def _plan(
    command: TestCommand, root: Path, folder: Path, tests: Sequence[str], seconds: float, coverage: bool
) -> _Plan:
    """Turn the user's command into one that writes down results."""
    node = f"--test-reporter={folder / 'inside_node.mjs'}"
    match command.runner:
        case "pytest" | "unittest":
            return _probe(command, root, folder, tests, seconds, coverage)
        case "node":
            at = len(command.argv) - len(command.arguments)
            shutil.copy(Path(__file__).with_name("inside_node.mjs"), folder)
            tests = tests if all(" > " in test for test in tests) else ()  # a file as a whole has no name for a pattern
            patterns = [f"--test-name-pattern={pattern}" for pattern in _node_patterns(tests)]
            files = command.arguments or tuple(dict.fromkeys(test.split(" > ")[0] for test in tests if " > " in test))
            return _Plan((*command.argv[:at], node, *patterns, *files))
        case "npm" if re.match(r"node (--[\w=-]+ )*--test\b", npm_script(command.cwd)):
            shutil.copy(Path(__file__).with_name("inside_node.mjs"), folder)
            return _Plan(command.argv, {"NODE_OPTIONS": f"{os.environ.get('NODE_OPTIONS', '')} {node}".strip()})
        case "go":
            at = len(command.argv) - len(command.arguments)
            names = sorted(
                {found[1] for test in tests if (found := re.search(r"\.((?:Test|Fuzz|Example)[^/.]*)", test))}
            )
            chosen = ("-run", f"^({'|'.join(map(re.escape, names))})$") if names else ()
            return _Plan((*command.argv[:at], "-json", *chosen, *command.arguments))
        case "cargo":
            return _Plan(_cargo(command, tests), {"CARGO_NET_OFFLINE": "true"})
        case _:
            plan = _probe(command, root, folder, (), seconds, coverage)
            options = f"-p qwencode_inside_probe -o cache_dir={folder / 'cache'}"
            addopts = f"{os.environ.get('PYTEST_ADDOPTS', '')} {options}".strip()
            path = ":".join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
            return replace(plan, argv=command.argv, env={**plan.env, "PYTEST_ADDOPTS": addopts, "PYTHONPATH": path})


def _cargo(command: TestCommand, tests: Sequence[str]) -> tuple[str, ...]:
    """Return the command that tells what it built, and runs on after a failure; of the tests those that are chosen."""
    at = len(command.argv) - len(command.arguments)
    own = [word for word in command.arguments if word not in ("-q", "--quiet", "--no-fail-fast")]
    end = own.index("--") if "--" in own else len(own)
    names = [re.sub(r" #\d+$", "", test.split("::", 1)[1]) for test in tests if "::" in test]
    if len(names) < len(tests):  # a target or a build as a whole
        names = []
    exact = ["--exact"] if names and not any(test.startswith("doc::") for test in tests) else []
    options = ("--message-format=json-render-diagnostics", "--no-fail-fast")
    return (*command.argv[:at], *own[:end], *options, "--", *own[end + 1 :], *exact, *names)


def _probe(
    command: TestCommand, root: Path, folder: Path, tests: Sequence[str], seconds: float, coverage: bool
) -> _Plan:
    """Lay the probe and its settings into the folder. The key is known to this process and to the probe alone."""
    key = secrets.token_hex(32)
    for name in _PROBE:
        shutil.copy(Path(__file__).with_name(name), folder / (f"qwencode_{name}" if name == _PROBE[0] else name))
    arguments = list(command.arguments)
    if command.runner == "pytest":
        options = ["-o", f"cache_dir={folder / 'cache'}"]
        arguments = [*options, *(_without_paths(arguments, command.cwd) if tests else arguments)]
        arguments += [_argument(test, root, command.cwd) for test in tests]
    settings: dict[str, Any] = {
        "log": str(folder / "log"),
        "key": key,
        "root": str(root),
        "coverage": coverage,
        "deadline": time.time() + seconds * 0.95 - 0.5,
        "args": arguments,
        "only": list(tests) if command.runner == "unittest" else [],
        "cwd_on_path": command.as_module,
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    argv = (*command.prefix, str(folder / f"qwencode_{_PROBE[0]}"), command.runner)
    env = {
        "QWENCODE_PROBE": str(folder / "settings.json"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
    }
    return _Plan(argv, env, key)


def _argument(test: str, root: Path, cwd: Path) -> str:
    """Return an id, relative to the repository, as pytest takes it: relative to where it is started."""
    file, colons, rest = test.partition("::")
    path = os.path.relpath(root / file, cwd)
    return (f"./{path}" if path.startswith("-") else path) + colons + rest  # a name is no option


def _without_paths(arguments: Sequence[str], cwd: Path) -> list[str]:
    """Leave out the files and directories of the user's own command: others were chosen."""
    kept: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        if word.startswith("-") or before in _TAKES_VALUE or not (cwd / word.split("::")[0]).exists():
            kept.append(word)
    return kept


def _node_patterns(tests: Sequence[str]) -> list[str]:
    """Return one pattern for each name on the way to each test, which node matches against every level by itself."""
    names = dict.fromkeys(name for test in tests for name in test.split(" > ")[1:])
    special = re.compile(r"([.*+?^${}()|\[\]\\/])")
    return ["^" + special.sub(r"\\\1", name) + "$" for name in names]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _records(path: Path, key: str) -> list[dict[str, Any]] | None:
    """Read the probe's log; None when there is none. It ends before the first line that the probe did not write."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return None
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines[:-1]):
        tag, _, text = line.partition(b" ")
        right = hmac.new(key.encode(), b"%d %s" % (number, text), "sha256").hexdigest().encode()
        if not hmac.compare_digest(tag, right):
            return [record for record in records if record["event"] != "finish"]
        records.append(json.loads(text))
    return records


def _from_probe(records: Sequence[Mapping[str, Any]], done: Completed, stacks: str) -> TestRun:
    results: dict[str, TestResult] = {}
    coverage: dict[str, Mapping[str, frozenset[int]]] = {}
    begun: dict[str, str] = {}
    collected: list[str] = []
    finish: Mapping[str, Any] | None = None
    for record in records:
        match record["event"]:
            case "collected":
                collected = record["ids"]
            case "begin":
                begun[record["id"]] = record["file"]
            case "end":
                begun.pop(record["id"], None)
                result = _result(record)
                known = results.get(result.id)
                results[result.id] = known if known is not None and known.bad else result
                if "coverage" in record:
                    coverage[result.id] = {file: frozenset(lines) for file, lines in record["coverage"].items()}
            case "finish":
                finish = record
            case _:
                pass
    output = trim(done.text)
    for test, file in begun.items():
        results[test] = TestResult(test, "error", 0.0, _ended(done, stacks, output), file)
    status: Status = _status(finish, done, bool(results))
    unfinished = () if status == "ran" else tuple(test for test in collected if test not in results)
    replaced = tuple(finish["replaced"]) if finish else ()
    return TestRun(status, results, output, done.seconds, coverage, unfinished, replaced)


def _result(record: Mapping[str, Any]) -> TestResult:
    names = ("id", "outcome", "seconds", "message", "file", "crash")
    return TestResult(**{name: record[name] for name in names})


def _status(finish: Mapping[str, Any] | None, done: Completed, any_result: bool) -> Status:
    """Tell how a run ended. Exit statuses of pytest: 0 and 1 ran, 2 to 4 interrupted, internal, usage, 5 no tests."""
    if finish is not None:
        if finish["status"] in (0, 1) and any_result:
            return "ran"
        return "no_tests" if finish["status"] in (0, 5) else "broken"
    if done.timed_out:
        return "timed_out"
    return "not_found" if done.returncode == 127 and not any_result else "broken"


def _ended(done: Completed, stacks: str, output: str) -> str:
    if done.timed_out:
        return f"{STILL_RUNNING}, after {done.seconds:.0f} s.\n{trim(stacks, 6_000)}".strip()
    if done.truncated:
        return f"{PROCESS_ENDED}: it printed without end while this test ran.\n{output[-2_000:]}"
    return f"{PROCESS_ENDED} (exit status {done.returncode}) while this test ran.\n{output[-4_000:]}"


def _from_output(command: TestCommand, root: Path, done: Completed, tests: Sequence[str]) -> TestRun:
    """Read the results of a runner that is not Python's out of what it printed."""
    text, finished = done.text, True
    if '{"event":"finish"}' in text or '{"event":"test"' in text:
        results, finished, text = parsers.parse_node(text, root)
    elif command.runner == "go":
        results = parsers.parse_go(text)
    elif command.runner == "cargo":
        results = parsers.parse_cargo(text, root, command.cwd)
        text = re.sub(r'^\{"reason":.*\n', "", text, flags=re.MULTILINE)
    else:
        results = parsers.parse_any(text, root)
    status: Status = "timed_out" if done.timed_out else "ran" if finished and not done.truncated else "broken"
    results = [_told(result, done) for result in results]
    if command.runner in ("go", "cargo", "node") and not results and not done.timed_out:
        status = "not_found" if done.returncode == 127 else "broken" if done.returncode else "no_tests"
        return TestRun(status, {}, trim(text), done.seconds)
    found = TestRun(status, {result.id: result for result in results}, trim(text), done.seconds)
    return _narrowed(_by_exit_status(found, command, done), command, tests)


def _told(result: TestResult, done: Completed) -> TestResult:
    message = trim(result.message, 8_000)
    if done.timed_out and result.outcome == "error":
        message = f"{STILL_RUNNING}.\n{message}"
    return replace(result, message=message)


def _narrowed(found: TestRun, command: TestCommand, tests: Sequence[str]) -> TestRun:
    """Leave out what a runner ran beside the tests that were chosen."""
    if command.runner not in ("node", "cargo"):
        return found
    starts = tuple(f"{test}{between}" for test in tests for between in ("::", " > "))
    chosen = {test: result for test, result in found.results.items() if test in tests or test.startswith(starts)}
    return replace(found, results=chosen or found.results)


def _by_exit_status(found: TestRun, command: TestCommand, done: Completed) -> TestRun:
    if done.returncode == 127 and not found.results:
        return replace(found, status="not_found")
    status: Status = "timed_out" if done.timed_out else "broken" if done.truncated else "ran"
    status = found.status if found.status in ("broken", "timed_out") else status
    return _accounted(replace(found, status=status), command, done, done.returncode != 0 or done.timed_out)


def _accounted(found: TestRun, command: TestCommand, done: Completed, bad: bool) -> TestRun:
    """Let the exit status of a whole command count as a test of its own, unless its tests account for it."""
    found = replace(found, whole=str(command))
    python = command.runner in ("pytest", "unittest")
    if (found.results or python) and not (bad and not found.failing):
        return found
    message = "\n".join(line for line in done.text.split("\n") if command.runner in _FREE or not line.startswith('{"'))
    message = trim(message, 8_000) if bad else ""
    whole = TestResult(found.whole, "failed" if bad else "passed", done.seconds, message)
    return replace(found, results={**found.results, whole.id: whole})


def _broken_conftest(text: str, root: Path, cwd: Path) -> TestResult | None:
    """Return what keeps pytest from loading a conftest.py, where the fault is in the repository's own sources.

    pytest calls that a wrong usage, and ends before anything is collected.
    """
    said = re.search(r"^ImportError while loading conftest '[^\n]+'\.\n[\s\S]*", text, re.MULTILINE)
    if said is None:
        return None
    named = re.compile(
        r"^([^\s:][^:\n]*\.py):(\d+): in |^E .*?File \"([^\"]+)\", line (\d+)|^E .*\((/[^()\n]+\.py)\)$", re.M
    )
    for found in reversed(list(named.finditer(said[0]))):
        path = Path(os.path.normpath(cwd / (found[1] or found[3] or found[5])))
        if path.is_relative_to(root) and path.name != "conftest.py" and "site-packages" not in path.parts:
            crash = f"{path.relative_to(root).as_posix()}:{found[2] or found[4] or 1}"
            return TestResult(COLLECTION, "error", 0.0, trim(said[0].strip(), 8_000), "", crash)
    return None
