"""What a model file's own chat template writes around the texts of a conversation.

A template is a program over a whole conversation; here a message is rendered once, when it comes. So the template is
not run for a conversation, but learned: it is given conversations of known texts, and what it writes between them are
its frames. They must be the same in every turn, and put together they must give its own output byte for byte; a
template for which that does not hold cannot be used one message at a time, and is refused.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qwencode.model.dialect.template_worker import SECONDS

_CODE = "from qwencode.model.dialect.template_worker import main; main()"
_WAIT = 6 * SECONDS  # on a busy machine
_ROLES = ("user", "assistant")
_SHORT = ("Qzfirst", "Qzsecond", "Qzthird", "Qzfourth", "Qzfifth")
_LONG = tuple(
    f"{text} line of {{{{ x }}}}.\n\n  <b>{text}</b>, é and 'more'" for text in (*_SHORT, "Qzsixth", "Qzlast")
)
_SYSTEM = "Qzsystem"

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}{{ '<|im_start|>assistant\\n' }}"
)
"""For a file without a template whose vocabulary has the tokens of ChatML."""
Conversation = Mapping[str, Any]
Render = Callable[[Sequence[Conversation]], Sequence[tuple[str, str]]]
"""From conversations (`messages`, `enable_thinking`) to the text of each, with the opening of a reply, or a problem."""


class NotLearned(Exception):
    """Why a template cannot be used, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Frames:
    """What a template writes between two texts.

    `opening`: from the last user text to the reply, without and with thinking. Without a system role
    `system` and `system_user` are None. `start` comes before a user text that is the first one.
    """

    start: str
    user_assistant: str
    assistant_user: str
    opening: tuple[str, str]
    system: str | None = None
    system_user: str | None = None

    def text(self, messages: Sequence[Mapping[str, str]], thinking: bool) -> str:
        """Return a conversation that ends with a user's message as the template gives it."""
        written, before = "", ""
        for message in messages:
            written += (self.between(before, message["role"]) or "") + message["content"]
            before = message["role"]
        return written + self.opening[thinking]

    def between(self, before: str, role: str) -> str | None:
        """Return what comes between messages of two roles, '' being the start; None: they cannot follow each other."""
        return {
            ("", "system"): self.system,
            ("", "user"): self.start,
            ("system", "user"): self.system_user,
            ("user", "assistant"): self.user_assistant,
            ("assistant", "user"): self.assistant_user,
        }.get((before, role))


def learned(render: Render) -> Frames:
    """Return the frames of a template. Raises NotLearned for one that cannot be used one message at a time."""
    plain = _learned(render, [])
    try:
        system = _learned(render, [{"role": "system", "content": _SYSTEM}])
    except NotLearned:  # it raises, drops the text, or puts it elsewhere: then it goes before the first user's text
        return plain
    same = (plain.user_assistant, plain.assistant_user, plain.opening)
    if same != (system.user_assistant, system.assistant_user, system.opening):
        return plain
    return Frames(plain.start, *same, system.system, system.system_user)


def _learned(render: Render, system: Sequence[Mapping[str, str]]) -> Frames:
    """Return the frames of conversations that begin with `system`, which may be none at all."""
    short = [*system, *_turns(_SHORT)]
    asked = [_conversation(messages, thinking) for messages in _probes(system) for thinking in (False, True)]
    told = render(asked)
    if problem := next((problem for _, problem in told if problem), ""):
        raise NotLearned(f"it says: {problem.rstrip('.')}")
    gaps = [_gaps(text, [message["content"] for message in short]) for text, _ in told[:2]]
    first = len(system)
    start, asks, answers = gaps[0][first], gaps[0][first + 1 : -1 : 2], gaps[0][first + 2 : -1 : 2]
    if gaps[0][:-1] != gaps[1][:-1] or len({*asks}) > 1 or len({*answers}) > 1:
        raise NotLearned("it writes one turn otherwise than another")
    opening = gaps[0][-1], gaps[1][-1]
    frames = Frames(start, asks[0], answers[0], opening)
    if system:
        frames = Frames("", asks[0], answers[0], opening, gaps[0][0], start)
    for (text, _), conversation in zip(told, asked, strict=True):
        if frames.text(conversation["messages"], conversation["enable_thinking"]) != text:
            raise NotLearned("what it writes for a message depends on those after it")
    return frames


def _probes(system: Sequence[Mapping[str, str]]) -> Iterator[list[Mapping[str, str]]]:
    """Yield conversations of five messages, of one, and of seven with longer texts."""
    yield [*system, *_turns(_SHORT)]
    yield [*system, *_turns(_SHORT[:1])]
    yield [*[{**message, "content": _LONG[-1] + message["content"]} for message in system], *_turns(_LONG)]


def _turns(texts: Sequence[str]) -> list[Mapping[str, str]]:
    return [{"role": _ROLES[number % 2], "content": text} for number, text in enumerate(texts)]


def _conversation(messages: Sequence[Mapping[str, str]], thinking: bool) -> Conversation:
    return {"messages": messages, "add_generation_prompt": True, "enable_thinking": thinking}


def _gaps(text: str, sentinels: Sequence[str]) -> list[str]:
    """Return what stands before, between and after the sentinels. Raises NotLearned unless each is there once."""
    gaps = list[str]()
    for sentinel in sentinels:
        before, found, text = text.partition(sentinel)
        if not found:
            raise NotLearned("it leaves out messages, or changes their order")
        gaps.append(before)
    if any(sentinel in gap for sentinel in sentinels for gap in (*gaps, text)):
        raise NotLearned("it writes a message twice")
    return [*gaps, text]


def renderer(template: str, bos: str, eos: str) -> Render:
    """Return what renders conversations by a template, in a process of its own, so that it can neither hang nor grow.

    Raises NotLearned when that process does not answer.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if os.path.isabs(path))}  # noqa: PTH117

    def render(conversations: Sequence[Conversation]) -> Sequence[tuple[str, str]]:
        values = {"bos_token": bos, "eos_token": eos, "tools": None}
        request = {"template": template, "conversations": conversations, "values": values}
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _CODE],
                input=json.dumps(request).encode(),
                capture_output=True,
                cwd="/",
                env=environment,
                timeout=_WAIT,
                check=True,
            )
            return [(str(text), str(problem)) for text, problem in json.loads(done.stdout)]
        except subprocess.TimeoutExpired as error:
            raise NotLearned("it comes to no end") from error
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            raise NotLearned("it takes more time or memory than a template may") from error

    return render
