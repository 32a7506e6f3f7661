"""What the doctor says about servers, and what it advises next."""

import socket
from pathlib import Path
from typing import Any

import pytest

from loopback import Loopback, serving
from qwencode.errors import ModelUnavailable
from qwencode.machine.doctor import Finding, Report, examine
from qwencode.machine.hub import source_of
from qwencode.machine.pull import pull
from qwencode.settings import Places, user_file


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(*(tmp_path / name for name in ("config", "data", "state", "cache")))


def with_default(places: Places, url: str) -> Report:
    """Examine with a server as the default model: it is asked what it has, and for no token."""
    places.config.mkdir()
    user_file(places).write_text(f'model = "{url}"\n')
    return examine(places, None)


def about(report: Report, area: str) -> dict[str, Finding]:
    return {each.name: each for each in report.findings if each.area == area}


@pytest.mark.parametrize(
    ("pages", "said", "level", "context"),
    [
        (
            {
                "/v1/models": {"data": [{"id": "qwen3.6-35b"}]},
                "/props": {"default_generation_settings": {"n_ctx": 65536}},
            },
            "has qwen3.6-35b",
            "ok",
            "65,536 tokens",
        ),
        (
            {"/v1/models": {"data": [{"id": "a", "max_model_len": 8192}, {"id": "b"}]}},
            "has a (1 more; add #NAME",
            "ok",
            "8,192 tokens; 32,768 is what",
        ),
        ({}, "answers and lists no models", "warning", "does not say"),
    ],
)
def test_a_server_is_asked_what_it_has(
    places: Places, pages: dict[str, Any], said: str, level: str, context: str
) -> None:
    with serving(Loopback(pages=pages)) as server:
        report = with_default(places, f"{server.url}/v1")
        assert not server.requests  # no token is asked for
    models = about(report, "models")
    assert said in models["server"].text
    assert models["server"].level == level
    assert context in models["its context"].text
    assert "the way there" not in models
    assert report.command == "qwencode fix"
    assert report.exit_code == 0


def test_a_server_that_is_not_there(places: Places) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        report = with_default(places, f"http://127.0.0.1:{held.getsockname()[1]}/v1")
    server = about(report, "models")["server"]
    assert server.level == "problem"
    assert "cannot be reached" in server.text


def test_every_line_is_a_line(places: Places) -> None:
    report = examine(places, None)
    assert report.exit_code in (0, 6)
    assert report.command.startswith(("qwencode models pull Qwen3", "qwencode fix"))
    for each in report.findings:
        assert each.text and "\n" not in each.text
        assert each.level in ("ok", "note", "warning", "problem")
    assert not list(places.data.parent.iterdir())  # nothing is written


@pytest.mark.usefixtures("permissions_hold")
def test_places_that_must_not_be_looked_at(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "home").mkdir(parents=True)
    places = Places(
        *(closed / name / "qwencode" for name in ("config", "data", "state", "cache")), home=closed / "home"
    )
    closed.chmod(0)
    try:
        report = examine(places, None)
        assert about(report, "settings")["settings"].level == "problem"
        assert report.exit_code == 2
        with pytest.raises(ModelUnavailable, match="cannot be written: Permission denied"):
            list(pull(source_of("Qwen3.5-4B-UD-Q4_K_XL"), places, {"HF_HUB_OFFLINE": "1"}))
    finally:
        closed.chmod(0o755)
