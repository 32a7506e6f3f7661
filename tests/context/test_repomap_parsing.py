"""Parsing in processes of their own: what they answer, what becomes of one that ends, and that none is left."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from qwencode.context.repomap import parsing
from qwencode.context.repomap.parsing import parsed
from qwencode.context.repomap.tags import unpack
from qwencode.context.repomap.worker import serve

DIES_ON_BAD = """
import os, signal, sys
from qwencode.context.repomap import worker
before = worker.read_bytes
def read_bytes(path):
    if "bad" in path:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "slow" in path:
        while True:
            pass
    return before(path)
worker.read_bytes = read_bytes
worker.SECONDS = 0.2
worker.main()
"""


def sources(folder: Path, *names: str) -> list[tuple[str, str]]:
    for name in names:
        (folder / name).write_text(f"def {name.partition('.')[0]}(): 0\n")
    return [("python", str(folder / name)) for name in names]


def found(jobs: list[tuple[str, str]]) -> dict[int, str | None]:
    return {number: it.names if it else None for number, it in parsed(jobs)}


def test_every_file_is_answered(tmp_path: Path):
    jobs = sources(tmp_path, *(f"f{n}.py" for n in range(90)))
    assert found(jobs) == {n: f"f{n}" for n in range(90)}
    assert list(parsed([])) == []


def test_what_cannot_be_read_is_none(tmp_path: Path):
    (tmp_path / "link.py").symlink_to(tmp_path / "a.py")
    jobs = [*sources(tmp_path, "a.py"), *(("python", str(tmp_path / name)) for name in ("gone.py", "link.py", ""))]
    assert found(jobs) == {0: "a", 1: None, 2: None, 3: None}


def test_a_worker_that_crashes_or_runs_on_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parsing, "_CODE", DIES_ON_BAD)
    assert found(sources(tmp_path, "a.py", "bad.py", "b.py", "slow.py", "c.py")) == {
        **{0: "a", 1: None, 2: "b"},
        **{3: None, 4: "c"},
    }


def test_many_crashes_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parsing, "_CODE", "raise SystemExit")
    answers = found(sources(tmp_path, *(f"f{n}.py" for n in range(30))))
    assert set(answers.values()) == {None} and len(answers) < 30


def test_where_no_process_can_be_started_the_files_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parsing.sys, "executable", str(tmp_path / "gone"))
    assert found(sources(tmp_path, "a.py", "b.py")) == {}


def test_closing_it_ends_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        started.append(begin())
        return started[-1]

    begin = parsing._start
    monkeypatch.setattr(parsing, "_start", start)
    work = parsed(sources(tmp_path, *(f"f{n}.py" for n in range(90))))
    next(work)
    work.close()
    assert started and all(worker.poll() is not None for worker in started)


def test_the_opened_repository_is_not_imported_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "json.py").write_text("raise SystemExit('imported from the repository')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    assert found(sources(tmp_path, "a.py")) == {0: "a"}


def test_the_worker_speaks_lines_of_json(tmp_path: Path):
    replies = io.StringIO()
    jobs = [*sources(tmp_path, "a.py"), ("python", str(tmp_path / "gone.py"))]
    serve(map(json.dumps, jobs), replies)
    first, second = map(json.loads, replies.getvalue().splitlines())
    assert first[1:3] == ["a", "def"] and second is None


def test_the_process_that_asks_loads_no_grammar(tmp_path: Path):
    code = f"""
import sys
from qwencode.context.repomap.parsing import parsed
from qwencode.context.repomap.repository import RepositoryMap
(number, it), = parsed({sources(tmp_path, "a.py")!r})
print(it.names, [name for name in sys.modules if name.startswith("tree_sitter")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a []\n"


def test_tags_come_through_whole(tmp_path: Path):
    (job,) = sources(tmp_path, "a.py")
    Path(job[1]).write_text("class A:\n    def f(self): return g()\n")
    ((_, it),) = parsed([job])
    assert it is not None
    tags = unpack(it.tags)
    assert [found.text for found in tags.definitions] == ["class A", "def f(self)"] and tags.calls == ("", "", "g")
