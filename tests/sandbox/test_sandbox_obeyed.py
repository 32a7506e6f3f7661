"""Attempts to have git run something on the user's side, where nothing confines it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sandbox_ground import Ground, git

from qwencode.errors import UsageError
from qwencode.sandbox.obeyed import links, obeyed_by_git
from qwencode.sandbox.policy import Policy
from qwencode.sandbox.protocol import Sandbox

RAN = "echo evil >> {0}/ran; exit 1"
STUB = '#!/bin/sh\nexec "$(dirname "$(dirname "$0")")/$(basename "$0")"\n'


def script(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def evil(ground: Ground, *places: str) -> str:
    """Return a shell script that puts a program into each place, by every way there is around what holds it."""
    lines = [
        f"cd {ground.project}",
        f"printf '#!/bin/sh\\n{RAN.format(ground.base)}\\n' > src/evil",
        "chmod +x src/evil",
    ]
    for place in places:
        above = place.rpartition("/")[0]
        lines += [
            f"cp src/evil {place}",
            f"rm -f {place}",
            f"cp src/evil {place}",
            f"cp src/evil src/e; mv src/e {place}",
        ]
        lines += [f"mv {above} src/old; mkdir -p {above}; cp src/evil {place}"] if above else []
        lines += [f"rm -rf {above}; ln -s src {above}; ln -s $PWD/src/evil {place}"] if above else []
    return "; ".join([*lines, "true"])


def commit(ground: Ground, where: Path) -> None:
    """Change something and commit it as the user does, and see that nothing of the command's was run."""
    (where / "more").write_text("more\n")
    git("add", "more", cwd=where)
    git("commit", "-qm", "more", cwd=where)
    git("status", cwd=where)
    assert not (ground.base / "ran").exists()


def husky(root: Path, folder: str = ".husky") -> None:
    """Lay the hooks out as husky 9 does: `_` is written by it and ignored, the scripts lie above."""
    script(root / folder / "_" / "pre-commit", STUB)
    script(root / folder / "_" / "post-checkout", STUB)
    script(root / folder / "pre-commit")
    git("config", "core.hooksPath", f"{folder}/_", cwd=root)


@pytest.mark.parametrize("folder", [".husky", "tools/dev/.husky", "."])
def test_the_scripts_that_generated_hooks_call(ground: Ground, opened: Callable[..., Sandbox], folder: str):
    husky(ground.project, folder)
    (ground.project / folder / "pre-commit").chmod(0o755)
    line = evil(ground, *(f"{folder}/{name}" for name in ("pre-commit", "post-checkout", "_/pre-commit")))
    opened(ground.project).run(["sh", "-c", line], cwd=ground.project)
    commit(ground, ground.project)
    assert (ground.project / folder / "pre-commit").read_text() == "#!/bin/sh\n"


def test_what_a_hook_is_a_link_to(ground: Ground, opened: Callable[..., Sandbox]):
    script(ground.project / "scripts" / "check.sh")
    (ground.project / ".git" / "hooks").mkdir(exist_ok=True)
    (ground.project / ".git" / "hooks" / "pre-commit").symlink_to("../../scripts/check.sh")
    (ground.project / ".git" / "hooks" / "post-commit").symlink_to("../../scripts/not/yet.sh")
    sandbox = opened(ground.project)
    sandbox.run(["sh", "-c", evil(ground, "scripts/check.sh", "scripts/not/yet.sh")], cwd=ground.project)
    sandbox.close()
    commit(ground, ground.project)
    assert not (ground.project / "scripts" / "not" / "yet.sh").exists(), "no litter"


def test_settings_that_others_include(ground: Ground, opened: Callable[..., Sandbox]):
    for name, key in {"team.gitconfig": "include.path", "conf/a b.inc": "includeIf.onbranch:never.path"}.items():
        script(ground.project / name, "[user]\n\tname = team\n")
        git("config", key, f"../{name}", cwd=ground.project)
    hook = f"[core]\\n\\tfsmonitor = {ground.project}/src/evil\\n\\thooksPath = src\\n"
    line = f"{evil(ground)}; cp src/evil src/pre-commit; printf '{hook}' > team.gitconfig"
    line += f"; rm -f team.gitconfig; printf '{hook}' > team.gitconfig; printf '{hook}' > 'conf/a b.inc'"
    line += f"; mv conf x; mkdir conf; printf '{hook}' > 'conf/a b.inc'; true"
    opened(ground.project).run(["sh", "-c", line], cwd=ground.project)
    git("checkout", "-qb", "never", cwd=ground.project)
    commit(ground, ground.project)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("core.fsmonitor", "dev/monitor"),
        ("filter.form.clean", "sh dev/monitor %f"),
        ("diff.form.textconv", "'dev/monitor'"),
        ("alias.st", "!f() { dev/monitor; }; f"),
    ],
)
def test_programs_that_a_setting_names(ground: Ground, opened: Callable[..., Sandbox], key: str, value: str):
    script(ground.project / "dev" / "monitor", "#!/bin/sh\ncat\n")
    git("config", key, value, cwd=ground.project)
    opened(ground.project).run(["sh", "-c", evil(ground, "dev/monitor")], cwd=ground.project)
    assert (ground.project / "dev" / "monitor").read_text() == "#!/bin/sh\ncat\n"


def test_the_words_of_git_itself_are_no_programs(ground: Ground):
    (ground.project / "log").write_text("what a test writes\n")
    git("config", "alias.lg", "log --graph", cwd=ground.project)
    assert ground.project / "log" not in obeyed_by_git(ground.project, ())
    git("config", "alias.lg", "!sh log", cwd=ground.project)
    assert ground.project / "log" in obeyed_by_git(ground.project, ())


def add_submodule(ground: Ground) -> Path:
    library = ground.outside / "library"
    git("init", "-q", str(library), cwd=ground.outside)
    git("commit", "-qm", "x", "--allow-empty", cwd=library)
    allowed = ["-c", "protocol.file.allow=always"]
    git(*allowed, "submodule", "--quiet", "add", str(library), "parts/lib", cwd=ground.project)
    git("commit", "-qm", "with a part", cwd=ground.project)
    return ground.project / "parts" / "lib"


def test_a_repository_made_where_a_submodule_is_not_there_yet(ground: Ground, opened: Callable[..., Sandbox]):
    part = add_submodule(ground)
    git("submodule", "--quiet", "deinit", "--all", cwd=ground.project)
    line = f"{evil(ground)}; mv parts p2; mkdir -p parts/lib; cd parts/lib && git init -q"
    line += f"; git config core.fsmonitor {ground.project}/src/evil"
    line += "; git -c user.name=a -c user.email=a@b commit -qm x --allow-empty; true"
    opened(ground.project).run(["sh", "-c", line], cwd=ground.project)
    commit(ground, ground.project)
    assert list(part.iterdir()) == []


def test_hooks_of_a_submodule_and_what_hides_it(ground: Ground, opened: Callable[..., Sandbox]):
    part = add_submodule(ground)
    husky(part)
    pointer = (part / ".git").read_text()
    sandbox = opened(ground.project)
    places = [f"parts/lib/.husky/{name}" for name in ("pre-commit", "post-commit")]
    sandbox.run(["sh", "-c", f"touch pyvenv.cfg parts/pyvenv.cfg; {evil(ground, *places)}"], cwd=ground.project)
    sandbox.run(["sh", "-c", "ln -s me parts/me; echo x > parts/lib/.git"], cwd=ground.project)
    sandbox.run(["sh", "-c", "rm -f parts/lib/.git; echo x > parts/lib/.git"], cwd=ground.project)
    assert (part / ".git").read_text() == pointer
    commit(ground, part)


@pytest.mark.parametrize(
    ("key", "value", "link"),
    [
        ("core.hooksPath", "hooks", "hooks"),
        ("core.hooksPath", "hooks/git", "hooks"),
        ("core.fsmonitor", "hooks/pre-commit", "hooks"),
        ("include.path", "../hooks/pre-commit", "hooks"),
    ],
)
def test_a_link_that_a_command_could_turn_is_refused(ground: Ground, tmp_path: Path, key: str, value: str, link: str):
    script(ground.project / "dev" / "hooks" / "git" / "pre-commit", "")
    script(ground.project / "dev" / "hooks" / "pre-commit", "")
    (ground.project / link).symlink_to("dev/hooks")
    git("config", key, value, cwd=ground.project)
    with pytest.raises(UsageError, match=rf"{link}\b.* is a symbolic link, which cannot be protected"):
        Policy(ground.project, tmp_path, [], [], {})


def test_what_the_work_tree_lies_in_is_not_held(ground: Ground, tmp_path: Path):
    bare, home = ground.outside / "bare.git", ground.outside / "bare.git" / "main"
    git("clone", "-q", "--bare", str(ground.project), str(bare), cwd=ground.outside)
    git("worktree", "add", "-q", str(home), cwd=bare)
    obeyed = obeyed_by_git(home, ())
    assert bare / "hooks" in obeyed and not any(home.is_relative_to(path) for path in obeyed)
    (home / "hooks").symlink_to("src")
    git("config", "core.hooksPath", "hooks", cwd=home)
    with pytest.raises(UsageError, match="is a symbolic link"):
        Policy(home, tmp_path, [], [], {})
    git("config", "core.hooksPath", "", cwd=home)
    Policy(home, tmp_path, [], [], {})
    assert home not in obeyed_by_git(home, ())


def test_settings_that_are_not_there_are_refused(ground: Ground, tmp_path: Path):
    git("config", "include.path", "../local.gitconfig", cwd=ground.project)
    with pytest.raises(UsageError, match=r"local\.gitconfig, which is not there"):
        Policy(ground.project, tmp_path, [], [], {})
    git("config", "include.path", f"{ground.outside}/local.gitconfig", cwd=ground.project)
    Policy(ground.project, tmp_path, [], [], {})


def test_links_are_followed_as_the_system_does(tmp_path: Path):
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "one").symlink_to("real")
    (tmp_path / "real" / "two").symlink_to(tmp_path / "one" / "below")
    (tmp_path / "loop").symlink_to("loop")
    found = list(links(tmp_path / "one" / "two" / ".." / "x"))
    assert found == [tmp_path / "one", tmp_path / "real" / "two", tmp_path / "one"]
    assert set(links(tmp_path / "loop" / "x")) == {tmp_path / "loop"}
