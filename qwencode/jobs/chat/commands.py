"""The slash commands, one table: it makes `/help`, the completion and the page in the documentation."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from rapidfuzz import process

from qwencode.agent.thinking import POLICIES
from qwencode.errors import UsageError
from qwencode.events import Event
from qwencode.jobs.chat import going_back, session_commands, setting_commands, work_commands
from qwencode.jobs.chat.command import Command
from qwencode.jobs.chat.completing import file_names, model_names, session_names, turn_numbers
from qwencode.jobs.chat.keeping import keep
from qwencode.jobs.chat.status import MODES
from qwencode.settings import Settings

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat

_NEAR = 60  # of 100: how much alike a mistaken name must be to be taken for a slip


def _words(*words: str) -> Callable[["Chat"], Sequence[str]]:
    return lambda chat: words


def _setting_names(chat: "Chat") -> Sequence[str]:
    return [field.name for field in fields(Settings)]


COMMANDS: Sequence[Command] = (
    Command("help", "", "Lists the commands.", setting_commands.show_help),
    Command("model", "[NAME]", "Shows the models, or changes to one.", setting_commands.model, model_names),
    Command(
        "think", "[WHEN]", "Sets when the model thinks: auto, always, never.", setting_commands.think, _words(*POLICIES)
    ),
    Command("mode", "[MODE]", "Sets what needs consent: plan, ask, auto.", setting_commands.mode, _words(*MODES)),
    Command("plan", "[TEXT]", "Lets the model only read, and answers the text.", setting_commands.plan),
    Command(
        "diff",
        "[PATH]",
        "Shows what the session changed; with a path, what differs there from the last commit.",
        work_commands.diff,
        file_names,
    ),
    Command("undo", "", "Takes the last turn back: what was said and what was changed.", going_back.undo),
    Command("redo", "", "Does again what was taken back last.", going_back.redo),
    Command("rewind", "[N] [files|talk|both]", "Goes back to before a turn.", going_back.rewind, turn_numbers),
    Command(
        "retry",
        "[think]",
        "Has the last turn answered anew, with thinking if you like.",
        going_back.retry,
        _words("think"),
    ),
    Command("edit-last", "", "Takes the last turn back, and offers its words to be changed.", going_back.edit_last),
    Command("commit", "[MESSAGE]", "Commits what is staged, or what the session changed.", work_commands.commit),
    Command(
        "test", "[SELECTION]", "Runs the tests; failures go with your next message.", work_commands.test, file_names
    ),
    Command("fix", "[TEXT]", "Mends failing tests as `qwencode fix` does.", work_commands.fix),
    Command("run", "CMD", "Runs a command in the sandbox; its output goes with your next message.", work_commands.run),
    Command(
        "add", "[FILE…]", "Shows files to the model with your next message.", setting_commands.add_files, file_names
    ),
    Command("drop", "[FILE…]", "Takes back what /add has added.", setting_commands.drop_files, lambda chat: chat.added),
    Command("context", "", "Says what fills the context.", setting_commands.context),
    Command("compact", "[TEXT]", "Sums the conversation up, to make room.", setting_commands.compact),
    Command("sessions", "", "Lists the conversations in this repository.", session_commands.sessions),
    Command("resume", "[ID]", "Goes on with another conversation.", session_commands.resume, session_names),
    Command("fork", "", "Goes on in a copy of this conversation.", session_commands.copy),
    Command("keep", "", "Keeps the model's memory of this conversation, so that resuming reads nothing.", keep),
    Command("export", "[FILE]", "Writes the conversation to a Markdown file.", session_commands.export),
    Command("clear", "", "Begins a new conversation; this one stays on disk.", setting_commands.clear),
    Command(
        "config",
        "[NAME [VALUE]]",
        "Shows the settings, or changes one of yours.",
        setting_commands.config,
        _setting_names,
    ),
    Command("doctor", "", "Looks at this machine, and says what to do next.", setting_commands.doctor),
    Command("quit", "", "Ends the session.", setting_commands.leave),
)


def dispatch(chat: "Chat", name: str, rest: str) -> Generator[Event, None, None]:
    """Do what a command says. Raises UsageError for one that is not known, with the nearest name."""
    command = next((command for command in chat.commands if command.name == name), None)
    if command is None:
        near = process.extractOne(name, [command.name for command in chat.commands], score_cutoff=_NEAR)
        meant = f"; did you mean /{near[0]}?" if near else "."
        raise UsageError(f"There is no command /{name}{meant} /help lists them.")
    yield from command.run(chat, rest)
