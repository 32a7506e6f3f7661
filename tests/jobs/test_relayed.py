"""Practice repositories that were mended through the loop by replies written by hand.

Someone outside of the program stood in for the model: each request went to a server endpoint, was read there, and the
reply was written knowing the conversation alone. So these are real conversations with the tools, a mistake included,
but they are not replies of the 35B model and say nothing of what it can do. All else here is real: sandbox, tests,
tools, verdict.

A trace holds the conversation after its opening. The opening is taken from the present run: it holds what the failing
tests print, which differs with the version of the test runner, the order of sets and the place of the copy. All that
follows must be answered as it was then; usage was not measured.
"""

import shutil
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from fix_ground import Ran, contents
from qwencode import practice
from qwencode.events import Event, MessageAdded, ReplyFinished, ToolFinished
from qwencode.messages import Message, Reply, ToolSpec
from qwencode.model.protocol import Options
from qwencode.model.replay import ReplayModel
from qwencode.session import read

RELAYED = Path(__file__).parent / "relayed"
CHANGED = {
    "cachebox": "cachebox/cache.py",
    "daybook": "daybook/ledger.py",
    "quillexpr": "quillexpr/parser.py",
    "topicbus": "src/bus.js",
    "waymark": "waymark/weakness.py",
}
REFUSED = {"cachebox": 1}  # an edit of a line that is not in the file, done over in the next turn


class RelayedModel:
    """Replays a conversation after the opening with which the present run begins it."""

    name = "relayed"
    context_length = 0

    def __init__(self, trace: Path):
        self._trace = trace
        self._replay: ReplayModel | None = None

    def stream(
        self, history: Sequence[Message], tools: Sequence[ToolSpec], options: Options
    ) -> Generator[Event, None, Reply]:
        if self._replay is None:
            self._replay = ReplayModel([*map(MessageAdded, history), *read(self._trace)])
        return (yield from self._replay.stream(history, tools, options))

    def close(self) -> None:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGED)
def test_what_was_mended_by_hand_is_mended_again(
    name: str, practice_copy: Callable[[str], Path], run_fix: Callable[..., Ran]
) -> None:
    task, trace = practice.task(name), RELAYED / f"{name}.jsonl"
    if task.language == "javascript" and not shutil.which("npm"):
        pytest.skip("npm is not installed")
    root = practice_copy(name)
    before = contents(root)
    ran = run_fix(root, RelayedModel(trace), use_search=False)
    assert ran.error is None and ran.outcome and ran.outcome.verdict
    verdict = ran.outcome.verdict
    assert (verdict.status, verdict.changed_files) == ("fixed", (CHANGED[name],))
    assert {row.test.removeprefix("test/bus.test.js > ") for row in verdict.proof} == set(task.failing)
    after = contents(root)
    assert {file for file in before.keys() | after.keys() if before.get(file) != after.get(file)} == {CHANGED[name]}
    assert sum(not event.ok for event in ran.of(ToolFinished)) == REFUSED.get(name, 0)
    assert len(ran.of(ReplyFinished)) == sum(isinstance(event, ReplyFinished) for event in read(trace))


def test_no_trace_is_left_out_and_none_names_a_machine() -> None:
    assert {path.stem for path in RELAYED.glob("*.jsonl")} == set(CHANGED)
    for name in CHANGED:
        text = (RELAYED / f"{name}.jsonl").read_text(encoding="utf-8")
        assert not any(place in text for place in ("/tmp", "/home", "/root", "/Users", "/var", "0x", "127.0.0.1"))
