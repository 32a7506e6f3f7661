"""Says why tokens are evaluated again: where two histories part, and how far back the nearest checkpoint lies."""

from collections.abc import Sequence
from dataclasses import dataclass

from qwencode.events import CacheMissed
from qwencode.messages import Message, ToolSpec
from qwencode.model.llama.state import common_length
from qwencode.model.llama.transcript import Prompt


@dataclass(frozen=True, slots=True)
class Seen:
    """A history that was evaluated: `keys` name it up to its prefix and up to each message after that.

    `replied`: the last message is the reply to the others.
    """

    system: str
    tools: tuple[ToolSpec, ...]
    keys: Sequence[bytes]
    replied: bool = False

    @classmethod
    def of(cls, history: Sequence[Message], tools: Sequence[ToolSpec], prompt: Prompt) -> "Seen":
        system = history[0].content if history and history[0].role == "system" else ""
        return cls(system, tuple(tools), prompt.keys)


def explain(seen: Seen, now: Seen, prompt: Prompt, shared: int, cached: int) -> CacheMissed | None:
    """Return why the history `now` finds less in memory than it shares with `seen`, or None when it does not.

    `prompt` is `now` as tokens; the first `shared` of them were live, and `cached` of these still are. A history that
    was cut back, or goes on in another way, is no miss: unless the nearest checkpoint lies before the place.
    """
    whole = max((stop for stop in prompt.stops if stop <= shared), default=0)  # messages that are the same to their end
    again = max(0, whole - cached)
    same = common_length(seen.keys, now.keys)
    edited = same < min(len(seen.keys), len(now.keys))
    last = same >= len(seen.keys) - 1 - seen.replied  # only the last turn is another one
    last = last or len(now.keys) == same + 1 > 1  # or it was cut back further, to go on with a new message
    if not again and (not edited or last):
        return None
    if not same:
        reason = "the system prompt changed" if seen.system != now.system else "the tools changed"
    elif edited and not last:
        reason = f"message {same - 1} was edited"
    elif edited or same == len(now.keys):
        reason = f"the history was cut back to {min(same, len(now.keys)) - 1} messages"
    else:
        reason = "a reply was stopped before its end"
    number = next((at for at, stop in enumerate(prompt.stops) if stop > shared), len(prompt.stops)) - 1
    return CacheMissed(shared, number, reason, again)
