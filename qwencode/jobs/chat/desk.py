"""The model's tools in a conversation: the same as elsewhere, each asking for consent where that is needed.

Consent to an edit is asked with the very change that is about to be written; a file that was changed while the user
was thinking is not written. Before anything can change, the files of the turn are kept.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from qwencode.context.instructions import NAME
from qwencode.context.repomap.repository import RepositoryMap
from qwencode.errors import Declined, ToolError, UsageError
from qwencode.excerpt import listed
from qwencode.jobs.chat.person import Answer, Person, Question
from qwencode.jobs.chat.status import Mode
from qwencode.jobs.chat.step import Step
from qwencode.jobs.chat.trust import COMMANDS, to_be_trusted
from qwencode.jobs.ground import TEST_SECONDS
from qwencode.messages import ToolCall
from qwencode.sandbox.obeyed import obeyed_by_git
from qwencode.sandbox.protocol import Sandbox
from qwencode.settings import PROJECT_FILE
from qwencode.tools.approvals import Rules, lasting
from qwencode.tools.files import lies_in
from qwencode.tools.protocol import Arguments, Tool, ToolResult
from qwencode.tools.toolbox import toolbox
from qwencode.verify.commands import discover
from qwencode.verify.protected import is_test_path
from qwencode.verify.results import TestRun
from qwencode.verify.runners import run
from qwencode.workspace import TextFile, Workspace, git, write_atomic

_PLANNING = (
    "Not done: the user lets you read and plan only, for now. Say what you would do; the user decides when it is done."
)
_TELLING, _LOST = " (it tells the model what to do)", " (git ignores it, so it cannot be taken back)"
_SHELL, _TESTS = "run_shell_command", "run_tests"


class Desk:
    """The tools of one conversation. `step` is the turn that is going on; `rules` are what the user has laid down.

    `test` gives the user's own test command, '' for none; `mode` says what needs consent at this moment.
    """

    def __init__(
        self,
        workspace: Workspace,
        sandbox: Sandbox,
        person: Person,
        maps: Path,
        rules: Rules,
        test: Callable[[], str],
        mode: Callable[[], Mode],
    ):
        self.workspace, self.sandbox, self.person, self.rules = workspace, sandbox, person, rules
        self.step: Step | None = None
        self._given = Rules()
        self._test, self._mode = test, mode
        look = RepositoryMap(workspace, maps).look
        tools = dict(toolbox(_Asking(self), sandbox, self.run_tests, look=look))
        tools[_SHELL] = replace(tools[_SHELL], run=self._shell(tools[_SHELL]))
        tools[_TESTS] = replace(tools[_TESTS], run=self._tests(tools[_TESTS]))
        for name in ("edit", "write_file"):
            tools[name] = replace(tools[name], preflight=self._early(tools[name]))
        self.tools: Mapping[str, Tool] = tools

    @property
    def confined(self) -> bool:
        """Whether commands run in a sandbox that stops anything."""
        return self.sandbox.rung != "none"

    def run_tests(self, tests: tuple[str, ...]) -> TestRun:
        """Run tests as the repository does. Raises ToolError where it has none."""
        try:
            command = discover(self.workspace, self._test())
        except UsageError as error:
            raise ToolError(f"There are no tests that could be run here: {error}") from error
        return run(command, self.sandbox, tests=tests, seconds=TEST_SECONDS)

    def _allowing(self) -> Rules:
        """Return the rules with the lasting answers of this session, which say nothing of a mode that only reads."""
        rules, given = self.rules, self._given
        if self._mode() == "plan":
            return rules
        allowed = (*rules.allow_commands, *given.allow_commands)
        return replace(rules, allow_commands=allowed, exact=given.exact, files=given.files)

    def may_change(self, path: str, before: str | None, after: str) -> None:
        """Return when a file may be written. Raises Declined."""
        full = self.workspace.resolve(path)
        name = self.workspace.relative(full)
        self._check_path(path)
        special = self._special(full, name)
        if special or (self._mode() == "ask" and self._allowing().path(name) != "allow"):
            verb, test = "Edit" if before is not None else "Create", " (it belongs to the tests)" * is_test_path(name)
            question = Question(
                ToolCall("", "edit" if before is not None else "write_file", {"file_path": name}),
                f"{verb} {name}{special or test}",
                diff=_diff(name, before, after),
                always="" if special and special != _LOST else f"changes of {name}, in this session",
            )
            if self._answered(question).lasting:
                self._given = replace(self._given, files=self._given.files | {name})

    def _special(self, full: Path, name: str) -> str:
        """Say why a change of a file is asked about in every mode; '' where it is not."""
        if self._telling(full, name):
            return _TELLING
        if lies_in(full, obeyed_by_git(self.workspace.root, ())):
            return " (git runs it)"
        if full.exists() and name not in self._given.files and self._ignored(name):
            return _LOST
        return ""

    def _telling(self, full: Path, name: str) -> bool:
        """Say whether a file tells the model what to do, under its own name or by a link."""
        parts = PurePosixPath(name.casefold()).parts  # macOS does not tell the cases apart
        if parts[-1] == NAME.casefold() or parts[0] == str(PROJECT_FILE.parent):
            return True
        root = self.workspace.root
        used = [*(root / each for each in to_be_trusted(self.workspace)), *(root / COMMANDS).glob("*.md")]
        return any(full.is_relative_to(path.resolve()) for path in used)

    def _ignored(self, name: str) -> bool:
        options = ("-z", "--others", "--ignored", "--exclude-standard", "--", name)
        return bool(git(self.workspace.root, "--literal-pathspecs", "ls-files", *options))

    def _shell(self, tool: Tool) -> Callable[..., ToolResult]:
        def run_shell_command(command: str, **others: Any) -> ToolResult:
            allowed = self._may_run(command)
            with self.working():
                return self._watched(lambda: tool.run(command=allowed, **others))

        return run_shell_command

    def _tests(self, tool: Tool) -> Callable[..., ToolResult]:
        def run_tests(**arguments: Any) -> ToolResult:
            if self._mode() == "plan":
                raise Declined(_PLANNING)
            named = re.sub(r"\[[^\]\n]*\]", "", arguments.get("selection", ""))  # parameters may hold anything
            if any(part.startswith(("-", "@")) for part in re.split(r"\s|::", named)):
                raise ToolError("run_tests takes test ids and files, no options. For those use run_shell_command.")
            if not self.confined:
                call = ToolCall("", _TESTS, arguments)
                self._answered(Question(call, "Run the tests, without a sandbox"))
            with self.working():
                return self._watched(lambda: tool.run(**arguments))

        return run_tests

    def _watched(self, work: Callable[[], ToolResult]) -> ToolResult:
        """Do some work in the sandbox. What it makes of files that tell the model what to do is kept only after a yes.

        The sandbox itself protects `.qwencode`.
        """
        before = _held(self.workspace)
        try:
            result = work()
            after = _held(self.workspace)
            changed = [path for path in before if before[path] != after[path]]
            refused = [path for path in changed if not self._wanted(path, before[path], after[path])]
        except BaseException:
            _put_back(self.workspace, before)
            raise
        if not refused:
            return result
        _put_back(self.workspace, {path: before[path] for path in refused})
        names = listed([path.relative_to(self.workspace.root).as_posix() for path in refused], 5)
        return replace(result, text=f"{result.text}\n{names} is as it was: the user did not allow it to be changed.")

    def _wanted(self, path: Path, before: bytes | None, after: bytes | None) -> bool:
        name = path.relative_to(self.workspace.root).as_posix()
        texts = [None if data is None else data.decode(errors="replace") for data in (before, after)]
        question = f"Keep what the command has made of {name}{_TELLING}"
        diff = _diff(name, texts[0], texts[1] or "")
        return self.person.allow(Question(ToolCall("", "edit", {"file_path": name}), question, diff=diff)).allow

    def _early(self, tool: Tool) -> Callable[[Arguments], str]:
        def preflight(arguments: Arguments) -> str:
            if "file_path" in arguments:
                self._check_path(arguments["file_path"])
            return tool.preflight(arguments) if tool.preflight else ""

        return preflight

    def _check_path(self, path: str) -> None:
        """Raise Declined for a file that may not be changed: by the name given or, behind a link, its own."""
        if self._mode() == "plan":
            raise Declined(_PLANNING)
        root, name = self.workspace.root, self.workspace.relative(self.workspace.resolve(path))
        given = os.path.relpath(os.path.normpath(root / path), root)
        if "deny" in (self.rules.path(name), self.rules.path(given)):
            raise Declined(f"Not done: the user's settings say that {name} is not to be changed. Work without it.")

    def _may_run(self, command: str) -> str:
        """Return the command that may be run in the place of this one. Raises Declined."""
        self._check_command(command)
        verdict = self._allowing().command(command)
        if verdict != "allow" and self._mode() == "plan":
            raise Declined(_PLANNING)
        if verdict == "doubt" or (verdict == "ask" and (self._mode() == "ask" or not self.confined)):
            command = self._asked(command)
            self._check_command(command)
        return command

    def _asked(self, command: str) -> str:
        covered = lasting(command)
        shown = ", ".join(f"`{' '.join(words)}{' …' * more}`" for words, more in dict.fromkeys(covered))
        always = f"{shown}, in this session" if covered else ""
        where = "" if self.confined else ", without a sandbox"
        call = ToolCall("", _SHELL, {"command": command})
        answer = self._answered(Question(call, f"Run a command{where}", command=command, always=always))
        if answer.lasting:
            covered = lasting(answer.command) if answer.command else covered
            prefixes = tuple(" ".join(words) for words, more in covered if more)
            exact = self._given.exact.union(words for words, more in covered if not more)
            self._given = replace(self._given, allow_commands=(*self._given.allow_commands, *prefixes), exact=exact)
        return answer.command or command

    def _check_command(self, command: str) -> None:
        if self.rules.command(command) == "deny":
            raise Declined("Not run: the user's settings say that this command is not to be run. Work without it.")

    def _answered(self, question: Question) -> Answer:
        """Ask the user. Raises Declined for a no."""
        answer = self.person.allow(question)
        if not answer.allow:
            said = f"The user's reason: {answer.reason}" if answer.reason else "Ask what is wanted instead, or go on."
            raise Declined(f"Not done: the user did not allow it. {said}")
        return answer

    def working(self) -> AbstractContextManager[None]:
        """Keep the files of the turn, and take what changes meanwhile for its work."""
        return self.step.working() if self.step is not None else nullcontext()


class _Asking(Workspace):
    """The workspace as the model's tools see it: it asks before it writes."""

    def __init__(self, desk: Desk):
        super().__init__(desk.workspace.root, desk.workspace.start)
        self._desk = desk

    def create(self, path: str | Path, text: str) -> None:
        self._desk.may_change(str(path), None, text)
        with self._desk.working():
            super().create(path, text)

    def replace(self, path: str | Path, before: TextFile, text: str) -> None:
        self._desk.may_change(str(path), before.text, text)
        with self._desk.working():
            super().replace(path, before, text)


def _held(workspace: Workspace) -> dict[Path, bytes | None]:
    """Return what there is, or could be, of the files that tell the model what to do where the user works."""
    start = workspace.start if workspace.start.is_relative_to(workspace.root) else workspace.root
    places = [folder / NAME for folder in (start, *start.parents) if folder.is_relative_to(workspace.root)]
    found: dict[Path, bytes | None] = {}
    for path in places:
        try:
            found[path] = path.read_bytes()
        except OSError:
            found[path] = None
    return found


def _put_back(workspace: Workspace, before: Mapping[Path, bytes | None]) -> None:
    now = _held(workspace)
    for path, data in before.items():
        if data is None and now[path] is not None:
            path.unlink(missing_ok=True)
        elif data is not None and now[path] != data:
            write_atomic(path, data)


def _diff(name: str, before: str | None, after: str) -> str:
    old, new = (before or "").splitlines(keepends=True), after.splitlines(keepends=True)
    lines = difflib.unified_diff(old, new, f"a/{name}" if before is not None else "/dev/null", f"b/{name}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
