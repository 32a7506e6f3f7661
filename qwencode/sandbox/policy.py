"""What a confined command may see and change, as one table from path to access; the longest matching path decides.

Covered: writes only in the repository, declared caches and the scratch directory; what git runs or obeys outside the
sandbox (`obeyed.py`) and qwencode's files are read-only even where they do not exist yet, and so are the environment
that it runs in, and the programs of an active one, where these lie in the repository. Out of sight: credentials, shell
and git settings of the user's home, the whole of `~/.config`, host sockets, the shared temporary directories, and
secret-looking files in the repository (`secrets_in`). Not covered: files elsewhere on the disk are readable as far as
the user may read them; a secret under a harmless name; a new repository, bare or not, made below the repository's top,
which git obeys for whoever goes there.

The decision on secrets in the repository: a name is not enough. A PEM file is hidden only if it holds a private key
(certificates are public). `.env`-like and key files that git tracks stay readable below a directory, or with a name,
for tests, examples or documentation, since a test suite needs its own throw-away keys. Names that only often hold
secrets (`credentials.json`, `.npmrc`, `*.tfvars`) are hidden only while git does not track them. Templates are never
hidden. Dependencies (`node_modules`, `site-packages`) are not searched: by their names, which a command cannot give to
a directory with something protected in it. What marks a virtual environment is a file, which it could make anywhere.
"""

import fnmatch
import os
import pwd
import re
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path

from qwencode.errors import UsageError
from qwencode.sandbox.obeyed import ask_git, links, obeyed_by_git
from qwencode.settings import Places

SHARED_DIRECTORIES = ("/run", "/tmp", "/var/tmp", "/dev/shm", "/private/tmp")
"""Where processes of the host leave sockets and temporary files."""
STILL_READABLE = ("/run/current-system", "/run/opengl-driver", "/run/wrappers")
HOME_SECRETS = """
.ssh .aws .azure .gnupg .docker .kube .config .netrc .npmrc .pypirc .yarnrc .yarnrc.yml .git-credentials .gitconfig
.bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zprofile .zshenv .zlogin .inputrc
.bash_history .zsh_history .sh_history .history .python_history .node_repl_history .psql_history .mysql_history
.sqlite_history .rediscli_history .irb_history .lesshst .viminfo .wget-hsts .password-store .pgpass .my.cnf .vault-token
.terraform.d .terraformrc .boto .s3cfg .databrickscfg .snowflake .pip .gem/credentials .m2/settings.xml
.m2/settings-security.xml .gradle/gradle.properties .cargo/credentials .cargo/credentials.toml .mozilla .thunderbird
.electrum .bitcoin .local/share/keyrings .local/share/kwalletd .local/share/fish .local/share/containers
.cache/huggingface/token .cache/huggingface/stored_tokens .claude .claude.json .codex .gemini .qwen Library/Keychains
""".split()  # noqa: SIM905
SECRET_VARIABLES = """
AWS_SHARED_CREDENTIALS_FILE AWS_CONFIG_FILE GOOGLE_APPLICATION_CREDENTIALS DOCKER_CONFIG KUBECONFIG GNUPGHOME HISTFILE
NPM_CONFIG_USERCONFIG PIP_CONFIG_FILE GIT_CONFIG_GLOBAL NETRC PGPASSFILE XDG_CONFIG_HOME SSH_AUTH_SOCK
""".split()  # noqa: SIM905
"""Variables of the user's environment that name a file or directory with credentials."""

_STRICT = """
.env .env.* *.env .envrc *.key *.pem *.p12 *.pfx *.jks *.keystore *.kdbx *.ppk id_rsa* id_dsa* id_ecdsa* id_ed25519*
""".split()  # noqa: SIM905
_LOOSE = """
credentials.json service-account*.json secrets.y*ml secrets.toml secrets.json .npmrc .pypirc .netrc .pgpass .htpasswd
.git-credentials *.tfvars *.tfstate
""".split()  # noqa: SIM905
_FOR_TESTS = frozenset("test tests testing testdata spec specs fixture fixtures example examples doc docs demo".split())  # noqa: SIM905
_TEMPLATE = re.compile(r"\.(example|sample|template|tmpl|tpl|dist|defaults?|schema|pub)$")
_STRICT_RE = re.compile("|".join(map(fnmatch.translate, _STRICT)), re.IGNORECASE)
_SECRET_RE = re.compile("|".join(map(fnmatch.translate, _STRICT + _LOOSE)), re.IGNORECASE)
_DEPENDENCIES = frozenset(("node_modules", "__pycache__", "site-packages", ".tox", ".nox"))
_PEM_BYTES = 1_000_000


class Access(IntEnum):
    """What may be done below a path. PRIVATE: an own empty directory stands there instead of the host's."""

    HIDE = 0
    PRIVATE = 1
    READ = 2
    WRITE = 3


Table = Mapping[Path, Access]


def governing(table: Table, path: Path) -> Access:
    """Return the access of the nearest path strictly above `path`."""
    return next((table[parent] for parent in path.parents if parent in table), Access.READ)


def _there(path: Path) -> bool:
    return os.access(path, os.F_OK)  # unlike Path.exists, false for what lies in a directory that is not ours to search


def identity(path: Path) -> list[int]:
    """Return device and inode of what an absolute path leads to without any symbolic link, or []."""
    held = os.open("/", os.O_PATH)
    try:
        for part in path.parts[1:]:
            inner = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=held)
            os.close(held)
            held = inner
        found = os.fstat(held)
    except OSError:
        return []
    finally:
        os.close(held)
    return [] if stat.S_ISLNK(found.st_mode) else [found.st_dev, found.st_ino]


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve, never raises, as it does for a link to itself


def _matters(access: Access, above: Access) -> bool:
    return access != above and max(access, above) > Access.PRIVATE


class Tree:
    """The repository's directories as last seen. A directory whose ctime stands still is not read again."""

    def __init__(self, root: Path):
        self.root = root
        self._seen: dict[str, tuple[int, list[str], list[str]]] = {}

    def marked(self) -> list[Path]:
        """Return every nested `.git` and every file that looks like a secret, dependencies left out.

        A directory that cannot be searched is one, too: the next command may let itself in where we could not look.
        """
        found, waiting = list[Path](), [str(self.root)]
        while waiting:
            directory = waiting.pop()
            try:
                changed = os.lstat(directory).st_ctime_ns
                if self._seen.get(directory, (0,))[0] != changed:
                    self._seen[directory] = (changed, *_look(directory))
            except (FileNotFoundError, NotADirectoryError):  # removed meanwhile
                self._seen.pop(directory, None)
                continue
            except OSError:
                self._seen.pop(directory, None)
                found.append(Path(directory))
                continue
            _, below, names = self._seen[directory]
            waiting += [f"{directory}/{name}" for name in below]
            found += [Path(directory, name) for name in names]
        return found

    def secrets(self) -> set[Path]:
        """Return the resolved paths of the secret-looking files that are to be hidden."""
        marked = (path for path in self.marked() if path.name != ".git")
        return {_real(path) for path in secrets_in(self.root, marked)}


def _look(directory: str) -> tuple[list[str], list[str]]:
    """Return the subdirectories worth searching and the marked names of a directory."""
    below, names = list[str](), list[str]()
    os.lstat(f"{directory}/.")  # one whose names are told, but not what is behind them, counts as unreadable
    with os.scandir(directory) as entries:
        for entry in entries:
            folder = entry.is_dir(follow_symlinks=False)
            if entry.name == ".git" or (not folder and _SECRET_RE.match(entry.name) and _is_secret(entry)):
                names.append(entry.name)
            elif folder and entry.name not in _DEPENDENCIES:
                below.append(entry.name)
    return below, names


def _is_secret(entry: "os.DirEntry[str]") -> bool:
    if _TEMPLATE.search(entry.name.lower()) or os.path.isdir(entry.path):  # noqa: PTH112 (never raises)
        return False
    if not entry.name.lower().endswith(".pem"):
        return True
    try:
        with Path(entry.path).open("rb") as file:
            return b"PRIVATE KEY" in file.read(_PEM_BYTES)
    except OSError:
        return False


def secrets_in(root: Path, candidates: Iterable[Path]) -> list[Path]:
    """Return those of the secret-looking files that are to be hidden; the module's docstring has the rule."""
    hidden, doubtful = list[Path](), list[Path]()
    for path in candidates:
        words = {word for part in path.relative_to(root).parts for word in re.split(r"[^a-z]+", part.lower())}
        (hidden if _STRICT_RE.match(path.name) and not words & _FOR_TESTS else doubtful).append(path)
    if doubtful:
        tracked = _tracked(root, [os.fsencode(path.relative_to(root)) for path in doubtful])
        hidden += [path for path in doubtful if os.fsencode(path.relative_to(root)) not in tracked]
    return hidden


def _tracked(root: Path, names: Sequence[bytes]) -> frozenset[bytes]:
    return frozenset(ask_git(root, os.environ, "--literal-pathspecs", "ls-files", "-z", "--", *names).split(b"\0"))


def homes(root: Path, environ: Mapping[str, str]) -> list[Path]:
    """Return the homes whose secrets matter: by HOME, of this user, of the repository's owner, of sudo's caller."""
    found = [Path(environ["HOME"])] if environ.get("HOME") else []
    for key in (os.getuid(), root.stat().st_uid, environ.get("SUDO_USER", "")):
        try:
            entry = pwd.getpwuid(key) if isinstance(key, int) else pwd.getpwnam(key)
        except KeyError:
            continue
        found.append(Path(entry.pw_dir))
    return list(dict.fromkeys(home.resolve() for home in found if home.is_absolute() and home != Path("/")))


def tool_chains(environ: Mapping[str, str]) -> list[Path]:
    """Return the directories along PATH with what belongs to them (the parent of a `bin`), which must stay readable."""
    places = [Path(entry) for entry in environ.get("PATH", "").split(os.pathsep) if entry.startswith("/")]
    places += [Path(environ[name]) for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if environ.get(name, "").startswith("/")]
    return [*(place.parent for place in places if place.name in ("bin", "sbin", "shims")), *places]


def _environment_programs(environ: Mapping[str, str]) -> list[Path]:
    """Return the directories along PATH of virtual environments: the user's shell looks there first, for `ls` and git.

    Others along PATH stay writable, since builds put their programs into `bin` and the like.
    """
    places = [Path(entry) for entry in environ.get("PATH", "").split(os.pathsep) if entry.startswith("/")]
    return [place for place in places if _there(place.parent / "pyvenv.cfg")]


def host_sockets() -> list[Path]:
    """Return the Unix sockets that processes of this network namespace have bound to a path (Linux; else none)."""
    try:
        lines = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()[1:]
    except OSError:
        return []
    paths = {fields[7] for line in lines if len(fields := line.split(maxsplit=7)) == 8 and fields[7].startswith("/")}
    return [Path(path) for path in sorted(paths)]


class Policy:
    """Builds the table for one sandbox; `table()` looks at the disk anew each time, since files come and go."""

    def __init__(
        self, root: Path, scratch: Path, writable: Sequence[Path], readable: Sequence[Path], environ: Mapping[str, str]
    ):
        self.root, self.scratch = root, scratch
        self._tree = Tree(root)
        self._writable = [path.resolve() for path in writable]
        self._readable = [path.resolve() for path in (*readable, *tool_chains(environ), *map(Path, STILL_READABLE))]
        self._homes = homes(root, environ)
        named = [Path(environ[name]) for name in SECRET_VARIABLES if environ.get(name, "").startswith("/")]
        listed = [home / name for home in self._homes for name in HOME_SECRETS]
        secret = (path.resolve() for path in (*listed, *named) if _there(path) and not path.is_char_device())
        self._secret = [path for path in secret if not any(home.is_relative_to(path) for home in self._homes)]
        own = [root / ".git", root / ".qwencode"]
        for path in own:
            if path.is_symlink():
                raise UsageError(
                    f"{path} is a symbolic link, which cannot be protected. Put the real thing in its place."
                )
        places = Places.of_user()
        users = [places.config, places.data, places.state, places.cache]
        nested = [path.parent for path in self._tree.marked() if path.name == ".git" and path.parent != root]
        obeyed = obeyed_by_git(root, nested)
        held = [*users, *obeyed, Path(sys.prefix), *_environment_programs(environ)]
        inside = [path for path in map(_real, held) if not root.is_relative_to(path)]  # not what the root lies in
        self.protected = tuple(dict.fromkeys([*own, *inside]))
        self._check(obeyed)

    def _check(self, obeyed: Mapping[Path, bool]) -> None:
        """Refuse a repository in which a command could put something else where git looks. Raises UsageError."""

        def writable(path: Path) -> bool:
            return any(path.is_relative_to(place) for place in (self.root, self.scratch, *self._writable))

        def held(path: Path) -> bool:
            return any(path.is_relative_to(place) for place in self.protected)

        for path, needed in obeyed.items():
            if link := next((link for link in links(path) if writable(link) and not held(link)), None):
                way = "which" if link == path else f"and {link} on the way there"
                raise UsageError(
                    f"git runs or obeys {path}, {way} is a symbolic link, which cannot be protected. "
                    "Put the real thing in its place."
                )
            if needed and not _there(path) and writable(_real(path)):
                raise UsageError(
                    f"git takes settings from {path}, which is not there, so that a command could put it there. "
                    "Make that file, or take the setting include.path out."
                )

    def table(self, *, sockets: bool) -> dict[Path, Access]:
        """Return path to access, parents before what lies below them. Paths are absolute, without symlinks.

        `sockets`: hide the host's Unix sockets wherever they are.
        """
        marked = self._tree.marked()
        nested = [path for path in marked if path.name == ".git"]
        secret = secrets_in(self.root, (path for path in marked if path.name != ".git"))
        table = {Path("/"): Access.READ}
        table |= {
            Path(path): Access.PRIVATE
            for path in SHARED_DIRECTORIES
            if Path(path).is_dir() and not Path(path).is_symlink()
        }
        own = {self.root, self.scratch}
        table |= {path: Access.WRITE for path in self._writable}
        table |= {path: Access.HIDE for path in self._secret}
        if sockets:
            table |= {path: Access.HIDE for path in host_sockets() if _there(path) and path.is_socket()}
        table |= dict.fromkeys(own, Access.WRITE)
        for path in sorted(self._readable):
            if path not in table and governing(table, path) < Access.READ and _there(path):
                table[path] = Access.READ
        inside = [path for path in self.protected if governing(table, path) == Access.WRITE and path not in own]
        table |= dict.fromkeys([*inside, *(path for path in nested if not path.is_symlink())], Access.READ)
        table |= {path: Access.HIDE for path in map(_real, secret) if _there(path) and not path.is_char_device()}
        return dict(sorted(self._pinned(table).items(), key=lambda item: len(item[0].parts)))

    def _pinned(self, table: dict[Path, Access]) -> dict[Path, Access]:
        """Drop what changes nothing, and name every directory between a writable place and what is protected in it.

        Those directories become mount points of their own, so that nothing can be renamed to where its path does not
        protect it any more.
        """
        kept = {
            path: access
            for path, access in table.items()
            if path == Path("/") or _matters(access, governing(table, path))
        }
        for path, access in list(kept.items()):
            if access < Access.WRITE and governing(kept, path) == Access.WRITE:
                for parent in path.parents:
                    if parent in kept:
                        break
                    kept[parent] = Access.WRITE
        return kept
