"""What a process of the engine alone holds in memory after a prompt and a reply. A program of its own: see `memory.py`.

It imports nothing of the benchmark, and opens the file once, since whatever else a process did is in its memory too.
Reads what to run from its input, as JSON, and writes the bytes of each part to its output, as JSON.
"""

import ctypes
import json
import re
import sys
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
    model = LlamaModel(path, fit)
    found = _BUFFER.findall("".join(lines))
    for _ in model.stream(history, [], Options(max_tokens=generated, seed=0)):
        pass
    sizes: dict[str, int] = {"file": path.stat().st_size, "KV": 0, "RS": 0, "compute": 0, "output": 0}
    for device, kind, size in found:
        if kind != "model" or not device.endswith("Mapped"):
            sizes[kind] = sizes.get(kind, 0) + int(float(size) * 2**20)
    sizes["checkpoints"] = model._live.checkpoint_bytes
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    sizes["anonymous"] = int(status["RssAnon"].split()[0]) * 1024
    maps = Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace")
    sizes["libraries"] = int(status["RssFile"].split()[0]) * 1024 - _mapped(maps, path)
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


def _mapped(maps: str, path: Path) -> int:
    """Return the bytes of a file that this process has in memory."""
    held, counts = 0, False
    for line in maps.splitlines():
        head = line.split()
        if "-" in head[0] and not head[0].endswith(":"):
            counts = line.endswith(str(path.resolve()))
        elif counts and head[0] == "Rss:":
            held += int(head[1]) * 1024
    return held


if __name__ == "__main__":
    told = json.load(sys.stdin)
    messages = [Message(*message) for message in told["history"]]
    print(json.dumps(parts(Path(told["model"]), Fit(**told["fit"]), messages, told["generated"])))
