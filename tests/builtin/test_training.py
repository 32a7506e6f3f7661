"""A toy version of the whole way: seconds of training, a kill in between, export, and llama.cpp proposes with it."""

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training is not set up; see docs/builtin-model.md")

import train_builtin  # noqa: E402
from builtin import average, export, muon, samples, tokens  # noqa: E402
from builtin.together import Together  # noqa: E402
from qwencode.model.builtin.proposer import Proposer  # noqa: E402
from qwencode.model.builtin.task import task  # noqa: E402
from train_builtin import Plan  # noqa: E402

pytestmark = pytest.mark.slow
STEPS = 60
NAMES = ("total", "count", "found", "amount", "size", "weight", "number", "length")
TEMPLATE = """def {name}(rows, limit=3):
    {other} = 0
    for row in rows:
        if row > limit:
            {other} += row
    return {other}
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a folder with a tiny corpus: one function under many names."""
    pairs = [(name, other) for name in NAMES for other in NAMES if name != other]
    rows = [
        {"split": "train", "package": name, "path": f"{name}.py", "source": TEMPLATE.format(name=name, other=other)}
        for name, other in pairs
    ]
    text = "\n".join(map(json.dumps, rows))
    (tmp_path / "functions.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.timeout(600)
def test_the_loss_falls_and_the_file_is_used(out: Path) -> None:
    ticks = itertools.count()  # a second for each step, however busy the machine is
    plan = Plan(STEPS, batch=300, pool=64, every=5, clock=lambda: float(next(ticks)))
    first = train_builtin.train(out, replace(plan, seconds=STEPS / 2))
    second = train_builtin.train(out, plan)  # as after a kill: it goes on where the first one ended
    assert (first.steps, second.steps) == (STEPS // 2, STEPS)
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)
    assert second.seen > first.seen
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    words = tokens.Vocabulary.load(out / "vocabulary.json")
    export.export(out / "toy.gguf", {name: value.detach() for name, value in second.weights.items()}, words)
    asked = task("total.py", TEMPLATE.format(name="total", other="found"), 4)
    assert asked is not None
    model = Proposer(out / "toy.gguf", 1)
    try:
        assert [proposal for proposal in model.propose(asked) if proposal.logprob <= 0]
    finally:
        model.close()


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Return a file of fresh weights, with the vocabulary of the tiny corpus."""
    words = tokens.learn([TEMPLATE] * 20, train_builtin.SHAPE.vocab)
    weights = train_builtin.model.initial(train_builtin.SHAPE, torch.Generator().manual_seed(4))
    export.export(tmp_path / "given.gguf", weights, words)
    return tmp_path / "given.gguf"


def test_what_is_read_back_is_written_again_byte_for_byte(exported: Path) -> None:
    weights, words = export.read(exported)
    again = exported.with_name("again.gguf")
    export.export(again, weights, words)
    assert again.read_bytes() == exported.read_bytes()


def test_an_average_lies_between_two_files(exported: Path, tmp_path: Path) -> None:
    one, words = export.read(exported)
    other = {name: value + 1 for name, value in one.items()}
    export.export(tmp_path / "other.gguf", other, words)
    assert (
        average.main([*map(str, (exported, tmp_path / "other.gguf", tmp_path / "mean.gguf")), "--share", "0.25"]) == 0
    )
    mean, words_of_mean = export.read(tmp_path / "mean.gguf")
    assert words_of_mean == words
    for name, value in mean.items():
        assert torch.allclose(value, one[name] + 0.25, atol=0.03), name  # 8 bits hold so much


def test_no_average_of_different_vocabularies(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, _ = export.read(exported)
    export.export(tmp_path / "other.gguf", weights, tokens.learn(["something else"] * 20, train_builtin.SHAPE.vocab))
    with pytest.raises(SystemExit):
        average.main([str(exported), str(tmp_path / "other.gguf"), str(tmp_path / "mean.gguf")])
    assert "different vocabularies" in capsys.readouterr().err
    assert not (tmp_path / "mean.gguf").exists()


def test_training_begins_where_an_exported_file_is(exported: Path, tmp_path: Path) -> None:
    """The loss that the first step finds is that of the file's weights; the vocabulary is the file's too."""
    out = tmp_path / "out"
    out.mkdir()
    trainer = train_builtin.begun(out, Plan(60, start=exported))
    weights, words = export.read(exported)
    assert tokens.Vocabulary.load(out / "vocabulary.json") == words
    assert {name: value.shape for name, value in trainer.weights.items()} == {
        name: value.shape for name, value in weights.items()
    }
    one = samples.Sample((1, 2, 3, 4, 5), (0.0, 0.0, 1.0, 1.0, 1.0), 2, "")
    with torch.no_grad():
        state, _ = train_builtin.model.forward(weights, train_builtin.SHAPE, torch.tensor([one.tokens[:-1]]))
        logits = torch.nn.functional.linear(state[0, 1:], weights["token_embd.weight"]).float()
    wanted = torch.nn.functional.cross_entropy(logits, torch.tensor(one.tokens[2:]))
    assert trainer.step([one], 1.0)[0] == pytest.approx(float(wanted), abs=1e-5)
    assert (trainer.steps, trainer.seconds) == (1, 0.0)
    trainer.save(out / "checkpoint.pt")
    assert train_builtin.begun(out, Plan(60, start=exported)).steps == 1, "a checkpoint comes before the file"


def test_another_vocabulary_is_refused(exported: Path, tmp_path: Path) -> None:
    tokens.learn(["something else"] * 20, train_builtin.SHAPE.vocab).save(tmp_path / "vocabulary.json")
    with pytest.raises(SystemExit, match="not the vocabulary"):
        train_builtin.begun(tmp_path, Plan(60, start=exported))


def test_the_rate_rises_and_falls() -> None:
    plan = Plan(60, rate=0.5, fall=1.0)
    rates = [train_builtin.factor(step, step / 1000, plan) for step in range(1001)]
    assert rates[0] < rates[10] < rates[train_builtin.WARM_UP - 1] == max(rates) < 0.5
    assert all(now > after for now, after in itertools.pairwise(rates[40:]))
    assert rates[-1] == pytest.approx(0.025)


def test_orthogonal_steps_are_about_orthogonal() -> None:
    matrix = torch.randn(3, 24, 60, generator=torch.Generator().manual_seed(0))
    for given in (matrix, matrix.mT):
        values = torch.linalg.svdvals(muon.orthogonal(given))
        assert float(values.min()) > 0.5 and float(values.max()) < 1.5


def test_batches_hold_what_was_given(out: Path) -> None:
    one = samples.Sample((1, 2, 3), (0.0, 0.2, 1.0), 2, "")
    two = samples.Sample((4, 5), (0.2, 1.0), 1, "")
    inputs, weights = train_builtin.padded([one, two], torch.device("cpu"))
    assert inputs.tolist() == [[1, 2, 3], [4, 5, 0]]
    assert torch.allclose(weights, torch.tensor([[0.0, 0.2, 1.0], [0.2, 1.0, 0.0]]))


def test_a_pool_gives_samples_of_like_lengths_and_keeps_none_back() -> None:
    """Batches hold no more tokens than asked, each sample comes once, and those of odd lengths do not stay behind."""
    chance = random.Random(3)
    lengths = [chance.choice((3, 40, 41, 42, 43, 90)) for _ in range(6000)]
    stream = iter([samples.Sample((number, *[0] * (length - 1)), (), 1, "") for number, length in enumerate(lengths)])
    given = list(itertools.islice(train_builtin.batches(stream, chance, Plan(1, batch=400, pool=64)), 400))
    assert all(len(row) * max(len(one.tokens) for one in row) <= 400 for row in given)
    numbers = [one.tokens[0] for row in given for one in row]
    assert len(numbers) == len(set(numbers)) > 1000
    last = max(numbers)
    assert len(set(range(last - 1000)) - set(numbers)) < 20


def test_a_sample_longer_than_a_batch_comes_alone() -> None:
    stream = itertools.repeat(samples.Sample((1,) * 50, (1.0,) * 50, 1, ""))
    made = train_builtin.batches(stream, random.Random(1), Plan(1, batch=20, pool=8))
    assert [len(row) for row in itertools.islice(made, 20)] == [1] * 20


def _beside(rank: int, meeting: Path, out: Path) -> None:
    """Take two steps as one of two processes, and leave what came of it."""
    torch.set_num_threads(1)
    together = Together(rank, 2, meeting)
    trainer = train_builtin.Trainer("cpu", 7, together)
    said = [trainer.step(ROWS[rank], 1.0, 0.0) for _ in range(2)]
    held = trainer.exact([ROWS[0][0], ROWS[1][0], ROWS[0][0]])
    torch.save((trainer.weights, trainer.seen, said, held), out / f"{rank}.pt")
    together.leave()


ROWS = [
    [samples.Sample((1, 2, 3, 4), (0.0, 0.0, 1.0, 1.0), 2, "")],
    [samples.Sample((5, 6, 7), (0.0, 1.0, 1.0), 1, "")],
]


@pytest.mark.timeout(120)
def test_processes_that_train_together_have_the_same_weights(tmp_path: Path) -> None:
    """Two processes with a sample each do what one does with the mean of both gradients."""
    torch.multiprocessing.spawn(_beside, (tmp_path / "meeting", tmp_path), 2)
    (one, seen, said, held), (two, *rest) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert [seen, said, held] == rest and seen == 4
    assert all(torch.equal(one[name], two[name]) for name in one)
    alone = train_builtin.Trainer("cpu", 7)
    for _ in range(2):
        gradients: dict[str, list[torch.Tensor]] = {}
        for row in ROWS:
            fresh = train_builtin.Trainer("cpu", 7)
            fresh.begin_with(alone.weights)
            fresh._change = lambda figures, factor: figures  # type: ignore[method-assign]  # the gradients are wanted
            fresh.step(row, 1.0, 0.0)
            for name, weight in fresh.weights.items():
                gradients.setdefault(name, []).append(weight.grad)
        for name, weight in alone.weights.items():
            weight.grad = sum(gradients[name]) / 2
        alone._change([0.0], 1.0)
    assert all(torch.allclose(one[name], alone.weights[name], atol=1e-5) for name in one)
