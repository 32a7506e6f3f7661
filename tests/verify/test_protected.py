"""What is protected, and what stays free to be mended."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.verify.protected import awareness, differences, fingerprints, path_of, volatile
from qwencode.verify.results import TestCommand, TestResult
from qwencode.workspace import Workspace

Make = Callable[..., Workspace]


def command(workspace: Workspace, *argv: str, runner: str = "pytest") -> TestCommand:
    return TestCommand(argv or (sys.executable, "-m", "pytest"), runner, "", workspace.root)  # pyright: ignore


def changed(
    workspace: Workspace, edit: Callable[[Path], object], *argv: str, runner: str = "pytest"
) -> tuple[str, ...]:
    """Return what counts as touched by an edit."""
    chosen = command(workspace, *argv, runner=runner)
    before = fingerprints(workspace, chosen, ())
    edit(workspace.root)
    return differences(before, fingerprints(workspace, chosen, ()))


WHOLE = [
    *("test_a.py", "src/pkg/a_test.py", "conftest.py", "deep/down/conftest.py", "pytest.ini", "tox.ini", "noxfile.py"),
    *("tests/data/input.json", "test/helper.js", "spec/a.rb", "a.test.ts", "src/a.spec.jsx", "a_test.go"),
    *("jest.config.mjs", ".mocharc.json", "ATest.java", "testdata/golden.txt", "src/__snapshots__/a.snap"),
    *("sitecustomize.py", "pytest.py", "unittest.py", "pluggy.py", "src/money/tests.rs", ".cargo/config.toml"),
]
FREE = ["src/a.py", "README.md", "contest.py", "src/latest.py", "testing/a.py", "Makefile", "latest.go", "spec.md"]


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files(repo: Make, name: str):
    assert changed(repo({name: "old\n"}), lambda root: (root / name).write_text("new\n")) == (name,)


@pytest.mark.parametrize("name", WHOLE)
def test_new_and_removed_files(repo: Make, name: str):
    workspace = repo({"a.py": ""})
    (workspace.root / name).parent.mkdir(parents=True, exist_ok=True)
    assert changed(workspace, lambda root: (root / name).write_text("new\n")) == (name,)
    assert changed(workspace, lambda root: (root / name).unlink()) == (name,)


@pytest.mark.parametrize("name", FREE)
def test_free_files(repo: Make, name: str):
    workspace = repo({name: "old\n", "test_a.py": ""})
    assert changed(workspace, lambda root: (root / name).write_text("new\n")) == ()


def test_files_that_the_command_names(repo: Make):
    workspace = repo({"run.sh": "old", "Makefile": "test:\n", "checks.py": "old"})
    edit: Callable[[Path], object] = lambda root: (root / "run.sh").write_text(os.urandom(4).hex())  # noqa: E731
    assert changed(workspace, edit, "./run.sh", "all", runner="custom") == ("run.sh",)
    assert changed(workspace, edit, "sh", "-c", "true && ./run.sh; true", runner="custom") == ("run.sh",)
    assert changed(workspace, edit) == ()
    edit = lambda root: (root / "checks.py").write_text(os.urandom(4).hex())  # noqa: E731
    assert changed(workspace, edit, "pytest", "checks.py::test_a") == ("checks.py",)
    edit = lambda root: (root / "Makefile").write_text(os.urandom(4).hex())  # noqa: E731
    assert changed(workspace, edit, "make", "test", runner="make") == ("Makefile",)


PARTS = [
    ("pyproject.toml", "[project]\nname='a'\n[tool.pytest.ini_options]\naddopts='-q'\n", ("'a'", "'b'"), ("-q", "-x")),
    ("setup.cfg", "[metadata]\nname = a\n[tool:pytest]\naddopts = -q\n", ("= a", "= b"), ("-q", "-x")),
    ("package.json", '{"name": "a", "scripts": {"test": "node --test"}}', ('"a"', '"b"'), ("--test", "-e 0")),
    ("Cargo.toml", '[package]\nname = "a"\n[lib]\ntest = true\n', ('"a"', '"b"'), ("true", "false")),
]


@pytest.mark.parametrize(("name", "text", "free", "bound"), PARTS, ids=[part[0] for part in PARTS])
def test_parts_of_shared_files(repo: Make, name: str, text: str, free: tuple[str, str], bound: tuple[str, str]):
    workspace = repo({name: text})
    path = workspace.root / name
    assert changed(workspace, lambda _: path.write_text(text.replace(*free))) == ()
    assert changed(workspace, lambda _: path.write_text(path.read_text().replace(*bound))) == (
        f"{name}::test settings",
    )
    path.write_text(text)
    assert changed(workspace, lambda _: path.write_text("{[ broken")) == (f"{name}::test settings",)


def test_formatting_of_settings_is_free(repo: Make):
    workspace = repo({"package.json": '{"scripts":{"test":"node --test"},"name":"a"}'})
    text = '{\n  "name": "a",\n  "scripts": { "test": "node --test" }\n}\n'
    assert changed(workspace, lambda root: (root / "package.json").write_text(text)) == ()


def test_a_virtual_environment_in_the_repository(repo: Make):
    workspace = repo({".gitignore": ".venv\n", ".venv/lib/python3.12/site-packages/_pytest/runner.py": "x = 1\n"})
    packages = workspace.root / ".venv/lib/python3.12/site-packages"
    assert changed(workspace, lambda _: (packages / "_pytest/runner.py").write_text("x = 22\n")) == (
        ".venv::installed packages",
    )
    assert changed(workspace, lambda _: (packages / "cheat.pth").write_text("import os\n")) != ()
    (packages / "__pycache__").mkdir()
    assert changed(workspace, lambda _: (packages / "__pycache__/runner.pyc").write_text("x")) == ()


def test_tests_inside_source_files(repo: Make):
    text = 'def add(a):\n    """>>> add(1)\n    2\n    """\n    return a\n\n\ndef test_add():\n    assert add(1) == 2\n'
    text += "\n\nclass Base:\n    def test_b(self):\n        assert 1 == 2\n\n\nclass TestB(Base):\n    pass\n"
    workspace = repo({"one.py": text})
    results = [
        TestResult("one.py::test_add", "failed", file="one.py"),
        TestResult("one.py::TestB::test_b", "failed", file="one.py"),
    ]

    def look() -> dict[str, str]:
        return fingerprints(workspace, command(workspace), results)

    before = look()
    (workspace.root / "one.py").write_text(text.replace("return a", "return a + 1"))
    assert differences(before, look()) == ()
    for old, new in (("add(1) == 2", "add(1) == 1"), ("    2\n", "    1\n"), ("1 == 2", "1 == 1")):
        (workspace.root / "one.py").write_text(text.replace(old, new))
        assert differences(before, look()) == ("one.py::tests in it",)


@pytest.mark.parametrize(("runner", "name"), [("unittest", "checks.py"), ("node", "lib/checks.js")])
def test_files_that_the_runner_takes_tests_from_are_protected_as_they_are(repo: Make, runner: str, name: str):
    workspace = repo({name: "EXPECTED = 3\n", "calc.py": ""})
    test = "checks.Adds.test_add" if runner == "unittest" else f"{name} > adds"
    results = [TestResult(test, "failed", file=name)]
    chosen = command(workspace, runner, "checks", runner=runner)
    before = fingerprints(workspace, chosen, results)
    (workspace.root / "calc.py").write_text("x = 1\n")
    assert differences(before, fingerprints(workspace, chosen, results)) == ()
    (workspace.root / name).write_text("EXPECTED = 4\n")
    assert differences(before, fingerprints(workspace, chosen, results)) == (f"{name}::tests in it",)


RUST = {
    "shop/src/lib.rs": 'mod money;\n#[cfg(test)]\nmod helpers;\n#[cfg(test)]\n#[path = "it/far.rs"]\nmod far;\n',
    "shop/src/helpers.rs": "pub const WANTED: i32 = 3;\n",
    "shop/src/it/far.rs": "pub const FAR: i32 = 3;\n",
    "shop/src/money/check.rs": "pub fn check() { assert!(true) }\n",
    "shop/src/money.rs": """\
        pub fn add(a: i32, b: i32) -> i32 { let _ = '{'; a - b }
        /// ```
        /// shop::twice(1);
        /// ```
        pub fn twice(a: i32) -> i32 { a }
        #[cfg_attr(test, derive(Debug))]
        pub struct Shown { a: i32 }
        #[cfg(not(test))]
        pub fn real() -> i32 { 7 }
        #[cfg(test)]
        mod check;
        #[cfg(all(test, unix))]
        mod tests {
            // an odd one: {
            const TEXT: &str = r#"}"{"#;
            #[test]
            fn adds() { assert_eq!(super::add(1, 2), 3, "}}") }
        }
        #[test]
        #[should_panic]
        fn alone() { panic!() }
        pub fn last() -> i32 { 9 }
        """,
}


def test_tests_inside_rust_files(repo: Make):
    """Their own code is protected, and the code beside it is free, whatever crate they are in."""
    workspace = repo(RUST)
    chosen = command(workspace, "cargo", "test", runner="cargo")
    file = workspace.root / "shop/src/money.rs"
    text = file.read_text()
    before = fingerprints(workspace, chosen, ())

    def touched(old: str, new: str) -> tuple[str, ...]:
        assert text.count(old) == 1
        file.write_text(text.replace(old, new))
        return differences(before, fingerprints(workspace, chosen, ()))

    for old, new in (
        ("a - b", "a + b"),
        ("{ a }\n", "{ 2 * a }\n"),
        ("9 }", "10 }"),
        ("7 }", "8 }"),
        ("a: i32 }", "}"),
    ):
        assert touched(old, new) == (), old
    for old, new in (
        *(("2), 3", "2), -1"), ("#[should_panic]\n", ""), ("#[should_panic]", "#[ignore]"), ("{ panic!() }", "{ }")),
        *(("twice(1)", "twice(2)"), ("#[cfg(not(test))]\n", ""), ("all(test, unix)", "all(test, windows)")),
        *(("pub fn last", "#[cfg(test)]\npub fn last"), ("pub fn add", "#![cfg(not(test))]\npub fn add")),
    ):
        assert touched(old, new) == ("shop/src/money.rs::tests in it",), old
    file.write_text(text)
    for name in ("shop/src/helpers.rs", "shop/src/it/far.rs", "shop/src/money/check.rs"):
        kept = (workspace.root / name).read_text()
        (workspace.root / name).write_text(kept + "\n")
        assert differences(before, fingerprints(workspace, chosen, ())) == (name,)
        (workspace.root / name).write_text(kept)


def test_rust_files_that_tests_could_be_taken_from_instead(repo: Make):
    workspace = repo({"src/lib.rs": "pub fn add() {}\n", ".gitignore": "hidden\n"})
    test = "#[test]\nfn good() {}\n"
    (workspace.root / "hidden").mkdir()
    edit: Callable[[Path], object] = lambda root: (root / "hidden/lib.rs").write_text(test)  # noqa: E731
    assert changed(workspace, edit, "cargo", "test", runner="cargo") == ("hidden/lib.rs::tests in it",)
    edit = lambda root: (root / "src/lib.rs").write_text(f"#![cfg(test)]\n{test}pub fn add() {{ }}\n")  # noqa: E731
    assert changed(workspace, edit, "cargo", "test", runner="cargo") == ("src/lib.rs::tests in it",)


AWARE = [
    *("import os\nos.getenv('PYTEST_CURRENT_TEST')", "import sys\nif 'pytest' in sys.modules: pass", "import pytest"),
    *("from unittest import mock", "import inspect\ninspect.stack()", "sys._getframe(1)", "import os\nos._exit(0)"),
    *(
        "macro_rules! assert_eq { () => {} }",
        "def pytest_runtest_makereport(item): pass",
        "import gc\ngc.get_objects()",
        "import builtins\nbuiltins.len = 1",
    ),
]


@pytest.mark.parametrize("text", AWARE)
def test_source_that_looks_at_who_runs_it(repo: Make, text: str):
    assert awareness(repo({"src/a.py": text, "test_a.py": text}), {"test_a.py": ""})["src/a.py"] > 0


@pytest.mark.parametrize("text", ["import os\nos.getenv('HOME')", "system = 1", "pytests = 2", "x.builtins == 1", ""])
def test_source_that_does_not(repo: Make, text: str):
    assert awareness(repo({"src/a.py": text}), {}) == {}


NAMES = st.sampled_from(["a", "b", "c.py", "d::test settings"])
STATES = st.dictionaries(NAMES, st.sampled_from(["1", "2"]))


@given(first=STATES, second=STATES, third=STATES)
def test_what_the_tests_write_themselves_is_not_a_difference(
    first: dict[str, str], second: dict[str, str], third: dict[str, str]
):
    """Whatever a run of unchanged tests changed is forgiven later, and nothing else is."""
    kept = volatile(first, second)
    own = set(differences(first, second))
    assert differences(kept, second) == ()
    assert not own & set(differences(kept, third))
    assert set(differences(kept, third)) == set(differences(second, third)) - own
    assert all(path_of(name) in ("a", "b", "c.py", "d") for name in kept)
