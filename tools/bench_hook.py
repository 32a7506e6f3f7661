"""How long a commit waits for the hook: three files in a repository of 500, first and again, without a model.

    python tools/bench_hook.py [--files 500] [--repeat 5]

The repository is made here: 400 modules that import one another, 100 test files of five tests each, and a virtual
environment of its own with nothing but pytest. Three of its files change; the tests that they touch are run. Printed is
the wall time of `qwencode hook --no-model` as a program, its start included: with nothing known, with the map of an
earlier commit, and again for the same content. `--floor` shows what pytest itself takes for the same tests.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENTRY = "import sys; sys.argv[0] = 'qwencode'; from qwencode.cli import main; main()"
PARTS = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py.py")
TESTS = 5


def environment(root: Path) -> None:
    """Make `.venv` with pytest alone, by links to the one that runs this."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site, source = root / ".venv" / "lib" / version / "site-packages", Path(sysconfig.get_path("purelib"))
    site.mkdir(parents=True)
    (root / ".venv" / "bin").mkdir()
    base = Path(sys.base_prefix) / "bin" / version
    (root / ".venv" / "bin" / "python").symlink_to(base)
    (root / ".venv" / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    for name in PARTS:
        (site / name).symlink_to(source / name)
    for path in [*source.glob("pytest-*.dist-info"), *source.glob("pluggy-*.dist-info")]:
        (site / path.name).symlink_to(path)


def module(number: int) -> str:
    uses = f"from shop.part{number // 10} import value{number // 10}\n\n\n" if number >= 10 else ""
    more = f" + value{number // 10}(0)" if number >= 10 else ""
    body = "".join(
        f'\n\ndef step{at}(text, count={at}):\n    """Step {at}."""\n    rows = []\n    for row in text.split():\n'
        f"        if len(row) > count:\n            rows.append(row.lower())\n    return rows\n"
        for at in range(6)
    )
    return f'"""Part {number}."""\n\n{uses}def value{number}(x):\n    return x + {number}{more}\n{body}'


def tests(number: int) -> str:
    cases = "".join(
        f"\n\ndef test_{at}():\n    assert value{number}({at}) - value{number}(0) == {at}\n" for at in range(TESTS)
    )
    return f"from shop.part{number} import value{number}\n{cases}"


def git(root: Path, *words: str) -> None:
    identity = ("-c", "user.name=Bench", "-c", "user.email=bench@example.invalid", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(root), *identity, *words], check=True, stdout=subprocess.DEVNULL)


def repository(root: Path, files: int) -> None:
    modules = files * 4 // 5
    (root / "shop").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "shop" / "__init__.py").write_text("")
    (root / ".gitignore").write_text(".venv/\n__pycache__/\n")
    for number in range(modules - 2):
        (root / "shop" / f"part{number}.py").write_text(module(number))
    for number in range(files - modules):
        (root / "tests" / f"test_part{number * 3}.py").write_text(tests(number * 3))
    environment(root)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "--all")
    git(root, "commit", "-qm", "Shop")


def change(root: Path, turn: int) -> None:
    """Change three files: two modules of the last layer, and the tests of one of them."""
    for name in ("shop/part150.py", "shop/part299.py", "tests/test_part150.py"):
        path = root / name
        path.write_text(path.read_text() + f"\n# Turn {turn}.\n")
    git(root, "add", "--all")


def hook(root: Path, cache: Path) -> tuple[float, list[dict[str, object]]]:
    """Return how long the hook took as a program, and its events."""
    command = [sys.executable, "-c", ENTRY, "hook", "--no-model", "--json"]
    names = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    done = subprocess.run(command, cwd=root, env=names, capture_output=True, text=True, check=True)
    seconds = time.monotonic() - began
    return seconds, [json.loads(line) for line in done.stdout.splitlines()]


def checks(events: list[dict[str, object]]) -> str:
    rows = [event for event in events if event["type"] == "check_finished"]
    assert not any(event["status"] == "skipped" for event in rows), rows
    return ", ".join(f"{event['check']} {event['status']} {event['seconds']:.2f} s" for event in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--floor", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-hook-") as folder:
        root, cache = Path(folder, "repository"), Path(folder, "cache")
        repository(root, wanted.files)
        took: dict[str, list[float]] = {"first commit": [], "next commit": [], "the same again": []}
        for turn in range(wanted.repeat):
            shutil.rmtree(cache, ignore_errors=True)
            for at, name in enumerate(took):
                if name != "the same again":
                    change(root, 2 * turn + at)
                seconds, events = hook(root, cache)
                took[name].append(seconds)
                print(f"{name:<15} {seconds:6.2f} s   {checks(events)}", flush=True)
                if name == "first commit":
                    git(root, "commit", "-qm", f"Turn {turn}")
            git(root, "commit", "-qm", f"Turn {turn}, again")
        if wanted.floor:
            names = ["tests/test_part150.py"]
            began = time.monotonic()
            subprocess.run([root / ".venv/bin/python", "-m", "pytest", "-q", *names], cwd=root, check=True)
            print(f"pytest alone    {time.monotonic() - began:6.2f} s")
        rows = {name: {"median": statistics.median(all_), "most": max(all_)} for name, all_ in took.items()}
        print(json.dumps({"files": wanted.files, "seconds": rows}))


if __name__ == "__main__":
    main()
