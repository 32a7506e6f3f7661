"""What of a Rust file is a test: where the code under repair and its tests stand in one file, the tests are protected.

Tests are the items under an attribute that speaks of tests (`#[test]`, `#[tokio::test]`, `#[cfg(test)]`, …) with all
the attributes beside it, and the code blocks of doc comments; with `#![cfg(test)]` it is the whole file.
Not covered: tests that a macro writes without such an attribute.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

MAY_HOLD_TESTS = re.compile(r"#!?\s*\[[^\]]*(?:test|bench|quickcheck)|```")
_NO_CODE = re.compile(
    r"//[^\n]*|/\*|\b[bc]?r(#*)\".*?\"\1|\"(?:\\.|[^\"\\])*\"|'(?:\\(?:u\{[^}]*\}|x..|.)|[^\\\n'])'", re.DOTALL
)
_ATTRIBUTE = re.compile(r"#(!?)\s*\[")
_OF_TESTS = re.compile(r"\b(?:\w+_)?tests?(?:_\w+)?\b|\brstest\b|\bbench\b|\bquickcheck\b")
_BESIDE_TESTS = re.compile(r"\bnot\s*\(\s*test\b|\bcfg_attr\b")
_ITEM = re.compile(
    r"\s*(?:pub|fn|mod|use|impl|struct|enum|union|trait|const|static|type|async|unsafe|extern|macro_rules|let)\b"
)
_MODULE = re.compile(r"\bmod\s+(?:r#)?(\w+)\s*;$")


def marked_tests(text: str) -> Iterator[str]:
    """Yield the parts of a Rust text that are tests or say when something is one."""
    bare = _bare(text)
    at = 0
    while found := _ATTRIBUTE.search(bare, at):
        start, marks, at = found.start(), list[str](), found.start()
        while following := _ATTRIBUTE.match(bare, at):
            end = _closed(bare, following.end() - 1)
            if _OF_TESTS.search(bare[at:end]):
                marks.append(bare[at:end])
            at = end
            if following[1]:
                break
            while bare[at : at + 1].isspace():
                at += 1
        if any(mark.startswith("#!") and not _BESIDE_TESTS.search(mark) and "cfg" in mark for mark in marks):
            yield text
            return
        if marks and all(mark.startswith("#!") or _BESIDE_TESTS.search(mark) for mark in marks):
            yield text[start:at]  # what it stands before is not for tests only
        elif marks:
            at = _item_end(bare, at)
            yield text[start:at]
    docs = "\n".join(line.strip()[3:] for line in text.splitlines() if line.strip().startswith(("///", "//!")))
    yield from re.findall(r"```.*?```", docs, re.DOTALL)


def modules_of_tests(name: str, tests: list[str]) -> Iterator[str]:
    """Yield where the modules lie that a file declares among its tests (`#[cfg(test)] mod tests;`), without `.rs`."""
    path = PurePosixPath(name)
    for part in tests:
        if found := _MODULE.search(_bare(part)):
            if told := re.search(r"#\s*\[\s*path\s*=\s*\"([^\"]+)\"", part):
                yield str(path.parent / told[1]).removesuffix(".rs")
            yield str(path.parent / found[1])
            yield str(path.parent / path.stem / found[1])


def _bare(text: str) -> str:
    """Return the text with blanks for comments, strings and characters, whose brackets are none."""
    parts: list[str] = []
    done = 0
    while found := _NO_CODE.search(text, done):
        end = _comment_end(text, found.end()) if found[0] == "/*" else found.end()
        parts += (text[done : found.start()], " " * (end - found.start()))
        done = end
    return "".join(parts) + text[done:]


def _comment_end(text: str, at: int) -> int:
    depth = 1
    for mark in re.finditer(r"/\*|\*/", text[at:]):
        depth += 1 if mark[0] == "/*" else -1
        if not depth:
            return at + mark.end()
    return len(text)


def _closed(bare: str, at: int) -> int:
    """Return where the bracket that opens at `at` is closed."""
    depth = 0
    for bracket in re.compile(r"[][(){}]").finditer(bare, at):
        depth += 1 if bracket[0] in "[({" else -1
        if depth <= 0:
            return bracket.end()
    return len(bare)


def _item_end(bare: str, at: int) -> int:
    """Return where an item, a field or a statement ends: at its `;`, its braces, or the end of what it stands in."""
    stops = re.compile(r"[][(){};]" if _ITEM.match(bare, at) else r"[][(){};,]")
    while found := stops.search(bare, at):
        if found[0] in "])}":
            return found.start()
        if found[0] in ";,":
            return found.end()
        at = _closed(bare, found.start())
        if found[0] == "{":
            return at
    return len(bare)
