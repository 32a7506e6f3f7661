"""Runners other than Python's, run for real where they are installed."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from qwencode.sandbox.protocol import Completed
from qwencode.verify.commands import discover
from qwencode.verify.results import TestCommand
from qwencode.verify.runners import run, trim
from qwencode.workspace import Workspace

Make = Callable[..., Workspace]

NODE = {
    "test/a.test.js": """\
        const { test, describe, it } = require('node:test');
        const assert = require('node:assert');
        console.log('{"event":"finish"}');
        test('adds', () => { assert.equal(1 + 1, 2); });
        describe('suite (x)', () => {
          it('inner', () => {});
          it('bad', () => { assert.equal(1, 2); });
          it.skip('skipped', () => {});
          it.todo('later', () => { throw new Error('x'); });
        });
        """,
    "test/b.test.js": "require('node:test').test('adds', async (t) => { await t.test('sub', () => {}); });\n",
    "test/c.test.js": "syntax error here(\n",
}
NODE_RESULTS = {
    "test/a.test.js > adds": "passed",
    "test/a.test.js > suite (x) > inner": "passed",
    "test/a.test.js > suite (x) > bad": "failed",
    "test/a.test.js > suite (x) > skipped": "skipped",
    "test/a.test.js > suite (x) > later": "skipped",
    "test/b.test.js > adds > sub": "passed",
    "test/b.test.js > adds": "passed",
    "test/c.test.js": "failed",
}
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
needs_cargo = pytest.mark.skipif(not shutil.which("cargo"), reason="cargo is not installed")


@needs_node
@pytest.mark.parametrize("how", ["node --test", "npm test"])
def test_node(repo: Make, sandbox: Any, how: str):
    if how == "npm test" and not shutil.which("npm"):
        pytest.skip("npm is not installed")
    package = {"package.json": '{"scripts": {"test": "node --test"}}'} if how == "npm test" else {}
    command = discover(repo({**NODE, **package}))
    assert str(command) == how
    found = run(command, sandbox, seconds=60)
    assert found.status == "ran"
    assert {test: result.outcome for test, result in found.results.items()} == NODE_RESULTS
    bad = found.results["test/a.test.js > suite (x) > bad"]
    assert (bad.file, bad.crash) == ("test/a.test.js", "test/a.test.js:7")
    assert "1 == 2" in bad.message
    assert "SyntaxError" in found.results["test/c.test.js"].message
    if how == "node --test":
        some = run(command, sandbox, tests=["test/a.test.js > suite (x) > bad"], seconds=60)
        ran = {test: result.outcome for test, result in some.results.items() if result.outcome != "skipped"}
        assert ran == {"test/a.test.js > suite (x) > bad": "failed"}


@pytest.mark.slow
@needs_node
def test_node_that_ends_early_or_hangs(repo: Make, sandbox: Any):
    text = (
        "const { test } = require('node:test');\ntest('a', () => {});\ntest('b', () => { %s });\ntest('c', () => {});\n"
    )
    workspace = repo({"a.test.js": text % "process.exit(0)"})
    found = run(discover(workspace), sandbox, seconds=60)
    assert "a.test.js > c" not in found.passing, "a test that never ran has not passed"
    (workspace.root / "a.test.js").write_text(text % "while (true) {}")
    assert run(discover(workspace), sandbox, seconds=2).status == "timed_out"


@needs_cargo
@pytest.mark.slow
def test_cargo(repo: Make, sandbox: Any):
    files = {
        "Cargo.toml": '[package]\nname = "ctx"\nversion = "0.1.0"\nedition = "2021"\n',
        "src/lib.rs": """\
            pub fn add(a: i32, b: i32) -> i32 { a + b }
            #[cfg(test)]
            mod tests {
                use super::*;
                #[test] fn good() { assert_eq!(add(1, 2), 3) }
                #[test] fn bad() { assert_eq!(add(1, 2), 4) }
            }
            """,
        "tests/it.rs": "#[test] fn good() { assert!(ctx::add(1, 1) == 2) }\n",
    }
    workspace = repo(files)
    command = discover(workspace)
    found = run(command, sandbox, seconds=100)
    assert {test: result.outcome for test, result in found.results.items()} == {
        "src/lib.rs::tests::good": "passed",
        "src/lib.rs::tests::bad": "failed",
        "tests/it.rs::good": "passed",
    }
    assert found.results["src/lib.rs::tests::bad"].crash == "src/lib.rs:6"
    assert set(run(command, sandbox, tests=["src/lib.rs::tests::bad"], seconds=100).results) == {
        "src/lib.rs::tests::bad"
    }
    (workspace.root / "src/lib.rs").write_text("pub fn add() -> i32 { true }\n")
    assert run(command, sandbox, seconds=100).failing == ("cargo build",)


@needs_cargo
@pytest.mark.slow
def test_cargo_in_a_workspace_below_the_root(repo: Make, sandbox: Any):
    crate = '[package]\nname = "%s"\nversion = "0.1.0"\nedition = "2021"\n'
    lib = "/// ```\n/// assert!(true);\n/// ```\npub fn f() {}\nmod money;\n#[test] fn good() {}\n"
    files = {"rust/Cargo.toml": '[workspace]\nmembers = ["a", "b"]\nresolver = "2"\n'}
    for name in "ab":
        files |= {f"rust/{name}/Cargo.toml": crate % name, f"rust/{name}/src/lib.rs": lib}
        files[f"rust/{name}/src/money.rs"] = f"#[test] fn owed() {{ assert_eq!('a', '{name}') }}\n"
    files["rust/a/src/main.rs"] = "fn main() {}\n#[test] fn aborts() { std::process::abort() }\n"
    workspace = repo(files, start="rust")
    command = discover(workspace)
    found = run(command, sandbox, seconds=100)
    outcomes = {test: result.outcome for test, result in found.results.items()}
    assert (found.status, outcomes) == (
        "ran",
        {
            "rust/a/src/lib.rs::good": "passed",
            "rust/a/src/lib.rs::money::owed": "passed",
            "rust/a/src/main.rs": "error",
            "rust/b/src/lib.rs::good": "passed",
            "rust/b/src/lib.rs::money::owed": "failed",
            "doc::a/src/lib.rs - f": "passed",
            "doc::b/src/lib.rs - f": "passed",
        },
    )
    bad = found.results["rust/b/src/lib.rs::money::owed"]
    assert (bad.file, bad.crash) == ("rust/b/src/money.rs", "rust/b/src/money.rs:1")
    assert found.results["doc::b/src/lib.rs - f"].file == "rust/b/src/lib.rs"
    assert '"reason"' not in found.output
    for chosen in (["rust/b/src/lib.rs::money::owed"], ["rust/a/src/main.rs"], ["doc::a/src/lib.rs - f"]):
        assert list(run(command, sandbox, tests=chosen, seconds=100).results) == chosen


class Recorded:
    """A sandbox that answers with recorded output: for runners that are not installed here."""

    def __init__(self, scratch: Path, output: str, returncode: int = 1):
        self.scratch = scratch
        self.answer = Completed(returncode, output.encode(), 1.5)
        self.argv: Sequence[str] = ()

    def run(self, command: Sequence[str], **_: Any) -> Completed:
        self.argv = command
        return self.answer


def test_go(tmp_path: Path):
    text = '{"Action":"fail","Package":"x","Test":"TestA","Elapsed":0.1}\n'
    text += '{"Action":"pass","Package":"x","Test":"TestB"}\n'
    sandbox: Any = Recorded(tmp_path, text)
    command = TestCommand(("go", "test", "./..."), "go", "", tmp_path, arguments=("./...",))
    found = run(command, sandbox, tests=["x.TestA", "x.TestB/sub.case"], seconds=9)
    assert sandbox.argv == ("go", "test", "-json", "-run", "^(TestA|TestB)$", "./...")
    assert (found.status, found.failing, found.passing) == ("ran", ("x.TestA",), ("x.TestB",))


@pytest.mark.parametrize(
    ("runner", "text"),
    [
        ("go", '{"Action":"pass","Package":"x","Test":"TestA"}\nexit status 2\n'),
        ("cargo", "     Running tests/it.rs (it-1)\ntest good ... ok\ntest result: ok.\nerror: could not run\n"),
        ("node", '{"event":"test","name":["a"],"ok":true}\n{"event":"finish"}\nerror: no coverage\n'),
    ],
)
def test_an_exit_status_that_no_test_accounts_for(tmp_path: Path, runner: Any, text: str):
    command = TestCommand((runner, "test"), runner, "", tmp_path)
    sandbox: Any = Recorded(tmp_path, text)
    found = run(command, sandbox, seconds=9)
    assert (found.status, found.failing, len(found.passing)) == ("ran", (f"{runner} test",), 1)
    assert text.splitlines()[-1] in found.results[f"{runner} test"].message
    sandbox = Recorded(tmp_path, text, 0)
    assert run(command, sandbox, seconds=9).failing == ()


def test_go_that_does_not_start(tmp_path: Path):
    command = TestCommand(("go", "test"), "go", "", tmp_path)
    assert run(command, Recorded(tmp_path, "go: cannot find module", 1), seconds=9).status == "broken"  # pyright: ignore
    assert run(command, Recorded(tmp_path, "no such program", 127), seconds=9).status == "not_found"  # pyright: ignore
    assert run(command, Recorded(tmp_path, "", 0), seconds=9).status == "no_tests"  # pyright: ignore


def test_an_unknown_command_counts_by_its_exit_status(repo: Make, sandbox: Any):
    workspace = repo({"check.sh": "#!/bin/sh\necho looked; test -e good\n"})
    (workspace.root / "check.sh").chmod(0o755)
    command = discover(workspace, "./check.sh")
    found = run(command, sandbox, seconds=9)
    assert (found.status, found.failing) == ("ran", ("./check.sh",))
    assert "looked" in found.results["./check.sh"].message
    (workspace.root / "good").touch()
    assert run(command, sandbox, seconds=9).passing == ("./check.sh",)


def test_an_unknown_command_that_prints_tap(repo: Make, sandbox: Any):
    text = "test:\n\t@printf '1..2\\nok 1 - one\\nnot ok 2 - two\\n'; exit $(CODE)\n"
    workspace = repo({"Makefile": text})
    found = run(discover(workspace), sandbox, seconds=9, env={"CODE": "1"})
    assert {test: result.outcome for test, result in found.results.items()} == {"one": "passed", "two": "failed"}
    (workspace.root / "Makefile").write_text(text.replace("not ok", "ok"))
    found = run(discover(workspace), sandbox, seconds=9, env={"CODE": "1"})
    assert found.failing == ("make test",), "an exit status that no test accounts for"


def test_a_missing_interpreter(tmp_path: Path, sandbox: Any):
    command = TestCommand(("x", "-m", "pytest"), "pytest", "", tmp_path, "x", prefix=("/nonexistent/python",))
    found = run(command, sandbox, seconds=9)
    assert (found.status, dict(found.results)) == ("not_found", {})


def test_long_output_keeps_both_ends():
    text = "begin" + "x" * 100_000 + "end"
    cut = trim(text, 1_000)
    assert cut.startswith("begin")
    assert cut.endswith("end")
    assert "99,008 characters left out" in cut
    assert len(cut) < 1_100
    assert trim("short") == "short"
