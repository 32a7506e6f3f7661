"""What the tests of reviews share: files to write, and an environment in which pytest starts at once."""

import sys
import sysconfig
from pathlib import Path

_PARTS = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py.py")


def lean_environment(root: Path) -> None:
    """Make `.venv` in a directory, with pytest by links to the one that runs these tests."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site, source = root / ".venv" / "lib" / version / "site-packages", Path(sysconfig.get_path("purelib"))
    site.mkdir(parents=True)
    (root / ".venv" / "bin").mkdir()
    base = Path(sys.base_prefix) / "bin" / version
    (root / ".venv" / "bin" / "python").symlink_to(base)
    (root / ".venv" / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    for name in _PARTS:
        (site / name).symlink_to(source / name)
    for path in (path for name in ("pytest", "pluggy") for path in source.glob(f"{name}-*.dist-info")):
        (site / path.name).symlink_to(path)


def write_files(root: Path, files: dict[str, str | None]) -> None:
    for name, text in files.items():
        path = root / name
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
