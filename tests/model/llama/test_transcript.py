"""Messages become tokens once, and nothing from outside becomes a special token."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.messages import Message, ToolCall, ToolSpec
from qwencode.model.dialect import qwen
from qwencode.model.llama.library import Engine
from qwencode.model.llama.transcript import Transcript
from qwencode.model.llama.vocabulary import CONTROL, USER_DEFINED

READ = ToolSpec("read_file", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<tool_call>", "</tool_call>", "<think>", "</think>"]
SPECIALS += ["<tool_response>", "</tool_response>", "<|fim_prefix|>", "<|vision_start|>", "<|image_pad|>"]
hostile = st.lists(
    st.sampled_from([*SPECIALS, "<", ">", "|", "/", "think", "tool_call", "im_end", "<|", "|>", "\n", " "])
    | st.text(max_size=4)
).map("".join)


def special_ids(engine: Engine) -> set[int]:
    return {id for id in range(engine.vocab_size) if engine.attributes(id) & (CONTROL | USER_DEFINED)}


def spelled(engine: Engine, tokens: Sequence[int]) -> str:
    return b"".join(engine.piece(token, special=True) for token in tokens).decode("utf-8", "replace")


@settings(max_examples=60, deadline=None)
@given(st.tuples(hostile, hostile, hostile, hostile, hostile, hostile))
def test_text_from_outside_never_becomes_a_special_token(engine: Engine, texts: tuple[str, ...]) -> None:
    specials = special_ids(engine)

    def count(*texts: str) -> tuple[Counter[int], str]:
        system, asked, thought, said, argument, result = texts
        call = ToolCall("1", "read_file", {"path": argument})
        history = [
            Message("system", system),
            Message("user", asked),
            Message("assistant", said, thought, (call,)),
            Message("tool", result, answers="1"),
        ]
        tool = ToolSpec("read_file", asked, READ.parameters)
        prompt = Transcript(engine).prompt(history, [tool], thinking=True)
        pieces = qwen.render_prefix(system, [tool])
        for before, message in zip([None, *history[1:]], history[1:], strict=False):
            pieces += qwen.render(before, message)
        text = "".join(piece.text for piece in [*pieces, *qwen.open_reply(history[-1], True)])
        assert spelled(engine, prompt.tokens) == text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        return Counter(token for token in prompt.tokens if token in specials), text

    plain, _ = count(*("x" if text.strip() else "" for text in texts))
    found, text = count(*texts)
    assert found == plain
    assert all(part.strip() in text for part in texts)  # unaltered


def test_a_literal_that_only_this_vocabulary_knows_is_cut_too(engine: Engine) -> None:
    class Knowing:
        """A vocabulary that takes `[SECRET]` for a special token, wherever it stands."""

        def tokenize(self, text: str, special: bool) -> list[int]:
            return [-1] if "[SECRET]" in text else engine.tokenize(text, special)

    history = [Message("user", "a [SECRET] b")]
    assert -1 in Transcript(Knowing()).prompt(history, [], False).tokens
    safe = Transcript(Knowing(), ["[SECRET]", "<think>"]).prompt(history, [], False).tokens
    assert -1 not in safe
    assert "a [SECRET] b" in spelled(engine, safe)


def test_a_history_only_grows_at_its_end(engine: Engine) -> None:
    transcript = Transcript(engine)
    call = ToolCall("1", "read_file", {"path": "a.py"})
    history = [
        Message("system", "Be brief."),
        Message("user", "Look."),
        Message("assistant", "", "Hm.", (call, call)),
        Message("tool", "one", answers="1"),
        Message("tool", "two", answers="1"),
        Message("user", "And?"),
    ]
    whole = transcript.prompt(history, [READ], False)
    assert whole.stops[0] == whole.prefix
    assert len(whole.stops) == len(history)
    for length in range(1, len(history)):
        part = transcript.prompt(history[:length], [READ], False)
        assert part.stops == whole.stops[:length]
        assert part.tokens[: part.stops[-1]] == whole.tokens[: part.stops[-1]]
    other = transcript.prompt(history, [], False)
    assert not set(other.keys) & set(whole.keys)


def test_a_reply_keeps_the_ids_that_the_model_produced(engine: Engine) -> None:
    transcript = Transcript(engine)
    history = [Message("user", "Go.")]
    prompt = transcript.prompt(history, [], False)
    odd = [engine.tokenize(char, False)[0] for char in "hello"]  # not how the tokeniser would spell it
    assert odd != engine.tokenize("hello", False)
    reply = Message("assistant", "hello")
    transcript.keep(prompt, reply, odd, "hello", False)
    after = transcript.prompt([*history, reply, Message("user", "On.")], [], False)
    start = len(prompt.tokens)
    assert after.tokens[start : start + 5] == odd
    assert spelled(engine, after.tokens[start + 5 :]).startswith("<|im_end|>\n<|im_start|>user\nOn.<|im_end|>\n")
    elsewhere = transcript.prompt([Message("user", "Other."), reply], [], False)
    assert engine.tokenize("hello", False)[0] in elsewhere.tokens  # there it is rendered


def test_every_message_is_tokenised_once(engine: Engine) -> None:
    class Counting:
        def __init__(self) -> None:
            self.seen: list[str] = []

        def tokenize(self, text: str, special: bool) -> list[int]:
            self.seen.append(text)
            return engine.tokenize(text, special)

    counting = Counting()
    transcript = Transcript(counting)
    history = [Message("system", "S."), Message("user", "U.")]
    transcript.prompt(history, [READ], False)
    counting.seen.clear()
    transcript.prompt([*history, Message("assistant", "A.")], [READ], True)
    assert not any("U." in text or "S." in text for text in counting.seen)
    assert any("A." in text for text in counting.seen)


def test_what_was_not_seen_for_longest_is_forgotten_and_made_again(engine: Engine) -> None:
    roomy, small = Transcript(engine), Transcript(engine, most=2000)
    histories = [[Message("user", f"Number {number}. " + "word " * 40)] for number in range(60)]
    for history in histories:
        assert small.prompt(history, [], False).tokens == roomy.prompt(history, [], False).tokens
        assert small._kept <= 2000
    assert len(small._made) < len(roomy._made)
    assert small.prompt(histories[0], [], False).tokens == roomy.prompt(histories[0], [], False).tokens
    assert small._kept == sum(len(tokens) + 64 for tokens in small._made.values())
    whole = [message for history in histories for message in history]
    assert small.prompt(whole, [], False).tokens == roomy.prompt(whole, [], False).tokens
