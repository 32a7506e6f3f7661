"""`qwencode review`: look at a change and say what is wrong with it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qwencode.cli.options import Json, Model, NoSandbox, Test, not_both
from qwencode.errors import UsageError

if TYPE_CHECKING:
    from qwencode.review.change import Change
    from qwencode.review.repository import Repository

Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="CHECK",
        help="Do only this check; again for more: conflicts, syntax, leftovers, secrets, weakened, tests, model.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 where an error was found.")]
NoModel = Annotated[bool, typer.Option("--no-model", help="Let no model read the change.")]
Form = Annotated[
    str, typer.Option("--format", metavar="FORM", help="text, json, sarif or github (annotations). [text]")
]


def review(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[REV..REV|PATH…]", help="Commits, or files and folders. [all that is not committed]"),
    ] = None,
    staged: Annotated[bool, typer.Option("--staged", help="What the next commit would hold.")] = False,
    only: Only = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="N", min=0.0, help="Seconds at most; 0: no limit. [0]")
    ] = 0.0,
    strict: Strict = False,
    no_model: NoModel = False,
    model: Model = None,
    test: Test = None,
    no_sandbox: NoSandbox = False,
    form: Form = "text",
    json: Json = False,
) -> None:
    """Look at a change: checks without a model, the tests that it touches, then the model, if there is one."""
    from qwencode.cli.looking import Request, checks_named, see_through
    from qwencode.review.repository import Repository

    given = what or []
    if staged and given:
        raise UsageError("--staged looks at what is staged; give no commits or paths with it.")
    not_both("--model", "--no-model", bool(model) and no_model)
    chosen = form_of(form, json)
    repository = Repository.find(Path.cwd())
    flags = {"model": model, "test": test, "no_sandbox": no_sandbox or None}
    request = Request(
        lambda: _change(repository, given, staged),
        repository.root,
        flags,
        checks_named(only or [], not no_model),
        seconds,
        form=chosen,
        strict=strict,
    )
    raise typer.Exit(see_through(request))


def form_of(form: str, json: bool) -> str:
    """Return how findings are shown. Raises UsageError for a form that is none."""
    from qwencode.cli.looking import FORMATS

    if form not in FORMATS:
        raise UsageError(f"There is no format {form!r}. There are: {', '.join(FORMATS)}.")
    not_both("--json", f"--format {form}", json and form not in ("text", "json"))
    return "json" if json else form


def _change(repository: "Repository", given: list[str], staged: bool) -> "Change":
    from qwencode.review import change

    if staged:
        return change.staged(repository)
    spans = [
        word
        for word in given
        if re.search(r"[^.]\.\.\.?[^./]|^\.\.\.?[^./]|[^./]\.\.\.?$", word) and not Path(word).exists()
    ]
    if spans and len(given) > 1:
        raise UsageError(f"Give either commits ({spans[0]}) or paths, not both.")
    if spans:
        return change.between(repository, spans[0])
    if missing := next((word for word in given if not Path(word).exists() and not _known(repository, word)), ""):
        raise UsageError(f"{missing} is neither a file here nor two commits, as in main..topic.")
    return change.uncommitted(repository, given)


def _known(repository: "Repository", path: str) -> bool:
    """Say whether git knows a path that is gone from the disk."""
    full = Path(path).absolute()
    if not full.is_relative_to(repository.root):
        return False
    name = full.relative_to(repository.root).as_posix()
    return bool(repository.git("--literal-pathspecs", "ls-files", "-z", "--", name))
