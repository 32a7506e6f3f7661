"""Turns of a conversation: what the model is given, what stays when it is interrupted, what is on disk."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from chat_ground import Held, Someone
from qwencode.errors import ModelUnavailable
from qwencode.events import HistoryRewound, InputOffered, MessageAdded, TextDelta, ToolStarted, TurnEnded, TurnStarted
from qwencode.jobs.chat.talk import folded
from qwencode.messages import Message, Reply, Usage
from qwencode.model.protocol import Model
from qwencode.model.scripted import ScriptedModel, call
from qwencode.session import read
from qwencode.sessions import load
from qwencode.settings import Settings

Talking = Callable[..., Held]


def test_a_question_and_another(talking: Talking):
    held = talking("Two.", "Three.")
    held.say("How many files?")
    held.say("And folders?")
    roles = [role for role, _ in held.talked]
    assert roles == ["system", "user", "assistant", "user", "assistant"]
    assert held.talked[1:] == [
        ("user", "How many files?"),
        ("assistant", "Two."),
        ("user", "And folders?"),
        ("assistant", "Three."),
    ]
    assert [(event.number, event.text) for event in held.of(TurnStarted)] == [
        (1, "How many files?"),
        (2, "And folders?"),
    ]
    assert [event.reason for event in held.of(TurnEnded)] == ["answered", "answered"]
    model = held.model
    assert isinstance(model, ScriptedModel)
    (first, tools, _), (second, again, _) = model.requests
    assert second[: len(first)] == first and tools == again


def test_a_file_is_made_and_kept(talking: Talking, repository: Path):
    person = Someone()
    held = talking(call("write_file", file_path="a.txt", content="one\n"), "Made it.", person=person)
    held.say("Make a.txt")
    assert (repository / "a.txt").read_text() == "one\n"
    (ended,) = held.of(TurnEnded)
    assert ended.files == ("a.txt",)
    assert person.asked[0].what == "Create a.txt" and "+one" in person.asked[0].diff


class Counting(ScriptedModel):
    """Takes as many tokens as it is told to have taken."""

    context_length = 1_000


def counted(line: str | Message, tokens: int) -> Reply:
    message = Message("assistant", line) if isinstance(line, str) else line
    return Reply(message, "tool_calls" if message.tool_calls else "stop", Usage(tokens, 0, tokens, 10))


PLAN = call("todo_write", items=["[x] find it", "[ ] mend it"])


def test_what_was_counted_and_planned_in_one_turn_is_known_in_the_next(talking: Talking):
    lines = [counted(PLAN, 300), counted("One.", 900), counted("We counted.", 950), counted("Two.", 400)]
    held = talking(model=Counting(lines))
    held.say("a")
    assert not held.of(HistoryRewound)
    held.say("b")  # by their length alone, the messages would have had room
    assert [event.length for event in held.of(HistoryRewound)] == [2]
    shortened = held.talked[3][1]
    assert "We counted." in shortened and "[x] find it" in shortened and "[ ] mend it" in shortened
    assert held.talked[-1] == ("assistant", "Two.")


def test_the_plan_goes_back_with_the_turn_that_made_it(talking: Talking):
    lines = [counted("One.", 100), counted(PLAN, 200), counted("Planned.", 300)]
    held = talking(model=Counting(lines))
    for line in ("a", "b"):
        held.say(line)
    planned = held.chat.talk.known
    assert planned.plan and planned.tokens == 310
    held.say("/undo")
    assert held.chat.talk.known.plan == ()
    held.say("/redo")
    assert held.chat.talk.known.plan == (("find it", "done"), ("mend it", "pending"))
    recording = held.chat.recording
    assert recording.path and folded(load(recording.path).events).known == held.chat.talk.known


def test_interrupted_in_a_reply(talking: Talking):
    held = talking("It is a long story.", "Well.")
    held.say("Tell me", stop_at=lambda event: isinstance(event, TextDelta))
    assert held.talked[-1] == ("assistant", "It is a long story.")
    assert held.of(TurnEnded)[-1].reason == "interrupted"
    assert "What there is of the reply is kept." in held.notices()
    held.say("Go on")
    assert held.talked[-2] == ("user", "(The reply before this was interrupted by the user.)\n\nGo on")


def test_interrupted_in_a_tool(talking: Talking):
    held = talking(call("read_file", file_path="README.md"), "Well.")
    held.say("Read", stop_at=lambda event: isinstance(event, ToolStarted))
    assert held.talked[-1] == ("tool", "Interrupted by the user.")
    assert [event.message for event in held.of(MessageAdded)] == held.chat.talk.history
    held.say("Go on")
    assert held.talked[-2:] == [("user", "Go on"), ("assistant", "Well.")]


def test_what_is_on_disk_is_the_conversation(talking: Talking):
    held = talking("One.", "Two.")
    assert held.chat.recording.path is None
    held.say("a")
    held.say("b", stop_at=lambda event: isinstance(event, TextDelta))
    path = held.chat.recording.path
    assert path is not None
    told = [event.message for event in read(path) if isinstance(event, MessageAdded)]
    assert told == held.chat.talk.history


def test_ten_thousand_lines_are_cut_and_that_is_said(talking: Talking):
    held = talking("I see.")
    held.say("\n".join(f"line {n}" for n in range(10_000)))
    assert "the model reads its begin and end" in held.notices()
    assert len(held.talked[1][1]) < 61_000 and held.talked[1][1].endswith("line 9999")


def test_a_model_that_cannot_be_loaded_gives_the_words_back(talking: Talking):
    held = talking()
    held.chat.model = None

    def gone(name: str, chosen: object) -> Model:
        raise ModelUnavailable("The model is gone.")

    held.chat.parts = replace(held.chat.parts, open_model=gone)
    held.say("Hello?")
    assert "The model is gone." in held.notices() and not held.chat.talk.turns
    assert [event.text for event in held.of(InputOffered)] == ["Hello?"]


def test_a_model_that_fails_in_a_turn_ends_it(talking: Talking):
    held = talking()  # the script has no line
    held.say("Hello?")
    assert held.of(TurnEnded)[-1].reason.startswith("The script has no line left") and held.chat.trouble
    assert held.talked[-1] == ("user", "Hello?")


def test_a_turn_that_comes_to_the_limit_says_how_to_go_on(talking: Talking, repository: Path):
    (repository / "a.txt").write_text("1\n")
    held = talking(*[call("read_file", file_path="a.txt")] * 3, settings=Settings(max_steps=2))
    held.say("Read")
    assert "All 2 steps are used. Say `go on` to continue." in held.notices()


def test_events_of_a_ctrl_c_go_on_to_the_end(talking: Talking):
    """Wherever it comes, the turn is closed, and what was told is what is."""
    for number in range(9):
        held = talking("One.", "Two.", session=f"s{number}")
        count = 0

        def nth(event: object, wanted: int = number) -> bool:
            nonlocal count
            count += 1
            return count == wanted + 1

        held.say("a", stop_at=nth)
        assert all(turn.reason for turn in held.chat.talk.turns)
        assert [event.message for event in held.of(MessageAdded)] == held.chat.talk.history
        held.say("b")
        assert held.talked[-1][0] == "assistant"


def test_a_long_look_around_is_not_told_to_edit(talking: Talking, repository: Path):
    for number in range(20):
        (repository / f"{number}.txt").write_text(f"{number}\n")
    held = talking(*[call("read_file", file_path=f"{number}.txt") for number in range(20)], "Twenty files.")
    held.say("What is here?")
    assert held.talked[-1] == ("assistant", "Twenty files.")
    assert [text for role, text in held.talked if role == "user"] == ["What is here?"]
