"""Train the built-in model: a few million parameters that mend single lines of Python.

    python tools/train_builtin.py OUT --minutes 95          (resumes from OUT/checkpoint.pt after a kill)
    python tools/train_builtin.py OUT --minutes 95 --device cuda
    python tools/train_builtin.py OUT --minutes 60 --from qwencode/model/builtin/builtin.gguf --rate 0.5 --fall 1

OUT holds functions.jsonl (tools/builtin/corpus.py) and failing-train.jsonl (tools/builtin/failing.py). Written are
OUT/vocabulary.json, OUT/checkpoint.pt, OUT/log.jsonl (one line for every hundred steps) and OUT/builtin.pt at the end.
The learning rate is constant and falls to a twentieth over the last part of the minutes, which count training only.
Matrices are trained by Muon (Jordan et al., 2024: momentum, made orthogonal by five Newton-Schulz steps), the rest by
AdamW. It runs at a low priority, so that other work goes on.

`--from` begins with the weights and the vocabulary of an exported file, so that minutes on several machines add up.
That is not a resumed run: the weights come back as the file has rounded them, the optimisers have no memory, and the
rate is warmed up again and falls again, so the first minutes cost some of what was known. Steps and minutes count from
there.
"""

import argparse
import bisect
import ctypes
import functools
import gc
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from builtin import export, model, samples, shards, tokens
from builtin.model import SHAPE
from builtin.muon import DECAY, Muon
from builtin.together import Together

BATCH = 4_000
"""Tokens of a batch, padding included."""
POOL = 512
"""Samples sorted by length before they are cut into batches."""
FAILING = 0.45
"""Share of samples with a known failure."""
SEVERAL = 0.7
"""Share of the others that have several bugs, each with its answer: what is read for one answer serves them all."""
READ = 0.3
"""Share of the tokens that are only read whose loss is counted: to predict all of them costs a fifth of the time."""
MUON_RATE, ADAM_RATE = 0.01, 3e-3
WARM_UP, FALL = 40, 0.4
"""Steps of warm-up, and the share of the time in which the rate falls."""
BALANCE = 0.01
EVERY = 100
SAVE_SECONDS = 120.0
LONGEST_STEP = 60.0
"""Seconds of a step that count at most: a process that was stopped meanwhile has not trained."""
LOOK_SECONDS, LOOKED_AT = 600.0, 400
"""How often held-out samples are looked at, and how many."""
VOCABULARY_TEXTS = 60_000
PER_PACKAGE = 4_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train, in seconds of all runs together, on what device, from what chance. `batch` is in tokens,
    `pool` in samples, `every` in steps between two lines of the log. `clock` says what time it is, in seconds. `start`
    is an exported file to begin with, `rate` a factor of the learning rate, `fall` the share of the time in which it
    falls, `reading` a factor of the loss of what is only read: 0 trains on answers alone, which costs a fifth less.
    """

    seconds: float
    device: str = "cpu"
    seed: int = 0
    batch: int = BATCH
    pool: int = POOL
    every: int = EVERY
    start: Path | None = None
    rate: float = 1.0
    fall: float = FALL
    reading: float = 1.0
    clock: Callable[[], float] = time.monotonic


class Trainer:
    """Weights, optimisers and what is needed to go on after a kill."""

    def __init__(self, device: str, seed: int, together: Together | None = None):
        self.device, self.seed, self.together = torch.device(device), seed, together or Together()
        fresh = model.initial(SHAPE, torch.Generator().manual_seed(seed))
        self.weights = {name: value.to(self.device).requires_grad_() for name, value in fresh.items()}
        by_muon = [name for name, value in self.weights.items() if _is_matrix(name, value)]
        self.rest = [name for name in self.weights if name not in by_muon]
        self.matrices = by_muon
        self.muon = Muon([self.weights[name].data for name in by_muon], self.together)
        decayed = [self.weights[name] for name in self.rest if self.weights[name].dim() > 1]
        plain = [self.weights[name] for name in self.rest if self.weights[name].dim() == 1]
        groups = [{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}]
        self.adam = torch.optim.AdamW(groups, lr=ADAM_RATE, betas=(0.9, 0.95))
        self.steps = self.seen = 0
        self.seconds = 0.0

    def step(self, batch: Sequence[samples.Sample], factor: float, reading: float = 1.0) -> tuple[float, float]:
        """Train on a batch, at so much of the full rate. Returns the mean loss of the answers' tokens, and the share of
        samples whose answers were right token by token, both as they were before, in all processes together.
        """
        inputs, weights = padded(batch, self.device)
        learned = (weights == samples.ANSWER) | (torch.rand_like(weights) < READ)
        weights = torch.where(weights == samples.ANSWER, weights, weights * reading) * learned
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.device.type != "cpu"):
            state, load = model.forward(self.weights, SHAPE, inputs[:, :-1])
            wanted = weights[:, 1:] > 0
            logits = F.linear(state[wanted], self.weights["token_embd.weight"]).float()
        targets, shares = inputs[:, 1:][wanted], weights[:, 1:][wanted]
        losses = F.cross_entropy(logits, targets, reduction="none")
        loss = (losses * shares).sum() / shares.sum() + BALANCE * load
        loss.backward()
        answers = shares == samples.ANSWER
        wrong = torch.zeros_like(inputs[:, 1:], dtype=torch.bool)
        wrong[wanted] = (logits.detach().argmax(-1) != targets) & answers
        right = (~wrong.any(1)).float().mean()
        seen, loss, right = self._change([len(batch), float(losses[answers].detach().mean()), float(right)], factor)
        self.steps += 1
        self.seen += round(seen)
        return loss / self.together.size, right / self.together.size

    def _change(self, figures: Sequence[float], factor: float) -> list[float]:
        """Change the weights by the gradients of all processes, and return the sums of some of their figures."""
        parameters = list(self.weights.values())
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        told = torch.tensor(figures, device=self.device)
        self.together.add([*gradients, told])
        for gradient in gradients:
            gradient /= self.together.size
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        by_muon = [self.weights[name].grad for name in self.matrices]
        with torch.no_grad():
            self.muon.step([gradient for gradient in by_muon if gradient is not None], MUON_RATE * factor)
        for group in self.adam.param_groups:
            group["lr"] = ADAM_RATE * factor
        self.adam.step()
        for parameter in parameters:
            parameter.grad = None
        return told.tolist()

    @torch.no_grad()
    def exact(self, held_out: Sequence[samples.Sample]) -> float:
        """Return the share of samples whose answer the model would write, always taking the likeliest token."""
        right = 0
        for one in held_out[self.together.rank :: self.together.size]:
            inputs, weights = padded([one], self.device)
            state, _ = model.forward(self.weights, SHAPE, inputs[:, :-1])
            answer = weights[:, 1:] == samples.ANSWER
            chosen = F.linear(state[answer], self.weights["token_embd.weight"]).argmax(-1)
            right += bool((chosen == inputs[:, 1:][answer]).all())
        return self.together.mean(right) * self.together.size / max(1, len(held_out))

    def save(self, path: Path) -> None:
        """Write everything that is needed to go on: the first process does, all have the same."""
        if self.together.rank:
            return
        state: dict[str, Any] = {
            "weights": {name: value.detach() for name, value in self.weights.items()},
            "momenta": self.muon.momenta,
            "adam": self.adam.state_dict(),
            "at": (self.steps, self.seen, self.seconds),
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take over weights, whose names and shapes are those of the model."""
        for name, value in self.weights.items():
            value.data.copy_(weights[name])

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote."""
        state = torch.load(path, map_location=self.device)
        self.begin_with(state["weights"])
        for momentum, value in zip(self.muon.momenta, state["momenta"], strict=True):
            momentum.copy_(value)
        self.adam.load_state_dict(state["adam"])
        self.steps, self.seen, self.seconds = state["at"]


def _is_matrix(name: str, value: Tensor) -> bool:
    """Say whether Muon trains it: what maps states to states, not what reads or chooses."""
    small = ("token_embd", "ssm_conv1d", "ssm_alpha", "ssm_beta", "ffn_gate_inp")
    return value.dim() > 1 and not any(part in name for part in small)


def padded(batch: Sequence[samples.Sample], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return tokens and weights as two matrices, short rows filled with tokens of no weight."""
    length = max(len(one.tokens) for one in batch)
    inputs, weights = torch.zeros(len(batch), length, dtype=torch.long), torch.zeros(len(batch), length)
    for row, one in enumerate(batch):
        inputs[row, : len(one.tokens)] = torch.tensor(one.tokens)
        weights[row, : len(one.tokens)] = torch.tensor(one.weights)
    return inputs.to(device), weights.to(device)


def batches(stream: Iterator[samples.Sample], chance: random.Random, plan: Plan) -> Iterator[list[samples.Sample]]:
    """Yield batches of samples of about the same length."""
    pool = sorted((next(stream) for _ in range(plan.pool)), key=_length)
    while True:
        end = first = chance.randrange(len(pool))
        while end < len(pool) and (end + 1 - first) * _length(pool[end]) <= plan.batch:
            end += 1
        while first > 0 and end == len(pool) and (end + 1 - first) * _length(pool[-1]) <= plan.batch:
            first -= 1
        end = max(end, first + 1)
        taken, pool[first:end] = pool[first:end], []
        for _ in taken:  # one for one, so that the work of making them is spread evenly
            bisect.insort(pool, next(stream), key=_length)
        yield taken


def _length(one: samples.Sample) -> int:
    return len(one.tokens)


def spread(functions: Sequence[dict[str, str]], most: int, seed: int) -> list[dict[str, str]]:
    """Return at most so many functions of a package, so that no large program sets the tone."""
    mixed, counts = random.Random(seed).sample(functions, len(functions)), Counter[str]()
    kept: list[dict[str, str]] = []
    for row in mixed:
        counts[row["package"]] += 1
        if counts[row["package"]] <= most:
            kept.append(row)
    return kept


def vocabulary(out: Path, functions: Sequence[dict[str, str]]) -> tokens.Vocabulary:
    """Return the vocabulary in `out`, made from a sample of the functions where it is not there yet."""
    path = out / "vocabulary.json"
    if not path.exists():
        chosen = functions[:VOCABULARY_TEXTS]
        words = ["user", "assistant", *([samples.FAILED, samples.PASSED, samples.DONE] * 200)]
        tokens.learn([*(row["source"] for row in chosen), *words * 20], SHAPE.vocab).save(path)
    return tokens.Vocabulary.load(path)


def begun(out: Path, plan: Plan, together: Together | None = None) -> Trainer:
    """Return a trainer as the checkpoint in `out` has it, else with the weights of `plan.start`, else with fresh ones.

    The vocabulary of `plan.start` goes to `out`. The program ends where there is another one already.
    """
    trainer = Trainer(plan.device, plan.seed, together)
    if plan.start:
        weights, words = export.read(plan.start)
        path = out / "vocabulary.json"
        if path.exists() and tokens.Vocabulary.load(path) != words:
            sys.exit(f"{path} is not the vocabulary of {plan.start}; remove it, or train in another folder.")
        words.save(path)
        trainer.begin_with(weights)
    if (out / "checkpoint.pt").exists():
        trainer.load(out / "checkpoint.pt")
    return trainer


def factor(steps: int, fraction: float, plan: Plan) -> float:
    """Return the share of the full learning rate after so many steps and such a fraction of the time."""
    return plan.rate * min(1.0, (steps + 1) / WARM_UP) * min(1.0, 0.05 + 0.95 * (1 - fraction) / plan.fall)


def train(out: Path, plan: Plan, together: Together | None = None) -> Trainer:
    """Train for so long in all, earlier runs included, and return what came of it. The first process writes."""
    together = together or Together()
    if together.rank:
        together.mean(0)  # the first process writes the vocabulary, and no other reads half of it
    trainer = begun(out, plan, together)
    functions = spread(shards.of_split(out / "functions.jsonl", "train"), PER_PACKAGE, plan.seed)
    failing = shards.of_split(out / "failing-train.jsonl", "train")
    read = vocabulary(out, functions).tokenizer()
    if not together.rank:
        together.mean(0)
    chance = random.Random(f"{plan.seed} {trainer.steps} {together.rank}")
    torch.manual_seed(chance.randrange(2**32))
    stream = batches(samples.endless(functions, failing, FAILING, read, chance, SEVERAL), chance, plan)
    unseen = held_out(out, read)
    gc.freeze()  # or hundreds of thousands of functions are gone through again and again
    tell = functools.partial(_tell, None if together.rank else out / "log.jsonl")
    looked, saved, recent = trainer.seconds, 0.0, list[tuple[float, float, int]]()
    while trainer.seconds < plan.seconds:
        began = plan.clock()
        batch = next(stream)
        rate = factor(trainer.steps, trainer.seconds / plan.seconds, plan)
        loss, right = trainer.step(batch, rate, plan.reading * rate / plan.rate)
        trainer.seconds += together.mean(min(plan.clock() - began, LONGEST_STEP))
        recent.append((loss, right, together.size * sum(map(_length, batch))))
        where: dict[str, float] = {"step": trainer.steps, "minutes": trainer.seconds / 60, "samples": trainer.seen}
        if trainer.steps % plan.every == 0:
            loss, right, count = (sum(part) for part in zip(*recent, strict=True))
            tell({**where, "loss": loss / len(recent), "right": right / len(recent), "tokens": count})
            recent.clear()
        if trainer.seconds - looked > LOOK_SECONDS:
            looked = trainer.seconds
            exact = trainer.exact(unseen)
            tell({**where, "held_out": exact})
        if trainer.seconds - saved > SAVE_SECONDS:
            saved = trainer.seconds
            trainer.save(out / "checkpoint.pt")
    trainer.save(out / "checkpoint.pt")
    return trainer


def held_out(out: Path, read: Tokenizer) -> list[samples.Sample]:
    """Return the same samples of packages that are not trained on, every time."""
    functions, failing = (
        shards.of_split(out / "functions.jsonl", "held-out"),
        shards.of_split(out / "failing-held-out.jsonl", "held-out"),
    )
    if not functions:
        return []
    return list(itertools.islice(samples.endless(functions, failing, FAILING, read, random.Random(1)), LOOKED_AT))


def _tell(log: Path | None, row: dict[str, float]) -> None:
    if log is None:
        return
    line = json.dumps({key: round(value, 4) for key, value in row.items()})
    print(line, flush=True)
    with log.open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")


def keep_memory() -> None:
    """Have glibc keep what is freed: giving it back and clearing it anew took two fifths of the time."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return  # another C library
    mallopt(-4, 0)  # M_MMAP_MAX
    mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=95.0, help="of training in all, earlier runs included")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--processes", type=int, help="that train together; by default one for each processor, one on a GPU"
    )
    parser.add_argument("--nice", type=int, default=10, help="0 for the priority of other programs, 19 for the lowest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", dest="start", type=Path, metavar="FILE", help="an exported file to begin with")
    parser.add_argument("--rate", type=float, default=1.0, help="a factor of the learning rate")
    parser.add_argument("--fall", type=float, default=FALL, help="the share of the minutes in which the rate falls")
    parser.add_argument("--reading", type=float, default=1.0, help="a factor of the loss of what is only read")
    parser.add_argument("--batch", type=int, default=BATCH, help="tokens of a batch")
    given = parser.parse_args(arguments)
    if given.start and not given.start.is_file():
        parser.error(f"there is no file {given.start}")
    os.nice(given.nice)
    plan = Plan(
        given.minutes * 60,
        given.device,
        given.seed,
        given.batch,
        start=given.start,
        rate=given.rate,
        fall=given.fall,
        reading=given.reading,
    )
    processes = given.processes or (shards.jobs_here() if given.device == "cpu" else 1)
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_one, (processes, Path(folder) / "meeting", given.out, plan), processes)
    return 0


def _one(rank: int, size: int, meeting: Path, out: Path, plan: Plan) -> None:
    """Be one of the processes that train together."""
    keep_memory()
    torch.set_num_threads(1)
    together = Together(rank, size, meeting)
    trainer = train(out, plan, together)
    together.leave()
    if rank == 0:
        torch.save({name: value.detach().cpu() for name, value in trainer.weights.items()}, out / "builtin.pt")
        print(f"{trainer.steps:,} steps, {trainer.seen:,} samples, {trainer.seconds / 60:.1f} minutes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
