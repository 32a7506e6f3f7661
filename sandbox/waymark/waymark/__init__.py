"""Routes and weak points in networks with parallel links."""

from waymark.network import Link, Network, NetworkError
from waymark.routes import Route, reachable, shortest
from waymark.weakness import bridges, cut_places, parts

__all__ = [
    "Link",
    "Network",
    "NetworkError",
    "Route",
    "bridges",
    "cut_places",
    "parts",
    "reachable",
    "shortest",
]
