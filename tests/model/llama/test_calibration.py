"""Speed by a clock that only the engine moves, and once by the real ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwencode.model.llama.calibration import Calibration, calibrate, keep, load
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine

FIT = Fit(context=2048, threads=1, batch=64)


@dataclass
class Clockwork:
    """An engine that takes a second for each batch and a tenth for each token, but more for the first batch."""

    vocab_size: int = 1000
    context_length: int = 2048
    batch_size: int = 256
    now: float = 100.0
    tokens: int = 0
    cleared: int = 0
    sizes: list[int] = field(default_factory=list)
    fails_at: int = -1
    hiccups: dict[int, float] = field(default_factory=dict)

    def decode(self, tokens: Sequence[int], position: int, outputs: int) -> None:
        assert outputs in (1, len(tokens))
        assert position == self.tokens
        assert 0 <= min(tokens) <= max(tokens) < self.vocab_size
        self.tokens += len(tokens)
        assert self.tokens <= self.context_length
        if len(self.sizes) == self.fails_at:
            raise KeyboardInterrupt
        self.now += 1 + len(tokens) / 10 + (0 if self.sizes else 500) + self.hiccups.get(len(self.sizes), 0.0)
        self.sizes.append(len(tokens))

    def clear(self) -> None:
        self.tokens = 0
        self.cleared += 1

    def clock(self) -> float:
        return self.now


def test_every_size_is_measured_even_when_there_is_no_time() -> None:
    engine = Clockwork()
    found = calibrate(engine, 8, 20.0, engine.clock)
    assert engine.sizes == [256, 1, 2, 3, 4, 6, 8, 9, 256]
    assert [size for size, _ in found.points] == [1, 2, 3, 4, 6, 8, 9, 256]
    assert all(seconds == pytest.approx(1 + size / 10) for size, seconds in found.points)
    assert found.decode == pytest.approx(1.1)
    assert found.prefill == pytest.approx(256 / 26.6)
    assert engine.tokens == 0
    assert engine.cleared


def test_sizes_share_the_time() -> None:
    engine = Clockwork()
    calibrate(engine, 0, 500 + 26.6 + 2 * 26.6 + 10, engine.clock)
    assert engine.sizes == [256, *[1] * 1, 256, *[1] * 24, 256]
    engine = Clockwork(context_length=600)
    calibrate(engine, 3, 1000.0, engine.clock)
    assert engine.cleared > 3


def test_the_median_counts_and_a_batch_is_no_slower_than_a_larger_one() -> None:
    engine = Clockwork(hiccups={1: 900.0, 3: 50.0})
    found = calibrate(engine, 3, 2000.0, engine.clock)
    assert engine.sizes.count(1) > 50
    assert found.decode == pytest.approx(1.1)
    engine = Clockwork(hiccups={1: 900.0})
    assert calibrate(engine, 3, 0.0, engine.clock).decode == pytest.approx(1.2)


def test_a_batch_longer_than_the_context_and_one_shorter_than_the_drafts() -> None:
    short = Clockwork(context_length=100)
    assert calibrate(short, 0, 1.0, short.clock).points[-1][0] == 100
    narrow = Clockwork(batch_size=4)
    assert [size for size, _ in calibrate(narrow, 8, 1.0, narrow.clock).points] == [1, 2, 3, 4]
    single = Clockwork(batch_size=1)
    assert [size for size, _ in calibrate(single, 8, 1.0, single.clock).points] == [1]


def test_an_interrupted_engine_is_left_cleared() -> None:
    engine = Clockwork(fails_at=3)
    with pytest.raises(KeyboardInterrupt):
        calibrate(engine, 8, 20.0, engine.clock)
    assert engine.tokens == 0


def test_between_the_sizes_in_proportion_and_beyond_batch_by_batch() -> None:
    found = Calibration(((1, 1.0), (4, 2.5), (100, 10.0)))
    assert [found.seconds(tokens) for tokens in (0, 1, 2, 4, 52, 100)] == [0, 1, 1.5, 2.5, 6.25, 10]
    assert found.seconds(200) == 20
    assert found.seconds(202) == 21.5
    assert Calibration(((1, 0.5),)).seconds(3) == 1.5


@given(st.lists(st.floats(0.001, 10), min_size=3, max_size=3), st.integers(1, 300))
def test_more_tokens_take_no_less_where_measured_so(times: list[float], tokens: int) -> None:
    times = sorted(times)
    found = Calibration(tuple(zip((1, 5, 64), times, strict=True)))
    assert found.seconds(tokens) <= found.seconds(tokens + 1) * (1 + 1e-9)


def test_what_was_measured_with_the_real_engine_is_known_again(tiny: Path, tmp_path: Path) -> None:
    fit = replace(FIT, draft_tokens=3)
    engine = Engine(tiny, fit)
    assert load(tiny, fit, tmp_path) is None
    found = calibrate(engine, fit.draft_tokens, seconds=0.2)
    keep(found, tiny, fit, tmp_path)
    assert [size for size, _ in found.points] == [1, 2, 3, 4, 64]
    assert found.prefill > 0
    engine.decode(engine.tokenize("From the start.", special=False), 0, outputs=1)  # it was left cleared
    engine.close()
    assert load(tiny, replace(fit, context=512, checkpoint_bytes=1, mtp=True), tmp_path) == found
    keep(replace(found, mtp=1.25), tiny, fit, tmp_path)
    known = load(tiny, fit, tmp_path)
    assert known == replace(found, mtp=1.25)
    assert known.mtp_pays
    assert not found.mtp_pays
    assert not replace(found, mtp=1.01).mtp_pays
    assert load(tiny, replace(fit, threads=2), tmp_path) is None
    other = tmp_path / "other.gguf"
    other.write_bytes(tiny.read_bytes() + b"\0")
    assert load(other, fit, tmp_path) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"points": []}',
        '{"points": [[1, 0.5], [1, 0.5]]}',
        '{"points": [[2, 0.5]]}',
        '{"points": [[1, -1]]}',
        '{"points": [[1, NaN]]}',
        '{"points": [[1, 1e999]]}',
        '{"points": [[1e999, 1]]}',
        '{"points": [[1]]}',
        '{"points": 3}',
        '{"points": [[1, 0.5]], "mtp": "fast"}',
        '{"points": [[1, 0.5]], "mtp": NaN}',
        '{"points": [[1, 0.5]], "mtp": -1}',
        "\xff",
        "[" * 100_000,
    ],
)
def test_a_bad_file_is_a_miss(content: str, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"weights")
    found = calibrate(Clockwork(), FIT.draft_tokens, seconds=0.0)
    keep(found, model, FIT, tmp_path)
    (place,) = (tmp_path / "calibration").iterdir()
    assert load(model, FIT, tmp_path) == found
    assert json.loads(place.read_text())["points"][0][0] == 1
    place.write_text(content, encoding="latin-1")
    assert load(model, FIT, tmp_path) is None
    assert load(tmp_path / "none.gguf", FIT, tmp_path) is None


def test_what_was_kept_before_heads_were_measured_is_good(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"weights")
    keep(Calibration(((1, 0.5),)), model, FIT, tmp_path)
    (place,) = (tmp_path / "calibration").iterdir()
    place.write_text('{"points": [[1, 0.5]]}')
    assert load(model, FIT, tmp_path) == Calibration(((1, 0.5),), 0.0)


def test_a_place_that_cannot_be_written_costs_only_the_time(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"weights")
    (tmp_path / "cache").write_text("a file where a directory should be")
    keep(Calibration(((1, 0.5),)), model, FIT, tmp_path / "cache")
    assert load(model, FIT, tmp_path / "cache") is None
