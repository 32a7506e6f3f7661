"""Published files and their sizes in bytes, as far as they are known: data for advice, and nothing is downloaded."""

from dataclasses import replace

from qwencode.model.llama.gguf_header import Header

_SHAPE_35B = {"block_count": 40, "embedding_length": 2048, "expert_count": 256, "expert_feed_forward_length": 512}
QWEN3_6_35B_A3B = {  # huggingface.co/unsloth/Qwen3.6-35B-A3B-GGUF, revision a483e9e6, without MTP
    "Qwen3.6-35B-A3B-UD-IQ2_XXS.gguf": 10_756_586_464,
    "Qwen3.6-35B-A3B-UD-IQ2_M.gguf": 11_522_702_304,
    "Qwen3.6-35B-A3B-UD-Q2_K_XL.gguf": 12_290_628_576,
    "Qwen3.6-35B-A3B-UD-Q3_K_S.gguf": 15_359_196_128,
    "Qwen3.6-35B-A3B-UD-Q3_K_M.gguf": 16_600_710_112,
    "Qwen3.6-35B-A3B-UD-Q3_K_XL.gguf": 16_845_511_648,
    "Qwen3.6-35B-A3B-UD-IQ4_XS.gguf": 17_730_509_792,
    "Qwen3.6-35B-A3B-UD-IQ4_NL.gguf": 18_040_888_288,
    "Qwen3.6-35B-A3B-MXFP4_MOE.gguf": 21_706_144_736,
    "Qwen3.6-35B-A3B-UD-Q4_K_M.gguf": 22_134_528_992,
    "Qwen3.6-35B-A3B-UD-Q4_K_XL.gguf": 22_360_456_160,
    "Qwen3.6-35B-A3B-UD-Q5_K_XL.gguf": 26_592_508_896,
    "Qwen3.6-35B-A3B-UD-Q6_K_XL.gguf": 31_843_777_504,
    "Qwen3.6-35B-A3B-Q8_0.gguf": 36_903_140_320,
    "Qwen3.6-35B-A3B-UD-Q8_K_XL.gguf": 38_451_182_560,
}
BUILTIN_SHA256 = "f8db2893b7b32d26c4c26f6d15ee152c2c86451954278ab1b6138a9a861ca02e"
"""Of `qwencode/model/builtin/builtin.gguf`, so that no other file is shipped in its name."""
BUILTIN_BYTES = 16_000_000
"""What that file may have at most: it is part of every wheel."""


def smaller(header: Header) -> list[tuple[str, int]]:
    """Return name and bytes of the published files of the same shape that are smaller than this one, largest first."""
    blocks = header.count("block_count") - header.count("nextn_predict_layers")
    shape = {key: header.count(key) for key in _SHAPE_35B} | {"block_count": blocks}
    if header.architecture != "qwen35moe" or shape != _SHAPE_35B:
        return []
    files = sorted(QWEN3_6_35B_A3B.items(), key=lambda entry: -entry[1])
    return [(name, size) for name, size in files if size < header.file_size]


def resized(header: Header, file_size: int) -> Header:
    """Return the header of a file of this shape with more or less precise weights."""
    tensors = {name: size * file_size // header.file_size for name, size in header.tensors.items()}
    return replace(header, file_size=file_size, tensors=tensors)
