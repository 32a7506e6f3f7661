"""Findings as SARIF 2.1.0, for uploads to code scanning: one document on stdout, written when the run has ended.

The format is OASIS' "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; what is set here is what its
schema requires (`version`, `runs`, `tool.driver.name`, `message.text`) and what GitHub asks for beyond that.
"""

import json
from typing import Any, TextIO
from urllib.parse import quote

from qwencode import __version__
from qwencode.events import CheckFinished, Event, FindingReported, Notice, RunFinished

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "SRCROOT"  # what paths are relative to: the top of the repository


class Sarif:
    """Collects what is found; `close` writes it, also when the run broke off."""

    def __init__(self, out: TextIO):
        self._out = out
        self._found: list[FindingReported] = []
        self._notes: list[dict[str, Any]] = []
        self._code: int | None = None
        self._written = False

    def show(self, event: Event) -> None:
        match event:
            case FindingReported():
                self._found.append(event)
            case CheckFinished() if event.status == "skipped":
                self._note(f"{event.check} was skipped: {event.reason}", "warning")
            case Notice() if event.level != "info":
                self._note(event.text, event.level)
            case RunFinished():
                self._code = event.exit_code
            case _:
                pass

    def ask(self, question: str) -> bool | None:
        return None

    def close(self) -> None:
        if self._written:
            return
        self._written = True
        self._out.write(json.dumps(self.document(), indent=2, ensure_ascii=True) + "\n")
        self._out.flush()

    def document(self) -> dict[str, Any]:
        """Return the whole document."""
        rules = sorted({found.rule for found in self._found})
        invocation: dict[str, Any] = {"executionSuccessful": self._code in (0, 1)}
        if self._notes:
            invocation["toolExecutionNotifications"] = self._notes
        driver: dict[str, Any] = {
            "name": "qwencode",
            "version": __version__,
            "rules": [
                {"id": rule, "name": _camel(rule), "shortDescription": {"text": _spoken(rule)}} for rule in rules
            ],
        }
        run = {
            "tool": {"driver": driver},
            "columnKind": "unicodeCodePoints",
            "invocations": [invocation],
            "results": [_result(found, rules.index(found.rule)) for found in self._found],
        }
        return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}

    def _note(self, text: str, level: str) -> None:
        self._notes.append({"level": level, "message": {"text": text}})


def _result(found: FindingReported, index: int) -> dict[str, Any]:
    place = {"uri": quote(found.file.encode("utf-8", "surrogateescape"), safe="/"), "uriBaseId": _ROOT}
    text = f"{found.what} {found.suggestion}".strip()
    result: dict[str, Any] = {
        "ruleId": found.rule,
        "ruleIndex": index,
        "level": found.severity,
        "message": {"text": text},
        "locations": [{"physicalLocation": {"artifactLocation": place, "region": {"startLine": found.line}}}],
    }
    if found.replacement is not None:
        lines = found.replacement.count("\n") + 1 if found.replacement else 0
        region = {"startLine": found.line, "startColumn": 1, "endLine": found.line + 1, "endColumn": 1}
        inserted = {"insertedContent": {"text": f"{found.replacement}\n"}} if lines else {}
        change = {"artifactLocation": place, "replacements": [{"deletedRegion": region, **inserted}]}
        result["fixes"] = [
            {"description": {"text": found.suggestion or "Replace the line."}, "artifactChanges": [change]}
        ]
    return result


def _camel(rule: str) -> str:
    return "".join(part.capitalize() for part in rule.replace("/", "-").split("-"))


def _spoken(rule: str) -> str:
    check, _, what = rule.partition("/")
    return f"{check}: {what.replace('-', ' ')}"
