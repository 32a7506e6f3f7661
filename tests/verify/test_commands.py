"""Finding the test command and the interpreter."""

import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qwencode.errors import UsageError
from qwencode.verify.commands import discover, recognise
from qwencode.verify.interpreter import find_python
from qwencode.workspace import Workspace

Make = Callable[..., Workspace]


def program(path: Path, text: str = "#!/bin/sh\nexit 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def python(path: Path, has_pytest: bool) -> Path:
    """Make a Python that answers what it is asked, outside the repository."""
    return program(path, f"#!/bin/sh\necho {path}\necho {int(has_pytest)}\n")


@pytest.fixture
def empty(tmp_path: Path) -> dict[str, str]:
    """An environment with git and nothing else on PATH."""
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin")}


PYTEST_TEST = {"test_a.py": "def test_a(): pass\n"}
UNITTEST_TEST = "import unittest\n\n\nclass A(unittest.TestCase):\n    def test_a(self):\n        pass\n"


def test_pytest_by_file_and_by_setting(repo: Make, empty: dict[str, str], tmp_path: Path):
    here = python(tmp_path / "bin" / "python3", True)
    command = discover(repo(PYTEST_TEST), environment=empty)
    assert (command.runner, command.argv) == ("pytest", (str(here), "-m", "pytest"))
    assert command.why == "test_a.py is a test file that pytest finds; python3 on PATH"
    command = discover(repo({"pyproject.toml": "[tool.pytest.ini_options]\n"}), environment=empty)
    assert command.why.startswith("pyproject.toml configures pytest")


def test_unittest_without_pytest(repo: Make, empty: dict[str, str], tmp_path: Path):
    here = python(tmp_path / "bin" / "python3", False)
    command = discover(repo({"test_a.py": UNITTEST_TEST}), environment=empty)
    assert (command.runner, command.argv) == ("unittest", (str(here), "-m", "unittest"))
    assert "there is no pytest" in command.why


@pytest.mark.parametrize(
    ("files", "arguments"),
    [
        ({"tests/__init__.py": "", "tests/test_a.py": UNITTEST_TEST}, ()),
        ({"tests/test_a.py": UNITTEST_TEST}, ("discover", "-s", "tests", "-p", "test*.py")),
        ({"checks/a_test.py": UNITTEST_TEST}, ("discover", "-s", "checks", "-p", "*_test.py")),
        ({"test_a.py": UNITTEST_TEST, "lib/test_b.py": UNITTEST_TEST}, ()),
    ],
)
def test_what_unittest_needs_to_find_the_files(
    repo: Make, empty: dict[str, str], tmp_path: Path, files: dict[str, str], arguments: tuple[str, ...]
):
    python(tmp_path / "bin" / "python3", False)
    assert discover(repo(files), environment=empty).arguments == arguments


def test_pytest_that_the_targets_python_lacks_is_borrowed_and_said(repo: Make, empty: dict[str, str], tmp_path: Path):
    system = python(tmp_path / "bin" / "python3", False)
    command = discover(repo(PYTEST_TEST), environment=empty)
    assert command.python == sys.executable
    assert f"{system} has no pytest, so the Python of qwencode runs them" in command.why


def test_a_virtual_environment_without_pytest_is_an_error_that_says_what_to_do(repo: Make, empty: dict[str, str]):
    workspace = repo(PYTEST_TEST)
    program(workspace.root / ".venv/bin/python")
    with pytest.raises(UsageError, match=r"test_a.py needs pytest. .*\.venv.* -m pip install pytest"):
        discover(workspace, environment=empty)


@pytest.mark.parametrize(
    ("files", "runner", "argv"),
    [
        ({"package.json": '{"scripts": {"test": "node --test"}}'}, "npm", ("npm", "test")),
        ({"test/a.test.js": ""}, "node", ("node", "--test")),
        ({"src/a.test.mjs": "", "package.json": "{}"}, "node", ("node", "--test")),
        ({"go.mod": "module x", "a_test.go": ""}, "go", ("go", "test", "./...")),
        ({"Cargo.toml": "[package]"}, "cargo", ("cargo", "test")),
        ({"Makefile": "all:\n\ntest: all\n\ttrue\n"}, "make", ("make", "test")),
    ],
)
def test_other_runners(
    repo: Make, empty: dict[str, str], tmp_path: Path, files: dict[str, str], runner: str, argv: tuple[str, ...]
):
    program(tmp_path / "bin" / argv[0])
    command = discover(repo(files), environment=empty)
    assert (command.runner, command.argv) == (runner, argv)
    assert command.why


@pytest.mark.parametrize(
    "files",
    [
        {"readme.md": "nothing"},
        {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'},
        {"package.json": "not json", "Makefile": "test := 1\n"},
        {"package.json": '["test"]'},
    ],
)
def test_nothing_found(repo: Make, empty: dict[str, str], files: dict[str, str]):
    with pytest.raises(UsageError, match=r"No tests were found in .*--test"):
        discover(repo(files), environment=empty)


def test_the_runner_is_not_installed(repo: Make, empty: dict[str, str]):
    with pytest.raises(UsageError, match=r"`go test ./...` \(go.mod and a_test.go\), but go is not installed"):
        discover(repo({"go.mod": "module x", "a_test.go": ""}), environment=empty)


def test_the_nearest_project_wins(repo: Make, empty: dict[str, str], tmp_path: Path):
    python(tmp_path / "bin" / "python3", True)
    files = {"package.json": '{"scripts": {"test": "node --test"}}', "back/setup.py": "", "back/tests/test_a.py": ""}
    files["back/tests/test_a.py"] = "def test_a(): pass\n"
    program(tmp_path / "bin" / "npm")
    assert discover(repo(files), environment=empty).runner == "pytest"
    command = discover(repo(files, start="back/tests"), environment=empty)
    assert (command.runner, command.cwd.name) == ("pytest", "back")


@pytest.mark.parametrize(
    ("text", "runner", "start", "first"),
    [
        ("pytest tests -x", "pytest", 0, 1),
        ("python -m pytest", "pytest", 0, 3),
        (".venv/bin/python3.12 -m unittest -v", "unittest", 0, 3),
        ("uv run --frozen pytest -q", "pytest", 3, 4),
        ("poetry run python -m pytest", "pytest", 2, 5),
        ("env A=1 pytest", "pytest", 2, 3),
        ("node --test test/", "node", 0, 2),
        ("npm run test", "npm", 0, 3),
        ("go test ./x", "go", 0, 2),
        ("cargo test --lib", "cargo", 0, 2),
        ("make check", "make", 0, 1),
        ("tox -e py", "custom", 0, 0),
        ("./run_tests.sh pytest", "custom", 0, 0),
        ("python script.py", "custom", 0, 0),
        ("npm install", "custom", 0, 0),
        ("", "custom", 0, 0),
    ],
)
def test_recognise(text: str, runner: str, start: int, first: int):
    assert recognise(text.split()) == (runner, start, first)


def test_given_commands(repo: Make, empty: dict[str, str], tmp_path: Path):
    for name in ("uv", "tox", "node"):
        program(tmp_path / "bin" / name)
    here = python(tmp_path / "bin" / "python3", True)
    workspace = repo(PYTEST_TEST)
    program(workspace.root / "run tests.sh")
    program(workspace.root / "env/bin/python")
    program(workspace.root / "env/bin/pytest")
    given = {
        "pytest tests/unit -x": ("pytest", (str(here),), ("tests/unit", "-x"), False),
        "python -m pytest": ("pytest", (str(here),), (), True),
        "uv run pytest -q": ("pytest", ("uv", "run", "python"), ("-q",), False),
        "uv run python3 -m pytest": ("pytest", ("uv", "run", "python3"), (), True),
        "env/bin/pytest": ("pytest", (str(workspace.root / "env/bin/python"),), (), False),
        "env/bin/python -m pytest": ("pytest", (str(workspace.root / "env/bin/python"),), (), True),
        "node --test": ("node", (), (), False),
        "tox -q": ("custom", (), ("tox", "-q"), False),
        "'./run tests.sh' all": ("custom", (), ("./run tests.sh", "all"), False),
    }
    for text, expected in given.items():
        command = discover(workspace, text, empty)
        assert (command.runner, command.prefix, command.arguments, command.as_module) == expected, text
        assert command.why.startswith("it was given")


@pytest.mark.parametrize(
    "text",
    [
        *("cd a && pytest > log", "pytest && tox", "A=1 pytest -q; tox", "pytest 'a' | tee log", "pytest&&tox"),
        *("make test || true", "go test ./... 2>&1", "pytest $(cat list)", "pytest `cat list`", "(cd a; pytest)"),
    ],
)
def test_operators_of_a_shell(repo: Make, empty: dict[str, str], text: str):
    command = discover(repo(PYTEST_TEST), text, empty)
    assert (command.runner, command.argv) == ("custom", ("sh", "-c", text))


@pytest.mark.parametrize("text", ["-k 'a && b'", '-k "a; b|c"', r"-k a\&b", '-k "\\"&"', "-k a'>'b"])
def test_quoted_operators_are_arguments(repo: Make, empty: dict[str, str], tmp_path: Path, text: str):
    python(tmp_path / "bin" / "python3", True)
    command = discover(repo(PYTEST_TEST), f"pytest {text}", empty)
    assert (command.runner, command.arguments) == ("pytest", tuple(shlex.split(text)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nosuch --all", "nosuch is not installed or not on PATH"),
        ("./nosuch.sh", "./nosuch.sh does not exist"),
        ("./plain.txt", "./plain.txt is not an executable file"),
        ("pytest 'open", "cannot be read: No closing quotation"),
        ("uv run pytest", "uv is not installed"),
    ],
)
def test_bad_given_commands(repo: Make, empty: dict[str, str], text: str, said: str):
    with pytest.raises(UsageError, match=said):
        discover(repo({"plain.txt": "x"}), text, empty)


def test_the_order_of_interpreters(repo: Make, empty: dict[str, str], tmp_path: Path):
    root = repo({}).root
    system = python(tmp_path / "bin" / "python3", True)
    assert find_python(root, empty).path == str(system)
    conda = program(tmp_path / "conda/bin/python")
    assert find_python(root, {**empty, "CONDA_PREFIX": str(tmp_path / "conda")}).path == str(conda)
    venv = program(root / "venv/bin/python")
    assert find_python(root, {**empty, "CONDA_PREFIX": str(tmp_path / "conda")}).path == str(venv)
    dotted = program(root / ".venv/bin/python")
    assert find_python(root, empty).path == str(dotted)
    active = program(tmp_path / "active/bin/python")
    found = find_python(root, {**empty, "VIRTUAL_ENV": str(tmp_path / "active")})
    assert (found.path, found.why) == (str(active), "the active virtual environment")
    assert find_python(root, {**empty, "VIRTUAL_ENV": str(tmp_path / "gone")}).path == str(dotted)


def test_our_own_environment_is_not_the_targets(repo: Make, empty: dict[str, str], tmp_path: Path):
    system = python(tmp_path / "bin" / "python3", True)
    environment = {"PATH": f"{Path(sys.prefix) / 'bin'}:{empty['PATH']}", "VIRTUAL_ENV": sys.prefix}
    assert find_python(repo({}).root, environment).path == str(system)


def test_poetry_is_asked_without_its_plugins(repo: Make, empty: dict[str, str], tmp_path: Path):
    elsewhere = program(tmp_path / "pypoetry/x-py3.12/bin/python").parent.parent
    program(tmp_path / "bin/poetry", f'#!/bin/sh\n[ "$1" = --no-plugins ] && echo {elsewhere}\n')
    root = repo({"pyproject.toml": "[tool.poetry]\nname = 'x'\n"}).root
    found = find_python(root, empty)
    assert (found.path, found.why) == (str(elsewhere / "bin/python"), "the environment that poetry keeps for it")


def test_nothing_inside_the_repository_is_executed(repo: Make, empty: dict[str, str], tmp_path: Path):
    """What a cloned repository brings runs in the sandbox only; a `.venv` may be part of what was cloned."""
    touch = f"#!/bin/sh\ntouch {tmp_path}/ran\n"
    root = repo({"pytest.py": "raise SystemExit", "importlib/__init__.py": "raise SystemExit"}).root
    program(root / ".venv/bin/python", touch)
    (root / ".venv/lib/python3.12/site-packages/pytest").mkdir(parents=True)
    (root / ".venv/lib/python3.12/site-packages/pytest/__init__.py").touch()
    assert find_python(root, empty).has_pytest
    (root / ".venv/pyvenv.cfg").write_text(f"home = {root}/.venv/bin\ninclude-system-site-packages = true\n")
    (root / ".venv/lib/python3.12/site-packages/pytest/__init__.py").unlink()
    assert not find_python(root, {**empty, "PATH": f"{root}/.venv/bin"}).has_pytest
    assert not (tmp_path / "ran").exists()
    program(tmp_path / "cache/bin/python3", touch)  # as a command may make it in a folder that it may write
    (root / ".venv/pyvenv.cfg").write_text(f"home = {tmp_path}/cache/bin\ninclude-system-site-packages = true\n")
    assert not find_python(root, empty).has_pytest
    (tmp_path / "cache/lib/python3/dist-packages/pytest").mkdir(parents=True)
    (tmp_path / "cache/lib/python3/dist-packages/pytest/__init__.py").touch()
    assert find_python(root, empty).has_pytest
    program(root / ".venv/bin/poetry", touch)
    (root / "poetry.lock").touch()
    find_python(root, {**empty, "PATH": f"{root}/.venv/bin:{empty['PATH']}"})
    (root / ".venv/bin/python").rename(root / ".venv/bin/python.old")
    find_python(root, {**empty, "PATH": f"{root}/.venv/bin:{empty['PATH']}"})
    (root / ".venv/bin/python.old").rename(root / ".venv/bin/python")
    assert not (tmp_path / "ran").exists()
    (tmp_path / "bin/python3").symlink_to(sys.executable)
    (root / ".venv/bin/python").unlink()
    done = subprocess.run([tmp_path / "bin/python3", "-c", "import pytest"], check=False, capture_output=True)
    assert find_python(root, empty, needs_pytest=False).has_pytest is (done.returncode == 0)
