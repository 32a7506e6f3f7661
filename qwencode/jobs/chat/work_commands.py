"""Commands about the work itself: what was changed, tests, `fix`, commits, and commands of the user's."""

import os
import signal
import subprocess
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from qwencode.context.prompts import chat_prompt
from qwencode.errors import UsageError
from qwencode.events import Event, InputOffered, Listed, Notice, TreeChanged, VerdictReached
from qwencode.excerpt import listed, plain, trimmed
from qwencode.jobs.chat.person import Nobody
from qwencode.jobs.chat.turn import ANSWERED, ask, turn
from qwencode.jobs.fix import Fix, FixTask, Outcome, Parts
from qwencode.messages import Message
from qwencode.model.protocol import Model, Options
from qwencode.sandbox.protocol import Limits
from qwencode.snapshots import commit_paths, commit_staged, last_commit, staged, unsaved
from qwencode.tools.run_tests import run_tests_tool
from qwencode.tools.shell import MEMORY
from qwencode.workspace import git

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat

NOTE_CHARS = 8_000
_SHOWN_CHARS = 40_000
_OUTPUT_BYTES = 1 << 20
_RUN_SECONDS = 600.0
_DIFF_CHARS = 12_000
_ASK_FOR_MESSAGE = """\
Write the message of a commit for the change below. Call no tool. Answer with the message alone: a line of at most 72
characters that says what the change does, then, if there is more to say, an empty line and the reasons."""


def diff(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Show what the session has changed; with a path, what differs there from the last commit."""
    if rest:
        path = chat.parts.workspace.relative(chat.parts.workspace.resolve(rest))
        options = ["--no-color", "--no-ext-diff", last_commit(chat.parts.workspace), "--", path]
        text = git(chat.parts.workspace.root, "--literal-pathspecs", "diff", *options)
        shown, files = text.decode(errors="replace"), (path,)
        nothing = f"Nothing in {path} differs from the last commit."
    else:
        shown, files = chat.session_change()
        nothing = "This session has changed no file. `/diff .` shows what differs from the last commit."
    yield TreeChanged(shown, files) if shown else Notice(nothing)


def test(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Run the tests; what fails goes with the next message."""
    yield from turn(chat, f"/test {rest}".strip(), lambda: _test(chat, rest))


def _test(chat: "Chat", rest: str) -> Generator[Event, None, str]:
    with chat.desk.working():
        result = run_tests_tool(chat.desk.run_tests).run(selection=rest)
    yield Listed(result.summary, (), _rows(result.text))
    if not result.ok:
        chat.notes.append(("what the tests say", trimmed(result.text, NOTE_CHARS)))
        yield InputOffered("Find out why these tests fail, and mend it.")
    return ANSWERED


def run(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Run a command in the sandbox; its output goes with the next message."""
    if not rest:
        raise UsageError("Say what to run: /run CMD. It runs in the sandbox; !CMD runs outside.")
    yield from turn(chat, f"/run {rest}", lambda: _run(chat, rest))


def _run(chat: "Chat", command: str) -> Generator[Event, None, str]:
    limits = Limits(seconds=_RUN_SECONDS, memory_bytes=MEMORY)
    with chat.desk.working():
        done = chat.desk.sandbox.run(["sh", "-c", command], cwd=chat.parts.workspace.root, limits=limits)
    how = "timed out" if done.timed_out else f"exit code {done.returncode}"
    yield from _shown(chat, command, how, plain(done.text), keep=True)
    return ANSWERED


def shell(chat: "Chat", command: str, keep: bool) -> Generator[Event, None, None]:
    """Run a command of the user's, outside the sandbox. `keep`: its output goes with the next message."""
    if not command.strip():
        raise UsageError("Say what to run: !CMD; !!CMD tells the model what came out.")
    try:
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=chat.parts.workspace.start,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    except OSError as error:  # the directory is gone, or the command is longer than a command can be
        raise UsageError(f"The command cannot be started in {chat.parts.workspace.start}: {error.strerror}.") from error
    try:
        output, _ = process.communicate()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    text = plain(output[-_OUTPUT_BYTES:].decode(errors="replace"))
    yield from _shown(chat, command, f"exit code {process.returncode}", text, keep)


def _shown(chat: "Chat", command: str, how: str, text: str, keep: bool) -> Generator[Event, None, None]:
    yield Listed(f"$ {command}: {how}", (), _rows(trimmed(text.strip("\n"), _SHOWN_CHARS)))
    if keep:
        output = trimmed(text.strip("\n"), NOTE_CHARS) or "(it printed nothing)"
        chat.notes.append((f"the user ran `{command}`: {how}", output))
        yield Notice("The model is told of it with your next message.")


def fix(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Mend failing tests as `qwencode fix` does: search first, then this model; only what is proven is kept."""
    if chat.mode == "plan":
        raise UsageError("In the mode plan nothing is changed: /mode ask first.")
    yield from chat.ready()
    yield from turn(chat, f"/fix {rest}".strip(), lambda: _fix(chat, rest))


def _fix(chat: "Chat", goal: str) -> Generator[Event, None, str]:
    settings, step, model = chat.settings, chat.step, chat.model
    assert step is not None and model is not None
    task = FixTask(
        goal=goal,
        test=settings.test,
        max_steps=settings.max_steps,
        max_minutes=settings.max_minutes,
        think=chat.think,
        attempts=settings.attempts,
        follow=chat.trusted,
    )
    person = chat.parts.person
    parts = Parts(
        chat.parts.workspace,
        chat.desk.sandbox,
        chat.recording.id,
        chat.parts.places.maps,
        lambda: Lent(model),
        lambda: isinstance(person, Nobody) or person.confirm("Keep this change?"),
        options=Options(thinking_budget=settings.think_budget),
        run=step.name,
    )
    verdict: VerdictReached | None = None
    job = Fix(task, parts)
    work = job.work()
    try:
        while True:
            try:
                event = next(work)
            except StopIteration as end:
                outcome: Outcome = end.value
                break
            if isinstance(event, VerdictReached):
                verdict = event
                chat.told(event)
            yield event
    except KeyboardInterrupt:
        work.close()
        yield from job.told()
        raise
    finally:
        work.close()
    kept = outcome.verdict is not None and verdict is not None and verdict.status != "not_fixed"
    step.changed = verdict.changed_files if kept and verdict else ()
    changed = listed(step.changed, 10) or "nothing"
    chat.notes.append(("note", f"The user ran `qwencode fix`. {outcome.reason} Changed: {changed}."))
    return ANSWERED


class Lent:
    """The open model, for a job that would close it at its end."""

    def __init__(self, model: Model):
        self.name, self.context_length, self.stream = model.name, model.context_length, model.stream

    def close(self) -> None:
        """Leave it open."""


def commit(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Commit what is staged, as it is; or, where nothing is, what the session has changed."""
    workspace = chat.parts.workspace
    files, own = sorted(staged(workspace)), False
    if files:
        change = git(workspace.root, "diff", "--cached", "--no-color", "--no-ext-diff").decode(errors="replace")
    else:
        change, changed = chat.session_change()
        files, own = _uncommitted(chat, changed), True
        _check_to_commit(chat, files)
    message = rest or (yield from _message(chat, change))
    if not message:
        raise UsageError("Nothing was committed: the message was given up. /commit MESSAGE takes yours.")
    made = commit_paths(workspace, files, message) if own else commit_staged(workspace, message)
    what = listed(files, 5) if own else f"what you had staged in {listed(files, 5)}"
    yield Notice(f"Committed {made[:10]}: {what}. Nothing was pushed.")


def _check_to_commit(chat: "Chat", files: Sequence[str]) -> None:
    """Raise UsageError when there is nothing to commit, or work of the user's that is not to be swept along."""
    if not files:
        raise UsageError("There is nothing to commit: nothing is staged, and this session has changed no file.")
    mixed = unsaved(chat.parts.workspace, chat.run_names(), files)
    question = (
        f"{listed(mixed, 5)} held changes of yours before this session, or since. They would go in as well. Go on?"
    )
    if mixed and not chat.parts.person.confirm(question):
        raise UsageError("Nothing was committed. Stage what is to go in with `git add -p`, and say /commit again.")


def _message(chat: "Chat", change: str) -> Generator[Event, None, str]:
    """Return the message that the model has written in a turn, and the user has edited; '' when it was given up."""
    yield from _ask_for_message(chat, change)
    last = chat.talk.history[-1]
    edited = chat.parts.person.edit(unfenced(last.content) if last.role == "assistant" else "", "COMMIT_EDITMSG")
    return "\n".join(line for line in (edited or "").splitlines() if not line.startswith("#")).strip()


def _ask_for_message(chat: "Chat", change: str) -> Generator[Event, None, None]:
    yield from chat.ready()
    text = f"{_ASK_FOR_MESSAGE}\n\n<<< change\n{trimmed(change, _DIFF_CHARS)}\n>>>"
    first = not chat.talk.history
    message = Message("user", text)
    yield from ask(chat, "/commit", [chat_prompt(), message] if first else [message], "never")


def _uncommitted(chat: "Chat", files: Sequence[str]) -> list[str]:
    """Return those of the files that differ from the last commit."""
    options = ["--no-renames", "--untracked-files=all", "-z", "--porcelain"]
    rows = git(chat.parts.workspace.root, "status", *options).split(b"\0")
    return sorted({os.fsdecode(row[3:]) for row in rows if row}.intersection(files))


def unfenced(text: str) -> str:
    """Return the text that a model has put between fences, or the text as it is."""
    lines = text.strip().splitlines()
    fences = [number for number, line in enumerate(lines) if line.startswith("```")]
    return "\n".join(lines[fences[0] + 1 : fences[1]]).strip() if len(fences) >= 2 else text.strip()


def _rows(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple((line,) for line in text.splitlines())
