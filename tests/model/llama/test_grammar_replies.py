"""Calls that a model with random weights is made to write are valid ones, whatever the declarations ask for."""

import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from qwencode.events import CallDelta
from qwencode.messages import Message, ToolCall, ToolSpec
from qwencode.model.dialect import qwen
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.grammar import call_grammar
from qwencode.model.llama.library import Engine, Grammar
from qwencode.model.llama.model import LlamaModel
from qwencode.model.llama.sampler import QuickGrammar
from qwencode.model.protocol import Options
from replies import drive

CHOICES: list[Any] = ['a "quoted" one', "back\\slash", "two\nlines", " led", "trailed ", "é😀", "<b>", "</b>", "a > b"]
CHOICES += ["[1]", "true", "1", "null", "\ttab", "x\n", "\nx", "<T>", "{}", "'", "|", "::=", "\u0301", "\u200b", "\r"]
OTHERS: list[Any] = [0, 1, -7, 2.5, True, False, None, 10**12]
NAMES = ["path", "a", "x-y", "ö", "n", "items", "all", "new_string", "old", "p.q", "_"]


def any_schema(chance: random.Random, depth: int = 2) -> dict[str, Any]:
    """Return what a parameter may be: every type, choices, lists and objects inside each other."""
    kinds = ["string", "integer", "number", "boolean", "null", "choice", "choice", "others", "open"]
    match chance.choice([*kinds, *(["array", "array", "object", "bag"] if depth else [])]):
        case "choice":
            texts = chance.sample(CHOICES, chance.randint(1, 4))
            return {"enum": texts} | ({"type": "string"} if chance.random() < 0.5 else {})
        case "others":
            return {"enum": chance.sample([*OTHERS, "both"], chance.randint(1, 4))}
        case "open":
            return {}
        case "array":
            return {"type": "array", "items": any_schema(chance, depth - 1)}
        case "bag":
            return {"type": "object"}
        case "object":
            names = chance.sample(NAMES, chance.randint(1, 3))
            inner = {name: any_schema(chance, depth - 1) for name in names}
            return {
                "type": "object",
                "properties": inner,
                "required": chance.sample(names, chance.randint(0, len(names))),
            }
        case kind:
            return {"type": kind}


def any_tools(chance: random.Random) -> list[ToolSpec]:
    tools: list[ToolSpec] = []
    for number in range(chance.randint(1, 5)):
        names = chance.sample(NAMES, chance.randint(0, chance.choice([1, 3, 3, 8])))
        schema: dict[str, Any] = {"type": "object", "properties": {name: any_schema(chance) for name in names}}
        schema["required"] = chance.sample(names, chance.randint(0, len(names)))
        tools.append(ToolSpec(f"tool_{number}", "Do.", schema))
    return tools


def fits(value: Any, schema: Mapping[str, Any], written: bool = True) -> bool:
    """Say whether a value is what its schema asks for; `written`: as a parameter, where what is open is a text."""
    if "enum" in schema:
        return any(type(value) is type(choice) and value == choice for choice in schema["enum"])
    match schema.get("type"):
        case None:
            return isinstance(value, str) or not written
        case "array":
            return isinstance(value, list) and all(fits(item, schema["items"], False) for item in value)
        case "object":
            inner: Mapping[str, Any] = schema.get("properties", {})
            needed = set(schema.get("required", ()))
            return (
                isinstance(value, dict)
                and (not inner or needed <= value.keys() <= inner.keys())
                and all(fits(item, inner.get(key, {}), False) for key, item in value.items())
            )
        case "null":
            return value is None
        case kind:
            types = {"string": str, "integer": int, "number": (int, float), "boolean": bool}[kind]
            return isinstance(value, types) and isinstance(value, bool) == (kind == "boolean")


def check(call: ToolCall, tools: Sequence[ToolSpec]) -> None:
    assert call.problem == "", call
    (spec,) = [tool for tool in tools if tool.name == call.name]
    declared = spec.parameters["properties"]
    assert set(spec.parameters.get("required", ())) <= call.arguments.keys() <= declared.keys(), call
    for name, value in call.arguments.items():
        assert fits(value, declared[name]), (call, declared[name])


def force_calls(model: LlamaModel, replies: int, each: int, first: int) -> None:
    """Let the model write so many calls, `each` with one set of declarations: all but the first evaluate no prompt."""
    for number in range(replies):
        if number % each == 0:
            tools = any_tools(random.Random(first + number))
            history = [Message("user", f"Call {number}.")]
        options = Options(max_tokens=2000, tool_choice="required", seed=first + number)
        reply, events = drive(model.stream(history, tools, options))
        if number % each:
            assert reply.usage.evaluated == 0
        (call,) = reply.message.tool_calls
        assert reply.finish == "tool_calls"
        assert not reply.message.content and not reply.message.reasoning
        check(call, tools)
        assert [event.name for event in events if isinstance(event, CallDelta) and not event.parameter] == [call.name]


@pytest.fixture(scope="module")
def model(tiny: Path) -> Iterator[LlamaModel]:
    model = LlamaModel(tiny, Fit(context=4096, threads=1), string_limit=2)
    yield model
    model.close()


def test_forced_calls(model: LlamaModel) -> None:
    force_calls(model, 30, 5, 0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_many_forced_calls(model: LlamaModel) -> None:
    force_calls(model, 600, 50, 1000)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(4))
def test_ten_thousand_forced_calls(model: LlamaModel, part: int) -> None:
    force_calls(model, 2500, 50, 10_000 * (part + 1))


def walk(engine: Engine, grammar: QuickGrammar, chance: random.Random) -> Iterator[tuple[set[int], set[int] | None]]:
    """Write a call by chance; yield, before each token, all tokens that may follow and those among which they are."""
    (end,) = engine.tokenize("<|im_end|>", special=True)
    everything = np.arange(engine.vocab_size, dtype=np.int32)
    for _ in range(400):
        fitting = everything[grammar.fits(everything)].tolist()
        hopeful = grammar.hopeful()
        yield set(fitting), None if hopeful is None else set(hopeful.tolist())
        if end in fitting:
            return
        closing = [token for token in fitting if engine.piece(token) in (b"\n", b"<", b"</", b'"', b"}", b"]")]
        grammar.accept(chance.choice(closing or fitting) if chance.random() < 0.5 else chance.choice(fitting))


def test_what_is_left_out_may_not_follow(engine: Engine) -> None:
    """At every token of many calls. Where little may follow, little is asked about, and most of a call is such."""
    asked = fixed = steps = 0
    for number in range(60):
        chance = random.Random(number)
        grammar = QuickGrammar(engine, call_grammar(any_tools(chance), 3))
        for fitting, hopeful in walk(engine, grammar, chance):
            assert hopeful is None or fitting <= hopeful
            steps += 1
            fixed += len(fitting) < 5
            asked += hopeful is not None
    assert steps > 2000
    assert asked > 0.95 * fixed > 0.3 * steps


def test_the_end_may_follow_beside_a_character(engine: Engine) -> None:
    (end,) = engine.tokenize("<|im_end|>", special=True)
    hopeful = QuickGrammar(engine, 'root ::= "x"*').hopeful()
    assert hopeful is not None
    assert {end, *engine.tokenize("x", False)} <= set(hopeful.tolist())


def test_without_tokens_of_bytes_everything_is_asked_about(engine: Engine) -> None:
    class Shifted(Engine):
        def __init__(self) -> None:
            self.vocab, self.vocab_size = engine.vocab, engine.vocab_size

        def piece(self, token: int, special: bool = False) -> bytes:
            return engine.piece(token + 1, special)

    assert QuickGrammar(engine, call_grammar(TOOLS)).hopeful() is not None
    assert QuickGrammar(Shifted(), call_grammar(TOOLS)).hopeful() is None


# With weights that like `<tool_call>` above all, and without being told to call.

EDIT = ToolSpec(
    "edit",
    "Edit.",
    {
        "type": "object",
        "properties": {
            **{name: {"type": "string"} for name in ("file_path", "old_string", "new_string")},
            "replace_all": {"type": "boolean"},
        },
        "required": ["file_path", "old_string", "new_string"],
    },
)
PLAN = ToolSpec(
    "todo_write",
    "Plan.",
    {"properties": {"items": {"type": "array", "items": {"type": "string"}}}, "required": ["items"]},
)
TESTS = ToolSpec("run_tests", "Run.", {"type": "object", "properties": {}})
TOOLS = [EDIT, PLAN, TESTS]


@pytest.fixture(scope="module")
def eager(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    path = tmp_path_factory.mktemp("eager") / "eager.gguf"
    shutil.copy(tiny, path)
    tokens = [bytes(part).decode() for part in tokens_of(path)]
    head = next(tensor for tensor in gguf.GGUFReader(path, "r+").tensors if tensor.name == "output.weight")
    head.data[tokens.index("<tool_call>")] *= 3
    head.data.flush()
    model = LlamaModel(path, Fit(context=4096, threads=1), string_limit=2)
    yield model
    model.close()


def tokens_of(path: Path) -> list[bytes]:
    field = gguf.GGUFReader(path).fields["tokenizer.ggml.tokens"]
    return [bytes(field.parts[index]) for index in field.data]


@pytest.mark.slow
def test_the_grammar_holds_inside_calls_and_nowhere_else(eager: LlamaModel) -> None:
    """Token by token: what a call was written with, a fresh grammar allows; of what stands outside, it does not."""
    engine, history = eager._engine, [Message("user", "Go.")]
    grammar = Grammar(engine, call_grammar(TOOLS, 2))
    (opener,) = engine.tokenize("<tool_call>", special=True)
    several, thoughts, outside = 0, 0, 0
    for seed in range(40):
        reply, _ = drive(eager.stream(history, TOOLS, Options(seed % 2 == 0, max_tokens=300, seed=seed)))
        parser, inside, foreign = qwen.Parser(TOOLS, seed % 2 == 0), False, 0
        grammar.reset()
        for token in eager._live.tokens[reply.usage.prompt :]:
            if inside:
                assert grammar.allows(token), (seed, reply.message)
                grammar.accept(token)
            else:
                foreign += not grammar.allows(token)
            parser.feed(engine.piece(token).decode("utf-8", "replace"))
            if token == opener and parser.calling and not inside:
                grammar.reset()
                inside = True
            elif inside and not parser.calling:
                inside = False
                grammar.reset()
        whole = reply.message.tool_calls[:-1] if reply.finish == "length" else reply.message.tool_calls
        for call in whole:
            check(call, TOOLS)
        several += len(whole) > 1
        thoughts += bool(reply.message.reasoning)
        outside += bool(foreign)
    assert several > 10
    assert thoughts > 10
    assert outside > 30


# What the grammar lets through and how it is read.


def reads(engine: Engine, grammar: Grammar, text: str) -> str:
    """Return what of the text the grammar accepts."""
    grammar.reset()
    taken = b""
    for token in engine.tokenize(text, special=False):
        if not grammar.allows(token):
            break
        grammar.accept(token)
        taken += engine.piece(token)
    return taken.decode("utf-8", "replace")


SOURCES = [
    "<",
    "<<",
    "</",
    "</para",
    "</parameter",
    "</tool",
    "<b>bold</b>",
    "<parameter>\n1\n</param>",
    "List<T> one = new ArrayList<>();",
    "std::vector<std::pair<int, T>> x; if (a < b && c > d) x <<= 2;",
    "<?xml version='1.0'?>\n<project>\n  <function name='x'/>\n</project>\n",
    "<think>\nhm\n</think>",
    "<function>f</function",
    "<|im_end|>",
    "tests/test_a.py::test_x[<lambda>0]",
    'say "hi" \\ \t there',
    "Größe 😀 <é>",
    "\n\n",
    " ",
    "",
]


@pytest.mark.parametrize("source", SOURCES)
def test_sources_get_through_and_are_read_back(engine: Engine, source: str) -> None:
    """As a text, and as a text in a list; written with JSON's escapes or without."""
    grammar = Grammar(engine, call_grammar(TOOLS))
    edit = ToolCall("call-1", "edit", {"file_path": "a", "old_string": source, "new_string": source + "x"})
    todo = ToolCall("call-2", "todo_write", {"items": [source, "x" + source]})
    text = "".join(piece.text for piece in qwen.render(None, Message("assistant", tool_calls=(edit, todo))))
    blocks = [block.partition("</tool_call>")[0] + "</tool_call>" for block in text.split("<tool_call>")[1:]]
    assert [reads(engine, grammar, block) for block in blocks] == blocks
    parser = qwen.Parser(TOOLS, False)
    parser.feed("".join("<tool_call>" + block for block in blocks))
    assert parser.finish().tool_calls == (edit, todo)


def test_escapes_of_characters_can_be_written_in_lists(engine: Engine) -> None:
    grammar = Grammar(engine, call_grammar(TOOLS))
    block = '\n<function=todo_write>\n<parameter=items>\n["\\u00e9\\u003Cb>"]\n</parameter>\n</function>\n</tool_call>'
    assert reads(engine, grammar, block) == block
    parser = qwen.Parser(TOOLS, False)
    parser.feed("<tool_call>" + block)
    (call,) = parser.finish().tool_calls
    assert call.arguments == {"items": ["é<b>"]}


@pytest.mark.parametrize(
    "tag", ["</parameter>", "</function>", "</tool_call>", "<tool_call>", "<parameter=", "<function="]
)
@pytest.mark.parametrize("start", ['<parameter=items>\n["a <', '<parameter=items>\n["\\n', '<parameter=items>\n["'])
def test_no_tag_in_a_list(engine: Engine, tag: str, start: str) -> None:
    grammar = Grammar(engine, call_grammar(TOOLS))
    text = f"\n<function=todo_write>\n{start}{tag}"
    assert reads(engine, grammar, text + '"') != text + '"'
    assert reads(engine, grammar, text[: -len(tag)] + tag[:-1]) == text[: -len(tag)] + tag[:-1]


ORDERS = [
    (["file_path", "old_string", "new_string", "replace_all"], True),
    (["new_string", "file_path", "old_string"], True),
    (["replace_all", "file_path", "old_string", "new_string"], True),
    (["file_path", "old_string"], False),
    (["file_path", "file_path", "old_string", "new_string"], False),
]


@pytest.mark.parametrize(("order", "allowed"), ORDERS)
def test_parameters_in_any_order_but_all_that_are_required(engine: Engine, order: list[str], allowed: bool) -> None:
    """Also an optional one before a required one: models of this family write the order that they were trained on."""
    values = {"replace_all": "true"}
    text = "\n<function=edit>\n"
    text += "".join(f"<parameter={name}>\n{values.get(name, 'x')}\n</parameter>\n" for name in order) + "</function>"
    assert (reads(engine, Grammar(engine, call_grammar(TOOLS)), text) == text) == allowed
