"""Reading files whose place in the tree is listed by git, without following links."""

import hashlib
import os
import stat

MAX_BYTES = 500_000
"""A larger source file is data or was made by a program; it has no tags."""


def read_bytes(path: str) -> bytes | None:
    """Return the content of a regular file, at most MAX_BYTES + 1 of it; None for anything else or when it is gone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    with os.fdopen(handle, "rb") as file:
        try:
            return file.read(MAX_BYTES + 1) if stat.S_ISREG(os.fstat(handle).st_mode) else None
        except OSError:
            return None


def digest(data: bytes) -> str:
    """Return what tells a content from every other."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()
