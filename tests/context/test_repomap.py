"""The repository map on real repositories: what it shows, what it never shows, and where it must lead."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from qwencode import practice
from qwencode.context.repomap.outline import CHARS_PER_TOKEN
from qwencode.context.repomap.repository import (
    LEAST_TOKENS,
    MESSAGE_TOKENS,
    RepositoryMap,
    budget_tokens,
)
from qwencode.verify.results import TestResult
from qwencode.workspace import Workspace

Make = Callable[[Mapping[str, str | bytes]], RepositoryMap]
SHELVES = '''
from boxes import Box


class Shelf:
    """Holds boxes."""

    WIDTH = 20

    def __init__(self, width=WIDTH):
        self.boxes = []

    def put(self, box: Box) -> None:
        def fits():
            return box.width < self.WIDTH

        if fits():
            self.boxes.append(box)


def unrelated():
    return 1
'''
BOXES = "class Box:\n    def __init__(self, width):\n        self.width = width\n"
TESTS = "from shelves import Shelf\n\n\ndef test_a_wide_box():\n    Shelf().put(1)\n"


def drawn(repository: Path, tmp_path: Path) -> RepositoryMap:
    return RepositoryMap(Workspace(repository), tmp_path / "cache")


@pytest.fixture
def make(repository: Path, tmp_path: Path) -> Make:
    """Write files into the repository and return its map."""

    def make(files: Mapping[str, str | bytes]) -> RepositoryMap:
        for name, content in files.items():
            path = repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return drawn(repository, tmp_path)

    return make


def failed(test: str, message: str = "", file: str = "") -> TestResult:
    return TestResult(test, "failed", message=message, file=file or test.partition("::")[0])


def lines_of(text: str, path: str) -> list[str]:
    """Return the lines that a map shows of a file."""
    blocks = re.split(r"^(?!\d+\|)(.*?):(?: …)?$", text, flags=re.MULTILINE)
    return dict(zip(blocks[1::2], blocks[2::2], strict=True)).get(path, "").strip("\n").split("\n")


class TestWhatItShows:
    def test_definitions_stand_with_their_line_in_what_they_belong_to(self, make: Make):
        text = make({"shelves.py": SHELVES, "boxes.py": BOXES}).render(1_000, task="Mend Shelf.put().")
        assert lines_of(text, "shelves.py") == [
            "5|class Shelf",
            "10|  def __init__(self, width=WIDTH)",
            "13|  def put(self, box: Box) -> None",
            "14|    def fits() …",
        ]
        assert "1|class Box" in lines_of(text, "boxes.py")

    def test_a_failing_test_leads_to_what_it_uses(self, make: Make):
        repository = make(
            {"shelves.py": SHELVES, "boxes.py": BOXES, "tests/test_shelves.py": TESTS, "z.py": "def z(): 0"}
        )
        text = repository.render(1_000, tests=[failed("tests/test_shelves.py::test_a_wide_box")])
        assert text.startswith("shelves.py:") and "  def put(" in text
        assert "def z" not in text and "test_a_wide_box" not in text

    def test_a_traceback_leads_to_the_functions_in_it(self, make: Make):
        files = {f"part{n}.py": f"def alone{n}():\n    x = 1\n    return x\n" for n in range(30)}
        message = 'File "/somewhere/else/part17.py", line 2, in alone17\nE  KeyError\npart23.py:3: KeyError'
        text = make(files).render(100, tests=[failed("tests/gone.py::test_x", message)])
        assert "def alone17" in text and "def alone23" in text and text.count("def ") == 2

    def test_files_in_play_come_first_and_tests_are_shown_only_then(self, make: Make):
        repository = make({"shelves.py": SHELVES, "boxes.py": BOXES, "tests/test_shelves.py": TESTS})
        assert "test" not in repository.render(1_000)
        assert repository.render(1_000, files=["boxes.py"]).startswith("boxes.py:")
        assert "4|def test_a_wide_box" in repository.render(1_000, files=["tests/test_shelves.py"])

    def test_words_of_the_task_are_found_inside_of_names(self, make: Make):
        files = {f"m{n}.py": f"def f{n}a():\n    return {n}\n" for n in range(40)}
        files |= {"tax.py": "def half_up(n): 0\n", "app.ts": "export class RoundingMode {}\n"}
        text = make(files).render(60, task="Something is rounded to the wrong half.")
        assert "def half_up" in text and "class RoundingMode" in text and "def f" not in text

    def test_without_anything_to_go_by_what_is_used_most_comes_first(self, make: Make):
        files = {f"user{n}.py": f"from common import checked\ndef use{n}():\n    checked({n})\n" for n in range(9)}
        text = make(files | {"common.py": "def seldom(): 0\n\ndef checked(n): 0\n"}).render(40)
        assert text.startswith("common.py:") and "3|def checked(n)" in text

    def test_files_of_unknown_languages_are_named(self, make: Make):
        text = make({"README.md": "# Hello", "src/main.ex": "defmodule Main do\nend", "a.py": "def a(): 0"}).render(100)
        assert "a.py:\n1|def a()" in text and text.endswith("Other files: README.md, src/main.ex")

    def test_many_other_files_are_counted(self, make: Make):
        text = make({f"data/set{n:04}.csv": "1" for n in range(400)}).render(1_000)
        assert re.fullmatch(r"Other files: data/set0000.csv, .*, and 3\d\d more", text) and len(text) <= 600

    def test_an_empty_repository(self, make: Make):
        assert make({}).render(1_000) == "" and make({}).look("") == ""
        assert make({"a.py": "def a(): 0"}).render(0) == ""

    @pytest.mark.parametrize("tokens", [1, 20, 50, 150, 400])
    def test_it_keeps_to_its_budget(self, make: Make, tokens: int):
        files = {
            f"pack/m{n}.py": f"class C{n}:\n    def method_{n}(self, a, b): return C{n + 1}()\n" for n in range(60)
        }
        repository = make(files)
        for task in ("", "method_7", "class of a pack"):
            assert len(repository.render(tokens, task=task)) <= tokens * CHARS_PER_TOKEN

    def test_the_same_files_give_the_same_text(self, make: Make, repository: Path, tmp_path: Path):
        for name in practice.names():
            shutil.copytree(practice.ground() / name, repository / name)
        first = make({}).render(800, task="Half a cent is lost when the tax is computed.")
        assert (
            first
            and drawn(repository, tmp_path).render(800, task="Half a cent is lost when the tax is computed.") == first
        )
        fresh = RepositoryMap(Workspace(repository), tmp_path / "another")
        assert fresh.render(800, task="Half a cent is lost when the tax is computed.") == first

    @pytest.mark.slow
    def test_the_order_of_sets_has_no_say(self, repository: Path, tmp_path: Path):
        for name in practice.names():
            shutil.copytree(practice.ground() / name, repository / name)
        code = """
import sys
from pathlib import Path
from qwencode.context.repomap.repository import RepositoryMap
from qwencode.workspace import Workspace
text = RepositoryMap(Workspace(Path(sys.argv[1])), Path(sys.argv[2])).render(800, task="The rounded tax of an event")
sys.stdout.buffer.write(text.encode())
"""
        command = [sys.executable, "-c", code, str(repository), str(tmp_path / "cache")]
        texts = {
            subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
            for seed in ("1", "2", "3", "4")
        }
        assert len(texts) == 1 and len(texts.pop()) > 500


class TestWhatItNeverShows:
    def test_secrets_ignored_files_and_links(self, make: Make, repository: Path, tmp_path: Path):
        (tmp_path / "outside.py").write_text("def outside_secret(): 0\n")
        repository_map = make(
            {
                ".gitignore": "build/\n",
                ".env.py": "def env_secret(): 0\n",
                "id_rsa.py": "def key_secret(): 0\n",
                "build/made.py": "def ignored_secret(): 0\n",
                "a.py": "def a(): return env_secret() or key_secret() or ignored_secret() or outside_secret()\n",
            }
        )
        (repository / "link.py").symlink_to(tmp_path / "outside.py")
        (repository / "folder").symlink_to(tmp_path)
        for text in (
            repository_map.render(1_000, task="env_secret key_secret ignored_secret", files=[".env.py", "link.py"]),
            repository_map.look("env_secret"),
            repository_map.look(".env.py"),
            repository_map.look("build/made.py"),
            repository_map.look("link.py"),
        ):
            assert "_secret" not in text and "link.py" not in text and ".env.py" not in text
        kept = b"".join(path.read_bytes() for path in (tmp_path / "cache").iterdir())
        assert b"_secret" not in kept

    def test_values_of_constants(self, make: Make):
        text = make({"keys.py": 'API_KEY = "sk-1234567890"\nPLAIN: str = "sk-abc"\n'}).render(100)
        assert "1|API_KEY" in text and "sk-" not in text

    def test_names_are_safe_to_print(self, make: Make, repository: Path):
        long = "n" * 5_000
        files = {
            "evil\x1b[31m\u202e\n.py": "def shown(): 0\n",
            "long.py": f"def {long}({long}): 0\n",
            "sig.py": "def f(a='\x1b[2J\u202e', b='\x07'): 0\n",
            "many.py": f"def g({', '.join(f'a{n}' for n in range(400))}): 0\n",
        }
        text = make(files).render(1_000)
        (repository / os.fsdecode(b"bytes\xff.py")).write_text("def in_bytes(): 0\n")
        text += make({}).render(1_000, task="in_bytes")
        assert all(char.isprintable() or char == "\n" for char in text)
        assert max(map(len, text.splitlines())) < 700 and "def shown()" in text and "def in_bytes()" in text
        assert "def g(a0, a1" in text and "…" in text
        text.encode()


class TestOddFiles:
    def test_any_file_may_be_there(self, make: Make, repository: Path):
        repository_map = make(
            {
                "good.py": "def good(): 0\n",
                "binary.py": b"\0\1\2def binary(): 0\n",
                "minified.js": b"var a=function(b,c){return b(c)};" * 160_000,
                "one_line.js": b"function tight(){}" * 2_000,
                "open.py": b"(" * 400_000,
                "nested.py": b"[" * 200_000 + b"]" * 200_000,
                "deep.js": b"function a(){" * 30_000,
                "broken.py": "class Whole:\n    def kept(self): 0\n\ndef half(:\n  x x x\n",
                "latin.py": b"# -*- coding: latin-1 -*-\ndef gr\xfc\xdfe(): 0\n",
                "bom.py": "\ufeffdef after_mark(): 0\n",
                "crlf.py": "def windows():\r\n    return 1\r\n",
                "empty.py": "",
                "junk.go": bytes(range(1, 256)) * 300,
                "junk.sh": b"<<EOF\n" * 5_000,
            }
        )
        os.mkfifo(repository / "pipe.py")
        text = repository_map.render(1_000)
        for name in ("good", "kept", "after_mark", "windows"):
            assert f"def {name}(" in text
        assert "binary()" not in text and "tight" not in text

    def test_what_vanishes_between_listing_and_reading(self, make: Make, repository: Path):
        repository_map = make({f"m{n}.py": f"def f{n}(): 0\n" for n in range(60)})
        for _ in repository_map.refresh():
            (repository / "m59.py").unlink(missing_ok=True)
        assert "f59" not in repository_map.render(1_000)


class TestLook:
    def test_a_symbol_a_path_a_folder_and_words(self, make: Make):
        repository = make(
            {"src/shelves.py": SHELVES, "src/boxes.py": BOXES, "tests/test_shelves.py": TESTS, "z.py": "def z(): 0"}
        )
        assert repository.look("Shelf").startswith("src/shelves.py:") and "class Shelf" in repository.look("Shelf")
        assert repository.look("z").startswith("z.py:\n1|def z()")
        for path in ("src/boxes.py", "boxes.py", "./src/boxes.py"):
            assert repository.look(path).startswith("src/boxes.py:\n1|class Box\n2|  def __init__(self, width)")
        folder = repository.look("src/")
        assert "class Box" in folder and "def unrelated" in folder
        assert "def test_a_wide_box" in repository.look("tests")
        assert "def put" in repository.look("where is a box put on a shelf?")

    @pytest.mark.parametrize(
        "focus", ["Frobnicator", "gone/away.py", "../..", "/etc/passwd", "%s{}", "\0", "☃" * 9_000]
    )
    def test_nothing_like_it(self, make: Make, focus: str):
        assert make({"a.py": "def a(): 0\n"}).look(focus) == ""


class TestBudget:
    def test_it_grows_with_the_speed_and_is_never_too_small_to_help(self):
        sizes = [budget_tokens(speed) for speed in range(0, 2_000, 10)]
        assert sizes == sorted(sizes) and set(sizes) & set(range(1, LEAST_TOKENS)) == set()
        assert budget_tokens(40) == 0 and budget_tokens(100) == 600 and budget_tokens(600) == MESSAGE_TOKENS

    @pytest.mark.parametrize("speed", [0, -1, float("nan"), float("-inf")])
    def test_an_unknown_speed_is_none(self, speed: float):
        assert budget_tokens(speed) == 0

    def test_any_speed(self):
        assert budget_tokens(float("inf")) == MESSAGE_TOKENS

    def test_a_handful_of_files_whose_code_is_shown_needs_no_map(self, make: Make):
        few = make({"a.py": "def a(): 0\n", "README.md": "x", "tests/test_a.py": "def test_a(): 0\n"})
        assert few.worth(600, code_shown=True) == 0 and few.worth(600, code_shown=False) == MESSAGE_TOKENS
        many = make({f"m{n}.py": "def a(): 0\n" for n in range(10)})
        assert many.worth(600, code_shown=True) == MESSAGE_TOKENS and many.worth(10, code_shown=False) == 0


class TestPracticeGround:
    """The map drawn for the failing tests holds the function that is to be mended, by its very line."""

    def leads_there(self, repository: RepositoryMap, name: str, folder: str, tokens: int) -> bool:
        task = practice.task(name)
        source = (practice.ground() / name / task.file).read_text(encoding="utf-8").splitlines()
        start = re.compile(rf"\s*(async |def |function )*{re.escape(task.function.rpartition('.')[2])}\(.*[:{{]$")
        line = next(number for number, text in enumerate(source, 1) if start.match(text))
        text = repository.render(
            tokens, tests=[failed(f"{folder}{test}", file=self.file_of(task, test, folder)) for test in task.failing]
        )
        return any(row.startswith(f"{line}|") for row in lines_of(text, f"{folder}{task.file}"))

    def file_of(self, task: practice.Task, test: str, folder: str) -> str:
        """Return the file that the runner would name."""
        if task.test[0] == "node":
            files = (practice.ground() / task.name).rglob("*.test.js")
            return folder + next(
                path.relative_to(practice.ground() / task.name).as_posix()
                for path in files
                if test in path.read_text(encoding="utf-8")
            )
        return f"{folder}{test.partition('::')[0]}" if "::" in test else f"{folder}{'/'.join(test.split('.')[:2])}.py"

    @pytest.mark.slow
    def test_each_alone(self, tmp_path: Path):
        names = practice.names()
        maps = {
            name: RepositoryMap(Workspace(practice.copy(name, tmp_path / name)), tmp_path / "cache") for name in names
        }
        assert [name for name in names if not self.leads_there(maps[name], name, "", 1_000)] == []

    def test_each_among_the_others(self, repository: Path, tmp_path: Path):
        for name in practice.names():
            shutil.copytree(practice.ground() / name, repository / name)
        together = drawn(repository, tmp_path)
        missed = [name for name in practice.names() if not self.leads_there(together, name, f"{name}/", 1_000)]
        assert len(practice.names()) - len(missed) >= 11, missed
