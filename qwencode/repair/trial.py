"""The ways to try a candidate, behind one face: swapped in a fork, imported anew in a fork, or run from disk."""

import heapq
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from qwencode.repair.forkserver import ForkServer, ServerFailed
from qwencode.repair.mutate.candidates import Candidate
from qwencode.sandbox.protocol import Sandbox
from qwencode.verify.results import COLLECTION, Baseline, tests_of

Outcome = Literal["plausible", "goal_failed", "some", "broke", "timeout", "crashed", "invalid"]
"""`some`: a part of the goal passes, and a part fails. `broke`: all of the goal passes, and another test fails."""
FIRST_TESTS = 30
"""Passing tests at most that run early because they cover the edited line."""
_RESTARTS = 3


def _dotted(test: str) -> str:
    """Return an id in a form that pytest's and unittest's names share; a fixture stands for its tests."""
    return tests_of(test).replace(".py::", ".").replace("::", ".").replace("/", ".")


def _same(one: str, other: str) -> bool:
    """Say whether two ids name one test; a file, a module and a class of tests are named by each of them."""
    first, second = f".{_dotted(one)}.", f".{_dotted(other)}."
    return one.startswith(f"{other}::") or first.endswith(second) or first.startswith(second)


class Trial(Protocol):
    """Takes candidates, gives back what became of them, in any order."""

    name: str

    @property
    def room(self) -> int:
        """How many candidates it would take now."""
        ...

    @property
    def busy(self) -> bool:
        """Whether outcomes are still to come."""
        ...

    def submit(self, candidate: Candidate) -> None:
        """Take a candidate. Raises ServerFailed when there is no way on."""
        ...

    def poll(self, seconds: float) -> list[tuple[Candidate, Outcome]]:
        """Return finished ones, waiting for `seconds` at most. Raises ServerFailed when there is no way on."""
        ...

    def examine(self, candidate: Candidate, seconds: float) -> "Examined | None":
        """Run all tests with a candidate and say what it does; None when that cannot be told within `seconds`.

        For the end of a search: what else was submitted may get lost. Never raises ServerFailed.
        """
        ...

    def close(self) -> None:
        """End everything at once; the tree is as it was. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Examined:
    """What a candidate does: the goal tests that pass with it, and those that passed before and fail with it."""

    mended: tuple[str, ...]
    broken: tuple[str, ...]


@dataclass(slots=True)
class _Lane:
    """A server with what it is working on. A candidate that was in flight at two crashes is not tried again."""

    server: ForkServer
    flying: dict[int, tuple[Candidate, dict[str, Any]]] = field(
        default_factory=dict[int, tuple[Candidate, dict[str, Any]]]
    )


class ForkTrial:
    """Tries candidates in forked test processes: by swap where it can express the edit, else by a fresh import."""

    name = "fork"

    def __init__(self, sandbox: Sandbox, baseline: Baseline, texts: Mapping[str, str], jobs: int = 2):
        self._sandbox, self._baseline, self._texts, self._jobs = sandbox, baseline, texts, jobs
        self._swap: _Lane | None = None
        self._fresh: _Lane | None = None
        self._backlog: list[tuple[float, int, Candidate]] = []
        self._count = self._restarts = 0
        self._ordered = False
        self._crashed: set[Candidate] = set()
        self._again: list[Candidate] = []
        self._first: dict[tuple[str, int], list[str]] = {}
        self.swapped = self.imported = 0
        self.why_not_swap = ""

    def start(self) -> None:
        """Start and check: the goal must fail and the rest pass as at the baseline. Raises ServerFailed if it never
        does.
        """
        if {COLLECTION, self._baseline.run.whole} & {*self._baseline.goal}:
            raise ServerFailed("what fails is no test")
        try:
            self._swap = _Lane(self._started("swap"))
        except ServerFailed as reason:
            self.why_not_swap = str(reason)
            self._fresh = _Lane(self._started("fresh"))

    def _started(self, mode: Literal["swap", "fresh"]) -> ForkServer:
        server = ForkServer(self._sandbox, self._baseline, mode, self._jobs if mode == "swap" or not self._swap else 1)
        try:
            seconds = 60.0 + 5 * self._baseline.run.seconds
            ready = server.one(seconds)
            if mode == "swap" and ready["missing"]:
                raise ServerFailed(f"{ready['missing'][0]} is not collected")
            if self._restarts or (mode == "fresh" and self._swap):
                return server
            for ordered in (False, True):
                server.send({"id": -1, "all": True, "ordered": ordered})
                result = server.one(seconds)
                mends = bool(result.get("mended")) and (mode == "swap" or not result["missing"])
                if not mends:
                    break
            if mends:
                raise ServerFailed(f"{result['mended'][0]} passes there")
            if result["outcome"] not in ("plausible", "timeout"):
                raise ServerFailed(f"the tests end otherwise there ({result['outcome']})")
            failed = {_dotted(test) for test in result.get("failed", ())}
            flaky = set(self._baseline.flaky)
            rest = [test for test in self._baseline.run.passing if test not in flaky and _dotted(test) not in failed]
            server.send({"settings": {"rest": rest, "ordered": ordered}})
            self._ordered = ordered
        except (ServerFailed, KeyboardInterrupt):
            server.close()
            raise
        return server

    @property
    def room(self) -> int:
        lane = self._swap or self._fresh
        return 2 * self._jobs - len(lane.flying) if lane else 0

    @property
    def busy(self) -> bool:
        return bool(self._backlog) or any(lane.flying for lane in self._lanes())

    def _lanes(self) -> Iterator[_Lane]:
        yield from (lane for lane in (self._swap, self._fresh) if lane is not None)

    def submit(self, candidate: Candidate) -> None:
        if self._swap is None:
            self._push(candidate)
            return
        try:
            self._send(self._swap, candidate, {})
        except ServerFailed:  # it died since it was heard last
            self._restart()

    def unfinished(self) -> list[Candidate]:
        """Return what is worth another way to be tried, after there was no way on here."""
        return self._again + [candidate for _, _, candidate in sorted(self._backlog)]

    def _push(self, candidate: Candidate) -> None:
        self._count += 1
        heapq.heappush(self._backlog, (-candidate.score, self._count, candidate))

    def _send(self, lane: _Lane, candidate: Candidate, extra: dict[str, Any]) -> int:
        self._count += 1
        job = {"id": self._count, "file": candidate.file, **extra}
        lane.flying[self._count] = (candidate, extra)
        text = candidate.applied(self._texts[candidate.file])
        lane.server.send({**job, "source": text, "first": self._covering(candidate)})
        return self._count

    def poll(self, seconds: float) -> list[tuple[Candidate, Outcome]]:
        finished: list[tuple[Candidate, Outcome]] = []
        try:
            if self._backlog and self._fresh is None:
                self._fresh = _Lane(self._started("fresh"))
            while self._backlog and self._fresh and len(self._fresh.flying) < self._fresh.server.jobs + 1:
                self._send(self._fresh, heapq.heappop(self._backlog)[2], {"only_goal": True})
            lanes = list(self._lanes())
            for lane in lanes:
                waiting = seconds if len(lanes) == 1 else seconds / 8
                for answer in lane.server.receive(waiting if lane.flying else 0.0):
                    finished += self._answered(lane, answer)
        except ServerFailed:
            self._restart()
        return finished

    def _answered(self, lane: _Lane, answer: Mapping[str, Any]) -> list[tuple[Candidate, Outcome]]:
        candidate, extra = lane.flying.pop(answer["id"])
        if answer["outcome"] == "cannot":
            self._push(candidate)
            return []
        if answer["outcome"] == "plausible" and extra.get("only_goal"):
            self._send(lane, candidate, {})
            return []
        if lane is self._swap:
            self.swapped += 1
        else:
            self.imported += 1
        return [(candidate, self._outcome(answer))]

    def _outcome(self, answer: Mapping[str, Any]) -> Outcome:
        """The goal is run in its order up to the first failure. So if that is not its first test, others passed."""
        if answer["outcome"] == "goal_failed" and not self._ordered:
            return "goal_failed" if _same(answer["test"], self._baseline.goal[0]) else "some"
        return answer["outcome"]

    def examine(self, candidate: Candidate, seconds: float) -> Examined | None:
        until = time.monotonic() + seconds
        try:
            for lane in self._both():
                number = self._send(lane, candidate, {"all": True})
                while (answer := self._answer_to(number, lane)) is None:
                    if time.monotonic() > until:
                        return None
                if answer["outcome"] == "plausible":
                    return self._examined(answer)
                if answer["outcome"] != "cannot":
                    return None
        except ServerFailed:
            pass  # it may have died of this very candidate, which is none to speak of then
        return None

    def _both(self) -> Iterator[_Lane]:
        """Yield the lanes, starting the slow one when it comes to that."""
        if self._swap:
            yield self._swap
        self._fresh = self._fresh or _Lane(self._started("fresh"))
        yield self._fresh

    def _answer_to(self, number: int, lane: _Lane) -> Mapping[str, Any] | None:
        return next((answer for answer in lane.server.receive(0.25) if answer["id"] == number), None)

    def _examined(self, answer: Mapping[str, Any]) -> Examined:
        goal, failed = self._baseline.goal, answer["failed"]
        mended = tuple(test for test in goal if any(_same(name, test) for name in answer["mended"]))
        others = [name for name in failed if not any(_same(name, test) for test in goal)]
        return Examined(mended, tuple(others))

    def _restart(self) -> None:
        """Bring a server that died back; what was in flight is tried once more, and dropped if it dies again."""
        flying = [candidate for lane in self._lanes() for candidate, _ in lane.flying.values()]
        self._again += [candidate for candidate in flying if candidate not in self._crashed]
        self._crashed.update(flying)
        swap = self._swap is not None
        self.close()
        self._swap = self._fresh = None
        self._restarts += 1
        if self._restarts > _RESTARTS:
            raise ServerFailed("it keeps ending")
        lane = _Lane(self._started("swap" if swap else "fresh"))
        if swap:
            self._swap = lane
        else:
            self._fresh = lane
        while self._again:
            self.submit(self._again.pop(0))

    def _covering(self, candidate: Candidate) -> list[str]:
        """Return the passing tests that ran the edited line, quick ones first."""
        key = (candidate.file, candidate.line)
        if key not in self._first:
            run = self._baseline.run
            tests = [t for t in run.passing if candidate.line in run.coverage.get(t, {}).get(candidate.file, ())]
            self._first[key] = sorted(tests, key=lambda test: run.results[test].seconds)[:FIRST_TESTS]
        return self._first[key]

    def close(self) -> None:
        for lane in self._lanes():
            lane.server.close()
