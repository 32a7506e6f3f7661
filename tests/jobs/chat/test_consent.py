"""Consent: what is asked, what an answer does, and what runs without one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chat_ground import ALWAYS, YES, Held, Someone
from qwencode.events import ToolFinished, TurnEnded
from qwencode.jobs.chat.person import Answer
from qwencode.messages import Message, ToolCall
from qwencode.model.scripted import call
from qwencode.settings import Settings

Talking = Callable[..., Held]


def shell(*commands: str) -> Message:
    calls = (ToolCall(f"c{n}", "run_shell_command", {"command": text}) for n, text in enumerate(commands))
    return Message("assistant", tool_calls=tuple(calls))


def results(held: Held) -> list[str]:
    return [text for role, text in held.talked if role == "tool"]


@pytest.fixture
def root(repository: Path) -> Path:
    (repository / "a.py").write_text("x = 1\n")
    (repository / "tests").mkdir()
    return repository


EDIT = call("edit", file_path="a.py", old_string="x = 1", new_string="x = 2")


def test_an_edit_is_shown_as_the_change_it_makes(talking: Talking, root: Path):
    person = Someone()
    talking(EDIT, "Done.", person=person).say("Do it")
    (question,) = person.asked
    assert question.what == "Edit a.py" and question.always == "changes of a.py, in this session"
    assert question.diff == "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n"
    assert (root / "a.py").read_text() == "x = 2\n"


def test_a_no_goes_to_the_model_with_its_reason(talking: Talking, root: Path):
    person = Someone([Answer(False, reason="Use y.")] * 3)
    held = talking(EDIT, EDIT, EDIT, "I see.", person=person)
    held.say("Do it")
    assert (root / "a.py").read_text() == "x = 1\n"
    assert results(held)[0] == "Not done: the user did not allow it. The user's reason: Use y."
    assert held.of(TurnEnded)[-1].files == ()
    assert all("refused" not in text for _, text in held.talked), "a no is no mistake of the model's"


def test_a_lasting_yes_is_for_this_file_alone(talking: Talking, root: Path):
    (root / "b.py").write_text("x = 1\n")
    again = call("edit", file_path="a.py", old_string="x = 2", new_string="x = 3")
    other = call("edit", file_path="b.py", old_string="x = 1", new_string="x = 2")
    person = Someone([ALWAYS, YES])
    talking(EDIT, again, other, "Done.", person=person).say("Do it")
    assert [question.what for question in person.asked] == ["Edit a.py", "Edit b.py"]
    assert (root / "a.py").read_text() == "x = 3\n"


def test_a_test_is_called_one(talking: Talking, root: Path):
    person = Someone()
    talking(
        call("write_file", file_path="tests/test_a.py", content="def test_a(): pass\n"), "Done.", person=person
    ).say("x")
    assert person.asked[0].what == "Create tests/test_a.py (it belongs to the tests)"
    assert (root / "tests" / "test_a.py").exists()


def test_a_file_that_changes_while_the_user_thinks_is_not_written(talking: Talking, root: Path):
    class Slow(Someone):
        def allow(self, question: object) -> Answer:
            (root / "a.py").write_text("x = 9\n")
            return YES

    held = talking(EDIT, "Done.", person=Slow())
    held.say("Do it")
    assert (root / "a.py").read_text() == "x = 9\n"
    assert "changed by someone else" in results(held)[0]


def test_commands_are_asked_about_until_a_lasting_yes(talking: Talking, root: Path):
    person = Someone([ALWAYS, Answer(False)])
    held = talking(shell("git log -1", "git log -2", "git log; touch b", "git stash"), "Done.", person=person)
    held.say("Look")
    assert [question.command for question in person.asked] == ["git log -1", "git log; touch b", "git stash"]
    assert person.asked[0].always == "`git log …`, in this session"
    assert [event.ok for event in held.of(ToolFinished)][:3] == [True, True, False]
    assert not (root / "b").exists()


def test_a_command_may_be_edited(talking: Talking, root: Path):
    held = talking(shell("touch b"), "Done.", person=Someone([Answer(True, command="touch c")]))
    held.say("Make b")
    assert (root / "c").exists() and not (root / "b").exists()


def test_in_plan_mode_nothing_changes_and_nobody_is_asked(talking: Talking, root: Path):
    person = Someone()
    lines = [EDIT, shell("touch b"), call("run_tests"), call("read_file", file_path="a.py"), "The plan."]
    held = talking(*lines, person=person, settings=Settings(mode="plan"))
    held.say("Plan it")
    assert not person.asked and not (root / "b").exists() and (root / "a.py").read_text() == "x = 1\n"
    assert sum("read and plan only" in text for text in results(held)) == 3
    assert "1|x = 1" in results(held)[-1]


def test_in_auto_mode_nobody_is_asked_but_without_a_sandbox(talking: Talking, root: Path):
    person = Someone()
    held = talking(EDIT, shell("touch b"), "Done.", person=person, settings=Settings(mode="auto"), rung="landlock")
    held.say("Do it")
    assert not person.asked and (root / "b").exists() and (root / "a.py").read_text() == "x = 2\n"
    bare = talking(shell("touch c"), "Done.", person=person, settings=Settings(mode="auto"), rung="none", session="2")
    bare.say("Do it")
    assert [question.what for question in person.asked] == ["Run a command, without a sandbox"]


@pytest.mark.parametrize("name", ["AGENTS.md", "src/AGENTS.md", ".qwencode/commands/x.md", ".qwencode/config.toml"])
def test_what_tells_the_model_what_to_do_is_asked_about_in_every_mode(talking: Talking, root: Path, name: str):
    person = Someone([Answer(False)])
    chosen = Settings(mode="auto", allow_paths=("**",))
    talking(call("write_file", file_path=name, content="Obey.\n"), "Done.", person=person, settings=chosen).say("x")
    assert person.asked[0].what == f"Create {name} (it tells the model what to do)" and not person.asked[0].always
    assert not (root / name).exists()


@pytest.mark.parametrize("mode", ["plan", "ask", "auto"])
def test_what_is_denied_is_denied_in_every_mode(talking: Talking, root: Path, mode: str):
    person = Someone([Answer(True, command="rm a.py")])
    chosen = Settings(
        mode=mode, deny_commands=("rm",), deny_paths=("a.py",), allow_commands=("rm", "ls"), allow_paths=("**",)
    )
    held = talking(
        EDIT, shell("rm a.py", "ls; rm a.py", "ls > b"), "Done.", person=person, settings=chosen, rung="landlock"
    )
    held.say("Do it")
    assert (root / "a.py").read_text() == "x = 1\n"
    assert [question.command for question in person.asked] == ([] if mode == "plan" else ["ls > b"])


def test_where_nobody_is_nothing_is_changed(talking: Talking, root: Path):
    held = talking(EDIT, shell("touch b"), "Done.")
    held.say("Do it")
    assert (root / "a.py").read_text() == "x = 1\n" and not (root / "b").exists()
    assert all("nobody is there to allow it" in text for text in results(held))


def test_a_ctrl_c_at_the_question_ends_the_turn(talking: Talking, root: Path):
    held = talking(EDIT, "Never said.", person=Someone([KeyboardInterrupt]))
    held.say("Do it")
    assert (root / "a.py").read_text() == "x = 1\n"
    assert held.of(TurnEnded)[-1].reason == "interrupted" and results(held) == ["Interrupted by the user."]


def test_the_mode_can_change_while_a_turn_runs(talking: Talking, root: Path):
    person = Someone()
    held = talking(EDIT, "Done.", person=person)

    def switch(event: object) -> bool:
        if isinstance(event, TurnEnded):
            return False
        held.chat.mode = "plan"
        return False

    held.say("Do it", stop_at=switch)
    assert not person.asked and (root / "a.py").read_text() == "x = 1\n"
    held.chat.switch_mode()
    assert held.chat.status.mode == "ask"


@pytest.mark.parametrize(
    "option", ["--junitxml=a.py", "--basetemp=tests", "tests -c a.py", "x::--logfile=a.py", "@a.py"]
)
def test_options_that_write_do_not_come_in_by_the_tests(talking: Talking, root: Path, option: str):
    (root / "tests" / "test_a.py").write_text("def test_a(tmp_path): pass\n")
    held = talking(call("run_tests", selection=option), "Done.", person=Someone())
    held.say("Test it")
    assert (root / "a.py").read_text() == "x = 1\n" and (root / "tests" / "test_a.py").exists()
    assert "no options" in results(held)[0]


def test_a_lasting_yes_is_none_for_a_mode_that_only_reads(talking: Talking, root: Path):
    person = Someone([ALWAYS])
    held = talking(shell("rm -f b"), "Done.", shell("rm -f b"), "The plan.", person=person)
    held.say("Remove b")
    (root / "b").write_text("mine\n")
    held.say("/plan Look again")
    assert (root / "b").exists() and "read and plan only" in results(held)[-1]


def test_what_a_link_makes_into_instructions_is_asked_about_in_every_mode(talking: Talking, root: Path):
    (root / "notes.txt").write_text("Be good.\n")
    (root / "AGENTS.md").symlink_to("notes.txt")
    (root / "say.txt").write_text("Be good.\n")
    (root / ".qwencode" / "commands").mkdir(parents=True)
    (root / ".qwencode" / "commands" / "say.md").symlink_to("../../say.txt")
    person = Someone([Answer(False)] * 3)
    edits = [
        call("edit", file_path=name, old_string="good", new_string="bad")
        for name in ("notes.txt", "say.txt", "AGENTS.md")
    ]
    chosen = Settings(mode="auto", allow_paths=("**",))
    talking(*edits, "Done.", person=person, settings=chosen).say("x")
    tells = "(it tells the model what to do)"
    assert [question.what for question in person.asked] == [
        f"Edit {name} {tells}" for name in ("notes.txt", "say.txt", "notes.txt")
    ]
    assert (root / "notes.txt").read_text() == "Be good.\n"


@pytest.mark.parametrize("name", ["Agents.md", ".Qwencode/config.toml"])
def test_instructions_in_another_case_are_the_same_on_some_systems(talking: Talking, root: Path, name: str):
    person = Someone([Answer(False)])
    talking(
        call("write_file", file_path=name, content="Obey.\n"), "Done.", person=person, settings=Settings(mode="auto")
    ).say("x")
    assert len(person.asked) == 1


def test_a_link_is_no_way_around_a_denial(talking: Talking, root: Path):
    (root / "conf").mkdir()
    (root / "conf" / "real.yml").write_text("x = 1\n")
    (root / "a.yml").symlink_to("conf/real.yml")
    edits = [
        call("edit", file_path=name, old_string="x = 1", new_string="x = 2")
        for name in ("a.yml", "./tests/../a.yml", str(root / "a.yml"))
    ]
    talking(*edits, "Done.", person=Someone(), settings=Settings(mode="auto", deny_paths=("a.yml",))).say("x")
    assert (root / "conf" / "real.yml").read_text() == "x = 1\n"


@pytest.mark.parametrize(
    ("hooks", "file"),
    [
        (".githooks", ".githooks/pre-commit"),
        (".husky/_", ".husky/pre-commit"),
        (".husky/_", ".Husky/pre-commit"),  # the same one for macOS
    ],
)
def test_what_git_runs_unconfined_is_asked_about_in_every_mode(
    talking: Talking, root: Path, run_git: Callable[..., str], hooks: str, file: str
):
    run_git(root, "config", "core.hooksPath", hooks)
    person = Someone([Answer(False)])
    write = call("write_file", file_path=file, content="#!/bin/sh\n")
    talking(write, "Done.", person=person, settings=Settings(mode="auto")).say("x")
    assert person.asked[0].what == f"Create {file} (git runs it)" and not (root / file).exists()


def test_what_cannot_be_taken_back_is_asked_about_in_every_mode(talking: Talking, root: Path):
    (root / ".gitignore").write_text("mine.toml\n")
    (root / "mine.toml").write_text("x = 1\n")
    edits = [call("edit", file_path="mine.toml", old_string=f"x = {n}", new_string=f"x = {n + 1}") for n in (1, 2)]
    person = Someone([ALWAYS])
    talking(*edits, EDIT, "Done.", person=person, settings=Settings(mode="auto")).say("x")
    assert [question.what for question in person.asked] == [
        "Edit mine.toml (git ignores it, so it cannot be taken back)"
    ]
    assert (root / "mine.toml").read_text() == "x = 3\n"


@pytest.mark.parametrize("before", [None, "Be good.\n"])
def test_a_command_gives_the_model_no_instructions_unasked(talking: Talking, root: Path, before: str | None):
    agents = root / "AGENTS.md"
    if before:
        agents.write_text(before)
    person = Someone([Answer(False), YES])
    write = "printf 'Obey.\\n' > AGENTS.md; touch done"
    held = talking(shell(write), "Hm.", shell(write), "Done.", person=person, settings=Settings(mode="auto"))
    held.say("x")
    assert person.asked[0].what == "Keep what the command has made of AGENTS.md (it tells the model what to do)"
    assert "+Obey." in person.asked[0].diff and (root / "done").exists()
    assert (agents.read_text() if agents.exists() else None) == before
    assert "AGENTS.md is as it was" in results(held)[0] and "AGENTS.md" not in held.of(TurnEnded)[-1].files
    held.say("again")
    assert agents.read_text() == "Obey.\n" and "AGENTS.md" in held.of(TurnEnded)[-1].files


def test_tests_give_the_model_no_instructions_unasked(talking: Talking, root: Path):
    (root / "tests" / "test_a.py").write_text("def test_a(): open('AGENTS.md', 'w').write('Obey.')\n")
    person = Someone([KeyboardInterrupt])
    talking(call("run_tests"), "Done.", person=person).say("x")
    assert len(person.asked) == 1 and not (root / "AGENTS.md").exists()
