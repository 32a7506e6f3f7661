"""What a load is said to take is what it takes, for several ways to run mid-sized files."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench_fit import MACHINES, WAYS, memory_row
from engine_bench.ground import model_file

PROGRAM = Path(__file__).parents[2] / "tools" / "bench_fit.py"


EACH = [
    pytest.param(weights, changes, id=f"{weights}-{number}", marks=pytest.mark.long if number % 2 else pytest.mark.slow)
    for number, (weights, changes) in enumerate(WAYS)
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a place for the files, each of more than half a gigabyte, and clear it."""
    folder = tmp_path_factory.mktemp("mid")
    yield folder
    shutil.rmtree(folder)


@pytest.mark.timeout(600)
@pytest.mark.skipif(
    not Path("/proc/self/smaps").exists(),
    reason="what a load takes is measured in Linux's /proc; nothing else tells mapped from private",
)
@pytest.mark.parametrize(("weights", "changes"), EACH)
def test_the_predicted_memory_is_what_a_load_takes(files: Path, weights: str, changes: dict[str, Any]) -> None:
    path = model_file(files, "mid", weights)
    row = memory_row(path, changes)
    assert 0.9 < row["ratio"] < 1.1, row
    assert row["copied"] + row["read_again"] <= path.stat().st_size  # what was copied is not read a second time


def test_the_program_prints_the_table() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM), "table"], capture_output=True, text=True, check=True)
    assert len(MACHINES) >= 15
    assert sum(line.startswith("| ") for line in done.stdout.splitlines()) == len(MACHINES)
    done = subprocess.run([sys.executable, str(PROGRAM), "tabel"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "There is no part tabel.\n")
