"""The network: places, and links between them that can be used both ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


class NetworkError(ValueError):
    """A place or link is not there, or a link makes no sense."""


@dataclass(frozen=True)
class Link:
    """A link between two places. `number` tells parallel links apart."""

    number: int
    one: str
    other: str
    length: float

    def end_from(self, place: str) -> str:
        """Return where the link leads from one of its ends."""
        return self.other if place == self.one else self.one

    def __str__(self) -> str:
        return f"{self.one} - {self.other}"


class Network:
    """Places and links, in the order in which they were added."""

    def __init__(self) -> None:
        self._links: dict[str, list[Link]] = {}
        self._count = 0

    def add(self, place: str) -> None:
        """Add a place; one that is there stays as it is."""
        self._links.setdefault(place, [])

    def link(self, one: str, other: str, length: float = 1.0) -> Link:
        """Link two places, which are added if need be. There may be several links between two places."""
        if one == other:
            raise NetworkError(f"{one} cannot be linked to itself")
        if length < 0:
            raise NetworkError(f"the link from {one} to {other} has a negative length")
        self.add(one)
        self.add(other)
        link = Link(self._count, one, other, length)
        self._count += 1
        self._links[one].append(link)
        self._links[other].append(link)
        return link

    def unlink(self, link: Link) -> None:
        """Take a link out; its places stay."""
        if link not in self._links.get(link.one, []):
            raise NetworkError(f"the link {link} is not in the network")
        self._links[link.one].remove(link)
        self._links[link.other].remove(link)

    def links_at(self, place: str) -> list[Link]:
        """Return the links of a place. Raises NetworkError for a place that is not there."""
        try:
            return list(self._links[place])
        except KeyError:
            raise NetworkError(f"there is no place {place}") from None

    def links(self) -> Iterator[Link]:
        """Yield every link once."""
        for place, links in self._links.items():
            for link in links:
                if link.one == place:
                    yield link

    def places(self) -> list[str]:
        return list(self._links)

    def __contains__(self, place: str) -> bool:
        return place in self._links

    def __len__(self) -> int:
        return len(self._links)

    @classmethod
    def read(cls, text: str) -> Network:
        """Read one link a line: `Oslo - Bergen: 463`. The length is 1 where it is left out; `#` starts a comment."""
        network = cls()
        for number, line in enumerate(text.splitlines(), 1):
            line = line.partition("#")[0].strip()
            if not line:
                continue
            ends, _, length = line.partition(":")
            one, dash, other = (part.strip() for part in ends.partition(" - "))
            if not dash:
                network.add(one)
                continue
            try:
                network.link(one, other, float(length) if length else 1.0)
            except ValueError as error:
                raise NetworkError(f"line {number}: {error}") from error
        return network
