"""`qwencode chat` in a real terminal: with a model file of random weights, and with a server that follows a script."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import screens
from loopback import Answer, Loopback, serving
from screens import said
from tmux import Tmux, needs_tmux

pytestmark = [needs_tmux, pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from qwencode.cli import main; main()", "chat"]
Start = Callable[..., Tmux]


@pytest.fixture
def server() -> Iterator[Loopback]:
    pages = {"/v1/models": {"data": [{"id": "scripted"}]}, "/props": {"default_generation_settings": {"n_ctx": 32_768}}}
    with serving(Loopback(pages=pages)) as loopback:
        yield loopback


@pytest.fixture
def start(repository: Path, own_directories: Path, run_git: Callable[..., str]) -> Iterator[Start]:
    """Start a session in a repository with one wrong file. It must be ready before anything is typed."""
    windows = list[Tmux]()
    (repository / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    run_git(repository, "add", "-A")
    run_git(repository, "commit", "-q", "-m", "Add")

    def begin(model: str | Path, *arguments: str, size: tuple[int, int] = (100, 30), **environment: str) -> Tmux:
        window = Tmux(*size)
        windows.append(window)
        names = {name: value for name, value in os.environ.items() if name.startswith(("XDG_", "GIT_"))}
        window.start(
            [*COMMAND, "--model", str(model), *arguments], repository, {"PYTHONPATH": str(ROOT), **names, **environment}
        )
        window.wait("❯", "main", lambda screen: "not loaded" not in screen, seconds=60)
        return window

    yield begin
    for window in windows:
        try:
            assert "Traceback" not in window.everything()
        finally:
            window.close()


def answers(server: Loopback, *replies: Iterator[bytes]) -> None:
    server.answers += [Answer(reply) for reply in replies]


def edit() -> tuple[str, dict[str, str]]:
    return "edit", {"file_path": "calc.py", "old_string": "    return a - b", "new_string": "    return a + b"}


def shell(command: str) -> tuple[str, dict[str, str]]:
    return "run_shell_command", {"command": command}


def test_an_edit_is_allowed_undone_and_done_again(start: Start, server: Loopback, repository: Path):
    file, window = repository / "calc.py", start(server.url)
    answers(server, said("I mend it.", call=edit()), said("Mended."))
    window.say("mend add")
    window.wait("+    return a + b", "Edit calc.py?", "y yes")
    assert "a - b" in file.read_text()
    window.press("y")
    window.wait("Mended.", "changed: calc.py", "1 unsaved")
    assert "a + b" in file.read_text()
    window.say("/undo")
    window.wait("Took back turn 1: calc.py")
    assert "a - b" in file.read_text()
    window.say("/redo")
    window.wait("1 unsaved", lambda screen: screen.rstrip().split("\n")[-2].rstrip() == "ask ❯")
    assert "a + b" in file.read_text()


def test_a_refusal_reaches_the_model_with_its_reason(start: Start, server: Loopback, repository: Path):
    window = start(server.url)
    answers(server, said("I mend it.", call=edit()), said("Then not."))
    window.say("mend add")
    window.wait("n no, and why")
    window.press("n")
    window.say("use a lambda")
    window.wait("Then not.")
    assert "use a lambda" in str(server.requests[-1]["messages"][-1])
    assert "a - b" in (repository / "calc.py").read_text()


def test_a_command_that_runs_is_stopped_with_all_it_started(start: Start, server: Loopback):
    window = start(server.url, "--mode", "auto")
    mark = f"sleep 61.{os.getpid()}"
    answers(server, said("I wait.", call=shell(f"{mark} & {mark}")), said("Going on."))
    window.say("wait a minute")
    window.wait(f"run_shell_command {mark}")
    until = time.monotonic() + 20
    while not running(mark):
        assert time.monotonic() < until
        time.sleep(0.05)
    window.press("C-c")
    window.wait("Interrupted")
    assert not running(mark)
    window.say("go on")
    window.wait("Going on.")


def running(command: str) -> list[str]:
    """Return the processes that are this command and nothing else."""
    rows = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.split("\n")
    return [row for row in rows if row.strip() == command]


def test_the_model_in_this_process_is_stopped_while_it_reads_and_while_it_writes(start: Start, tiny: Path):
    window = start(tiny, "--think", "never")
    window.say("/context")  # answered when the session is open
    window.wait(re.compile("^❯ /context", re.MULTILINE).search, lambda screen: "reading" not in screen)
    window.paste("\n".join(f"line {number} of a long text" for number in range(2_000)))
    window.wait("[2,000 lines pasted]")
    window.press("Enter")
    window.wait(re.compile("reading .* of .*").search)
    window.press("C-c")
    window.wait("Interrupted", lambda screen: "reading" not in screen)
    window.say("hello")
    window.wait("writing", seconds=90)
    window.press("C-c")
    window.wait(lambda screen: screen.count("Interrupted") >= 1 and "writing" not in screen)
    window.say("/help")
    window.wait("Ends the session.")


def test_ten_thousand_pasted_lines_are_too_many_and_that_is_said(start: Start, tiny: Path):
    window = start(tiny)
    window.paste("\n".join(f"line {number} of a very long text" for number in range(10_000)))
    window.wait("[10,000 lines pasted]")
    window.press("Enter")
    window.wait(re.compile("context", re.IGNORECASE).search, lambda screen: "reading" not in screen, seconds=90)
    window.say("/help")
    window.wait("/quit")


def test_a_killed_session_goes_on_with_its_last_whole_turn(start: Start, server: Loopback):
    window = start(server.url)
    answers(server, said("The first answer."), said("The second", wait=lambda: time.sleep(60)))
    window.say("first question")
    window.wait("The first answer.", "context 2,112")
    window.say("second question")
    window.wait("reading")
    os.kill(window.program, signal.SIGKILL)
    window.wait("ended 137")
    server.answers.clear()
    again = start(server.url, "--continue")
    answers(server, said("I remember."))
    again.say("and now?")
    again.wait("I remember.")
    told = [
        message["content"] for message in server.requests[-1]["messages"] if message["role"] in ("user", "assistant")
    ]
    assert any("first question" in str(text) for text in told)
    assert "The first answer." in told


def test_going_back_is_chosen_from_a_list_and_a_turn_is_asked_for_again(start: Start, server: Loopback):
    window = start(server.url)
    answers(server, said("One."), said("Two."), said("Two, again."))
    for question, answer in (("first question", "One."), ("second question", "Two.")):
        window.say(question)
        window.wait(answer, lambda screen: screen.rstrip().split("\n")[-2].rstrip() == "ask ❯")
    window.say("/retry")
    window.wait("Two, again.")
    window.say("/rewind")
    window.wait("first question", "second question", "Enter takes it")
    window.type("first")
    window.wait("1 of 2")
    window.press("Enter")
    window.wait("ask ❯ first question")


@pytest.mark.parametrize(
    "line", ["/nonsense", "/rewind 99", "/resume nothing", "/model none", "/add no/such", "!exit 3", "/", "!", "@"]
)
def test_a_line_that_makes_no_sense_gets_a_sentence(start: Start, server: Loopback, line: str):
    window = start(server.url)
    answers(server, said("What?"))
    window.say(line)
    window.say("/help")
    window.wait("Ends the session.", "@FILE")


def test_the_screens_of_the_page_are_what_a_run_looks_like():
    done = subprocess.run(
        [sys.executable, str(screens.__file__), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
