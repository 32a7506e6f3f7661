"""Edits that a small model proposes, made ahead of the search in a thread, and how likely it thinks others are."""

import heapq
import math
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qwencode.errors import Interrupted, ModelUnavailable
from qwencode.model.builtin import prompt
from qwencode.model.builtin.task import Proposal, Task, task
from qwencode.repair.mutate.candidates import Candidate, Seen, of_line
from qwencode.repair.mutate.source import Source
from qwencode.verify.results import Baseline

if TYPE_CHECKING:
    from qwencode.model.builtin.proposer import Proposer

_AHEAD = 3  # lines that wait for the model, so that it need not wait while the search does
_EARLY = 0.5  # a line is asked about when the search is near it: edits there could be next in turn
_SCORED = 32  # plausible edits that are compared
_UNKNOWN = math.log(1e-3)
_LINE_END = re.compile(r"\r\n|\r|\n")


class Proposals(Protocol):
    """Who proposes text for a line and says how likely texts are: the built-in model, or a fake of it.

    Called from one thread at a time, not always the same. Raises ModelUnavailable or OSError when it cannot go on.
    """

    def propose(self, task: Task) -> Sequence[Proposal]:
        """Return distinct texts for the place of the line, likeliest first."""
        ...

    def score(self, task: Task, news: Sequence[str]) -> Sequence[float]:
        """Return the natural logarithm of the probability of each of some texts for the place of the line."""
        ...

    def close(self) -> None:
        """Free what it holds; whoever opened it does that, when the search is over. Idempotent."""
        ...


def builtin_proposals(path: Path, threads: int = 1) -> "Proposer":
    """Load the built-in model from a file; the caller closes it. Raises ModelUnavailable when it cannot be used.

    More than one thread is rarely faster, and slow where the tests under trial need the cores.
    """
    try:
        from qwencode.model.builtin.proposer import Proposer  # loads llama.cpp, which search without it need not
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelUnavailable(f"llama.cpp cannot be loaded ({error}).") from error
    return Proposer(path, threads)


def prior(logprob: float) -> float:
    """Return what stands for the prior of an operator: twice the probability to the power of 0.3, and 1 at most.

    Chosen so that edits of one prior are right about equally often. At the faulty lines of 250 bugs in functions of
    the training packages, operators' edits of a prior from 0.9 were right in 13 %, from 0.3 in 0.9 %, from 0.2 in 0.4 %
    of cases; proposals of a probability from 0.1 in 22 %, from 0.01 in 3.5 %, from 0.001 in 1.1 %, less elsewhere.
    """
    return min(1.0, 2.0 * math.exp(0.3 * logprob))


class Questions:
    """Puts the lines of the searched files as questions: file, failing test, function."""

    def __init__(self, baseline: Baseline, texts: Mapping[str, str]):
        self._texts = texts
        self._coverage = baseline.run.coverage
        goal = [test for test in baseline.goal if test in baseline.run.results]
        self._failures = {test: prompt.failure_of(baseline.run.results[test].message) for test in goal}

    def about(self, file: str, line: int) -> Task | None:
        """Return the question about a line (from 1), with a failure that ran it; None when it cannot be asked."""
        ran = [test for test in self._failures if line in self._coverage.get(test, {}).get(file, ())]
        failure = next((self._failures[test] for test in [*ran, *self._failures]), "")
        return task(file, self._texts[file], line, failure)


class Ahead:
    """Has lines worked on in a thread, most suspicious first, and gives the candidates that come of it.

    Only the model runs in the thread: what changes the state of the whole process, such as compiling without
    warnings, is done by the caller.
    """

    def __init__(
        self,
        propose: Proposals,
        questions: Questions,
        texts: Mapping[str, str],
        lines: Mapping[str, Mapping[int, float]],
    ):
        self._propose, self._questions, self._texts = propose, questions, texts
        ordered = sorted(
            (-score, file, line) for file, row in lines.items() for line, score in row.items() if score > 0
        )
        self._lines = deque((file, line, -score) for score, file, line in ordered)
        self._running: deque[tuple[Task, float, Future[Sequence[Proposal]]]] = deque()
        self._sources: dict[str, Source] = {}
        self._thread = ThreadPoolExecutor(1, "proposals")
        self._hand_out(1.0)  # so that there is something when the first candidates are tried

    @property
    def waiting(self) -> bool:
        """Whether more may come."""
        return bool(self._running or self._lines)

    def take(self, reached: float) -> Iterator[Candidate]:
        """Yield what is ready, never waiting; `reached` is the score that the search has come to.

        Raises ModelUnavailable or OSError when the model cannot go on.
        """
        self._hand_out(reached)
        while self._running and self._running[0][2].done():
            asked, suspicion, answer = self._running.popleft()
            proposals = answer.result()
            self._hand_out(reached)
            yield from self._candidates(asked, suspicion, proposals)

    def wait(self, seconds: float) -> None:
        """Wait until something is ready, for `seconds` at most."""
        if self._running:
            wait([self._running[0][2]], seconds)

    def close(self) -> None:
        """End the thread; takes as long as the line that is being worked on. Idempotent."""
        while True:
            try:
                self._thread.shutdown(wait=True, cancel_futures=True)
            except (KeyboardInterrupt, Interrupted):  # it is ending already, and must not outlive the search
                continue
            return

    def _hand_out(self, reached: float) -> None:
        while self._lines and len(self._running) < _AHEAD and self._lines[0][2] >= _EARLY * reached:
            file, line, suspicion = self._lines.popleft()
            if asked := self._questions.about(file, line):
                self._running.append((asked, suspicion, self._thread.submit(self._propose.propose, asked)))

    def _candidates(self, asked: Task, suspicion: float, proposals: Sequence[Proposal]) -> Iterator[Candidate]:
        if asked.file not in self._sources:
            self._sources[asked.file] = Source(asked.file, self._texts[asked.file])
        texts = {
            prompt.replacement(asked.shown, found.new): (_what(asked.old, found.new), suspicion * prior(found.logprob))
            for found in reversed(proposals)  # where two come to the same, the likelier counts
        }
        likeliest_first = dict(reversed(texts.items()))
        return of_line(self._sources[asked.file], asked.line, likeliest_first)


class Merged:
    """Two streams of candidates as one, best score first: those of the operators, and proposals as they come.

    Each resulting text comes once. `trouble`: why there are no more proposals, when the model cannot go on.
    """

    def __init__(self, made: Iterator[Candidate], seen: Seen, ahead: Ahead | None = None):
        self.trouble = ""
        self._made, self._seen, self._ahead = made, seen, ahead
        self._next = next(made, None)
        self._proposed: list[tuple[float, int, Candidate]] = []
        self._count = 0

    @property
    def exhausted(self) -> bool:
        """Whether nothing more will come."""
        return self._next is None and not self._proposed and not (self._ahead and self._ahead.waiting)

    def take(self) -> Candidate | None:
        """Return the best candidate that is there; None when there is none now."""
        self._hear()
        while self._proposed and (self._next is None or self._proposed[0][2].score >= self._next.score):
            candidate = heapq.heappop(self._proposed)[2]
            if candidate not in self._seen:
                self._seen.add(candidate)
                return candidate
        candidate, self._next = self._next, next(self._made, None) if self._next else None
        return candidate

    def wait(self, seconds: float) -> None:
        """Wait until more may be there, for `seconds` at most."""
        if self._ahead:
            self._ahead.wait(seconds)

    def _hear(self) -> None:
        if not self._ahead:
            return
        try:
            for candidate in self._ahead.take(self._next.score if self._next else 0.0):
                self._count += 1
                heapq.heappush(self._proposed, (-candidate.score, self._count, candidate))
        except (ModelUnavailable, OSError) as error:
            self.trouble, self._ahead = str(error), None


def ranked(
    found: Sequence[Candidate], propose: Proposals, questions: Questions, texts: Mapping[str, str]
) -> list[Candidate]:
    """Return plausible candidates with the likeliest first: their score times the fourth root of the probability that
    the model gives them.

    Both are weak evidence, and the model's root damps what differs between short and long lines. An edit that cannot
    be put as other text for one line of a function counts as if the model gave it one in a thousand. Beyond the
    best-scored ones nothing is compared. Raises what `score` raises.
    """
    ordered = sorted(found, key=lambda candidate: -candidate.score)
    best: dict[Candidate, float] = dict.fromkeys(ordered[:_SCORED], _UNKNOWN)
    asked: dict[Task, list[tuple[Candidate, str]]] = {}
    for candidate in best:
        before = texts[candidate.file]
        for line, new in as_line(before, candidate.applied(before)):
            if (about := questions.about(candidate.file, line)) and (text := _shown(about, new)) is not None:
                asked.setdefault(about, []).append((candidate, text))
    likely: dict[Candidate, float] = {}
    for about, pairs in asked.items():
        for (candidate, _), logprob in zip(pairs, propose.score(about, [new for _, new in pairs]), strict=True):
            likely[candidate] = max(logprob, likely.get(candidate, -math.inf))
    best |= likely
    compared = sorted(best, key=lambda candidate: -math.log(max(candidate.score, 1e-9)) - best[candidate] / 4)
    return [*compared, *ordered[_SCORED:]]


def differing(old: Sequence[str], new: Sequence[str]) -> tuple[int, int, int]:
    """Return the smallest run of lines in which two texts differ: where it begins, and where it ends in each."""
    most = min(len(old), len(new))
    start = next((at for at in range(most) if old[at] != new[at]), most)
    same = next((at for at in range(most - start) if old[-1 - at] != new[-1 - at]), most - start)
    return start, len(old) - same, len(new) - same


def as_line(before: str, after: str) -> list[tuple[int, str]]:
    """Return the ways to put a change as other text (with `\\n`) for one line of `before`: its number from 1, the text.

    None for a change of several lines; two for added lines, which belong to the line before or to the one behind.
    """
    old, new = (_LINE_END.split(text) for text in (before, after))
    start, end, new_end = differing(old, new)
    changed, rows = old[start:end], new[start:new_end]
    if len(changed) == 1:
        return [(start + 1, "\n".join(rows))]
    if changed:
        return []
    ways = [(start + 1, [*rows, *old[start : start + 1]]), (start, [*old[max(0, start - 1) : start], *rows])]
    return [(line, "\n".join(text)) for line, text in ways if 0 < line <= len(old)]


def _shown(about: Task, text: str) -> str | None:
    """Return lines of the file as the model would write them; None when they leave the function."""
    indent = about.shown.indent
    rows = text.split("\n") if text else []
    if any(row.strip() and not row.startswith(indent) for row in rows):
        return None
    return "\n".join(row.removeprefix(indent) for row in rows)


def _what(old: str, new: str) -> str:
    before, after = (" ".join(text.split()) for text in (old, new))
    change = f"{before} → {after}" if after else f"delete {before}"
    return f"built-in model: {change if len(change) <= 100 else change[:99] + '…'}"
