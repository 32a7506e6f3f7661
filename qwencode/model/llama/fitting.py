"""The choice of how a model is run: from its header, the machine and what the user set to a `Fit`, or a refusal.

Each thing in turn gets the best value that leaves room for the least of everything after it: the context, the place of
the weights, 8 checkpoints, the batch, drafts, more checkpoints; but where the weights are divided between memories, the
batch and drafts come before their place. So more memory never gives less of the first thing in which two fits differ.
"""

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qwencode.errors import ModelUnavailable
from qwencode.model.llama.catalogue import resized, smaller
from qwencode.model.llama.fit import CacheType, Fit, cache_bytes, most_drafts
from qwencode.model.llama.footprint import Scale, room
from qwencode.model.llama.gguf_header import Header
from qwencode.model.llama.machine import Machine

CACHE_TYPES: tuple[CacheType, ...] = ("f16", "q8_0")
_CONTEXTS = (65_536, 32_768, 16_384, 8_192)
_LONG = 131_072
_SHORT = 32_768
_BATCHES = (512, 256)
_DRAFTS = 15  # with the token before them a batch of 16: on a CPU smaller ones cost nearly as much as their tokens
_DRAFTS_ON_GPU = 8  # where a batch costs little more than a token, and memory is dearer
_CHECKPOINTS = (32, 8, 3)  # many, enough, and the least: the prefix, the last message, the reply


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user set; 0, -1 and None: choose. What is set is taken as it is, or refused if it cannot be."""

    context: int = 0
    threads: int = 0
    batch: int = 0
    gpu_layers: int = -1
    cpu_experts: int = -1
    cache_type: CacheType | None = None
    draft_tokens: int = -1


def fit(header: Header, machine: Machine, wishes: Wishes) -> Fit:
    """Return how to run a model. Raises ModelUnavailable when it cannot fit.

    *Context*: 65,536 tokens, or as much of it as fits. A session of the agent rarely needs more, and a model answers
    worse and slower the fuller its context is. 131,072 where it costs nothing else: the whole model is on GPUs, or half
    of the main memory stays free. *Cache*: 16 bits; 8 bits where only that fits the context that was set, or where not
    even 32,768 tokens fit otherwise. *Weights*: all on GPUs; else all but the experts of as few blocks as possible;
    else as many whole blocks as possible. *Threads*: one for each physical core. *Batch*: 512, measured to be faster
    than 256 on a CPU too. *Drafts*: 15, with a GPU 8. *Checkpoints*: memory for 32.
    """
    scale = Scale(header, machine)
    batch = wishes.batch or _BATCHES[-1]
    least = Fit(
        context=0,
        threads=wishes.threads or machine.cores,
        batch=batch,
        draft_tokens=min(most_drafts(batch), max(0, wishes.draft_tokens)),
        checkpoint_bytes=_checkpoints(header, _CHECKPOINTS[-1]),
    )
    plan = next(_plans(scale, least, wishes), None)
    if plan is None:
        raise ModelUnavailable(_refusal(scale, least, wishes))
    some = [_checkpoints(header, count) for count in range(_CHECKPOINTS[1], _CHECKPOINTS[2] - 1, -1)]
    plan = _best(scale, plan, "checkpoint_bytes", some)
    plan = _best(scale, plan, "batch", [wishes.batch] if wishes.batch else _BATCHES)
    plan = _best(scale, plan, "draft_tokens", range(_most_drafts(scale, plan, wishes), plan.draft_tokens - 1, -1))
    more = [_checkpoints(header, count) for count in range(_CHECKPOINTS[0], _CHECKPOINTS[1], -1)]
    return _best(scale, plan, "checkpoint_bytes", [*more, plan.checkpoint_bytes])


def with_mtp(plan: Fit, header: Header, machine: Machine) -> Fit:
    """Return the plan with the file's own head in use, where it has one and there is room for it."""
    more = replace(plan, mtp=True)
    return more if header.predicts and plan.draft_tokens and Scale(header, machine).fits(more) else plan


def describe(fit: Fit, header: Header, machine: Machine) -> str:
    """Return what was chosen, as two sentences for the user."""
    cache = cache_bytes(header, fit.context, fit.cache_type)
    checkpoints = f", {fit.checkpoint_bytes // header.state_bytes} checkpoints" if header.state_bytes else ""
    drafts = f"{fit.draft_tokens} with MTP" if fit.mtp else f"{fit.draft_tokens}"
    return (
        f"Context of {fit.context:,} tokens ({fit.cache_type} cache, {_gib(cache)}), {fit.threads} threads, batches of "
        f"{fit.batch}, drafts of {drafts}{checkpoints}. The weights ({_gib(header.file_size)}) "
        f"are {place(fit, header, machine)}."
    )


def place(fit: Fit, header: Header, machine: Machine) -> str:
    """Return where the weights are, as the end of a sentence."""
    scale = Scale(header, machine)
    taken = scale.weigh(fit)
    if not any(taken.gpus):
        return "in main memory"
    names = " and ".join(gpu.name for gpu, size in zip(scale.machine.gpus, taken.gpus, strict=True) if size)
    blocks = scale.layers - 1
    if fit.cpu_experts:
        return f"on {names} but for the experts of {min(fit.cpu_experts, blocks)} of {blocks} blocks"
    if 0 <= fit.gpu_layers < scale.layers:
        return f"on {names} for {fit.gpu_layers} of {scale.layers} layers"
    return f"on {names}"


def _best(scale: Scale, plan: Fit, name: str, values: Sequence[int]) -> Fit:
    """Return the plan with the first value that fits; the last one is known to."""
    changes: list[dict[str, Any]] = [{name: value} for value in values]
    return next((better for change in changes if scale.fits(better := replace(plan, **change))), plan)


def _plans(scale: Scale, least: Fit, wishes: Wishes) -> Iterator[Fit]:
    """Yield contexts with their cache and the place of the weights that fit, best first.

    The whole model on GPUs is worth more than long batches and drafts; these are worth more than a block's experts.
    """
    for context, cache_type in _contexts(scale.header, wishes):
        plan = _placed(scale, replace(least, context=context, cache_type=cache_type), wishes)
        wide = replace(plan, batch=wishes.batch or _BATCHES[0])
        ample = _placed(scale, replace(wide, draft_tokens=_most_drafts(scale, wide, wishes)), wishes)
        is_divided = bool(scale.machine.gpus) and not _is_whole(scale, plan)
        for each in (ample, plan) if is_divided else (plan, ample):
            if scale.fits(each) and (context != _LONG or wishes.context or _has_plenty(scale, each)):
                yield each


def _most_drafts(scale: Scale, plan: Fit, wishes: Wishes) -> int:
    """Return the longest draft."""
    most = _DRAFTS_ON_GPU if scale.machine.gpus else _DRAFTS
    return min(most_drafts(plan.batch), most if wishes.draft_tokens < 0 else wishes.draft_tokens)


def _contexts(header: Header, wishes: Wishes) -> Iterator[tuple[int, CacheType]]:
    trained = header.count("context_length")
    types: tuple[CacheType, ...] = (wishes.cache_type,) if wishes.cache_type else CACHE_TYPES
    steps = [step for step in (_LONG, *_CONTEXTS) if step <= trained] or [trained]
    for context in [min(wishes.context, trained)] if wishes.context else steps:
        for kind in types if wishes.context or context <= _SHORT else types[:1]:
            yield context, kind


def _placed(scale: Scale, plan: Fit, wishes: Wishes) -> Fit:
    """Return the plan with as much on the GPUs as there is room for, or as the user set."""
    options = list(_placements(scale, wishes))
    plans = [replace(plan, gpu_layers=layers, cpu_experts=experts) for layers, experts in options]
    return next((each for each in plans if scale.fits_gpus(each)), plans[-1])


def _placements(scale: Scale, wishes: Wishes) -> Iterator[tuple[int, int]]:
    """Yield layers on the GPU and blocks whose experts are not, best first."""
    if not scale.machine.gpus:
        yield max(0, wishes.gpu_layers), max(0, wishes.cpu_experts)
        return
    blocks = scale.layers - 1
    most = scale.layers if wishes.gpu_layers < 0 else wishes.gpu_layers
    experts = blocks if scale.has_experts else 0
    chosen = range(experts + 1) if wishes.cpu_experts < 0 else (wishes.cpu_experts,)
    yield from ((most, count) for count in chosen)
    if wishes.gpu_layers < 0:
        yield from ((layers, chosen[-1]) for layers in range(scale.layers - 1, 0, -1))
        yield 0, chosen[-1]


def _has_plenty(scale: Scale, plan: Fit) -> bool:
    """Say whether a long context costs nothing that would be missed."""
    taken = scale.weigh(plan)
    if scale.machine.gpus:
        return _is_whole(scale, plan)
    return bool(scale.machine.free) and 2 * taken.main <= scale.machine.free


def _is_whole(scale: Scale, plan: Fit) -> bool:
    return bool(scale.machine.gpus) and plan.gpu_layers >= scale.layers and not plan.cpu_experts


def _checkpoints(header: Header, count: int) -> int:
    return count * header.state_bytes + 4 * header.vocab_size  # the logits are kept of one


def _refusal(scale: Scale, least: Fit, wishes: Wishes) -> str:
    """Return why nothing fits, and what would."""
    header, machine = scale.header, scale.machine
    context, cache_type = list(_contexts(header, wishes))[-1]
    plan = _placed(scale, replace(least, context=context, cache_type=cache_type), wishes)
    taken = scale.weigh(plan)
    beside = f" beside {_gib(sum(taken.gpus))} on the GPU" if any(taken.gpus) else ""
    what = f"{header.path} with a context of {context:,} tokens needs {_gib(taken.main)} of main memory{beside}"
    if not scale.fits_gpus(plan):
        most = " and ".join(_gib(room(gpu.free)) for gpu in machine.gpus)
        return f"{what}, and {most} may be taken there: leave `gpu_layers` and `cpu_experts` unset."
    why = f"{what}, and {_gib(room(machine.free))} of the {_gib(machine.free)} that are free may be taken"
    if wishes.context and (most := _longest_context(scale, least, wishes)):
        return f"{why}: set `context` to {most:,} at most."
    for name, size in smaller(header):
        if next(_plans(Scale(resized(header, size), machine), least, wishes), None):
            return f"{why}: {name} ({_gib(size)}) would fit."
    idle = replace(machine, free=max(machine.free, machine.total))
    if next(_plans(Scale(header, idle), least, wishes), None):
        return f"{why}: end other programs, or use a smaller model."
    return f"{why}: a smaller model is needed."


def _longest_context(scale: Scale, least: Fit, wishes: Wishes) -> int:
    """Return the longest context that fits, in steps of 1,024 tokens; 0 when none does."""
    lengths = range(1024, wishes.context, 1024)

    def too_long(context: int) -> bool:
        return next(_plans(scale, least, replace(wishes, context=context)), None) is None

    fitting = bisect.bisect_left(lengths, True, key=too_long)
    return lengths[fitting - 1] if fitting else 0


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
