"""`qwencode chat`, `ask` and `sessions` as processes, without a terminal, with a model behind a server."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from loopback import Answer, Loopback, delta, serving, stream
from qwencode.errors import QwencodeError
from qwencode.jobs.chat.talk import folded
from qwencode.sessions import load, summaries

Qwencode = Callable[..., "CompletedProcess[str]"]


def says(text: str) -> Answer:
    return stream(delta(content=text), delta("stop"))


def calls(name: str, **arguments: Any) -> Answer:
    function = {"name": name, "arguments": json.dumps(arguments)}
    asked = [{"index": 0, "id": "c", "type": "function", "function": function}]
    return stream(delta(tool_calls=asked), delta("tool_calls"))


@pytest.fixture
def server() -> Iterator[Loopback]:
    with serving(Loopback(pages={"/v1/models": {"data": [{"id": "m"}]}})) as served:
        yield served


@pytest.fixture
def talk(qwencode: Qwencode, repository: Path, server: Loopback) -> Qwencode:
    """Run `qwencode chat` in the repository on some lines."""

    def run(*lines: str, arguments: tuple[str, ...] = ()) -> "CompletedProcess[str]":
        typed = "".join(f"{line}\n" for line in lines)
        return qwencode("chat", "--no-sandbox", "--model", server.url, *arguments, cwd=repository, stdin=typed)

    return run


@pytest.mark.slow
def test_lines_and_going_on(talk: Qwencode, server: Loopback, qwencode: Qwencode, repository: Path):
    server.answers += [says("Two."), says("Three."), says("Four.")]
    done = talk("How many?", "/help", "And now?", "/quit", "Never read")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nTwo.\n" in done.stdout and "/rewind [N] [files|talk|both]" in done.stdout and "\nThree.\n" in done.stdout
    assert len(server.requests) == 2
    listed = qwencode("sessions", cwd=repository)
    assert "just now  How many?" in listed.stdout
    name = listed.stdout.split()[0]
    done = talk("Again?", arguments=("--continue",))
    assert "Going on with" in done.stdout and "\nFour.\n" in done.stdout
    said = [message["content"] for message in server.requests[-1]["messages"] if message["role"] == "user"]
    assert said == ["How many?", "And now?", "Again?"]
    assert server.requests[-1]["messages"][:5] == [
        *server.requests[1]["messages"],
        {"role": "assistant", "content": "Three."},
    ]
    assert "## User\n\nHow many?" in qwencode("sessions", "show", name[:15]).stdout
    assert json.loads(qwencode("sessions", "list", "--json", "--all").stdout)["words"] == "How many?"
    assert "Removed the session" in qwencode("sessions", "rm", name).stdout
    assert qwencode("sessions", cwd=repository).stdout == "There is no session in this repository.\n"
    assert talk(arguments=("--resume", name)).returncode == 2


def test_json(talk: Qwencode, server: Loopback):
    server.answers.append(says("Two."))
    done = talk("How many?", "/nonsense", arguments=("--json",))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stderr == "" and [event["type"] for event in events if event["type"].startswith("turn")] == [
        "turn_started",
        "turn_ended",
    ]
    assert events[-1]["level"] == "error"


def test_ask_gives_the_answer_and_nothing_else(qwencode: Qwencode, repository: Path, server: Loopback):
    (repository / "a.txt").write_text("1\n")
    server.answers += [calls("edit", file_path="a.txt", old_string="1", new_string="2"), says("It is\n\n2.")]
    done = qwencode("ask", "/what is it?", "--no-sandbox", "--model", server.url, cwd=repository, stdin="some\nlog\n")
    assert (done.returncode, done.stdout) == (0, "It is\n\n2.\n"), done.stderr
    assert (repository / "a.txt").read_text() == "1\n", "it only reads"
    (said,) = [message["content"] for message in server.requests[0]["messages"] if message["role"] == "user"]
    assert said == "/what is it?\n\n<<< piped in\nsome\nlog\n\n>>>"


def test_ask_from_a_pipe_and_as_events(qwencode: Qwencode, repository: Path, server: Loopback):
    server.answers.append(says("Yes."))
    done = qwencode("ask", "-", "--json", "--no-sandbox", "--model", server.url, cwd=repository, stdin="Is it?\n")
    assert done.returncode == 0 and server.requests[0]["messages"][-1]["content"] == "Is it?"
    assert all(json.loads(line)["type"] for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("ask", "-"), 2, "There is no question"),
        (("ask", "x", "--mode", "yolo"), 2, "it can be: plan, ask, auto"),
        (("chat", "--continue", "--resume", "x"), 2, "not both"),
        (("chat", "--resume", "x"), 2, "There is no session 'x'"),
        (("chat", "--continue"), 2, "There is no conversation in"),
        (("chat", "nowhere"), 2, "nowhere does not exist"),
        (("sessions", "show", "x"), 2, "There is no session 'x'"),
    ],
)
def test_what_can_be_wrong(
    call: Callable[..., str],
    repository: Path,
    server: Loopback,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
):
    monkeypatch.chdir(repository)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    more = () if arguments[0] == "sessions" else ("--model", server.url, "--no-sandbox")
    with pytest.raises(QwencodeError, match=sentence) as caught:
        call(*arguments, *more)
    assert caught.value.exit_code == code


@pytest.mark.parametrize("model", [(), ("--model", "builtin")])
def test_the_builtin_model_cannot_hold_a_conversation(qwencode: Qwencode, repository: Path, model: tuple[str, ...]):
    done = qwencode("chat", *model, cwd=repository)
    assert done.returncode == 4 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("qwencode: The built-in model mends single lines and cannot hold a conversation.")


def test_a_server_that_goes_away(qwencode: Qwencode, repository: Path, server: Loopback):
    server.answers.append(Answer(status=401, pieces=[b"{}"], kind="application/json"))
    done = qwencode("ask", "Well?", "--no-sandbox", "--model", server.url, cwd=repository)
    assert done.returncode == 4 and "wants an API key" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_stopped_inside_a_tool(repository: Path, server: Loopback, own_directories: Path, number: int):
    """The process ends, what the tool had started is dead, and the session goes on from there."""
    server.answers.append(calls("run_shell_command", command="sleep 61.5"))
    command = [sys.executable, "-c", "from qwencode.cli import main; main()", "chat", "--json", "--no-sandbox"]
    process = subprocess.Popen(
        [*command, "--model", server.url],
        cwd=repository,
        env={**os.environ, "QWENCODE_ALLOW_COMMANDS": "sleep"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    process.stdin.write("Sleep.\nNever read.\n")
    process.stdin.flush()
    events: list[dict[str, Any]] = []
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1]["type"] == "tool_started":
            time.sleep(0.5)  # until the command runs
            process.send_signal(number)
            break
    rest, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    if number == signal.SIGINT:
        assert json.loads(rest.splitlines()[-2])["type"] == "turn_ended" or "turn_ended" in rest
    found = subprocess.run(["pgrep", "-f", "sleep 61.5"], capture_output=True, text=True, check=False)
    assert not found.stdout.strip()
    (kept,) = summaries(Path(own_directories / "state" / "qwencode" / "sessions"))
    talk = folded(load(own_directories / "state" / "qwencode" / "sessions" / f"{kept.id}.jsonl").events)
    assert talk.turns[-1].reason == "interrupted" and talk.history[-1].content == "Interrupted by the user."
