"""Attempts to read what is none of the command's business."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox_ground import Ground, git

from qwencode.sandbox.environment import allowed

SECRET = "s3cr3t-value-of-the-user"
IN_HOME = """
.ssh/id_ed25519 .aws/credentials .gnupg/private-keys-v1.d/a.key .config/gh/hosts.yml .netrc .docker/config.json
.kube/config .npmrc .pypirc .bashrc .zsh_history .bash_history .gitconfig .config/git/config .git-credentials
.cargo/credentials.toml .local/share/keyrings/login.keyring .config/any-tool/token
""".split()  # noqa: SIM905
PEM = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"
CERTIFICATE = f"-----BEGIN CERTIFICATE-----\n{SECRET}\n-----END CERTIFICATE-----\n"
LOOK = """
import os, sys
for path in sys.argv[1:]:
    for way in (lambda: open(path).read(), lambda: os.link(path, 'src/linked') or open('src/linked').read(),
                lambda: os.rename(path, 'src/moved') or open('src/moved').read()):
        try: print(path, way())
        except OSError: pass
"""
WALK = """
import os
for where, below, names in os.walk('.'):
    for name in names:
        try: print(where, name, open(os.path.join(where, name), errors='replace').read())
        except OSError: pass
"""
PROC = """
import os, sys
for pid in [sys.argv[1], sys.argv[2], *filter(str.isdigit, os.listdir('/proc'))]:
    for name in ('environ', 'cmdline', 'mem', 'maps', 'fd/0', 'cwd', 'root'):
        path = f'/proc/{pid}/{name}'
        try: print(open(path, 'rb').read(100000) if name != 'mem' else open(path, 'rb'), path)
        except OSError: pass
"""


def put(path: Path, text: str = SECRET) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_credentials_in_the_home(ground: Ground, opened):
    paths = [put(ground.home / name) for name in IN_HOME]
    shown = put(ground.home / "notes.txt", "an ordinary file")
    sandbox = opened(ground.project)
    done = sandbox.run([sys.executable, "-c", LOOK, *map(str, [*paths, shown])], cwd=ground.project)
    assert SECRET not in done.text
    assert "an ordinary file" in done.text, "the check itself can see"
    assert all(path.read_text() == SECRET for path in paths)
    line = f"cat ~/.ssh/id_ed25519; cat $HOME/.netrc; find {ground.base} -type f -exec cat {{}} +"
    assert SECRET not in sandbox.run(["sh", "-c", line], cwd=ground.project).text


def test_secrets_named_by_variables(ground: Ground, opened, monkeypatch):
    path = put(ground.base / "elsewhere" / "kube.yml")
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # must not take the null device away
    done = opened(ground.project).run(["sh", "-c", f"cat {path}; echo x > /dev/null && echo fine"], cwd=ground.project)
    assert SECRET not in done.text and done.text.endswith("fine\n")


def test_secret_files_in_the_repository(ground: Ground, opened):
    names = [".env", ".env.local", "deploy/prod.env", "deploy/.envrc", "id_rsa", "keys/server.key", "keys/server.pem"]
    names += ["keys/store.p12", "credentials.json", "infra/main.tfvars", "tests/.env", "tests/server.key"]
    for name in names:
        put(ground.project / name, PEM)
    done = opened(ground.project).run([sys.executable, "-c", WALK], cwd=ground.project)
    assert SECRET not in done.text
    assert "VALUE = 1" in done.text, "the check itself can see"


def test_what_only_looks_like_a_secret_stays_readable(ground: Ground, opened):
    named = [".env.example", "conf/.env.template", "ca.pem", "id_rsa.pub", "src/environment.py", "node_modules/x/a.key"]
    tracked = ["tests/certs/server.key", "tests/.env", "examples/app/.env", ".env.test", "secrets.yml", ".npmrc"]
    for name in [*named, *tracked]:
        put(ground.project / name, CERTIFICATE if name == "ca.pem" else PEM)
    git("add", "-f", *tracked, cwd=ground.project)
    done = opened(ground.project).run(["cat", *named, *tracked], cwd=ground.project)
    assert done.returncode == 0, done.text
    assert done.text.count(SECRET) == len(named) + len(tracked)


def test_a_tracked_secret_outside_tests_is_hidden(ground: Ground, opened):
    for name in ("deploy/server.key", ".env"):
        put(ground.project / name, PEM)
    git("add", "-f", ".env", "deploy/server.key", cwd=ground.project)
    assert SECRET not in opened(ground.project).run([sys.executable, "-c", WALK], cwd=ground.project).text


def test_moving_the_directory_around_does_not_uncover_a_secret(ground: Ground, opened):
    put(ground.project / "a" / "b" / ".env")
    (ground.project / "node_modules").mkdir()
    sandbox = opened(ground.project)
    for line in ("mv a/b c; mv a node_modules/a; ln a/b/.env src/e; cp -r a src/copy", "mv a/b node_modules; rm -rf a"):
        sandbox.run(["sh", "-c", line], cwd=ground.project)
        assert SECRET not in sandbox.run([sys.executable, "-c", WALK], cwd=ground.project).text
    assert (ground.project / "a" / "b" / ".env").read_text() == SECRET


def test_a_link_to_a_secret_hides_its_target(ground: Ground, opened):
    target = put(ground.outside / "production")
    (ground.project / ".env").symlink_to(target)
    assert SECRET not in opened(ground.project).run(["cat", ".env", str(target)], cwd=ground.project).text


def test_links_with_secret_names_to_nowhere(ground: Ground, opened):
    (ground.project / ".env").symlink_to(ground.outside / "missing")
    (ground.project / "src" / ".env").symlink_to(os.devnull)
    (ground.project / "src" / "a.key").symlink_to(ground.outside)
    done = opened(ground.project).run(["sh", "-c", "echo x > /dev/null && echo fine"], cwd=ground.project)
    assert done.text == "fine\n"


def test_a_secret_that_comes_later_is_hidden_in_the_next_command(ground: Ground, sandbox):
    assert sandbox.run(["true"], cwd=ground.project).returncode == 0
    put(ground.project / "src" / ".env")
    assert SECRET not in sandbox.run(["cat", "src/.env"], cwd=ground.project).text


def test_temporary_files_of_others(ground: Ground, sandbox, tmp_path: Path):
    path = put(tmp_path / "token")
    assert SECRET not in sandbox.run(["cat", str(path)], cwd=ground.project).text


def test_the_environment_leaks_nothing(ground: Ground, opened, monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "MY_OWN_THING", "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("LC_TIME", "C")
    done = opened(ground.project).run(["env"], cwd=ground.project, env={"ADDED": "yes"})
    assert SECRET not in done.text
    assert "ADDED=yes" in done.text and "LC_TIME=C" in done.text and "PYTHONDONTWRITEBYTECODE=1" in done.text
    home = next(line for line in done.text.splitlines() if line.startswith("HOME="))
    assert home != f"HOME={ground.home}"


def test_other_processes_do_not_give_it_away_either(python):
    host = subprocess.Popen(["sleep", "60"], env={**os.environ, "GITHUB_TOKEN": SECRET})
    try:
        done = python(PROC, host.pid, os.getpid())
    finally:
        host.kill()
        host.wait()
    assert SECRET not in done.text
    for name in ("environ", "mem", "maps", "cwd"):
        assert f"/proc/{os.getpid()}/{name}" not in done.text


def test_host_processes_are_not_listed(python, rung: str, sandbox):
    if rung == "landlock":
        assert "host processes can be listed, and /dev/shm is shared with them" in sandbox.gaps
        return
    host = subprocess.Popen(["sleep", "59.125"])
    try:
        done = python(
            "import os\nfor p in os.listdir('/proc'):\n  if p.isdigit(): print(open(f'/proc/{p}/cmdline').read())"
        )
    finally:
        host.kill()
        host.wait()
    assert "59.125" not in done.text
    assert len(done.text.splitlines()) < 5


def test_sockets_of_the_host_by_path(ground: Ground, opened, rung: str):
    """As docker, ssh-agent, tmux and D-Bus have them."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(ground.outside / "agent"))
        server.listen()
        sandbox = opened(ground.project)
        code = "import socket, sys\nsocket.socket(socket.AF_UNIX).connect(sys.argv[1])\nprint('CONNECTED')"
        done = sandbox.run([sys.executable, "-c", code, str(ground.outside / "agent")], cwd=ground.project)
    if rung == "landlock":
        assert any("Unix sockets of the host can be reached" in gap for gap in sandbox.gaps)
    else:
        assert "CONNECTED" not in done.text


def test_tool_homes_stay_where_they_are(tmp_path: Path):
    (tmp_path / ".cargo").mkdir()
    made = allowed({"PATH": "/bin", "RUSTUP_HOME": "/opt/rustup", "TOKEN": SECRET}, tmp_path, tmp_path / "s")
    assert (made["CARGO_HOME"], made["RUSTUP_HOME"]) == (str(tmp_path / ".cargo"), "/opt/rustup")
    assert "GOPATH" not in made and SECRET not in made.values()


@pytest.mark.parametrize(
    "line",
    [
        "touch pyvenv.cfg a/pyvenv.cfg",
        "ln -s loop loop; ln -s loop a/loop; ln -s .env a/.env.x; ln -s me.key src/me.key",
        "chmod 0 a",
        "chmod 400 a/b; chmod 400 a",
        "mv a/b node_modules; mv a node_modules; mv a site-packages",
        "mkdir -p a/tests; ln a/.env a/tests/.env; mv a/.env a/tests/.env",
    ],
)
def test_nothing_that_a_command_leaves_uncovers_a_secret_to_the_next(
    ground: Ground, opened, permissions_hold: None, line: str
):
    for name in (".env", "a/.env", "a/b/.env"):
        put(ground.project / name)
    sandbox = opened(ground.project)
    sandbox.run(["sh", "-c", line], cwd=ground.project)
    look = "chmod 700 a a/b; cat .env a/.env a/b/.env; find . -type f -exec cat {} +; ls; echo seen"
    done = sandbox.run(["sh", "-c", look], cwd=ground.project)
    assert done.text.endswith("seen\n")
    assert SECRET not in done.text
