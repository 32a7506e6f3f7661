"""Remembering the results of a function."""

import functools
from collections.abc import Callable, Hashable
from typing import Any, ParamSpec, TypeVar

from cachebox.cache import MISSING, Cache

P = ParamSpec("P")
R = TypeVar("R")


def memoize(
    cache: Cache, group: Callable[..., Hashable] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that its results are kept in a cache.

    `group` computes the group of a result from the arguments of the call. Exceptions are not kept. Several functions may
    share a cache; their results do not mix. The undecorated function is there as `__wrapped__`.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = f"{function.__module__}.{function.__qualname__}"

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            key = call_key(name, args, kwargs)
            found = cache.get(key)
            if found is not MISSING:
                return found
            result = function(*args, **kwargs)
            cache.put(key, result, group=group(*args, **kwargs) if group else None)
            return result

        return wrapper

    return decorate


def call_key(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    """Return a key for a call. The order of keyword arguments does not matter; 1 and 1.0 are different."""
    named = tuple(sorted(kwargs.items()))
    kinds = tuple(type(value) for value in (*args, *(value for _, value in named)))
    return (name, args, named, kinds)
