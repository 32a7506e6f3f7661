"""The environment of confined commands: an allow-list, so that a secret in a variable needs no name to be kept out.

Covered: every variable that is not listed here is dropped; HOME and the temporary directories point into the scratch
directory; agents, proxies, D-Bus and Docker variables are gone. Not covered: a secret that the user keeps in a listed
variable (say PATH or PYTHONPATH).
"""

from collections.abc import Mapping
from pathlib import Path

PASSED = """
PATH LANG LANGUAGE TERM TZ USER LOGNAME SHELL COLUMNS LINES NO_COLOR CI VIRTUAL_ENV CONDA_PREFIX LD_LIBRARY_PATH
PYTHONPATH PYTHONHOME PYTHONHASHSEED PYTHONUTF8 PYTHONIOENCODING PYTHONWARNINGS PYTHONUNBUFFERED PYTHONDEVMODE
PYTHONSAFEPATH PYTHONFAULTHANDLER PYENV_VERSION NODE_ENV NODE_PATH JAVA_HOME GOROOT GOFLAGS GOTOOLCHAIN GOEXPERIMENT
CGO_ENABLED CC CXX CFLAGS CXXFLAGS LDFLAGS MAKEFLAGS PKG_CONFIG_PATH RUSTFLAGS RUST_BACKTRACE RUSTUP_TOOLCHAIN
NIX_PATH NIX_SSL_CERT_FILE SOURCE_DATE_EPOCH
""".split()  # noqa: SIM905
PASSED_PREFIXES = ("LC_",)
TOOL_HOMES = {
    "PYTHONUSERBASE": ".local",
    "PYENV_ROOT": ".pyenv",
    "CARGO_HOME": ".cargo",
    "RUSTUP_HOME": ".rustup",
    "GOPATH": "go",
    "NVM_DIR": ".nvm",
    "VOLTA_HOME": ".volta",
    "ASDF_DATA_DIR": ".asdf",
    "RBENV_ROOT": ".rbenv",
    "SDKMAN_DIR": ".sdkman",
    "BUN_INSTALL": ".bun",
}
"""Where tool chains live under the user's home, which they would not find once HOME points elsewhere."""
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def allowed(source: Mapping[str, str], home: Path, scratch: Path) -> dict[str, str]:
    """Return the environment for a command, made from the user's (`source`), their home and the scratch directory."""
    kept = {name: value for name, value in source.items() if name in PASSED or name.startswith(PASSED_PREFIXES)}
    for name, place in TOOL_HOMES.items():
        if name in source:
            kept[name] = source[name]
        elif (home / place).is_dir():
            kept[name] = str(home / place)
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    return {
        "PATH": DEFAULT_PATH,
        "LANG": "C.UTF-8",
        **kept,
        **temporary,
        "HOME": str(scratch / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "QWENCODE_SANDBOX": "1",
    }
