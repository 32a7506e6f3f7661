"""Write the tables in docs/chat.md that are made from the code: the slash commands, and the settings of chat.

    PYTHONPATH=. python tools/make_docs.py [--check]

With --check nothing is written; the exit code is 1 when the page is not what the code says.
"""

import sys
from dataclasses import fields
from pathlib import Path

from qwencode.jobs.chat.commands import COMMANDS
from qwencode.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "chat.md"
SETTINGS = ("mode", "allow_commands", "deny_commands", "allow_paths", "deny_paths", "keys")


def commands() -> str:
    """Return the table of the slash commands."""
    rows = [f"| {_code(f'/{command.name} {command.usage}'.rstrip())} | {command.help} |" for command in COMMANDS]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


def settings() -> str:
    """Return the table of the settings that concern a conversation."""
    known = {each.name: each.metadata["help"] for each in fields(Settings)}
    rows = [f"| `{name}` | {known[name]} |" for name in SETTINGS]
    return "\n".join(["| setting | what it means |", "|---|---|", *rows])


def filled(page: str) -> str:
    """Return a page with its tables as the code says: each stands between `<!-- made: NAME -->` and `<!-- end -->`."""
    for name, table in (("commands", commands()), ("settings", settings())):
        before, begin, rest = page.partition(f"<!-- made: {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not begin or not end:
            raise SystemExit(f"{PAGE} has no place for the table of {name}.")
        page = f"{before}{begin}{table}\n{end}{after}"
    return page


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    made = filled(page)
    if "--check" in sys.argv[1:]:
        return int(made != page)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
