"""Whatever is wrong with a file: one sentence, and never the end of the process.

Files are taken apart and put together again with one thing changed. What `check` lets through is loaded, and asked for
an answer, in a child process: there an abort is seen as what it is.
"""

import os
import random
import signal
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from qwencode.errors import ModelUnavailable
from qwencode.messages import Message
from qwencode.model.llama.fit import Fit
from qwencode.model.llama.gguf_header import check
from qwencode.model.llama.library import Engine
from qwencode.model.llama.model import LlamaModel
from qwencode.model.protocol import Options

WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
UINT32, INT32, FLOAT32, BOOL, UINT64 = 4, 5, 6, 7, 10


@dataclass(frozen=True, slots=True)
class Tensor:
    name: bytes
    sizes: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True, slots=True)
class File:
    """A GGUF file in its parts. `pairs`: key, type and the bytes of the value; `marks`: where the sections begin."""

    pairs: tuple[tuple[bytes, int, bytes], ...]
    tensors: tuple[Tensor, ...]
    weights: bytes
    marks: tuple[int, ...] = ()

    def value(self, key: str) -> tuple[int, bytes]:
        return next((kind, data) for name, kind, data in self.pairs if name == key.encode())

    def with_value(self, key: str, kind: int, data: bytes) -> "File":
        return replace(self, pairs=tuple((n, kind, data) if n == key.encode() else (n, k, d) for n, k, d in self.pairs))

    def without(self, key: str) -> "File":
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair[0] != key.encode()))

    def with_tensor(self, number: int, *tensors: Tensor) -> "File":
        return replace(self, tensors=(*self.tensors[:number], *tensors, *self.tensors[number + 1 :]))

    def written(self, version: int = 3, counts: tuple[int, int] | None = None, alignment: int = 32) -> bytes:
        pairs, tensors = counts or (len(self.pairs), len(self.tensors))
        parts = [b"GGUF", struct.pack("<IQQ", version, tensors, pairs)]
        parts += [text(name) + struct.pack("<I", kind) + data for name, kind, data in self.pairs]
        for one in self.tensors:
            sizes = struct.pack(f"<I{len(one.sizes)}Q", len(one.sizes), *one.sizes)
            parts.append(text(one.name) + sizes + struct.pack("<IQ", one.kind, one.offset))
        head = b"".join(parts)
        return head + bytes(-len(head) % alignment) + self.weights


def text(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


def array(kind: int, data: bytes, count: int) -> bytes:
    return struct.pack("<IQ", kind, count) + data


def taken_apart(data: bytes) -> File:
    """Take a good file apart, without any help of the code under test."""
    at, marks = 24, [0, 4, 8, 16, 24]

    def number(code: str) -> int:
        nonlocal at
        at += struct.calcsize("<" + code)
        return struct.unpack_from("<" + code, data, at - struct.calcsize("<" + code))[0]

    def string() -> bytes:
        nonlocal at
        size = number("Q")
        at += size
        return data[at - size : at]

    def skip(kind: int) -> None:
        nonlocal at
        if kind == STRING:
            string()
        elif kind == ARRAY:
            element, count = number("I"), number("Q")
            for _ in range(count):
                skip(element)
        else:
            at += WIDTHS[kind]

    tensors, pairs = struct.unpack_from("<QQ", data, 8)
    found: list[tuple[bytes, int, bytes]] = []
    for _ in range(pairs):
        key, kind = string(), number("I")
        start = at
        skip(kind)
        found.append((key, kind, data[start:at]))
        marks += [start, at]
    infos: list[Tensor] = []
    for _ in range(tensors):
        name = string()
        sizes = tuple(number("Q") for _ in range(number("I")))
        infos.append(Tensor(name, sizes, number("I"), number("Q")))
        marks.append(at)
    start = (at + 31) // 32 * 32
    marks += [start, *(start + one.offset for one in infos), len(data)]
    return File(tuple(found), tuple(infos), data[start:], tuple(sorted(set(marks))))


@pytest.fixture(scope="module", params=["tiny", pytest.param("tiny_llama", marks=pytest.mark.slow)])
def good(request: pytest.FixtureRequest) -> File:
    data = request.getfixturevalue(request.param).read_bytes()
    file = taken_apart(data)
    assert file.written() == data
    return file


@pytest.fixture(scope="module")
def good_family(tiny: Path) -> File:
    return taken_apart(tiny.read_bytes())


def try_out(path: Path) -> str:
    """Load a file and let it answer, in a child process. Return the sentence with which it was refused, or nothing."""

    def answer() -> None:
        model = LlamaModel(path, Fit(context=256, threads=1, batch=32))
        for _ in model.stream([Message("user", "hello <b> 1 Größe")], [], Options(max_tokens=4, seed=1)):
            pass

    return in_a_child(path, answer)


def in_a_child(path: Path, act: Callable[[], object]) -> str:
    """Do something in a child process and return the sentence with which it was refused, or nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.environ["GGML_NO_BACKTRACE"] = "1"
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        code = 1
        try:
            signal.alarm(100)
            act()
            code = 0
        except ModelUnavailable as error:
            os.write(writer, os.fsencode(str(error))[:2000])
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        sentence = os.fsdecode(said.read())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, f"the process ended with {status}"
    if sentence:
        assert "\n" not in sentence
        assert sentence.endswith("."), sentence
        assert sentence.count(str(path)) == 1
    return sentence


def refusal(path: Path) -> str:
    """Return the sentence with which a file is refused before llama.cpp sees it, or nothing."""
    try:
        check(path)
    except ModelUnavailable as error:
        assert error.exit_code == 4
        assert "\n" not in str(error)
        assert str(error).endswith("."), str(error)
        assert str(error).count(str(path)) == 1
        return str(error)
    return ""


def tried(path: Path, data: bytes) -> str:
    """Say in one sentence what is wrong with a file, or nothing if it can be used."""
    path.write_bytes(data)
    return refusal(path) or try_out(path)


def changes(good: File) -> Iterator[tuple[str, bytes]]:
    """Yield every change of one thing: a value, its type, a key missing or there twice, a tensor's description."""
    numbers = [0, 1, 2, 3, 5, 7, 63, 64, 65, 255, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1]
    for key, kind, data in good.pairs:
        name = key.decode()
        yield f"{name} missing", good.without(name).written()
        yield f"{name} twice", replace(good, pairs=(*good.pairs, (key, kind, data))).written()
        yield f"{name} a text", good.with_value(name, STRING, text(b"x")).written()
        yield f"{name} an empty text", good.with_value(name, STRING, text(b"")).written()
        yield f"{name} a list", good.with_value(name, ARRAY, array(INT32, struct.pack("<4i", 1, 2, 3, 4), 4)).written()
        yield f"{name} an empty list", good.with_value(name, ARRAY, array(INT32, b"", 0)).written()
        yield f"{name} true", good.with_value(name, BOOL, b"\1").written()
        yield f"{name} huge", good.with_value(name, UINT64, b"\xff" * 8).written()
        yield f"{name} not a number", good.with_value(name, FLOAT32, struct.pack("<f", float("nan"))).written()
        if WIDTHS.get(kind) == 4:
            for number in numbers:
                yield f"{name} {number}", good.with_value(name, kind, struct.pack("<I", number)).written()
    for number, tensor in enumerate(good.tensors):
        name = tensor.name.decode()
        yield f"{name} missing", good.with_tensor(number).written()
        yield f"{name} twice", good.with_tensor(number, tensor, tensor).written()
        yield f"{name} named otherwise", good.with_tensor(number, replace(tensor, name=b"other")).written()
        for kind in (0, 1, 2, 8, 14, 24, 27, 30, 4, 5, 38, 99, 1 << 31):
            yield f"{name} of type {kind}", good.with_tensor(number, replace(tensor, kind=kind)).written()
        for offset in (0, 1, 16, 32, tensor.offset + 32, len(good.weights), 1 << 62, (1 << 64) - 32):
            yield f"{name} at {offset}", good.with_tensor(number, replace(tensor, offset=offset)).written()
        for sizes in ((), (0,), (1,), (1 << 40, 1 << 40), (*tensor.sizes, 1), (*tensor.sizes, 2), tensor.sizes[::-1]):
            yield f"{name} of {sizes}", good.with_tensor(number, replace(tensor, sizes=sizes)).written()
        for more in (1, 32, 1 << 20):
            sizes = (tensor.sizes[0] + more, *tensor.sizes[1:])
            yield f"{name} of {sizes}", good.with_tensor(number, replace(tensor, sizes=sizes)).written()
    for key, kind, data in (*MORE, *FURTHER):
        architecture = good.value("general.architecture")[1][8:].decode()
        name = key.replace("ARCH", architecture)
        how = "added" if (key, kind, data) in MORE else "put in"
        yield f"{name} {how}", replace(good, pairs=(*good.pairs, (name.encode(), kind, data))).written()


MORE = [  # keys that the tiny file does not have, with values of which llama.cpp died
    *(("ARCH.expert_group_count", UINT32, struct.pack("<I", number)) for number in (0, 1, 2, 4, 1 << 20)),
    *(("ARCH.nextn_predict_layers", UINT32, struct.pack("<I", number)) for number in (1, 3, 4, 5, 1 << 31)),
    *(("ARCH.rope.scaling.type", STRING, text(name)) for name in (b"", b"x", b"none", b"yarn")),
]
FURTHER = [  # other keys that llama.cpp reads in some families
    *(("ARCH.expert_count", UINT32, struct.pack("<I", number)) for number in (0, 1, 8, 512, 513, 1 << 20, 1 << 31)),
    *(("ARCH.expert_used_count", UINT32, struct.pack("<I", number)) for number in (0, 1, 8, 513, 1 << 31)),
    ("ARCH.expert_used_count", ARRAY, array(UINT32, struct.pack("<4I", 1, 1, 1, 1), 4)),
    *(("ARCH.attention.key_length", UINT32, struct.pack("<I", number)) for number in (0, 1, 8, 15, 16, 32, 1 << 31)),
    *(("ARCH.attention.value_length", UINT32, struct.pack("<I", number)) for number in (0, 8, 16, 1 << 31)),
    *(("ARCH.attention.causal", BOOL, value) for value in (b"\0", b"\1")),
    *(("ARCH.pooling_type", UINT32, struct.pack("<I", number)) for number in (0, 1, 2, 3, 4, 5, 99)),
    *(("ARCH.attention.sliding_window", UINT32, struct.pack("<I", number)) for number in (0, 1, 16)),
    *(("ARCH.rope.scaling.factor", FLOAT32, struct.pack("<f", number)) for number in (0.0, -1.0, 1e-30, float("inf"))),
    *(("ARCH.vocab_size", UINT32, struct.pack("<I", number)) for number in (0, 1, 1 << 20, 1 << 31)),
    *(("ARCH.embedding_length_out", UINT32, struct.pack("<I", number)) for number in (0, 1, 32, 1 << 20)),
    *(("tokenizer.ggml.eot_token_id", UINT32, struct.pack("<I", number)) for number in (0, 5, 1 << 20, (1 << 32) - 1)),
    *(("tokenizer.ggml.add_space_prefix", BOOL, value) for value in (b"\0", b"\1")),
    ("tokenizer.ggml.precompiled_charsmap", ARRAY, array(0, b"\1\2\3", 3)),
    ("general.sampling.temp", FLOAT32, struct.pack("<f", float("nan"))),
    ("general.sampling.top_k", INT32, struct.pack("<i", -5)),
]


def test_one_change_at_a_time(good: File, tmp_path: Path) -> None:
    sample = [change for number, change in enumerate(changes(good)) if number % 50 == 0 or change[0].endswith("added")]
    hold_up(sample, tmp_path)


def test_a_few_changes_of_a_file_of_another_family(tiny_llama: Path, tmp_path: Path) -> None:
    every = changes(taken_apart(tiny_llama.read_bytes()))
    hold_up([change for number, change in enumerate(every) if number % 110 == 0], tmp_path)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=pytest.mark.long if part else pytest.mark.slow) for part in range(4)]
)
def test_every_change(good: File, tmp_path: Path, part: int) -> None:
    hold_up([change for number, change in enumerate(changes(good)) if number % 4 == part], tmp_path)


def hold_up(changed: Iterable[tuple[str, bytes]], folder: Path) -> None:
    """Try all of the files, and name those that ended the process."""
    deadly: list[str] = []
    answers = 0
    for name, data in changed:
        try:
            answers += not tried(folder / "changed.gguf", data)
        except AssertionError as error:
            deadly.append(f"{name}: {error}")
    assert not deadly
    assert answers


@pytest.mark.parametrize("files", [20, pytest.param(300, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_random_bits(good: File, tmp_path: Path, files: int) -> None:
    chance, data = random.Random(files), good.written()
    head = len(data) - len(good.weights)

    def flipped() -> Iterator[tuple[str, bytes]]:
        for number in range(files):
            content = bytearray(data)
            for _ in range(chance.choice([1, 1, 1, 2, 4, 16])):
                content[chance.randrange(head)] ^= 1 << chance.randrange(8)
            yield str(number), bytes(content)

    hold_up(flipped(), tmp_path)


def test_cut_at_every_section(good: File, tmp_path: Path) -> None:
    data, path = good.written(), tmp_path / "part.gguf"
    end = len(data) - 31  # what comes behind may be padding
    chance = random.Random(1)
    places = {mark + step for mark in good.marks for step in (-1, 0, 1)} | {chance.randrange(end) for _ in range(100)}
    assert len(places) > 300
    for place in sorted(place for place in places if 0 <= place <= end):
        path.write_bytes(data[:place])
        sentence = refusal(path)
        assert "cut off" in sentence if place > 4 else sentence, place


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GGUF", "cut off"),
        (b"gguf" + bytes(100), "not a GGUF"),
        (b"FUGG" + bytes(100), "not a GGUF"),
        (b"GGML" + bytes(100), "not a GGUF"),
        (b"PK\3\4" + bytes(100), "not a GGUF"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not a GGUF"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + bytes(100), "GGUF version 50331648"),
        (b"GGUF" + struct.pack("<IQQ", 1, 1, 1) + bytes(100), "GGUF version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, (1 << 64) - 1, 1) + bytes(100), "promises more"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, (1 << 63)) + bytes(100), "promises more"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + struct.pack("<Q", (1 << 64) - 1) + bytes(100), "cut off"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + bytes(100), "no weights"),
        (b"\0" * 1000, "not a GGUF"),
        (b"", "is empty"),
        (b"G", "not a GGUF"),
    ],
)
def test_no_model_at_all(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    assert words in refusal(path)


@pytest.mark.parametrize("element", [STRING, ARRAY, UINT32, UINT64, 99])
@pytest.mark.parametrize("count", [1 << 20, 1 << 40, (1 << 64) - 1])
def test_absurd_counts(good: File, tmp_path: Path, element: int, count: int) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(good.with_value("tokenizer.ggml.tokens", ARRAY, array(element, b"", count)).written())
    assert refusal(path)
    pairs, tensors = len(good.pairs), len(good.tensors)
    for counts in ((pairs + 1, tensors), (pairs, tensors + 1), (pairs - 1, tensors), (pairs, tensors - 1), (0, 1)):
        assert tried(path, good.written(counts=counts)), counts


@pytest.mark.slow
def test_lists_inside_lists(good: File, tmp_path: Path) -> None:
    path, nested = tmp_path / "x.gguf", b""
    for _ in range(100_000):
        nested = struct.pack("<IQ", ARRAY, 1) + nested
    path.write_bytes(good.with_value("general.name", ARRAY, nested).written())
    assert refusal(path)


def test_what_is_no_file(tiny: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    assert "not a regular file" in refusal(tmp_path / "pipe.gguf")
    assert "not a regular file" in refusal(Path("/dev/zero"))
    assert "is a directory" in refusal(tmp_path)
    assert "no model file" in refusal(tmp_path / "none.gguf")
    (tmp_path / "loop.gguf").symlink_to(tmp_path / "loop.gguf")
    (tmp_path / "gone.gguf").symlink_to(tmp_path / "nowhere")
    assert refusal(tmp_path / "loop.gguf")
    assert "no model file" in refusal(tmp_path / "gone.gguf")
    assert refusal(tmp_path / "long.gguf" / ("x" * 300))
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))
    assert "cannot be read" in refusal(tmp_path / "a\0b")


def test_no_permission(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret.gguf"
    path.write_bytes(tiny.read_bytes())
    path.chmod(0)

    def look() -> None:
        if os.geteuid() == 0:
            os.seteuid(65534)
        check(path)

    for folder in [*path.parents][:3]:
        folder.chmod(0o755)
    assert "cannot be read: Permission denied." in in_a_child(path, look)


def test_a_name_that_is_no_text(tiny: Path, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xf6\xdfe.gguf"))
    path.symlink_to(tiny)
    assert try_out(path) == ""


@pytest.mark.parametrize("key", ["tokenizer.ggml.model", "tokenizer.ggml.pre"])
@pytest.mark.parametrize("value", ["", "llama", "rwkv", "default", "deepseek-llm", "gpt-4o", None])
def test_a_tokenizer_that_is_not_of_this_family(good_family: File, tmp_path: Path, key: str, value: str | None) -> None:
    """llama.cpp takes the file, and dies of a word of 300,000 letters, or loses bytes."""
    good = good_family
    file = good.without(key) if value is None else good.with_value(key, STRING, text(value.encode()))
    path = tmp_path / "other.gguf"
    path.write_bytes(file.written())
    assert f"{value!r}" in refusal(path)


@pytest.mark.parametrize("pre", ["qwen35", "qwen2", "deepseek-r1-qwen", "llama-bpe", "llama3", "llama-v3"])
@pytest.mark.slow
def test_the_tokenizers_that_are_taken_take_long_words(good: File, tmp_path: Path, pre: str) -> None:
    path = tmp_path / "qwen.gguf"
    path.write_bytes(good.with_value("tokenizer.ggml.pre", STRING, text(pre.encode())).written())

    def cut_up() -> None:
        engine = Engine(path, Fit(context=256, threads=1, batch=32))
        for word in (
            "a" * 300_000,
            " " * 300_000 + "x",
            "1" * 100_000,
            "-" * 100_000,
            "\n" * 100_000,
            "é\u0301" * 100_000,
        ):
            assert b"".join(map(engine.piece, engine.tokenize(word, special=False))) == word.encode()

    assert in_a_child(path, cut_up) == ""
