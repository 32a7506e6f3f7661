"""What the policies work on: practice repositories, and small repositories made from a seed, each with its repair."""

import random
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from qwencode import practice

_HUNK = re.compile(r"^@@ .*$", re.MULTILINE)
_VERBS = ("count", "merge", "split", "rank", "trim", "scale", "group", "pack", "shift", "join", "pick", "spread")
_NOUNS = ("orders", "parcels", "readings", "tickets", "tracks", "entries", "rooms", "crates", "notes", "stops")


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement of the repair, as `edit` takes it."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Case:
    """A repository with a fault. `files` are its texts by name; without any, it is the practice repository `name`."""

    name: str
    edits: tuple[Edit, ...]
    function: str
    test: str
    files: tuple[tuple[str, bytes], ...] = ()

    def build(self, folder: Path) -> Path:
        """Write the repository to a new folder, with one commit."""
        if not self.files:
            return practice.copy(self.name, folder)
        for name, data in self.files:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        identity = ("-c", "user.name=Bench", "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false")
        for words in (("init", "-q", "-b", "main"), ("add", "--all"), ("commit", "-qm", "Begin")):
            subprocess.run(["git", "-C", str(folder), *identity, *words], check=True)
        return folder.resolve()


def from_practice(name: str) -> Case:
    """Return a practice repository; its repair is the reference solution, hunk by hunk."""
    task = practice.task(name)
    command = " ".join(task.test)
    return Case(name, tuple(_edits(task.solution)), task.function.rpartition(".")[2], command)


def generated(seed: int = 0) -> list[Case]:
    """Make repositories that differ in what makes an agent's work hard: number and length of files, form, causes."""
    chance = random.Random(seed)
    return [
        _made(chance, "small", modules=1, functions=3),
        _made(chance, "wide", modules=40, functions=3),
        _made(chance, "long", modules=2, functions=120),
        _made(chance, "crlf", modules=2, functions=4, newline="\r\n", indent="\t"),
        _made(chance, "two causes", modules=4, functions=3, faults=2),
    ]


def _made(
    chance: random.Random,
    name: str,
    *,
    modules: int,
    functions: int,
    faults: int = 1,
    newline: str = "\n",
    indent: str = "    ",
) -> Case:
    files: dict[str, str] = {"tests/__init__.py": ""}
    edits: list[Edit] = []
    wanted = chance.sample(range(modules), faults)
    last = ""
    for number in range(modules):
        module = f"{chance.choice(_NOUNS)}_{number}"
        faulty = chance.randrange(functions // 2, functions) if number in wanted else -1
        names = [f"{chance.choice(_VERBS)}_{chance.choice(_NOUNS)}_{index}" for index in range(functions)]
        bodies = [_function(chance, each) for each in names]
        text = "\n\n".join(bodies)
        if faulty >= 0:
            whole = bodies[faulty]
            guard = next(line for line in whole.splitlines(keepends=True) if "if not" in line)
            after = whole.splitlines(keepends=True)[whole.splitlines(keepends=True).index(guard) + 2]
            lost = guard + whole.splitlines(keepends=True)[whole.splitlines(keepends=True).index(guard) + 1]
            bodies[faulty] = whole.replace(lost, "")
            text, last = "\n\n".join(bodies), names[faulty]
            head = bodies[faulty].splitlines(keepends=True)[0]
            old, new = head + _between(bodies[faulty], head, after), head + _between(whole, head, after)
            edits.append(Edit(f"{module}.py", old.replace("    ", indent), new.replace("    ", indent)))
            files[f"tests/test_{module}.py"] = _test(module, names, last)
        files[f"{module}.py"] = text.replace("    ", indent)
    texts = tuple((file, text.replace("\n", newline).encode()) for file, text in files.items())
    return Case(name, tuple(edits), last, "python3 -m unittest", texts)


def _function(chance: random.Random, name: str) -> str:
    factor, start = chance.randrange(2, 9), chance.randrange(5)
    return (
        f"def {name}(values):\n"
        f'    """Add up the values, each times {factor}, from {start}."""\n'
        f"    if not values:\n"
        f"        return 0\n"
        f"    total = {start}\n"
        f"    for value in values:\n"
        f"        total += value * {factor}\n"
        f"    return total // max(values)\n"
    )


def _between(text: str, head: str, after: str) -> str:
    """Return the lines after `head` up to and with the line `after`."""
    start = text.index(head) + len(head)
    return text[start : text.index(after, start) + len(after)]


def _test(module: str, names: list[str], faulty: str) -> str:
    lines = [
        "import unittest",
        "",
        f"import {module}",
        "",
        "",
        f"class {module.title().replace('_', '')}Test(unittest.TestCase):",
    ]
    for name in dict.fromkeys([*names[:3], faulty]):
        lines += [f"    def test_{name}(self):", f"        self.assertIsInstance({module}.{name}([1, 2, 3]), int)", ""]
    lines += ["    def test_nothing(self):", f"        self.assertEqual({module}.{faulty}([]), 0)", ""]
    return "\n".join(lines)


def _edits(diff: str) -> Iterable[Edit]:
    """Turn a unified diff into edits: every hunk is a text of the file and the text in its place."""
    for part in re.split(r"^diff --git .*$", diff, flags=re.MULTILINE)[1:]:
        file = re.findall(r"^\+\+\+ b/(.*)$", part, re.MULTILINE)[0]
        for hunk in _HUNK.split(part)[1:]:
            lines = hunk.lstrip("\n").splitlines(keepends=True)
            old = "".join(line[1:] for line in lines if line[0] in " -")
            new = "".join(line[1:] for line in lines if line[0] in " +")
            yield Edit(file, old, new)
