"""What splits the network when it fails.

Both searches number the places in the order of a depth-first search and compute, for every place, the smallest number
that can be reached from below it by one more link (Hopcroft and Tarjan, 1973). They keep their own stack, so a long chain
of places is no problem.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from waymark.network import Link, Network


def parts(network: Network) -> list[set[str]]:
    """Return the connected parts, in the order of their first places."""
    found: list[set[str]] = []
    seen: set[str] = set()
    for place in network.places():
        if place in seen:
            continue
        part = {place}
        waiting = [place]
        while waiting:
            here = waiting.pop()
            for link in network.links_at(here):
                neighbour = link.end_from(here)
                if neighbour not in part:
                    part.add(neighbour)
                    waiting.append(neighbour)
        seen |= part
        found.append(part)
    return found


@dataclass
class _Search:
    """One depth-first search over a connected part."""

    network: Network
    number: dict[str, int] = field(default_factory=dict)
    low: dict[str, int] = field(default_factory=dict)

    def run(self, root: str) -> Iterator[tuple[str, str]]:
        """Search from a root; yields (above, below) for each link of the search tree, when it is done with it."""
        self._enter(root)
        stack: list[tuple[str, str | None, Iterator[Link]]] = [(root, None, iter(self.network.links_at(root)))]
        while stack:
            place, above, links = stack[-1]
            for link in links:
                neighbour = link.end_from(place)
                if neighbour == above:
                    continue
                if neighbour in self.number:
                    self.low[place] = min(self.low[place], self.number[neighbour])
                else:
                    self._enter(neighbour)
                    stack.append((neighbour, place, iter(self.network.links_at(neighbour))))
                    break
            else:
                stack.pop()
                if above is not None:
                    self.low[above] = min(self.low[above], self.low[place])
                    yield above, place

    def _enter(self, place: str) -> None:
        self.number[place] = self.low[place] = len(self.number)


def bridges(network: Network) -> list[Link]:
    """Return the links without which some places could no longer reach each other, in the order they were added."""
    found: list[Link] = []
    search = _Search(network)
    for root in network.places():
        if root not in search.number:
            for above, below in search.run(root):
                if search.low[below] > search.number[above]:
                    found.append(next(link for link in network.links_at(above) if link.end_from(above) == below))
    return sorted(found, key=lambda link: link.number)


def cut_places(network: Network) -> set[str]:
    """Return the places without which some others could no longer reach each other."""
    found: set[str] = set()
    search = _Search(network)
    for root in network.places():
        if root in search.number:
            continue
        branches = 0
        for above, below in search.run(root):
            if above == root:
                branches += 1
            elif search.low[below] >= search.number[above]:
                found.add(above)
        if branches > 1:
            found.add(root)
    return found
