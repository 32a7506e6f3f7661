"""A real model file with random weights, built once for this state of the builder."""

import hashlib
import importlib.util
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import gguf
import numpy as np
import pytest

ATTENTION = {"width": 64, "blocks": 4, "heads": 4, "kv_heads": 2, "head_size": 16, "expert_width": 96}
BUILDER = Path(__file__).parents[2] / "tools" / "build_model.py"


@pytest.fixture(scope="session")
def builder() -> ModuleType:
    """Return the module `tools/build_model.py`."""
    spec = importlib.util.spec_from_file_location("build_model", BUILDER)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_model"] = module  # its data classes look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny file; it outlives the test run and is made anew when the builder changes."""
    return made(builder, tmp_path_factory, "tiny", builder.PRESETS["tiny"])


@pytest.fixture(scope="session")
def smooth(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny file that uses all of its experts: no rounding makes it choose others, as random weights do."""
    shape = builder.PRESETS["tiny"]
    return made(builder, tmp_path_factory, "smooth", replace(shape, experts_used=shape.experts))


@pytest.fixture(scope="session")
def predicting(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file like `smooth` that has a head for multi-token prediction; its guesses are nonsense."""
    shape = builder.PRESETS["tiny"]
    return made(builder, tmp_path_factory, "predicting", replace(shape, experts_used=shape.experts, mtp=1))


@pytest.fixture(scope="session")
def foreseeing(predicting: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file whose head is always right.

    Its blocks add nothing to the embedding of the last token, which alone says what comes next, and the head hands on
    the embedding of the token that it is given.
    """
    path = tmp_path_factory.mktemp("foreseeing") / "foreseeing.gguf"
    shutil.copyfile(predicting, path)
    found = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path, "r+").tensors}
    for name, data in found.items():
        if name.endswith(("attn_output.weight", "ssm_out.weight", "ffn_down_exps.weight", "ffn_down_shexp.weight")):
            data[:] = 0
        elif name.endswith(("output_norm.weight", "nextn.enorm.weight", "nextn.shared_head_norm.weight")):
            data[:] = 1
        elif name.endswith("nextn.eh_proj.weight"):
            data[:] = np.eye(*data.shape)
        elif name == "output.weight":
            data *= 8  # so sure that chance has no say
    return path


@pytest.fixture(scope="session")
def lined(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny file that says of itself that it mends lines, as the built-in model does; it writes nonsense."""
    return made(builder, tmp_path_factory, "lined", builder.PRESETS["tiny"], "line")


@pytest.fixture(scope="session")
def tiny_llama(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny file of Llama's architecture, with grouped heads, special tokens and a template of its shape."""
    return made(builder, tmp_path_factory, "tiny-llama", builder.Shape(**ATTENTION), family=builder.FAMILIES["llama"])


@pytest.fixture(scope="session")
def tiny_qwen2(builder: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny file of Qwen2's architecture, with a ChatML template and special tokens for calls."""
    return made(builder, tmp_path_factory, "tiny-qwen2", builder.Shape(**ATTENTION), family=builder.FAMILIES["qwen2"])


def made(
    builder: ModuleType, factory: pytest.TempPathFactory, name: str, shape: Any, form: str = "", family: Any = None
) -> Path:
    sources = b"".join(path.read_bytes() for path in (BUILDER, BUILDER.with_name("families.py"), builder.TEXT))
    mark = hashlib.blake2b(sources, digest_size=8).hexdigest()
    path = factory.getbasetemp().parent / f"{name}-{mark}.gguf"
    if not path.exists():
        own = path.with_name(f"{path.stem}-{os.getpid()}.gguf")
        builder.build(own, shape, name=f"random-{name}", form=form, family=family)
        own.replace(path)
    return path


def finish(writer: gguf.GGUFWriter) -> None:
    """Write what a writer was given, also when that is no tensor at all."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file() if any(writer.tensors) else writer.write_ti_data_to_file()
    writer.close()
