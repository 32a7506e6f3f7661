"""The fork server on real repositories: what a swap can express, and what it must survive."""

import py_compile
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwencode.repair.forkserver import ForkServer, ServerFailed
from qwencode.sandbox.protocol import Sandbox
from qwencode.verify.results import Baseline
from qwencode.workspace import Workspace

MODULE = '''"""Everything that can hold code."""

import functools

LIMIT = 3
OTHER = 10
DOUBLE = OTHER * 2


def plain(a, b):
    return a - b


def defaults(a, b=1, *, c=1):
    return a + b + c


def outer(n):
    def inner(x):
        return x - n
    return inner


add_two = outer(2)


def trace(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper


@trace
def decorated(a):
    return a


@functools.lru_cache
def cached(a):
    return a


def numbers(n):
    for i in range(n):
        yield i


async def slow(a):
    return a


square = lambda a: a + a


class Thing:
    size = 1

    def method(self, a):
        return a - self.size

    @property
    def big(self):
        return self.size < 0

    @staticmethod
    def static(a):
        return -a

    @classmethod
    def make(cls):
        return None

    def __eq__(self, other):
        return False

    class Inner:
        def deep(self):
            return 1


def limit():
    return LIMIT
'''
CASES = {  # name: (assertion that fails, text, replacement)
    "function": ("m.plain(1, 2) == 3", "return a - b", "return a + b"),
    "default": ("m.defaults(1) == 4", "b=1, *", "b=2, *"),
    "keyword default": ("m.defaults(1) == 5", "c=1", "c=3"),
    "closure": ("m.outer(1)(2) == 3", "return x - n", "return x + n"),
    "living closure": ("m.add_two(1) == 3", "return x - n", "return x + n"),
    "decorated": ("m.decorated(1) == 2", "def decorated(a):\n    return a", "def decorated(a):\n    return a + 1"),
    "decorator": ("m.decorated(1) == 2", "return function(*args)", "return function(*args) + 1"),
    "cached": ("m.cached(1) == 2", "def cached(a):\n    return a", "def cached(a):\n    return a + 1"),
    "generator": ("list(m.numbers(2)) == [1, 2]", "yield i", "yield i + 1"),
    "coroutine": (
        "asyncio.run(m.slow(1)) == 2",
        "async def slow(a):\n    return a",
        "async def slow(a):\n    return a + 1",
    ),
    "lambda": ("m.square(3) == 9", "lambda a: a + a", "lambda a: a * a"),
    "method": ("m.Thing().method(1) == 2", "return a - self.size", "return a + self.size"),
    "property": ("m.Thing().big", "self.size < 0", "self.size > 0"),
    "static method": ("m.Thing.static(1) == 1", "return -a", "return a"),
    "class method": ("type(m.Thing.make()) is m.Thing", "return None", "return cls()"),
    "special method": ("m.Thing() == 1", "return False", "return True"),
    "inner class": (
        "m.Thing.Inner().deep() == 2",
        "deep(self):\n            return 1",
        "deep(self):\n            return 2",
    ),
    "class attribute": ("m.Thing().size == 2", "size = 1", "size = 2"),
    "constant": ("m.limit() == 4", "LIMIT = 3", "LIMIT = 4"),
}
IMPORTED = {  # what a swap must refuse, and a fresh import expresses
    "constant used at import": ("m.DOUBLE == 22", "OTHER = 10", "OTHER = 11"),
    "constant imported elsewhere": ("u.twice() == 8", "LIMIT = 3", "LIMIT = 4"),
    "new definition": (
        "m.Thing.new(m.Thing()) == 1",
        "    class Inner",
        "    def new(self):\n        return 1\n\n    class Inner",
    ),
    "decorator gone": ("m.cached([]) == []", "@functools.lru_cache\n", ""),
    "base class": ("issubclass(m.Thing, dict)", "class Thing:", "class Thing(dict):"),
}

Start = Callable[..., ForkServer]


@pytest.fixture
def start(lab: Callable[..., Any], request: pytest.FixtureRequest) -> Start:
    """Start a server for files whose tests are named `test_ok…` when they pass."""

    def begin(files: dict[str, str], mode: str = "swap") -> ForkServer:
        found = [(name, re.findall(r"^def (test_\w+)", text, re.M)) for name, text in files.items() if "test" in name]
        tests = [f"{name}::{test}" for name, inside in found for test in inside]
        known = {test: "passed" if "::test_ok" in test else "failed" for test in tests}
        workspace, sandbox, baseline, _ = lab(files, known=known)
        return open_server(request, workspace, sandbox, baseline, mode)

    return begin


def open_server(
    request: pytest.FixtureRequest, workspace: Workspace, sandbox: Sandbox, baseline: Baseline, mode: Any
) -> ForkServer:
    server = ForkServer(sandbox, baseline, mode)
    request.addfinalizer(server.close)
    ready = server.one(60)
    assert "ready" in ready
    return server


def outcome(server: ForkServer, file: str, source: str, **extra: Any) -> dict[str, Any]:
    server.send({"id": 7, "file": file, "source": source, **extra})
    answer = server.one(60)
    assert answer["id"] == 7
    return answer


def suite(cases: dict[str, tuple[str, str, str]]) -> dict[str, str]:
    """One test for each case, each its own goal: a candidate mends one, and `all` tells which."""
    tests = [f"def test_{name.replace(' ', '_')}():\n    assert {check}\n" for name, (check, _, _) in cases.items()]
    return {
        "m.py": MODULE,
        "u.py": "from m import LIMIT\n\n\ndef twice():\n    return LIMIT * 2\n" if cases is IMPORTED else "",
        "test_m.py": "import asyncio\n\nimport m\nimport u\n\n\n" + "\n\n".join(tests),
    }


def test_every_kind_of_code_is_swapped(start: Start):
    server = start(suite(CASES))
    for name, (_, old, new) in CASES.items():
        assert MODULE.count(old) == 1, name
        answer = outcome(server, "m.py", MODULE.replace(old, new), all=True)
        assert answer["outcome"] == "plausible", (name, answer)
        assert f"test_m.py::test_{name.replace(' ', '_')}" in answer["mended"], name


def test_what_a_swap_cannot_express_is_refused_and_a_fresh_import_does_it(start: Start):
    swap = start(suite(IMPORTED))
    for name, (_, old, new) in IMPORTED.items():
        assert outcome(swap, "m.py", MODULE.replace(old, new), all=True)["outcome"] == "cannot", name
    fresh = start(suite(IMPORTED), "fresh")
    for name, (_, old, new) in IMPORTED.items():
        answer = outcome(fresh, "m.py", MODULE.replace(old, new), all=True)
        assert f"test_m.py::test_{name.replace(' ', '_')}" in answer["mended"], (name, answer)


FRAGILE = {
    "a.py": "def f():\n    return 1\n",
    "test_a.py": "from a import f\n\n\ndef test_f():\n    assert f() == 2\n\n\ndef test_ok():\n    pass\n",
}
HOSTILE = {
    "endless loop": "def f():\n    while True:\n        pass\n",
    "deaf loop": (
        "def f():\n    while True:\n        try:\n            while True:\n"
        "                pass\n        except BaseException:\n            pass\n"
    ),
    "sleep": "def f():\n    import time\n    time.sleep(1000)\n",
    "exit": "def f():\n    import os\n    os._exit(0)\n",
    "system exit": "def f():\n    raise SystemExit(0)\n",
    "signal": "def f():\n    import os\n    os.kill(os.getpid(), 11)\n",
    "noise": "def f():\n    for _ in range(20000):\n        print('x' * 100, flush=True)\n    return 1\n",
    "raw noise": "def f():\n    import os\n    os.write(1, b'{}\\n' * 1000)\n    os.write(2, b'{}\\n')\n    return 1\n",
    "closed files": "def f():\n    import os\n    os.closerange(0, 64)\n",
    "memory": "def f():\n    x = [0]\n    while True:\n        x = x * 2\n",
    "recursion": "def f():\n    return f()\n",
    "fork": "def f():\n    import os, time\n    if os.fork() == 0:\n        time.sleep(1000)\n    return 1\n",
    "daemon": (
        "def f():\n    import os, time\n    if os.fork() == 0:\n        os.setsid()\n"
        "        time.sleep(5)\n        os._exit(0)\n    return 1\n"
    ),
    "pytest exit": "def f():\n    import pytest\n    pytest.exit('no')\n",
    "skip": "def f():\n    import pytest\n    pytest.skip('no')\n",
    "interrupt": "def f():\n    raise KeyboardInterrupt\n",
}


@pytest.mark.slow
def test_hostile_candidates_fail_and_the_server_lives_on(start: Start):
    server = start(FRAGILE)
    for name, source in HOSTILE.items():
        began = time.monotonic()
        answer = outcome(server, "a.py", source)
        assert answer["outcome"] in ("goal_failed", "timeout", "crashed"), (name, answer)
        assert time.monotonic() - began < 20, name
    assert outcome(server, "a.py", "def f():\n    return 2\n")["outcome"] == "plausible"


def test_no_answer_is_lost(start: Start):
    """A child that answers and ends between two looks of the server was once taken for crashed."""
    server = start(FRAGILE)
    number, answers = 0, list[dict[str, Any]]()
    while len(answers) < 200:
        while number - len(answers) < 4:
            server.send({"id": number, "file": "a.py", "source": "def f():\n    return 2\n"})
            number += 1
        answers += server.receive(10)
    assert {answer["outcome"] for answer in answers} == {"plausible"}


def test_outcomes(start: Start):
    server = start(
        {
            "a.py": "def f(x):\n    return x\n",
            "test_a.py": (
                "from a import f\n\n\ndef test_one():\n    assert f(1) == 2\n\n\n"
                "def test_ok_zero():\n    assert f(0) == 0\n"
            ),
        }
    )
    assert outcome(server, "a.py", "def f(x):\n    return x + x\n")["outcome"] == "plausible"
    broke = outcome(server, "a.py", "def f(x):\n    return 2\n")
    assert (broke["outcome"], broke["test"]) == ("broke", "test_a.py::test_ok_zero")
    assert outcome(server, "a.py", "def f(x):\n    return 3\n")["outcome"] == "goal_failed"
    assert outcome(server, "a.py", "def f(x):\n    return (\n")["outcome"] == "invalid"


def test_fixtures_parameters_and_scopes_work_in_children(start: Start):
    tests = """import pytest
from a import f

made = []


@pytest.fixture(scope="session")
def whole():
    made.append("session")
    return 1


@pytest.fixture(scope="module")
def part(whole, tmp_path_factory):
    made.append("module")
    return tmp_path_factory.mktemp("x")


class TestA:
    @pytest.mark.parametrize("x", [1, 2])
    def test_f(self, x, part, tmp_path, monkeypatch, capsys, whole):
        monkeypatch.setenv("A", str(x))
        print("out")
        (tmp_path / "f").write_text("1")
        assert f(x) == x + whole
        assert capsys.readouterr().out == "out\\n"

    def test_made(self, part):
        assert made == ["session", "module"]


def test_both(whole):
    assert f(5) == 6
"""
    server = start({"a.py": "def f(x):\n    return x\n", "tests/test_a.py": tests, "conftest.py": ""})
    assert outcome(server, "a.py", "def f(x):\n    return x + 1\n")["outcome"] == "plausible"
    assert outcome(server, "a.py", "def f(x):\n    return x + 2\n")["outcome"] == "goal_failed"


def test_two_at_a_time(start: Start):
    """Each child waits until it has seen another one beside it, so that one at a time could never pass."""
    tests = """import os, tempfile, time
from a import f

HERE = os.path.join(tempfile.gettempdir(), "here")


def test_f():
    open(HERE, "ab").write(b".")
    end = time.monotonic() + 20
    while os.path.getsize(HERE) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert os.path.getsize(HERE) >= 2
    assert f() == 2
"""
    server = start({"a.py": "def f():\n    return 1\n", "test_a.py": tests})
    for number in (2, 3):
        server.send({"id": number, "file": "a.py", "source": f"def f():\n    return {number}\n"})
    answers: list[dict[str, Any]] = []
    while len(answers) < 2:
        answers += server.receive(30)
    assert {answer["id"]: answer["outcome"] for answer in answers} == {2: "plausible", 3: "goal_failed"}


def test_unittest_suites_are_run_through_pytest(lab: Callable[..., Any], request: pytest.FixtureRequest):
    tests = (
        "import unittest\nfrom a import f\n\n\nclass T(unittest.TestCase):\n"
        "    def test_f(self):\n        self.assertEqual(f(), 2)\n\n"
        "    def test_ok(self):\n        pass\n"
    )
    workspace, sandbox, baseline, _ = lab(
        {
            "a.py": "def f():\n    return 1\n",
            "tests/__init__.py": "",
            "tests/testing_a.py": "",
            "tests/test_a.py": tests,
        },
        "python3 -m unittest",
    )
    assert baseline.command.runner == "unittest"
    assert baseline.goal == ("tests.test_a.T.test_f",)
    server = open_server(request, workspace, sandbox, baseline, "swap")
    assert outcome(server, "a.py", "def f():\n    return 2\n")["outcome"] == "plausible"
    assert outcome(server, "a.py", "def f():\n    return 3\n")["outcome"] == "goal_failed"


def test_bytecode_caches_are_not_believed(start: Start, tmp_path: Path):
    source = tmp_path / "repository" / "a.py"
    planted = tmp_path / "a.py"
    planted.write_text("def f():\n    return 2\n")
    cache = Path(
        py_compile.compile(
            str(planted), cfile=str(tmp_path / "c.pyc"), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )
        or ""
    )
    home = source.parent / "__pycache__"
    home.mkdir(parents=True)
    (home / f"a.{sys.implementation.cache_tag}.pyc").write_bytes(cache.read_bytes())
    again = start(FRAGILE)
    assert outcome(again, "a.py", FRAGILE["a.py"])["outcome"] == "goal_failed"


def test_a_server_that_is_gone_says_so(start: Start):
    server = start(FRAGILE)
    server.close()
    with pytest.raises(ServerFailed):
        outcome(server, "a.py", "def f():\n    return 2\n")


def test_closing_leaves_no_process(start: Start):
    server = start(FRAGILE)
    for number in range(4):
        server.send({"id": number, "file": "a.py", "source": HOSTILE["sleep"]})
    time.sleep(0.3)
    server.close()
    marks = [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"inside_server.py" in read(path)]
    folder = str(server.folder).encode()
    assert not [path for path in marks if folder in read(path)]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
