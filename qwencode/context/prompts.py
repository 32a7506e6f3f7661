"""What we tell the model. Stable things first, so that their evaluation can be kept; volatile things last."""

from collections.abc import Sequence

from qwencode.context.localised import localised
from qwencode.events import Suspect
from qwencode.excerpt import PARAGRAPH_CHARS, listed, plain, trimmed
from qwencode.messages import Message
from qwencode.verify.results import Baseline
from qwencode.workspace import Workspace

TEST_CHARS = 4_000
ONE_TEST_CHARS = 1_500
CODE_CHARS = 7_000
TASK_CHARS = 12_000
SAID_CHARS = 60_000
"""Of what is typed or pasted into a conversation: about 18,000 tokens."""
_FIX = """\
You are a programmer who mends code in a git repository. The user gives you failing tests or a task. \
Your work is done when all tests pass.

How to work:
1. Find the cause in the source. Read before you edit; the user's message may show the code already.
2. Make the smallest edit that mends the cause. Keep the style of the file.
3. Call run_tests. If a test still fails, read its message, think again, and go on.
4. When all tests pass, stop: say in one or two sentences what was wrong and what you changed.

Rules:
- Tests and their settings are the specification. Do not change them, skip them, or write code that detects them.
- Do not mend what is not broken. Do not make new files unless they are needed.
- Copy old_string from the file exactly, without the line numbers.
- Paths are relative to the repository root. Read with read_file and search with grep_search, not with the shell.
- There is no network. git commit and the like are not possible; the user's tool does that."""


_CHAT = """\
You are a programmer who works with the user in their git repository, in a terminal.

How to work:
- A question gets an answer, not an edit. Look into the code first, and name files and lines.
- When something is to be changed: read before you edit, make the smallest edit, keep the style of the file.
- After a change run the tests that concern it with run_tests, and mend what you broke.
- When the work is done, stop: say in a few sentences what you did and what is left.

Rules:
- Do what was asked and no more. When it is unclear in a way that matters, ask.
- The user may refuse a call or change it. Take the reason seriously; do not try the same by another way.
- Copy old_string from the file exactly, without the line numbers.
- Paths are relative to the repository root. Read with read_file and search with grep_search, not with the shell.
- There is no network. git commit and the like are not possible; the user has commands for that.
- Write short Markdown."""


def system_prompt() -> Message:
    """Return the system message of `fix`. It is the same for every repository and run."""
    return Message("system", _FIX)


def chat_prompt() -> Message:
    """Return the system message of `chat`. It is the same for every repository and session."""
    return Message("system", _CHAT)


def said(
    text: str, *, instructions: str = "", files: str = "", notes: Sequence[tuple[str, str]] = (), cut: bool = False
) -> Message:
    """Return what the user says in a conversation, with what goes with it.

    In this order: that the last reply was `cut` off by the user; the repository's `instructions` (the first time);
    `notes` (title, text), as the output of commands; the `files` that it names; the words as they were typed.
    """
    parts = [
        "(The reply before this was interrupted by the user.)" if cut else "",
        _part("instructions from the repository", instructions),
        *(_part(title, note) for title, note in notes),
        _part("files that the message names", files),
        trimmed(text.strip(), SAID_CHARS, line_chars=SAID_CHARS),
    ]
    return Message("user", "\n\n".join(part for part in parts if part))


def first_message(
    workspace: Workspace,
    *,
    task: str = "",
    files: str = "",
    baseline: Baseline | None = None,
    suspects: Sequence[Suspect] = (),
    instructions: str = "",
    outline: str = "",
    code_chars: int = CODE_CHARS,
    near: Sequence[str] = (),
    elsewhere: Sequence[str] = (),
) -> Message:
    """Return the task with what the model would otherwise go looking for.

    In this order: the repository's own instructions, how tests are run, the task in the user's words, the files that it
    names, the failing tests with their trimmed output, the `outline` of the repository (drawn for these), the
    suspicious code in at most `code_chars` characters, edits that came near (a line each), tests that fail for other
    causes. What has no content is left out.
    """
    code = localised(workspace, suspects, code_chars)
    goal = baseline.goal if baseline else ()
    parts = [
        _part("instructions from the repository", instructions),
        f"The tests are run with: {baseline.command}" if baseline else "",
        _part("task", trimmed(task.strip(), TASK_CHARS, line_chars=PARAGRAPH_CHARS)),
        _part("files that the task names", files),
        _part("failing tests", _failing(baseline)) if baseline and goal else "",
        _part("map of the repository: definitions near to this by file; … stands for others", outline),
        _part("suspicious code, by which lines failing tests run and passing ones do not", code),
        _part("small edits that were tried, came near, and were taken back", "\n".join(near)),
        f"Other tests seem to fail for another cause, and are left for later: {listed(elsewhere, 8)}."
        if elsewhere
        else "",
        _closing(task, goal, code),
    ]
    return Message("user", "\n\n".join(part for part in parts if part))


def still_failing(tests: Sequence[str]) -> str:
    """Return what to say to a model that stopped while these tests fail; '' for none."""
    if not tests:
        return ""
    say = f"{len(tests)} of the tests still fail" if len(tests) > 1 else "One test still fails"
    return f"You stopped, but {say}: {listed(tests, 8)}. Find out why with run_tests, and go on until all tests pass."


def unchanged() -> str:
    """Return what to say to a model that stopped before it changed anything."""
    return "You stopped, but no file has changed. Make the edit now; or, if the task needs none, say why in a sentence."


def _part(title: str, text: str) -> str:
    """Frame a text that is not ours, so that where it ends is clear."""
    return f"<<< {title}\n{text}\n>>>" if text else ""


def _failing(baseline: Baseline) -> str:
    """Return the goal's tests with their messages, as many as fit, then the names of the others."""
    parts: list[str] = []
    used = 0
    for number, test in enumerate(baseline.goal):
        message = trimmed(plain(baseline.run.results[test].message).strip("\n"), ONE_TEST_CHARS)
        used += len(message)
        if number and used > TEST_CHARS:
            parts.append(f"And {len(baseline.goal) - number} more: {listed(baseline.goal[number:], 20)}")
            break
        parts.append(f"{test}\n{message}".strip())
    return "\n\n".join(parts)


def _closing(task: str, goal: Sequence[str], code: str) -> str:
    if not goal:
        return "Do the task. The tests that pass now must still pass." if task else ""
    what = f"Make the {len(goal)} failing tests pass" if len(goal) > 1 else "Make the failing test pass"
    also = " and do the task" if task.strip() else ""
    where = " Start from the suspicious code; the cause may also be elsewhere." if code else ""
    return f"{what}{also}, without breaking any other.{where}"
