"""`warm`: what every run of a kind begins with is read once and kept on disk, so that no start has to read it."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING

from qwencode.context.prompts import chat_prompt, system_prompt
from qwencode.errors import UsageError
from qwencode.events import Event, Notice, PhaseStarted
from qwencode.jobs.fix import Outcome
from qwencode.jobs.model_part import beginning
from qwencode.messages import Message, ToolSpec, Usage
from qwencode.tools.toolbox import declarations

if TYPE_CHECKING:
    from qwencode.model.llama.model import LlamaModel
    from qwencode.model.llama.prefix_store import Warmed


def warm(open_model: Callable[[bool], "LlamaModel"], cache: Path, seconds: float) -> Generator[Event, None, Outcome]:
    """Do the work and yield what happens; what was measured in `seconds` is kept below `cache`.

    `open_model` is told whether something is to be measured. Raises ModelUnavailable, and UsageError when nothing can
    be kept.
    """
    yield PhaseStarted("model", "Loading the model")
    model = open_model(True)
    try:
        for text in model.about:
            yield Notice(text)
        if model.speed is None:
            yield PhaseStarted("measure", f"Measuring how fast this machine is: {seconds:.0f} seconds, once")
        speed = model.measure(cache, seconds)
        yield Notice(f"It reads {speed.prefill:,.0f} tokens a second and writes {1 / speed.decode:,.1f}.")
        if model.fit.mtp:
            used = "used" if speed.mtp_pays else "not used"
            yield Notice(f"With its own guesses of further tokens (MTP) it is {speed.mtp:.2f} times as fast: {used}.")
            if not speed.mtp_pays:
                model.close()
                model = open_model(False)
        usage, sentence = Usage(), ""
        for kind, (system, specs) in _beginnings().items():
            yield PhaseStarted("warm", f"Reading what every {kind} begins with")
            done = yield from model.warm([system], specs)
            if not done.size:
                why = done.problem or "another process removed it"
                raise UsageError(f"The {done.tokens:,} tokens were read, but not kept in {done.directory}: {why}.")
            sentence = _sentence(kind, done)
            yield Notice(sentence)
            evaluated = done.tokens - done.cached
            usage += Usage(done.tokens, done.cached, evaluated, prefill_seconds=done.seconds)
    finally:
        model.close()
    return Outcome(None, sentence, 0, usage)


def _beginnings() -> dict[str, tuple[Message, list[ToolSpec]]]:
    """Return the fixed prefixes, by the kind of run. The tools of `fix` and `chat` are declared alike."""
    declared = declarations()
    return {"fix": (system_prompt(), declared), "chat": (chat_prompt(), declared), "review": beginning()}


def _sentence(kind: str, done: "Warmed") -> str:
    kept = f"{done.size / 1e6:,.1f} MB in {done.directory}"
    if done.cached == done.tokens:
        return f"For {kind}, all {done.tokens:,} tokens were there already: {kept}, loaded in {done.seconds:.2f} s."
    return f"For {kind}, read {done.tokens:,} tokens in {done.seconds:.1f} s and kept them: {kept}."
