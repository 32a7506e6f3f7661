"""What is here and what follows from it: the machine, llama.cpp, the sandbox, git, the settings, the models.

Everything is looked at, nothing is loaded or changed, and nothing is asked of the network but what a server that is the
default model says of itself. One that is given by its URL is put to the test: see `server_check`.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from qwencode import __version__
from qwencode.errors import ModelUnavailable, QwencodeError, UsageError
from qwencode.machine.outlook import FIRST_PROMPT, LEAST_CONTEXT, Here, Outlook, look, of_file, recommended
from qwencode.machine.server_check import Check, Said
from qwencode.model.choose import (
    BUILTIN_FILE,
    check_model,
    find_default,
    find_file,
    is_server,
    on_disk,
    open_model,
    wishes,
)
from qwencode.model.llama.machine import swap_memory
from qwencode.model.server import ServerModel
from qwencode.sandbox.ladder import survey
from qwencode.settings import Places, Set, Settings, explain, load

Level = Literal["ok", "note", "warning", "problem"]
_LEVELS: Mapping[Said, Level] = {"met": "ok", "not met": "warning", "unknown": "note"}
_GIB = 1 << 30
_GIT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `area` groups lines; `data` has the same for programs."""

    area: str
    name: str
    text: str
    level: Level = "ok"
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, and the one command to run next with what it does. `exit_code`: of what stops `fix`, else 0."""

    findings: tuple[Finding, ...]
    command: str
    why: str
    exit_code: int


def examine(places: Places, root: Path | None, model: str | None = None) -> Report:
    """Look at everything. `root`: the repository around the working directory. Raises nothing that a user can cause.

    Of a server that `model` names nothing is said: `with_checks` adds that.
    """
    here = look()
    findings = [*_machine(here, places), *_llama(here)]
    sandbox = _sandbox(root)
    git = _git()
    findings += [sandbox, git, _terminal(), _network()]
    try:
        settings = load(places, root, {"model": model})
        findings += _settings(explain(places, root))
    except QwencodeError as error:
        settings = Settings(model=model or "")
        findings.append(Finding("settings", "settings", str(error), "problem"))
    try:
        models, command, why = _models(here, settings, places, asks_server=not model)
        findings += models
    except UsageError as error:  # the user's own catalogue
        findings.append(Finding("settings", "catalogue", str(error), "problem"))
        command, why = "qwencode doctor", "when the catalogue is mended, look again"
    broken = {each.area for each in findings if each.level == "problem" and each is not sandbox}
    code = 2 if broken & {"settings", "safety"} else 4 if "llama.cpp" in broken else 0
    if sandbox.level == "problem" and not settings.no_sandbox:
        code = code or 6
    return Report(tuple(findings), command, why, code)


def with_checks(report: Report, url: str, checks: Sequence[Check]) -> Report:
    """Return the report with what a server was found to be able to do, and what follows from it."""
    stops = [each.name for each in checks if each.stops]
    findings = (*report.findings, *map(of_check, checks))
    if not stops:
        return replace(report, findings=findings)
    why = f"not met: {', '.join(stops)}. When that is mended, look again"
    return Report(findings, f"qwencode doctor --model {url}", why, report.exit_code or ModelUnavailable.exit_code)


def of_check(check: Check) -> Finding:
    """Return what is said about one thing that a server can or cannot do."""
    level: Level = "problem" if check.stops else _LEVELS[check.said]
    said = "" if check.said == "met" else f"{check.said}: "
    data = {"said": check.said, "needed": check.needed}
    return Finding("server", check.name, f"{said}{check.text}", level, data)


def _machine(here: Here, places: Places) -> Iterator[Finding]:
    machine = here.machine
    system = f"{platform.system()} {platform.release()}, {platform.machine()}; Python {platform.python_version()}"
    yield Finding("machine", "system", f"qwencode {__version__}; {system}")
    cores = "1 core" if machine.cores == 1 else f"{machine.cores} cores"
    using = ", ".join(name for name in here.features if name.startswith(("AVX", "NEON", "SVE", "DOTPROD", "AMX")))
    text = f"{cores} for the model" + (f"; {using}" if using else "")
    yield Finding("machine", "processor", text, data={"cores": machine.cores, "features": list(here.features)})
    swap_total, swap_free = swap_memory()
    known = f"{machine.free / _GIB:.1f} of {machine.total / _GIB:.1f} GiB are free"
    swap = f"swap {swap_free / _GIB:.1f} of {swap_total / _GIB:.1f} GiB free" if swap_total else "no swap"
    reads = f"reads about {here.bandwidth / 1e9:.0f} GB a second"
    data = {"free": machine.free, "total": machine.total, "swap": swap_total, "bytes_per_second": int(here.bandwidth)}
    yield Finding("machine", "memory", f"{known}; {swap}; {reads}", "ok" if machine.free else "note", data)
    for gpu in machine.gpus:
        shared = ", part of main memory" if gpu.shared else ""
        text = f"{gpu.name}: {gpu.free / _GIB:.1f} GiB are free{shared}"
        yield Finding("machine", "gpu", text, data={"name": gpu.name, "free": gpu.free, "shared": gpu.shared})
    if not machine.gpus:
        yield Finding("machine", "gpu", "none that llama.cpp uses", "note")
    yield _disk(places)


def _disk(places: Places) -> Finding:
    for place in (places.models, *places.models.parents):
        with suppress(OSError):  # it is not there yet, or must not be looked at
            disk = shutil.disk_usage(place)
            break
    else:
        return Finding("machine", "disk", f"nothing is known of the disk of {places.models}", "note")
    text = f"{disk.free / 1e9:.0f} of {disk.total / 1e9:.0f} GB are free for models in {places.models}"
    return Finding("machine", "disk", text, data={"path": str(places.models), "free": disk.free, "total": disk.total})


def _llama(here: Here) -> Iterator[Finding]:
    import importlib.metadata

    if here.problem:
        advice = "reinstall it with `pip install --force-reinstall llama-cpp-python`"
        yield Finding("llama.cpp", "build", f"{here.problem}; {advice}.", "problem")
        return
    version = importlib.metadata.version("llama-cpp-python")
    backends = ", ".join(here.backends)
    data = {"llama_cpp_python": version, "backends": list(here.backends)}
    yield Finding("llama.cpp", "build", f"llama-cpp-python {version}, for: {backends}", data=data)
    if here.advice:
        yield Finding("llama.cpp", "gpu", here.advice, "warning")


def _sandbox(root: Path | None) -> Finding:
    with tempfile.TemporaryDirectory() as empty:
        rungs = survey(root or Path(empty))
    best = next((rung for rung in rungs[:-1] if rung.available), None)
    data = {rung.name: {"available": rung.available, "reason": rung.reason} for rung in rungs}
    if best is None:
        reasons = "; ".join(f"{rung.name}: {rung.reason}" for rung in rungs[:-1])
        return Finding("safety", "sandbox", f"none works here ({reasons}); --no-sandbox runs without", "problem", data)
    covered, open_to = ", ".join(best.covers), "; ".join(best.gaps)
    gaps = f". Not covered: {open_to}" if open_to else ""
    level: Level = "ok" if best is rungs[0] else "note"
    return Finding("safety", "sandbox", f"{best.name}: {covered}{gaps}", level, data)


def _git() -> Finding:
    try:
        done = subprocess.run(
            ["git", "--version"], capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return Finding("safety", "git", "git cannot be started, and snapshots need it: install it", "problem")
    return Finding("safety", "git", done.strip())


def _terminal() -> Finding:
    kind = os.environ.get("TERM", "")
    is_terminal = sys.stdout.isatty() and kind not in ("", "dumb")
    text = f"{kind}, {shutil.get_terminal_size().columns} columns" if is_terminal else "none: output is plain text"
    if os.environ.get("NO_COLOR"):
        text += "; NO_COLOR is set"
    return Finding("surroundings", "terminal", text, "ok" if is_terminal else "note")


def _network() -> Finding:
    offline = os.environ.get("HF_HUB_OFFLINE", "")
    said = f" (refused now: HF_HUB_OFFLINE={offline})" if offline else ""
    return Finding("surroundings", "network", f"used by `models pull` alone{said}, and to a server that --model names")


def _settings(found: list[Set]) -> Iterator[Finding]:
    given = [each for each in found if each.origin != "default"]
    for each in given:
        data = {"value": each.value, "origin": each.origin}
        yield Finding("settings", each.name, f"{each.value!r} ({each.origin})", data=data)
    if not given:
        yield Finding("settings", "settings", "all are at their defaults")


def _models(here: Here, settings: Settings, places: Places, asks_server: bool) -> tuple[list[Finding], str, str]:
    """Return what is said about models, the command to run next, and what it does."""
    chosen = find_default(settings, places)
    found = list(_server(chosen, places)) if asks_server else []
    wanted = wishes(settings)
    for file in on_disk(places):
        outlook = of_file(file.path, here, wanted, places.cache)
        is_chosen = chosen.lower() in (file.name.lower(), str(file.path).lower())
        mark = f"{file.size / 1e9:.1f} GB, {file.owner}{', the default' if is_chosen else ''}"
        found.append(finding_of(f"{file.name}", mark, outlook, {"path": str(file.path), "owner": file.owner}))
    there = "4.5 million parameters, mends single lines of Python" if BUILTIN_FILE.is_file() else "is missing"
    found.append(Finding("models", "builtin", there, "ok" if BUILTIN_FILE.is_file() else "problem"))
    best = recommended(here, wanted)
    if best:
        entry, outlook = best
        found.append(finding_of(entry.name, f"{entry.size / 1e9:.1f} GB, recommended here", outlook, {}))
    return found, *_next(chosen, settings, places, here, best[0].name if best else "")


def _server(name: str, places: Places) -> Iterator[Finding]:
    """Yield what a server says of itself. It is asked for its models and its context, and for no token."""
    if not is_server(name):
        return
    try:
        check_model(name, places)
    except ModelUnavailable as error:
        yield Finding("models", "server", str(error), "problem")
        return
    model = open_model(name, Settings(), places)
    assert isinstance(model, ServerModel)
    try:
        listed, context = model.models(), model.context_length
    finally:
        model.close()
    data = {"models": listed, "context": context}
    if not listed:
        advice = "it may be no OpenAI-compatible server, want a key in QWENCODE_API_KEY, or have another base URL"
        yield Finding("models", "server", f"{name} answers and lists no models: {advice}", "warning", data)
    else:
        others = f" ({len(listed) - 1} more; add #NAME to the URL for another)" if len(listed) > 1 else ""
        yield Finding("models", "server", f"{name} has {listed[0]}{others}", data=data)
    if context:
        short = f"; {LEAST_CONTEXT:,} is what work on a repository takes" if context < LEAST_CONTEXT else ""
        text = f"{context:,} tokens{short}"
        yield Finding("models", "its context", text, "warning" if short else "ok")
    else:
        yield Finding("models", "its context", "the server does not say", "note")
    if model.is_open_to_readers:
        yield Finding("models", "the way there", "not encrypted: your code can be read on it; use https", "warning")


def _next(chosen: str, settings: Settings, places: Places, here: Here, best: str) -> tuple[str, str]:
    if chosen and is_server(chosen):
        return "qwencode fix", f"mends what fails, with the model at {chosen}"
    if chosen:
        try:
            outlook = of_file(find_file(chosen, places), here, wishes(settings), places.cache)
        except ModelUnavailable as error:
            outlook = Outlook(None, problem=str(error))
        if outlook.fit:
            if outlook.expected and not outlook.expected.measured:
                return "qwencode warm", "measures this machine once and keeps what every run begins with"
            return "qwencode fix", "mends what fails"
        if settings.model:
            return "qwencode config unset model", f"the model that is set cannot be used: {outlook.problem}"
    if best:
        return f"qwencode models pull {best}", "fetches the model that suits this machine"
    return "qwencode fix", "mends what search and the built-in model can; no larger model fits here"


def finding_of(name: str, mark: str, outlook: Outlook, data: Mapping[str, Any]) -> Finding:
    """Return what is said about a model."""
    if outlook.fit is None:
        return Finding("models", name, f"{mark}. {outlook.problem}", "warning", {**data, "fits": False})
    speed = outlook.expected
    facts = {
        **data,
        "fits": True,
        "context": outlook.fit.context,
        "cache_type": outlook.fit.cache_type,
        "gpu_layers": outlook.fit.gpu_layers,
        "cpu_experts": outlook.fit.cpu_experts,
        "decode": round(speed.decode, 2) if speed else 0,
        "prefill": round(speed.prefill, 1) if speed else 0,
        "measured": bool(speed and speed.measured),
    }
    plan = f"{outlook.fit.context:,} tokens of context, {outlook.fit.cache_type}, {outlook.where}"
    return Finding("models", name, f"{mark}. Fits: {plan}. {speed_of(outlook)}", data=facts)


def speed_of(outlook: Outlook) -> str:
    """Return how fast a model is, as a sentence that says whether this was measured."""
    speed = outlook.expected
    if speed is None or not speed.decode:
        return "How fast it is, `qwencode warm` measures."
    about, source = ("", "measured") if speed.measured else ("about ", "estimated")
    written = f"{about}{speed.decode:.{0 if speed.decode >= 10 else 1}f} tokens a second"
    first = speed.first_token(FIRST_PROMPT)
    before = f", {about}{first:,.0f} s before the first of a prompt of {FIRST_PROMPT:,}" if first else ""
    return f"Writes {written}{before} ({source})."
