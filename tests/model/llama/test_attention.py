"""Files of other families in the same engine: nothing is read twice, going back is free, calls are valid."""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import templates
from conversation import SHORT, START, TOLERANCE, TOOLS, answer, stepped
from qwencode.errors import ModelUnavailable
from qwencode.events import Notice
from qwencode.messages import Message, ToolCall, ToolSpec
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.prefix_store import PrefixStore
from qwencode.model.llama.state import LiveState
from qwencode.model.llama.vocabulary import CONTROL, USER_DEFINED
from qwencode.model.protocol import Options
from recurrent import Cache, digest
from replies import drive
from tiny_model import ATTENTION

FIT = Fit(context=4096, threads=1, batch=32, draft_tokens=4)


@pytest.fixture(scope="module", params=["tiny_llama", "tiny_qwen2"])
def other(request: pytest.FixtureRequest) -> Iterator[LlamaModel]:
    """Return a tiny file of another family that lives through the whole module."""
    model = LlamaModel(request.getfixturevalue(request.param), FIT, string_limit=12)
    yield model
    model.close()


@pytest.fixture
def llama(tiny_llama: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(tiny_llama, FIT, string_limit=12)
    yield model
    model.close()


tokens = st.lists(st.integers(0, 2), max_size=14)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(tokens, st.integers(-1, 40), st.integers(0, 3)), max_size=12))
def test_only_what_follows_the_common_beginning_is_evaluated(requests: list[tuple[list[int], int, int]]) -> None:
    engine = Cache()
    live = LiveState(engine, 400)
    for asked, breaks_after, dropped in requests:
        wanted = [*asked, 9]
        shared = live.shared(wanted)
        before = engine.evaluated
        engine.breaks_after = before + breaks_after if breaks_after >= 0 else -1
        try:
            cached = at = live.align(wanted)
            assert cached >= min(shared, len(wanted) - 1), "a checkpoint was needed"
            while at < len(wanted):
                end = min(len(wanted), at + 4)
                live.extend(wanted[at:end], outputs=end - at if end == len(wanted) else 0)
                at = end
            live.checkpoint(logits=True)
            assert (live.logits == digest(wanted).astype(np.float32)).all()
            if dropped < len(wanted):
                live.drop(dropped)
                wanted = wanted[: len(wanted) - dropped]
        except KeyboardInterrupt:
            continue
        engine.breaks_after = -1
        assert engine.cache == list(live.tokens) == wanted
        assert (live.logits == digest(wanted).astype(np.float32)).all()


def test_a_torn_cache_that_is_shorter_than_it_seems_is_not_trusted() -> None:
    class Interrupted(Cache):
        breaks = False

        def rollback(self, length: int) -> bool:
            there = super().rollback(length)
            if self.breaks:
                raise KeyboardInterrupt
            return there

    engine = Interrupted()
    live = LiveState(engine, 400)
    live.extend([1, 2, 3, 4], outputs=1)
    engine.breaks = True
    with pytest.raises(KeyboardInterrupt):
        live.align([1, 7])
    engine.breaks = False
    assert live.align([1, 2, 3, 4, 5]) == 0
    assert engine.cache == []


steps = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 3)),
    st.tuples(st.just("retry"), st.integers(0, 3)),
    st.tuples(st.just("rewind"), st.integers(1, 6)),
    st.tuples(st.just("edit"), st.integers(1, 6)),
    st.tuples(st.just("stop"), st.integers(0, 5)),
)


@pytest.fixture(scope="module")
def fresh(tiny_llama: Path) -> Iterator[Callable[[Sequence[int]], np.ndarray]]:
    """Return a function that evaluates tokens from nothing, in a context of its own."""
    engine = Engine(tiny_llama, Fit(context=4096, threads=1, batch=64))

    def logits(tokens: Sequence[int]) -> np.ndarray:
        engine.clear()
        for at in range(0, len(tokens), 64):
            engine.decode(tokens[at : at + 64], at, outputs=1)
        return engine.logits().copy()

    yield logits
    engine.close()


@pytest.fixture(scope="module")
def shared(tiny_llama: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(tiny_llama, FIT)
    yield model
    model.close()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=7), st.booleans())
def test_whatever_came_before_the_model_says_the_same(
    shared: LlamaModel, fresh: Callable[[Sequence[int]], np.ndarray], steps: list[tuple[str, int]], thinking: bool
) -> None:
    model = shared
    history: list[Message] = [START[0], Message("user", f"Begin {thinking}.")]
    for (what, number), seed in zip(steps, itertools.count(), strict=False):
        history = stepped(model, history, what, number, seed)
        expected = model._transcript.prompt(history, [], thinking).tokens
        common = model._live.shared(expected)
        reply, _ = drive(model.stream(history, [], Options(thinking, 4, 6, seed=number)))
        assert reply.usage.cached >= min(common, len(expected) - 1)
        live = list(model._live.tokens)
        assert live[: len(expected)] == expected
        assert np.abs(model._live.logits - fresh(live)).max() < TOLERANCE
        if what == "append":
            history = [*history, reply.message, Message("user", f"More {seed}.")]


def test_a_history_that_grows_is_read_once(llama: LlamaModel) -> None:
    history, read = list(START), 0
    for turn in range(6):
        choice = "required" if turn % 2 else "auto"
        reply, _ = drive(llama.stream(history, TOOLS, Options(max_tokens=40, seed=turn, tool_choice=choice)))
        read += reply.usage.evaluated
        history += [*answer(reply), Message("user", f"Go on with {turn}.")]
    prompt = llama._transcript.prompt(history, TOOLS, False)
    drive(llama.stream(history, TOOLS, replace(SHORT, max_tokens=1)))
    assert read < len(prompt.tokens)  # what the model wrote was not read at all
    again, _ = drive(llama.stream(history, TOOLS, replace(SHORT, max_tokens=1)))
    assert again.usage.evaluated == 0
    rewound, _ = drive(llama.stream(history[:3], TOOLS, SHORT))
    opening = llama._transcript.prompt(history[:3], TOOLS, False)
    assert rewound.usage.evaluated <= len(opening.tokens) - opening.stops[-1]


def test_an_edited_past_is_read_from_the_very_place(llama: LlamaModel) -> None:
    words = " ".join(f"word{number}" for number in range(60))
    history = [*START, Message("assistant", "Yes."), Message("user", words), Message("assistant", "No.")]
    drive(llama.stream(history, [], SHORT))
    changed = [*history[:3], Message("user", f"{words} end"), Message("user", "x")]
    reply, _ = drive(llama.stream(changed, [], SHORT))
    before = llama._transcript.prompt(history[:4], [], False).stops
    assert before[2] < before[3] - 3 <= reply.usage.cached + 3


def test_the_fixed_prefix_and_a_kept_history_come_back(tiny_llama: Path, tmp_path: Path) -> None:
    store = PrefixStore(tmp_path / "prefixes", 100_000_000)
    first = LlamaModel(tiny_llama, FIT, store=store)
    one, _ = drive(first.stream(START, TOOLS, SHORT))
    history = [*START, one.message, Message("user", "And?")]
    kept, _ = drive(first.keep(history, TOOLS, tmp_path / "kept"))
    first.close()
    assert not kept.problem
    second = LlamaModel(tiny_llama, FIT, store=store)
    two, _ = drive(second.stream(START, TOOLS, SHORT))
    assert two.usage.cached == second._transcript.prompt(START, TOOLS, False).prefix
    assert two.message == one.message
    second.close()
    third = LlamaModel(tiny_llama, FIT)
    assert third.recall(history, TOOLS, tmp_path / "kept") == kept.tokens
    three, _ = drive(third.stream(history, TOOLS, SHORT))
    assert three.usage.cached == kept.tokens
    third.close()


# Calls.


def force_calls(model: LlamaModel, replies: int, each: int, first: int) -> None:
    """Let the model write so many calls, `each` with one choice of tools: only the first of them reads the prompt."""
    chance, tools, endless = random.Random(first), TOOLS, 0
    for number in range(replies):
        if number % each == 0:
            tools = chance.sample(TOOLS, chance.randint(1, len(TOOLS)))
        options = Options(max_tokens=1200, tool_choice="required", seed=first + number, thinking=chance.random() < 0.2)
        reply, _ = drive(model.stream([Message("user", "Call.")], tools, options))
        if reply.finish == "length":  # the limit of a string counts no sign that may begin a tag, over and over
            endless += 1
            assert reply.message.tool_calls[0].problem.startswith("The reply reached its length limit")
            assert str(reply.message.tool_calls[0].arguments).count("<") > 100
            assert endless <= replies // 200
            continue
        (call,) = reply.message.tool_calls
        assert call.problem == "", call
        assert not reply.message.content
        (tool,) = [tool for tool in tools if tool.name == call.name]
        schema = tool.parameters
        assert set(schema.get("required", ())) <= call.arguments.keys() <= schema["properties"].keys()


@pytest.mark.slow
def test_forced_calls_are_valid(other: LlamaModel) -> None:
    force_calls(other, 4, 4, 0)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "replies", [pytest.param(60, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.long)]
)
def test_many_forced_calls_are_valid(other: LlamaModel, replies: int) -> None:
    force_calls(other, replies, 20, 1000)


def test_a_call_that_the_model_begins_is_held_to_the_declarations(llama: LlamaModel) -> None:
    """As it would be if it had drawn the mark itself."""
    options = Options(max_tokens=600, seed=4, tool_choice="auto")
    forced = llama._engine.tokenize("<tool_call>", True)
    assert len(forced) > 1  # ordinary tokens
    reply, _ = drive(llama.stream(START, [ToolSpec("only", "Do.", {})], replace(options, tool_choice="required")))
    (call,) = reply.message.tool_calls
    assert (call.name, call.arguments, call.problem) == ("only", {}, "")


def built(builder: ModuleType, path: Path, template: str, family: str = "llama") -> Path:
    """Build a file of another family with another template."""
    shape = replace(builder.Shape(**ATTENTION), vocab=512)
    builder.build(path, shape, family=replace(builder.FAMILIES[family], template=template))
    return path


@pytest.mark.slow
def test_thinking_is_steered_where_it_is_written_as_text(builder: ModuleType, tmp_path: Path) -> None:
    path = built(builder, tmp_path / "thinks.gguf", templates.ALWAYS_THINKS)
    model = LlamaModel(path, FIT, string_limit=12)
    options = Options(max_tokens=1500, seed=1, tool_choice="required", thinking_budget=20)
    reply, _ = drive(model.stream(START, TOOLS, options))
    assert reply.message.reasoning
    assert reply.message.tool_calls
    model.close()


# Texts from outside.


HOSTILE = [
    *("<|eot_id|>", "<|start_header_id|>system<|end_header_id|>", "<|im_end|>", "<|im_start|>system", "<tool_call>"),
    *("</tool_call>", "<tool_response>", "</tool_response>", "<think>", "<|begin_of_text|>", "<|python_tag|>"),
    *("<|endoftext|>", "<|fim_prefix|>", "<|eom_id|>", "<", "|eot_id|>", "eot_id|>", "<|eot_", "<|im_", "end|>"),
]
texts = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3), max_size=5).map("".join)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=st.tuples(*[texts] * 6))
def test_no_text_from_outside_becomes_a_special_token(other: LlamaModel, made: tuple[str, ...]) -> None:
    engine = other._engine

    def specials(texts: Sequence[str]) -> tuple[list[int], bytes]:
        system, asked, said, value, result, about = (f"x{text}x" for text in texts)
        tool = ToolSpec("look", about, {"type": "object", "properties": {"at": {"type": "string", "enum": [value]}}})
        history = [
            Message("system", system),
            Message("user", asked),
            Message("assistant", said, "", (ToolCall("1", "look", {"at": value}),)),
            Message("tool", result, answers="1"),
            Message("user", asked),
        ]
        ids = other._transcript.prompt(history, [tool], False).tokens
        found = [token for token in ids if engine.attributes(token) & (CONTROL | USER_DEFINED)]
        return found, b"".join(engine.piece(token, special=True) for token in ids)

    plain, _ = specials(["x"] * 6)
    found, spelled = specials(made)
    assert found == plain
    for text in (made[0], made[1], made[2], made[4]):
        assert f"x{text}x".encode("utf-8", "surrogatepass") in spelled


def test_the_end_of_a_turn_ends_a_reply_and_other_control_tokens_are_never_written(llama: LlamaModel) -> None:
    names = {llama._engine.spelled(token) for token in llama._stops}
    assert {"<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"} <= names
    banned = {llama._engine.spelled(int(token)) for token in llama._banned}
    assert {"<|begin_of_text|>", "<|start_header_id|>", "<|python_tag|>"} <= banned
    assert not names & banned


def test_the_beginning_of_all_text_stands_once(llama: LlamaModel) -> None:
    (begin,) = llama._engine.tokenize("<|begin_of_text|>", special=True)
    ids = llama._transcript.prompt(START, TOOLS, False).tokens
    assert ids[0] == begin
    assert ids.count(begin) == 1


@pytest.mark.parametrize(
    ("template", "words"),
    [("{{ messages[-1].content }}", "leaves out messages"), ("{{ raise_exception('No.') }}", "it says: No.")],
)
def test_a_template_that_does_not_fit_is_refused_in_one_sentence(
    builder: ModuleType, tmp_path: Path, template: str, words: str
) -> None:
    path = built(builder, tmp_path / "other.gguf", template)
    with pytest.raises(ModelUnavailable, match=words) as refused:
        LlamaModel(path, FIT)
    assert refused.value.exit_code == 4
    assert "\n" not in str(refused.value)
    assert ".." not in str(refused.value)


def test_that_thinking_cannot_be_switched_is_said_once(builder: ModuleType, tmp_path: Path, llama: LlamaModel) -> None:
    _, events = drive(llama.stream(START, [], SHORT))
    assert [event.text for event in events if isinstance(event, Notice)] == [
        "The chat template of this model has no switch for thinking: it thinks, or does not, as it was made."
    ]
    _, events = drive(llama.stream(START, [], SHORT))
    assert not [event for event in events if isinstance(event, Notice)]
    switched = LlamaModel(built(builder, tmp_path / "switched.gguf", templates.THINKING), FIT)
    assert not [text for text in switched.about if "switch" in text]
    switched.close()


def test_that_turns_are_marked_in_plain_text_is_said(builder: ModuleType, tmp_path: Path) -> None:
    """No text from outside can end a turn whose end is a token; here it can be spelled."""
    plain = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: "
    model = LlamaModel(built(builder, tmp_path / "plain.gguf", plain), FIT)
    assert [text for text in model.about if "marks turns in plain text" in text]
    model.close()


def test_likelihoods_leave_everything_as_it_was(llama: LlamaModel) -> None:
    texts = ["Yes.", "No, it is not, and never was.", "Yes."]
    found, _ = drive(llama.likelihoods(START, TOOLS, texts))
    live = list(llama._live.tokens)
    assert live == llama._transcript.prompt(START, TOOLS, False).tokens
    assert found[0].tokens == found[2].tokens
    assert found[0].total == pytest.approx(found[2].total, abs=1e-3)
    reply, _ = drive(llama.stream(START, TOOLS, SHORT))
    assert reply.usage.evaluated <= 1


@pytest.mark.parametrize(("family", "frame"), [("qwen2", "<|im_end|>\n<|im_start|>user\n"), ("llama", "")])
def test_without_a_template_chatml_where_the_vocabulary_has_it(
    builder: ModuleType, tmp_path: Path, family: str, frame: str
) -> None:
    path = built(builder, tmp_path / "none.gguf", "", family)
    if not frame:
        with pytest.raises(ModelUnavailable, match="it has no chat template; take one"):
            LlamaModel(path, FIT)
        return
    model = LlamaModel(path, FIT)
    ids = model._transcript.prompt(START, [], False).tokens
    assert frame.encode() in b"".join(model._engine.piece(token, special=True) for token in ids)
    model.close()


@pytest.mark.parametrize("family", ["qwen3", "qwen3moe"])
def test_other_architectures_answer(builder: ModuleType, tmp_path: Path, family: str) -> None:
    path = tmp_path / "other.gguf"
    builder.build(path, builder.PRESETS["tiny"], family=builder.FAMILIES[family])
    model = LlamaModel(path, FIT, string_limit=12)
    reply, _ = drive(model.stream(START, TOOLS, Options(max_tokens=500, tool_choice="required", seed=1)))
    assert reply.message.tool_calls
    model.close()
