"""Whether a server can do what an agent needs of it: a few small requests like those of a run, and what came back.

Six requests at most, of some hundred tokens each, two with a prompt of some 2,400; each has two minutes. What
the server sends is looked at as it comes, before the client mends anything: a client can read a call that was left in
the text, but it is better to know. The flags that turn things on: docs/scaling.md has where they are described.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from qwencode.errors import ModelUnavailable
from qwencode.machine.outlook import LEAST_CONTEXT
from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model.choose import check_model
from qwencode.model.openai_wire import mapping, mappings
from qwencode.model.protocol import Options
from qwencode.model.server import ServerModel
from qwencode.settings import Places

Said = Literal["met", "not met", "unknown"]
_SECONDS = 120.0
_SOFTWARE = {"llamacpp": "llama-server", "vllm": "vLLM", "sglang": "SGLang"}
_FLAGS = {  # of llama-server, vLLM and SGLang, to turn on what is missing
    "tools": (
        "--jinja, with a file whose chat template knows tools",
        "--enable-auto-tool-choice --tool-call-parser qwen3_coder",
        "--tool-call-parser qwen3_coder",
    ),
    "reasoning": ("--jinja --reasoning-format deepseek", "--reasoning-parser qwen3", "--reasoning-parser qwen3"),
    "switch": (
        "--jinja --reasoning auto, with the model's own chat template",
        "the model's own chat template",
        "the model's own chat template",
    ),
    "context": ("-c 65536 -np 1", "--max-model-len 65536", "--context-length 65536"),
    "cache": (
        "--cache-prompt, and --ctx-checkpoints above 0",
        "--enable-prefix-caching, and --enable-prompt-tokens-details to be told",
        "--enable-cache-report to be told, and no --disable-radix-cache",
    ),
}
_PICK = ToolSpec(
    "pick",
    "Pick a number.",
    {
        "type": "object",
        "properties": {"number": {"type": "integer", "enum": [1, 2, 3]}, "twice": {"type": "boolean"}},
        "required": ["number", "twice"],
    },
)
_MARKS = ("<think>", "</think>")
_SEED = 1
_HELD_BACK = 20  # times as long as it takes to come: a stream that waits so long was collected on the way
_BLOCK = 1056  # tokens: vLLM keeps this family in blocks of so many or half of it (vllm-project/vllm, issue 40696)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that an agent needs (`needed`) or is better off with, whether it is met, and what was seen."""

    name: str
    said: Said
    text: str
    needed: bool = True

    @property
    def stops(self) -> bool:
        """Whether nothing can be done without it."""
        return self.needed and self.said == "not met"


@dataclass(slots=True)
class _Seen:
    """What came back for one request: chunks with the seconds at which they came, and what they amount to."""

    chunks: list[tuple[float, Mapping[str, Any]]] = field(default_factory=list[tuple[float, Mapping[str, Any]]])
    reply: Reply | None = None
    problem: str = ""

    def times(self, *names: str) -> list[float]:
        """Return when pieces of the text came that are called by one of these names."""
        return [at for at, delta in self._deltas() if any(delta.get(name) for name in names)]

    def text(self, name: str) -> str:
        """Return all of the text that is called by this name."""
        return "".join(str(delta.get(name) or "") for _, delta in self._deltas())

    @property
    def reasoning(self) -> str:
        return self.text("reasoning_content") or self.text("reasoning")

    @property
    def fragments(self) -> int:
        """How many pieces the arguments of calls came in; 0 when no call came as one."""
        calls = [call for _, delta in self._deltas() for call in mappings(delta.get("tool_calls"))]
        return sum(bool(mapping(call.get("function")).get("arguments")) for call in calls)

    @property
    def counts(self) -> Mapping[str, Any]:
        """The token counts, as the server sent them last."""
        return self._last("usage")

    @property
    def cached(self) -> int | None:
        """Tokens of the prompt that were not evaluated again; None when the server does not say."""
        details = mapping(self.counts.get("prompt_tokens_details"))
        found = details.get("cached_tokens", self._last("timings").get("cache_n"))
        return found if isinstance(found, int) else None

    def _last(self, name: str) -> Mapping[str, Any]:
        return mapping(next((chunk[name] for _, chunk in reversed(self.chunks) if chunk.get(name)), None))

    def _deltas(self) -> Iterator[tuple[float, Mapping[str, Any]]]:
        for at, chunk in self.chunks:
            for choice in mappings(chunk.get("choices"))[:1]:
                yield at, mapping(choice.get("delta")) or mapping(choice.get("message"))


class _Trial:
    """Sends requests to one server and keeps what came back."""

    def __init__(self, url: str):
        self.wanted = urlsplit(url).fragment
        self._chunks: list[tuple[float, Mapping[str, Any]]] = []
        self._began = 0.0
        self.model = ServerModel(url, delays=(), patience=_SECONDS, watch=self._watch)
        self.software = ""

    def ask(self, history: Sequence[Message], options: Options, tools: Sequence[ToolSpec] = ()) -> _Seen:
        """Send one request, and give up on it when its time is over."""
        self._chunks, self._began = [], time.monotonic()
        seen = _Seen(self._chunks)
        work = self.model.stream(history, tools, replace(options, seed=_SEED))
        try:
            while time.monotonic() < self._began + _SECONDS:
                next(work)
        except StopIteration as stop:
            seen.reply = stop.value
        except ModelUnavailable as error:
            seen.problem = str(error)
        finally:
            work.close()
        if not seen.problem and seen.reply is None:
            what = "It was not done" if self._chunks else "Nothing came"
            seen.problem = f"{what} within {_SECONDS:.0f} seconds."
        return seen

    def flags(self, what: str) -> str:
        """Return how to turn something on, for this server or for all that are known."""
        names = dict(zip(_SOFTWARE, _FLAGS[what], strict=True))
        if self.software in names:
            return f"Start it with {names[self.software]}."
        return f"Start it with ({'; '.join(f'{_SOFTWARE[name]}: {flags}' for name, flags in names.items())})."

    def _watch(self, chunk: Mapping[str, Any]) -> None:
        self._chunks.append((time.monotonic() - self._began, chunk))


def check_server(url: str, places: Places) -> Iterator[Check]:
    """Yield each check as it is done. Nothing that a server does raises; closing the iterator hangs up."""
    try:
        check_model(url, places)
        trial = _Trial(url)
    except ModelUnavailable as error:
        yield Check("reachable", "not met", str(error))
        return
    try:
        plain = trial.ask([Message("user", "Count from one to thirty, in words.")], Options(max_tokens=48))
        if plain.problem:
            yield Check("reachable", "not met", plain.problem)
            return
        trial.software = trial.model.software().lower()
        yield Check(
            "reachable", "met", f"{trial.model.name.partition(' at ')[2] or url} answers{_named(trial.software)}"
        )
        yield _listed(trial)
        yield _context(trial)
        yield _streaming(plain)
        yield _counting(plain)
        yield _silent(trial, plain)
        yield _thinking(trial, trial.ask([Message("user", "What is 17 + 25?")], Options(thinking=True, max_tokens=512)))
        yield from _tools(trial)
        yield _caching(trial)
        if refused := sorted(trial.model.refused_fields):
            text = f"the server does not take {', '.join(refused)}; they are left out"
            yield Check("request fields", "not met", text, needed=False)
    finally:
        trial.model.close()


def _named(software: str) -> str:
    return f"; it is {_SOFTWARE[software]}" if software in _SOFTWARE else ""


def _listed(trial: _Trial) -> Check:
    listed, wanted = trial.model.models(), trial.wanted
    if not listed:
        advice = "it may want a key in QWENCODE_API_KEY, or have another base URL"
        return Check("model", "not met", f"no models are listed: {advice}", needed=False)
    if wanted and wanted not in listed:
        return Check("model", "not met", f"{wanted} is not among those it has: {', '.join(listed)}")
    others = f", the first of {len(listed)}; add #NAME to the URL for another" if len(listed) > 1 and not wanted else ""
    return Check("model", "met", f"{wanted or listed[0]}{others}")


def _context(trial: _Trial) -> Check:
    length = trial.model.context_length
    if not length:
        return Check("context", "unknown", "the server does not say how long it is", needed=False)
    if length < LEAST_CONTEXT:
        text = f"{length:,} tokens, and {LEAST_CONTEXT:,} are what work on a repository takes."
        return Check("context", "not met", f"{text} {trial.flags('context')}")
    return Check("context", "met", f"{length:,} tokens")


def _streaming(seen: _Seen) -> Check:
    times = seen.times("content", "reasoning_content", "reasoning")
    if len(times) < 2:
        text = "the reply came in one piece, so nothing can be shown or stopped while it is written"
        return Check("streaming", "not met", f"{text}. Is there a proxy between that collects it?")
    first, spread = times[0], times[-1] - times[0]
    if first > 1.0 and spread * _HELD_BACK < first:
        text = f"{len(times)} pieces came at once after {first:.1f} s: something between collects them; let it pass"
        return Check("streaming", "not met", f"{text} text/event-stream through unbuffered.", needed=False)
    return Check("streaming", "met", f"{len(times)} pieces in {spread:.1f} s, the first after {first:.1f} s")


def _counting(seen: _Seen) -> Check:
    prompt, generated = (seen.counts.get(name) for name in ("prompt_tokens", "completion_tokens"))
    if isinstance(prompt, int) and isinstance(generated, int):
        return Check("token counts", "met", f"{prompt} read and {generated} written, at the end of the stream", False)
    return Check("token counts", "not met", "no usage at the end of the stream, so budgets of tokens are blind", False)


def _silent(trial: _Trial, seen: _Seen) -> Check:
    """Whether `enable_thinking: false` is heeded."""
    if not seen.reasoning and not _left(seen):
        return Check("thinking off", "met", "no reasoning where none was asked for", needed=False)
    text = "it thinks where it was told not to, which costs time at every step."
    return Check("thinking off", "not met", f"{text} {trial.flags('switch')}", needed=False)


def _left(seen: _Seen) -> str:
    """Return the mark of reasoning that was left in the text, if any was."""
    return next((mark for mark in _MARKS if mark in seen.text("content")), "")


def _thinking(trial: _Trial, seen: _Seen) -> Check:
    if left := _left(seen):
        text = f"{left} is left in the text. qwencode reads it all the same, other programs do not."
        return Check("thinking", "not met", f"{text} {trial.flags('reasoning')}", needed=False)
    if seen.reasoning:
        return Check("thinking", "met", f"{len(seen.reasoning)} characters in a field of their own", needed=False)
    if seen.problem:
        return Check("thinking", "unknown", seen.problem, needed=False)
    text = (
        "no reasoning came where it was asked for: either the model has none, or its start is cut off and it is text."
    )
    return Check("thinking", "not met", f"{text} {trial.flags('reasoning')}", needed=False)


def _tools(trial: _Trial) -> Iterator[Check]:
    """Whether calls come: left to the model, as in a run; else forced, as for a model that does not want to."""
    history = [Message("user", "Call the tool `pick` once, with the number 2, and not twice. Say nothing else.")]
    free = trial.ask(history, Options(max_tokens=256), [_PICK])
    if not free.problem and _called(free):
        yield _call(trial, free, "a call")
        return
    forced = trial.ask(history, Options(max_tokens=256, tool_choice="required"), [_PICK])
    if forced.problem or not _called(forced):
        why = free.problem or forced.problem or _wrong(forced) or _wrong(free) or "no call came, not even a forced one."
        yield Check("tool calls", "not met", f"{why} {trial.flags('tools')}")
    elif free.problem:
        text = f"calls come only where they are forced, and a run leaves them to the model: {free.problem}"
        yield Check("tool calls", "not met", f"{text} {trial.flags('tools')}")
    else:
        yield _call(trial, forced, "left to itself the model made no call; a forced one")


def _call(trial: _Trial, seen: _Seen, what: str) -> Check:
    if not seen.fragments:
        text = f"{what} came as markup in the text. qwencode reads it all the same, other programs do not."
        return Check("tool calls", "not met", f"{text} {trial.flags('tools')}", needed=False)
    if seen.fragments < 2:
        text = f"{what} came, its arguments in one piece: an edit that cannot match is seen only when it is written."
        return Check("tool calls", "met", text)
    return Check("tool calls", "met", f"{what} came, its arguments as valid JSON in {seen.fragments} pieces")


def _called(seen: _Seen) -> bool:
    return bool(seen.reply and any(not call.problem for call in seen.reply.message.tool_calls))


def _wrong(seen: _Seen) -> str:
    calls = seen.reply.message.tool_calls if seen.reply else ()
    return f"a call came that cannot be used: {calls[0].problem}" if calls else ""


def _caching(trial: _Trial) -> Check:
    """Whether a prompt is kept: asked twice, the second time with a turn more, as in a run."""
    filler = " ".join(f"{number} is a number." for number in range(1000, 1000 + _BLOCK // 4))
    history = [Message("system", filler), Message("user", "Say hello.")]
    first = trial.ask(history, Options(max_tokens=8))
    if first.reply is None:
        return Check("cache", "unknown", f"with a prompt of some 2,400 tokens: {first.problem}", needed=False)
    answer = Message("assistant", first.reply.message.content or "Hello.")
    second = trial.ask([*history, answer, Message("user", "Say it again.")], Options(max_tokens=8))
    prompt = second.counts.get("prompt_tokens")
    if second.problem or not isinstance(prompt, int) or second.cached is None:
        text = "the server does not say how much of a prompt it had kept."
        return Check("cache", "unknown", f"{second.problem or text} {trial.flags('cache')}", needed=False)
    if 2 * second.cached >= prompt:
        return Check("cache", "met", f"{second.cached:,} of {prompt:,} tokens were kept from the turn before", False)
    text = (
        f"only {second.cached:,} of {prompt:,} tokens were kept from the turn before; the rest is read at every step."
    )
    return Check("cache", "not met", f"{text} {trial.flags('cache')}", needed=False)
