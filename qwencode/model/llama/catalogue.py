"""Which published files are smaller than one that does not fit, and what the built-in one must be."""

from dataclasses import replace

from qwencode.model.catalogue import catalogue
from qwencode.model.found import is_projector
from qwencode.model.llama.gguf_header import Header

_PUBLISHER = "unsloth/Qwen3.6-35B-A3B-GGUF"
_SHAPE_35B = {"block_count": 40, "embedding_length": 2048, "expert_count": 256, "expert_feed_forward_length": 512}
BUILTIN_SHA256 = "7472e59964bc2586cae3231a9ccf16aca9e8ae0de4eed1b9731fa0e2a0acbade"
"""Of `qwencode/model/builtin/builtin.gguf`, so that no other file is shipped in its name."""
BUILTIN_BYTES = 16_000_000
"""What that file may have at most: it is part of every wheel."""


def sizes_35b() -> dict[str, int]:
    """Return files of Qwen3.6-35B-A3B by one publisher, without MTP, and their sizes in bytes."""
    entries = [entry for entry in catalogue().entries.values() if entry.repository == _PUBLISHER]
    return {entry.file: entry.bytes for entry in entries if entry.bytes and not is_projector(entry.file)}


def smaller(header: Header) -> list[tuple[str, int]]:
    """Return name and bytes of the published files of the same shape that are smaller than this one, largest first."""
    blocks = header.count("block_count") - header.count("nextn_predict_layers")
    shape = {key: header.count(key) for key in _SHAPE_35B} | {"block_count": blocks}
    if header.architecture != "qwen35moe" or shape != _SHAPE_35B:
        return []
    files = sorted(sizes_35b().items(), key=lambda entry: -entry[1])
    return [(name, size) for name, size in files if size < header.file_size]


def resized(header: Header, file_size: int) -> Header:
    """Return the header of a file of this shape with more or less precise weights."""
    tensors = {name: size * file_size // header.file_size for name, size in header.tensors.items()}
    return replace(header, file_size=file_size, tensors=tensors)
