"""The engine with a store: the fixed prefix is evaluated once on a machine, and nothing else changes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversation import SHORT, START, TOLERANCE, TOOLS
from qwencode.errors import ModelUnavailable
from qwencode.events import PrefillProgress
from qwencode.messages import Message, Reply
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.prefix_store import PrefixStore
from replies import drive

FIT = Fit(context=4096, threads=1, batch=64)
Opener = Callable[..., LlamaModel]


@pytest.fixture
def store(tmp_path: Path) -> PrefixStore:
    return PrefixStore(tmp_path / "prefixes", 100_000_000)


@pytest.fixture
def opened(tiny: Path, store: PrefixStore) -> Iterator[Opener]:
    """Return a function that opens the tiny file with the store."""
    models: list[LlamaModel] = []

    def make(fit: Fit = FIT, path: Path = tiny, store: PrefixStore | None = store) -> LlamaModel:
        models.append(LlamaModel(path, fit, store=store))
        return models[-1]

    yield make
    for model in models:
        model.close()


def entries(store: PrefixStore) -> list[Path]:
    return sorted(store.directory.iterdir()) if store.directory.exists() else []


def said(model: LlamaModel, history: Sequence[Message] = START) -> tuple[Reply, list[PrefillProgress], np.ndarray]:
    """Return the reply, the progress and the logits after it."""
    reply, events = drive(model.stream(history, TOOLS, SHORT))
    return reply, [event for event in events if isinstance(event, PrefillProgress)], model._live.logits.copy()


@pytest.mark.parametrize("fit", [FIT, replace(FIT, draft_tokens=4)], ids=["plain", "drafting"])
def test_the_second_start_evaluates_what_follows_the_prefix(opened: Opener, store: PrefixStore, fit: Fit) -> None:
    alone, _, logits = said(opened(fit, store=None))
    first, _, stored = said(opened(fit))
    assert first.usage.cached == 0
    assert (stored == logits).all()  # to keep a state changes nothing
    assert len(entries(store)) == 1
    model = opened(fit)
    second, progress, loaded = said(model)
    prefix = model._transcript.prompt(START, TOOLS, False).prefix
    assert second.usage.cached == prefix
    assert second.usage.evaluated == second.usage.prompt - prefix
    assert progress[0].done == progress[0].cached == prefix
    assert {event.cached for event in progress} == {prefix}
    assert second.message == first.message == alone.message
    assert (loaded == logits).all()  # the same batches: bit for bit
    assert model._live.checkpoints[0] == prefix


def test_what_was_loaded_is_worth_what_was_evaluated(opened: Opener) -> None:
    """Edits, retries and other histories after a start from the store go as after a start from nothing."""
    histories = [
        START,
        [*START, Message("user", "And now?")],
        [START[0], Message("user", "Something else.")],
        [Message("system", "You are verbose."), START[1]],
        START,
    ]
    expected = [said(opened(store=None), history) for history in histories]
    said(opened())
    model = opened()
    for history, (reply, _, logits) in zip(histories, expected, strict=True):
        ours, _, loaded = said(model, history)
        assert ours.message == reply.message
        assert (loaded == logits).all()
    assert ours.usage.cached == model._transcript.prompt(START, TOOLS, False).prefix  # from disk, in one process


def test_only_the_prefix_is_stored(opened: Opener, store: PrefixStore, tiny: Path) -> None:
    model = opened()
    history = START
    for number in range(4):
        reply, _, _ = said(model, history)
        history = [*history, reply.message, Message("user", f"Part {number} of the code.")]
    (entry,) = entries(store)
    prefix = model._transcript.prompt(START, TOOLS, False)
    engine = Engine(tiny, FIT)
    for at in range(0, prefix.prefix, 64):
        engine.decode(prefix.tokens[at : min(at + 64, prefix.prefix)], at, outputs=0)
    assert entry.read_bytes()[80:] == engine.dump().tobytes()  # nothing but the prefix went into these bytes
    engine.close()
    drive(opened().stream([Message("user", "No system message, no tools.")], [], SHORT))
    assert entries(store) == [entry]


@pytest.mark.parametrize(
    "other",
    [
        {"context": 2048},
        {"context": 8192, "checkpoint_bytes": 1},
        pytest.param({"threads": 2}, marks=pytest.mark.slow),  # slow where the cores are not free
    ],
    ids=str,
)
def test_what_a_state_does_not_depend_on_is_no_miss(opened: Opener, store: PrefixStore, other: dict[str, int]) -> None:
    said(opened())
    (entry,) = entries(store)
    before = entry.read_bytes()
    reply, _, _ = said(opened(replace(FIT, **other)))
    assert reply.usage.cached
    entry.unlink()
    said(opened(replace(FIT, **other)))
    assert entry.read_bytes() == before


def test_another_batch_or_a_changed_file_is_a_miss(opened: Opener, store: PrefixStore, tiny: Path, tmp_path: Path):
    said(opened())
    assert said(opened(replace(FIT, batch=32)))[0].usage.cached == 0
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(tiny.read_bytes())
    assert said(opened(path=copy))[0].usage.cached == 0
    assert len(entries(store)) == 3
    assert said(opened())[0].usage.cached


@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "link", "directory", "refused"])
def test_a_bad_entry_is_a_miss(opened: Opener, store: PrefixStore, tmp_path: Path, damage: str) -> None:
    expected, _, logits = said(opened())
    (entry,) = entries(store)
    whole = bytearray(entry.read_bytes())
    entry.unlink()
    match damage:
        case "bit":
            entry.write_bytes(whole[:5000] + bytes([whole[5000] ^ 4]) + whole[5001:])
        case "cut":
            entry.write_bytes(whole[:-1])
        case "empty":
            entry.touch()
        case "link":
            (tmp_path / "elsewhere").write_bytes(whole)
            entry.symlink_to(tmp_path / "elsewhere")
        case "directory":
            entry.mkdir()
        case _:  # well stored, and still nothing that llama.cpp takes
            store.put(bytes.fromhex(entry.stem), np.frombuffer(whole[80:-8], np.uint8))
    reply, _, ours = said(opened())
    assert reply.usage.cached == 0
    assert reply.message == expected.message
    assert (ours == logits).all()
    if damage != "directory":
        assert entry.read_bytes() == whole  # and it is mended
        assert said(opened())[0].usage.cached


def test_a_store_that_cannot_be_written_is_no_obstacle(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    expected, _, _ = said(opened(store=None))
    for store in (PrefixStore(tmp_path / "file" / "x", 100_000_000), PrefixStore(tmp_path / "small", 1000)):
        reply, _, _ = said(opened(store=store))
        assert reply.message == expected.message
        assert reply.usage.cached == 0


def test_warming_evaluates_the_prefix_and_nothing_else(opened: Opener, store: PrefixStore) -> None:
    model = opened()
    done, events = drive(model.warm([START[0]], TOOLS))  # type: ignore[arg-type]
    prefix = model._transcript.prompt(START, TOOLS, False).prefix
    assert (done.tokens, done.cached, done.problem) == (prefix, 0, "")
    assert done.size == entries(store)[0].stat().st_size
    assert done.directory == store.directory
    assert events[-1].done == events[-1].total == prefix
    after, _, logits = said(model)
    assert after.usage.cached == prefix
    again, events = drive(opened().warm(START, TOOLS))  # type: ignore[arg-type]
    assert (again.tokens, again.cached, again.size) == (prefix, prefix, done.size)
    assert not events
    expected, _, fresh = said(opened(store=None))
    assert after.message == expected.message
    assert (logits == fresh).all()


def test_warming_without_a_store_or_after_the_end(opened: Opener, store: PrefixStore) -> None:
    model = opened(store=None)
    with pytest.raises(ModelUnavailable, match="without a place"):
        next(model.warm(START, TOOLS))
    model = opened()
    model.close()
    with pytest.raises(ModelUnavailable, match="closed"):
        next(model.warm(START, TOOLS))
    with pytest.raises(ModelUnavailable, match="context holds 512"):
        next(opened(replace(FIT, context=512)).warm([Message("system", "word " * 600)], TOOLS))
    assert entries(store) == []


@pytest.mark.parametrize("events", [0, 1, 3, 6])
def test_a_start_that_was_stopped_stores_nothing_wrong(opened: Opener, store: PrefixStore, events: int) -> None:
    expected, _, logits = said(opened(store=None))
    model = opened()
    stream = model.stream(START, TOOLS, SHORT)
    for _ in zip(range(events), stream, strict=False):
        pass
    stream.close()
    said(model)
    reply, _, loaded = said(opened())
    assert reply.usage.cached
    assert reply.message == expected.message
    assert (loaded == logits).all()


steps = st.lists(
    st.tuples(
        st.sampled_from(["append", "retry", "rewind", "edit", "system", "stop", "restart", "spoil"]), st.integers(0, 3)
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_whatever_happens_in_between_the_model_says_the_same(
    tiny: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    walk(tiny, tmp_path_factory, steps)


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_whatever_happens_in_between_at_length(
    tiny: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    walk(tiny, tmp_path_factory, steps)


def walk(tiny: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    """Restarts and spoilt entries among turns: the tokens evaluated are as few as can be, and the logits are right."""
    store = PrefixStore(tmp_path_factory.mktemp("prefixes"), 100_000_000)
    model, judge = LlamaModel(tiny, FIT, store=store), Engine(tiny, FIT)
    history = START
    stored: set[str] = set()
    for number, (what, detail) in enumerate(steps):
        match what:
            case "rewind" | "edit" if len(history) > 2:
                history = history[:2] if what == "rewind" else [*history[:-1], Message("user", f"Edited {detail}.")]
            case "system":
                history = [Message("system", f"You are {detail}."), *history[1:]]
            case "stop":
                stream = model.stream([*history, Message("user", "Wait. " * 40)], TOOLS, SHORT)
                for _ in zip(range(detail), stream, strict=False):
                    pass
                stream.close()
            case "restart":
                model.close()
                model = LlamaModel(tiny, FIT, store=store)
            case "spoil":
                for entry in entries(store):
                    entry.write_bytes(entry.read_bytes()[: -detail or None])
                stored = stored if not detail else set()
            case _:
                pass
        prompt = model._transcript.prompt(history, TOOLS, False)
        reply, _ = drive(model.stream(history, TOOLS, replace(SHORT, seed=number, max_tokens=5)))
        assert reply.usage.cached >= (prompt.prefix if history[0].content in stored else 0)
        if reply.usage.cached < prompt.prefix:  # only what is evaluated is stored, or mended
            stored.add(history[0].content)
        live = list(model._live.tokens)
        assert live[: len(prompt.tokens)] == prompt.tokens
        judge.clear()
        for at in range(0, len(live), 64):
            judge.decode(live[at : at + 64], at, outputs=1)
        assert np.abs(model._live.logits - judge.logits()).max() < TOLERANCE
        if what == "append":
            history = [*history, reply.message, Message("user", f"More {number}.")]
    model.close()
    judge.close()


def test_a_history_that_is_on_disk_as_a_whole_is_read_without_a_token(opened: Opener) -> None:
    """As at the second start of a conversation. What is restored so has no logits, and a reply begins all the same."""
    drive(opened().warm(START[:1], TOOLS))  # type: ignore[arg-type]
    model = opened()
    _, events = drive(model.read(START[:1], TOOLS))  # type: ignore[arg-type]
    assert not events
    reply, _, _ = said(model, START)
    assert 0 < reply.usage.cached < reply.usage.prompt
    _, events = drive(model.read([*START, reply.message], TOOLS))  # type: ignore[arg-type]
    assert not events or events[0].cached  # type: ignore[union-attr]


def test_what_was_warmed_stays_in_memory(opened: Opener, store: PrefixStore) -> None:
    """Every history that begins with the prefix finds it there, also when the store has lost it."""
    model = opened()
    warmed, _ = drive(model.warm(START[:1], TOOLS))  # type: ignore[arg-type]
    store.limit_bytes = 0
    for text in ("One.", "Another one.", "A third one."):
        reply, _, _ = said(model, [START[0], Message("user", text)])
        assert reply.usage.cached >= warmed.tokens
