"""One run of the agent on a case, with one of its mechanisms taken away."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from agent_bench.cases import Case
from agent_bench.metered import MeteredModel
from agent_bench.policies import Policy
from qwencode.agent.budget import Budget
from qwencode.agent.loop import Agent, Tree
from qwencode.agent.thinking import POLICIES as THINKING
from qwencode.context.prompts import first_message, still_failing, system_prompt
from qwencode.context.repomap.repository import RepositoryMap
from qwencode.errors import ModelUnavailable
from qwencode.events import Event, ToolFinished
from qwencode.messages import Message
from qwencode.model.protocol import Options
from qwencode.repair.localise import rank
from qwencode.sandbox.ladder import open_sandbox
from qwencode.snapshots import Run
from qwencode.tools.toolbox import toolbox
from qwencode.verify.baseline import take
from qwencode.verify.commands import discover
from qwencode.verify.protected import is_test_path
from qwencode.verify.runners import run
from qwencode.verify.verdict import prove
from qwencode.workspace import Workspace

STEPS = 40
CONTEXT = 16_384
TEST_SECONDS = 60.0
PREFILL, DECODE = 40, 10  # tokens a second of the 35B on two CPU cores at 3 bits


@dataclass(frozen=True, slots=True)
class Arm:
    """The agent as it is, or without one of its mechanisms."""

    localisation: bool = True
    preflight: bool = True
    checkpoints: bool = True
    guards: bool = True
    thinking: bool = True
    compaction: bool = True


ARMS = {"full": Arm()} | {f"no {name}": replace(Arm(), **{name: False}) for name in Arm.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to. Tokens are estimates by characters; `errors` counts calls that failed, test runs apart."""

    solved: bool
    ended: str
    turns: int
    evaluated: int
    generated: int
    errors: int

    @property
    def seconds(self) -> float:
        """What the tokens would take a slow machine."""
        return self.evaluated / PREFILL + self.generated / DECODE


def tried(case: Case, make: Callable[[Case], Policy], arm: Arm) -> Result:
    """Let a policy work on a fresh copy of a case, and judge what it left by the verdict."""
    with tempfile.TemporaryDirectory() as folder:
        root = case.build(Path(folder, "repository"))
        sandbox = open_sandbox(root, allow_none=True)
        try:
            return _run(Workspace(root), sandbox, make(case), case.test, arm)
        finally:
            sandbox.close()


def _run(workspace: Workspace, sandbox, policy: Policy, test: str, arm: Arm) -> Result:
    command = discover(workspace, test)
    baseline = _drain(take(workspace, sandbox, command, seconds=TEST_SECONDS, coverage=True))[1]
    suspects = rank(baseline.run, baseline.goal, workspace, baseline.protected).suspects if arm.localisation else ()

    def tests(selection: tuple[str, ...]):
        return run(command, sandbox, tests=selection, seconds=TEST_SECONDS)

    def missing() -> str:
        passing = set(tests(()).passing)
        return still_failing([name for name in (*baseline.goal, *baseline.run.passing) if name not in passing])

    look = RepositoryMap(workspace, workspace.root.parent / "maps").look
    tools = toolbox(workspace, sandbox, tests, before=baseline.run, look=look, protected=is_test_path)
    if not arm.preflight:
        tools = {name: replace(tool, preflight=None) for name, tool in tools.items()}
    model = MeteredModel(policy, size=CONTEXT, checkpoints=arm.checkpoints, tells_size=arm.compaction)
    history: list[Message] = [system_prompt(), first_message(workspace, baseline=baseline, suspects=suspects)]
    with Run.begin(workspace, f"bench-{time.monotonic_ns()}") as kept:
        agent = Agent(
            model,
            tools,
            Options(max_tokens=4_096),
            Budget(STEPS, 600.0),
            think=THINKING["auto" if arm.thinking else "never"],
            check=missing,
            tree=Tree(kept.state, kept.diff) if arm.guards else None,
        )
        try:
            events, outcome = _drain(agent.run(history))
            ended, turns, usage = outcome.ended, outcome.steps, outcome.usage
        except ModelUnavailable:
            return Result(False, "did not fit", model.replies, 0, 0, 0)
        verdict = _drain(
            prove(workspace, sandbox, baseline, goal_text=False, by="", allow_test_changes=False, seconds=TEST_SECONDS)
        )[1][0]
    errors = sum(isinstance(e, ToolFinished) and not e.ok and e.call.name != "run_tests" for e in events)
    return Result(verdict.status == "fixed", ended, turns, usage.evaluated, usage.generated, errors)


def _drain(work) -> tuple[list[Event], object]:
    events: list[Event] = []
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return events, end.value
