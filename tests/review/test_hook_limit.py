"""The limit of the hook: a model and tests that never end do not hold a commit up, and leave no process."""

import ctypes
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hook_ground import program, run, tree
from review_ground import write_files
from seeded_changes import CALC, PROJECT, edit

Git = Callable[..., str]
LIMIT = 4.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux", reason="what was left running is looked for in /proc, which Linux alone has"
    ),
]


@pytest.fixture
def endless() -> Iterator[str]:
    """Serve a model that thinks for ever, and return its address."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"data": [{"id": "endless"}]}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            try:
                number = 0
                while not stopped.is_set():
                    number += 1
                    text = b'data: {"choices": [{"index": 0, "delta": {"content": "%d "}}]}\n\n' % number
                    self.wfile.write(text)
                    self.wfile.flush()
                    time.sleep(0.02)
            except OSError:
                pass

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    stopped.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def nothing_left() -> Iterator[Callable[[], set[int]]]:
    """Become the parent of every orphan, and return a function that names them."""

    def children() -> set[int]:
        found = set[int]()
        for path in Path("/proc/self/task").glob("*/children"):
            found |= set(map(int, path.read_text().split()))
        return found

    before = children()
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    yield lambda: children() - before
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)


def stage(project: Path, run_git: Git, old: str, new: str) -> None:
    """Commit the project, and stage another text in its code."""
    write_files(project, PROJECT)
    run_git(project, "add", "--all")
    run_git(project, "commit", "-qm", "Calc")
    (project / "calc.py").write_text(edit(CALC, old, new))
    run_git(project, "add", "--all")


def test_a_model_that_never_ends(
    project: Path, run_git: Git, tmp_path: Path, endless: str, nothing_left: Callable[[], set[int]]
):
    stage(project, run_git, "    return result", "    breakpoint()\n    return result")
    before, began = tree(project), time.monotonic()
    program(tmp_path / "bin")
    words = ("hook", "--seconds", LIMIT, "--model", endless, "--only", "model", "--only", "leftovers")
    done = run(project, tmp_path / "bin" / "qwencode", *words)
    seconds = time.monotonic() - began
    assert not nothing_left()
    assert seconds < LIMIT + 1
    assert done.code == 0
    assert "calc.py:8: error" in done.out
    assert "Skipped: model (the time was up" in done.out
    assert tree(project) == before


def test_tests_that_never_end(project: Path, run_git: Git, tmp_path: Path, nothing_left: Callable[[], set[int]]):
    stage(project, run_git, "    result = 0", "    result = 0\n    while True:\n        pass")
    before, began = tree(project), time.monotonic()
    program(tmp_path / "bin")
    done = run(project, tmp_path / "bin" / "qwencode", "hook", "--seconds", LIMIT, "--only", "tests", "--strict")
    seconds = time.monotonic() - began
    assert not nothing_left()
    assert seconds < LIMIT + 1
    assert done.code == 0
    assert "Skipped: tests (the time was up after 0 of 5 tests)" in done.out
    assert tree(project) == before


def test_a_model_in_this_process(
    project: Path, run_git: Git, tmp_path: Path, tiny: Path, nothing_left: Callable[[], set[int]]
):
    """Of random weights, so what it says is noise: none of it may come through but at changed lines."""
    stage(project, run_git, "    return result", "    return result - 1")
    program(tmp_path / "bin")
    words = ("hook", "--seconds", 30, "--model", tiny, "--only", "model", "--json")
    done = run(project, tmp_path / "bin" / "qwencode", *words)
    assert done.code == 0, done.out
    assert not nothing_left()
    events = [json.loads(line) for line in done.out.splitlines() if line.startswith("{")]
    assert [event["message"]["role"] for event in events if event["type"] == "message_added"][:2] == [
        "user",
        "assistant",
    ]
    found = [event for event in events if event["type"] == "finding_reported"]
    assert all((event["file"], event["line"]) == ("calc.py", 8) for event in found)
    (end,) = (event for event in events if event["type"] == "check_finished")
    assert (end["check"], end["status"]) == ("model", "done"), end


def test_a_model_that_is_not_there(project: Path, run_git: Git, tmp_path: Path):
    write_files(project, PROJECT)
    run_git(project, "add", "--all")
    program(tmp_path / "bin")
    words = ("hook", "--only", "model", "--model")
    done = run(project, tmp_path / "bin" / "qwencode", *words, tmp_path / "none.gguf")
    assert done.code == 0
    assert "Skipped: model (" in done.out
    assert "none.gguf" in done.out
