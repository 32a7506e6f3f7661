"""Memory stays flat over many sessions, and what a model took is given back when it is closed."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[3] / "tools" / "soak_engine.py"
BOUND = 8.0
"""MiB between the 5th and the 20th model that was loaded and closed. The tiny file alone takes more than one each."""
LOADING = """
import ctypes, gc, os, sys
from pathlib import Path
from qwencode.messages import Message, ToolSpec
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options

def resident():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

tool = ToolSpec("read_file", "Read.", {"type": "object", "properties": {"file_path": {"type": "string"}}})
fit = Fit(context=2048, threads=1, batch=64, draft_tokens=4, mtp=sys.argv[2] == "head")
for number in range(20):
    model = LlamaModel(Path(sys.argv[1]), fit, string_limit=4)
    options = Options(max_tokens=200, tool_choice="required", seed=number)
    for _ in model.stream([Message("user", "Go. " * 100)], [tool], options):
        pass
    if sys.argv[2] == "abandon":
        next(model.stream([Message("user", "On. " * 100)], [tool], options))
    opened = resident()
    model.close()
    if sys.argv[2] == "drop":
        del model
    print(opened, resident())
"""


@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="the memory of a process is measured in Linux's /proc"
)
@pytest.mark.parametrize("how", ["abandon", "keep", "drop", "head"])
@pytest.mark.slow
def test_close_gives_memory_back(predicting: Path, how: str) -> None:
    """`keep`: the closed model is still referred to; `abandon`: a reply was not finished; `head`: one was in use."""
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(predicting), how], capture_output=True, text=True, check=True, timeout=110
    )
    sizes = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    assert len(sizes) == 20
    assert all(closed < opened for opened, closed in sizes)
    assert sizes[-1][1] - sizes[4][1] < BOUND


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sessions_hold_memory_flat() -> None:
    """Forty seconds of the two-hour loop."""
    done = subprocess.run([sys.executable, str(SOAK), "--minutes", "0.66"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MiB an hour" in done.stdout


@pytest.mark.slow
def test_growth_beyond_the_bound_is_a_failure() -> None:
    done = subprocess.run(
        [sys.executable, str(SOAK), "--minutes", "0.02", "--bound", "-1000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "memory grew by more than -1000 MiB\n"
