"""Measure how long it takes to open a session of many events, and to list many sessions.

    PYTHONPATH=. python tools/bench_sessions.py [--events 10000] [--sessions 200]

Prints one line of JSON: seconds, the best and the median of five.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from qwencode.events import MessageAdded, RunStarted, ToolFinished, ToolStarted, TurnEnded, TurnStarted
from qwencode.jobs.chat.talk import folded
from qwencode.messages import Message, ToolCall
from qwencode.session import Session
from qwencode.sessions import load, summaries

PER_TURN = 22


def record(folder: Path, name: str, events: int) -> Path:
    """Write a session in which every turn reads five files: one event of four is a message."""
    path = folder / f"{name}.jsonl"
    with Session(folder, name) as session:
        session.record(RunStarted("chat", "/repository", name, "0"))
        for turn in range(1, events // PER_TURN + 1):
            session.record(TurnStarted(turn, "What does this do?", (turn - 1) * 12, f"{name}-{turn:04}"))
            session.record(MessageAdded(Message("user", "What does this do?")))
            for number in range(5):
                call = ToolCall(f"call-{turn}-{number}", "read_file", {"file_path": "a.py"})
                session.record(MessageAdded(Message("assistant", "Let me look.", tool_calls=(call,))))
                session.record(ToolStarted(call))
                session.record(MessageAdded(Message("tool", "1|x = 1\n" * 100, answers=call.id)))
                session.record(ToolFinished(call, True, "read a.py"))
            session.record(TurnEnded(turn, "answered"))
    return path


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Return the seconds that some work takes: best and median of five."""
    took: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return {"best": round(min(took), 4), "median": round(statistics.median(took), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        long = record(Path(place, "long"), "20260101-000000-0000", chosen.events)
        for number in range(chosen.sessions):
            record(Path(place, "many"), f"20260101-000000-{number:04x}", PER_TURN)
        count = len(load(long).events)
        result = {
            "events": count,
            "bytes": long.stat().st_size,
            "open": timed(lambda: folded(load(long).events)),
            "sessions": chosen.sessions,
            "list": timed(lambda: summaries(Path(place, "many"))),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
