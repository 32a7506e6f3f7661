"""Write the tables of docs/chat.md and docs/settings.md that are made from the code: slash commands and settings.

    PYTHONPATH=. python tools/make_docs.py [--check]

With --check nothing is written; the exit code is 1 when a page is not what the code says.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from qwencode.jobs.chat.commands import COMMANDS
from qwencode.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"
CHAT = ("mode", "allow_commands", "deny_commands", "allow_paths", "deny_paths", "keys")


def commands() -> str:
    """Return the table of the slash commands."""
    rows = [f"| {_code(f'/{command.name} {command.usage}'.rstrip())} | {command.help} |" for command in COMMANDS]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def settings() -> str:
    """Return the table of the settings that concern a conversation."""
    known = {each.name: each.metadata["help"] for each in fields(Settings)}
    rows = [f"| `{name}` | {known[name]} |" for name in CHAT]
    return "\n".join(["| setting | what it means |", "|---|---|", *rows])


def all_settings() -> str:
    """Return the table of all settings with their defaults, as the settings file writes them."""
    default = Settings()
    rows = [
        f"| `{each.name}` | `{json.dumps(getattr(default, each.name))}` | {each.metadata['help']} |"
        for each in fields(Settings)
    ]
    return "\n".join(["| setting | default | what it means |", "|---|---|---|", *rows])


PAGES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    DOCS / "chat.md": {"commands": commands, "settings": settings},
    DOCS / "settings.md": {"all settings": all_settings},
}


def filled(path: Path) -> str:
    """Return a page with its tables as the code says: each stands between `<!-- made: NAME -->` and `<!-- end -->`."""
    page = path.read_text(encoding="utf-8")
    for name, table in PAGES[path].items():
        before, begin, rest = page.partition(f"<!-- made: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not begin or not end:
            raise SystemExit(f"{path} has no place for the table of {name}.")
        page = f"{before}{begin}{table()}\n{end}{after}"
    return page


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def main() -> int:
    made = {path: filled(path) for path in PAGES}
    if "--check" in sys.argv[1:]:
        return int(any(path.read_text(encoding="utf-8") != page for path, page in made.items()))
    for path, page in made.items():
        path.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
