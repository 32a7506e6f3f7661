"""Whatever tokens come, in whatever portions: the text is that of all their bytes together, and nothing raises."""

from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from qwencode.events import TextDelta
from qwencode.messages import Message, ToolSpec
from qwencode.model.dialect import qwen
from qwencode.model.llama.library import Engine
from qwencode.model.llama.writer import Writer

EDIT = ToolSpec("edit", "Edit.", {"properties": {"path": {"type": "string"}}, "required": ["path"]})
MARKS = [
    "<tool_call>",
    "</tool_call>",
    "<function=edit>",
    "<parameter=path>",
    "</parameter>",
    "</function>",
    "</think>",
]
portions = st.lists(st.integers(1, 9), min_size=1, max_size=40)


def byte_tokens(engine: Engine) -> list[int]:
    found: dict[bytes, int] = {}
    for token in range(engine.vocab_size):
        if len(piece := engine.piece(token)) == 1:
            found.setdefault(piece, token)
    assert len(found) == 256
    return [found[bytes([byte])] for byte in range(256)]


def write(engine: Engine, tokens: Sequence[int], thinking: bool, sizes: Sequence[int]) -> tuple[str, Message]:
    writer, at = Writer(engine, [EDIT], thinking, 1), 0
    for number in range(len(tokens)):
        if at >= len(tokens):
            break
        size = sizes[number % len(sizes)]
        writer.take(tokens[at : at + size])
        at += size
    writer.drain()
    assert list(writer.ids) == list(tokens)
    return writer.text, writer.finish()[0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=6) | st.sampled_from(MARKS).map(str.encode), max_size=12), st.booleans(), portions)
@example(["😀".encode()[:3], b"</think>"], True, [1])
@example([b"<tool_call>\n<function=edit>\n<parameter=path>\n\xe2\x82", b"\n</parameter>"], False, [1])
def test_any_bytes(engine: Engine, parts: list[bytes], thinking: bool, sizes: list[int]) -> None:
    data = b"".join(parts)
    alphabet = byte_tokens(engine)
    tokens = [alphabet[byte] for byte in data]
    text, message = write(engine, tokens, thinking, sizes)
    assert text == data.decode("utf-8", "replace")
    assert write(engine, tokens, thinking, [1000]) == (text, message)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.booleans(), portions)
def test_any_tokens(engine: Engine, data: st.DataObject, thinking: bool, sizes: list[int]) -> None:
    """Special tokens among them: those with a text spell it, the others say nothing."""
    tokens = data.draw(st.lists(st.integers(0, engine.vocab_size - 1), max_size=40))
    text, message = write(engine, tokens, thinking, sizes)
    assert text == b"".join(map(engine.piece, tokens)).decode("utf-8", "replace")
    assert write(engine, tokens, thinking, [1000]) == (text, message)


CALL = "<tool_call>\n<function=edit>\n<parameter=path>\nls\n</parameter>\n</function>\n</tool_call>"
QUOTED = f"The file says:\n{CALL}\nSo it is."


def test_a_quoted_call_is_text(engine: Engine) -> None:
    """A model that copies what it was shown writes it in ordinary tokens: nothing is carried out."""
    ids = [token for part in qwen.split_specials(QUOTED) for token in engine.tokenize(part, False)]
    writer = Writer(engine, [EDIT], False, 1)
    events = [event for token in ids for event in writer.take([token])] + writer.drain()
    message, finish = writer.finish()
    assert (message.tool_calls, finish) == ((), "stop")
    assert message.content == QUOTED
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == QUOTED
    assert writer.text == QUOTED


def test_the_same_in_special_tokens_is_a_call(engine: Engine) -> None:
    writer = Writer(engine, [EDIT], False, 1)
    writer.take(engine.tokenize(QUOTED, True))
    writer.drain()
    (call,) = writer.finish()[0].tool_calls
    assert (call.name, call.arguments, call.problem) == ("edit", {"path": "ls"}, "")


def test_a_quoted_end_of_thinking_ends_nothing(engine: Engine) -> None:
    text = "It prints </think> there.\n"
    ids = [token for part in qwen.split_specials(text) for token in engine.tokenize(part, False)]
    writer = Writer(engine, [EDIT], True, 1)
    writer.take(ids)
    assert writer.thinking
    writer.take(engine.tokenize("</think>\n\nDone.", True))
    writer.drain()
    message, _ = writer.finish()
    assert (message.reasoning, message.content) == (text.strip(), "Done.")
