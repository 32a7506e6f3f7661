"""Parsing files in processes of their own, several at a time.

Covered: a grammar that crashes, or takes more than the worker's seconds on one file: that file has no tags then. Not
covered: a grammar with a hole that a hostile text can use; the workers are not confined.
"""

import base64
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

MOST_WORKERS = 4
_FILES_A_WORKER = 40  # fewer are done before a further process has started
_MOST_CRASHES = 8
_CODE = "from qwencode.context.repomap.worker import main; main()"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a worker says of a file. `names` and `words` are joined by blanks, `tags` are its packed `FileTags`."""

    digest: str
    names: str
    words: str
    tags: bytes


def parsed(jobs: Sequence[tuple[str, str]]) -> Iterator[tuple[int, Parsed | None]]:
    """Yield for each job (language, absolute path) its number and what was found, in the order of being done.

    None: the file cannot be read, or not be parsed. After some crashes the rest is left out. Closing the generator ends
    the processes.
    """
    count = max(1, min(MOST_WORKERS, os.cpu_count() or 1, len(jobs) // _FILES_A_WORKER + 1))
    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Parsed | None] | None] = queue.SimpleQueue()
    for number in [*range(len(jobs)), *[None] * count]:
        waiting.put(number)
    stop = threading.Event()
    threads = [threading.Thread(target=_feed, args=(jobs, waiting, done, stop), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        running = count
        while running:
            found = done.get()
            if found is None:
                running -= 1
            else:
                yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _feed(
    jobs: Sequence[tuple[str, str]],
    waiting: "queue.SimpleQueue[int | None]",
    done: "queue.SimpleQueue[tuple[int, Parsed | None] | None]",
    stop: threading.Event,
) -> None:
    """Give jobs to a worker one by one; one that ends is replaced. Where none can be started, jobs are left."""
    crashes = 0
    try:
        worker = _start()
        try:
            while crashes < _MOST_CRASHES and not stop.is_set() and (number := waiting.get()) is not None:
                reply = _ask(worker, jobs[number])
                done.put((number, _parsed(reply)))
                if not reply:
                    crashes += 1
                    _end(worker)
                    worker = _start()
        finally:
            _end(worker)
    except OSError:  # no memory, or too many processes
        pass
    finally:
        done.put(None)


def _ask(worker: "subprocess.Popen[str]", job: tuple[str, str]) -> str:
    """Return the worker's answer, '' when it has ended."""
    requests, replies = _pipes(worker)
    try:
        requests.write(json.dumps(job) + "\n")
        requests.flush()
        reply = replies.readline()
    except OSError:
        return ""
    return reply if reply.endswith("\n") else ""


def _parsed(reply: str) -> Parsed | None:
    fields = json.loads(reply or "null")
    if not fields:
        return None
    content, names, words, tags = fields
    return Parsed(content, names, words, base64.b64decode(tags))


def _pipes(worker: "subprocess.Popen[str]") -> tuple[IO[str], IO[str]]:
    assert worker.stdin and worker.stdout
    return worker.stdin, worker.stdout


def _start() -> "subprocess.Popen[str]":
    """Start a worker, which finds this package where we found it, and never in the current directory."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if os.path.isabs(path))}  # noqa: PTH117
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment,
        encoding="utf-8",
        process_group=0,
    )


def _end(worker: "subprocess.Popen[str]") -> None:
    worker.kill()
    worker.wait()
    for pipe in _pipes(worker):
        try:
            pipe.close()
        except OSError:  # what was still to be written
            pass
