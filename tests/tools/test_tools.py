"""The tools on a real repository, in the real sandbox: the texts that the model reads are part of the interface."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from nothing_installed import NothingInstalled

from qwencode.events import PlanChanged
from qwencode.messages import ToolCall
from qwencode.sandbox.protocol import Sandbox
from qwencode.tools.calls import carry_out
from qwencode.tools.files import Files
from qwencode.tools.grep_search import grep_tool
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.shell import shell_tool
from qwencode.tools.todo import todo_tool
from qwencode.tools.toolbox import declarations, toolbox
from qwencode.workspace import Workspace

Use = Callable[..., ToolResult]


def bytes_of(workspace: Workspace, name: str) -> bytes:
    return (workspace.root / name).read_bytes()


class TestReadFile:
    def test_lines_are_numbered_and_keep_their_indentation(self, use: Use):
        result = use("read_file", file_path="src/money.py")
        assert result.ok
        assert result.text.splitlines()[:3] == ["src/money.py, 4 lines:", "1|def half(amount):", "2|    if amount < 0:"]
        assert not result.text[0].isspace()

    def test_a_part_says_how_to_go_on(self, use: Use, workspace: Workspace):
        (workspace.root / "long.txt").write_text("".join(f"line {n}\n" for n in range(1, 952)))
        result = use("read_file", file_path="long.txt", limit=200)
        assert result.text.endswith("200|line 200\n[lines 1-200 of 951; use offset=201 to continue]")
        result = use("read_file", file_path="long.txt", offset=940)
        assert "940|line 940" in result.text and result.text.endswith("[lines 940-951 of 951]")

    def test_every_line_can_be_reached(self, use: Use, workspace: Workspace):
        lines = [f"{n} " + "x" * (n % 700) for n in range(1, 600)]
        (workspace.root / "wide.txt").write_text("\n".join(lines))
        seen: list[str] = []
        offset = 1
        while True:
            text = use("read_file", file_path="wide.txt", offset=offset).text
            assert len(text) < 17_000
            seen += re.findall(r"^(\d+)\|", text, re.MULTILINE)
            more = re.search(r"use offset=(\d+)", text)
            if more is None:
                break
            offset = int(more[1])
        assert seen == [str(n) for n in range(1, 600)]

    def test_long_lines_are_cut_and_it_says_so(self, use: Use, workspace: Workspace):
        (workspace.root / "min.js").write_text("x" * 10_000)
        assert "… [+9,600 characters]" in use("read_file", file_path="min.js").text

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("src/mony.py", "src/mony.py does not exist. Did you mean: src/money.py"),
            ("money.py", "Did you mean: src/money.py"),
            ("zzz", "Nothing has a similar name; look with grep_search."),
            ("src", "src is a directory. It holds: money.py. Name one of its files."),
            (".", "It holds: src/, tests/."),
            ("../outside.txt", "is outside the repository"),
            ("/etc/passwd", "is outside the repository"),
            (".git/config", "belongs to git itself"),
            ("x" * 5000, "cannot be reached: File name too long."),
            ("data.bin", "data.bin is a binary file."),
            ("link", "link is outside the repository"),
        ],
    )
    def test_refusals(self, use: Use, workspace: Workspace, path: str, said: str):
        if path == "data.bin":
            (workspace.root / path).write_bytes(b"\0\1\2")
        if path == "link":
            (workspace.root / path).symlink_to("/etc/passwd")
        result = use("read_file", file_path=path)
        assert not result.ok and said in result.text

    def test_edges_of_the_range(self, use: Use, workspace: Workspace):
        (workspace.root / "empty").touch()
        assert use("read_file", file_path="empty").text == "empty is empty."
        assert "has 4 lines; offset 9 is past its end" in use("read_file", file_path="src/money.py", offset=9).text
        assert "1|def" in use("read_file", file_path="src/money.py", offset=-3, limit=0).text

    def test_secrets_are_hidden_also_behind_a_link(self, use: Use, workspace: Workspace):
        (workspace.root / ".env").write_text("TOKEN=hunter2")
        (workspace.root / "harmless").symlink_to(".env")
        for path in (".env", "harmless", "src/../.env"):
            result = use("read_file", file_path=path)
            assert "hidden" in result.text and "hunter2" not in result.text
        result = use("edit", file_path=".env", old_string="TOKEN=x", new_string="y")
        assert "hunter2" not in result.text and "hidden" in result.text


@pytest.fixture(params=["ripgrep", "python"])
def grep(request: pytest.FixtureRequest, workspace: Workspace) -> Use:
    """Search by each of the two ways: the second is taken where ripgrep is not installed."""
    where = NothingInstalled() if request.param == "python" else request.getfixturevalue("sandbox")
    if request.param == "ripgrep" and where.run(["rg", "--version"], cwd=workspace.root).returncode:
        pytest.skip("ripgrep is not installed")
    tools = {"grep_search": grep_tool(Files(workspace), where)}
    return lambda **arguments: carry_out(tools, ToolCall("1", "grep_search", arguments))


class TestGrepSearch:
    def test_hits_are_grouped_by_file(self, grep: Use):
        assert grep(pattern=r"half\(").text == (
            "3 matching lines in 2 files:\nsrc/money.py\n1|def half(amount):\n3|        return -half(-amount)\n"
            "tests/test_money.py\n1|def test_half():"
        )

    @pytest.mark.parametrize(
        ("where", "files"),
        [
            ({"path": "src"}, {"src/money.py"}),
            ({"path": "src/money.py"}, {"src/money.py"}),
            ({"glob": "test_*.py"}, {"tests/test_money.py"}),
            ({"glob": "tests/**/*.py"}, {"tests/test_money.py"}),
            ({"glob": "*.js"}, set[str]()),
            ({"path": "src", "glob": "*.py"}, {"src/money.py"}),
        ],
    )
    def test_narrowing(self, grep: Use, where: dict[str, str], files: set[str]):
        result = grep(pattern="half", **where)
        assert set(re.findall(r"^\S+\.py$", result.text, re.MULTILINE)) == files
        assert bool(files) or "No line matches 'half'" in result.text

    def test_ignored_files_git_and_secrets_are_left_out(self, grep: Use, workspace: Workspace):
        (workspace.root / ".gitignore").write_text("build/\n")
        (workspace.root / "build").mkdir()
        for name in ("build/out.txt", ".git/needle", ".env", ".hidden.txt"):
            (workspace.root / name).write_text("needle\n")
        (workspace.root / "data.bin").write_bytes(b"\0" * 100 + b"needle\n")
        assert grep(pattern="needle").text == "1 matching line in 1 file:\n.hidden.txt\n1|needle"

    def test_names_that_hold_a_line_break_or_no_text(self, grep: Use, workspace: Workspace):
        (workspace.root / "a.bin").write_bytes(b"needle\n" + b"\0" * 100_000)
        (workspace.root / "b\nc.txt").write_text("needle\x0c1\n")
        (workspace.root / "d\n").mkdir()
        (workspace.root / "d\n" / "e.txt").write_text("needle 2\r\n")
        os.close(os.open(os.fsencode(workspace.root) + b"/f\xe9", os.O_CREAT | os.O_WRONLY))
        (workspace.root / os.fsdecode(b"f\xe9")).write_text("needle 3\n")
        text = grep(pattern="needle", glob="!*.bin").text
        for shown in ('"b\\nc.txt"\n1|needle\x0c1\n', '"d\\n/e.txt"\n1|needle 2\n', "f�\n1|needle 3"):
            assert shown in text
        assert grep(pattern="needle").text.endswith(text.partition("\n")[2])

    def test_long_results_are_cut(self, grep: Use, workspace: Workspace):
        for n in range(10):
            (workspace.root / f"f{n}.txt").write_text("needle\n" * 30 + "needle" * 500)
        result = grep(pattern="needle")
        assert len(result.text) < 9_000
        assert result.text.endswith(
            "[the first 80 of 310 matching lines; narrow the search with path, glob or pattern]"
        )

    @pytest.mark.parametrize("pattern", ["(", "*a", "[z"])
    def test_invalid_pattern(self, grep: Use, pattern: str):
        result = grep(pattern=pattern)
        assert not result.ok and f"pattern {pattern!r} is not valid" in result.text and "backslash" in result.text

    def test_refusals(self, grep: Use):
        assert "is outside" in grep(pattern="x", path="../..").text
        assert "Did you mean: src/money.py" in grep(pattern="x", path="src/monye.py").text
        assert "pattern is empty" in grep(pattern="").text

    def test_options_in_pattern_and_path_are_not_options(self, grep: Use, workspace: Workspace):
        (workspace.root / "--files").write_text("--pre=cat\n")
        assert (
            grep(pattern="--pre=cat", path="--files").text
            == "1 matching line in 1 file in --files:\n--files\n1|--pre=cat"
        )


def test_a_pattern_of_exponential_time_is_ended(workspace: Workspace):
    (workspace.root / "a.txt").write_text("a" * 60 + "!")
    tool = grep_tool(Files(workspace), NothingInstalled(), seconds=1.0)  # pyright: ignore[reportArgumentType]
    result = carry_out({"grep_search": tool}, ToolCall("1", "grep_search", {"pattern": "(a+)+$"}))
    assert "took more than 1 seconds" in result.text


class TestEdit:
    def test_the_result_shows_the_place(self, use: Use, workspace: Workspace):
        result = use("edit", file_path="src/money.py", old_string="amount / 2", new_string="amount // 2")
        assert result.ok and result.summary == "edited src/money.py, line 4"
        assert result.text.splitlines() == [
            "Edited src/money.py. It now reads:",
            "2|    if amount < 0:",
            "3|        return -half(-amount)",
            "4|    return amount // 2",
        ]
        assert b"return amount // 2\n" in bytes_of(workspace, "src/money.py")

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (b"\xef\xbb\xbfa\r\nold\r\n", b"\xef\xbb\xbfa\r\nnew\r\n"),
            ("a\nold\n".encode("utf-16"), "a\nnew\n".encode("utf-16")),
            (b"# coding: latin-1\n\xe9 = 'old'", b"# coding: latin-1\n\xe9 = 'new'"),
            (b"\xff\xfaold\x85", b"\xff\xfanew\x85"),
            (b"\told\t\r\n \x0c\r\n", b"\tnew\t\r\n \x0c\r\n"),
        ],
        ids=["BOM and CRLF", "UTF-16", "declared Latin-1", "unknown 8-bit", "form feed"],
    )
    def test_encodings_are_kept(self, use: Use, workspace: Workspace, before: bytes, after: bytes):
        (workspace.root / "f.py").write_bytes(before)
        assert use("edit", file_path="f.py", old_string="old", new_string="new").ok
        assert bytes_of(workspace, "f.py") == after

    def test_the_mode_is_kept_and_a_link_stays_a_link(self, use: Use, workspace: Workspace):
        (workspace.root / "run.sh").write_text("old\n")
        (workspace.root / "run.sh").chmod(0o755)
        (workspace.root / "link").symlink_to("run.sh")
        assert use("edit", file_path="link", old_string="old", new_string="new").ok
        assert (workspace.root / "link").is_symlink() and bytes_of(workspace, "run.sh") == b"new\n"
        assert (workspace.root / "run.sh").stat().st_mode & 0o777 == 0o755

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("", "x", "old_string is empty. Give the text"),
            ("amount", "amount", "are the same; nothing would change"),
            ("amount", "x", "is 4 times in src/money.py, at lines 1, 2, 3, 4. Add neighbouring lines to both"),
            ("return amount * 2", "x", "where old_string has `return amount * 2`. Copy it from the file."),
            ("return amount * 2", "x", "The closest lines are:\n4|    return amount / 2"),
            (
                "\tif amount < 0:\n\t\treturn -half(-amount)",
                "x",
                "Line 2 is indented by 4 spaces, old_string by 1 tab.",
            ),
            ("return –half(–amount)", "x", "Line 3 has '-' (U+002D) where old_string has '–' (U+2013 en dash)."),
            ("2|    if amount < 0:\n3|        pass", "x", "Leave out every NUMBER|"),
            ("zebra crossing 12345 !", "x", "Nothing in the file resembles it."),
            ("return amount * 2", "return amount / 2", "new_string stands in the file already, at line 4."),
            ("    return amount / 2\n    print(1)\n    print(2)", "x", "The file has 1 of its 3 lines there."),
        ],
    )
    def test_refusals(self, use: Use, workspace: Workspace, old: str, new: str, said: str):
        before = bytes_of(workspace, "src/money.py")
        result = use("edit", file_path="src/money.py", old_string=old, new_string=new)
        assert not result.ok and said in result.text
        assert bytes_of(workspace, "src/money.py") == before

    def test_replace_all(self, use: Use, workspace: Workspace):
        result = use("edit", file_path="src/money.py", old_string="amount", new_string="sum", replace_all=True)
        assert result.text.startswith("Edited src/money.py in 4 places. It now reads:\n1|def half(sum):\n2|")
        assert result.text.count("\n") == 4
        assert b"amount" not in bytes_of(workspace, "src/money.py")

    @pytest.mark.parametrize("path", ["tests/test_money.py", "src/../tests/test_money.py", "tests/new.py", "alias.py"])
    def test_tests_are_not_changed(self, use: Use, workspace: Workspace, path: str):
        (workspace.root / "alias.py").symlink_to("tests/test_money.py")
        before = bytes_of(workspace, "tests/test_money.py")
        result = use("edit", file_path=path, old_string="True", new_string="False")
        assert not result.ok and "Mend the source code" in result.text
        assert "Mend the source code" in use("write_file", file_path=path, content="").text
        assert bytes_of(workspace, "tests/test_money.py") == before

    def test_what_the_encoding_cannot_hold_is_refused(self, use: Use, workspace: Workspace):
        (workspace.root / "f.py").write_bytes(b"# coding: latin-1\nold = '\xe9'\n")
        result = use("edit", file_path="f.py", old_string="old", new_string="☃")
        assert not result.ok and "cannot hold" in result.text
        assert b"old" in bytes_of(workspace, "f.py")

    def test_a_shifted_edit_says_so(self, use: Use):
        result = use(
            "edit", file_path="src/money.py", old_string="if amount < 0:\n    return -half(-amount)\n", new_string=""
        )
        assert "new_string was shifted to the file's indentation." in result.text

    def test_many_regions_are_not_all_shown(self, use: Use, workspace: Workspace):
        (workspace.root / "many.txt").write_text("\n".join("x" if n % 10 == 5 else str(n) for n in range(100)))
        result = use("edit", file_path="many.txt", old_string="x", new_string="\n".join("y" * 60), replace_all=True)
        assert "in 10 places" in result.text and result.text.endswith("[7 more regions of the file changed]")
        assert "[and 24 more lines]" in result.text

    def test_a_huge_file(self, use: Use, workspace: Workspace):
        lines = [f"value_{n} = {n}" for n in range(60_000)]
        (workspace.root / "huge.py").write_text("\n".join(lines))
        miss = use("edit", file_path="huge.py", old_string="value_31415 == 31415", new_string="x")
        assert "31416|value_31415 = 31415" in miss.text
        assert use("edit", file_path="huge.py", old_string="value_31415 = 31415\n", new_string="").ok

    @pytest.mark.slow
    def test_too_many_places_end_soon(self, use: Use, workspace: Workspace):
        (workspace.root / "min.js").write_text("ab" * 1_000_000)
        result = use("edit", file_path="min.js", old_string="a", new_string="\n", replace_all=True)
        assert "is 1,000,000 times in min.js; edit changes at most 2,000 places." in result.text
        result = use("edit", file_path="min.js", old_string="a", new_string="c")
        assert "is 1000000 times in min.js, at line 1." in result.text

    def test_missing_file_points_to_write_file(self, use: Use):
        assert "write_file creates new files" in use("edit", file_path="new.py", old_string="", new_string="x").text


class TestWriteFile:
    def test_parents_are_made(self, use: Use, workspace: Workspace):
        result = use("write_file", file_path="src/deep/er/new.py", content="a\nb\n")
        assert result.text == "Created src/deep/er/new.py with 2 lines."
        assert bytes_of(workspace, "src/deep/er/new.py") == b"a\nb\n"

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("src/money.py", "exists already and was not overwritten. Change it with edit."),
            ("src", "is a directory"),
            ("../x", "is outside the repository"),
            (".git/hooks/pre-commit", "belongs to git itself"),
            ("src/money.py/x", "cannot be written"),
            ("dangling", "is outside the repository"),
        ],
    )
    def test_refusals(self, use: Use, workspace: Workspace, tmp_path: Path, path: str, said: str):
        (workspace.root / "dangling").symlink_to(tmp_path / "outside.txt")
        before = bytes_of(workspace, "src/money.py")
        result = use("write_file", file_path=path, content="x")
        assert not result.ok and said in result.text
        assert bytes_of(workspace, "src/money.py") == before and not (tmp_path / "outside.txt").exists()


class TestShell:
    def test_output_and_exit_code(self, shell: Use):
        result = shell(command="echo out; echo err >&2; exit 3")
        assert (result.text, result.ok) == ("Exit code 3.\nOutput:\nout\nerr", False)
        assert result.summary == "echo out; echo err >&2; exit 3: exit 3"
        assert shell(command="true").text == "Exit code 0.\nIt printed nothing."

    def test_it_runs_in_the_root(self, shell: Use):
        assert "src\ntests" in shell(command="ls").text

    def test_long_output_is_kept_in_a_file_that_commands_can_read(self, shell: Use):
        result = shell(command="seq 1 20000")
        assert len(result.text) < 6_500 and "\n1\n2\n" in result.text and result.text.endswith("\n20000")
        path = re.search(r"all of it is in (\S+),", result.text)
        assert path and "lines" in result.text
        again = shell(command=f"sed -n '9999,10001p' {path[1]}")
        assert again.text.endswith("9999\n10000\n10001")

    def test_terminal_codes_and_progress_bars_are_taken_out(self, shell: Use):
        command = r"printf '\033[31mred\033[0m\n10%%\r50%%\r100%%\n\033]0;title\007end\n'"
        assert shell(command=command).text.endswith("Output:\nred\n100%\nend")

    def test_timeout(self, shell: Use):
        result = shell(command="echo begun; sleep 30", timeout=1)
        assert not result.ok and result.text.startswith("Timed out after 1 s; it and all it had started were killed.")
        assert "begun" in result.text and "greater timeout" in result.text

    def test_background_processes_do_not_stay(self, shell: Use):
        assert "1 background process(es) were killed" in shell(command="sleep 60 & echo x").text

    def test_a_link_in_the_scratch_directory_is_not_written_through(self, shell: Use, sandbox: Sandbox, tmp_path: Path):
        victim = tmp_path / "victim"
        victim.write_text("precious")
        shell(command=f"for n in $(seq 50); do ln -s {victim} {sandbox.scratch}/output-$n.txt; done")
        shell(command="seq 1 20000")
        assert victim.read_text() == "precious"

    def test_what_is_impossible_is_said(self, shell: Use, sandbox: Sandbox):
        if sandbox.rung == "none":
            pytest.skip("no sandbox works on this machine")
        assert "There is no network here" in shell(command="curl -sS http://example.com").text
        assert "write only in the repository" in shell(command="touch /etc/qwencode-test").text
        assert "not in .git" in shell(command="touch .git/x").text

    def test_destruction_stays_inside(self, shell: Use, sandbox: Sandbox, workspace: Workspace, tmp_path: Path):
        if sandbox.rung == "none":
            pytest.skip("no sandbox works on this machine")
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "work.txt").write_text("precious")
        shell(command=f"rm -rf {tmp_path}/outside .git; git reset --hard; git update-ref -d HEAD")
        assert (tmp_path / "outside" / "work.txt").read_text() == "precious"
        assert (workspace.root / ".git" / "HEAD").exists() and list(
            (workspace.root / ".git" / "refs" / "heads").iterdir()
        )

    @pytest.mark.parametrize(
        ("timeout", "seconds"), [(5, 5), (0, 1), (-3, 1), (9_999, 600), (10_000, 10), (120_000, 120), (10**9, 600)]
    )
    def test_timeouts_are_bounded_and_milliseconds_understood(self, workspace: Workspace, timeout: int, seconds: int):
        nothing = NothingInstalled()
        carry_out(
            {"run_shell_command": shell_tool(workspace, nothing)},  # pyright: ignore[reportArgumentType]
            ToolCall("1", "run_shell_command", {"command": "true", "timeout": timeout}),
        )
        assert [limits.seconds for limits in nothing.limits] == [seconds]


class TestTodo:
    def test_states(self, use: Use):
        result = use("todo_write", items=["[x] read", "[>] edit", "[ ] test", "- [X] plan", "plain"])
        assert result.text == "Plan noted: 2 of 5 done. Next: edit"
        assert result.events == (
            PlanChanged(
                (("read", "done"), ("edit", "in_progress"), ("test", "pending"), ("plan", "done"), ("plain", "pending"))
            ),
        )

    def test_empty(self):
        tool = todo_tool()
        result = carry_out({"todo_write": tool}, ToolCall("1", "todo_write", {"items": ["  "]}))
        assert not result.ok and "an item is empty" in result.text
        assert tool.run(items=[]).text == "Plan noted: 0 of 0 done."


class TestCalls:
    @pytest.mark.parametrize(
        ("name", "arguments", "said"),
        [
            ("read_fil", {}, "There is no tool 'read_fil'. The tools are: read_file, grep_search, edit"),
            ("read_file", {}, "read_file needs the parameter 'file_path'."),
            (
                "read_file",
                {"path": "x"},
                "has no parameter 'path'. Its parameters are: file_path (required), offset, limit.",
            ),
            ("read_file", {"file_path": ["x"]}, 'file_path must be a text, not ["x"].'),
            ("read_file", {"file_path": "x", "limit": "many"}, 'limit must be a whole number, not "many".'),
            ("read_file", {"file_path": "x", "limit": True}, "limit must be a whole number, not true."),
            (
                "edit",
                {"file_path": "x", "old_string": "a", "new_string": "b", "replace_all": 1},
                "must be true or false",
            ),
            ("todo_write", {"items": [1]}, "items must be a list of texts, not [1]."),
            ("write_file", {"file_path": "x", "content": "a\0b"}, "content holds a NUL"),
            ("write_file", {"file_path": "x", "content": "\ud800"}, "lone surrogate"),
            ("todo_write", {"items": ["a\0"]}, "items holds a NUL"),
        ],
    )
    def test_bad_calls_are_answered(self, use: Use, name: str, arguments: dict[str, object], said: str):
        result = use(name, **arguments)
        assert not result.ok and said in result.text and "\n" not in result.summary

    def test_null_means_left_out(self, use: Use):
        assert use("read_file", file_path="src/money.py", offset=None, limit=None).ok

    def test_a_call_with_a_problem_is_not_carried_out(self, tools: dict[str, Tool], workspace: Workspace):
        call = ToolCall("1", "write_file", {"file_path": "x", "content": "y"}, problem="it is not closed.")
        assert carry_out(tools, call).text == "The call was not carried out: it is not closed."
        assert not (workspace.root / "x").exists()


@pytest.mark.parametrize(
    "path", [".git", ".GIT/config", "sub/.Git", "src/../.git/hooks/x", "inner/new.py", "store/config"]
)
def test_no_way_into_what_is_gits(workspace: Workspace, tools: dict[str, Tool], path: str):
    """In a repository whose own directory has another name, and with a linked work tree in it."""
    for words in (
        ("init", "-q", "--separate-git-dir=store"),
        ("worktree", "add", "-qb", "side", "inner"),
    ):
        subprocess.run(["git", "-C", workspace.root, *words], check=True)
    before = {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}
    (workspace.root / "door").symlink_to(path.partition("/")[0])
    beyond = "/".join(["door", *path.split("/")[1:]])
    for name in (path, beyond):
        for call in (
            ToolCall("1", "write_file", {"file_path": name, "content": "evil\n"}),
            ToolCall("2", "write_file", {"file_path": f"{name}/evil", "content": "evil\n"}),
            ToolCall("3", "edit", {"file_path": name, "old_string": "git", "new_string": "evil"}),
        ):
            assert not carry_out(tools, call).ok
    assert {path: path.read_bytes() for path in before if path.is_file()} == before
    assert not list(workspace.root.rglob("evil")) and not (workspace.root / "inner" / "new.py").exists()


@pytest.mark.parametrize("name", [".ENV", "Secrets/../.Env"])
def test_a_secret_is_hidden_under_every_name_that_macos_gives_it(use: Use, workspace: Workspace, name: str):
    (workspace.root / ".env").write_text("needle\n")
    assert "is hidden" in use("read_file", file_path=name).text


@pytest.mark.parametrize(
    "path", [".husky/pre-commit", "HUSKY/../.husky/_/h", "team.gitconfig", "linked", ".Husky/PRE-commit"]
)
def test_what_git_obeys_is_not_changed(workspace: Workspace, path: str):
    for name in (".husky/pre-commit", ".husky/_/h", "team.gitconfig", "HUSKY/x", ".Husky/PRE-commit"):
        (workspace.root / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.root / name).write_text("old\n")
    (workspace.root / "linked").symlink_to("team.gitconfig")
    places = [workspace.root / ".husky", workspace.root / "team.gitconfig"]
    tools = toolbox(workspace, cast(Any, NothingInstalled()), None, git_obeys=places)
    edit = ToolCall("1", "edit", {"file_path": path, "old_string": "old", "new_string": "new"})
    write = ToolCall("2", "write_file", {"file_path": f".husky/{path}", "content": "new\n"})
    for call in (edit, write):
        result = carry_out(tools, call)
        assert not result.ok and "is run or obeyed by git outside the sandbox" in result.text
    assert carry_out(tools, ToolCall("3", "write_file", {"file_path": "husky/x", "content": "new\n"})).ok


def test_the_declarations_are_the_same_in_every_repository(
    workspace: Workspace, sandbox: Sandbox, tools: dict[str, Tool]
):
    def run_tests(tests: tuple[str, ...]):
        raise AssertionError

    here = toolbox(workspace, sandbox, run_tests, look=lambda focus: "", protected=lambda path: True)
    assert declarations() == [tool.spec for tool in here.values()]
    assert {spec.name for spec in declarations()} == {*tools, "run_tests", "repo_map"}
