"""`--model builtin` and its kin as a user meets them: said plainly, bounded, and without a trace where it failed."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "qwencode"
Qwencode = Callable[..., "subprocess.CompletedProcess[str]"]
LABEL = "built-in model (4.5 M parameters; single lines of Python)"
CODE = "def area(width, height):\n    return {}\n"
TEST = """from area import area


def test_area():
    assert area(3, 4) == 12


def test_more():
    assert area(2, 5) == 10
"""


@pytest.fixture
def broken(repository: Path) -> Path:
    """A repository that no edit of a single step mends."""
    (repository / "area.py").write_text(CODE.format("sum(int(digit) for digit in str(width)[1:] + str(height)[1:])"))
    (repository / "test_area.py").write_text(TEST)
    return repository


@pytest.mark.slow
def test_a_file_of_that_kind_runs_the_loop(qwencode: Qwencode, broken: Path, lined: Path):
    before = (broken / "area.py").read_bytes()
    done = qwencode("fix", broken, "--model", lined, "--no-search", "--max-steps", 4)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "All 4 steps are used. Not fixed: the built-in model found no edit" in done.stderr
    assert f"The {LABEL} tries edits." in done.stdout
    assert (broken / "area.py").read_bytes() == before


def test_there_is_nothing_to_warm(qwencode: Qwencode, lined: Path):
    done = qwencode("warm", "--model", lined)
    assert done.returncode == 2
    assert "nothing to warm" in done.stderr
    assert done.stdout == ""


def test_where_the_file_is_missing(qwencode: Qwencode, broken: Path, tmp_path: Path):
    copy = shutil.copytree(PACKAGE, tmp_path / "qwencode", ignore=shutil.ignore_patterns("*.gguf", "__pycache__"))
    done = qwencode("fix", broken, "--model", "builtin", cwd=tmp_path, PYTHONPATH=str(copy.parent))
    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert "The built-in model" in done.stderr


@pytest.mark.slow
def test_no_model_means_none_at_all(qwencode: Qwencode, broken: Path):
    done = qwencode("fix", broken, "--no-model", "--max-minutes", 0.3)
    assert "built-in" not in done.stdout + done.stderr


@pytest.mark.slow
def test_it_fills_in_and_is_not_taken_for_the_model(qwencode: Qwencode, broken: Path):
    done = qwencode("fix", broken, "--max-steps", 2)
    assert f"The {LABEL} tries edits." in done.stdout
    assert done.returncode in (0, 4)
    if done.returncode:
        assert "To go further, qwencode needs a larger model: " in done.stdout


@pytest.mark.slow
def test_the_demonstration_is_honest(qwencode: Qwencode):
    done = qwencode("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    first, found, second = done.stdout.partition(f"And now a bug that search cannot mend, for the {LABEL}.")
    assert found
    assert "is not None" in first
    assert ("1 failing test passes" in second or "failing tests pass now" in second) != ("did not mend" in second)
