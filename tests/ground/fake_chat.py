"""A conversation that is a script: each input names a scene, and the scene yields its events at a human pace.

`python fake_chat.py FOLDER [SECONDS]` holds one at the terminal it is started in; loading takes SECONDS. What was asked
and answered is written to FOLDER/log, one line each, so that a test can see what arrived.
"""

import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from qwencode.errors import ModelUnavailable
from qwencode.events import (
    CallDelta,
    Event,
    InputOffered,
    Listed,
    MessageAdded,
    Notice,
    PhaseStarted,
    PlanChanged,
    PrefillProgress,
    Progress,
    ReplyFinished,
    RunStarted,
    ScreenCleared,
    TestChange,
    TextDelta,
    ThinkingDecided,
    ThinkingDelta,
    ToolFinished,
    ToolStarted,
    TreeChanged,
    TurnEnded,
    TurnStarted,
    VerdictReached,
)
from qwencode.jobs.chat.person import Person, Question
from qwencode.jobs.chat.status import Mode, Status
from qwencode.messages import Message, ToolCall, Usage

FIRST = Status("qwen3.6-35b-a3b", False, "ask", "auto", 0, 65_536, 0.0, "", None)
DIFF = """--- a/calc.py
+++ b/calc.py
@@ -1,3 +1,3 @@
 def add(a, b):
-    return a - b
+    return a + b

"""
PROSE = """# What is wrong

The function **add** in `calc.py` takes the difference, so both tests that sum fail. One sign has to change:

```python
def add(a, b):
    \"\"\"Add two numbers.\"\"\"
    return a + b
```

Two more things to know:

1. nothing else calls it
2. 漢字 and 🙂 are as wide as they are

| test | before |
|------|--------|
| test_add | failed |

Done.
"""
LONG = "\n".join(f"line {number}" for number in range(1, 201))
LONG_DIFF = "--- a/big.py\n+++ b/big.py\n@@ -1,60 +1,60 @@\n" + "\n".join(f"+new line {n}" for n in range(1, 61)) + "\n"
MODES: tuple[Mode, ...] = ("plan", "ask", "auto")
Scene = Callable[["FakeChat", str], Iterator[Event]]


@dataclass(frozen=True, slots=True)
class Offer:
    text: str
    start: int
    help: str = ""


def pieces(text: str, size: int = 7) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


class FakeChat:
    """Plays scenes. `log` gets what a test wants to know."""

    def __init__(self, person: Person, log: Callable[[str], None], load: float = 0.0):
        self.person = person
        self.log = log
        self.over = False
        self._load = load
        self._turn = 0
        self.status = replace(FIRST, branch="main", unsaved=2)

    def open(self) -> Generator[Event, None, None]:
        yield RunStarted("chat", "/src/calc", "s1", "0.1.0", model=FIRST.model)
        yield PhaseStarted("model", "Loading qwen3.6-35b-a3b")
        steps = max(int(self._load / 0.05), 1)
        for step in range(steps):
            time.sleep(self._load / steps)
            yield Progress("model", step + 1, steps, "blocks", self._load * (1 - (step + 1) / steps))
        self.status = replace(self.status, loaded=True)
        yield Notice("Loaded.")

    def take(self, line: str) -> Generator[Event, None, None]:
        self.log(f"took {len(line)} characters: {line[:60]!r}")
        name, _, rest = line.partition(" ")
        scene = SCENES.get(name)
        try:
            if scene is None:
                yield Notice(f"There is no scene {name[:20]!r}.", "error")
            else:
                yield from self._turn_of(scene, line, rest)
        except KeyboardInterrupt:
            self.log("interrupted")
            yield TurnEnded(self._turn, "interrupted")
            yield Notice("interrupted")

    def completions(self, text: str) -> list[Offer]:
        word = text.split(" ")[-1]
        names = ["/help", "/history", "/quit"] if text.startswith("/") else ["@calc.py", "@tests/test_calc.py"]
        return [Offer(name, -len(word), f"about {name}") for name in names if word and name.startswith(word)]

    def switch_mode(self) -> None:
        self.status = replace(self.status, mode=MODES[(MODES.index(self.status.mode) + 1) % 3])

    def close(self) -> None:
        self.log("closed")

    def _turn_of(self, scene: Scene, line: str, rest: str) -> Iterator[Event]:
        self._turn += 1
        yield TurnStarted(self._turn, line, 0)
        yield from scene(self, rest)
        self.status = replace(self.status, tokens=self.status.tokens + 13_000, speed=14.2)
        yield TurnEnded(self._turn, "answered")


def prose(chat: FakeChat, rest: str) -> Iterator[Event]:
    for piece in pieces(PROSE):
        time.sleep(0.005)
        yield TextDelta(piece)
    yield ReplyFinished("stop", Usage(2048, 1900, 148, 120, 1.2, 8.5))


def think(chat: FakeChat, rest: str) -> Iterator[Event]:
    yield ThinkingDecided(True, "the first turn of a task", 1000)
    for number in range(int(rest or "40")):
        time.sleep(0.02)
        yield ThinkingDelta(f"thought {number} ")
    yield TextDelta("So it is the sign.\n")
    yield ReplyFinished("stop", Usage(100, 0, 100, 45, 1.0, 2.0))


def prefill(chat: FakeChat, rest: str) -> Iterator[Event]:
    for done in range(0, 8193, 128):
        time.sleep(0.1)
        yield PrefillProgress(done, 8192, 1024, 120.0, (8192 - done) / 120)
    yield TextDelta("I have read it.\n")


def decode(chat: FakeChat, rest: str) -> Iterator[Event]:
    yield TextDelta("The first paragraph is whole.\n\n")
    for number in range(2000):
        time.sleep(0.01)
        yield TextDelta(f"word{number} ")


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall("c1", name, arguments)


def tool(chat: FakeChat, rest: str) -> Iterator[Event]:
    read = call("read_file", file_path="calc.py")
    yield TextDelta("I read it first.")
    yield CallDelta("read_file", "file_path", "calc.py")
    yield ReplyFinished("tool_calls", Usage(2048, 1900, 148, 12, 1.2, 0.8))
    yield ToolStarted(read)
    yield MessageAdded(Message("tool", LONG, answers="c1"))
    yield ToolFinished(read, True, "calc.py: 200 lines", 0.01)
    yield PlanChanged((("read calc.py", "done"), ("mend the sign", "in_progress"), ("run the tests", "pending")))
    tests = call("run_tests", selection="tests/test_calc.py")
    yield ToolStarted(tests)
    yield MessageAdded(Message("tool", "E assert 1 == 3\nFAILED test_add", answers="c1"))
    yield ToolFinished(tests, False, "tests: 1 failed, 3 passed", 2.14)


def slow_tool(chat: FakeChat, rest: str) -> Iterator[Event]:
    shell = call("run_shell_command", command="sleep 60")
    yield ToolStarted(shell)
    time.sleep(60)
    yield ToolFinished(shell, True, "sleep 60: exit code 0", 60)


def allow_edit(chat: FakeChat, rest: str) -> Iterator[Event]:
    asked = call("edit", file_path="calc.py")
    answer = chat.person.allow(Question(asked, "Edit calc.py", diff=DIFF, always="edits in this repository"))
    chat.log(f"answer {answer}")
    yield ToolFinished(asked, answer.allow, "edited calc.py" if answer.allow else "not allowed")


def allow_command(chat: FakeChat, rest: str) -> Iterator[Event]:
    asked = call("run_shell_command", command="pytest -q")
    time.sleep(float(rest or "0"))
    answer = chat.person.allow(Question(asked, "Run a command", command="pytest -q", always="commands: pytest …"))
    chat.log(f"answer {answer}")
    yield ToolFinished(asked, answer.allow, f"{answer.command or 'pytest -q'}: exit code 0")


def choose(chat: FakeChat, rest: str) -> Iterator[Event]:
    rows = [f"turn {number}: ask about {what}" for number, what in enumerate(("add", "sub", "mul", "div"), 1)]
    chat.log(f"chose {chat.person.choose('Go back to', rows)}")
    yield Notice("Chosen.")


def confirm(chat: FakeChat, rest: str) -> Iterator[Event]:
    chat.log(f"confirmed {chat.person.confirm('Use what this folder says?')}")
    yield Notice("Asked.")


def edit(chat: FakeChat, rest: str) -> Iterator[Event]:
    chat.log(f"edited {chat.person.edit('Mend the sign', 'COMMIT_EDITMSG')!r}")
    yield Notice("Edited.")


def diff(chat: FakeChat, rest: str) -> Iterator[Event]:
    yield TreeChanged(DIFF, ("calc.py",))
    yield TreeChanged(LONG_DIFF, ("big.py",))


def proof(chat: FakeChat, rest: str) -> Iterator[Event]:
    yield VerdictReached("fixed", "Fixed: 1 of 1.", "model", (TestChange("test_add", "failed", "passed"),), 3, 4)


def listed(chat: FakeChat, rest: str) -> Iterator[Event]:
    yield Listed("Sessions", ("id", "begun"), (("s1", "today"), ("s2", "yesterday")))


def evil(chat: FakeChat, rest: str) -> Iterator[Event]:
    yield TextDelta("before \x1b]0;owned\x07\x1b[2J after\n")
    yield Notice("a \x1b[31mnotice")


def offer(chat: FakeChat, rest: str) -> Iterator[Event]:
    yield InputOffered("say it again")


def clear(chat: FakeChat, rest: str) -> Iterator[Event]:
    yield ScreenCleared()


def bug(chat: FakeChat, rest: str) -> Iterator[Event]:
    yield Notice("here it comes")
    raise ZeroDivisionError("a bug of ours")


def quit_(chat: FakeChat, rest: str) -> Iterator[Event]:
    chat.over = True
    yield Notice("Bye.")


SCENES: dict[str, Scene] = {
    **{each.__name__: each for each in (prose, think, prefill, decode, tool, slow_tool, allow_edit, allow_command)},
    **{each.__name__: each for each in (choose, confirm, edit, diff, proof, listed, evil, offer, clear, bug)},
    "/quit": quit_,
}


def main() -> int:
    folder, load, keys = Path(sys.argv[1]), float((sys.argv[2:3] or ["0"])[0]), (sys.argv[3:4] or ["emacs"])[0]
    from qwencode.ui.chat.app import talk

    def log(text: str) -> None:
        with (folder / "log").open("a", encoding="utf-8") as stream:
            stream.write(text + "\n")

    def make(person: Person) -> FakeChat:
        if load < 0:
            raise ModelUnavailable("There is no model.")
        return FakeChat(person, log, load)

    try:
        return talk(make, folder / "state" / "history", FIRST, keys)
    except ModelUnavailable as error:
        sys.stderr.write(f"qwencode: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
