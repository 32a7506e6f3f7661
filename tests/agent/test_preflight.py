"""A call that is stopped while it is being written: when, what is left of the reply, and never one that would work."""

import json
import shutil
import subprocess
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.agent.budget import Budget
from qwencode.agent.loop import Agent
from qwencode.agent.preflight import watched
from qwencode.events import (
    CallDelta,
    Event,
    MessageAdded,
    PrefillProgress,
    ReplyFinished,
    TextDelta,
    ThinkingDelta,
    ToolFinished,
)
from qwencode.messages import Message, Reply, ToolCall, ToolSpec, Usage
from qwencode.model.dialect.qwen import Parser
from qwencode.model.openai_wire import Assembly
from qwencode.model.protocol import CallRefused, Options
from qwencode.model.replay import ReplayModel
from qwencode.model.scripted import Line, ScriptedModel, call, deltas
from qwencode.tools.calls import carry_out
from qwencode.tools.edit import KEPT
from qwencode.tools.protocol import Tool, ToolResult
from qwencode.tools.schema import tool
from qwencode.tools.toolbox import toolbox
from qwencode.workspace import Workspace
from replies import drive

CODE = "def f(x):\n    if x:\n        return 1\n    return 2\n"
WRONG = {"file_path": "a.py", "old_string": "return 3", "new_string": "return 4"}
RIGHT = {"file_path": "a.py", "old_string": "return 2", "new_string": "return 4"}
Ask = Callable[..., tuple[Reply, list[Event]]]


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with two sources; tests change it only in ways that do not matter to the others."""
    root = tmp_path_factory.mktemp("preflight")
    subprocess.run(["git", "init", "-q", "--template=", str(root)], check=True)
    (root / "tests").mkdir()
    for name in ("a.py", "b.py", "tests/test_a.py"):
        (root / name).write_text(CODE)
    (root / "link.py").symlink_to("a.py")
    (root / "data.bin").write_bytes(b"\0\1")
    return root


@pytest.fixture
def tools(ground: Path) -> dict[str, Tool]:
    return tools_of(ground)


def tools_of(root: Path) -> dict[str, Tool]:
    return dict(toolbox(Workspace(root), cast(Any, None), None, protected=lambda path: path.startswith("tests/")))


def say(*calls: tuple[str, dict[str, Any]], **parts: str) -> Message:
    made = tuple(ToolCall(f"c{number}", name, arguments) for number, (name, arguments) in enumerate(calls))
    return Message("assistant", parts.get("content", ""), parts.get("reasoning", ""), made)


def answer_to(name: str, arguments: dict[str, Any], tools: dict[str, Tool]) -> str:
    """Return what a whole call is answered; its new text was written, so it is kept."""
    return carry_out(tools, ToolCall("1", name, arguments)).text.removesuffix(KEPT)


def ask(tools: dict[str, Tool], message: Message) -> tuple[Reply, list[Event]]:
    return drive(watched(ScriptedModel([message]).stream([], [], Options()), tools))


def test_an_edit_that_cannot_match_stops_before_its_new_text(tools: dict[str, Tool]):
    model = ScriptedModel([say(("edit", WRONG), ("todo_write", {"items": ["x"]}), content="So.", reasoning="Hm.")])
    reply, events = drive(watched(model.stream([], [], Options()), tools))
    assert reply.finish == "refused"
    assert events[-1] == CallDelta("edit", "new_string")
    assert (reply.message.content, reply.message.reasoning) == ("So.", "Hm.")
    (cut,) = reply.message.tool_calls
    assert cut.arguments == {"file_path": "a.py", "old_string": "return 3"}
    assert cut.refused and "old_string is not in a.py. The first difference is in line 3" in cut.problem
    answer = carry_out(tools, cut)
    assert (answer.text, answer.ok) == (cut.problem, False)
    assert answer.text == answer_to("edit", WRONG, tools)
    characters = len("So.Hm.a.pyreturn 3")
    assert reply.usage == Usage(generated=-(-characters // 4))


@pytest.mark.parametrize(
    ("name", "arguments", "complete", "said"),
    [
        ("edit", {**WRONG, "file_path": "tests/test_a.py"}, 1, "stay as they are"),
        ("edit", {**WRONG, "file_path": "c.py"}, 1, "c.py does not exist. Did you mean: "),
        ("edit", {**WRONG, "file_path": "data.bin"}, 1, "data.bin is a binary file"),
        ("edit", {**WRONG, "file_path": "../x"}, 1, "is outside the repository"),
        ("edit", {**WRONG, "old_string": ""}, 2, "old_string is empty"),
        ("edit", {"old_string": "return 3", "file_path": "a.py", "new_string": ""}, 2, "old_string is not in a.py"),
        ("edit", {"replace_all": True, **WRONG}, 3, "old_string is not in a.py"),
        ("write_file", {"file_path": "a.py", "content": "x"}, 1, "a.py exists already and was not overwritten"),
        ("write_file", {"file_path": "tests", "content": "x"}, 1, "tests is a directory"),
        ("write_file", {"file_path": "tests/new.py", "content": "x"}, 1, "stay as they are"),
        ("write_file", {"file_path": ".git/config", "content": "x"}, 1, "belongs to git itself"),
        ("write_file", {"file_path": "a\0b", "content": "x"}, 1, "holds a NUL"),
    ],
)
def test_refused(tools: dict[str, Tool], name: str, arguments: dict[str, Any], complete: int, said: str):
    reply, _ = ask(tools, say((name, arguments)))
    (cut,) = reply.message.tool_calls
    assert list(cut.arguments) == list(arguments)[:complete]
    assert said in cut.problem
    assert answer_to(name, arguments, tools) == cut.problem


@pytest.mark.parametrize(
    "calls",
    [
        [("edit", RIGHT)],
        [("edit", {**RIGHT, "old_string": "return", "replace_all": True})],  # ambiguous, until the last parameter
        [("edit", {**RIGHT, "old_string": "if x:\n    return 1", "new_string": "if x:\n    return 5"})],  # shifted
        [("edit", {**RIGHT, "old_string": "if x: \r\n        return 1"})],
        [("edit", RIGHT), ("edit", {**WRONG, "old_string": "return 4"})],  # the first one makes it true
        [("edit", RIGHT), ("edit", {**WRONG, "file_path": "./link.py"})],
        [("edit", {**RIGHT, "file_path": "link.py"}), ("edit", WRONG)],
        [("write_file", {"file_path": "c.py", "content": "return 3"}), ("edit", {**WRONG, "file_path": "c.py"})],
        [("run_shell_command", {"command": "sed -i s/2/3/ a.py"}), ("edit", WRONG)],
        [("nothing", {}), ("edit", WRONG)],
        [("read_file", {}), ("edit", WRONG)],  # parameters are missing: perhaps they were not shown
        [("read_file", {"file_path": "x</parameter>y"}), ("edit", WRONG)],
        [("edit", {**WRONG, "old_string": "return 2\n</parameter>\nstray"})],
        [("edit", {"file_path": "a.py"})],  # whole already
        [("edit", {"new_string": "return 4", "old_string": "return 3", "file_path": "a.py"})],
        [("edit", {"old_string": "return 3", "new_string": "return 4", "file_path": "a.py"})],
        [("write_file", {"content": "x", "file_path": "a.py"})],
        [("write_file", {"file_path": "new/c.py", "content": "x"})],
        [("edit", {"path": "a.py", "old_string": "return 3", "new_string": ""})],
        [("todo_write", {"items": ["a"], "more": "b"})],
    ],
)
def test_goes_on(tools: dict[str, Tool], calls: list[tuple[str, dict[str, Any]]]):
    message = say(*calls)
    reply, events = ask(tools, message)
    assert reply == Reply(message, "tool_calls")
    assert events == list(deltas(message))


def test_calls_before_are_kept_and_named_on(tools: dict[str, Tool]):
    first = ("edit", {**RIGHT, "file_path": "b.py", "replace_all": True})
    look = ("read_file", {"file_path": "a.py", "offset": 2})
    model = ScriptedModel([say(first, look, ("edit", WRONG))])
    history = [call("todo_write", items=[]), Message("tool", "ok")]
    reply, _ = drive(watched(model.stream(history, [], Options()), tools, history))
    assert [one.id for one in reply.message.tool_calls] == ["call-2", "call-3", "call-4"]
    assert [(one.name, one.arguments) for one in reply.message.tool_calls[:2]] == [first, look]
    assert [one.refused for one in reply.message.tool_calls] == [False, False, True]
    assert reply.message == Message.from_dict(json.loads(json.dumps(reply.message.to_dict())))


def test_text_after_a_call_may_be_a_part_of_it(tools: dict[str, Tool]):
    def stream() -> Generator[Event, None, Reply]:
        yield from deltas(say(("read_file", {"file_path": "a.py"})))
        yield TextDelta("b</parameter>")
        yield from deltas(say(("edit", WRONG)))
        return Reply(say(), "stop")

    assert drive(watched(stream(), tools))[0].finish == "stop"


def test_a_tool_that_does_not_say_what_it_changes(tools: dict[str, Tool]):
    """It is asked as long as nothing has changed; after it, or after an edit, nothing is certain."""

    def tag(name: str, text: str = "") -> ToolResult:
        """Tag."""
        return ToolResult(name, name)

    tools["tag"] = tool(tag, preflight=lambda given: "No." if given.get("name") == "bad" else "")
    bad = ("tag", {"name": "bad", "text": "x"})
    assert ask(tools, say(bad))[0].message.tool_calls[0].problem == "No."
    assert ask(tools, say(("read_file", {"file_path": "a.py"}), bad))[0].finish == "refused"
    assert ask(tools, say(("edit", RIGHT), bad))[0].finish == "tool_calls"
    assert ask(tools, say(("tag", {"name": "good"}), ("edit", WRONG)))[0].finish == "tool_calls"


def test_a_model_that_knows_how_ends_the_reply_itself(tools: dict[str, Tool]):
    known = Usage(prompt=10, cached=8, evaluated=2, generated=7)

    def stream() -> Generator[Event, None, Reply]:
        yield PrefillProgress(10, 10, 8)
        try:
            yield from deltas(say(("edit", WRONG)))
        except CallRefused as refused:
            yield TextDelta("…")
            return Reply(refused.message, "refused", known, 3)
        raise AssertionError("it goes on")

    reply, events = drive(watched(stream(), tools))
    assert (reply.usage, reply.seed, events[-1]) == (known, 3, TextDelta("…"))


def test_the_prompt_is_counted_as_far_as_it_was_told(tools: dict[str, Tool]):
    def stream() -> Generator[Event, None, Reply]:
        yield PrefillProgress(90, 100, 60)
        yield ThinkingDelta("x" * 15)
        yield from deltas(say(("edit", {**WRONG, "file_path": "c"})))
        raise AssertionError("it goes on")

    assert drive(watched(stream(), tools))[0].usage == Usage(prompt=100, cached=60, evaluated=40, generated=4)


def test_closing_closes_the_model(tools: dict[str, Tool]):
    ended: list[str] = []

    def stream() -> Generator[Event, None, Reply]:
        try:
            yield from deltas(say(("edit", RIGHT)))
            return Reply(say(), "stop")
        finally:
            ended.append("closed")

    reply = watched(stream(), tools)
    next(reply)
    reply.close()
    assert ended == ["closed"]
    drive(watched(stream(), tools))
    assert ended == ["closed", "closed"]


def test_a_recorded_reply_is_said_again_to_its_end(tools: dict[str, Tool]):
    whole, cut = say(("edit", WRONG)), ask(tools, say(("edit", WRONG)))[0].message
    for message, finish in ((whole, "tool_calls"), (cut, "refused")):
        model = ReplayModel([ReplyFinished(finish, Usage(generated=9)), MessageAdded(message)])
        reply, _ = drive(watched(model.stream([], [], Options()), tools))
        assert reply == Reply(message, cast(Any, finish), Usage(generated=9))


class Watched(ScriptedModel):
    """A scripted model of which the loop sees only what passes."""

    def __init__(self, lines: Sequence[Line], tools: dict[str, Tool]):
        super().__init__(lines)
        self.watching = tools

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        return (yield from watched(super().stream(history, tools, options), self.watching, history))


def test_the_loop_answers_with_the_plain_refusal_and_goes_on(ground: Path, tmp_path: Path):
    tools = tools_of(shutil.copytree(ground, tmp_path / "work", symlinks=True))
    lines = [say(("edit", WRONG), ("todo_write", {"items": ["x"]})), say(("edit", RIGHT)), "Done."]
    history = [Message("user", "Go.")]
    events = list(Agent(Watched(lines, tools), tools, Options(), Budget()).run(history))
    assert [message.role for message in history] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert history[2].content.startswith("old_string is not in a.py. The first difference is in line 3")
    assert [event.finish for event in events if isinstance(event, ReplyFinished)] == ["refused", "tool_calls", "stop"]
    assert [(event.ok, event.summary[:30]) for event in events if isinstance(event, ToolFinished)] == [
        (False, "edit: old_string is not in a.p"),
        (True, "edited a.py, line 4"),
    ]
    assert "return 4" in (tmp_path / "work" / "a.py").read_text()


# What the real producers of call deltas make of any reply, cut into any pieces.

STRINGS = st.sampled_from(
    ["a.py", "b.py", "link.py", "c.py", "return 1", "return 2", "return 3", "return", "if x:\nreturn 1",
     "if x:\n    return 1", "return 2\n", "", "</parameter>", "x\n</parameter>\ny", "<parameter=new_string>\nx",
     "</tool_call>", "é<b>", "None"]
)  # fmt: skip
NAMES = st.sampled_from(
    ["file_path", "file_path", "old_string", "old_string", "new_string", "replace_all", "content", "x"]
)
ARGUMENTS = st.one_of(
    st.fixed_dictionaries(
        {"file_path": STRINGS, "old_string": STRINGS, "new_string": STRINGS}, optional={"replace_all": st.booleans()}
    ),
    st.dictionaries(NAMES, STRINGS, max_size=4),
)
CALLS = st.lists(st.tuples(st.sampled_from(["edit", "edit", "write_file", "read_file"]), ARGUMENTS), max_size=3)
CUTS = st.lists(st.integers(1, 40), max_size=60)


def spelled(calls: Sequence[tuple[str, dict[str, Any]]], closer: str) -> str:
    blocks = []
    for name, arguments in calls:
        values = "".join(f"<parameter={key}>\n{value}\n{closer}\n" for key, value in arguments.items())
        blocks.append(f"<tool_call>\n<function={name}>\n{values}</function>\n</tool_call>")
    return "\n".join(blocks)


def pieces(text: str, cuts: Sequence[int]) -> list[str]:
    found: list[str] = []
    for size in cuts:
        found.append(text[:size])
        text = text[size:]
    return [*found, text]


def parsed(text: str, cuts: Sequence[int], tools: dict[str, Tool]) -> Generator[Event, None, Reply]:
    parser = Parser([tool.spec for tool in tools.values()], thinking=False)
    for piece in pieces(text, cuts):
        yield from parser.feed(piece)
    yield from parser.drain()
    return Reply(parser.finish(), "stop")


def assembled(
    calls: Sequence[tuple[str, dict[str, Any]]], cuts: Sequence[int], tools: dict[str, Tool], interleaved: bool
) -> Generator[Event, None, Reply]:
    assembly = Assembly([tool.spec for tool in tools.values()], 1, frozenset())
    texts = [pieces(json.dumps(arguments), cuts) for _, arguments in calls]
    order = [(row, index) for index in range(len(calls)) for row in range(len(texts[index]))]
    for row, index in sorted(order) if interleaved else order:
        function = {"name": calls[index][0], "arguments": texts[index][row]}
        fragment = {"index": index, "id": f"own-{index}", "function": function}
        yield from assembly.add({"choices": [{"delta": {"tool_calls": [fragment]}}]})
    yield from assembly.drain()
    assembly.finish_reason = "stop"
    return assembly.reply()


def never_too_early(root: Path, make: Callable[[dict[str, Tool]], Generator[Event, None, Reply]]) -> None:
    """A watched reply is the reply, or its beginning up to a call that fails when all is carried out in order."""
    fresh = root.parent / "work"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(root, fresh, symlinks=True)
    tools = tools_of(fresh)
    whole, _ = drive(make(tools))
    seen, _ = drive(watched(make(tools), tools))
    if seen.finish != "refused":
        assert (seen.message, seen.finish) == (whole.message, whole.finish)
        return
    *before, cut = seen.message.tool_calls
    expected = whole.message.tool_calls
    assert [(one.name, one.arguments, one.problem) for one in before] == [
        (one.name, one.arguments, one.problem) for one in expected[: len(before)]
    ]
    full = expected[len(before)]
    assert full.name == cut.name
    for name, value in cut.arguments.items():
        again = f"The parameter {name} was given twice" in full.problem  # then it is the first of the values there
        assert str(full.arguments[name]).startswith(str(value)) if again else full.arguments[name] == value
    results = [carry_out(tools, one) for one in expected[: len(before) + 1]]
    assert not results[-1].ok
    if full.problem or "new_string stands in the file already" in results[-1].text:
        return
    if any(one.name == "write_file" for one in before) and "does not exist" in cut.problem:
        assert "does not exist" in results[-1].text  # a file that was made since may be the one that is meant
    else:
        assert results[-1].text.removesuffix(KEPT) == cut.problem.removesuffix(KEPT)


def test_a_new_text_that_is_the_old_one_is_refused_in_the_same_words(ground: Path):
    twice: list[tuple[str, dict[str, Any]]] = [
        ("edit", {"file_path": "a.py", "new_string": "no such", "old_string": "no such", "replace_all": False})
    ]
    never_too_early(ground, lambda tools: parsed(spelled(twice, "</parameter>"), [], tools))


@settings(deadline=None, max_examples=60)
@given(calls=CALLS, cuts=CUTS, closer=st.sampled_from(["</parameter>", "</parameter>", "</parameter></parameter>", ""]))
def test_the_parser_s_replies(ground: Path, calls: list[tuple[str, dict[str, Any]]], cuts: list[int], closer: str):
    never_too_early(ground, lambda tools: parsed(spelled(calls, closer), cuts, tools))


@settings(deadline=None, max_examples=60)
@given(calls=CALLS, cuts=CUTS, interleaved=st.booleans())
def test_a_server_s_replies(ground: Path, calls: list[tuple[str, dict[str, Any]]], cuts: list[int], interleaved: bool):
    never_too_early(ground, lambda tools: assembled(calls, cuts, tools, interleaved))


def test_both_producers_are_stopped_where_the_new_text_begins(tools: dict[str, Tool]):
    made: list[Generator[Event, None, Reply]] = [
        parsed(spelled([("edit", WRONG)], "</parameter>"), [5] * 80, tools),
        assembled([("edit", WRONG)], [5] * 80, tools, False),
    ]
    for stream in made:
        reply, events = drive(watched(stream, tools))
        assert reply.finish == "refused"
        assert events[-1] == CallDelta("edit", "new_string")
        assert reply.message.tool_calls[0].arguments == {"file_path": "a.py", "old_string": "return 3"}
