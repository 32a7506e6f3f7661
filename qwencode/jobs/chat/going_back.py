"""Going back: to before any turn of the conversation, with its talk, its files or both; and forth again.

The talk costs no prefill: the history becomes a list that the model has seen. Files are put back from the runs that
kept them, newest turn first. What the user has changed in them since is overwritten only after a question.
"""

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Literal

from qwencode.errors import UsageError
from qwencode.events import Event, InputOffered, Listed, Notice, TurnsRedone, TurnsUndone
from qwencode.excerpt import clip, listed
from qwencode.jobs.chat.command import is_command
from qwencode.jobs.chat.driving import whole
from qwencode.jobs.chat.talk import Turn, becoming
from qwencode.jobs.chat.turn import ask
from qwencode.jobs.undisturbed import undisturbed
from qwencode.snapshots import Conflicts, Moved, move

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat

Scope = Literal["files", "talk", "both"]
SCOPES: Sequence[Scope] = ("both", "talk", "files")
_NAMED = 5


def undo(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Take the last turn back: what was said, and what it changed."""
    yield from _back(chat, _last(chat), "both")


def redo(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Do again what was taken back last."""
    talk = chat.talk
    if not talk.undone:
        raise UsageError("There is nothing that was taken back, or something else was said since.")
    done = talk.undone[-1]

    def moving(moved: Moved) -> list[Event]:
        events = [chat.took(TurnsRedone(done.turns[0].number, done.talk, moved.runs))]
        if done.talk:
            events += [chat.took(event) for event in becoming(talk.history, done.history, "done again")]
        said = f"Turn {done.turns[0].number} is there again"
        return events + _told(chat, moved, said, "as it left them", done.talk)

    yield from _moved(chat, done.runs[::-1], "forth", moving)


def rewind(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """List the turns, or go back to before one of them."""
    words = rest.split()
    number = next((int(word[:9]) for word in words if word.isdecimal()), None)  # no int takes thousands of digits
    scope = _scope(words)
    if [word for word in words if not word.isdecimal() and word not in SCOPES]:
        raise UsageError("Say which turn to go back to, and what: /rewind 3, /rewind 3 files, /rewind 3 talk.")
    turns = chat.talk.turns
    if not turns:
        raise UsageError("Nothing was said yet.")
    if number is None:
        rows = [f"{turn.number}  {_words(turn)}{_changed(turn)}" for turn in turns]
        chosen = chat.parts.person.choose("Go back to before", rows)
        if chosen is None:
            table = tuple((str(turn.number), _words(turn), listed(turn.files, _NAMED)) for turn in turns)
            yield Listed("Turns: /rewind N goes back to before one", ("turn", "said", "changed"), table)
            return
        number = turns[chosen].number
    if not 1 <= number <= len(turns):
        raise UsageError(f"There is no turn {number}; they go from 1 to {len(turns)}.")
    turn = turns[number - 1]
    if (yield from _back(chat, turn, scope)) and scope != "files":
        yield InputOffered(turn.text)


def retry(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Have the last turn answered anew, from the same files and the very same message."""
    if rest not in ("", "think"):
        raise UsageError("It is /retry, or /retry think.")
    turn = _last(chat)
    yield from chat.ready()
    if not (yield from _back(chat, turn, "both")):
        return
    if turn.said and not is_command(turn.text):
        yield from ask(chat, turn.text, list(turn.said), "always" if rest else "")
    else:  # a command, or words that were interrupted before anybody had them
        yield from chat.typed(turn.text)


def edit_last(chat: "Chat", rest: str) -> Generator[Event, None, None]:
    """Take the last turn back, and offer its words to be changed."""
    turn = _last(chat)
    if (yield from _back(chat, turn, "both")):
        yield InputOffered(turn.text)


def _scope(words: Sequence[str]) -> Scope:
    for scope in SCOPES:
        if scope in words:
            return scope
    return "both"


def _last(chat: "Chat") -> Turn:
    if not chat.talk.turns:
        raise UsageError("Nothing was said yet.")
    return chat.talk.turns[-1]


def _back(chat: "Chat", turn: Turn, scope: Scope) -> Generator[Event, None, bool]:
    """Go back to before a turn. False when the user does not want it after all."""
    talk, turns = scope != "files", chat.talk.turns[turn.number - 1 :]

    def moving(moved: Moved) -> list[Event]:
        events = [chat.took(TurnsUndone(turn.number, talk, moved.runs))]
        if talk:
            wanted = turn.before
            events += [chat.took(event) for event in becoming(chat.talk.history, wanted, f"before turn {turn.number}")]
        where = f"turn {turn.number}" if len(turns) == 1 else f"turns {turn.number} to {turns[-1].number}"
        events += _told(chat, moved, f"Took back {where}", "as before", talk)
        if lost := [str(turn.number) for turn in turns if turn.files and turn.state in moved.unknown]:
            many = listed(lost, _NAMED)
            text = f"The files as they were before turn {many} are no longer kept; they stay as they are."
            events.append(Notice(text, "warning"))
        return events

    return (yield from _moved(chat, [turn.state for turn in reversed(turns)] * (scope != "talk"), "back", moving))


def _moved(
    chat: "Chat", names: Sequence[str], direction: Literal["back", "forth"], moving: Callable[[Moved], list[Event]]
) -> Generator[Event, None, bool]:
    """Take runs back, or do them again, together with all that `moving` does; say what it returns.

    False when that would overwrite something, and the user says no.
    """
    force = False
    while True:
        try:
            with undisturbed():
                moved = move(chat.parts.workspace, names, direction, force=force) if names else Moved()
                yield from whole(moving(moved))
                return True
        except Conflicts as error:
            what = f"You have changed {listed(error.files, _NAMED)} since."
        force = chat.parts.person.confirm(f"{what} Overwrite? What is there now is kept under a ref of git.")
        if not force:
            yield Notice("Nothing was done.")
            return False


def _told(chat: "Chat", moved: Moved, what: str, how: str, talk: bool) -> list[Event]:
    """Say what was done. Where only files went back, the model has to know, or it would take its edits for made."""
    files = f": {listed(moved.files, _NAMED)} {how}" if moved.files else ", no file was changed"
    events: list[Event] = [Notice(f"{what}{files if moved.files or not talk else ''}.")]
    if moved.kept:
        events.append(Notice(f"What you had in these files is kept:\ngit show {moved.kept}:FILE"))
    if moved.files and not talk:
        chat.notes.append(("note", f"The user has put these files back to an earlier state: {', '.join(moved.files)}."))
    return events


def _words(turn: Turn) -> str:
    return clip(" ".join(turn.text.split()), 60)


def _changed(turn: Turn) -> str:
    return f"  ({listed(turn.files, 3)})" if turn.files else ""
