"""Reads the head of a GGUF file and says whether llama.cpp may be given the file.

llama.cpp ends the process on some bad files, so what can be wrong is found here first, without reading a weight:
structure, sizes, architecture, hyperparameters that are divided by, the vocabulary's chat tokens. The format is that of
ggml's docs/gguf.md, versions 2 and 3.
"""

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwencode.errors import ModelUnavailable
from qwencode.model.llama.gguf_reader import FLOAT32, INT32, STRING, Array, Broken, Reader

FAMILY = ("qwen35moe", "qwen35")
"""Qwen3.5 and Qwen3.6: a recurrent state in most blocks, and a chat format that is known exactly."""
ATTENTION = ("llama", "qwen2", "qwen3", "qwen3moe")
"""Attention in every block; the chat format is learned from the file's own template."""
ARCHITECTURES = FAMILY + ATTENTION
CHAT_TOKENS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>", "<tool_call>", "</tool_call>")
PROJECTOR = "clip"
"""The architecture of files that turn images into tokens, whatever the model is that they go with."""
LINE_FORM = "line"
"""Trained on `qwencode.model.builtin.prompt` alone: no system message, and tools are known without being declared."""
_COUNTS = ("block_count", "context_length", "embedding_length", "attention.head_count", "attention.head_count_kv")
_FAMILY_COUNTS = (
    *("attention.key_length", "attention.value_length", "rope.dimension_count"),
    *("ssm.conv_kernel", "ssm.state_size", "ssm.group_count", "ssm.time_step_rank", "ssm.inner_size"),
)
_EXPERT_COUNTS = ("expert_count", "expert_used_count", "expert_feed_forward_length")
_NEEDED = {  # hyperparameters of an architecture beside those of all
    "qwen35moe": _FAMILY_COUNTS + _EXPERT_COUNTS,
    "qwen35": _FAMILY_COUNTS,
    "qwen3moe": _EXPERT_COUNTS,
    **dict.fromkeys(("llama", "qwen2", "qwen3"), ("feed_forward_length",)),
}
_SCALINGS = ("none", "linear", "yarn", "longrope")
_CUTS = ("qwen35", "qwen2", "deepseek-r1-qwen", "llama-bpe", "llama3", "llama-v3")
"""Ways of cutting words that llama.cpp (unicode.cpp) has code for. With others it recurses for each character of a
word, and dies of long ones."""
_LARGEST = 1 << 24  # of any hyperparameter above, but for these, which are llama.cpp's own bounds
_LARGEST_OF = {"block_count": 512, "expert_count": 512}


@dataclass(frozen=True, slots=True)
class Header:
    """The metadata of a file that was found sound, and the bytes of each of its tensors."""

    path: Path
    metadata: Mapping[str, Any]
    file_size: int
    tensors: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def architecture(self) -> str:
        return self.metadata["general.architecture"]

    def count(self, key: str) -> int:
        """Return a hyperparameter of the architecture, 0 when the file does not have it."""
        value = self.metadata.get(f"{self.architecture}.{key}", 0)
        return value if isinstance(value, int) else 0

    def text(self, key: str) -> str:
        """Return a text of the metadata, '' when the file does not have it."""
        value = self.metadata.get(key, "")
        return value if isinstance(value, str) else ""

    @property
    def template(self) -> str:
        """The chat template that the file brings, or ''."""
        return self.text("tokenizer.chat_template")

    @property
    def form(self) -> str:
        """How the model wants to be spoken to: LINE_FORM, or '' for the usual chat with declared tools."""
        return self.text("qwencode.form") if self.recurrent else ""

    @property
    def recurrent(self) -> bool:
        """Whether most blocks have a recurrent state; else all have attention."""
        return self.architecture in FAMILY

    def head_length(self, of: str) -> int:
        """Return the length of a head's `key` or `value`."""
        return self.count(f"attention.{of}_length") or self.count("embedding_length") // self.count(
            "attention.head_count"
        )

    @property
    def vocab_size(self) -> int:
        """The number of tokens, 0 when the file has no vocabulary."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        return tokens.count if isinstance(tokens, Array) else 0

    @property
    def attention_interval(self) -> int:
        """Of so many blocks the last has full attention, the others a recurrent state."""
        return self.count("full_attention_interval") or 4 if self.recurrent else 1

    @property
    def cache_bytes(self) -> int:
        """Bytes that the attention cache takes for each token, at 16 bits."""
        interval = self.attention_interval
        blocks = (self.count("block_count") - self.count("nextn_predict_layers")) // interval
        width = self.head_length("key") + self.head_length("value")
        return 2 * blocks * self.count("attention.head_count_kv") * width

    @property
    def predicts(self) -> bool:
        """Whether there is a block that predicts further tokens (multi-token prediction)."""
        head = f"blk.{self.count('block_count') - 1}.nextn.eh_proj.weight"
        return self.count("nextn_predict_layers") == 1 and head in self.tensors

    @property
    def state_bytes(self) -> int:
        """Bytes of the recurrent state, of which each checkpoint holds a copy; 0: there is none."""
        if not self.recurrent:
            return 0
        interval = self.attention_interval
        blocks = self.count("block_count") - self.count("nextn_predict_layers")
        inner, size = self.count("ssm.inner_size"), self.count("ssm.state_size")
        convolved = (self.count("ssm.conv_kernel") - 1) * (inner + 2 * self.count("ssm.group_count") * size)
        return 4 * (blocks - blocks // interval) * (inner * size + convolved)


def check(path: Path, projector: bool = False) -> Header:
    """Read the head of a model file. Raises ModelUnavailable, in one sentence, for a file that cannot be used.

    `projector`: it is to be one that turns images into tokens beside a model, as servers use it.
    """
    try:
        if path.is_dir():
            raise ModelUnavailable(f"{path} is a directory; give the .gguf file inside it.")
        if path.exists() and not path.is_file():  # to open a pipe is to wait for its writer
            raise ModelUnavailable(f"{path} is not a regular file.")
        with path.open("rb") as file:
            size = path.stat().st_size
            if not size:
                raise ModelUnavailable(f"{path} is empty; download it again.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                reader = Reader(data)
                metadata, tensors = reader.read()
                header = Header(path, metadata, size, tensors)
                if not projector:
                    _check_use(header, reader)
                elif header.architecture != PROJECTOR:
                    raise Broken(f"is no projector: it holds a model of architecture {header.architecture!r}.")
    except FileNotFoundError as error:
        raise ModelUnavailable(f"There is no model file {path}.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelUnavailable(f"{path} cannot be read: {reason}.") from error
    except Broken as broken:
        raise ModelUnavailable(f"{path} {broken}") from broken
    return header


def _check_use(header: Header, reader: Reader) -> None:
    """Raise ModelUnavailable when a sound file holds something else than a model that this engine runs."""
    path, metadata = header.path, header.metadata
    architecture = metadata.get("general.architecture")
    if architecture == PROJECTOR:
        raise ModelUnavailable(f"{path} turns images into tokens for a server; qwencode reads text, and needs a model.")
    if architecture not in ARCHITECTURES:
        known = f"{', '.join(ARCHITECTURES[:-1])} and {ARCHITECTURES[-1]}"
        raise ModelUnavailable(f"{path} holds a model of architecture {architecture!r}; {known} can be run.")
    parts = metadata.get("split.count", 0)
    if parts and parts != 1:
        raise ModelUnavailable(f"{path} is one of {parts} parts; join them with `llama-gguf-split --merge`.")
    for key in _COUNTS + _NEEDED[architecture]:
        if not 0 < header.count(key) <= _LARGEST_OF.get(key, _LARGEST):
            found = metadata.get(f"{architecture}.{key}", "missing")
            raise ModelUnavailable(f"{path} cannot be used: {architecture}.{key} is {found}.")
    kind = _family_disagreement if header.recurrent else _attention_disagreement
    if problem := _disagreement(header) or kind(header) or _vocabulary_problem(header, reader):
        raise ModelUnavailable(f"{path} cannot be used: {problem}.")


def _disagreement(header: Header) -> str:
    """Return which hyperparameters do not fit together, of those that llama.cpp takes on trust; or nothing."""
    count = header.count
    epsilon = header.metadata.get(f"{header.architecture}.attention.layer_norm_rms_epsilon")
    if not isinstance(epsilon, float) or not 0 <= epsilon < 1:
        return f"attention.layer_norm_rms_epsilon is {epsilon}"
    if count("nextn_predict_layers") >= count("block_count"):
        return f"{count('nextn_predict_layers')} of {count('block_count')} blocks predict further tokens"
    if count("expert_group_count") > 1:
        return "its experts come in groups"
    if header.metadata.get(f"{header.architecture}.rope.scaling.type", "none") not in _SCALINGS:
        return "rope.scaling.type is unknown"
    if count("expert_used_count") > count("expert_count"):
        return f"it uses {count('expert_used_count')} of {count('expert_count')} experts"
    if count("attention.head_count") % count("attention.head_count_kv"):
        return "its attention heads cannot be shared out"
    return ""


def _family_disagreement(header: Header) -> str:
    """Return which hyperparameters of the recurrent family do not fit together, or nothing."""
    count = header.count
    if header.metadata.get(f"{header.architecture}.full_attention_interval", 4) in (0, False):
        return "full_attention_interval is 0"
    if count("ssm.time_step_rank") % count("ssm.group_count"):
        return "its DeltaNet heads cannot be shared out"
    if count("ssm.inner_size") != count("ssm.time_step_rank") * count("ssm.state_size"):
        return "the sizes of its DeltaNet heads disagree"
    sections = header.metadata.get(f"{header.architecture}.rope.dimension_sections")
    if not isinstance(sections, Array) or sections.kind != INT32 or sections.count != 4:
        return "rope.dimension_sections is missing"
    rotated, size = count("rope.dimension_count"), count("attention.key_length")
    if min(sections.items) < 0 or not 0 < sum(sections.items) <= rotated <= size or rotated % 2:
        return "the sizes of its position encoding disagree"
    return ""


def _attention_disagreement(header: Header) -> str:
    """Return which hyperparameters of a model of attention alone do not fit together, or nothing."""
    count, keys = header.count, header.head_length("key")
    if count("nextn_predict_layers") or count("expert_group_count"):
        return "it has parts that this architecture does not have"
    if header.architecture in ("qwen2", "qwen3") and count("expert_count"):
        return f"it has {count('expert_count')} experts, and its architecture has none"
    used = header.metadata.get(f"{header.architecture}.expert_used_count", 0)
    if not isinstance(used, int):
        return "expert_used_count is not a number"
    if bool(used) != bool(count("expert_count")):
        return f"it uses {used} of {count('expert_count')} experts"
    if count("expert_count") > _LARGEST_OF["expert_count"]:
        return f"it has {count('expert_count')} experts"
    rotated = count("rope.dimension_count") or keys
    if not 0 < keys <= _LARGEST or keys % 2 or header.head_length("value") != keys or rotated != keys:
        return "the sizes of its heads disagree"
    return ""


def _vocabulary_problem(header: Header, reader: Reader) -> str:
    """Return what the vocabulary lacks, or nothing."""
    metadata = header.metadata
    arrays = {"tokens": STRING, "merges": STRING, "token_type": INT32, "scores": FLOAT32}
    found = {name: metadata.get(f"tokenizer.ggml.{name}") for name in arrays}
    tokens = found["tokens"]
    if not (
        isinstance(tokens, Array) and isinstance(found["merges"], Array) and isinstance(found["token_type"], Array)
    ):
        return "it has no tokenizer"
    kinds = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre")
    cuts = _CUTS[:2] if header.recurrent else _CUTS
    if kinds[0] != "gpt2" or kinds[1] not in cuts:
        return f"its tokenizer is {kinds[0]!r} with {kinds[1]!r}; 'gpt2' with {', '.join(cuts)} can be used"
    for name, kind in arrays.items():
        array = found[name]
        if array is not None and (not isinstance(array, Array) or array.kind != kind):
            return f"tokenizer.ggml.{name} has the wrong type"
        if isinstance(array, Array) and name in ("token_type", "scores") and array.count != tokens.count:
            return f"it has {tokens.count} tokens but {array.count} entries in tokenizer.ggml.{name}"
    distinct = set(reader.strings(tokens))
    wanted = CHAT_TOKENS if header.recurrent else () if header.template else CHAT_TOKENS[:2]  # ChatML's
    if missing := [token for token in wanted if token.encode() not in distinct]:
        if header.recurrent:
            return f"its vocabulary lacks the chat token {missing[0]}"
        return "it has no chat template; take one that was converted with it"
    if len(distinct) != tokens.count or any(b"\0" in token for token in distinct):
        return "its vocabulary has a token twice, or one with a zero byte"
    return ""
