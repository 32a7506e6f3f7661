"""What the Hugging Face hub says about a file: the address, size and checksum. Asked only by `models pull`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from qwencode.errors import ModelUnavailable, UsageError
from qwencode.model.catalogue import Entry, catalogue, find
from qwencode.model.connection import can_be_sent

_ADDRESS = re.compile(
    r"(?:https://huggingface\.co/)?([\w.-]+/[\w.-]+)/(?:(?:resolve|blob)/([\w.-]+)/)?([\w./-]+\.gguf)"
)
_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Source:
    """A file on the hub. What is not known is empty or 0: the hub will say it."""

    name: str
    repository: str
    file: str
    revision: str = ""
    size: int = 0
    sha256: str = ""

    @property
    def place(self) -> Path:
        """Where it lies below the models place."""
        return Path(self.repository) / self.file


@dataclass(frozen=True, slots=True)
class Remote:
    """What is fetched: address, headers to send, bytes, checksum ('' when nobody knows it), and remarks for the user.

    `mark`: tells this content from others of the same name where there is no checksum.
    """

    name: str
    url: str
    size: int
    sha256: str
    mark: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    remarks: tuple[str, ...] = ()


def source_of(name: str) -> Source:
    """Return what a name of the catalogue, `owner/repository/file.gguf`, or an address on the hub stands for.

    Raises UsageError for what is none of these, with the nearest names.
    """
    if entry := find(name):
        return _from_entry(entry)
    if (match := _ADDRESS.fullmatch(name)) and ".." not in Path(match[3]).parts:
        repository, revision, file = match[1], match[2] or "", match[3]
        if not revision and (entry := find(f"{repository}/{file}")):
            return _from_entry(entry)
        return Source(Path(file).stem, repository, file, "" if revision == "main" else revision)
    from rapidfuzz import process

    near = [found[0] for found in process.extract(name, list(catalogue().entries), limit=3)]
    raise UsageError(
        f"{name!r} is not in the catalogue (near are: {', '.join(near)}). Any other file is given as "
        "owner/repository/file.gguf."
    )


def look_up(client: httpx.Client, source: Source, environment: Mapping[str, str] | None = None) -> Remote:
    """Ask the hub about a file.

    Raises ModelUnavailable for what it does not have or give, httpx.HTTPStatusError for other refusals, and
    httpx.TransportError when it cannot be reached.
    """
    given = os.environ if environment is None else environment
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.utils import build_hf_headers  # pyright: ignore[reportUnknownVariableType]

    if constants.HF_HUB_OFFLINE or given.get("HF_HUB_OFFLINE", "").upper() in constants.ENV_VARS_TRUE_VALUES:
        raise ModelUnavailable("HF_HUB_OFFLINE is set, so nothing is downloaded; unset it to pull a model.")
    endpoint = given.get("HF_ENDPOINT") or None
    headers = {**build_hf_headers(library_name="qwencode"), "Accept-Encoding": "identity"}
    revision = source.revision or "main"
    url = hf_hub_url(source.repository, source.file, revision=revision, endpoint=endpoint)
    if not can_be_sent(headers.get("authorization", "")):
        raise ModelUnavailable("The token for the hub (HF_TOKEN) has characters that no token has. Set it again.")
    try:
        answer = _head(client, url, headers)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        raise ModelUnavailable(f"{url} is no address to ask at. Is HF_ENDPOINT right?") from error
    _refuse(answer, source, revision)
    tag = (answer.headers.get("X-Linked-Etag") or answer.headers.get("ETag") or "").removeprefix("W/").strip('"')
    size = answer.headers.get("X-Linked-Size") or answer.headers.get("Content-Length") or ""
    commit = answer.headers.get("X-Repo-Commit", "")
    if not size.isdigit() or not commit:
        raise ModelUnavailable(
            f"{urlsplit(url).netloc} does not answer as a hub does. Is HF_ENDPOINT right? Is a proxy between?"
        )
    exact = hf_hub_url(source.repository, source.file, revision=commit, endpoint=endpoint)
    sha256 = tag if re.fullmatch("[0-9a-f]{64}", tag) else ""
    return _compared(source, Remote(source.name, exact, int(size), sha256, tag or commit, headers), commit)


def _from_entry(entry: Entry) -> Source:
    return Source(entry.name, entry.repository, entry.file, entry.revision, entry.bytes, entry.sha256)


def _head(client: httpx.Client, url: str, headers: Mapping[str, str]) -> httpx.Response:
    """Ask for the head of a file. Where the hub redirects to a store, its own answer says all that is needed."""
    host = urlsplit(url).netloc
    for _ in range(_REDIRECTS):
        own = {key: value for key, value in headers.items() if key.lower() != "authorization"}
        answer = client.head(
            url, headers=dict(headers) if urlsplit(url).netloc == host else own, follow_redirects=False
        )
        if not answer.has_redirect_location or "X-Repo-Commit" in answer.headers:
            return answer
        url = urljoin(url, answer.headers["Location"])
    raise ModelUnavailable(f"{host} sends from one address to the next without an end.")


def _refuse(answer: httpx.Response, source: Source, revision: str) -> None:
    """Raise ModelUnavailable for refusals that another try would not change."""
    code, what = answer.headers.get("X-Error-Code", ""), f"{source.repository}/{source.file}"
    if answer.status_code in (401, 403) or code == "GatedRepo":
        raise ModelUnavailable(
            f"{what} is not open to everybody, or there is no such repository: see https://huggingface.co/"
            f"{source.repository}, and set HF_TOKEN (or run `hf auth login`) if you have access."
        )
    if answer.status_code == 404:
        missing = {"RevisionNotFound": f"no revision {revision}", "RepoNotFound": "no such repository"}
        raise ModelUnavailable(f"The hub does not have {what}: {missing.get(code, 'no such file')}.")
    if answer.status_code >= 400:
        answer.raise_for_status()


def _compared(source: Source, remote: Remote, commit: str) -> Remote:
    """Return what is fetched, compared with the catalogue. Raises ModelUnavailable when a fixed revision differs."""
    differs = (source.size and source.size != remote.size) or (
        source.sha256 and remote.sha256 and source.sha256 != remote.sha256
    )
    if differs and source.revision:
        raise ModelUnavailable(
            f"The hub has another file as {source.file} at {source.revision[:8]} than is known to be right "
            f"({remote.size:,} bytes, and not {source.size:,}; checksum {remote.sha256[:16] or 'unknown'}); "
            "it was not fetched."
        )
    remarks = list[str]()
    if differs:
        remarks.append(f"{source.name} was published anew since the catalogue was written; the hub's word is taken.")
    elif not source.revision:
        remarks.append(f"The catalogue fixes no revision of {source.name}; this is {commit[:8]}.")
    sha256 = remote.sha256 if differs else source.sha256 or remote.sha256
    if not source.sha256 and sha256:
        remarks.append(f"Its checksum is taken from the hub: {sha256[:16]}….")
    if not sha256:
        remarks.append("Neither catalogue nor hub know a checksum of it; size and head are checked.")
    return Remote(remote.name, remote.url, remote.size, sha256, remote.mark, remote.headers, tuple(remarks))
