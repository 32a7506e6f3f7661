"""Which calls need consent: rules for commands by their first words, and for files by patterns of their paths.

A rule is a hint for how often to ask, not a wall: what confines a command is the sandbox. A text is allowed only if
every command in it is, and only if it can be read without doubt; anything that a shell would expand, redirect or nest
is doubted. Not covered: what an allowed program does by itself (`make` runs whatever the Makefile says).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

Verdict = Literal["allow", "ask", "doubt", "deny"]
"""`doubt`: it may hold what is denied, so it is asked about wherever else it would not be."""
Words = tuple[str, ...]
"""Of one command; never empty."""

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_SINGLE = re.compile(r"'([^'\n]*)'")
_DOUBLE = re.compile(r'"([^"$`\\!\n]*)"')
_OPERATOR = re.compile(r"&&|\|\||;|\|(?!&)")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_SHELL_WORDS = "if then else elif fi for while until do done case esac in function select time coproc { } ! [[ ]]"
_EVALUATING = "unset read let declare typeset local readonly mapfile readarray getopts wait"
"""Builtins of the shell that run what stands in `$(…)` in a subscript of their arguments, quoted or not."""
_HOSTS = """
export set shopt hash enable npx pnpx bunx uvx pipx pipenv tsx ts-node pypy pypy3 ipython nodejs Rscript julia expect
su runuser pkexec flock taskset chrt setarch prlimit entr watchexec unlink rmdir rename patch rsync
sudo doas su env command builtin exec eval source . sh bash dash zsh ksh fish csh tcsh xargs parallel nohup nice ionice
setsid timeout stdbuf watch time find fd awk gawk mawk sed perl python python3 ruby node deno bun php lua ssh docker
podman kubectl make tmux screen script busybox chroot unshare nsenter strace gdb trap alias vim vi ed ex rm dd mkfs
shred truncate chmod chown ln mv cp tee install crontab at kill pkill killall
"""
"""Programs for which a lasting yes covers the very command only: they run others, or all they do is in their words."""
_WITH_SUBCOMMANDS = """
git npm pnpm yarn cargo go pip pip3 uv poetry hatch tox nox dotnet gradle mvn bundle rake composer apt brew conda rustup
gh hg svn bazel just task pre-commit mix cabal stack swift flutter dart terraform helm
"""
_RUNNING = ["run", "run-script", "exec", "x", "dlx", "tool"]
"""Subcommands that run what stands behind them; `run` of some is a name in the project's own list."""
_SCRIPTS = ["npm", "pnpm", "yarn", "bun"]
_LOSING = ["checkout", "restore", "reset", "clean", "stash", "rm", "switch"]
"""Subcommands of git for what a yes to one says nothing about the next: what is lost is in their words."""
_VERSIONED = re.compile(r"(python|pypy|ruby|perl|node|php|lua)[\d.]+")
_WORD = re.compile(r"[^\s;&|<>()`$'\"\\{}]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the user has laid down. Commands are given by their first words, files by patterns of their paths.

    `exact` are whole commands that were allowed as they are, `files` files.
    """

    allow_commands: tuple[str, ...] = ()
    deny_commands: tuple[str, ...] = ()
    allow_paths: tuple[str, ...] = ()
    deny_paths: tuple[str, ...] = ()
    exact: frozenset[Words] = frozenset()
    files: frozenset[str] = frozenset()

    def command(self, text: str) -> Verdict:
        """Judge a command line."""
        parts = simple_commands(text)
        denied = [(_name(words[0]), *words[1:]) for rule in self.deny_commands if (words := rule.split())]
        if any(_begins((_name(part[0]), *part[1:]), rule) for part in parts or () for rule in denied):
            return "deny"
        if any(_holds(text, rule) for rule in denied) or (denied and not parts):
            return "doubt"  # hidden behind another program, or in what cannot be read
        if not parts:
            return "ask"
        allowed = [tuple(rule.split()) for rule in self.allow_commands if rule.split()]
        fine = all(part in self.exact or any(_begins(part, rule) for rule in allowed) for part in parts)
        return "allow" if fine else "ask"

    def path(self, path: str) -> Verdict:
        """Judge a file that is to be changed, given relative to the root with forward slashes."""
        if any(matches(path.casefold(), pattern.casefold()) for pattern in self.deny_paths):
            return "deny"
        allowed = path in self.files or any(matches(path, pattern) for pattern in self.allow_paths)
        return "allow" if allowed else "ask"


def simple_commands(text: str) -> list[Words] | None:
    """Return the words of every command in a line of shell; None when it cannot be read without doubt.

    What is read: plain words, quoted ones without anything that a shell would expand, and `&&`, `||`, `;`, `|` between
    commands. All else is doubted: substitutions, variables, patterns, redirections, groups, background, several lines,
    comments, escapes, assignments before a command, words that have a meaning of their own to a shell.
    """
    commands, words, at, glued = list[Words](), list[str](), 0, False
    text = text.strip(" \t\n")
    while at < len(text):
        if text[at] in " \t":
            at, glued = at + 1, False
        elif found := _PLAIN.match(text, at) or _SINGLE.match(text, at) or _DOUBLE.match(text, at):
            part = found.group(1) if found.re is not _PLAIN else found.group()
            if glued:
                words[-1] += part
            else:
                words.append(part)
            at, glued = found.end(), True
        elif found := _OPERATOR.match(text, at):
            commands.append(tuple(words))
            words, at, glued = [], found.end(), False
        else:
            return None
    if words or not text.endswith(";"):
        commands.append(tuple(words))
    return None if any(_doubtful(words) for words in commands) else commands


def lasting(text: str) -> list[tuple[Words, bool]]:
    """Return what a lasting yes to a command line would cover: words, and whether more may follow. Empty: nothing."""
    return [_covered(words) for words in simple_commands(text) or ()]


def matches(path: str, pattern: str) -> bool:
    """Say whether a path is meant by a pattern: `*` and `?` stay within a name, `**` does not.

    A pattern without a slash is for names anywhere; one that names a folder is for all that is in it.
    """
    pattern = pattern.removeprefix("./")
    if "/" not in pattern.rstrip("/"):
        pattern = f"**/{pattern}"
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.strip("/"))
    made = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return bool(re.fullmatch("".join(made.get(part, re.escape(part)) for part in parts) + "(?:/.*)?", path, re.DOTALL))


def _doubtful(words: Sequence[str]) -> bool:
    """Say whether the words of a command mean something else to a shell than a program and its arguments."""
    if not words or _ASSIGNMENT.match(words[0]) or words[0] in f"{_SHELL_WORDS} {_EVALUATING}".split():
        return True
    return words[0] in ("printf", "test", "[") and any(word.startswith(("-v", "-R")) for word in words)


def _covered(words: Words) -> tuple[Words, bool]:
    first = words[0]
    if re.fullmatch(r"python[\d.]*", first) and words[1:2] == ("-m",) and len(words) > 2:
        return words[:3], True
    if first in _HOSTS.split() or "/" in first or _VERSIONED.fullmatch(first):
        return words, False
    if first not in _WITH_SUBCOMMANDS.split():
        return words[:1], True
    if len(words) < 2 or words[1].startswith("-") or (first == "git" and words[1] in _LOSING):
        return words, False
    if words[1] not in _RUNNING:
        return words[:2], True
    if len(words) < 3 or words[2].startswith("-") or (words[1] != "run" and words[1] != "run-script"):
        return words, False
    if first in _SCRIPTS:
        return words[:3], True
    covered, more = _covered(words[2:])
    return (*words[:2], *covered), more


def _name(program: str) -> str:
    return PurePosixPath(program).name or program


def _begins(words: Sequence[str], rule: Sequence[str]) -> bool:
    return tuple(words[: len(rule)]) == tuple(rule)


def _holds(text: str, rule: Words) -> bool:
    """Say whether the words of a rule stand anywhere in a text, one after the other, however it is put together.

    What stands between them may be options of the program.
    """
    words = [_name(word) for word in _WORD.findall(text.replace("\\\n", ""))]
    loose = [_name(word) for word in re.sub(r"['\"\\]", "", text).split()]
    wanted = [_name(word) for word in rule]
    return any(all(word in rest for word in wanted) for rest in (iter(words), iter(loose)))
