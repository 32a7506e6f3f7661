"""Options that several commands have, and what they say when two of them exclude each other."""

from typing import Annotated

import typer

from qwencode.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON event a line.")]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME|FILE|URL", help="A model's name, a GGUF file, a server, or builtin."),
]
NoSandbox = Annotated[bool, typer.Option("--no-sandbox", help="Run commands unconfined where no sandbox works.")]
Test = Annotated[str | None, typer.Option("--test", metavar="CMD", help="The command that runs the tests.")]


def not_both(first: str, second: str, given: bool) -> None:
    """Raise UsageError when both options were `given`."""
    if given:
        raise UsageError(f"{first} and {second} contradict each other.")
