"""What `qwencode fix` makes of every practice repository, without a model unless one is named.

    python tools/bench_practice.py [NAME ...] [--model NAME|FILE|URL]

Prints a table and one line of JSON last. Exit status 1 when a repository was reported as fixed though its own test
command disagrees, when a test was changed, or when one that was not fixed was left changed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from qwencode import practice

ENTRY = "import sys; from qwencode.cli import main; main()"


def tried(name: str, model: str) -> dict[str, Any]:
    """Run `fix` on a fresh copy and check what it says against the repository's own tests."""
    task = practice.task(name)
    with tempfile.TemporaryDirectory() as folder:
        root = practice.copy(name, Path(folder, name))
        words = ["--model", model] if model else ["--no-model"]
        started = time.monotonic()
        command = [sys.executable, "-c", ENTRY, "fix", str(root), *words, "--yes", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - started
        events = {event["type"]: event for event in map(json.loads, done.stdout.splitlines())}
        status = subprocess.run(
            ["git", "-C", str(root), "status", "--porcelain"], capture_output=True, text=True, check=True
        )
        changed = [line[3:] for line in status.stdout.splitlines()]
        program = sys.executable if task.test[0] == "python" else task.test[0]
        tests = subprocess.run([program, *task.test[1:]], cwd=root, capture_output=True, check=False)
    search = events.get("search_finished", {})
    fixed = done.returncode == 0
    return {
        "name": name,
        "exit": done.returncode,
        "seconds": round(seconds, 1),
        "tried": search.get("tried", 0),
        "plausible": search.get("plausible", 0),
        "expected": task.search,
        "changed": changed,
        "honest": fixed == (tests.returncode == 0)
        and (fixed or not changed)
        and not any("test" in file for file in changed),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="practice repositories; all without any")
    parser.add_argument("--model", default="")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(f"{'repository':<12}{'exit':>5}{'seconds':>9}{'tried':>7}{'plausible':>10}  changed")
    for name in options.names or practice.names():
        row = tried(name, options.model)
        rows.append(row)
        dishonest = "" if row["honest"] else "  NOT AS IT SAYS"
        what = ", ".join(row["changed"]) or "-"
        print(
            f"{name:<12}{row['exit']:>5}{row['seconds']:>9}{row['tried']:>7}{row['plausible']:>10}  {what}{dishonest}",
            flush=True,
        )
    print(json.dumps({"fixed": sum(row["exit"] == 0 for row in rows), "of": len(rows), "rows": rows}))
    return 0 if all(row["honest"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
