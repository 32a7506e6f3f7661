"""Make the screens of docs/chat.md from real runs of `qwencode chat` in tmux.

    python tools/screens.py            writes them into docs/chat.md
    python tools/screens.py --check    says whether a run still looks as the page does; exit code 1 if not

The command, the repository, the tools, the sandbox and the terminal are real. The model is not: a server on the
loopback interface says what is written below, word for word, so that the screens can be made again. What a machine
decides (times, speeds, the port) is not compared. A screen is the block behind the marker of its name.
"""

import argparse
import difflib
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "ground"))

from loopback import Answer, Loopback, delta, events, serving  # noqa: E402
from tmux import Tmux  # noqa: E402

PAGE = ROOT / "docs" / "chat.md"
MODEL = "scripted"
SIZE = (90, 26)
FILES = {
    "calc.py": 'def add(a, b):\n    """Add two numbers."""\n    return a - b\n',
    "test_calc.py": "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n",
}
ANSWER = """The sign in `add` is wrong: it takes the **difference**.

```python
def add(a, b):
    return a + b
```

- one line has to change
- `test_add` covers it
"""
_BLOCK = re.compile(r"(<!-- screen: (?P<name>[a-z-]+) -->\n```text\n)(?P<text>.*?)(```\n)", re.DOTALL)
_SPINNER = re.compile("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]")


def said(
    text: str = "",
    thinking: str = "",
    call: tuple[str, Mapping[str, str]] | None = None,
    wait: Callable[[], None] = str,
) -> Iterator[bytes]:
    """Yield one reply of the server, in pieces; `wait` is called when the prompt is half read."""
    for done in (1024, 2048):
        progress = {"total": 2048, "cache": 512, "processed": done, "time_ms": done * 4.0}
        yield events({"choices": [], "prompt_progress": progress}, done=False)
        if done == 1024:
            wait()
    for piece in re.findall(r"\S+\s*|\s+", thinking):
        yield events(delta(reasoning_content=piece), done=False)
    for piece in re.findall(r"\S+\s*|\s+", text):
        yield events(delta(content=piece), done=False)
    if call:
        name, arguments = call
        function = {"name": name, "arguments": json.dumps(arguments)}
        yield events(delta(tool_calls=[{"index": 0, "id": "call-1", "function": function}]), done=False)
    times = {"cache_n": 512, "prompt_n": 1536, "prompt_ms": 8_192.0, "predicted_n": 64, "predicted_ms": 4_571.0}
    last = {**delta("tool_calls" if call else "stop"), "timings": times}
    last["usage"] = {"prompt_tokens": 2048, "completion_tokens": 64, "prompt_tokens_details": {"cached_tokens": 512}}
    yield events(last)


class Stage:
    """A repository, a server and a window, in which a session runs."""

    def __init__(self, folder: Path, server: Loopback):
        self.root = folder / "calc"
        self.server = server
        self.gate = threading.Event()
        self.window = Tmux(*SIZE)
        self.root.mkdir()
        for name, text in FILES.items():
            (self.root / name).write_text(text)
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Begin"]):
            identity = ["-c", "user.name=You", "-c", "user.email=you@example.invalid"]
            subprocess.run(["git", "-C", str(self.root), *identity, *words], check=True)
        places = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("CONFIG", "DATA", "STATE", "CACHE")}
        command = [sys.executable, "-c", "from qwencode.cli import main; main()", "chat", "--model", server.url]
        self._session = (command, self.root, {"PYTHONPATH": str(ROOT), **places})

    def open(self) -> None:
        """Begin the session, and wait until it is ready."""
        self.window.start(*self._session)
        # The end of the opening has to be there, too: what is not printed yet cannot be cleared away.
        self.window.wait("main", lambda screen: ")\nask ❯" in screen and "not loaded" not in screen)
        self.window.press("C-l")
        self.window.gone("qwencode chat")

    def answers(self, *replies: Iterator[bytes]) -> None:
        self.server.answers += [Answer(reply) for reply in replies]

    def shot(self, *wanted: str | Callable[[str], bool]) -> str:
        """Return the screen, when what is wanted stands on it, with what only this machine says made alike."""
        screen = self.window.wait(*wanted)
        port = self.server.url.rpartition(":")[2]
        screen = screen.replace(port, "48080").replace(str(self.root), "/src/calc")
        return _SPINNER.sub("⠋", "\n".join(line.rstrip() for line in screen.rstrip().split("\n"))).strip("\n") + "\n"


def answer(stage: Stage) -> Iterator[tuple[str, str]]:
    """A question, and its answer."""
    stage.answers(said(ANSWER, "The test adds one and two, so look at the sign."))
    stage.window.say("Why does test_add fail?")
    yield "answer", stage.shot("test_add covers it", "written at", "context 2,112")


def working(stage: Stage) -> Iterator[tuple[str, str]]:
    """What is going on stands above the prompt, and what is typed meanwhile waits."""
    stage.answers(said(ANSWER, wait=stage.gate.wait), said("You are welcome."))  # type: ignore[arg-type]
    stage.window.say("Why does test_add fail?")
    stage.window.wait("from cache")
    stage.window.say("Thank you")
    yield "reading", stage.shot("1,024 of 2,048", "… Thank you", "1 queued")
    stage.gate.set()
    stage.window.wait("You are welcome.")


def consent(stage: Stage) -> Iterator[tuple[str, str]]:
    """An edit is shown before it is made."""
    edit = {"file_path": "calc.py", "old_string": "    return a - b", "new_string": "    return a + b"}
    stage.answers(
        said("I look at the function first.", call=("read_file", {"file_path": "calc.py"})),
        said("One sign is wrong.", call=("edit", edit)),
        said("`add` adds now."),
    )
    stage.window.say("Mend add, please.")
    yield "consent", stage.shot("y yes", "context 2,112")
    stage.window.press("y")
    yield "changed", stage.shot("add adds now.", "changed: calc.py", "1 unsaved")


def commands(stage: Stage) -> Iterator[tuple[str, str]]:
    """The menu of commands."""
    stage.window.type("/re")
    yield "menu", stage.shot("/retry", "/rewind")


def made() -> dict[str, str]:
    """Run every scene and return its screens by their names."""
    found: dict[str, str] = {}
    for scene in (answer, working, consent, commands):
        pages = {"/v1/models": {"data": [{"id": MODEL}]}, "/props": {"default_generation_settings": {"n_ctx": 32_768}}}
        with tempfile.TemporaryDirectory() as folder, serving(Loopback(pages=pages)) as server:
            stage = Stage(Path(folder), server)
            try:
                stage.open()
                found.update(scene(stage))
            finally:
                stage.gate.set()
                stage.window.close()
    return found


def compared(screen: str) -> str:
    """Return a screen without what differs from run to run: every number, and where lines break because of them."""
    return " ".join(re.sub(r"\d[\d,.]*", "0", screen).split())


def main() -> int:
    """Write or check the page."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="compare instead of writing")
    check = options.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    named = {match["name"]: match["text"] for match in _BLOCK.finditer(page)}
    screens = made()
    if named.keys() != screens.keys():
        sys.stderr.write(f"{PAGE.name} has {sorted(named)}, and there are {sorted(screens)}\n")
        return 1
    if not check:
        PAGE.write_text(_BLOCK.sub(lambda match: f"{match[1]}{screens[match['name']]}```\n", page), encoding="utf-8")
        return 0
    wrong = [name for name, text in named.items() if compared(text) != compared(screens[name])]
    for name in wrong:
        lines: list[Any] = [each.split("\n") for each in (named[name], screens[name])]
        sys.stderr.write("\n".join(difflib.unified_diff(*lines, PAGE.name, f"now: {name}", lineterm="")) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
