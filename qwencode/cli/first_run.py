"""The first run: where a larger model would have been needed and there is none, one screen, and on a yes the model."""

import sys
from functools import partial
from typing import TYPE_CHECKING

import typer

from qwencode.errors import Interrupted, ModelUnavailable

if TYPE_CHECKING:
    from qwencode.machine.first_run import Offer
    from qwencode.settings import Places, Settings


def offer_model(settings: "Settings", places: "Places", again: str) -> None:
    """Say which model suits this machine; where somebody can be asked, fetch it on a yes. `again`: what to run then.

    The network is not touched before the yes. Raises what `models pull` raises.
    """
    from qwencode.machine.first_run import offer, screen
    from qwencode.model.choose import wishes

    found = offer(wishes(settings))
    typer.echo("\n" + "\n".join(screen(found, places)))
    if found and sys.stdin.isatty() and sys.stdout.isatty():
        try:
            _fetched_on_a_yes(found, places, again)
        except KeyboardInterrupt:
            raise Interrupted("Interrupted; nothing was fetched.") from None


def _fetched_on_a_yes(found: "Offer", places: "Places", again: str) -> None:
    from qwencode.ui.reader import ask_on

    ask = partial(ask_on, sys.stdout)
    typer.echo()
    wants_to_know = ask("Measure how long the download takes? It fetches a few seconds of it, and keeps nothing.")
    if wants_to_know and not _timed(found):
        return
    if ask(f"Fetch it now ({found.entry.size / 1e9:.1f} GB)? Ctrl-C keeps what came; the same command goes on."):
        from qwencode.cli.models import fetch

        fetch(found.source, places, json=False)
        typer.echo(f"Next: qwencode warm, which measures this machine once; then {again}")


def _timed(found: "Offer") -> bool:
    """Say how long the download takes. False: it cannot be had from here, and why was said."""
    from qwencode.machine.first_run import how_long, measure

    try:
        remote, rate = measure(found.source)
    except ModelUnavailable as error:
        typer.echo(f"{error} With another machine it can be fetched by hand: see above.")
        return False
    typer.echo(f"It takes {how_long(remote.size, rate)}.")
    return True
