"""Secrets on new lines: keys and tokens in the formats of their issuers, values under names that speak of secrets, and
long strings that look drawn by chance. What is found is never shown whole.

A well-kept library (detect-secrets) was looked at. It brings an HTTP client, to ask the issuers whether a key is in
force, and its entropy plug-ins find a digest as well as a key; so the rules are our own, from the issuers' pages.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from qwencode.events import FindingReported
from qwencode.excerpt import split_lines
from qwencode.findings import Severity
from qwencode.review.change import FileChange
from qwencode.review.secret_rules import (
    ASSIGNED,
    BASE64_LINE,
    GENERATED,
    JWT,
    NO_SECRET_NAME,
    PLACEHOLDER,
    PRIVATE_KEY,
    RULES,
    SECRET_FILE,
    SPECIMEN,
    UNQUOTED,
    URL_PASSWORD,
)
from qwencode.verify.protected import is_test_path

_LINE_CHARS = 2_000  # of a longer line names and chance are only looked for in so much: it is data
_KEY_STARTS = 6  # lines below its first one within which the text of a private key begins, after what is said of it
_STRING = re.compile(r"""["'`]([A-Za-z0-9+/=_-]{32,120})["'`]""")
_RANDOM_BITS = 4.3
"""Bits a character, by Shannon's measure, from which on a string of 32 or more in base 64 is taken for drawn by chance:
such strings have 4.6 on average at that length, identifiers and words below 4."""
_NAMED_BITS = 3.0  # under a name that speaks of a secret less is enough
_DISTINCT = 8
_DIGEST = re.compile(r"(?i)sha\d|integrity|data:|base64,|hash|digest")
_SPEAKS = re.compile(r"(?i)passw|passphrase|pwd|secret|token|key|credential")
_WORDS = re.compile(r"[A-Za-z][a-z]+(?:[_./:-][A-Z]?[a-z]+)+|[a-z]+(?:[A-Z][a-z]+)+|[A-Za-z]+|[A-Z]+(?:_[A-Z]+)+")
_CALL = re.compile(r"[\w.\[\]]+\(|^[\w.]+\[|^(self|this|config|settings|os|env|process|request|args|options)\.")
_LOCAL = re.compile(
    r"^(localhost|127\.|0\.0\.0\.0|\[?::1|example\.|[\w.-]+\.(example|test|invalid|local)\b|db$|postgres$|mysql$|redis$|rabbitmq$|mongo$)"
)
_USUAL = ("pass", "password", "pwd", "user", "root", "admin", "test")
_KEEP = (
    "Take it out, use a variable of the environment or a secret store, and let the issuer withdraw it if it was real."
)


def secrets(file: FileChange) -> Iterator[FindingReported]:
    """Find secrets on the new lines of a file."""
    if file.after is None or not file.added:
        return
    if SECRET_FILE.search(file.path) and file.before is None and not is_test_path(file.path):
        what = f"{file.path.rpartition('/')[2]} is a file that usually holds secrets, and it is new here."
        yield FindingReported(file.path, 1, "warning", "secrets/file", what, "Leave it out, and name it in .gitignore.")
    lines = split_lines(file.after)
    for number in sorted(file.added):
        for rule, severity, what in _in_line(file.path, lines[number - 1], lines[number : number + _KEY_STARTS]):
            yield FindingReported(file.path, number, severity, f"secrets/{rule}", what, _KEEP)
            break  # one secret a line: a key under a name would be told twice


def _in_line(path: str, line: str, following: list[str]) -> Iterator[tuple[str, Severity, str]]:
    low = line.lower()
    for rule in RULES:
        if rule.word in low:
            for match in rule.pattern.finditer(line):
                if not SPECIMEN.search(match[1]) and len(set(match[1])) >= _DISTINCT:
                    yield rule.name, "error", f"This looks like {rule.what} ({_shown(match[1])})."
    found = PRIVATE_KEY.search(line)
    if found and any(BASE64_LINE.search(each) for each in (line[found.end() :], *following)):
        yield "private-key", "error", f"This is a private key ({found[1]})."
    for match in JWT.finditer(line):
        yield "jwt", "warning", f"This looks like a signed token, a JWT ({_shown(match[1])})."
    for match in URL_PASSWORD.finditer(line):
        usual = is_test_path(path) or match[1].lower() in _USUAL or (match[1].isalpha() and len(match[1]) < 6)
        if not (usual or _is_placeholder(match[1]) or _LOCAL.match(match[2])):
            yield "url-password", "error", f"The address holds a password ({_shown(match[1])})."
    if not GENERATED.search(path):
        yield from _by_name(path, line[:_LINE_CHARS])
        yield from _by_chance(path, line[:_LINE_CHARS])


def _by_name(path: str, line: str) -> Iterator[tuple[str, Severity, str]]:
    """Find a value that stands under a name which speaks of a secret."""
    if is_test_path(path):
        return  # what tests log in with is made up
    if not _SPEAKS.search(line):
        return
    for match in ASSIGNED.finditer(line):
        name, value, quoted = match["name"], match["value"].rstrip(",;)}]"), bool(match["quote"])
        listed = "," in match[0][len(name) : len(name) + 2]  # the arguments of a call, say, to set a variable
        if (not quoted and not UNQUOTED.search(path)) or (listed and not (quoted and name.isupper())):
            continue
        if NO_SECRET_NAME.search(name) or _is_placeholder(value) or _CALL.search(value) or "://" in value:
            continue
        password = re.search(r"(?i)passw|pwd|passphrase", name) is not None
        mixed = re.search(r"\d", value) and re.search(r"[A-Za-z]", value)
        plain = _WORDS.fullmatch(value) or not mixed
        if len(value) < (6 if password else 12) or (plain and not _special(value, password)):
            continue
        if entropy(value) >= (2.3 if password else _NAMED_BITS):
            severity: Severity = "error" if quoted or UNQUOTED.search(path) else "warning"
            yield "named", severity, f"`{name}` is given a value that looks like a secret ({_shown(value)})."


def _special(value: str, password: bool) -> bool:
    """Say whether a password without digits has the marks that people put into passwords."""
    return password and re.search(r"[A-Za-z]{3}", value) is not None and re.search(r"[!@#%&*?~^+$]", value) is not None


def _by_chance(path: str, line: str) -> Iterator[tuple[str, Severity, str]]:
    """Find a long string that looks drawn by chance, unless its line says that it is a digest or the like."""
    if not _STRING.search(line) or is_test_path(path) or _DIGEST.search(line):
        return
    if NO_SECRET_NAME.search(line.partition("=")[0].strip()):
        return
    for match in _STRING.finditer(line):
        value = match[1]
        classes = sum(1 for kind in (r"[a-z]", r"[A-Z]", r"\d") if re.search(kind, value))
        parts = re.split(r"[_/+=-]", value)
        wordy = max(map(len, parts)) < 12 or _WORDS.fullmatch(value)
        if (
            classes == 3
            and entropy(value) >= _RANDOM_BITS
            and not wordy
            and not _is_placeholder(value)
            and not _in_order(value)
        ):
            yield "random", "warning", f"This string looks like a key: it seems drawn by chance ({_shown(value)})."


def _in_order(value: str) -> bool:
    """Say whether most characters follow on the one before, as in an alphabet that is written out."""
    return sum(1 for a, b in pairwise(value) if ord(b) - ord(a) == 1) > len(value) / 3


def entropy(text: str) -> float:
    """Return Shannon's entropy of the characters of a text, in bits a character."""
    counts = Counter(text)
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts.values()) if text else 0.0


def _is_placeholder(value: str) -> bool:
    """Say whether a value only stands where a secret would."""
    return PLACEHOLDER.search(value) is not None or len(set(value)) < min(_DISTINCT, max(4, len(value) - 3))


def _shown(value: str) -> str:
    """Return how a secret begins and how long it is: enough to find it, too little to use it."""
    return f"{value[: min(4, len(value) // 3)]}…, {len(value)} characters"
