"""The model's part of a job: a first message that holds what it needs, the loop, and what counts as done."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

from qwencode.agent.budget import Budget
from qwencode.agent.loop import Agent, Tree
from qwencode.agent.outcome import Outcome
from qwencode.agent.thinking import ThinkingPolicy
from qwencode.context.instructions import instructions
from qwencode.context.mentions import mentioned
from qwencode.context.prompts import first_message, still_failing, system_prompt, unchanged
from qwencode.events import Event, MessageAdded, PhaseStarted
from qwencode.model.protocol import Model, Options
from qwencode.repair.localise import Ranking
from qwencode.sandbox.protocol import Sandbox
from qwencode.tools.toolbox import toolbox
from qwencode.verify.results import Baseline, TestRun
from qwencode.verify.runners import run
from qwencode.workspace import Workspace


@dataclass(frozen=True, slots=True)
class AgentPart:
    """What the model is set to work on. `protected` says of a path whether it is a test or a test setting.

    `tree` is what guards watch for progress, `think` says when a turn thinks.
    """

    goal: str
    workspace: Workspace
    sandbox: Sandbox
    baseline: Baseline
    ranking: Ranking
    protected: Callable[[str], bool]
    test_seconds: float
    tree: Tree
    think: ThinkingPolicy

    def work(self, model: Model, options: Options, budget: Budget) -> Generator[Event, None, Outcome]:
        """Let the model work until it is done or the budget is spent. Raises ModelUnavailable."""
        followed = instructions(self.workspace)
        named = mentioned(self.workspace, self.goal)
        yield from followed.notices
        yield from named.notices
        opening = first_message(
            self.workspace,
            task=self.goal,
            files=named.text,
            baseline=self.baseline,
            suspects=self.ranking.suspects,
            instructions=followed.text,
        )
        history = [system_prompt(), opening]
        for message in history:
            yield MessageAdded(message)
        yield PhaseStarted("agent", "The model works")
        tools = toolbox(
            self.workspace, self.sandbox, self._run_tests, before=self.baseline.run, protected=self.protected
        )
        agent = Agent(model, tools, options, budget, think=self.think, check=self._missing, tree=self.tree)
        return (yield from agent.run(history))

    def _run_tests(self, tests: tuple[str, ...]) -> TestRun:
        return run(self.baseline.command, self.sandbox, tests=tests, seconds=self.test_seconds)

    def _missing(self) -> str:
        """Run all tests when the model says that it is done, and say what is missing."""
        if not self.baseline.goal:
            return "" if self.tree.diff() else unchanged()
        after = self._run_tests(())
        passing = set(after.passing)
        return still_failing(
            [test for test in (*self.baseline.goal, *self.baseline.run.passing) if test not in passing]
        )
