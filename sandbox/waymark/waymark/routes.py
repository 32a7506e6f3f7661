"""Shortest routes, after Dijkstra."""

import heapq
from collections.abc import Collection
from dataclasses import dataclass

from waymark.network import Link, Network, NetworkError


@dataclass(frozen=True)
class Route:
    """The places on the way, both ends included, and the links between them."""

    places: tuple[str, ...]
    links: tuple[Link, ...]

    @property
    def length(self) -> float:
        return sum(link.length for link in self.links)

    def __str__(self) -> str:
        return " > ".join(self.places)


def shortest(network: Network, start: str, goal: str, avoiding: Collection[str] = ()) -> Route | None:
    """Return the shortest route, or None when there is none. The places to avoid are not passed through.

    Raises NetworkError for a place that is not there.
    """
    for place in (start, goal):
        if place not in network:
            raise NetworkError(f"there is no place {place}")
    distance = {start: 0.0}
    came_by: dict[str, Link] = {}
    queue = [(0.0, start)]
    settled: set[str] = set()
    while queue:
        so_far, place = heapq.heappop(queue)
        if place in settled:
            continue
        settled.add(place)
        if place == goal:
            return _trace(start, goal, came_by)
        if place in avoiding and place != start:
            continue
        for link in network.links_at(place):
            neighbour = link.end_from(place)
            length = so_far + link.length
            if length < distance.get(neighbour, float("inf")):
                distance[neighbour] = length
                came_by[neighbour] = link
                heapq.heappush(queue, (length, neighbour))
    return None


def _trace(start: str, goal: str, came_by: dict[str, Link]) -> Route:
    places, links = [goal], []
    while places[-1] != start:
        link = came_by[places[-1]]
        links.append(link)
        places.append(link.end_from(places[-1]))
    return Route(tuple(reversed(places)), tuple(reversed(links)))


def reachable(network: Network, start: str, limit: float = float("inf")) -> dict[str, float]:
    """Return the places within a distance, nearest first, with their distance."""
    network.links_at(start)
    distance: dict[str, float] = {}
    queue = [(0.0, start)]
    while queue:
        so_far, place = heapq.heappop(queue)
        if place in distance or so_far > limit:
            continue
        distance[place] = so_far
        for link in network.links_at(place):
            heapq.heappush(queue, (so_far + link.length, link.end_from(place)))
    return distance
