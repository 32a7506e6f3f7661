import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwencode.errors import ToolError, UsageError
from qwencode.workspace import MAX_TEXT_BYTES, GitError, Workspace, git, git_environment, git_program, write_atomic


@pytest.fixture
def workspace(repository: Path) -> Workspace:
    return Workspace.find(repository)


class TestFind:
    def test_from_the_root_a_folder_or_a_file(self, repository: Path):
        (repository / "src").mkdir()
        (repository / "src" / "a.py").write_text("")
        for path in (repository, repository / "src", repository / "src" / "a.py"):
            found = Workspace.find(path)
            assert found.root == repository
            assert found.start == (path if path.is_dir() else path.parent)

    def test_outside_git(self, tmp_path: Path):
        with pytest.raises(UsageError, match=r"is not inside a git work tree\. Run `git init` there first\."):
            Workspace.find(tmp_path)

    def test_in_a_bare_repository_and_in_gits_own_directory(self, repository: Path, tmp_path: Path):
        git(tmp_path, "init", "-q", "--bare", "bare")
        for path in (tmp_path / "bare", repository / ".git"):
            with pytest.raises(UsageError, match="not inside a git work tree"):
                Workspace.find(path)

    def test_a_missing_path(self, tmp_path: Path):
        with pytest.raises(UsageError, match=r"none does not exist\."):
            Workspace.find(tmp_path / "none")

    def test_without_git(self, repository: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(UsageError, match="git is not installed"):
            Workspace.find(repository)

    def test_git_is_not_taken_from_the_repository(self, repository: Path, monkeypatch: pytest.MonkeyPatch):
        """As with an active environment in it, or a link from elsewhere; also from below, or a repository in it."""
        for place in ("bin", "sub/.git/x"):
            (repository / place).mkdir(parents=True)
        (repository / "bin" / "git").write_text("#!/bin/sh\necho evil >&2; exit 9\n")
        (repository / "bin" / "git").chmod(0o755)
        outside = repository.parent / "outside"
        outside.mkdir()
        (outside / "git").symlink_to(repository / "bin" / "git")
        (repository.parent / "link").symlink_to(repository / "bin")
        first = f"{repository}/bin:{outside}:{repository.parent}/link:.:"
        monkeypatch.setenv("PATH", f"{first}:{os.environ['PATH']}")
        monkeypatch.chdir(repository / "bin")
        assert Workspace.find(repository / "bin").root == repository
        for folder in (repository, repository / "bin", repository / "sub"):
            assert Path(git_program(folder)) not in (repository / "bin" / "git", outside / "git")
        monkeypatch.setenv("PATH", first)
        for folder in (repository, repository / "bin", repository / "sub"):
            with pytest.raises(UsageError, match="The only git on the PATH"):
                git_program(folder)

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
    def test_of_another_user(self, repository: Path, monkeypatch: pytest.MonkeyPatch):
        for path in (repository, repository / ".git"):
            os.chown(path, 12345, 12345)
        monkeypatch.delenv("SUDO_UID", raising=False)
        with pytest.raises(UsageError, match=r"belongs to another user\. See git's safe\.directory setting"):
            Workspace.find(repository)
        config = repository.parent / "config"
        config.write_text(f"[safe]\n\tdirectory = {repository}\n")
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
        assert Workspace.find(repository).root == repository

    def test_inside_a_hook_of_another_repository(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        git(tmp_path, "init", "-q", "other")
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other" / ".git" / "index"))
        (repository / "src").mkdir()
        assert Workspace.find(repository / "src").root == repository

    def test_files_that_are_elsewhere(self, repository: Path, tmp_path: Path):
        (tmp_path / "files").mkdir()
        git(repository, "config", "core.worktree", str(tmp_path / "files"))
        with pytest.raises(UsageError, match=r"core\.worktree says"):
            Workspace.find(repository)

    def test_a_root_with_an_odd_name(self, tmp_path: Path):
        root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff \n"))
        root.mkdir()
        git(root, "init", "-q")
        assert Workspace.find(root).root == root


class TestResolve:
    @pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "out", "out/x", "..", "/"])
    def test_nothing_outside(self, workspace: Workspace, path: str):
        (workspace.root / "out").symlink_to(workspace.root.parent)
        with pytest.raises(ToolError, match="is outside the repository"):
            workspace.resolve(path)

    @pytest.mark.parametrize(
        "path", [".git", ".git/hooks/pre-commit", "a/../.git/config", "to", "sub/.git/x", ".GIT/x"]
    )
    def test_nothing_of_gits_own(self, workspace: Workspace, path: str):
        (workspace.root / "to").symlink_to(".git")
        with pytest.raises(ToolError, match="belongs to git itself"):
            workspace.resolve(path)

    def test_a_git_directory_of_another_name(self, tmp_path: Path):
        root = tmp_path / "root"
        git(tmp_path, "init", "-q", f"--separate-git-dir={root / 'store'}", str(root))
        workspace = Workspace.find(root)
        assert workspace.git_dir == root / "store"
        with pytest.raises(ToolError, match="belongs to git itself"):
            workspace.resolve("store/hooks/pre-commit")

    @pytest.mark.parametrize("path", ["a\0b", "x" * 5000, "loop"])
    def test_unusable_paths(self, workspace: Workspace, path: str):
        (workspace.root / "loop").symlink_to("loop")
        with pytest.raises(ToolError, match=r"is not a usable path|cannot be read"):
            workspace.read(path)

    def test_what_belongs_to_it(self, workspace: Workspace):
        (workspace.root / "real").mkdir()
        (workspace.root / "alias").symlink_to("real")
        for path in ("real/new", "alias/new", str(workspace.root / "real" / "new"), "x/../real/new", "./real//new"):
            assert workspace.resolve(path) == workspace.root / "real" / "new"
            assert workspace.relative(workspace.resolve(path)) == "real/new"

    @given(st.lists(st.sampled_from(["..", ".", "a", "up", "b", ".git", "~", "", "/"]), max_size=6).map("/".join))
    @settings(deadline=None)
    def test_whatever_is_asked_for_stays_inside(self, tmp_path_factory: pytest.TempPathFactory, path: str):
        root = tmp_path_factory.getbasetemp() / "inside"
        if not root.exists():
            git(root.parent, "init", "-q", str(root))
            (root / "a").mkdir()
            (root / "a" / "up").symlink_to("../..")
        try:
            found = Workspace(root).resolve(path)
        except ToolError:
            return
        assert os.path.commonpath([os.path.realpath(found), root]) == str(root)
        assert ".git" not in found.relative_to(root).parts


class TestFiles:
    def test_tracked_and_untracked_but_not_ignored_ones(self, workspace: Workspace):
        root = workspace.root
        (root / ".gitignore").write_text("*.log\n")
        for name in ("b.py", "a.py", "x.log", "ca\nf\udcff.py"):
            (root / name).write_text("")
        (root / "gone").write_text("")
        git(root, "add", "b.py", "gone")
        (root / "gone").unlink()
        git(root, "init", "-q", "module")
        (root / "module" / "inside").write_text("")
        assert workspace.files() == [".gitignore", "a.py", "b.py", "ca\nf\udcff.py"]

    def test_a_broken_index_is_said(self, workspace: Workspace):
        (workspace.git_dir / "index").write_bytes(b"broken")
        with pytest.raises(UsageError, match=r"git ls-files failed: .*index"):
            workspace.files()


class TestText:
    @given(
        text=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    )
    @settings(deadline=None)
    def test_what_is_read_and_written_again_has_not_changed(
        self, tmp_path_factory: pytest.TempPathFactory, text: str, encoding: str
    ):
        root = tmp_path_factory.getbasetemp()
        data = text.encode(encoding)
        (root / "file").write_bytes(data)
        found = Workspace(root).read("file")
        Workspace(root).write("file", found.text, found.encoding)
        assert (root / "file").read_bytes() == data

    @given(st.binary(max_size=60))
    @settings(deadline=None)
    def test_any_bytes_are_kept_or_called_binary(self, tmp_path_factory: pytest.TempPathFactory, data: bytes):
        root = tmp_path_factory.getbasetemp()
        (root / "file").write_bytes(data)
        try:
            found = Workspace(root).read("file")
        except ToolError as error:
            assert "binary" in str(error)
            assert b"\0" in data
        else:
            assert "\0" not in found.text
            assert found.text.encode(found.encoding) == data

    @pytest.mark.parametrize(
        ("data", "text", "encoding"),
        [
            (b"\xef\xbb\xbfx\r\n", "x\r\n", "utf-8-sig"),
            ("é\r\n".encode("utf-16"), "é\r\n", "utf-16"),
            (b"# coding: cp1252\n\x80", "# coding: cp1252\n€", "cp1252"),
            (b"# coding: cp1252\nx", "# coding: cp1252\nx", "cp1252"),
            (b"# coding: nonsense\nx", "# coding: nonsense\nx", "utf-8"),
            ("# coding: latin-1\né".encode(), "# coding: latin-1\né", "utf-8"),
            ("# coding: shift_jis\n日本~\\".encode("shift_jis"), "# coding: shift_jis\n日本~\\", "shift_jis"),
            (b"\xfe\xff\x00a", "\ufeffa", "utf-16-be"),
            (b"caf\xe9", "café", "latin-1"),
            (b"# coding: rot13\n\xe9", "# coding: rot13\né", "latin-1"),
            (b"# coding: unicode_escape\n\xe9\\q", "# coding: unicode_escape\né\\q", "latin-1"),
            (b"# coding: nonsense\n\xe9", "# coding: nonsense\né", "latin-1"),
            (b"", "", "utf-8"),
        ],
    )
    def test_encodings(self, workspace: Workspace, data: bytes, text: str, encoding: str):
        (workspace.root / "file").write_bytes(data)
        found = workspace.read("file")
        assert (found.text, found.encoding) == (text, encoding)

    @pytest.mark.parametrize(("text", "newline"), [("a\r\nb\r\nc\n", "\r\n"), ("a\nb\r\n", "\n"), ("", "\n")])
    def test_the_line_ending_that_most_lines_have(self, workspace: Workspace, text: str, newline: str):
        workspace.write("file", text)
        assert workspace.read("file").newline == newline

    def test_what_cannot_be_read_is_said(self, workspace: Workspace):
        root = workspace.root
        (root / "binary").write_bytes(b"a\0b")
        (root / "wide").write_bytes("a\0".encode("utf-32"))
        os.mkfifo(root / "pipe")
        with (root / "large").open("wb") as file:
            file.truncate(MAX_TEXT_BYTES + 1)
        refusals = {
            "none": "none does not exist.",
            "binary": "binary is a binary file.",
            "wide": "wide is a binary file.",
            "pipe": "pipe is not a regular file.",
            "large": "large has 10,000,001 bytes; files over 10,000,000 are not read.",
            ".": ". is a directory.",
            "binary/x": "binary/x cannot be read: Not a directory.",
        }
        for path, sentence in refusals.items():
            with pytest.raises(ToolError) as caught:
                workspace.read(path)
            assert str(caught.value) == sentence


class TestWrite:
    def test_mode_and_symlink_stay_and_nothing_else_appears(self, workspace: Workspace):
        root = workspace.root
        (root / "tool").write_text("old")
        (root / "tool").chmod(0o750)
        (root / "alias").symlink_to("tool")
        workspace.write("alias", "new")
        assert (root / "alias").is_symlink()
        assert (root / "tool").read_text() == "new"
        assert stat.S_IMODE((root / "tool").stat().st_mode) == 0o750
        workspace.write("deep/er/file", "x")
        assert {path.name for path in root.iterdir()} == {".git", "tool", "alias", "deep"}

    def test_a_new_file_has_the_users_mode(self, workspace: Workspace):
        old = os.umask(0o027)
        try:
            workspace.write("new", "x")
        finally:
            os.umask(old)
        assert stat.S_IMODE((workspace.root / "new").stat().st_mode) == 0o640

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
    def test_root_leaves_the_owner(self, workspace: Workspace):
        (workspace.root / "a").write_text("")
        os.chown(workspace.root / "a", 12345, 12346)
        workspace.write("a", "x")
        found = (workspace.root / "a").stat()
        assert (found.st_uid, found.st_gid) == (12345, 12346)

    def test_what_cannot_be_written_is_said_and_changes_nothing(self, workspace: Workspace):
        root = workspace.root
        (root / "latin").write_bytes(b"caf\xe9")
        (root / "folder").mkdir()
        refusals = {
            ("latin", "€", "latin-1"): "latin is stored as latin-1, which cannot hold '€'.",
            ("latin/x", "", "utf-8"): "latin/x cannot be written: a part of that path is a file, not a directory.",
            ("folder", "", "utf-8"): "folder cannot be written: Is a directory.",
        }
        for arguments, sentence in refusals.items():
            with pytest.raises(ToolError) as caught:
                workspace.write(*arguments)
            assert str(caught.value) == sentence
        assert {path.name for path in root.iterdir()} == {".git", "latin", "folder"}
        assert (root / "latin").read_bytes() == b"caf\xe9"

    def test_what_was_saved_meanwhile_is_not_lost(self, workspace: Workspace):
        path = workspace.root / "a.py"
        path.write_bytes(b"\xef\xbb\xbfold\r\n")
        read = workspace.read("a.py")
        path.write_bytes(b"\xef\xbb\xbfmine\r\n")
        with pytest.raises(
            ToolError, match=r"a\.py was changed by someone else just now, and this edit was not made\."
        ):
            workspace.replace("a.py", read, "new\r\n")
        assert path.read_bytes() == b"\xef\xbb\xbfmine\r\n"
        path.unlink()
        with pytest.raises(ToolError, match="changed by someone else"):
            workspace.replace("a.py", read, "new\r\n")
        assert {found.name for found in workspace.root.iterdir()} == {".git"}
        path.write_bytes(b"\xef\xbb\xbfold\r\n")
        path.touch()  # saved, but the same
        workspace.replace("a.py", read, "new\r\n")
        assert path.read_bytes() == b"\xef\xbb\xbfnew\r\n"

    def test_the_comparison_comes_last(self, tmp_path: Path):
        """Whoever saves until then is heard: the new content is whole on the disk by that time."""
        path = tmp_path / "a"
        path.write_bytes(b"old")

        def check() -> None:
            (temporary,) = (other for other in tmp_path.iterdir() if other != path)
            assert temporary.read_bytes() == b"new"
            path.write_bytes(b"mine")
            raise ToolError("changed")

        with pytest.raises(ToolError, match="changed"):
            write_atomic(path, b"new", check=check)
        assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("a", b"mine")]

    def test_a_new_file_takes_no_place_that_is_taken(self, workspace: Workspace):
        workspace.create("deep/a.py", "x\n")
        with pytest.raises(ToolError, match=r"deep/a\.py exists already and was not overwritten"):
            workspace.create("deep/a.py", "y\n")
        assert (workspace.root / "deep/a.py").read_text() == "x\n"

    def test_nothing_in_another_repository(self, workspace: Workspace):
        git(workspace.root, "init", "-q", "module")
        with pytest.raises(ToolError, match=r"module/a/b lies in another repository \(module\)"):
            workspace.write("module/a/b", "x")

    def test_atomically(self, tmp_path: Path):
        path = tmp_path / "file"
        path.write_bytes(b"old")
        old = path.open("rb")
        write_atomic(path, b"new", 0o600)
        with old:
            assert old.read() == b"old"
        assert path.read_bytes() == b"new"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


class TestGit:
    def test_its_complaint_is_the_error(self, repository: Path):
        with pytest.raises(GitError, match=r"git cat-file failed: fatal: .*no-such"):
            git(repository, "cat-file", "-p", "no-such")

    def test_only_the_callers_own_settings_are_inherited(self, monkeypatch: pytest.MonkeyPatch):
        for name in (
            "GIT_DIR",
            "GIT_INDEX_FILE",
            "GIT_TRACE",
            "GIT_SOMETHING_NEW",
            "GIT_AUTHOR_NAME",
            "GIT_CONFIG_GLOBAL",
        ):
            monkeypatch.setenv(name, "x")
        assert {name for name in git_environment() if name.startswith("GIT_")} >= {
            "GIT_AUTHOR_NAME",
            "GIT_CONFIG_GLOBAL",
        }
        assert not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_TRACE", "GIT_SOMETHING_NEW"} & git_environment().keys()

    def test_ctrl_c_at_the_terminal_does_not_reach_it(self, repository: Path):
        groups = git(repository, "-c", "alias.group=!ps -o pgid= -p $$", "group").split()
        assert int(groups[0]) != os.getpgid(0)

    def test_the_index_is_not_refreshed(self, repository: Path):
        (repository / "a").write_text("a")
        git(repository, "add", "a")
        os.utime(repository / "a", (1, 1))
        before = (repository / ".git" / "index").read_bytes()
        git(repository, "status")
        assert (repository / ".git" / "index").read_bytes() == before
        subprocess.run(["git", "-C", str(repository), "status"], check=True, capture_output=True)
        assert (repository / ".git" / "index").read_bytes() != before
