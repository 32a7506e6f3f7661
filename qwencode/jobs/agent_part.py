"""The model's part of a job: a first message that holds what it needs, the loop, and what counts as done."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from qwencode.agent.budget import Budget
from qwencode.agent.loop import Agent, Tree
from qwencode.agent.outcome import Outcome
from qwencode.agent.thinking import ThinkingPolicy, on_hard_steps
from qwencode.context.instructions import Instructions, instructions
from qwencode.context.mentions import mentioned
from qwencode.context.prompts import first_message, still_failing, system_prompt, unchanged
from qwencode.context.repomap.repository import budget_tokens
from qwencode.events import Event, PhaseStarted
from qwencode.jobs.ground import TEST_SECONDS, Ground
from qwencode.messages import Message
from qwencode.model.protocol import Model, Options
from qwencode.repair.localise import Ranking
from qwencode.sandbox.obeyed import obeyed_by_git
from qwencode.tools.toolbox import toolbox
from qwencode.verify.results import Baseline, TestRun
from qwencode.verify.runners import run
from qwencode.verify.verdict import mended


@dataclass(frozen=True, slots=True)
class AgentPart:
    """What the model is set to work on: the goal tests of a baseline, all failing ones or those of one cause.

    `near`: what the search found to come near, a line each. `prefill_speed`: tokens a second that the model reads; 0:
    unknown. By it the first message gets a map of the repository or none.
    """

    goal: str
    ground: Ground
    baseline: Baseline
    ranking: Ranking
    near: Sequence[str] = ()
    think: ThinkingPolicy = on_hard_steps
    prefill_speed: float = 0.0

    def opening(self) -> Generator[Event, None, list[Message]]:
        """Return what every attempt begins with: the system message, and the task with all that is known of it."""
        followed = instructions(self.ground.workspace) if self.ground.follow else Instructions()
        named = mentioned(self.ground.workspace, self.goal)
        yield from followed.notices
        yield from named.notices
        outline = yield from self._outline()
        first = first_message(
            self.ground.workspace,
            task=self.goal,
            files=named.text,
            baseline=self.baseline,
            suspects=self.ranking.suspects,
            instructions=followed.text,
            outline=outline,
            near=self.near,
            elsewhere=sorted(self._others),
        )
        return [system_prompt(), first]

    def work(
        self, model: Model, options: Options, budget: Budget, history: list[Message]
    ) -> Generator[Event, None, Outcome]:
        """Let the model continue a history until it is done or the budget is spent. Raises ModelUnavailable."""
        yield PhaseStarted("agent", "The model works")
        ground = self.ground
        tools = dict(
            toolbox(
                ground.workspace,
                ground.sandbox,
                self._run_tests,
                before=self.baseline.run,
                look=ground.outline.look,
                changed=ground.run.changed,
                protected=ground.protected,
                git_obeys=obeyed_by_git(ground.workspace.root, ()),
            )
        )
        shell = tools["run_shell_command"]  # what it changes is the run's own work
        tools[shell.spec.name] = replace(shell, run=ground.run.working()(shell.run))
        tree = Tree(ground.run.state, ground.run.diff)
        agent = Agent(model, tools, options, budget, think=self.think, check=self._missing, tree=tree)
        return (yield from agent.run(history))

    def _outline(self) -> Generator[Event, None, str]:
        """Draw a map of the repository around what fails, where it is read in little time."""
        if not budget_tokens(self.prefill_speed):
            return ""
        yield PhaseStarted("map", "Drawing a map of the repository")
        outline = self.ground.outline
        yield from outline.refresh()
        suspects = self.ranking.suspects
        tokens = outline.worth(self.prefill_speed, code_shown=bool(suspects))
        tests = [self.baseline.run.results[test] for test in self.baseline.goal]
        return outline.render(tokens, task=self.goal, tests=tests, files=[suspect.file for suspect in suspects])

    @property
    def _others(self) -> frozenset[str]:
        """The tests that fail for other causes, which are not this one's business."""
        return frozenset(replace(self.baseline, only=None).goal) - frozenset(self.baseline.goal)

    def _run_tests(self, tests: tuple[str, ...]) -> TestRun:
        """Run tests. Where all are run, those that fail for other causes are left out, as long as they do."""
        done = run(self.baseline.command, self.ground.sandbox, tests=tests, seconds=TEST_SECONDS)
        if tests or not (others := self._others):
            return done
        shown = {test: result for test, result in done.results.items() if test not in others or not result.bad}
        return replace(done, results=shown)

    def _missing(self) -> str:
        """Run all tests when the model says that it is done, and say what is missing."""
        if not self.baseline.goal:
            return "" if self.ground.run.own() else unchanged()
        after = self._run_tests(())
        before, wanted = self.baseline.run.results, (*self.baseline.goal, *self.baseline.run.passing)
        return still_failing([test for test in wanted if not mended(before[test], after)])
