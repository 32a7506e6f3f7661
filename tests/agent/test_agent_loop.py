"""The loop, driven by scripted models on a real repository: what is appended, in which order, and how it ends."""

import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from qwencode.agent.budget import Budget
from qwencode.agent.loop import REMINDERS, Agent
from qwencode.agent.outcome import Outcome
from qwencode.agent.thinking import Decision, Step, always, never, on_hard_steps
from qwencode.agent.turns import INTERRUPTED, NO_TIME
from qwencode.errors import ModelUnavailable, ToolError
from qwencode.events import (
    CallDelta,
    ContextFilled,
    Event,
    MessageAdded,
    PlanChanged,
    ReplyFinished,
    TextDelta,
    ThinkingDecided,
    ToolFinished,
    ToolStarted,
)
from qwencode.messages import Message, Reply, ToolCall, ToolSpec, Usage
from qwencode.model.protocol import Options
from qwencode.model.scripted import Line, ScriptedModel, call
from qwencode.sandbox.ladder import open_sandbox
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.schema import tool
from qwencode.tools.toolbox import toolbox
from qwencode.workspace import Workspace


def echo(text: str = "nothing") -> ToolResult:
    """Say it again."""
    return ToolResult(text, f"said {text}")


def refuse() -> ToolResult:
    """Refuse."""
    raise ToolError("This cannot be done.\nDo something else.")


def run_tests(selection: str = "") -> ToolResult:
    """Fail."""
    return ToolResult("1 failed", "tests: 1 failed", ok=False)


def plan() -> ToolResult:
    """Plan."""
    return ToolResult("noted", "plan", events=(PlanChanged((("a", "pending"),)),))


def press_ctrl_c() -> ToolResult:
    """Stand for a Ctrl-C while a tool runs."""
    raise KeyboardInterrupt


TOOLS = {made.spec.name: made for made in map(tool, (echo, refuse, run_tests, plan, press_ctrl_c))}


def calls(*names: str, **arguments: object) -> Message:
    return Message(
        "assistant", tool_calls=tuple(ToolCall(f"{n}-{name}", name, arguments) for n, name in enumerate(names))
    )


def agent(lines: Sequence[Line], budget: Budget | None = None, **given: Any) -> Agent:
    return Agent(ScriptedModel(lines), given.pop("tools", TOOLS), Options(), budget or Budget(), **given)


def drive(made: Agent, history: list[Message]) -> tuple[list[Event], Outcome]:
    events: list[Event] = []
    run = made.run(history)
    while True:
        try:
            events.append(next(run))
        except StopIteration as end:
            return events, end.value


def well_formed(history: Sequence[Message]) -> bool:
    """Say whether each call has exactly one answer, at once and in order."""
    waiting: list[str] = []
    for message in history:
        if message.role == "tool":
            if not waiting or message.answers != waiting.pop(0):
                return False
        elif waiting:
            return False
        else:
            waiting = [asked.id for asked in message.tool_calls]
    return not waiting


def user() -> list[Message]:
    return [Message("system", "s"), Message("user", "mend it")]


class TestOrder:
    def test_a_session_from_first_call_to_last_word(self):
        history = user()
        events, outcome = drive(agent([calls("echo", text="hi"), "done"]), history)
        assert [message.role for message in history] == ["system", "user", "assistant", "tool", "assistant"]
        assert history[3] == Message("tool", "hi", answers="0-echo")
        kinds = [type(event) for event in events]
        assert kinds == [
            ThinkingDecided,
            CallDelta,
            CallDelta,
            CallDelta,
            ReplyFinished,
            MessageAdded,
            ContextFilled,
            ToolStarted,
            MessageAdded,
            ToolFinished,
            ThinkingDecided,
            TextDelta,
            ReplyFinished,
            MessageAdded,
            ContextFilled,
        ]
        assert [event.message for event in events if isinstance(event, MessageAdded)] == history[2:]
        assert (outcome.ended, outcome.text, outcome.steps) == ("done", "done", 2)

    def test_several_calls_in_one_reply(self):
        history = user()
        events, _ = drive(agent([calls("echo", "plan", "refuse"), "done"]), history)
        assert [message.content for message in history[3:6]] == [
            "nothing",
            "noted",
            "This cannot be done.\nDo something else.",
        ]
        assert PlanChanged((("a", "pending"),)) in events
        finished = [event for event in events if isinstance(event, ToolFinished)]
        assert [(event.ok, event.summary) for event in finished] == [
            (True, "said nothing"),
            (True, "plan"),
            (False, "refuse: This cannot be done."),
        ]
        assert well_formed(history)

    def test_the_model_is_given_the_whole_history_and_the_tools(self):
        made = agent([calls("echo"), "done"])
        history = user()
        drive(made, history)
        model = made.model
        assert isinstance(model, ScriptedModel)
        assert [len(messages) for messages, _, _ in model.requests] == [2, 4]
        assert [spec.name for spec in model.requests[0][1]] == list(TOOLS)
        assert model.requests[1][0][:2] == model.requests[0][0], "history is append-only"

    def test_it_can_go_on_with_the_same_history(self):
        history = user()
        drive(agent([calls("echo"), "done"]), history)
        history.append(Message("user", "and now?"))
        drive(agent(["yes"]), history)
        assert history[-1].content == "yes" and well_formed(history)

    def test_a_model_that_fails_leaves_the_history_well_formed(self):
        history = user()
        with pytest.raises(ModelUnavailable):
            drive(agent([calls("echo")]), history)
        assert well_formed(history) and len(history) == 4


class TestBadCalls:
    @pytest.mark.parametrize(
        ("made", "said"),
        [
            (ToolCall("1", "rm"), "There is no tool 'rm'. The tools are: echo, refuse, run_tests, plan, press_ctrl_c."),
            (ToolCall("1", "echo", {"txt": "x"}), "echo has no parameter 'txt'. Its parameters are: text."),
            (ToolCall("1", "echo", {"text": 3}), "echo: text must be a text, not 3."),
            (
                ToolCall("1", "echo", {}, "<parameter= is not closed."),
                "The call was not carried out: <parameter= is not",
            ),
            (ToolCall("", "", {}, "no name."), "There is no tool ''."),
        ],
    )
    def test_they_are_answered_and_the_model_goes_on(self, made: ToolCall, said: str):
        history = user()
        events, outcome = drive(agent([Message("assistant", tool_calls=(made,)), "done"]), history)
        assert history[3].content.startswith(said) and history[3].answers == made.id
        assert outcome.ended == "done" and well_formed(history)
        assert [event.ok for event in events if isinstance(event, ToolFinished)] == [False]

    def test_names_that_utf8_cannot_hold_do_not_break_the_history(self):
        def odd() -> ToolResult:
            """Name a file as the system gives it."""
            return ToolResult("bad\udcff.txt", "odd")

        history = user()
        drive(agent([calls("odd"), "done"], tools={"odd": tool(odd)}), history)
        assert history[3].content.encode() == b"bad?.txt"


class TestInterrupts:
    def test_every_place_where_the_reader_may_stop(self):
        lines = [calls("echo", "plan", "echo"), "hm", calls("echo"), "done"]
        total = len(drive(agent(lines, check=iter(["not yet", ""]).__next__), user())[0])
        for stop in range(total + 1):
            history = user()
            run = agent(lines, check=iter(["not yet", ""]).__next__).run(history)
            for _ in range(stop):
                next(run)
            run.close()
            assert well_formed(history), f"after {stop} events"

    def test_ctrl_c_inside_a_tool(self):
        history = user()
        with pytest.raises(KeyboardInterrupt):
            drive(agent([calls("echo", "press_ctrl_c", "echo")]), history)
        assert [message.content for message in history[3:]] == ["nothing", INTERRUPTED, INTERRUPTED]
        assert well_formed(history)

    def test_closing_stops_the_model(self):
        model = Talkative()
        run = Agent(model, TOOLS, Options(), Budget()).run(user())
        for _ in range(5):
            next(run)
        run.close()
        assert model.stopped

    def test_a_history_that_was_cut_off_is_mended_first(self):
        history = [*user(), calls("echo", "echo"), Message("tool", "one", answers="0-echo")]
        events, outcome = drive(agent(["done"]), history)
        assert history[4] == Message("tool", INTERRUPTED, answers="1-echo")
        assert events[0] == MessageAdded(history[4]) and outcome.ended == "done"


class Talkative:
    """A model that never comes to an end by itself."""

    name, context_length, stopped = "talkative", 0, False

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        try:
            while True:
                yield TextDelta("and ")
        finally:
            self.stopped = True

    def close(self) -> None:
        pass


class TestBudgets:
    def test_a_model_that_repeats_itself_for_ever_is_ended_by_steps(self):
        history = user()
        _, outcome = drive(agent([calls("echo")] * 99, Budget(steps=7)), history)
        assert (outcome.ended, outcome.steps, outcome.reason) == ("budget", 7, "All 7 steps are used.")
        assert well_formed(history)

    def test_a_reply_without_end_is_ended_by_the_clock(self):
        model = Talkative()
        history = user()
        _, outcome = drive(Agent(model, TOOLS, Options(), Budget(seconds=0.1)), history)
        assert outcome.ended == "budget" and "time is up" in outcome.reason
        assert model.stopped and len(history) == 2

    def test_calls_after_the_time_is_up_are_answered_and_not_carried_out(self):
        done: list[str] = []

        def slow() -> ToolResult:
            """Take longer than there is time."""
            done.append("once")
            time.sleep(0.3)
            return ToolResult("slow", "slow")

        made = agent([calls("slow", "slow", "slow")], Budget(seconds=0.2), tools={"slow": tool(slow)})
        history = user()
        _, outcome = drive(made, history)
        assert done == ["once"] and outcome.ended == "budget"
        assert [message.content for message in history[3:]] == ["slow", NO_TIME.text, NO_TIME.text]

    def test_tokens_are_counted_without_cached_ones_and_limit_the_next_reply(self):
        reply = Reply(calls("echo"), "tool_calls", Usage(prompt=1000, cached=900, evaluated=100, generated=50))
        made = agent([reply] * 9, Budget(tokens=320))
        _, outcome = drive(made, user())
        assert (outcome.ended, outcome.steps, outcome.reason) == ("budget", 3, "All 320 tokens are used.")
        assert outcome.usage == Usage(3000, 2700, 300, 150)
        assert isinstance(made.model, ScriptedModel)
        assert [options.max_tokens for _, _, options in made.model.requests] == [320, 170, 20]

    def test_zero_is_no_limit(self):
        _, outcome = drive(agent([*[calls("echo")] * 60, "done"], Budget(0, 0, 0)), user())
        assert (outcome.ended, outcome.steps) == ("done", 61)


class TestEndings:
    def test_the_check_sends_it_back_at_most_so_many_times(self):
        history = user()
        _, outcome = drive(agent(["a", "b", "c", "d"], check=lambda: "test_x still fails"), history)
        said = [message.content for message in history if message.role == "user"][1:]
        assert said == ["test_x still fails"] * REMINDERS
        assert (outcome.ended, outcome.reason, outcome.text) == ("unmet", "test_x still fails", "c")

    def test_the_check_is_content_in_the_end(self):
        answers = iter(["not yet", ""])
        _, outcome = drive(agent(["a", calls("echo"), "b"], check=lambda: next(answers)), user())
        assert (outcome.ended, outcome.steps) == ("done", 3)

    def test_an_empty_reply_gets_one_nudge(self):
        history = user()
        _, outcome = drive(agent([Message("assistant", reasoning="hmm"), "done"]), history)
        assert "neither text nor a tool call" in history[3].content and outcome.ended == "done"

    def test_the_second_empty_reply_in_a_row_ends_it(self):
        empty = Message("assistant", reasoning="hmm")
        _, outcome = drive(agent([empty, calls("echo"), empty, empty]), user())
        assert (outcome.ended, outcome.steps) == ("silent", 4)

    def test_a_reply_that_was_cut_off_gets_a_nudge_of_its_own(self):
        history = user()
        cut = Reply(Message("assistant", "so I think that"), "length")
        _, outcome = drive(agent([cut, "done"]), history)
        assert "cut off" in history[3].content and outcome.ended == "done"


class TestThinking:
    def test_on_hard_steps(self):
        made = agent([calls("echo"), calls("run_tests"), calls("echo"), "a", "b"], check=iter(["no", ""]).__next__)
        events, _ = drive(made, user())
        decided = [(event.on, event.reason) for event in events if isinstance(event, ThinkingDecided)]
        assert decided == [
            (True, "the first turn of the task"),
            (False, "a plain step"),
            (True, "the tests still fail after an edit"),
            (False, "a plain step"),
            (True, "the model stopped before the goal was reached"),
        ]
        assert isinstance(made.model, ScriptedModel)
        assert [options.thinking for _, _, options in made.model.requests] == [on for on, _ in decided]

    @pytest.mark.parametrize(("policy", "on"), [(always, True), (never, False)])
    def test_the_users_choice_wins(self, policy: Callable[[Step], Decision], on: bool):
        events, _ = drive(agent([calls("run_tests"), "done"], think=policy), user())
        assert [event.on for event in events if isinstance(event, ThinkingDecided)] == [on, on]

    def test_a_failed_test_run_among_other_calls_counts(self):
        failed = (ToolCall("1", "run_tests"), ToolResult("", "", ok=False))
        fine = (ToolCall("2", "echo"), ToolResult("", ""))
        assert on_hard_steps(Step(3, (failed, fine))).on
        assert not on_hard_steps(Step(3, (fine,))).on


class TestFaultyPolicies:
    """Models that do harm, with the real tools in the real sandbox."""

    @pytest.fixture
    def real(self, repository: Path) -> Any:
        (repository / "tests").mkdir()
        (repository / "tests" / "test_a.py").write_text("def test_a(): assert False\n")
        (repository / "a.py").write_text("x = 1\n")
        workspace = Workspace(repository)
        sandbox = open_sandbox(repository, writable=(), allow_none=True)
        tools = toolbox(workspace, sandbox, None, protected=lambda path: path.startswith("tests/"))
        yield repository, tools, sandbox
        sandbox.close()

    def test_editing_tests_escaping_and_destroying(self, real: tuple[Path, dict[str, Tool], Any], tmp_path: Path):
        root, tools, sandbox = real
        (tmp_path / "precious.txt").write_text("precious")
        lines = [
            call("edit", file_path="tests/test_a.py", old_string="False", new_string="True"),
            call("write_file", file_path="tests/conftest.py", content="collect_ignore = ['test_a.py']"),
            call("write_file", file_path="../escaped.txt", content="x"),
            call("write_file", file_path=f"{tmp_path}/escaped.txt", content="x"),
            call("read_file", file_path="../precious.txt"),
            call("read_file", file_path="/etc/hostname"),
            call("edit", file_path=".git/config", old_string="[core]", new_string="[evil]"),
            call("write_file", file_path=".git/hooks/pre-commit", content="rm -rf ~"),
            *([call("run_shell_command", command=f"rm -rf {tmp_path}/precious.txt .git")] * (sandbox.rung != "none")),
            "I am done.",
        ]
        history = user()
        _, outcome = drive(Agent(ScriptedModel(lines), tools, Options(), Budget()), history)
        assert outcome.ended == "done" and well_formed(history)
        assert (root / "tests" / "test_a.py").read_text() == "def test_a(): assert False\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["precious.txt", "repository"]
        assert (tmp_path / "precious.txt").read_text() == "precious"
        assert not any(message.content == "precious" for message in history)
        status = subprocess.run(
            ["git", "-C", str(root), "status", "--short"], capture_output=True, text=True, check=True
        )
        assert status.stdout.split() == ["??", "a.py", "??", "tests/"]

    def test_a_good_one_mends_the_file(self, real: tuple[Path, dict[str, Tool], Any]):
        root, tools, _ = real
        lines = [
            call("grep_search", pattern="x = "),
            call("read_file", file_path="a.py"),
            call("edit", file_path="a.py", old_string="x = 1", new_string="x = 2"),
            call("run_shell_command", command="cat a.py"),
            "Mended.",
        ]
        history = user()
        drive(Agent(ScriptedModel(lines), tools, Options(), Budget()), history)
        assert (root / "a.py").read_text() == "x = 2\n"
        assert history[-2].content == "Exit code 0.\nOutput:\nx = 2"
