"""What is trained on is what the product shows and expects, token for token."""

import random
from pathlib import Path

import pytest

pytest.importorskip("tokenizers", reason="training is not set up; see docs/builtin-model.md")

import build_model
from builtin import samples, tokens
from builtin.breaking import Bug
from qwencode.messages import Message
from qwencode.model.builtin import prompt
from qwencode.model.llama.transcript import Transcript

AFTER = """def total(rows, limit=3):
    found = 0
    for row in rows:
        if row.amount > limit and row.open:
            found += row.amount
    return found
"""
FAILURE = "> assert total([]) == 0\nE assert 1 == 0"


def bug(old: str, new: str) -> Bug:
    assert old in AFTER
    return Bug(AFTER.replace(old, new), AFTER, "made up")


@pytest.fixture(scope="module")
def words() -> tokens.Vocabulary:
    return tokens.learn([AFTER, FAILURE, Path(samples.__file__).read_text(encoding="utf-8")] * 3, 1200)


class Reader:
    """The vocabulary as the engine offers it."""

    def __init__(self, words: tokens.Vocabulary):
        self.read = words.tokenizer()

    def tokenize(self, text: str, special: bool) -> list[int]:
        return self.read.encode(text).ids


@pytest.mark.parametrize("seed", range(40))
def test_a_sample_is_the_conversation_of_the_product(words: tokens.Vocabulary, seed: int) -> None:
    made = samples.sample(bug("0\n", "1\n"), "shop/sums.py", FAILURE, words.tokenizer(), random.Random(seed))
    assert made is not None
    reader = Reader(words)
    text = reader.read.decode(list(made.tokens), skip_special_tokens=False)
    marked = [number for number, row in enumerate(text.split("<|im_end|>")[0].splitlines()) if row.startswith(">>")]
    assert marked
    begin = text.index("<|im_start|>user\n") + len("<|im_start|>user\n")
    history = [Message("user", text[begin : text.index("<|im_end|>")])]
    literals = [t for t, kind in zip(words.tokens, words.types, strict=True) if kind == build_model.USER_DEFINED]
    shown = Transcript(reader, literals).prompt(history, (), thinking=False)
    assert list(made.tokens[: len(shown.tokens)]) == shown.tokens
    reply = prompt.answer("shop/sums.py", "    found = 1", "    found = 0") + "<|im_end|>"
    assert reply in text
    assert reader.read.encode(reply).ids == list(
        made.tokens[made.prompt : made.prompt + len(reader.read.encode(reply).ids)]
    )


def test_only_what_the_model_writes_has_full_weight(words: tokens.Vocabulary) -> None:
    chance, read = random.Random(5), words.tokenizer()
    for _ in range(50):
        made = samples.sample(bug("and row.open", "or row.open"), "a.py", "", read, chance)
        assert made is not None and len(made.tokens) == len(made.weights)
        written = [token for token, weight in zip(made.tokens, made.weights, strict=True) if weight == samples.ANSWER]
        said = read.decode(written, skip_special_tokens=False)
        assert said.startswith(
            prompt.answer("a.py", "        if row.amount > limit or row.open:", AFTER.splitlines()[3])
        )
        assert "<|im_start|>" not in said


@pytest.mark.parametrize(
    ("before", "old", "new"),
    [
        ("a\nb\nc\nd\n", "b", "x"),
        ("a\nc\nd\n", "c", "b\nc"),  # or "a" with "a\nb"
        ("a\nx\nb\nc\nd\n", "x", ""),
        ("a\nc\nb\nd\n", None, None),
    ],
)
def test_regions_say_what_to_replace(before: str, old: str | None, new: str | None) -> None:
    after = "a\nx\nc\nd\n" if old == "b" else "a\nb\nc\nd\n"
    for seed in range(20):
        found = samples.change(before, after, random.Random(seed))
        assert found is not None
        rows = before.splitlines()
        rows[found.lines[0] - 1 : found.lines[-1]] = found.new.splitlines()
        assert rows == after.splitlines()
        assert found.old == "\n".join(before.splitlines()[found.lines[0] - 1 : found.lines[-1]])
    if old == "b":
        assert (found.old, found.new) == (old, new)


def test_what_spells_special_tokens_is_no_sample(words: tokens.Vocabulary) -> None:
    spelled = Bug(
        'def f():\n    x = "<|im_end|>"\n    return 1\n', 'def f():\n    x = "<|im_end|>"\n    return 2\n', ""
    )
    assert samples.sample(spelled, "a.py", "", words.tokenizer(), random.Random(0)) is None


def test_the_same_chance_gives_the_same_samples(words: tokens.Vocabulary) -> None:
    rows = [{"source": AFTER, "path": "a.py"}]
    first, second = (samples.endless(rows, [], 0.3, words.tokenizer(), random.Random(9)) for _ in range(2))
    assert [next(first) for _ in range(30)] == [next(second) for _ in range(30)]


def test_several_bugs_are_asked_about_at_once(words: tokens.Vocabulary) -> None:
    """All of them are in the text and marked, and each answer mends one of them; bugs that meet are left out."""
    found = [
        bug("found = 0", "found = 1"),
        bug("and row", "or row"),
        bug("> limit", "< limit"),
        bug("n found", "n limit"),
    ]
    read = words.tokenizer()
    made = samples.together(found, "a.py", read, random.Random(2))
    assert made is not None
    text = read.decode(list(made.tokens), skip_special_tokens=False)
    asked, said = text.split("<|im_end|>", 1)
    assert [row for row in asked.splitlines() if row.startswith(">>")] == [
        ">>    found = 1",
        ">>        if row.amount > limit or row.open:",
        ">>    return limit",
    ]
    for old, new in (("    found = 1", "    found = 0"), ("    return limit", "    return found")):
        assert prompt.answer("a.py", old, new) in said
    assert said.count("<tool_call>") == 3
    written = [token for token, weight in zip(made.tokens, made.weights, strict=True) if weight == samples.ANSWER]
    assert read.decode(written, skip_special_tokens=False) == said.split("</think>\n\n")[1]


def test_answers_that_do_not_fit_are_left_out(words: tokens.Vocabulary) -> None:
    read, long = words.tokenizer(), AFTER.replace("found = 0", f"found = 0{' + 0' * 200}")
    found = [Bug(long.replace("+=", "-="), long, ""), Bug(long.replace(" + 0", ""), long, "")]
    one = samples.together(found, "a.py", read, random.Random(2))
    assert one is not None and read.decode(list(one.tokens), skip_special_tokens=False).count("<tool_call>") == 1
    assert samples.together(found[1:], "a.py", read, random.Random(2)) is None
