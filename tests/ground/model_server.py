"""A strict OpenAI-compatible server that has everything an agent needs, each thing with a switch to take it away.

It answers by what it is asked, like a model that does as it is told. Strict: what no server would take is refused.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loopback import Answer, Loopback, delta, events, refusal

MODEL = "qwen3.6-35b-a3b"
_FIELDS = {
    *("model", "messages", "stream", "stream_options", "max_tokens", "temperature", "top_p", "top_k", "min_p", "seed"),
    *("presence_penalty", "chat_template_kwargs", "return_progress", "tools", "tool_choice", "parallel_tool_calls"),
}
_STANDARD = _FIELDS - {"top_k", "min_p", "chat_template_kwargs", "return_progress", "parallel_tool_calls"}
_NO_AUTO = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'


@dataclass(frozen=True)
class Abilities:
    """What the server can do. `tools`: how calls come; `cache`: whether prompts are kept, and whether it says so."""

    software: str = "vllm"
    models: tuple[str, ...] = (MODEL,)
    context: int = 65536
    pieces: bool = True
    usage: bool = True
    switch: bool = True
    reasoning: str = "field"  # else: text, none
    tools: str = "pieces"  # else: whole, markup, forced, reluctant, wrong, never, refused
    cache: str = "told"  # else: untold, none
    fields: bool = True
    key: bool = False


class ModelServer(Loopback):
    """Serve with `serving`. `most`: the tokens that were asked for at most in one request."""

    def __init__(self, can: Abilities):
        entries = [{"id": name, "owned_by": can.software, "max_model_len": can.context or None} for name in can.models]
        super().__init__(pages={"/v1/models": {"object": "list", "data": entries}} if can.models else {})
        self.can, self.most, self._kept = can, 0, ""

    def answer(self, request: dict[str, Any]) -> Answer:
        if problem := self._problem(request):
            return problem
        self.most = max(self.most, request["max_tokens"])
        thinks = request.get("chat_template_kwargs", {}).get("enable_thinking", True) or not self.can.switch
        parts = [*(self._thoughts() if thinks else ()), *(self._call(request) or self._words())]
        called = any("tool_calls" in part for part in parts)
        if not self.can.pieces and not called:
            names = dict.fromkeys(name for part in parts for name in part)
            parts = [{name: "".join(part.get(name, "") for part in parts) for name in names}]
        chunks = [delta(**part) for part in parts] + [delta("tool_calls" if called else "stop")]
        if self.can.usage:
            chunks.append({"choices": [], "usage": self._usage(request, len(parts))})
        return Answer([events(*chunks)])

    def _problem(self, request: dict[str, Any]) -> Answer | None:
        if self.can.key:
            return refusal(401, {"error": {"message": "no key"}})
        known = _FIELDS if self.can.fields else _STANDARD
        if unknown := sorted(request.keys() - known):
            return refusal(400, {"error": {"message": f"Extra inputs are not permitted: {', '.join(unknown)}"}})
        roles = [message["role"] for message in request["messages"]]
        if "system" in roles[1:] or roles[-1] != "user" or not request["stream"]:
            return refusal(400, {"error": {"message": "not a conversation"}})
        if "tools" in request and self.can.tools == "refused":
            return refusal(400, {"error": {"message": "tools are not supported"}})
        if "tools" in request and self.can.tools == "forced" and request["tool_choice"] == "auto":
            return refusal(400, {"error": {"message": _NO_AUTO}})
        return None

    def _thoughts(self) -> Iterator[dict[str, str]]:
        thoughts = ["The sum ", "of both ", "is 42."]
        if self.can.reasoning == "field":
            yield from ({"reasoning_content": text} for text in thoughts)
        elif self.can.reasoning == "text":
            yield from ({"content": text} for text in [*thoughts, "\n</think>\n\n"])

    def _words(self) -> Iterator[dict[str, str]]:
        return ({"content": f"{word} "} for word in ("one", "two", "three", "four"))

    def _call(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        forced = request.get("tool_choice") == "required"
        if "tools" not in request or self.can.tools == "never" or (self.can.tools == "reluctant" and not forced):
            return []
        name = request["tools"][0]["function"]["name"]
        if self.can.tools == "markup":
            body = "<parameter=number>\n2\n</parameter>\n<parameter=twice>\nfalse\n</parameter>\n"
            return [{"content": f"<tool_call>\n<function={name}>\n{body}</function>\n</tool_call>"}]
        whole = json.dumps({"number": "two" if self.can.tools == "wrong" else 2, "twice": False})
        cut = [whole] if self.can.tools == "whole" else [whole[:7], whole[7:15], whole[15:]]
        first, *others = [{"index": 0, "function": {"arguments": text}} for text in cut]
        first = {**first, "id": "call_1", "type": "function", "function": {"name": name, **first["function"]}}
        return [{"tool_calls": [fragment]} for fragment in (first, *others)]

    def _usage(self, request: dict[str, Any], generated: int) -> dict[str, Any]:
        text = json.dumps(request["messages"])[:-2]
        pairs = zip(text, self._kept, strict=False)
        shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        self._kept = text if self.can.cache != "none" else ""
        usage: dict[str, Any] = {"prompt_tokens": len(text) // 4, "completion_tokens": generated}
        if self.can.cache != "untold":
            usage["prompt_tokens_details"] = {"cached_tokens": shared // 4}
        return usage
