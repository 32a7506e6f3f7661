"""How soon the prompt of `qwencode chat` is there, and how long a key takes to appear while the model is at work.

    python tools/bench_chat.py [--model FILE|URL] [--runs N] [--keys N]

Each run is a process of its own in a pseudo-terminal. Start: from starting the interpreter until the prompt is there;
first key: until a letter that was typed at once has appeared. Keys: letters typed one after the other, each timed from
its write until the terminal shows it: at rest, and while the model reads or writes. Nothing else should run on the
machine. The last line is JSON.
"""

import argparse
import fcntl
import json
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROMPT = "❯"
LETTERS = "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"  # a model that writes nonsense in ASCII does not write these
_SECONDS = 60.0


class Session:
    """A session in a pseudo-terminal; `seen` is all that it has written."""

    def __init__(self, arguments: Sequence[str], folder: Path):
        self.seen = ""
        self.began = time.monotonic()
        pid, self._end = pty.fork()
        if pid == 0:
            places = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")}
            os.environ.update(places, PYTHONPATH=str(ROOT), TERM="xterm-256color")
            os.chdir(folder / "repository")
            code = "from qwencode.cli import main; main()"
            os.execv(sys.executable, [sys.executable, "-c", code, "chat", *arguments])
        self._pid = pid
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def wait(self, text: str, since: int = 0) -> float:
        """Return the time at which a text has arrived. Raises TimeoutError."""
        while text not in self.seen[since:]:
            ready, _, _ = select.select([self._end], [], [], _SECONDS)
            if not ready:
                raise TimeoutError(f"{text!r} did not appear after {self.seen[-2000:]!r}")
            self.seen += os.read(self._end, 65_536).decode(errors="replace")
        return time.monotonic()

    def write(self, text: str) -> int:
        """Type a text. Returns how much had been seen before."""
        before = len(self.seen)
        os.write(self._end, text.encode())
        return before

    def keys(self, count: int) -> list[float]:
        """Type letters one by one and return how long each took to appear, in milliseconds."""
        found: list[float] = []
        for letter in (LETTERS * (count // len(LETTERS) + 1))[:count]:
            began = time.monotonic()
            found.append((self.wait(letter, self.write(letter)) - began) * 1000)
            time.sleep(0.05)
        self.write("\x15")  # Ctrl-U: away with them
        return found

    def close(self) -> None:
        os.close(self._end)
        os.waitpid(self._pid, 0)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the ninth decile and the worst, in milliseconds."""
    ordered = sorted(values)
    ninth = ordered[min(len(ordered) * 9 // 10, len(ordered) - 1)]
    return {"median": round(statistics.median(ordered), 1), "p90": round(ninth, 1), "worst": round(ordered[-1], 1)}


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="", help="a file or a server; without it only the start is measured")
    options.add_argument("--runs", type=int, default=10)
    options.add_argument("--keys", type=int, default=50)
    given = options.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(["git", "init", "-q", str(folder / "repository")], check=True)
        arguments = ["--model", given.model] if given.model else []
        starts: list[float] = []
        firsts: list[float] = []
        for _ in range(given.runs):
            session = Session(arguments, folder)
            session.write(LETTERS[0])
            starts.append((session.wait(PROMPT) - session.began) * 1000)
            firsts.append((session.wait(LETTERS[0], session.seen.index(PROMPT)) - session.began) * 1000)
            session.close()
        found |= {"start": spread(starts), "first key": spread(firsts)}
        if given.model:
            session = Session(arguments, folder)
            session.wait("Sandbox")
            time.sleep(3)
            found["key at rest"] = spread(session.keys(given.keys))
            session.write("Write a long story.\r")
            time.sleep(1)
            found["key at work"] = spread(session.keys(given.keys))
            session.write("\x03")
            time.sleep(1)
            session.close()
    for what, figures in found.items():
        print(f"{what:<12}", *(f"{label} {value:7.1f} ms" for label, value in figures.items()), sep="  ")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
