"""The slash commands, one table: it makes `/help`, the completion and the page in the documentation."""

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from qwencode.events import Event, Listed, Notice
from qwencode.jobs.chat.command import Command

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat


def show_help(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    rows = tuple((f"/{command.name} {command.usage}".rstrip(), command.help) for command in chat.commands)
    yield Listed("Commands", (), rows)


def leave(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    chat.over = True
    yield Notice("Bye.")


COMMANDS: Sequence[Command] = (
    Command("help", "", "Lists the commands.", show_help),
    Command("quit", "", "Ends the session.", leave),
)


def dispatch(chat: "Chat", name: str, rest: str) -> Generator[Event, None, None]:
    """Do what a command says. One that is not known is a notice with the nearest name."""
    command = next((command for command in chat.commands if command.name == name), None)
    if command is None:
        yield Notice(f"There is no command /{name}{nearest(chat, name)} /help lists them.", "error")
        return
    yield from command.run(chat, rest)


def nearest(chat: "Chat", name: str) -> str:
    """Return the rest of a sentence that names the command that may have been meant."""
    from rapidfuzz import process  # only for a mistake

    near = process.extractOne(name, [command.name for command in chat.commands], score_cutoff=60)
    return f"; did you mean /{near[0]}?" if near else "."
