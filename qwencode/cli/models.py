"""`qwencode models`: what is here, what could be here, and how it gets here."""

import sys
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from qwencode.errors import ConsentNeeded, QwencodeError, UsageError

if TYPE_CHECKING:
    from qwencode.events import Event
    from qwencode.machine.hub import Source
    from qwencode.machine.outlook import Outlook
    from qwencode.machine.pull import Pulled
    from qwencode.machine.store import Verified
    from qwencode.settings import Places, Settings

app = typer.Typer(rich_markup_mode=None, help="List, fetch, check and remove model files.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A model; `qwencode models` lists them.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Done = TypeVar("Done")


@app.callback(invoke_without_command=True)
def _default(context: typer.Context) -> None:  # pyright: ignore[reportUnusedFunction]
    if context.invoked_subcommand is None:
        show(everything=False, json=False)


@app.command(name="list")
def show(
    everything: Annotated[
        bool, typer.Option("--all", help="The whole catalogue, not only what is recommended.")
    ] = False,
    json: Json = False,
) -> None:
    """List the models on this machine and in the catalogue, with what fits here and how fast it would be."""
    from qwencode.ui.text import safe

    rows = list(_rows(everything or json))
    if json:
        import json as writer

        typer.echo(writer.dumps(rows))
        return
    for title, here in (("On this machine", True), ("To be had with `qwencode models pull NAME`", False)):
        some = [row for row in rows if row["here"] is here]
        typer.echo(f"{title}:")
        wide = max((len(str(row["name"])) for row in some), default=0)
        for row in some:
            mark = "*" if row["default"] else " "
            typer.echo(safe(f" {mark} {row['name']:<{wide}}  {row['said']}"))
        if not some:
            typer.echo("   none")
    if not everything:
        typer.echo(
            "`--all` shows the whole catalogue. Divergence: from the unquantised model, in nats; less is better."
        )


@app.command()
def path(name: Name) -> None:
    """Print where the file of a model lies."""
    from qwencode.model.choose import find_file

    typer.echo(find_file(name, _places()))


@app.command()
def default(name: Name) -> None:
    """Make a model the default: a name, a file, or the URL of a server."""
    from qwencode.cli.config import overruled
    from qwencode.model.choose import BUILTIN, check_model, find_file, is_server
    from qwencode.model.found import path_of
    from qwencode.settings import user_file
    from qwencode.settings_file import put

    places = _places()
    check_model(name, places)
    if not is_server(name) and name.lower() != BUILTIN and path_of(name) == find_file(name, places):
        name = str(path_of(name).absolute())  # a file stays the same in every directory
    file = user_file(places)
    put(file, "model", name)
    typer.echo(f"{name} is the default now ({file}{overruled('model', file)}).")


@app.command(name="import")
def take_in(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .gguf file.")],
    link: Annotated[bool, typer.Option("--link", help="Link to the file where it is, and copy nothing.")] = False,
    json: Json = False,
) -> None:
    """Take a model file in: copied, or linked to, after it was checked."""
    from qwencode.machine.store import take_in as work
    from qwencode.model.found import path_of

    source, places = path_of(file), _places()
    _driven("import", str(source), json, lambda: work(source, places, link), lambda done: f"It is {done} now.")


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Which models [all in our own directory].")
    ] = None,
    json: Json = False,
) -> None:
    """Check size, head and checksum of model files. Exit code 1 when one is not sound."""
    from qwencode.machine.store import verify as work
    from qwencode.model.choose import find_file, on_disk
    from qwencode.model.found import OURS, Found

    places = _places()
    there = on_disk(places)
    paths = [find_file(name, places) for name in names or []]
    files = [next((file for file in there if file.path == path), Found(path.stem, path, OURS)) for path in paths]
    files = files if names else [file for file in there if file.owner == OURS]
    if not files:
        raise UsageError(f"There is nothing to verify in {places.models}.")

    def sentence(done: "Verified") -> str:
        if done.problem:
            return f"{done.file.name} is not sound: {done.problem}"
        return f"{done.file.name} is sound, compared with {done.against}. SHA-256: {done.sha256}"

    checked = [_driven("verify", file.name, json, partial(work, file), sentence) for file in files]
    bad = [done for done in checked if done.problem]
    if bad:
        raise QwencodeError(f"{len(bad)} of {len(files)} files are not sound; remove and pull them again.")


@app.command()
def rm(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a model, or the part of one that was not pulled to its end. Files of other programs are not touched."""
    from qwencode.machine.store import remove, what_goes
    from qwencode.model.choose import on_disk

    places = _places()
    paths = what_goes(name, places, on_disk(places))
    size = sum(path.lstat().st_size for path in paths)
    main = next((path for path in paths if not path.name.startswith(".")), paths[0])
    if not yes:
        if not sys.stdin.isatty():
            raise ConsentNeeded(f"{main} ({size / 1e9:.2f} GB) is removed only with --yes, or when you can be asked.")
        if not typer.confirm(f"Remove {main} ({size / 1e9:.2f} GB)?", default=False):
            raise ConsentNeeded("Nothing was removed.")
    typer.echo(f"Removed {main}; {remove(paths, places) / 1e9:.2f} GB are free again.")


@app.command()
def pull(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the catalogue, or owner/repository/file.gguf [what suits here].")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how long it takes, measured for a few seconds, and keep nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Fetch a model from the hub: whole and verified, or not at all. Interrupted, it goes on the next time."""
    from qwencode.machine.hub import source_of

    places = _places()
    source = source_of(name or _suits(places))
    if not dry_run:
        fetch(source, places, json)
        return
    from qwencode.machine.first_run import how_long, measure

    remote, rate = measure(source)
    if json:
        import json as writer

        typer.echo(writer.dumps({"name": source.name, "bytes": remote.size, "bytes_per_second": int(rate)}))
    else:
        typer.echo(f"{source.name} has {remote.size / 1e9:.2f} GB, which takes {how_long(remote.size, rate)}.")


def fetch(source: "Source", places: "Places", json: bool) -> None:
    """Fetch a model with its progress shown, and say what came of it."""
    from qwencode.machine.pull import pull as work

    def sentence(done: "Pulled | None") -> str:
        if done is None:
            return "Nothing was to be done."
        word = "as it was published" if done.known else "though nobody knows what it should be"
        return f"{done.path} is there, {done.size / 1e9:.2f} GB; its checksum is {done.sha256[:16]}…, {word}."

    _driven("pull", source.name, json, lambda: work(source, places), sentence)


def _suits(places: "Places") -> str:
    """Return the name of what is recommended for this machine."""
    from qwencode.errors import ModelUnavailable
    from qwencode.machine.outlook import look, recommended
    from qwencode.model.choose import wishes

    found = recommended(look(), wishes(_settings(places)))
    if found is None:
        raise ModelUnavailable(
            "No model of the catalogue fits into the memory that is free here; `qwencode models list --all` says why."
        )
    return found[0].name


def _driven(
    job: str, what: str, json: bool, begin: "Callable[[], Generator[Event, None, Done]]", say: Callable[[Done], str]
) -> Done:
    """See work through with its events shown, and return what came of it."""
    from qwencode import __version__
    from qwencode.cli.build import see_through, teller
    from qwencode.events import Notice, RunStarted
    from qwencode.jobs.fix import Outcome
    from qwencode.messages import Usage
    from qwencode.ui.reader import open_reader

    kept: list[Done] = []

    def work() -> "Generator[Event, None, Outcome]":
        done = yield from begin()
        kept.append(done)
        yield Notice(say(done))
        return Outcome(None, say(done), 0, Usage())

    reader = open_reader(json)
    try:
        opening: list[Event] = [RunStarted(job, "", "", __version__, model=what)]
        see_through(work(), opening, teller(reader), Usage, "what is done so far is kept")
    finally:
        reader.close()
    return kept[0]


def _rows(everything: bool) -> "Iterator[dict[str, object]]":
    from qwencode.machine.outlook import look, of_entry, of_file
    from qwencode.model.catalogue import catalogue
    from qwencode.model.choose import find_default, on_disk, wishes
    from qwencode.model.found import OURS

    places = _places()
    settings = _settings(places)
    here, wanted, chosen = look(), wishes(settings), find_default(settings, places)
    files = on_disk(places)
    for file in files:
        outlook = of_file(file.path, here, wanted, places.cache)
        row = {"here": True, "default": chosen.lower() in (file.name.lower(), str(file.path).lower())}
        yield (
            _row(file.name, file.size, file.owner if file.owner != OURS else "", outlook)
            | row
            | {
                "path": str(file.path),
                "owner": file.owner,
            }
        )
    have = {file.name for file in files}
    names = list(catalogue().entries) if everything else list(catalogue().recommended)
    for entry in (catalogue().entries[name] for name in names if name not in have):
        quality = f"divergence {entry.divergence:.3f}" if entry.divergence else ""
        row = {"here": False, "default": False, "repository": entry.repository, "file": entry.file}
        facts = {"divergence": entry.divergence or None, "sha256": entry.sha256, "revision": entry.revision}
        yield _row(entry.name, entry.size, quality, of_entry(entry, here, wanted)) | row | facts


def _row(name: str, size: int, mark: str, outlook: "Outlook") -> "dict[str, object]":
    from qwencode.machine.doctor import finding_of

    facts = dict(finding_of(name, "", outlook, {}).data)
    said = [f"{size / 1e9:4.1f} GB" if size else "   ? GB", _fits(outlook), _speed(outlook), mark]
    text = "  ".join(part for part in said if part)
    return {"name": name, "bytes": size, **facts, "problem": outlook.problem, "said": text}


def _fits(outlook: "Outlook") -> str:
    if outlook.fit:
        return f"fits {outlook.where}, {outlook.fit.context // 1024}k tokens of context"
    return "does not fit into the memory that is free" if outlook.header else outlook.problem


def _speed(outlook: "Outlook") -> str:
    if outlook.expected is None or not outlook.expected.decode:
        return ""
    source = "measured" if outlook.expected.measured else "estimated"
    return f"{outlook.expected.decode:.{3 if outlook.expected.measured else 2}g} tokens/s ({source})"


def _places() -> "Places":
    from qwencode.settings import Places

    return Places.of_user()


def _settings(places: "Places") -> "Settings":
    from qwencode.settings import load

    return load(places, None, {})
