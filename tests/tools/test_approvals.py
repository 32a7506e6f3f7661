"""Rules for commands and paths, against those who would like to get around them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qwencode.tools.approvals import Rules, lasting, matches, simple_commands

BASH = shutil.which("bash")


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("git status", [("git", "status")]),
        ("  ls   -l\tsrc ", [("ls", "-l", "src")]),
        ("a && b || c; d | e", [("a",), ("b",), ("c",), ("d",), ("e",)]),
        ("git commit -m 'a; rm -rf /'", [("git", "commit", "-m", "a; rm -rf /")]),
        ('grep "two words" a"b"\'c\'d', [("grep", "two words", "abcd")]),
        ("make;", [("make",)]),
        (
            "python -m pytest tests/test_a.py::test_b -k x=1",
            [("python", "-m", "pytest", "tests/test_a.py::test_b", "-k", "x=1")],
        ),
    ],
)
def test_what_is_read(text: str, commands: list[tuple[str, ...]]):
    assert simple_commands(text) == commands


DOUBTED = [
    "git status $(rm x)", "git status `rm x`", 'git log "$(rm x)"', 'git log "`rm x`"', "git status $HOME", 'ls "$x"',
    "git status > a", "git status >> a", "cat < a", "git status 2>&1", "git log &> a", "cat <<< x", "cat << E\nx\nE",
    "git status\nrm x", "git status\r\nrm x", "git status & rm x", "git status &", "git status |& rm x",
    "(git status; rm x)", "{ rm x; }", "X=1 git status", "PATH=. git status", "a+=1 git status", "if git status; then rm x; fi",
    "while git status; do rm x; done", "! git status", "time git status", "git stat\\us", "git status \\\nrm x",
    "git status # rm", "git *", "ls ?", "ls [a]", "ls ~", "ls {a,b}", "git 'status", 'git "status', "git status !x",
    "", "  ", ";", "&& git status", "git status &&", "git status ;; rm", "git status; ; rm", "| rm", "\0", "git\u00a0status",
    "git status\x0brm", "[[ -e a ]]", "function x", "$'rm' x", 'git "a\\" ; rm x"', "git\u2028rm", "eval\\ x", "a=b",
]  # fmt: skip


@pytest.mark.parametrize("text", DOUBTED)
def test_what_is_doubted_is_never_allowed(text: str):
    assert simple_commands(text) is None
    words = [
        "git",
        "ls",
        "cat",
        "a",
        "while",
        "!",
        "time",
        "if",
        "[[",
        "function",
        "printf",
        "test",
        "[",
        "unset",
        "read",
        "let",
        "declare",
    ]
    rules = Rules(allow_commands=(*words, "git status"))
    assert rules.command(text) == "ask"
    assert lasting(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "git push", "git", "git -c alias.status=!rm status", "git status; rm x", "git status && rm x", "rm x || git status",
        "git status | sh", "sudo git status", "env git status", "/tmp/git status", "./git status", "gitstatus", "git statusx",
        "bash -c 'git status'", "xargs git status", "'git status'", "git 'status x'", "Git status", "command git status",
    ],
)  # fmt: skip
def test_every_command_must_be_allowed(text: str):
    assert Rules(allow_commands=("git status",)).command(text) == "ask"


@pytest.mark.parametrize(
    "text", ["git status", "git  status -s", "git status; git status", "git 'status' -s | git status"]
)
def test_allowed(text: str):
    assert Rules(allow_commands=("git status",)).command(text) == "allow"


@pytest.mark.parametrize("text", ["rm x", "/bin/rm x", "git status; rm x", "'rm' x", 'r"m" x', "ls | rm x"])
def test_denied_whatever_is_allowed(text: str):
    assert Rules(allow_commands=("rm", "git", "ls"), deny_commands=("rm",)).command(text) == "deny"


@pytest.mark.parametrize(
    "text",
    [
        "sudo rm x",
        "xargs rm",
        "sh -c 'rm x'",
        "echo $(rm x)",
        "r\\m x",
        "X=1 rm x",
        "find . -exec rm x +",
        "(rm x)",
        "a\nrm x",
    ],
)
def test_hidden_behind_another_it_is_asked_about_in_every_mode(text: str):
    everything = ("sudo", "xargs", "sh", "echo", "find", "a", "r", "rm")
    assert Rules(allow_commands=everything, deny_commands=("rm",)).command(text) == "doubt"


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("git status -s", [(("git", "status"), True)]),
        ("git -C x status", [(("git", "-C", "x", "status"), False)]),
        ("pytest -q a", [(("pytest",), True)]),
        ("python -m pytest a", [(("python", "-m", "pytest"), True)]),
        ("python -c x", [(("python", "-c", "x"), False)]),
        ("rm -rf build", [(("rm", "-rf", "build"), False)]),
        ("./run a", [(("./run", "a"), False)]),
        ("ls | xargs rm", [(("ls",), True), (("xargs", "rm"), False)]),
        ("python3.12 -c x", [(("python3.12", "-c", "x"), False)]),
        ("python3.12 -m pytest a", [(("python3.12", "-m", "pytest"), True)]),
        ("npx x", [(("npx", "x"), False)]),
        ("export A=b", [(("export", "A=b"), False)]),
        ("uv run python -c x", [(("uv", "run", "python", "-c", "x"), False)]),
        ("uv run pytest -q", [(("uv", "run", "pytest"), True)]),
        ("npm run test -- -x", [(("npm", "run", "test"), True)]),
        ("npm exec x", [(("npm", "exec", "x"), False)]),
        ("uv run --with x pytest", [(("uv", "run", "--with", "x", "pytest"), False)]),
        ("cargo run -- x", [(("cargo", "run", "--", "x"), False)]),
        ("git checkout a.py", [(("git", "checkout", "a.py"), False)]),
        ("git stash", [(("git", "stash"), False)]),
    ],
)
def test_what_a_lasting_yes_covers(text: str, covered: list[tuple[tuple[str, ...], bool]]):
    assert lasting(text) == covered


def test_a_whole_command_that_was_allowed_is_no_beginning():
    rules = Rules(exact=frozenset({("rm", "-rf", "build")}))
    assert rules.command("rm -rf build") == "allow"
    assert rules.command("rm -rf build src") == "ask"
    assert rules.command("rm -rf") == "ask"


@pytest.mark.parametrize(
    "text",
    ["git -C . push", "git --no-pager push", "git -c a=b push -f", "/usr/bin/git --bare push", "sh -c 'git -C . push'"],
)
def test_what_stands_between_the_words_of_a_denial_hides_it_from_nobody(text: str):
    assert Rules(allow_commands=("git", "sh"), deny_commands=("git push",)).command(text) == "doubt"


@pytest.mark.parametrize("rule", ["./deploy.sh", "scripts/deploy.sh", "/opt/scripts/deploy.sh", "deploy.sh"])
def test_a_denied_program_may_be_given_with_its_path(rule: str):
    rules = Rules(deny_commands=(rule,))
    assert rules.command("scripts/deploy.sh now") == "deny" and rules.command("deploy.sh") == "deny"
    assert rules.command("bash scripts/deploy.sh") == "doubt"


FRAGMENTS = ["foo", "bar", "-x", "a=b", " ", " ", "'q q'", '"d d"', ";", "&&", "|", "||", "$x", "`foo`", "$(foo)", "\n", "\\", "&", ">", "<", "*", "#", "~", "!", "(", ")", "{", "}", "'", '"', "$'x'", "\t"]  # fmt: skip


@pytest.mark.skipif(BASH is None, reason="bash is not here to be compared with")
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=8))
@example(["'", "&&", "'"])
@settings(max_examples=150, deadline=None)
def test_what_is_read_is_what_bash_runs(parts: list[str]):
    text = "".join(parts)
    read = simple_commands(text)
    if read is None:
        return
    told = "command_not_found_handle() { printf '<%s>' \"$@\"; echo; } >&9\n"

    def every(text: str) -> str:
        """Have all of them run, whatever they return."""
        return text.replace("||", ";").replace("&&", ";")

    assert BASH
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec 9>&1 >/dev/null; exec "$0" --norc -c "$1"', BASH, told + every(text)],
        env={"PATH": "/nonexistent"}, cwd=Path("/"), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    ran = sorted(done.stdout.splitlines())
    assert ran == sorted(every("".join(f"<{word}>" for word in words)) for words in read), text


@pytest.mark.parametrize(
    ("path", "pattern", "meant"),
    [
        ("src/a.py", "src/*.py", True), ("src/b/a.py", "src/*.py", False), ("src/b/a.py", "src/**", True),
        ("src/b/a.py", "src/**/*.py", True), ("src/a.py", "src/**/*.py", True), ("a.lock", "*.lock", True),
        ("x/y/a.lock", "*.lock", True), ("src/a.py", "src", True), ("x/src/a.py", "src/", True), ("srcs/a.py", "src", False),
        ("a.py", "/a.py", True), ("x/a.py", "/a.py", False), ("x/a.py", "./x/a.py", True), ("a?py", "a[?]py", False),
        ("migrations/1.sql", "migrations/**", True), ("a\nb", "*", True), ("a/b", "a/?", True), ("a/bc", "a/?", False),
    ],
)  # fmt: skip
def test_patterns(path: str, pattern: str, meant: bool):
    assert matches(path, pattern) is meant


def test_paths_are_judged():
    rules = Rules(allow_paths=("src/**", "docs"), deny_paths=("*.lock", "Secret/**"))
    assert [rules.path(name) for name in ("src/a.py", "docs/a/b.md", "a.py", "src/a.lock", "secret/x", "SECRET/x")] == [
        "allow", "allow", "ask", "deny", "deny", "deny",
    ]  # fmt: skip
