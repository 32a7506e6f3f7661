"""What the checks of the hook find without a model, and what they find wrongly: the table of docs/hook.md.

    python tools/seeded_table.py [--write]

Every change of tests/review/seeded_changes.py is staged in a repository of its own, and `qwencode hook --no-model` run
there as a program. `--write` puts the table into docs/hook.md, between its two marks.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "review"))

from review_ground import lean_environment, write_files  # noqa: E402
from seeded_changes import SEEDED, Seeded  # noqa: E402

ENTRY = "import sys; sys.argv[0] = 'qwencode'; from qwencode.cli import main; main()"
PAGE = ROOT / "docs" / "hook.md"
MARKS = ("<!-- table -->", "<!-- end of table -->")
KINDS = {
    "secret": "secrets",
    "weakened": "weakened tests",
    "broken": "broken tests",
    "conflict": "conflict markers",
    "syntax": "broken syntax",
    "left-over": "debugging left-overs",
    "harmless": "harmless, no test touched or run",
    "tests": "harmless, with tests that are run",
}


def git(root: Path, *words: str) -> None:
    identity = ("-c", "user.name=Bench", "-c", "user.email=bench@example.invalid", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(root), *identity, *words], check=True, stdout=subprocess.DEVNULL)


def rules(seeded: Seeded, folder: Path) -> list[str]:
    """Return the rules that the hook reports for a change."""
    root = folder / "repository"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    lean_environment(root)
    write_files(root, {".gitignore": ".venv/\n__pycache__/\n", **seeded.before})
    git(root, "add", "--all")
    git(root, "commit", "-qm", "Before")
    write_files(root, seeded.after)
    git(root, "add", "--all")
    command = [sys.executable, "-c", ENTRY, "hook", "--no-model", "--json", "--seconds", "100"]
    names = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(command, cwd=root, env=names, capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    skipped = [event for event in events if event["type"] == "check_finished" and event["status"] == "skipped"]
    assert not skipped, (seeded.name, skipped)
    return [event["rule"] for event in events if event["type"] == "finding_reported"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    wanted = parser.parse_args()
    tally: dict[str, list[int]] = {kind: [0, 0, 0] for kind in KINDS}
    for seeded in SEEDED:
        with tempfile.TemporaryDirectory(prefix="seeded-") as folder:
            found = rules(seeded, Path(folder))
        right = bool(seeded.finds) and any(rule.startswith(seeded.finds) for rule in found)
        wrong = [rule for rule in found if not seeded.finds or not related(seeded, rule)]
        row = tally[seeded.name.partition(":")[0]]
        row[0] += 1
        row[1] += right
        row[2] += bool(wrong)
        said = "found" if right else "MISSED" if seeded.finds else "quiet"
        print(f"{said:<7} {seeded.name}{f'   also: {wrong}' if wrong else ''}", flush=True)
    lines = ["| seeded | changes | found | with a false alarm |", "|---|---|---|---|"]
    for kind, (number, right, wrong) in tally.items():
        lines.append(f"| {KINDS[kind]} | {number} | {right if kind not in ('harmless', 'tests') else '–'} | {wrong} |")
    total = [sum(row[at] for row in tally.values()) for at in range(3)]
    harmful = sum(1 for seeded in SEEDED if seeded.finds)
    lines.append(f"| all | {total[0]} ({total[0] - harmful} harmless) | {total[1]} of {harmful} | {total[2]} |")
    table = "\n".join(lines)
    print(table)
    if wanted.write:
        page = PAGE.read_text(encoding="utf-8")
        pattern = re.compile(f"{re.escape(MARKS[0])}.*{re.escape(MARKS[1])}", re.DOTALL)
        PAGE.write_text(pattern.sub(f"{MARKS[0]}\n{table}\n{MARKS[1]}", page), encoding="utf-8")


def related(seeded: Seeded, rule: str) -> bool:
    """Say whether a rule tells of what was seeded: the same check, or a test that the change breaks as well."""
    return rule.partition("/")[0] == seeded.finds.partition("/")[0] or rule == "tests/broken"


if __name__ == "__main__":
    main()
