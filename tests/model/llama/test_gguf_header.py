"""Bad files are refused in one sentence before llama.cpp sees them; good ones are described rightly."""

import os
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.errors import ModelUnavailable
from qwencode.messages import Message
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.gguf_header import check
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options
from tiny_model import finish


def head_size(path: Path) -> int:
    """Return where the tensors' data begin."""
    return min(tensor.data_offset for tensor in gguf.GGUFReader(path).tensors)


def refused(path: Path) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        LlamaModel(path, Fit(512, 1))
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def edited(tiny: Path, path: Path, old: bytes, new: bytes) -> Path:
    data = tiny.read_bytes()
    assert data.count(old) >= 1
    assert len(old) == len(new)
    return write(path, data.replace(old, new, 1))


def with_value(tiny: Path, path: Path, key: str, value: int) -> Path:
    """Copy the file with another value for a 32-bit integer of the metadata."""
    data = bytearray(tiny.read_bytes())
    at = data.index(key.encode()) + len(key) + 4
    data[at : at + 4] = struct.pack("<I", value)
    return write(path, bytes(data))


def described(builder: ModuleType, shape: object, path: Path, parts: int = 1, weights: bool = True) -> Path:
    """Write the metadata of a shape, and of its weights at most one."""
    writer = gguf.GGUFWriter(path, "qwen35moe")
    builder.describe(writer, shape, "x")
    writer.add_uint16("split.count", parts)
    if weights:
        writer.add_tensor("output_norm.weight", np.ones(8, np.float32))
    finish(writer)
    return path


def test_a_good_file_is_described(tiny: Path) -> None:
    header = check(tiny)
    assert header.architecture == "qwen35moe"
    assert header.count("block_count") == 4
    assert header.count("no.such.key") == 0
    assert header.cache_bytes == 2 * 1 * 1 * (32 + 32)


def test_the_sizes_of_the_real_model_are_those_that_llama_cpp_reports(builder: ModuleType, tmp_path: Path) -> None:
    """20 KiB of cache for each token and 62.81 MiB of state; the metadata alone decide."""
    header = check(described(builder, replace(builder.PRESETS["full"], vocab=2048), tmp_path / "head.gguf"))
    assert header.cache_bytes == 20 * 1024
    assert header.state_bytes / 2**20 == pytest.approx(62.81, abs=0.01)


def test_missing_directory_empty(tmp_path: Path) -> None:
    assert "no model file" in refused(tmp_path / "none.gguf")
    (tmp_path / "folder.gguf").mkdir()
    assert "directory" in refused(tmp_path / "folder.gguf")
    assert "empty" in refused(write(tmp_path / "empty.gguf", b""))


@pytest.mark.usefixtures("permissions_hold")
def test_unreadable(tiny: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "secret.gguf", tiny.read_bytes())
    path.chmod(0)
    assert "cannot be read" in refused(path)


def test_not_a_model(tiny: Path, tmp_path: Path) -> None:
    assert "not a GGUF" in refused(write(tmp_path / "a.gguf", b"<!DOCTYPE html>" * 100))
    assert "version 9" in refused(edited(tiny, tmp_path / "b.gguf", b"GGUF\3\0\0\0", b"GGUF\x09\0\0\0"))


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.3, 0.9, 1.0])
def test_cut_off(tiny: Path, tmp_path: Path, share: float) -> None:
    data = tiny.read_bytes()
    assert "cut off" in refused(write(tmp_path / "part.gguf", data[: max(5, int(len(data) * share) - 1)]))


@pytest.mark.parametrize("where", ["head", "data"])
def test_every_place_to_cut_is_noticed(tiny: Path, tmp_path: Path, where: str) -> None:
    data, head = tiny.read_bytes(), head_size(tiny)
    places = range(4, head, 97) if where == "head" else range(head, len(data) - 32, len(data) // 20)
    for place in places:
        with pytest.raises(ModelUnavailable):
            check(write(tmp_path / "part.gguf", data[:place]))


def test_a_vector_with_two_dimensions_is_a_vector(tmp_path: Path) -> None:
    """llama.cpp takes it for one, and ends the process where it is not of 32 bits."""
    writer = gguf.GGUFWriter(tmp_path / "flat.gguf", "qwen35moe")
    writer.add_tensor("output_norm.weight", np.ones((1, 64), np.float16))
    finish(writer)
    assert "'output_norm.weight' is of type 1" in refused(tmp_path / "flat.gguf")


@pytest.mark.parametrize("kind", [0, 8])  # bytes, strings
def test_a_list_that_no_model_has_is_not_read(tmp_path: Path, kind: int) -> None:
    head = struct.pack("<4sIQQ", b"GGUF", 3, 1, 1) + struct.pack("<Q1sIIQ", 1, b"x", 9, kind, 1 << 25)
    path = write(tmp_path / "long.gguf", head)
    os.truncate(path, 1 << 30)  # with a hole for its end
    assert "promises more" in refused(path)


def test_another_architecture(tiny: Path, tmp_path: Path) -> None:
    path = edited(tiny, tmp_path / "other.gguf", b"qwen35moe", b"llama4moe")
    sentence = refused(path)
    assert "'llama4moe'" in sentence
    assert "qwen35moe" in sentence


def test_one_part_of_several(tmp_path: Path, builder: ModuleType) -> None:
    path = tmp_path / "model-00001-of-00003.gguf"
    assert "one of 3 parts" in refused(described(builder, builder.PRESETS["tiny"], path, parts=3))


def test_a_vocabulary_without_weights(tmp_path: Path, builder: ModuleType) -> None:
    path = described(builder, builder.PRESETS["tiny"], tmp_path / "vocab.gguf", weights=False)
    assert "no weights" in refused(path)


@pytest.mark.parametrize("key", ["tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type"])
def test_no_tokenizer(tiny: Path, tmp_path: Path, key: str) -> None:
    path = edited(tiny, tmp_path / "mute.gguf", key.encode(), key.encode().replace(b"ggml", b"none"))
    assert "no tokenizer" in refused(path)


def test_no_chat_tokens(tiny: Path, tmp_path: Path) -> None:
    path = edited(tiny, tmp_path / "base.gguf", b"<|im_start|>", b"<|im_begin|>")
    assert "lacks the chat token <|im_start|>" in refused(path)


def test_a_chat_token_that_is_plain_text(tiny: Path, tmp_path: Path) -> None:
    data = bytearray(tiny.read_bytes())
    tokens = [bytes(part).decode() for part in _tokens(tiny)]
    at = data.index(b"tokenizer.ggml.token_type") + len("tokenizer.ggml.token_type") + 4 + 4 + 8
    at += 4 * tokens.index("<think>")
    assert data[at] == 4
    data[at] = 1
    assert "does not mark <think> as special" in refused(write(tmp_path / "plain.gguf", bytes(data)))


def _tokens(path: Path) -> list[bytes]:
    field = gguf.GGUFReader(path).fields["tokenizer.ggml.tokens"]
    return [bytes(field.parts[index]) for index in field.data]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("qwen35moe.attention.head_count", 0, "head_count is 0"),
        ("qwen35moe.ssm.group_count", 0, "group_count is 0"),
        ("qwen35moe.full_attention_interval", 0, "interval is 0"),
        ("qwen35moe.expert_used_count", 99, "99 of 4 experts"),
        ("qwen35moe.ssm.group_count", 3, "cannot be shared"),
        ("qwen35moe.ssm.state_size", 16, "disagree"),
        ("qwen35moe.block_count", 1 << 30, "block_count is"),
        ("qwen35moe.embedding_length", 128, "cannot be loaded"),
    ],
)
def test_senseless_sizes(tiny: Path, tmp_path: Path, key: str, value: int, words: str) -> None:
    assert words in refused(with_value(tiny, tmp_path / "odd.gguf", key, value))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_heads_raise_nothing_else(
    tiny: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(tiny.read_bytes())
    head = 24_000
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, head), st.integers(0, 255)), min_size=1, max_size=6)):
        content[at] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    try:
        check(write(path, bytes(content)))
    except ModelUnavailable as error:
        assert "\n" not in str(error)


def run(path: Path) -> None:
    """Load a file and let it write five tokens."""
    model = LlamaModel(path, Fit(context=512, threads=1))
    for _ in model.stream([Message("user", "hello, wie geht es <b>")], [], Options(max_tokens=5)):
        pass


def survives(act: Callable[[], object]) -> bool:
    """Run something in a child process and say whether it ended well or with ModelUnavailable."""
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        code = 1
        try:
            act()
            code = 0
        except ModelUnavailable:
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_tokens_that_are_no_text(tiny: Path, tmp_path: Path) -> None:
    """Tokens are bytes, here as in llama.cpp: two of them are not one because neither is UTF-8."""
    data = tiny.read_bytes()
    for old, new in ((b"er", b"\xff\xfe"), (b"in", b"\xfe\xff")):
        data = data.replace(struct.pack("<Q", 2) + old, struct.pack("<Q", 2) + new, 1)
    path = write(tmp_path / "bytes.gguf", data)
    assert check(path).vocab_size == 1024
    assert survives(lambda: run(path))
    assert "a token twice" in refused(write(path, data.replace(b"\xfe\xff", b"\xff\xfe", 1)))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "files", [pytest.param(150, marks=pytest.mark.slow), pytest.param(1000, marks=pytest.mark.long)]
)
def test_no_damaged_head_ends_the_process(tiny: Path, tmp_path: Path, files: int) -> None:
    chance, original, head = random.Random(files), tiny.read_bytes(), head_size(tiny)
    for number in range(files):
        content = bytearray(original)
        for _ in range(chance.choice([1, 1, 2, 8])):
            content[chance.choice([chance.randrange(head), chance.randrange(1200)])] = chance.choice(
                [0, 1, 0xFF, chance.randrange(256)]
            )
        path = write(tmp_path / "damaged.gguf", bytes(content))
        if not survives(lambda path=path: run(path)):
            path.rename(tmp_path / f"deadly-{number}.gguf")
            pytest.fail(f"llama.cpp died of {tmp_path}/deadly-{number}.gguf")


def test_the_bytes_of_every_tensor(tiny: Path) -> None:
    tensors = {tensor.name: int(tensor.n_bytes) for tensor in gguf.GGUFReader(tiny).tensors}
    assert check(tiny).tensors == tensors


def test_strings_of_lists_stay_in_the_file(tiny: Path) -> None:
    header = check(tiny)
    assert header.vocab_size == 1024
    assert not header.metadata["tokenizer.ggml.tokens"].items
    assert len(header.metadata["tokenizer.ggml.token_type"].items) == 1024
