"""Attempts to change what is not the command's to change."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from sandbox_ground import Ground, git

from qwencode.errors import SandboxUnavailable, UsageError
from qwencode.sandbox.ladder import open_rung

WRITES = [
    "open(target + '/new', 'w').write('x')",
    "open(target + '/kept.txt', 'a').write('x')",
    "os.truncate(target + '/kept.txt', 0)",
    "os.open(target + '/kept.txt', os.O_RDONLY | os.O_TRUNC)",
    "os.remove(target + '/kept.txt')",
    "os.rename(target + '/kept.txt', 'src/stolen')",
    "os.rename('src/code.py', target + '/new')",
    "os.mkdir(target + '/new')",
    "os.symlink('/etc/passwd', target + '/new')",
    "os.link('src/code.py', target + '/new')",
    "os.link(target + '/kept.txt', 'src/linked')",
    "os.mkfifo(target + '/new')",
    "socket.socket(socket.AF_UNIX).bind(target + '/new')",
    "os.rmdir(target + '/empty')",
    "os.rename('src', target + '/empty')",
]
EACH = """
import json, os, socket, sys
target, codes = sys.argv[1], json.loads(sys.argv[2])
for code in codes:
    try:
        exec(code)
        print("GOT THROUGH:", code)
    except OSError as error:
        if error.errno not in {errnos}: print("NOT REFUSED:", code, error)
print("ALL TRIED")
"""
REFUSALS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV, errno.EBUSY}


def attempt(python, codes: Iterable[str], target: Path, also: Iterable[int] = ()):
    """Run each piece of code with `target` set; every one must be refused."""
    done = python(EACH.replace("{errnos}", str(REFUSALS | set(also))), target, json.dumps(list(codes)))
    assert done.text == "ALL TRIED\n"


def tree(place: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(place)): path.read_bytes() if path.is_file() else None for path in place.rglob("*")}


@pytest.mark.parametrize("way", ["directly", "through a symlink in the repository"])
def test_nothing_outside_can_be_changed(python, ground: Ground, way: str):
    (ground.outside / "empty").mkdir()
    if way != "directly":
        (ground.project / "src" / "door").symlink_to(ground.outside)
    before = tree(ground.outside), tree(ground.project / "src")
    attempt(python, WRITES, ground.outside if way == "directly" else Path("src/door"))
    assert (tree(ground.outside), tree(ground.project / "src")) == before
    assert (ground.outside / "kept.txt").stat().st_nlink == 1


def test_a_symlink_made_inside_leads_nowhere(python, ground: Ground):
    code = "os.symlink(target, 'src/made'); os.rename('src/made', 'src/door'); open('src/door/new', 'w')"
    attempt(python, [code], ground.outside)
    assert not (ground.outside / "new").exists()


def test_the_system_can_not_be_changed(python, ground: Ground):
    named = ["/etc", "/usr/local", "/var/lib", "/opt", "/sys/kernel", str(ground.home)]
    places = [place for place in named if os.access(place, os.X_OK)]
    attempt(python, [f"open('{place}/qwencode-test', 'w')" for place in places], Path("/"))
    assert not [place for place in places if Path(place, "qwencode-test").exists()]


def test_kernel_settings_can_not_be_changed(python):
    names = ["kernel/core_pattern", "kernel/hostname", "vm/swappiness", "kernel/printk", "fs/file-max"]
    found = [path for path in (Path("/proc/sys", name) for name in names) if path.exists()]
    if not found:
        pytest.skip("no kernel settings to be seen here")
    harmless = "text = open('{0}').read(); open('{0}', 'w').write(text)"  # the very value that is there already
    attempt(python, [harmless.format(path) for path in found], Path("/"))


def test_mode_owner_and_times_outside(python, sandbox, ground: Ground, rung: str):
    target = ground.outside / "kept.txt"
    before = target.stat()
    if rung == "landlock":
        assert any("mode, owner and times" in gap for gap in sandbox.gaps), "a gap that must be stated"
        return
    attempt(python, ["os.chmod(target, 0o777)", "os.utime(target, (1, 1))", "os.chown(target, 1, 1)"], target)
    assert (target.stat().st_mode, target.stat().st_mtime) == (before.st_mode, before.st_mtime)


def test_git_is_read_only(python, ground: Ground):
    before = tree(ground.project / ".git")
    names = ["hooks/x", "config", "HEAD", "index", "refs/heads/main", "objects/new", "new"]
    codes = [f"open('.git/{name}', 'w').write('evil')" for name in names]
    codes += ["os.rename('.git', 'src/git')", "os.rename('.git', '.o')", "os.remove('.git/HEAD')", "os.mkdir('.git/x')"]
    attempt(python, codes, ground.project)
    assert tree(ground.project / ".git") == before


def test_hooks_that_lie_in_the_work_tree_are_read_only(ground: Ground, opened):
    (ground.project / "dev" / "hooks").mkdir(parents=True)
    git("config", "core.hooksPath", "dev/hooks", cwd=ground.project)
    done = opened(ground.project).run(["sh", "-c", "echo evil > dev/hooks/pre-commit; mv dev old"], cwd=ground.project)
    assert "evil" not in done.text
    assert list((ground.project / "dev" / "hooks").iterdir()) == []


def test_own_config_can_not_be_made(sandbox, ground: Ground):
    line = "mkdir .qwencode; mkdir -p .qwencode; echo a > .qwencode/config.toml; cat .qwencode/config.toml"
    line += "; rm -r .qwencode; mv .qwencode x; echo a > .qwencode"
    assert sandbox.run(["sh", "-c", line], cwd=ground.project).returncode != 0
    sandbox.close()
    assert sorted(path.name for path in ground.project.iterdir()) == [".git", "src"], "no litter either"


def test_own_config_can_not_be_changed(ground: Ground, python):
    (ground.project / ".qwencode").mkdir(exist_ok=True)
    config = ground.project / ".qwencode" / "config.toml"
    config.write_text("max_steps = 1\n")
    attempt(python, ["open(target, 'a')", "os.rename('.qwencode', 'src/x')", "os.remove(target)"], config)
    assert config.read_text() == "max_steps = 1\n"


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"])
def test_user_files_of_qwencode_in_a_repository_that_is_the_home(ground: Ground, opened, monkeypatch, variable: str):
    git("init", "-q", cwd=ground.home)
    monkeypatch.setenv(variable, str(ground.home / "xdg"))
    own = ground.home / "xdg" / "qwencode"
    sandbox = opened(ground.home)
    line = f"echo a > {own}/config.toml || {{ mkdir -p {own} && echo a > {own}/config.toml; }}"
    assert sandbox.run(["sh", "-c", line], cwd=ground.home).returncode != 0
    assert not (own / "config.toml").exists()


def test_programs_of_an_active_environment(ground: Ground, opened, monkeypatch):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(ground.project / ".venv")], check=True)
    monkeypatch.setenv("PATH", f"{ground.project}/.venv/bin:{ground.project}/bin:{os.environ['PATH']}")
    line = "cp src/code.py .venv/bin/git; mv .venv/bin b; mv .venv v; mkdir -p .venv/bin; cp src/code.py .venv/bin/ls"
    sandbox = opened(ground.project)
    sandbox.run(["sh", "-c", line], cwd=ground.project)
    assert {path.name for path in (ground.project / ".venv" / "bin").iterdir()}.isdisjoint({"git", "ls"})
    assert sandbox.run(["sh", "-c", "touch .venv/lib/x && python -c 'print(1)'"], cwd=ground.project).text == "1\n"


def test_the_environment_that_qwencode_itself_runs_in(ground: Ground, rung: str, obstacles: dict[str, str]):
    if obstacles[rung]:
        pytest.skip(f"{rung}: {obstacles[rung]}")
    own = ground.project / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(own)], check=True)
    code = "import sys; from pathlib import Path; from qwencode.sandbox.ladder import open_rung\n"
    code += "sandbox = open_rung(sys.argv[1], Path(sys.argv[2]))\n"
    code += "print(sandbox.run(['sh', '-c', sys.argv[3]], cwd=Path(sys.argv[2])).text); sandbox.close()"
    places = [str(Path(__file__).parents[2]), *(path for path in sys.path if path.endswith("site-packages"))]
    line = "for d in .venv .venv/bin .venv/lib/*/site-packages; do echo evil > $d/evil.pth; done; echo done"
    done = subprocess.run(
        [own / "bin" / "python", "-c", code, rung, str(ground.project), line],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("done\n\n") and not list(own.rglob("evil.pth"))


def test_a_directory_that_becomes_a_link_while_a_command_starts(
    ground: Ground, obstacles: dict[str, str], monkeypatch, tmp_path: Path
):
    """As a process that runs inside already can do it; here a bwrap does it that is started in the real one's place."""
    if obstacles["bubblewrap"]:
        pytest.skip(obstacles["bubblewrap"])
    real = shutil.which("bwrap")
    (ground.home / "private" / "b").mkdir(parents=True)
    (ground.project / "a" / "b").mkdir(parents=True)
    (ground.project / "a" / "b" / ".env").write_text("x")
    (tmp_path / "bwrap").write_text(
        f'#!/bin/sh\ncd {ground.project}\n[ -e now ] && mv a was && ln -s ../private a\nexec {real} "$@"\n'
    )
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sandbox = open_rung("bubblewrap", ground.project)
    (ground.project / "now").touch()
    with pytest.raises(SandboxUnavailable, match=f"{ground.project}/a.* was replaced while"):
        sandbox.run(["sh", "-c", "echo evil > a/b/evil; echo evil > a/evil"], cwd=ground.project)
    sandbox.close()
    assert not list((ground.home / "private").rglob("evil"))


def test_git_directory_of_a_worktree(ground: Ground, opened):
    git("worktree", "add", "-q", "../tree", "-b", "side", cwd=ground.project)
    tree = ground.home / "tree"
    pointer = (tree / ".git").read_text()
    sandbox = opened(tree, writable=[ground.project])  # as if the main repository were declared writable
    line = "echo evil > .git; rm -f .git; mv .git x; for d in hooks config worktrees/tree/HEAD worktrees/tree/config"
    line += f"; do echo evil > {ground.project}/.git/$d/x; echo evil > {ground.project}/.git/$d; done; true"
    sandbox.run(["sh", "-c", line], cwd=tree)
    assert (tree / ".git").read_text() == pointer
    found = subprocess.run(["grep", "-rl", "evil", str(ground.project / ".git")], capture_output=True, text=True)
    assert found.stdout == ""
    assert git("status", "--short", cwd=tree) == ""


def test_git_directory_with_another_name_in_the_work_tree(ground: Ground, opened):
    project = ground.home / "separate"
    git("init", "-q", f"--separate-git-dir={project / 'data'}", str(project), cwd=ground.home)
    done = opened(project).run(
        ["sh", "-c", "echo evil > data/hooks/x; mv data d2; echo evil >> data/config"], cwd=project
    )
    assert done.returncode != 0
    assert not (project / "data" / "hooks" / "x").exists()
    assert "evil" not in (project / "data" / "config").read_text()


def test_git_of_a_submodule(ground: Ground, opened):
    git("init", "-q", str(ground.outside / "library"), cwd=ground.outside)
    git("commit", "-qm", "x", "--allow-empty", cwd=ground.outside / "library")
    add = [
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(ground.outside / "library"),
        "parts/lib",
    ]
    git(*add, cwd=ground.project)
    pointer = (ground.project / "parts" / "lib" / ".git").read_text()
    line = "cd parts/lib; echo evil > .git; rm -f .git; cd ..; mv lib lib2; cd ..; mv parts p2"
    line += "; echo evil > .git/modules/parts/lib/config"
    opened(ground.project).run(["sh", "-c", line], cwd=ground.project)
    assert (ground.project / "parts" / "lib" / ".git").read_text() == pointer
    assert "evil" not in (ground.project / ".git" / "modules" / "parts" / "lib" / "config").read_text()


def test_a_linked_git_directory_is_refused(ground: Ground, rung: str):
    (ground.project / ".git").rename(ground.outside / "git")
    (ground.project / ".git").symlink_to(ground.outside / "git")
    with pytest.raises(UsageError, match=r"\.git is a symbolic link"):
        open_rung(rung, ground.project)  # pyright: ignore


def test_raw_devices_are_out_of_reach(python):
    nodes = [path for path in Path("/dev").iterdir() if path.is_block_device() or path.name in ("mem", "kmsg", "fuse")]
    if not nodes:
        pytest.skip("no such devices here")
    code = "import sys\nfor name in sys.argv[1:]:\n  try: open(name, 'rb'); print('OPEN', name)\n  except OSError: pass"
    assert python(code, *nodes).output == b""


def test_what_is_allowed_works(ground: Ground, opened):
    cache = ground.home / ".cache" / "tool"
    sandbox = opened(ground.project, writable=[cache])
    line = (
        'echo a > src/new && mkdir src/d && mv src/new src/d/ && rm src/code.py && echo b > "$TMPDIR/t" && echo c > ~/h'
    )
    line += f" && echo d > {cache}/made && test -r {ground.outside}/kept.txt"
    assert sandbox.run(["sh", "-ec", line], cwd=ground.project).output == b""
    assert (ground.project / "src" / "d" / "new").read_text() == "a\n"
    assert not (ground.project / "src" / "code.py").exists()
    assert (cache / "made").read_text() == "d\n"
    assert (sandbox.scratch / "t").read_text() == "b\n"
    assert sandbox.run(["cat", "h"], cwd=sandbox.scratch / "home").output == b"c\n", "kept between commands"
    assert not (ground.home / "h").exists()
    scratch = sandbox.scratch
    sandbox.close()
    sandbox.close()
    assert not scratch.exists()


def test_a_repository_of_another_owner(ground: Ground, opened):
    if os.geteuid():
        pytest.skip("only root can give files away")
    for path in [ground.project, *ground.project.rglob("*")]:
        os.lchown(path, 12345, 12345)
    done = opened(ground.project).run(["sh", "-c", "echo a > src/code.py && git status --short"], cwd=ground.project)
    assert done.output == b" M src/code.py\n"
