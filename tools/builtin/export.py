"""Write trained weights as a GGUF: python tools/builtin/export.py OUT [--weights f16|q8_0]

Reads OUT/builtin.pt (or OUT/checkpoint.pt, while training goes on) and OUT/vocabulary.json; writes OUT/builtin.gguf.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # started as a program, only its own folder is there

import gguf
import torch
from torch import Tensor

import build_model
from build_model import Shape
from builtin.model import SHAPE
from builtin.tokens import Vocabulary

DESCRIPTION = "mends single lines of Python; trained from scratch on library code by qwencode's own tools"


def export(
    path: Path, weights: Mapping[str, Tensor], words: Vocabulary, stored: str = "q8_0", shape: Shape = SHAPE
) -> None:
    """Write the file. Matrices are stored as asked (`f16`, `q8_0`) where their rows divide, all else in full."""
    writer = gguf.GGUFWriter(None, "qwen35moe")
    merges = [" ".join(pair) for pair in words.merges]
    build_model.describe(writer, shape, "qwencode-builtin", (words.tokens, words.types, merges))
    writer.add_description(DESCRIPTION)
    writer.add_license("Apache-2.0")
    writer.add_string("qwencode.form", "line")
    for name, size, kind in build_model.tensors(shape):
        value = weights[name].float()
        if kind == "decay":
            value = -value.exp()
        if tuple(value.shape) != size:
            raise ValueError(f"{name} is {tuple(value.shape)}, not {size}")
        wanted = build_model.stored_as(kind, size, stored)
        writer.add_tensor(name, gguf.quants.quantize(value.numpy(), wanted), raw_dtype=wanted)
    part = path.with_name(path.name + ".part")
    writer.write_header_to_file(part)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(path)


def read(path: Path, shape: Shape = SHAPE) -> tuple[dict[str, Tensor], Vocabulary]:
    """Return weights and vocabulary of a file that `export` wrote. What was rounded in storing stays rounded.

    Raises ValueError where the file has not the tensors of the shape.
    """
    reader = gguf.GGUFReader(path)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    weights: dict[str, Tensor] = {}
    for name, size, kind in build_model.tensors(shape):
        if name not in stored:
            raise ValueError(f"{path} has no {name}")
        value = torch.from_numpy(gguf.quants.dequantize(stored[name].data, stored[name].tensor_type).copy()).float()
        if tuple(value.shape) != size:
            raise ValueError(f"{name} of {path} is {tuple(value.shape)}, not {size}")
        weights[name] = (-value).log() if kind == "decay" else value
    words, types, merges = (
        reader.fields[f"tokenizer.ggml.{name}"].contents() for name in ("tokens", "token_type", "merges")
    )
    pairs = tuple((left, right) for left, right in (merge.split(" ") for merge in merges))
    return weights, Vocabulary(tuple(words), tuple(types), pairs)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", choices=("f16", "q8_0"), default="q8_0")
    given = parser.parse_args(arguments)
    done, going = given.out / "builtin.pt", given.out / "checkpoint.pt"
    loaded = torch.load(done if done.exists() else going, map_location="cpu")
    weights = loaded.get("weights", loaded)
    export(given.out / "builtin.gguf", weights, Vocabulary.load(given.out / "vocabulary.json"), given.weights)
    print(f"{given.out / 'builtin.gguf'}: {(given.out / 'builtin.gguf').stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
