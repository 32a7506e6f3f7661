"""Reads the structure of a GGUF file without trust: each step is checked against the end of the file."""

import math
import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, _ARRAY, INT32, FLOAT32 = 8, 9, 5, 6  # types of values, as _SCALARS has the others
_LENGTH = struct.Struct("<Q")  # before each string
_BLOCKS = {  # tensor type: values in a block, bytes of a block (ggml-common.h)
    **{0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292)},
    **{16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82)},
    **{23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2)},
    **{34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18)},
}
_F32 = 0  # the tensor type of everything with one dimension: llama.cpp ends the process on others
_NO_WEIGHTS = range(24, 29)  # integers, and floats of 64 bits
_MOST = 1 << 24  # elements of a list


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the metadata: the code of its element type, the number of elements, and these.

    Strings are not among them, since a vocabulary has hundreds of thousands. They stay in the file, from `at` on.
    """

    kind: int
    count: int
    items: Sequence[Any] = ()
    at: int = 0


class Broken(Exception):
    """What is wrong with the structure, as the rest of a sentence."""


class Reader:
    """A cursor over the file; every step is checked against its end."""

    def __init__(self, data: mmap.mmap):
        self._data, self._at, self._size = data, 0, len(data)

    def read(self) -> tuple[dict[str, Any], dict[str, int]]:
        """Return the metadata and the bytes of each tensor.

        Raises Broken when the structure is not sound or tensors lie beyond the end.
        """
        if self._data[:4] != b"GGUF":
            raise Broken("is not a GGUF file.")
        self._at = 4
        version = self._scalar("I")
        if version not in (2, 3):
            raise Broken(f"has GGUF version {version}; versions 2 and 3 can be read.")
        tensors, pairs = self._scalar("Q"), self._scalar("Q")
        if max(tensors, pairs) > 1 << 20:
            raise Broken("is damaged: its head promises more than a file can hold. Download it again.")
        metadata: dict[str, Any] = {}
        for _ in range(pairs):
            key = self._string()
            metadata[key] = self._value(self._scalar("I"))
        if not tensors:
            raise Broken("holds no weights, only a vocabulary.")
        return metadata, self._tensors(tensors, metadata.get("general.alignment", 32))

    def _tensors(self, count: int, alignment: Any) -> dict[str, int]:
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise Broken(f"is damaged: it is aligned to {alignment!r} bytes. Download it again.")
        end, found = 0, dict[str, int]()
        for _ in range(count):
            name = self._string()
            sizes = [self._scalar("Q") for _ in range(min(self._scalar("I"), 5))]
            kind, offset = self._scalar("I"), self._scalar("Q")
            if not 1 <= len(sizes) <= 4 or not all(0 < size < 1 << 40 for size in sizes) or len(name) > 63:
                raise Broken(f"is damaged: tensor {name[:63]!r} has no sensible size. Download it again.")
            if kind not in _BLOCKS:
                raise Broken(f"holds tensor {name!r} in type {kind}, which this version does not know.")
            is_vector = all(size == 1 for size in sizes[1:])  # so llama.cpp sees it, and ends the process at others
            if kind in _NO_WEIGHTS or (is_vector and kind != _F32):
                raise Broken(f"cannot be used: tensor {name!r} is of type {kind}, in which no model is converted.")
            values, width = _BLOCKS[kind]
            if sizes[0] % values:
                raise Broken(f"is damaged: tensor {name!r} has rows of {sizes[0]}. Download it again.")
            found[name] = math.prod(sizes) // values * width
            end = max(end, offset + found[name])
        start = (self._at + alignment - 1) // alignment * alignment
        if start + end > self._size:
            raise Broken(
                f"is cut off: it has {self._size:,} bytes of at least {start + end:,}. Continue or repeat the download."
            )
        return found

    def _scalar(self, code: str) -> Any:
        return self._scalars(code, 1)[0]

    def _scalars(self, code: str, count: int) -> tuple[Any, ...]:
        size = struct.calcsize("<" + code)
        if count * size > self._size - self._at:
            self._cut_off()
        values = struct.unpack_from(f"<{count}{code}", self._data, self._at)
        self._at += count * size
        return values

    def _string(self) -> str:
        size = self._scalar("Q")
        if size > self._size - self._at:
            self._cut_off()
        self._at += size
        return self._data[self._at - size : self._at].decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._string()
        if kind != _ARRAY:
            return self._scalar(self._code(kind))
        element, count = self._scalar("I"), self._scalar("Q")
        if count > _MOST:
            raise Broken("is damaged: its head promises more than a file can hold. Download it again.")
        if element == STRING:
            if count * 8 > self._size - self._at:
                self._cut_off()
            found = Array(element, count, at=self._at)
            for text in self.strings(found):
                self._at += _LENGTH.size + len(text)
            return found
        return Array(element, count, self._scalars(self._code(element), count))

    def strings(self, texts: Array) -> Iterator[bytes]:
        """Yield the elements of an array of strings. Raises Broken where the file ends before it."""
        at = texts.at
        for _ in range(texts.count):
            if at + _LENGTH.size > self._size:
                self._cut_off()
            at += _LENGTH.size + (size := _LENGTH.unpack_from(self._data, at)[0])
            if at > self._size:
                self._cut_off()
            yield self._data[at - size : at]

    def _code(self, kind: int) -> str:
        if kind not in _SCALARS:
            raise Broken("is damaged: its metadata has a value of unknown type. Download it again.")
        return _SCALARS[kind]

    def _cut_off(self) -> NoReturn:
        raise Broken(f"is cut off inside its head, at {self._size:,} bytes. Download it again.")
