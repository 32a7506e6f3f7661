"""What a process of the engine alone holds in memory after a prompt and a reply. A program of its own: see `memory.py`.

It imports nothing of the benchmark, and opens the file once, since whatever else a process did is in its memory too.
Reads what to run from its input, as JSON, and writes the bytes of each part to its output, as JSON: also `before`, the
anonymous memory that there was without a model; `model`, what llama.cpp copied out of the file in another order; and
of the file itself `mapped`, the pages in memory, and `again`, those that a second reply reads when all were let go.
"""

import ctypes
import json
import mmap
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qwencode.messages import Message
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import lib
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options

_BUFFER = re.compile(r"(\w+) +(model|KV|RS|compute|output) buffer size = +([\d.]+) MiB")


def parts(path: Path, fit: Fit, history: list[Message], generated: int) -> dict[str, int]:
    """Return the bytes of the file, of llama.cpp's buffers, of checkpoints, of anonymous memory and of libraries."""
    lines: list[str] = []
    kept = _listen(lines)
    before = _status()["RssAnon"]
    model = LlamaModel(path, fit)
    found = _BUFFER.findall("".join(lines))
    for _ in model.stream(history, [], Options(max_tokens=generated, seed=0)):
        pass
    sizes: dict[str, int] = {"file": path.stat().st_size, "KV": 0, "RS": 0, "compute": 0, "output": 0}
    for device, kind, size in found:
        if kind != "model" or not device.endswith("Mapped"):
            sizes[kind] = sizes.get(kind, 0) + int(float(size) * 2**20)
    sizes["checkpoints"] = model._live.checkpoint_bytes
    status = _status()
    sizes |= {"before": before, "anonymous": status["RssAnon"], "mapped": _mapped(path)}
    sizes["libraries"] = status["RssFile"] - sizes["mapped"]
    _let_go(path)
    for _ in model.stream([*history, Message("user", "Go on.")], [], Options(max_tokens=generated, seed=1)):
        pass
    sizes["again"] = _mapped(path)
    model.close()
    del kept
    return sizes


def _listen(lines: list[str]) -> Any:
    """Send llama.cpp's log to `lines` from now on, whatever else asks for it. The result must be kept alive."""

    @lib.llama_log_callback
    def note(level: int, text: bytes | None, _: Any) -> None:
        lines.append((text or b"").decode("utf-8", "replace"))

    lib.llama_log_set(note, ctypes.c_void_p(0))
    lib.llama_log_set = lambda *_: None
    return note


def _status() -> dict[str, int]:
    """Return the bytes of each kind of memory that this process has."""
    lines = [line.split() for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()]
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if line[0].startswith("Rss")}


def _mappings(path: Path) -> Iterator[tuple[int, int, int]]:
    """Yield where a file lies in this process: begin, end, and the bytes of it in memory."""
    begin = end = 0
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        head = line.split()
        if "-" in head[0] and not head[0].endswith(":"):
            begin, end = (int(part, 16) for part in head[0].split("-"))
            end = end if line.endswith(str(path.resolve())) else 0
        elif end and head[0] == "Rss:":
            yield begin, end, int(head[1]) * 1024


def _mapped(path: Path) -> int:
    return sum(held for _, _, held in _mappings(path))


def _let_go(path: Path) -> None:
    """Take the pages of a file out of this process; what is read again comes back by itself."""
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for begin, end, _ in list(_mappings(path)):
        advise(begin, end - begin, mmap.MADV_DONTNEED)


if __name__ == "__main__":
    told = json.load(sys.stdin)
    messages = [Message(*message) for message in told["history"]]
    print(json.dumps(parts(Path(told["model"]), Fit(**told["fit"]), messages, told["generated"])))
