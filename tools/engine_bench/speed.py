"""How fast tokens are read and written: against llama-bench, within a grammar, and what Python adds."""

import itertools
import threading
import time
from collections.abc import Sequence
from typing import Any

from engine_bench.ground import NO_PEER, Row, Setup, Watch, at_least, at_most, spread, talk, words
from engine_bench.peers import bench_speed, llama_tokens, open_llama
from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options

NOTE_TOOL = ToolSpec(
    "note",
    "Write something down.",
    {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)


def fresh_history(setup: Setup, number: int, tokens: int) -> list[Message]:
    """Return a history of about so many tokens that begins like none before."""
    engine = Engine(setup.model, Fit(context=256, threads=1, batch=64))
    text = words(engine.tokenize, tokens, number)
    engine.close()
    return [Message("system", f"Run {number}."), Message("user", text)]


def throughput(setup: Setup) -> list[Row]:
    """Measure prefill and decode, alternating with the peers."""
    size = setup.sizes
    engine: dict[str, list[float]] = {"prefill": [], "decode": []}
    bench: dict[str, list[float]] = {"prefill": [], "decode": []}
    model = LlamaModel(setup.model, setup.fit)
    for number in range(setup.repeat):
        history = fresh_history(setup, number, size.prompt)
        usage = talk(model, history, [], Options(max_tokens=size.generated, seed=number)).usage
        engine["prefill"].append(usage.evaluated / usage.prefill_seconds)
        engine["decode"].append((usage.generated - 1) / usage.decode_seconds)  # the first one came with the prompt
        if setup.bench:
            bench["prefill"].append(bench_speed(setup, usage.evaluated, 0))
            bench["decode"].append(bench_speed(setup, 0, size.generated, usage.prompt))
    model.close()
    library = _library_speed(setup)
    return [_speed_row(kind, engine[kind], bench[kind], library[kind]) for kind in ("prefill", "decode")]


def _speed_row(kind: str, engine: Sequence[float], bench: Sequence[float], library: Sequence[float]) -> Row:
    numbers: dict[str, Any] = {"engine": spread(engine), "llama_cpp.Llama": spread(library)}
    note = f"engine {numbers['engine']['median']:.1f}, Llama {numbers['llama_cpp.Llama']['median']:.1f} tokens/s"
    name = f"{kind}, engine over llama-bench"
    if not bench:
        return Row(name, "-", ">= 0.97", None, f"{note}; {NO_PEER.format('--llama-bench')}", numbers)
    ratios = [ours / theirs for ours, theirs in zip(engine, bench, strict=True)]
    numbers |= {"llama-bench": spread(bench), "ratio": spread(ratios), "best": max(engine) / max(bench)}
    note = note.replace(", Llama", f", llama-bench {numbers['llama-bench']['median']:.1f}, Llama")
    note += f"; best over best {numbers['best']:.2f}"
    return Row(name, **at_least(0.97, ratios), note=note, numbers=numbers)


def _library_speed(setup: Setup) -> dict[str, list[float]]:
    llama = open_llama(setup)
    speeds: dict[str, list[float]] = {"prefill": [], "decode": []}
    for number in range(setup.repeat):
        text = fresh_history(setup, number, setup.sizes.prompt)[1].content
        prompt = llama.tokenize(f"Run {number}. {text}".encode(), add_bos=False)
        began = time.perf_counter()
        times = [came for _, came in llama_tokens(llama, prompt, setup.sizes.generated)]
        speeds["prefill"].append(len(prompt) / (times[0] - began))
        speeds["decode"].append((len(times) - 1) / (times[-1] - times[0]))
    llama.close()
    return speeds


def python_time(setup: Setup) -> Row:
    """Measure the time of a decoded token that is spent outside llama.cpp: that of the whole less its functions.

    It is the processor time of the caller's thread, so that neither other programs' work counts nor the wait for a
    batch that is evaluated in a thread of its own. The reply begins where its sampler is made.
    """
    outside: list[float] = []
    shares: dict[str, list[float]] = {}
    with Watch(time.thread_time) as watch:
        model = LlamaModel(setup.model, setup.fit)
        for number in range(setup.repeat):
            history = fresh_history(setup, number, setup.sizes.result)
            watch.take()
            count = talk(model, history, [], Options(max_tokens=setup.sizes.generated, seed=number)).usage.generated
            ended = time.thread_time()
            calls = [call for call in watch.take() if call.thread == threading.get_ident()]
            began = next(call.began for call in calls if call.name.startswith("llama_sampler_"))
            inside: dict[str, float] = {}
            for call in calls:
                if call.began >= began:
                    inside[call.name] = inside.get(call.name, 0.0) + call.ended - call.began
            outside.append(1000 * (ended - began - sum(inside.values())) / count)
            for name, seconds in inside.items():
                shares.setdefault(name, []).append(1000 * seconds / count)
        model.close()
    parts = sorted(((name, spread(values)) for name, values in shares.items()), key=lambda part: -part[1]["median"])
    note = "a token in " + ", ".join(f"{name} {values['median']:.2f}" for name, values in parts[:3]) + " ms"
    numbers = {"outside": spread(outside), "inside": dict(parts[:8])}
    return Row("Python a decoded token, ms", **at_most(0.3, outside), note=note, numbers=numbers)


def grammar(setup: Setup) -> Row:
    """Compare the tokens of a constrained call with as many of plain text.

    Random weights want nothing of what the format asks for, so for every token of a call's fixed words the grammar is
    asked what may follow instead; in the first call it also learns which tokens begin with the characters of these. A
    model that knows the format pays the check alone, as in the text of the argument, which the medians of single tokens
    show.
    """
    count = 2 * setup.sizes.generated
    ratios: list[float] = []
    single: list[float] = []
    refused: list[float] = []
    with Watch() as watch:
        model = LlamaModel(setup.model, setup.fit, string_limit=2000)
        for number in range(setup.repeat):
            history = fresh_history(setup, number, setup.sizes.result)
            talk(model, history, [NOTE_TOOL], Options(max_tokens=1, seed=number))  # both find the prompt read
            watch.take()
            free, typical = _paced(watch, talk(model, history, [NOTE_TOOL], Options(max_tokens=count, seed=number)))
            wanted = Options(max_tokens=count, seed=number, tool_choice="required")
            held, typical_held = _paced(watch, talk(model, history, [NOTE_TOOL], wanted))
            ratios.append(free / held)
            single.append(typical / typical_held)
            refused.append(1000 * (held - free))
        model.close()
    numbers: dict[str, Any] = {"ratio": spread(ratios), "single": spread(single), "more_ms": spread(refused)}
    note = f"a token in the argument's text: {numbers['single']['median']:.2f}"
    return Row("decode, grammar on over off", **at_least(0.95, ratios), note=note, numbers=numbers)


def _paced(watch: Watch, reply: Reply) -> tuple[float, float]:
    """Return the seconds a token: of the whole reply, and the median from one single token to the next."""
    starts = [call.began for call in watch.take() if call.name == "llama_decode" and len(call.tokens) == 1]
    gaps = sorted(later - earlier for earlier, later in itertools.pairwise(starts))
    usage = reply.usage
    return usage.decode_seconds / usage.generated, gaps[len(gaps) // 2] if gaps else usage.decode_seconds
