"""The functions of ggml that are needed and that the bindings do not have."""

import ctypes
from typing import Any

import llama_cpp.llama_cpp as bindings

_UNITS = ("up", "down", "gate", "gate_up")


class Override(ctypes.Structure):
    """llama.cpp's `llama_model_tensor_buft_override`: tensors whose name the pattern finds go to the buffer type."""

    _fields_ = [("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p)]


def function(name: str, result: Any, *arguments: Any) -> Any:
    """Return a function of ggml. The handle of llama.cpp finds it, since it is linked against ggml."""
    found = getattr(_library(), name)
    found.restype, found.argtypes = result, arguments
    return found


def experts_on_cpu(blocks: int) -> Any:
    """Return the overrides that keep the experts of the first blocks in main memory: an array that ends with zeros.

    The names are those of llama.cpp's common/common.h. It must live until the model is loaded.
    """
    memory = function("ggml_backend_cpu_buffer_type", ctypes.c_void_p)()
    patterns = [rf"blk\.{block}\.ffn_({'|'.join(_UNITS)})_(ch|)exps".encode() for block in range(blocks)]
    return (Override * (blocks + 1))(*((pattern, memory) for pattern in patterns))


def _library() -> ctypes.CDLL:
    return vars(bindings)["_lib"]
