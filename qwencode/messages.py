"""The values that a conversation is made of. Pure values: no tokens, no files, no wire form of any server."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model asked for.

    `problem` is empty for a well-formed call. Otherwise it says what is wrong with it (unclosed, not parseable, unknown
    parameter, wrong type); such a call is still answered, with that text. `refused`: the tool's preflight stopped the
    call while it was being written; `problem` is the tool's own answer, and `arguments` are those that were complete.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    problem: str = ""
    refused: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `refused` only where it is so."""
        data = {"id": self.id, "name": self.name, "arguments": dict(self.arguments), "problem": self.problem}
        return {**data, "refused": True} if self.refused else data


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the history.

    `reasoning` and `tool_calls` belong to the assistant; `answers` is the id of the call that a tool message answers.
    """

    role: Role
    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    answers: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; empty fields are left out."""
        data: dict[str, Any] = {"role": self.role, "content": self.content, "reasoning": self.reasoning}
        data["tool_calls"] = [call.to_dict() for call in self.tool_calls]
        data["answers"] = self.answers
        return {key: value for key, value in data.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Message":
        """Rebuild what `to_dict` gave. Raises TypeError for missing or unknown fields."""
        calls = tuple(ToolCall(**call) for call in data.get("tool_calls", ()))
        others: dict[str, Any] = {key: value for key, value in data.items() if key != "tool_calls"}
        return cls(tool_calls=calls, **others)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What the model is told about a tool. `parameters` is a JSON schema of type object, required ones first."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one reply cost, in tokens and seconds. `prompt = cached + evaluated`; `generated` comes on top.

    Of `drafted` tokens, guessed ahead and checked in batches, `accepted` were right: these cost no step of their own.
    """

    prompt: int = 0
    cached: int = 0
    evaluated: int = 0
    generated: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    drafted: int = 0
    accepted: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


Finish = Literal["stop", "tool_calls", "length", "repetition", "refused", "interrupted"]
"""`refused`: stopped inside a call that its tool would not have carried out. `interrupted`: stopped by the user."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model returns: the finished message, why it ended, what it cost, and the seed with which it was drawn."""

    message: Message
    finish: Finish
    usage: Usage = Usage()
    seed: int | None = None
