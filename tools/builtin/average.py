"""Average the weights of two exported files: python tools/builtin/average.py ONE OTHER OUT.gguf [--share 0.5]

Where one was trained on from the other, what lies between them can be better than both, and forgets less of what only
the first could do ("Model soups", Wortsman and others, 2022, arXiv:2203.05482). `--share` is that of OTHER. What was
rounded in storing the two stays rounded.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # started as a program, only its own folder is there

from torch import Tensor

from builtin.export import export, read
from builtin.model import SHAPE


def mixed(one: Mapping[str, Tensor], other: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Return weights that lie so far on the way from one to the other."""
    return {name: one[name].lerp(other[name], share) for name in one}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("one", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("out", type=Path, metavar="OUT.gguf")
    parser.add_argument("--share", type=float, default=0.5)
    given = parser.parse_args(arguments)
    (one, words), (other, others) = read(given.one), read(given.other)
    if words != others:
        parser.error(f"{given.one} and {given.other} have different vocabularies")
    export(given.out, mixed(one, other, given.share), words, shape=SHAPE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
