"""The shape of the package, kept by a test: layers import downwards only, and nothing grows too big."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "qwencode"
LAYERS = [  # each line may import the lines below it; on its own line only itself
    {"cli"},
    {"ui"},
    {"jobs"},
    {"agent", "review"},
    {"tools", "repair", "context", "machine"},
    {"model", "verify"},
    {"sandbox", "snapshots", "session", "sessions", "practice", "settings_file"},
    {"workspace"},
    {"event_json"},
    {"events"},
    {"messages", "settings", "excerpt", "languages", "findings"},
    {"errors"},
]
RANK = {unit: rank for rank, units in enumerate(reversed(LAYERS)) for unit in units}
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOM_LINES = {  # what a room may grow to before something has to be taken out of it
    "agent": 1_150,
    "cli": 1_990,
    "context": 1_670,
    "jobs": 4_700,
    "machine": 1_850,
    "model": 7_920,
    "repair": 4_250,
    "review": 2_220,
    "sandbox": 1_700,
    "snapshots": 1_370,
    "tools": 2_000,
    "ui": 3_220,
    "verify": 2_550,
}
LOOSE_LINES = 1_900
FILE_LINES = 400
FUNCTION_LINES = 60
LOOP_LINES = 150


def unit_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_names(tree: ast.AST) -> list[str]:
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "write imports in full: from qwencode.x import y"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_module_shape(path: Path):
    source = path.read_text(encoding="utf-8")
    tree, unit = ast.parse(source), unit_of(path)
    if unit != "__init__":
        assert unit in RANK, f"{unit} has no layer: name it in LAYERS"
        units = {name.split(".")[1] for name in imported_names(tree) if name.startswith("qwencode.")} & RANK.keys()
        upward = {other for other in units - {unit} if RANK[other] >= RANK[unit]}
        assert not upward, f"{unit} may not import {sorted(upward)}"
    assert len(source.splitlines()) <= FILE_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= FUNCTION_LINES, f"{node.name} is too long: {lines} lines"


def test_every_room_stays_small():
    lines: dict[str, int] = {}
    for path in MODULES:
        room = unit_of(path) if path.parent != PACKAGE else "loose"
        lines[room] = lines.get(room, 0) + len(path.read_text(encoding="utf-8").splitlines())
    too_big = {room: count for room, count in lines.items() if count > {**ROOM_LINES, "loose": LOOSE_LINES}[room]}
    assert not too_big


def test_the_loop_fits_on_two_screens():
    loop = PACKAGE / "agent" / "loop.py"
    assert len(loop.read_text(encoding="utf-8").splitlines()) <= LOOP_LINES


def users_of(library: str) -> set[str]:
    pattern = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
    return {str(p.relative_to(PACKAGE)) for p in MODULES if pattern.search(p.read_text(encoding="utf-8"))}


def test_only_one_room_knows_llama_cpp():
    assert all(user.startswith("model/llama/") for user in users_of("llama_cpp"))


@pytest.mark.parametrize("library", ["rich", "prompt_toolkit"])
def test_only_the_ui_draws(library: str):
    assert all(user.startswith("ui/") for user in users_of(library))


def test_no_module_is_started_with_python_dash_m():
    assert not list(PACKAGE.rglob("__main__.py")), "python -m would import from the opened repository"


def test_nothing_swallows_everything():
    """A broad `except` may clean up and raise again; only code inside someone else's process may do otherwise."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler) and not path.stem.startswith("inside_"):
                name = node.type.id if isinstance(node.type, ast.Name) else "" if node.type else "BaseException"
                raises = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
                assert name not in ("Exception", "BaseException") or raises, f"{path}:{node.lineno}: name the exception"


def test_importing_does_nothing(tmp_path: Path):
    names = [name_of(path) for path in MODULES if "llama" not in path.parts and not path.stem.startswith("inside_")]
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())


def test_help_loads_no_engine():
    importlib.invalidate_caches()
    code = "import sys; sys.argv = ['qwencode', '--help']\nfrom qwencode.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "heavy = {'llama_cpp', 'numpy', 'httpx', 'git', 'rich', "
    code += "'huggingface_hub', 'tomlkit', 'rapidfuzz', 'platformdirs'}\n"
    code += "loaded = [name for name in sys.modules if name in heavy or name.startswith('tree_sitter')]\n"
    code += "sys.stderr.write(' '.join(loaded))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "fix" in done.stdout
    assert done.stderr == ""
