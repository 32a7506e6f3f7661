"""Every slash command, and the table of them."""

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chat_ground import Held, Someone, places
from fix_ground import SUM, SUM_TESTS, SUM_TEXT
from qwencode.errors import HistoryTooLong
from qwencode.events import (
    Event,
    HistoryRewound,
    InputOffered,
    Listed,
    MessageAdded,
    SuspectsRanked,
    TreeChanged,
    TurnEnded,
)
from qwencode.jobs.chat.commands import COMMANDS
from qwencode.jobs.chat.talk import folded
from qwencode.messages import Message
from qwencode.model.scripted import ScriptedModel, call
from qwencode.sessions import load
from qwencode.settings import Settings

Talking = Callable[..., Held]
MAKE = call("write_file", file_path="a.txt", content="1\n")


@pytest.fixture
def root(repository: Path, run_git: Callable[..., str]) -> Path:
    run_git(repository, "config", "user.name", "Test")
    run_git(repository, "config", "user.email", "test@example.invalid")
    return repository


def tables(held: Held) -> list[str]:
    return ["\n".join("  ".join(row) for row in event.rows) for event in held.of(Listed)]


def test_the_table_is_what_was_promised():
    promised = (
        "help model think plan diff undo redo rewind retry edit-last commit test fix run add drop context compact "
        "sessions resume fork export clear config doctor quit mode keep"
    )
    assert sorted(command.name for command in COMMANDS) == sorted(promised.split())
    for command in COMMANDS:
        assert command.help.endswith(".") and command.help[0].isupper() and len(command.help) < 90


def test_help_lists_them_all(talking: Talking):
    held = talking()
    held.say("/help")
    for command in COMMANDS:
        assert f"/{command.name} {command.usage}".rstrip() in tables(held)[0]
    assert "@FILE" in tables(held)[0] and "!!CMD" in tables(held)[0]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/hepl", "There is no command /hepl; did you mean /help?"),
        ("/rewnd 3", "did you mean /rewind?"),
        ("/xyzzy", "There is no command /xyzzy. /help lists them."),
    ],
)
def test_an_unknown_one_suggests_the_nearest(talking: Talking, line: str, sentence: str):
    held = talking()
    held.say(line)
    assert sentence in held.notices() and not held.talked


def test_a_path_is_no_command(talking: Talking):
    held = talking("It is.", "Yes.", "Yes.")
    for line in ("/usr/bin/python is old", "/", "/ is the root"):
        held.say(line)
    assert [text for role, text in held.talked if role == "user"] == ["/usr/bin/python is old", "/", "/ is the root"]


def test_quit(talking: Talking):
    held = talking("One.")
    held.say("a")
    held.say("/quit")
    assert held.chat.over and f"qwencode chat --resume {held.chat.recording.id}" in held.notices()


def test_model(talking: Talking, own_directories: Path, tiny: Path):
    folder = places(own_directories).models
    folder.mkdir(parents=True)
    (folder / "other.gguf").symlink_to(tiny)
    held = talking("One.", "Two.")
    held.say("a")
    held.say("/model")
    assert "▸ scripted" in tables(held)[0] and "other" in tables(held)[0]
    held.say("/model builtin")
    assert "cannot hold a conversation" in held.notices()
    held.say("/model nothing")
    assert "There is no model 'nothing'" in held.notices() and held.chat.status.loaded
    held.say("/model other")
    assert "The model is other." in held.notices() and held.chat.status.model == "other"
    held.say("b")
    assert held.talked[-1] == ("assistant", "Two.")


def test_think(talking: Talking):
    held = talking("One.", "Two.")
    held.say("/think never")
    held.say("a")
    held.say("/think always")
    held.say("b")
    held.say("/think sometimes")
    assert isinstance(held.model, ScriptedModel)
    assert [options.thinking for _, _, options in held.model.requests] == [False, True]
    assert "/think can be: auto, always, never." in held.notices() and held.chat.status.think == "always"


def test_mode_and_plan(talking: Talking, root: Path):
    held = talking(MAKE, "The plan.", person=Someone())
    held.say("/mode auto")
    assert held.chat.status.mode == "auto"
    held.say("/plan make a.txt")
    assert held.chat.status.mode == "plan" and not (root / "a.txt").exists()
    assert held.talked[-1] == ("assistant", "The plan.")
    held.say("/mode yolo")
    assert "/mode can be: plan, ask, auto." in held.notices()


def test_diff(talking: Talking, root: Path):
    (root / "mine.txt").write_text("mine\n")
    held = talking(MAKE, "Made.", person=Someone())
    held.say("/diff")
    assert "has changed no file" in held.notices()
    held.say("make")
    held.say("/diff")
    (shown,) = held.of(TreeChanged)
    assert shown.files == ("a.txt",) and "+1" in shown.diff and "mine" not in shown.diff
    held.say("/diff ../outside")
    assert "outside the repository" in held.notices()
    held.say("/diff .")
    assert "Nothing in . differs" in held.notices(), "neither file is known to git yet"


def test_add_and_drop(talking: Talking, root: Path):
    (root / "b.txt").write_text("bee\n")
    (root / "c.txt").write_text("sea\n")
    held = talking("Seen.", "Yes.")
    held.say("/add b.txt c.txt")
    held.say("/drop c.txt")
    held.say("/drop c.txt")
    held.say("/add nothing.txt")
    assert "c.txt is not waiting to be shown" in held.notices() and "nothing.txt is no file" in held.notices()
    held.say("look")
    assert "b.txt\n1|bee" in held.talked[1][1] and "sea" not in held.talked[1][1]
    held.say("again")
    assert held.talked[-2] == ("user", "again")


def test_context(talking: Talking):
    held = talking("One.")
    held.say("a")
    held.say("/context")
    assert "system prompt" in tables(held)[0] and "together" in tables(held)[0]


def test_compact(talking: Talking):
    held = talking("One.", "Two.", "We counted.", "Three.")
    held.say("/compact")
    assert "nothing yet that could be summed up" in held.notices()
    for line in ("a", "b"):
        held.say(line)
    held.say("/compact the numbers")
    model = held.model
    assert isinstance(model, ScriptedModel)
    assert "Mind above all: the numbers" in model.requests[-1][0][-1].content
    assert [role for role, _ in held.talked] == ["system", "user", "user"]
    assert "We counted." in held.talked[-1][1] and held.talked[-1][1].endswith("The user goes on from here.")
    assert held.of(HistoryRewound)[-1].length == 2, "what stays is not read again"
    held.say("c")
    assert held.talked[-1] == ("assistant", "Three.")


@pytest.mark.parametrize("stop", range(10))
def test_a_summary_that_is_interrupted_leaves_everything_as_it_was(talking: Talking, stop: int):
    held = talking("One.", "Two.", "We counted.", "Three.")
    for line in ("a", "b"):
        held.say(line)
    before, seen = held.talked, iter(range(100))
    held.say("/compact", stop_at=lambda event: next(seen) == stop)
    assert held.talked == before or (held.talked[:2] == before[:2] and "We counted." in held.talked[2][1])
    recording = held.chat.recording
    assert recording.path and folded(load(recording.path).events).history == held.chat.talk.history
    held.say("c")
    assert "interrupted" not in held.talked[-2][1], "the reply before it was not"
    assert "is kept" not in held.notices(), "nothing of a summary is"


def test_compact_where_not_even_the_request_fits(talking: Talking):
    def too_long(history: Sequence[Message]) -> str:
        raise HistoryTooLong("The conversation has 9 tokens and the context holds 8.")

    held = talking("One.", "Two.", too_long, "Three.")
    for line in ("a" * 6_000, "b", "/compact"):
        held.say(line)
    assert [role for role, _ in held.talked] == ["system", "user", "user"]
    for part in ("No summary could be written", "You: One.", "The user: b", "You: Two."):
        assert part in held.talked[-1][1]
    assert "too long to be summed up" in held.notices()
    held.say("c")
    assert held.talked[-1] == ("assistant", "Three.")


def test_a_message_that_is_too_much_shortens_what_came_before_it(talking: Talking):
    def too_long(history: Sequence[Message]) -> str:
        raise HistoryTooLong("The conversation has 9 tokens and the context holds 8.")

    held = talking("One.", "Two.", too_long, "We counted.", "Three.")
    for line in ("a", "b", "c"):
        held.say(line)
    assert [role for role, _ in held.talked] == ["system", "user", "user", "user", "assistant"]
    assert held.talked[2] == ("user", "c") and "We counted." in held.talked[3][1]
    assert held.talked[-1] == ("assistant", "Three.") and held.of(TurnEnded)[-1].reason == "answered"


def test_keep_with_a_model_that_has_no_memory_here(talking: Talking):
    held = talking("Fine.")
    held.say("/keep")
    assert "nothing to keep" in held.notices()
    held.say("Well?")
    held.say("/keep")
    assert "Only the memory of a model in this process" in held.notices()


def test_export(talking: Talking, root: Path):
    held = talking(Message("assistant", "One.", reasoning="Hm."), MAKE, "Two.", "Three.", person=Someone())
    held.say("/export out.md")
    assert "Nothing was said yet." in held.notices()
    held.say("a question")
    held.say("make")
    held.say("/export out.md")
    text = (root / "out.md").read_text()
    assert text.startswith("# a question\n\n## User\n\na question\n\n## Model\n\n<details><summary>Thinking")
    assert "<details><summary>write_file</summary>" in text and "Created a.txt" in text and text.endswith("Two.\n")
    held.say("/export out.md")
    assert "was not overwritten" in held.notices()


def test_config(talking: Talking, own_directories: Path):
    held = talking()
    held.say("/config")
    assert "max_steps" in tables(held)[0]
    held.say("/config max_steps 7")
    assert tables(held)[-1].startswith("max_steps  7  ")
    assert "max_steps = 7" in (places(own_directories).config / "config.toml").read_text()
    held.say("/config colour")
    held.say("/config max_steps many")
    assert "There is no setting 'colour'" in held.notices() and "not a whole number" in held.notices()


def test_doctor(talking: Talking):
    held = talking()
    held.say("/doctor")
    assert held.of(Listed)[0].rows and "Next: " in held.notices()


def test_run_and_the_users_own_shell(talking: Talking, root: Path):
    held = talking("Seen.", "Seen.")
    held.say("/run")
    held.say("!")
    assert "Say what to run: /run CMD" in held.notices() and "Say what to run: !CMD" in held.notices()
    held.say("!echo for me; exit 3")
    assert held.of(Listed)[-1] == Listed("$ echo for me; exit 3: exit code 3", (), (("for me",),))
    held.say("!!echo for both")
    held.say("/run echo inside > made.txt; cat made.txt")
    assert held.of(Listed)[-1].rows == (("inside",),)
    held.say("well?")
    (said,) = (text for role, text in held.talked if role == "user")
    assert "<<< the user ran `echo for both`: exit code 0\nfor both\n>>>" in said and "\ninside\n>>>" in said
    assert "for me" not in said and said.endswith("well?")
    held.say("/rewind 1")
    assert not (root / "made.txt").exists(), "what /run does is a turn"


def test_test(talking: Talking, root: Path):
    held = talking("I see.", settings=Settings(test="python3 -m unittest"))
    (root / SUM).write_text(SUM_TEXT)
    (root / "tests").mkdir()
    (root / "tests" / "__init__.py").write_text("")
    (root / "tests" / "test_total.py").write_text(SUM_TESTS)
    held.say("/test")
    assert held.of(Listed)[-1].title == "tests: 2 failed, 1 passed"
    assert [event.text for event in held.of(InputOffered)] == ["Find out why these tests fail, and mend it."]
    held.say("mend it")
    assert "what the tests say" in held.talked[1][1] and "test_none" in held.talked[1][1]


def test_test_without_tests(talking: Talking):
    held = talking()
    held.say("/test")
    assert "There are no tests that could be run here" in held.notices()


@pytest.mark.slow
def test_fix(talking: Talking, root: Path, run_git: Callable[..., str]):
    (root / SUM).write_text(SUM_TEXT.replace("-=", "+="))
    (root / "tests").mkdir()
    (root / "tests" / "__init__.py").write_text("")
    (root / "tests" / "test_total.py").write_text(SUM_TESTS)
    run_git(root, "add", "-A")
    run_git(root, "commit", "-qm", "Sum")
    held = talking("Thanks.", person=Someone(yes=[True]), settings=Settings(test="python3 -m unittest"))
    held.say("/mode plan")
    held.say("/fix")
    assert "In the mode plan nothing is changed" in held.notices()
    held.say("/mode ask")
    held.say("/fix")
    assert held.person.questions == ["Keep this change?"] and "result = 0" in (root / SUM).read_text()
    assert held.of(TurnEnded)[-1].files == (SUM,)
    held.say("thanks")
    assert "The user ran `qwencode fix`" in held.talked[1][1]
    held.say("/undo")
    held.say("/undo")
    assert "result = 1" in (root / SUM).read_text()


def test_fix_that_is_interrupted_tells_what_it_has_set_aside(talking: Talking, root: Path):
    (root / SUM).write_text(SUM_TEXT)
    (root / "tests").mkdir()
    (root / "tests" / "__init__.py").write_text("")
    (root / "tests" / "test_total.py").write_text(SUM_TESTS)
    held = talking("I give up.", settings=Settings(test="python3 -m unittest"))

    def saved_meanwhile(event: Event) -> bool:
        if not isinstance(event, SuspectsRanked):
            return False
        (root / SUM).write_text("mine\n")
        return True

    held.say("/fix", saved_meanwhile)
    assert held.of(TurnEnded)[-1].reason == "interrupted" and (root / SUM).read_text() == SUM_TEXT
    assert f"you or a test: {SUM}. That was put back" in held.notices()


@pytest.mark.parametrize("trusted", [True, False])
def test_fix_follows_what_a_trusted_folder_says(talking: Talking, root: Path, trusted: bool):
    (root / SUM).write_text(SUM_TEXT.replace("= 1", "= 0").replace("-=", "+="))
    (root / "AGENTS.md").write_text("Say please.\n")
    (root / "tests").mkdir()
    (root / "tests" / "__init__.py").write_text("")
    (root / "tests" / "test_total.py").write_text(SUM_TESTS)
    settings = Settings(test="python3 -m unittest", attempts=1, max_steps=1)
    held = talking("I give up.", settings=settings, trusted=trusted)
    held.say("/fix Make it nicer.")
    task = next(each.message.content for each in held.of(MessageAdded) if each.message.role == "user")
    assert "Make it nicer." in task and ("Say please." in task) is trusted


class TestCommit:
    def log(self, root: Path) -> list[str]:
        done = subprocess.run(["git", "log", "--format=%B%x00"], cwd=root, capture_output=True, text=True, check=True)
        return [text.strip() for text in done.stdout.split("\0")][:-1]

    def files(self, root: Path) -> list[str]:
        command = ["git", "show", "--format=", "--name-only", "HEAD"]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split()

    def test_what_the_session_changed_with_the_models_message_edited(self, talking: Talking, root: Path):
        (root / "mine.txt").write_text("mine\n")
        person: Any = Someone(texts=["Make a file\n\n# a comment\nSince it was missing.\n"])
        held = talking(MAKE, "Made.", "```\nMake a.txt\n```", person=person)
        held.say("make")
        held.say("/commit")
        assert person.shown[-1] == ["Make a.txt"]
        assert self.log(root)[0] == "Make a file\n\nSince it was missing." and self.files(root) == ["a.txt"]
        assert "<<< change" in held.talked[-2][1] and "+1" in held.talked[-2][1]
        assert "Nothing was pushed." in held.notices()
        held.say("/commit")
        assert "There is nothing to commit" in held.notices()

    def test_what_is_staged_as_it_is(self, talking: Talking, root: Path, run_git: Callable[..., str]):
        (root / "mine.txt").write_text("staged\n")
        run_git(root, "add", "mine.txt")
        (root / "mine.txt").write_text("later\n")
        held = talking(MAKE, "Made.", person=Someone())
        held.say("make")
        held.say("/commit Mine alone")
        assert self.log(root)[0] == "Mine alone" and self.files(root) == ["mine.txt"]
        assert run_git(root, "show", "HEAD:mine.txt") == "staged\n" and (root / "mine.txt").read_text() == "later\n"

    def test_hooks_run_and_may_refuse(self, talking: Talking, root: Path):
        hook = root / ".git" / "hooks" / "pre-commit"
        hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
        hook.chmod(0o755)
        held = talking(MAKE, "Made.", person=Someone())
        held.say("make")
        held.say("/commit Make")
        assert "not today" in held.notices() and self.log(root) == ["Begin"]

    def test_given_up(self, talking: Talking, root: Path):
        held = talking(MAKE, "Made.", "Make a.txt", person=Someone(texts=[None]))
        held.say("make")
        held.say("/commit")
        assert "the message was given up" in held.notices() and self.log(root) == ["Begin"]

    def test_the_users_own_work_in_a_file_is_not_swept_along_unasked(
        self, talking: Talking, root: Path, run_git: Callable[..., str]
    ):
        (root / "b.txt").write_text("1\n")
        run_git(root, "add", "b.txt")
        run_git(root, "commit", "-qm", "b")
        (root / "b.txt").write_text("1\nmine\n")
        edit = call("edit", file_path="b.txt", old_string="1\n", new_string="2\n")
        held = talking(edit, "Done.", person=Someone(yes=[False, True]))
        held.say("change")
        held.say("/commit Change b")
        assert "b.txt held changes of yours" in held.person.questions[0] and self.log(root)[0] == "b"
        held.say("/commit Change b")
        assert self.log(root)[0] == "Change b"


def test_commands_of_the_users_own(talking: Talking, root: Path, own_directories: Path):
    folder, own = root / ".qwencode" / "commands", places(own_directories).config / "commands"
    folder.mkdir(parents=True)
    own.mkdir(parents=True)
    (folder / "review.md").write_text(
        "---\nname: look\ndescription: Looks at a file.\n---\nLook at $ARGUMENTS closely.\n"
    )
    (folder / "help.md").write_text("Never.\n")
    (folder / "Bad Name.md").write_text("Never.\n")
    (folder / "empty.md").write_text("---\nname: x\n---\n")
    (own / "look.md").write_text("Never: the repository's comes first.\n")
    (own / "greet.md").write_text("Say hello.\n")
    held = talking("Fine.", "Hello.")
    assert held.notices().count("makes no command") == 3
    held.say("/look a.txt and b.txt")
    held.say("/greet to all")
    said = [text for role, text in held.talked if role == "user"]
    assert said == ["Look at a.txt and b.txt closely.", "Say hello.\n\nto all"]
    held.say("/help")
    assert "/look [TEXT]  Looks at a file." in tables(held)[0]
    assert [each.text for each in held.chat.completions("/gre")] == ["/greet"]


def test_completions(talking: Talking, root: Path):
    (root / "src").mkdir()
    (root / "src" / "main.py").write_text("")
    (root / "two words.txt").write_text("")
    chat = talking("One.").chat
    assert [each.text for each in chat.completions("/re")] == ["/redo", "/rewind", "/retry", "/resume"]
    assert [(each.text, each.start) for each in chat.completions("/think al")] == [("always", -2)]
    assert [(each.text, each.start) for each in chat.completions("look at @main")] == [("@src/main.py", -5)]
    assert [each.text for each in chat.completions("@two")] == ['@"two words.txt"']
    assert [(each.text, each.start) for each in chat.completions("/add a src/m")] == [("src/main.py", -5)]
    assert "max_steps" in [each.text for each in chat.completions("/config max")]
    for text in ("", "hello", "me@main", "/nothing x", "/a/b", "/help x"):
        assert chat.completions(text) == []


def test_nothing_that_can_be_typed_raises(talking: Talking):
    held = talking(*["Yes."] * 40)
    odd = [
        "",
        "  ",
        "/",
        "//",
        "!",
        "!!",
        "/ help",
        "/\n",
        "/help\n",
        "\x00",
        "/add \x00",
        "@\x00",
        "/diff \x00",
        "@../../etc/passwd",
    ]
    odd += [
        "/rewind 99999999999999999999",
        "/resume ../../x",
        "/export /nowhere/x.md",
        "/model \n",
        "/config \n",
        "/run \x00",
    ]
    for line in [*odd, *(f"/{command.name} \ud800 'x" for command in COMMANDS if command.name not in ("fix", "quit"))]:
        held.say(line)


@pytest.mark.parametrize(
    "line",
    [f"{command} {text}" for command in ("/add", "/resume", "/export", "/diff") for text in ("a" * 300, "1" * 5000)]
    + ["/rewind " + "1" * 5000, "@a.txt:" + "1" * 5000, "!echo " + "b" * 200_000],
    ids=lambda line: line[:14],
)
def test_what_is_much_too_long_is_a_sentence(talking: Talking, repository: Path, line: str):
    (repository / "a.txt").write_text("1\n")
    held = talking("One.", "Two.")
    held.say("hello")
    held.say(line)


def test_a_message_that_is_too_long_for_a_commit_is_a_sentence(talking: Talking, root: Path):
    held = talking(MAKE, "Made.", person=Someone())
    held.say("go")
    held.say("/commit " + "b" * 200_000)
    assert "too long" in held.notices()


def test_where_the_directory_is_gone_it_goes_on_with_sentences(talking: Talking, root: Path):
    held = talking("One.")
    held.say("hello")
    root.rename(root.with_name("elsewhere"))
    for line in ("!ls", "/commit", "/undo", "/help"):
        held.say(line)
    assert f"cannot be started in {root}" in held.notices()
    root.with_name("elsewhere").rename(root)


@pytest.mark.parametrize("own", [True, False])
def test_a_commit_that_is_stopped_leaves_the_index_as_it_was(
    talking: Talking, root: Path, run_git: Callable[..., str], own: bool
):
    hook = root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nkill -INT {os.getpid()}\nexec sleep 5\n")
    hook.chmod(0o755)
    held = talking(MAKE, "Made.", person=Someone())
    held.say("go")
    if not own:
        run_git(root, "add", "a.txt")
    before = run_git(root, "status", "--porcelain")
    held.say("/commit Make a")
    assert "Interrupted." in held.notices()
    assert run_git(root, "status", "--porcelain") == before
    assert not list((root / ".git").glob("*.lock"))


def test_what_the_user_has_changed_since_is_not_committed_unasked(
    talking: Talking, root: Path, run_git: Callable[..., str]
):
    person = Someone()
    held = talking(MAKE, "Made.", person=person)
    held.say("go")
    (root / "a.txt").write_text("1\nhalf a thought\n")
    held.say("/commit Make a")
    assert "a.txt held changes of yours before this session, or since." in person.questions[0]
    assert run_git(root, "status", "--porcelain") == "?? a.txt\n"


def test_a_file_that_is_only_to_be_added_is_not_taken_for_staged(
    talking: Talking, root: Path, run_git: Callable[..., str]
):
    (root / "mine.txt").write_text("mine\n")
    run_git(root, "commit", "-q", "--allow-empty", "-m", "Begin")
    run_git(root, "add", "--intent-to-add", "mine.txt")
    held = talking(MAKE, "Made.", person=Someone())
    held.say("go")
    held.say("/commit Make a")
    assert run_git(root, "show", "--name-only", "--format=%s").split() == ["Make", "a", "a.txt"]
    assert run_git(root, "status", "--porcelain") == " A mine.txt\n"


def test_a_diff_before_the_first_commit(talking: Talking, root: Path, run_git: Callable[..., str]):
    run_git(root, "update-ref", "-d", "HEAD")
    (root / "a.txt").write_text("1\n")
    run_git(root, "add", "a.txt")
    held = talking()
    held.say("/diff .")
    assert "+1" in held.of(TreeChanged)[0].diff
