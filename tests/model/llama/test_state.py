"""The live state against a stand-in for llama.cpp with the same two memories, which says when it is misused."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.model.llama.state import LiveState, State
from recurrent import Recurrent, digest


def read(live: LiveState, wanted: list[int], stops: Sequence[int] = (), batch: int = 4) -> int:
    """Bring the whole of `wanted` in, keeping the stops; returns how much was there before."""
    cached = at = live.align(wanted)
    while at < len(wanted):
        end = min([len(wanted), at + batch, *(stop for stop in stops if stop > at)])
        live.extend(wanted[at:end], outputs=int(end == len(wanted)))
        at = end
        if at in stops:
            live.checkpoint()
    live.checkpoint(logits=True)
    return cached


tokens = st.lists(st.integers(0, 2), max_size=14)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(tokens, st.sets(st.integers(1, 13)), st.integers(-1, 40)), max_size=12), st.integers(0, 400))
def test_whatever_is_asked_the_memory_holds_exactly_that(
    requests: list[tuple[list[int], set[int], int]], budget: int
) -> None:
    engine = Recurrent()
    live = LiveState(engine, budget)
    for wanted, stops, breaks_after in requests:
        before, expected = engine.evaluated, list(live.tokens)
        shared = next((at for at, (a, b) in enumerate(zip(expected, wanted, strict=False)) if a != b), None)
        shared = min(len(expected), len(wanted)) if shared is None else shared
        engine.breaks_after = engine.evaluated + breaks_after if breaks_after >= 0 else -1
        try:
            cached = read(live, [*wanted, 9], sorted(stops))
        except KeyboardInterrupt:
            continue
        engine.breaks_after = -1
        assert engine.cache == list(live.tokens) == [*wanted, 9]
        assert (engine.state == digest(engine.cache)).all()
        assert (live.logits == digest(engine.cache).astype(np.float32)).all()
        assert engine.evaluated - before == len(wanted) + 1 - cached
        assert cached <= shared + 1
        if wanted[: len(expected)] == expected and len(expected) <= len(wanted) and engine.evaluated == before:
            assert cached == len(wanted) + 1


def test_appending_evaluates_the_new_tokens_and_asking_again_none() -> None:
    engine = Recurrent()
    live = LiveState(engine, 1 << 20)
    assert read(live, [1, 2, 3, 4, 5, 6], [3, 5]) == 0
    assert read(live, [1, 2, 3, 4, 5, 6, 7, 8]) == 6
    for token in (9, 9, 9):  # a reply is written
        live.extend([token], outputs=1)
    assert read(live, [1, 2, 3, 4, 5, 6, 7, 8]) == 8
    assert engine.evaluated == 11
    assert (live.logits == digest([1, 2, 3, 4, 5, 6, 7, 8]).astype(np.float32)).all()
    assert read(live, [1, 2, 3, 4, 0]) == 3  # an edited past: from the nearest place before it


def test_a_torn_evaluation_is_not_trusted() -> None:
    engine = Recurrent()
    live = LiveState(engine, 1 << 20)
    read(live, [1, 2, 3], [2])
    engine.breaks_after = engine.evaluated
    with pytest.raises(KeyboardInterrupt):
        live.extend([4], outputs=1)
    with pytest.raises(RuntimeError):
        _ = live.logits
    assert read(live, [1, 2, 3, 4, 5]) == 3
    assert engine.cache == [1, 2, 3, 4, 5]


def test_ctrl_c_before_the_evaluation_costs_nothing() -> None:
    """Nor are tokens then taken for live that never were, whatever the evaluation before did."""
    engine = Recurrent()
    live = LiveState(engine, 1 << 20)
    live.extend([1, 2, 3], outputs=1)
    engine.breaks_before = True
    with pytest.raises(KeyboardInterrupt):
        live.extend([4, 5], outputs=1)
    assert list(live.tokens) == [1, 2, 3] == engine.cache
    assert live.align([1, 2, 3, 6]) == 3
    live.extend([6], outputs=1)
    assert engine.evaluated == 4


def test_ctrl_c_in_a_rollback_leaves_no_place_behind_the_cache() -> None:
    """The attention cache is shorter by then; the recurrent state after it would be restored without it."""

    class Interrupted(Recurrent):
        def rollback(self, length: int) -> bool:
            assert super().rollback(length)
            raise KeyboardInterrupt

    engine = Interrupted()
    live = LiveState(engine, 1 << 20)
    read(live, [1, 2, 3, 4, 5, 6], [2])
    with pytest.raises(KeyboardInterrupt):
        live.align([1, 2, 3, 4, 5, 7])
    assert read(live, [1, 2, 3, 4, 5, 6, 8]) == 2
    assert engine.cache == [1, 2, 3, 4, 5, 6, 8]


def test_the_least_recently_used_go_first_and_the_pinned_stay() -> None:
    engine = Recurrent()
    live = LiveState(engine, 4 * 32)
    live.extend([0], outputs=0)
    live.checkpoint(pinned=True)
    for token in range(1, 4):
        live.extend([token], outputs=0)
        live.checkpoint()
    assert live.checkpoints == [1, 2, 3, 4]
    assert live.align([0, 1, 7]) == 2  # used again
    for token in range(7, 9):
        live.extend([token], outputs=0)
        live.checkpoint()
    assert live.checkpoints == [1, 2, 3, 4]
    live.extend([9], outputs=0)
    live.checkpoint()
    assert live.checkpoints == [1, 3, 4, 5]
    assert live.checkpoint_bytes <= 4 * 32


def test_a_pinned_place_stays_when_a_reply_may_begin_there() -> None:
    engine = Recurrent()
    live = LiveState(engine, 0)
    live.extend([1, 2], outputs=1)
    live.checkpoint(pinned=True)
    live.checkpoint(logits=True)
    assert read(live, [1, 2, 3, 4]) == 2
    assert live.checkpoints == [2, 4]
    assert read(live, [1, 2, 5]) == 2
    assert read(live, [1, 2]) == 2  # the logits too
    assert (live.logits == digest([1, 2]).astype(np.float32)).all()


def test_a_place_that_is_there_can_be_pinned() -> None:
    engine = Recurrent()
    live = LiveState(engine, 0)
    live.extend([1, 2], outputs=1)
    live.checkpoint(logits=True)
    live.checkpoint(pinned=True)
    assert read(live, [1, 2, 3, 4]) == 2
    assert live.checkpoints == [2, 4]


def test_a_saved_state_that_does_not_load_costs_time_and_nothing_else() -> None:
    class Refusing(Recurrent):
        def restore(self, state: State, length: int) -> bool:
            return False

    engine = Refusing()
    live = LiveState(engine, 1 << 20)
    read(live, [1, 2, 3], [2])
    assert read(live, [1, 2, 4]) == 0
    assert engine.cache == [1, 2, 4]


def dumped(tokens: Sequence[int]) -> State:
    return np.array(tokens, np.uint8)


def test_an_adopted_state_takes_the_place_of_everything() -> None:
    engine = Recurrent()
    live = LiveState(engine, 0)
    read(live, [1, 2, 3, 4, 5], [2])
    assert live.adopt([7, 8, 9], dumped([7, 8, 9]))
    assert list(live.tokens) == [7, 8, 9]
    assert live.checkpoints == [3]
    with pytest.raises(RuntimeError):
        _ = live.logits
    assert read(live, [7, 8, 9, 1, 2], [4]) == 3
    assert read(live, [7, 8, 9, 3]) == 3  # pinned, whatever the budget
    assert read(live, [7, 8, 9]) == 0  # to reply there, its logits have to be made
    assert engine.cache == [7, 8, 9]


@pytest.mark.parametrize("ends", ["refused", "interrupted"])
def test_a_state_that_is_not_adopted_leaves_nothing(ends: str) -> None:
    engine = Recurrent()
    live = LiveState(engine, 1 << 20)
    read(live, [1, 2, 3, 4, 5], [2])
    if ends == "refused":
        engine.takes = False
        assert not live.adopt([7, 8, 9], dumped([7, 8, 9]))
    else:
        engine.breaks_after = 0
        with pytest.raises(KeyboardInterrupt):
            live.adopt([7, 8, 9], dumped([7, 8, 9]))
    assert list(live.tokens) == live.checkpoints == []
    with pytest.raises(RuntimeError):
        _ = live.logits
    assert read(live, [7, 8, 9, 1]) == 0
    assert engine.cache == [7, 8, 9, 1]
