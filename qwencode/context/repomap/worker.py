"""A process that parses. The grammars are C code on text that nobody vouches for: where one crashes or runs on, only
this process ends.

Reads lines of JSON `[language, path]`, and answers each with a line `[digest, names, words, tags]`: the digest of the
bytes that were read, the names of the definitions and all words of the file, both joined by blanks, and the packed
tags in base 64; or with `null` when the file cannot be read. More than SECONDS of processor time on one file end it.
"""

import base64
import json
import signal
import sys
from collections.abc import Iterable
from typing import TextIO

from qwencode.context.repomap.extract import tags_of
from qwencode.context.repomap.reading import digest, read_bytes
from qwencode.context.repomap.tags import FileTags, pack

SECONDS = 5.0


def main() -> None:
    """Answer until the input ends."""
    serve(sys.stdin, sys.stdout)


def serve(requests: Iterable[str], replies: TextIO) -> None:
    """Answer each line of `requests`."""
    for line in requests:
        language, path = json.loads(line)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)  # ends the process, also inside of C code
        data = read_bytes(path)
        reply = None
        if data is not None:
            *fields, tags = answer(digest(data), tags_of(data, language))
            reply = [*fields, base64.b64encode(tags).decode()]
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        replies.write(json.dumps(reply, separators=(",", ":")) + "\n")
        replies.flush()


def answer(content: str, tags: FileTags) -> tuple[str, str, str, bytes]:
    """Return what is kept of a file: its digest, the names that it defines, all its words, and the packed tags."""
    names = " ".join(definition.name for definition in tags.definitions)
    words = sorted({name for scope in (*tags.calls, *tags.words) for name in scope.split()})
    return content, names, " ".join(words), pack(tags)
