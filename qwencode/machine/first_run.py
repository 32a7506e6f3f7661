"""What a machine without a model is told: which one suits it, how large it is, what it will be like, how it gets here.

Nothing is asked of the network for that. How long the download takes is measured when somebody wants to know it: for
a few seconds the first bytes of the file are fetched, and thrown away.
"""

import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpx

from qwencode.errors import ModelUnavailable
from qwencode.machine.doctor import speed_of
from qwencode.machine.hub import Remote, Source, look_up, source_of
from qwencode.machine.outlook import Outlook, look, recommended
from qwencode.machine.pull import headers_for, refused, words
from qwencode.model import connection
from qwencode.model.catalogue import Entry
from qwencode.model.llama.fitting import Wishes
from qwencode.settings import Places

_HUB = "https://huggingface.co"
_SECONDS = 4.0
_MOST = 64 << 20
_WARM_UP = 0.5  # seconds in which a connection finds its speed
_LINE = 100e6 / 8  # bytes a second of a line to give an example with


@dataclass(frozen=True, slots=True)
class Offer:
    """What is recommended here, and the address at which it can be had without qwencode."""

    entry: Entry
    outlook: Outlook
    source: Source

    @property
    def address(self) -> str:
        """Where the file lies on the hub, for whoever fetches it by other means."""
        hub, revision = os.environ.get("HF_ENDPOINT") or _HUB, self.source.revision or "main"
        return f"{hub.rstrip('/')}/{self.source.repository}/resolve/{revision}/{self.source.file}"


def offer(wishes: Wishes) -> Offer | None:
    """Return what is recommended for this machine; None when nothing of the catalogue fits."""
    found = recommended(look(), wishes)
    return Offer(found[0], found[1], source_of(found[0].name)) if found else None


def screen(found: Offer | None, places: Places) -> list[str]:
    """Return the lines of one screen."""
    others = [
        "Or name a GGUF file with --model FILE, or a server: --model http://127.0.0.1:8080/v1 (see docs/scaling.md).",
    ]
    if found is None or found.outlook.fit is None:
        none = "No model of the catalogue fits into the memory that is free here; `qwencode doctor` says what is."
        return ["There is no large model on this machine.", f"  {none}", *others]
    entry, plan = found.entry, found.outlook.fit
    usual = _duration(entry.size / _LINE)
    lines = [
        "There is no large model on this machine. The one that suits it:",
        f"  name       {entry.name}",
        f"  size       {entry.size / 1e9:.1f} GB, to {places.models}{_room(places)}",
        f"  download   {usual} at 100 Mbit a second; `qwencode models pull --dry-run` measures yours",
        f"  runs with  {plan.context:,} tokens of context, the weights {found.outlook.where}",
        f"  speed      {speed_of(found.outlook)}",
        f"  get it     qwencode models pull {entry.name}",
        f"  by hand    {found.address}",
    ]
    if entry.sha256:
        lines.append(f"             SHA-256 {entry.sha256}")
    return [*lines, "             then: qwencode models import FILE", *others]


def measure(source: Source, environment: Mapping[str, str] | None = None) -> tuple[Remote, float]:
    """Ask the hub for a file, and return it and the bytes a second at which it comes.

    Raises ModelUnavailable, in a sentence, when it cannot be had or reached.
    """
    try:
        with connection.client(lambda: httpx.Client(follow_redirects=True, timeout=httpx.Timeout(10.0))) as client:
            remote = look_up(client, source, environment)
            return remote, _rate(client, remote)
    except httpx.HTTPStatusError as error:
        raise ModelUnavailable(f"The hub answers {error.response.status_code}; try again later.") from error
    except httpx.TransportError as error:
        raise ModelUnavailable(f"The hub cannot be reached ({words(error)}).") from error


def how_long(size: int, rate: float) -> str:
    """Return how long so many bytes take, in words."""
    return f"{_duration(size / rate)} at the {rate / 1e6:.1f} MB a second that your line gives now"


def _rate(client: httpx.Client, remote: Remote) -> float:
    """Return the bytes a second of the begin of a file, but for what came while the connection found its speed."""
    have, began, counted, since = 0, time.monotonic(), 0, 0.0
    with client.stream("GET", remote.url, headers=headers_for(remote, "bytes=0-")) as response:
        if response.status_code not in (200, 206):
            raise refused(remote, response)
        for chunk in response.iter_raw():
            now = time.monotonic()
            have += len(chunk)
            if not since and now - began > _WARM_UP:
                counted, since = have, now
            if now - began > _SECONDS or have >= _MOST:
                break
    ended = time.monotonic()
    if since and ended - since > _WARM_UP:
        return (have - counted) / (ended - since)
    return have / max(ended - began, 1e-6)


def _room(places: Places) -> str:
    for place in (places.models, *places.models.parents):
        with suppress(OSError):
            return f", where {shutil.disk_usage(place).free / 1e9:.0f} GB are free"
    return ""


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"
