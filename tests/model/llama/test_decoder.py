"""Guessing ahead: it may cost or save time, and changes nothing else."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.model.llama.decoder import Decoder
from qwencode.model.llama.draft import Lookup, Pace
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine
from qwencode.model.llama.sampler import Sampler, Source
from qwencode.model.llama.state import LiveState
from qwencode.model.sampling import Sampling, sampling_for
from recurrent import Recurrent, digest


class Script:
    """Draws what is written, and checks that it is asked at the right place."""

    def __init__(self, engine: Recurrent, prompt: Sequence[int], reply: Sequence[int]):
        self.engine, self.text, self.at = engine, [*prompt, *reply], len(prompt)

    def draw(self, source: Source) -> int:
        logits = self.engine.logits(source) if isinstance(source, int) else source
        assert (logits == digest(self.text[: self.at]).astype(np.float32)).all(), "these are other logits"
        self.at += 1
        return self.text[self.at - 1]


def written(
    prompt: Sequence[int],
    reply: Sequence[int],
    shown: Sequence[Sequence[int]] = (),
    forced: frozenset[int] = frozenset(),
    foreseen: Sequence[int] = (),
) -> tuple[Recurrent, LiveState, Decoder, Pace]:
    """Write a reply; the tokens at the places in `forced` are set, not drawn. `foreseen`: what a head thinks of it."""
    engine = Recurrent()

    def predict(token: int, position: int, most: int) -> list[int]:
        assert position == len(engine.cache)
        assert token == [*prompt, *reply][position]
        return list(foreseen[position + 1 - len(prompt) :][:most])

    live = LiveState(engine, 1 << 20)
    for start in range(0, len(prompt), engine.batch_size):
        live.extend(prompt[start : start + engine.batch_size], outputs=1)
    live.checkpoint(logits=True)
    lookup, pace = Lookup(), Pace(engine.draft_tokens, dict.fromkeys(range(1, 5), 1.0))
    for text in shown:
        lookup.read(text)
    script = Script(engine, prompt, reply)
    decoder = Decoder(live, script, lookup, pace, 1000, predict)  # type: ignore[arg-type]
    for number, token in enumerate(reply):
        if number in forced:
            decoder.push([token])
            script.at += 1
        else:
            decoder.push([decoder.draw()])
    decoder.close()
    return engine, live, decoder, pace


tokens = st.lists(st.integers(0, 2), min_size=1, max_size=30)


@settings(max_examples=200, deadline=None)
@given(tokens, tokens, st.lists(tokens, max_size=2), st.frozensets(st.integers(0, 30), max_size=6), tokens)
def test_the_reply_is_the_same_and_every_draw_sees_the_right_logits(
    prompt: list[int], reply: list[int], shown: list[list[int]], forced: frozenset[int], foreseen: list[int]
) -> None:
    engine, live, decoder, _ = written(prompt, reply, shown, forced, foreseen)
    whole = [*prompt, *reply]
    assert list(live.tokens) == engine.cache == whole[: len(engine.cache)]
    assert len(engine.cache) >= len(prompt)
    assert decoder.accepted <= decoder.guessed
    again = live.align(whole)
    assert again == len(engine.cache)  # nothing of it is evaluated again


def test_a_head_guesses_where_the_context_holds_nothing() -> None:
    reply = list(range(100, 140))
    engine, _, decoder, _ = written([1, 2, 3], reply, foreseen=reply)
    assert decoder.accepted >= 20
    assert engine.evaluated <= 3 + len(reply)
    _, _, blind, _ = written([1, 2, 3], reply, foreseen=[0] * 40)
    assert blind.accepted == 0
    pace = Pace(4, {1: 1.0, 2: 1.2, 4: 1.6, 5: 1.8})
    assert pace.length(0) > 0
    pace.predicted(1, 10.0)  # a head that is dearer than the model
    assert pace.length(0) == 0
    assert pace.length(32) == 4  # a copy costs nothing to guess


def test_what_is_copied_comes_in_few_batches() -> None:
    text = list(range(100, 160))
    batches: list[int] = []

    class Counting(Recurrent):
        def decode(self, tokens: Sequence[int], position: int, outputs: int) -> None:
            batches.append(len(tokens))
            super().decode(tokens, position, outputs)

    engine = Counting()
    live = LiveState(engine, 1 << 20)
    for start in range(0, 60, 4):
        live.extend(text[start : start + 4], outputs=1)
    pace = Pace(3, dict.fromkeys(range(1, 5), 1.0))
    script = Script(engine, text, text)
    decoder = Decoder(live, script, Lookup(), pace, 1000)  # type: ignore[arg-type]
    batches.clear()
    for _ in text:
        decoder.push([decoder.draw()])
    decoder.close()
    assert len(batches) < 25
    assert decoder.accepted > 40
    assert engine.cache == [*text, *text[: len(engine.cache) - 60]]


def test_a_guess_stops_at_the_end_of_the_context() -> None:
    engine = Recurrent()
    live = LiveState(engine, 1 << 20)
    prompt = [1, 2, 3, 4] * 4
    for start in range(0, 16, 4):
        live.extend(prompt[start : start + 4], outputs=1)
    decoder = Decoder(live, Script(engine, prompt, prompt), Lookup(), Pace(3), 18)  # type: ignore[arg-type]
    decoder.push([decoder.draw()])
    decoder.push([decoder.draw()])
    assert len(engine.cache) <= 18


def test_the_longest_agreement_and_the_latest_place_win() -> None:
    lookup = Lookup()
    lookup.follow([1, 2, 3, 4, 9, 1, 2, 3, 5, 0, 2, 3, 1, 2, 3])
    assert lookup.guess(2) == ([5, 0], 3)
    lookup.push([5, 0, 2, 3])
    assert lookup.guess(1) == ([1], 7)
    lookup.read([5, 0, 2, 3, 7, 7])
    assert lookup.guess(2) == ([1, 2], 7)
    lookup.follow([8, 5, 0, 2, 3])
    assert lookup.guess(2) == ([7, 7], 4)
    lookup.follow([8, 5, 0])
    assert lookup.guess(2) == ([], 0)


def test_what_leads_nowhere_is_forgotten() -> None:
    lookup = Lookup(spare=100)
    for number in range(60):
        lookup.follow(range(number * 50, number * 50 + 50))
        lookup.read(range(number * 7, number * 7 + 5))
    assert len(lookup._places) < 1000
    assert len(lookup._texts) < 60
    lookup.follow([*range(50), 0, 1, 2])
    assert lookup.guess(3) == ([3, 4, 5], 3)


def test_of_many_texts_the_latest_are_kept() -> None:
    """Also when nothing else changes: whatever a long session shows, memory has an end."""
    lookup = Lookup()
    lookup.follow([1, 2, 3])
    for number in range(1000):
        lookup.read(range(number * 50, number * 50 + 50))
    assert len(lookup._texts) < 80
    assert sum(map(len, lookup._places.values())) < 80 * 50
    lookup.push([49_950, 49_951, 49_952])
    assert lookup.guess(2) == ([49_953, 49_954], 3)


def test_the_pace_follows_cost_and_acceptance() -> None:
    free = Pace(8, dict.fromkeys(range(1, 10), 1.0))
    assert free.length(32) == 8
    dear = Pace(8, {size: float(size) for size in range(1, 10)})
    assert dear.length(32) == 0
    between = Pace(8, {1: 1.0, 2: 1.6, 4: 2.5, 8: 3.6, 9: 4.0})
    for _ in range(20):
        between.checked(32, 8, 8)
    assert between.length(32) == 8
    assert between.length(3) < 8
    for _ in range(200):
        between.checked(32, 8, 0)
    assert between.length(32) == 0
    for _ in range(400):
        between.length(32)  # what made it give up is forgotten
    assert between.length(32) > 0
    assert Pace(0).length(32) == 0


def test_the_cost_of_a_batch() -> None:
    pace = Pace(8)
    one, two, six, twenty = (pace.seconds(size) for size in (1, 2, 6, 20))
    assert one < two < six < twenty < 20
    pace.measured(6, 0.2)  # nothing to compare it with
    assert [pace.seconds(size) for size in (1, 2, 6)] == [one, two, six]
    pace.measured(1, 0.1)
    assert [pace.seconds(size) for size in (1, 2, 6)] == pytest.approx([0.1 * one, 0.1 * two, 0.1 * six])
    pace.measured(6, 60.0)  # the first of its shape
    assert pace.seconds(6) < 0.2 * six
    for _ in range(100):
        pace.measured(6, 0.15)
    assert pace.seconds(6) == pytest.approx(0.15, rel=0.05)
    assert Pace(2, {1: 0.1, 2: 0.12, 3: 0.2}).seconds(2) == 0.12


@pytest.fixture(scope="module")
def drafting(smooth: Path) -> Iterator[Engine]:
    engine = Engine(smooth, Fit(context=1024, threads=1, batch=64, draft_tokens=8))
    yield engine
    engine.close()


@pytest.mark.parametrize("count", range(1, 9))
def test_a_rollback_is_as_if_the_tokens_had_never_been(drafting: Engine, count: int) -> None:
    """In llama.cpp: the state after a rollback is that of the tokens before, also when it is saved and restored."""
    text = drafting.tokenize("def clamp(value, low, high):\n    return max(low, min(value, high))\n", False)
    prompt, batch, after = text[:10], text[10:19], text[19:24]
    kept = [*prompt, *batch[: len(batch) - count]]

    drafting.clear()
    drafting.decode(prompt, 0, 1)
    drafting.decode(batch, 10, len(batch))
    inside = drafting.logits(-1 - count).copy()
    assert drafting.rollback(len(kept))
    saved = drafting.save()
    drafting.decode(after, len(kept), 1)
    rolled = drafting.logits().copy()

    drafting.clear()
    drafting.decode(prompt, 0, 1)
    drafting.decode(kept[10:], 10, 1)
    assert np.abs(drafting.logits() - inside).max() < 0.05
    drafting.decode(after, len(kept), 1)
    assert np.abs(drafting.logits() - rolled).max() < 0.05
    assert drafting.restore(saved, len(kept))
    drafting.decode(after, len(kept), 1)
    assert np.abs(drafting.logits() - rolled).max() < 0.05


def test_a_second_rollback_is_refused_and_paid_for(drafting: Engine) -> None:
    text = drafting.tokenize("x = 1\ny = 2\nz = 3\nx = 1\ny = 2\n", False)[:20]
    live = LiveState(drafting, 64 << 20)
    drafting.clear()
    live.extend(text[:8], outputs=1)
    live.checkpoint()
    live.extend(text[8:16], outputs=8)
    live.drop(2)
    live.drop(2)
    assert list(live.tokens) == text[:12]
    expected = live.logits.copy()
    drafting.clear()
    drafting.decode(text[:12], 0, 1)
    assert np.abs(drafting.logits() - expected).max() < 0.05
    assert len(list(itertools.islice(live.tokens, 20))) == 12


class Eager(Pace):
    """Checks as many tokens as it can, whatever that costs."""

    def length(self, agreed: int) -> int:
        return self.most


def greedy(
    engine: Engine, prompt: list[int], count: int, pace: Pace, hint: list[int]
) -> tuple[list[int], list[float], Decoder]:
    """Return the likeliest tokens one after the other, and by how much each beats the second one."""
    engine.clear()
    live = LiveState(engine, 64 << 20)
    for start in range(0, len(prompt), engine.batch_size):
        live.extend(prompt[start : start + engine.batch_size], outputs=1)
    lookup = Lookup()
    lookup.read(hint)
    decoder = Decoder(live, Sampler(engine, Sampling(1.0, 1.0, 1), [], 1, count), lookup, pace, 1000)
    said: list[int] = []
    leads: list[float] = []
    for _ in range(count):
        said.append(decoder.draw())
        source = live.source(len(decoder._ahead))
        assert isinstance(source, int)
        second, first = np.sort(engine.logits(source))[-2:]
        leads.append(float(first - second))
        decoder.push(said[-1:])
    decoder.close()
    return said, leads, decoder


def test_guessing_changes_no_word(drafting: Engine) -> None:
    """Greedy, in llama.cpp. A batch of another shape rounds otherwise, which may decide between two equal tokens."""
    guesses = accepted = 0
    for number in range(12):
        text = f"def number_{number}(value):\n    return value * {number}\n" * 3
        prompt = drafting.tokenize(text, False)
        alone, leads, _ = greedy(drafting, prompt, 150, Pace(0), [])
        hint = [token if at % 17 else 0 for at, token in enumerate(alone)]
        guessed, _, decoder = greedy(drafting, prompt, 150, Eager(8), hint)
        parted = next((at for at in range(150) if alone[at] != guessed[at]), 150)
        assert parted == 150 or leads[parted] < 0.05, f"{number} parts at {parted}, by a lead of {leads[parted]}"
        guesses += decoder.guessed
        accepted += decoder.accepted
    assert guesses > accepted > 500


class Noting(Sampler):
    """Remembers the logits of every draw."""

    def __init__(self, engine: Engine, seed: int):
        super().__init__(engine, sampling_for(thinking=False), [], seed, 200)
        self.engine, self.seen = engine, list[np.ndarray]()

    def draw(self, source: Source) -> int:
        self.seen.append((self.engine.logits(source) if isinstance(source, int) else source).copy())
        return super().draw(source)


def drawn(engine: Engine, seed: int, pace: Pace, hint: list[int]) -> tuple[list[int], Noting]:
    """Write 100 tokens by chance, as the model would."""
    engine.clear()
    live = LiveState(engine, 64 << 20)
    live.extend(engine.tokenize("def clamp(value, low, high):\n", False), outputs=1)
    lookup, sampler = Lookup(), Noting(engine, seed)
    lookup.read(hint)
    decoder = Decoder(live, sampler, lookup, pace, 1000)
    said: list[int] = []
    for _ in range(100):
        said.append(decoder.draw())
        decoder.push(said[-1:])
    decoder.close()
    return said, sampler


@pytest.mark.slow
def test_every_draw_sees_the_logits_that_it_would_see_without_guesses(drafting: Engine) -> None:
    """With a seed the same tokens come, until rounding changes the order of two neighbours or a bound between them."""
    compared = whole = 0
    for seed in range(20):
        alone, plain = drawn(drafting, seed, Pace(0), [])
        guessed, guessing = drawn(drafting, seed, Eager(8), [token if at % 11 else 0 for at, token in enumerate(alone)])
        parted = next((at for at in range(100) if alone[at] != guessed[at]), 99)
        for at in range(parted + 1):
            assert np.abs(plain.seen[at] - guessing.seen[at]).max() < 0.3, (seed, at)  # they spread over about 25
        order = list(np.argsort(plain.seen[parted])[::-1])
        assert abs(order.index(alone[parted]) - order.index(guessed[parted])) <= 1, (seed, parted)
        compared += parted + 1
        whole += alone == guessed
    assert compared > 1000
    assert whole >= 10


def test_a_guess_that_nobody_looked_at_counts_for_nothing() -> None:
    text = list(range(100, 160))
    engine = Recurrent()
    live = LiveState(engine, 1 << 20)
    for start in range(0, 60, 4):
        live.extend(text[start : start + 4], outputs=1)
    pace = Eager(3)
    decoder = Decoder(live, Script(engine, text, text), Lookup(), pace, 1000)
    for _ in range(5):  # three to find the place, one drawn and one of three guessed
        decoder.push([decoder.draw()])
    assert decoder.guessed == 3
    decoder.close()
    assert sum(pace._tried) == sum(pace._accepted) == decoder.accepted
    assert engine.cache == [*text, *text[: len(engine.cache) - 60]]
