"""The sampler chain against the definition of its filters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qwencode.model.llama.library import CANDIDATE, Chain, Engine, Grammar
from qwencode.model.llama.sampler import QuickGrammar, Sampler
from qwencode.model.sampling import Sampling

PLAIN = Sampling(temperature=1.0, top_p=1.0, top_k=0)


def logits(engine: Engine, **values: float) -> NDArray[np.float32]:
    row = np.full(engine.vocab_size, -30, np.float32)
    for name, value in values.items():
        row[int(name[1:])] = value
    return row


def shares(sampler: Sampler, row: NDArray[np.float32], draws: int = 2000) -> dict[int, float]:
    found, counts = np.unique([sampler.draw(row) for _ in range(draws)], return_counts=True)
    return {int(token): float(count) / draws for token, count in zip(found, counts, strict=True)}


def test_temperature_comes_before_the_nucleus(engine: Engine) -> None:
    """At temperature 0.5 the odds 4 : 2 : 1 become 16 : 4 : 1, and the first two hold 95 %."""
    row = logits(engine, t1=np.log(4), t2=np.log(2), t3=0)
    found = shares(Sampler(engine, Sampling(0.5, 0.95, 20), [], 1, 64), row)
    assert found.keys() == {1, 2}
    assert found[1] == pytest.approx(16 / 20, abs=0.03)
    wide = shares(Sampler(engine, Sampling(0.5, 0.96, 20), [], 1, 64), row)
    assert wide.keys() == {1, 2, 3}


def test_top_k_and_min_p(engine: Engine) -> None:
    row = logits(engine, t1=2, t2=1.9, t3=1.8, t4=-3)
    assert shares(Sampler(engine, Sampling(1.0, 1.0, 2), [], 1, 64), row, 300).keys() == {1, 2}
    assert shares(Sampler(engine, Sampling(1.0, 1.0, 0, min_p=0.5), [], 1, 64), row, 300).keys() == {1, 2, 3}


def test_banned_tokens_are_never_drawn(engine: Engine) -> None:
    row = logits(engine, t1=9, t2=0, t3=0)
    assert shares(Sampler(engine, PLAIN, [1], 1, 64), row, 300).keys() <= {2, 3}


def test_the_presence_penalty_holds_for_the_whole_reply(engine: Engine) -> None:
    row = logits(engine, t1=1.0)
    sampler = Sampler(engine, Sampling(1.0, 1.0, 1, presence_penalty=40.0), [], 1, 500)
    assert sampler.draw(row) == 1
    for token in range(100, 400):
        sampler.note(token)
    assert sampler.draw(row) != 1
    unpunished = Sampler(engine, Sampling(1.0, 1.0, 1), [], 1, 500)
    assert {unpunished.draw(row) for _ in range(5)} == {1}


def test_a_seed_can_be_drawn_again(engine: Engine) -> None:
    row = np.zeros(engine.vocab_size, np.float32)
    first = Sampler(engine, PLAIN, [], None, 64)
    drawn = [first.draw(row) for _ in range(20)]
    again = Sampler(engine, PLAIN, [], first.seed, 64)
    assert [again.draw(row) for _ in range(20)] == drawn
    assert Sampler(engine, PLAIN, [], None, 64).seed != first.seed
    for seed in (-1, 0xFFFFFFFF, 1 << 40):
        one, two = (Sampler(engine, PLAIN, [], seed, 64) for _ in range(2))
        assert [one.draw(row) for _ in range(20)] == [two.draw(row) for _ in range(20)]


def test_a_grammar_lets_through_only_what_it_allows(engine: Engine) -> None:
    yes, no = (engine.tokenize(text, False)[0] for text in "yn")
    row = logits(engine, **{f"t{no}": 20.0, f"t{yes}": 0.0})
    sampler = Sampler(engine, PLAIN, [], 1, 64)
    assert sampler.draw(row) == no
    grammar = QuickGrammar(engine, 'root ::= "y" "y" "y"')
    sampler.constrain(grammar)
    assert [sampler.draw(row) for _ in range(3)] == [yes] * 3
    sampler.constrain(None)
    assert sampler.draw(row) == no
    sampler.constrain(grammar)  # from its beginning
    assert [sampler.draw(row) for _ in range(3)] == [yes] * 3


def test_a_grammar_that_every_token_fails_is_given_up(engine: Engine) -> None:
    sampler = Sampler(engine, PLAIN, range(1, engine.vocab_size), 1, 64)
    sampler.constrain(QuickGrammar(engine, 'root ::= "\\u4e2d"'))
    row = np.full(engine.vocab_size, -np.inf, np.float32)
    row[0] = 1.0
    assert sampler.draw(row) == 0
    assert sampler.draw(row) == 0


WHOLE = [
    Sampling(0.6, 0.95, 20),
    Sampling(0.7, 0.8, 20, presence_penalty=1.5),
    Sampling(1.3, 1.0, 40, min_p=0.05, presence_penalty=0.5),
    Sampling(0.0, 1.0, 1),
]
WORDS = 'root ::= ("one" | "two" [0-9]* "\\n" | "<" [^<]{1,20} ">" | "é" | [\\x01-\\x7f] "!")+'


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(WHOLE), st.sampled_from([1.0, 6.0]), st.booleans())
def test_it_draws_what_a_pass_over_the_whole_vocabulary_gives(
    engine: Engine, seed: int, sampling: Sampling, spread: float, some_end: bool
) -> None:
    """The definition: draw from all; if the grammar refuses that one, draw from all that it allows."""
    size, chance = engine.vocab_size, np.random.default_rng(seed)
    banned = engine.tokenize("<|im_start|><one", special=True)[:2]
    text = WORDS.removesuffix("+") + "*" if some_end else WORDS
    sampler, grammar = Sampler(engine, sampling, banned, seed, 100), QuickGrammar(engine, text)
    sampler.constrain(grammar)
    chain, other = Chain(engine, sampling, banned, seed, 100), Grammar(engine, text)
    ends = engine.tokenize("<|im_end|><|endoftext|>", special=True)
    for _ in range(40):
        row = chance.normal(0, spread, size).astype(np.float32)
        candidates = np.zeros(size, CANDIDATE)
        candidates["id"], candidates["logit"] = np.arange(size), row
        wanted = chain.draw(candidates.copy())
        if not other.allows(wanted):
            chain.forget()
            other.mask(candidates)
            wanted = chain.draw(candidates)
        assert sampler.draw(row) == wanted
        if wanted in ends:
            break
        other.accept(wanted)
