"""One turn of the user: the files are kept, the model answers, and however that ends, the history is well formed."""

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from qwencode.agent.budget import Budget
from qwencode.agent.loop import Agent, Tree
from qwencode.agent.outcome import Outcome
from qwencode.agent.thinking import POLICIES
from qwencode.context.instructions import instructions
from qwencode.context.mentions import mentioned
from qwencode.context.prompts import SAID_CHARS, chat_prompt, said
from qwencode.errors import BudgetSpent, Interrupted, ModelUnavailable, QwencodeError
from qwencode.events import Event, InputOffered, MessageAdded, Notice, TurnStarted
from qwencode.jobs.chat.driving import whole
from qwencode.jobs.chat.talk import INTERRUPTED
from qwencode.jobs.undisturbed import undisturbed
from qwencode.messages import Message
from qwencode.model.protocol import Options

if TYPE_CHECKING:
    from qwencode.jobs.chat.chat import Chat

STEPS = 100
"""Turns of the model at most for one thing that the user said, where no setting says how many."""
ANSWERED = "answered"


def say(chat: "Chat", text: str, think: str = "") -> Generator[Event, None, None]:
    """Let the model answer what the user says. `think`: when it thinks in this turn; '': as it is set."""
    try:
        yield from chat.ready()
    except (ModelUnavailable, KeyboardInterrupt):
        yield InputOffered(text)
        raise
    if len(text) > SAID_CHARS:
        cut = f"Your message has {len(text):,} characters; the model reads its begin and end, {SAID_CHARS:,} of them."
        yield Notice(f"{cut} Put long texts into a file, and let it read that.", "warning")
    first = not chat.talk.history
    followed = instructions(chat.parts.workspace) if first and chat.trusted else None
    named = mentioned(chat.parts.workspace, " ".join([text, *(f'@"{name}"' for name in chat.added)]))
    yield from (*(followed.notices if followed else ()), *named.notices)
    message = said(
        text,
        instructions=followed.text if followed else "",
        files=named.text,
        notes=chat.notes,
        cut=chat.talk.was_cut,
    )
    chat.notes, chat.added = [], []
    name = f" {text}" if text.startswith(("/", "!")) else text  # said to the model, it is no command, now or later
    yield from ask(chat, name, [chat_prompt(), message] if first else [message], think)


def ask(chat: "Chat", text: str, messages: list[Message], think: str = "") -> Generator[Event, None, None]:
    """Let the model answer messages, as a turn that is called `text`."""
    yield from turn(chat, text, lambda: _answer(chat, messages, think or chat.think))


def turn(chat: "Chat", text: str, work: Callable[[], Generator[Event, None, str]]) -> Generator[Event, None, None]:
    """See a turn through: `work` returns how it ended. It is closed and on disk however it ends."""
    number, reason, ending = len(chat.talk.turns) + 1, INTERRUPTED, list[Event]()
    length = len(chat.talk.history)
    late: KeyboardInterrupt | None = None
    step = chat.begin_step()
    try:
        yield chat.told(TurnStarted(number, text, len(chat.talk.history), step.name))
        reason = yield from work()
    except KeyboardInterrupt:
        chat.trouble = Interrupted("Interrupted.")
        replied = any(message.role == "assistant" for message in chat.talk.history[length:])
        ending.append(Notice("Interrupted. What there is of the reply is kept." if replied else "Interrupted."))
    except Interrupted:
        raise  # the process is to end
    except QwencodeError as error:
        reason, chat.trouble = str(error), error
        ending.append(Notice(reason, "error"))
    finally:
        try:
            with undisturbed():
                ending = [*chat.settle(number, reason), *ending]
        except KeyboardInterrupt as stop:
            late = stop
    yield from whole(ending, late)


def _answer(chat: "Chat", messages: list[Message], think: str) -> Generator[Event, None, str]:
    history, step, model = chat.talk.history, chat.step, chat.model
    assert step is not None and model is not None
    history += messages  # all or none of them, wherever a Ctrl-C comes
    for message in messages:
        yield chat.told(MessageAdded(message))
    options = Options(thinking_budget=chat.settings.think_budget)
    budget = Budget(chat.settings.max_steps or STEPS, 0.0)
    tree = Tree(step.state, step.diff, to_change=False)
    known = replace(chat.talk.known)  # the loop and the conversation take note of the same events, each for itself
    agent = Agent(model, chat.tools, options, budget, think=POLICIES[think], tree=tree, known=known)
    outcome = yield from chat.recorded(agent.run(history))
    if outcome.ended != "done":
        chat.trouble = BudgetSpent(outcome.reason) if outcome.ended == "budget" else QwencodeError(outcome.reason)
        yield Notice(_sentence(outcome), "warning")
    return ANSWERED if outcome.ended == "done" else outcome.reason


def _sentence(outcome: Outcome) -> str:
    match outcome.ended:
        case "silent":
            return "The model said nothing more. Ask again, or /retry think."
        case "budget":
            return f"{outcome.reason} Say `go on` to continue."
        case "full":
            return f"{outcome.reason} Begin a new conversation, or /compact."
        case _:
            return outcome.reason
