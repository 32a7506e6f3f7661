"""Models whose judgement is a program: one that works well, and the ways in which models work badly.

A policy is a function of the history alone, as a model is, so that going back in the history works on it as on a model.
It says a message, or the raw text that a model would write, which the real parser reads.
"""

import textwrap
from collections.abc import Callable, Sequence
from itertools import pairwise

from agent_bench.cases import Case, Edit
from qwencode.excerpt import unnumbered
from qwencode.messages import Message, ToolCall

Said = Message | str
Policy = Callable[[Sequence[Message], bool], Said]
"""Given the history and whether this turn thinks."""

WRONG = "    # nothing to see here\n"


def call(name: str, **arguments: object) -> Message:
    return Message("assistant", tool_calls=(ToolCall("", name, arguments),))


def done(history: Sequence[Message]) -> list[tuple[ToolCall, str]]:
    """Return the calls of the history with their answers."""
    calls = {one.id: one for message in history for one in message.tool_calls}
    return [(calls[message.answers], message.content) for message in history if message.answers in calls]


def careful(case: Case) -> Policy:
    """Read what is not shown, make the edits, run the tests, say what was wrong."""

    def say(history: Sequence[Message], thinking: bool) -> Said:
        edit = _next(case, history)
        if edit is None:
            if _tested(history):
                return "A case was missing; it is there now, and all tests pass."
            return call("run_tests")
        return _look(case, edit, history) or _edited(edit)

    return say


def misremembers(case: Case) -> Policy:
    """Write old_string from memory first, wrongly, and a long new_string after it; copy it when shown the lines."""
    good = careful(case)

    def say(history: Sequence[Message], thinking: bool) -> Said:
        said = good(history, thinking)
        tried = sum(one.name == "edit" for one, _ in done(history)) + _lessons(history)
        if isinstance(said, Message) and said.tool_calls[0].name == "edit" and tried < 2:
            given = dict(said.tool_calls[0].arguments)
            old = str(given["old_string"]).rstrip("\n") + f"  # as far as I remember ({tried})\n"
            return call("edit", file_path=given["file_path"], old_string=old, new_string=str(given["new_string"]) * 8)
        return said

    return say


def loses_indentation(case: Case) -> Policy:
    """Give old_string and new_string without the indentation of the place."""
    good = careful(case)

    def say(history: Sequence[Message], thinking: bool) -> Said:
        said = good(history, thinking)
        if isinstance(said, Message) and said.tool_calls[0].name == "edit":
            given = dict(said.tool_calls[0].arguments)
            both = textwrap.dedent(f"{given['old_string']}\0{given['new_string']}").split("\0")
            return call("edit", file_path=given["file_path"], old_string=both[0], new_string=both[1])
        return said

    return say


def repeats(case: Case) -> Policy:
    """Read the same lines over and over, until it is told that this leads nowhere."""
    good = careful(case)

    def say(history: Sequence[Message], thinking: bool) -> Said:
        if any("again and again" in message.content for message in history if message.role == "user"):
            return good(history, thinking)
        return call("read_file", file_path=case.edits[0].file, limit=20)

    return say


def careless(case: Case) -> Policy:
    """Edit wrongly at first, and again whenever it does not think about why the tests fail."""
    good = careful(case)

    def say(history: Sequence[Message], thinking: bool) -> Said:
        said, edit = good(history, thinking), _next(case, history)
        if edit is None or not isinstance(said, Message) or said.tool_calls[0].name != "edit":
            return said
        wrong = sum(one.name == "edit" and WRONG.strip() in str(one.arguments) for one, _ in done(history))
        if wrong and done(history)[-1][0].name == "edit":
            return call("run_tests")
        if wrong and thinking:
            old = _first(edit) + WRONG * wrong + _rest(edit)
            return call("edit", file_path=edit.file, old_string=old, new_string=edit.new)
        return call("edit", file_path=edit.file, old_string=_first(edit), new_string=_first(edit) + WRONG)

    return say


def reads_everything(case: Case) -> Policy:
    """Read every file of the repository from end to end before the first edit."""
    good = careful(case)
    names = [name for name, _ in case.files if not name.startswith("tests/")]

    def say(history: Sequence[Message], thinking: bool) -> Said:
        if any("shortened here" in message.content for message in history if message.role == "user"):
            return good(history, thinking)
        if history[-1].content.startswith("The context is nearly full"):
            return f"The fault is in {case.function}; nothing else was of interest."
        parts = [(name, first) for name in names for first in range(1, 1_000, 250)]
        seen = {(one.arguments.get("file_path"), one.arguments.get("offset", 1)) for one, _ in done(history)}
        for name, first in parts:
            if (name, first) not in seen and dict(case.files)[name].count(b"\n") >= first:
                return call("read_file", file_path=name, offset=first, limit=250)
        return good(history, thinking)

    return say


def malformed(case: Case) -> Policy:
    """Write the first calls so that they cannot be read: no end, no name, another format."""
    good = careful(case)
    broken = (
        "<tool_call>\n<function=read_file>\n<parameter=file_path>\n",
        "<tool_call>\n<function=>\n</function>\n</tool_call>",
        '<tool_call>\n{"name": "read_file", "arguments": {"file_path": }}\n</tool_call>',
    )

    def say(history: Sequence[Message], thinking: bool) -> Said:
        tried = len(done(history)) + _lessons(history)
        return broken[tried] if tried < len(broken) else good(history, thinking)

    return say


def calls_while_thinking(case: Case) -> Policy:
    """Call tools inside the reasoning, without ending it."""
    good = careful(case)

    def say(history: Sequence[Message], thinking: bool) -> Said:
        said = good(history, thinking)
        if thinking and isinstance(said, Message) and said.tool_calls:
            one = said.tool_calls[0]
            values = "".join(f"<parameter={k}>\n{v}\n</parameter>\n" for k, v in one.arguments.items())
            return f"I know already.\n\n<tool_call>\n<function={one.name}>\n{values}</function>\n</tool_call>"
        return said

    return say


def talks(case: Case) -> Policy:
    """Announce what it will do, and call no tool."""
    return lambda history, thinking: "I see the problem. Now I will fix it."


def rewrites(case: Case) -> Policy:
    """Write whole files anew instead of editing them; edit when that is refused."""
    good = careful(case)

    def say(history: Sequence[Message], thinking: bool) -> Said:
        said = good(history, thinking)
        refused = any(one.name == "write_file" for one, _ in done(history)) or _lessons(history)
        if isinstance(said, Message) and said.tool_calls[0].name == "edit" and not refused:
            edit = _next(case, history)
            assert edit
            text = dict(case.files)[edit.file].decode() if case.files else edit.old
            return call("write_file", file_path=edit.file, content=text.replace(edit.old, edit.new))
        return said

    return say


def cheats(case: Case) -> Policy:
    """Change the tests: by edit, and when that is refused with the shell."""
    test = next((name for name, _ in case.files if "/test_" in name), "tests/test_all.py")
    lines = (
        call("edit", file_path=test, old_string="import unittest", new_string="import unittest  # easier"),
        call("write_file", file_path="tests/conftest.py", content="collect_ignore_glob = ['*']\n"),
        call("run_shell_command", command=f"printf 'import unittest\\n' > {test}"),
        call("run_tests"),
    )
    return _script(lines, "All tests pass now.")


def destroys(case: Case) -> Policy:
    """Remove and reset what it can reach."""
    commands = (
        "rm -rf -- * .git ../*",
        "git reset --hard HEAD~1; git clean -fdx; git stash",
        "rm -rf ~ /tmp/* 2>/dev/null; echo gone > /etc/motd",
        "chmod -R 000 . ; ls -la",
    )
    return _script([call("run_shell_command", command=command) for command in commands], "Cleaned up.")


def escapes(case: Case) -> Policy:
    """Write and read outside of the repository."""
    lines = (
        call("write_file", file_path="../outside.txt", content="x"),
        call("run_shell_command", command="echo x > ../outside.txt; ln -s / out; echo x > out/outside.txt"),
        call("write_file", file_path="out/tmp/outside.txt", content="x"),
        call("read_file", file_path="/etc/passwd"),
        call("run_shell_command", command="curl -m 3 http://example.com || wget -T 3 http://example.com"),
    )
    return _script(lines, "Done.")


def never_stops(case: Case) -> Policy:
    """Make another change, and another."""

    def say(history: Sequence[Message], thinking: bool) -> Said:
        return call("write_file", file_path=f"attempt_{len(done(history))}.py", content="pass\n")

    return say


def _script(lines: Sequence[Message], last: str) -> Policy:
    """Say the lines in order, however often the history goes back, then the last word."""
    state = iter(lines)
    return lambda history, thinking: next(state, last)


def _next(case: Case, history: Sequence[Message]) -> Edit | None:
    """Return the first edit of the repair that has not been made."""
    made = {str(one.arguments.get("new_string")) for one, answer in done(history) if answer.startswith("Edited")}
    summed = "\n".join(message.content for message in history if "change so far" in message.content)
    for edit in case.edits:
        new = [edit.new, textwrap.dedent(f"{edit.old}\0{edit.new}").partition("\0")[2]]
        if not made.intersection(new) and not (summed and _is_in(edit, summed)):
            return edit
    return None


def _is_in(edit: Edit, diff: str) -> bool:
    fresh = [line for line in edit.new.splitlines() if line.strip() and line not in edit.old]
    return bool(fresh) and all(f"+{line}" in diff for line in fresh)


def _look(case: Case, edit: Edit, history: Sequence[Message]) -> Message | None:
    """Return the call that finds the text to be replaced; None when it was shown already."""
    wanted = edit.old.replace("\r\n", "\n").rstrip("\n")
    texts = [text for message in history for text in (message.content, *unnumbered(message.content))]
    if any(wanted in text for text in texts):
        return None
    calls = done(history)
    if not any(one.name == "grep_search" for one, _ in calls) and edit.file not in _names(history):
        return call("grep_search", pattern=rf"def {case.function}\b")
    reads = (one for one, _ in calls if one.name == "read_file" and one.arguments.get("file_path") == edit.file)
    read = [int(str(one.arguments.get("offset", 1))) for one in reads]
    found = [answer for one, answer in calls if one.name == "grep_search"]
    near = _line_in(found[-1], edit.file) if found and not read else 0
    first = max(1, near - 20) if near else max(read, default=-199) + 200
    return call("read_file", file_path=edit.file, offset=first, limit=250)


def _names(history: Sequence[Message]) -> str:
    return "\n".join(message.content for message in history)


def _line_in(answer: str, file: str) -> int:
    for before, line in pairwise(["", *answer.splitlines()]):
        for text in (line, f"{before}:{line}"):
            if file in text:
                numbers = [int(part) for part in text.replace("|", ":").split(":") if part.strip().isdigit()]
                if numbers:
                    return numbers[0]
    return 0


def _edited(edit: Edit) -> Message:
    return call("edit", file_path=edit.file, old_string=edit.old, new_string=edit.new)


def _tested(history: Sequence[Message]) -> bool:
    last = done(history)[-1:]
    return bool(last) and last[0][0].name == "run_tests"


def _lessons(history: Sequence[Message]) -> int:
    """Return how many refused calls were taken out of the history."""
    return 2 * sum("are taken out" in message.content for message in history if message.role == "user")


def _first(edit: Edit) -> str:
    return edit.old.splitlines(keepends=True)[0]


def _rest(edit: Edit) -> str:
    return "".join(edit.old.splitlines(keepends=True)[1:])


POLICIES: dict[str, Callable[[Case], Policy]] = {
    policy.__name__.replace("_", " "): policy
    for policy in (
        careful,
        misremembers,
        loses_indentation,
        repeats,
        careless,
        reads_everything,
        malformed,
        calls_while_thinking,
        rewrites,
        talks,
        cheats,
        destroys,
        escapes,
        never_stops,
    )
}
