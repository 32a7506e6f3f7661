"""Each format of a secret is found where it is new and never shown whole; what only looks like one is left alone."""

import pytest
from seeded_changes import HEX, made

from qwencode.events import FindingReported
from qwencode.review.change import FileChange, hunks_of
from qwencode.review.quick import quick
from qwencode.review.secret_rules import RULES
from qwencode.review.secrets import entropy

UPPER = "ABCDEFGHJKLMNPQR234567"
TOKENS = {
    "aws-access-key": f"AKIA{made(16, UPPER)}",
    "github-token": f"github_pat_{made(22)}_{made(59)}",
    "gitlab-token": f"glpat-{made(20)}",
    "slack-webhook": f"https://hooks.slack.com/services/T{made(8, UPPER)}/B{made(8, UPPER)}/{made(24)}",
    "stripe-key": f"rk_live_{made(24)}",
    "google-api-key": f"AIza{made(35)}",
    "openai-key": f"sk-proj-{made(60)}",
    "anthropic-key": f"sk-ant-api03-{made(93)}",
    "huggingface-token": f"hf_{made(34)}",
    "npm-token": f"npm_{made(36)}",
    "pypi-token": f"pypi-AgEIcHlwaS5vcmc{made(80)}",
    "sendgrid-key": f"SG.{made(22)}.{made(43)}",
    "telegram-token": f"8{made(8, '0123456789')}:AA{made(33)}",
    "digitalocean-token": f"dop_v1_{made(64, HEX)}",
    "shopify-token": f"shpat_{made(32, HEX)}",
    "databricks-token": f"dapi{made(32, HEX)}",
    "age-key": f"AGE-SECRET-KEY-1{made(58, UPPER)}",
}


def found(line: str, path: str = "config.py", before: str = "") -> list[FindingReported]:
    after = before + line + "\n"
    hunks = tuple(hunks_of(before, after))
    added = frozenset(number for hunk in hunks for number in hunk.new)
    return list(quick([FileChange(path, path, before, after, hunks, added)], ["secrets"]))


@pytest.mark.parametrize("name", TOKENS)
def test_formats_of_issuers(name: str):
    (one,) = found(f"VALUE = '{TOKENS[name]}'")
    assert (one.rule, one.severity, one.line) == (f"secrets/{name}", "error", 1)
    assert TOKENS[name] not in one.what
    assert not found("x = 1", before=f"VALUE = '{TOKENS[name]}'\n")


def test_every_quick_look_lets_its_format_pass():
    for name, token in TOKENS.items():
        fitting = [rule for rule in RULES if rule.name == name and rule.pattern.search(token)]
        assert fitting, name
        assert all(rule.word in token.lower() for rule in fitting)


@pytest.mark.parametrize(
    "line",
    [
        "KEY = 'AKIAIOSFODNN7EXAMPLE'",
        f"KEY = 'ghp_{'x' * 36}'",
        "password = getpass.getpass()",
        "password: str = Field(default='', repr=False)",
        "secret_name = 'projects/shop/secrets/database'",
        "api_key = settings.api_key",
        "TOKEN_URL = 'https://example.org/oauth2/token/v2/abc123'",
        f"key = '{made(40)}'  # qwencode: allow",
        f"password = '{made(12)}!9'  # pragma: allowlist secret",
        "url = 'postgres://user:password@localhost/shop'",
        "url = f'postgres://{user}:{password}@{host}/shop'",
        "csrf_token = '{{ csrf_token }}'",
        f"digest = 'sha256:{made(64, HEX)}'",
        "ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'",
        "tokens = ['identifier_token_one', 'identifier_token_two']",
        "max_tokens = '4096 at most'",
    ],
)
def test_what_only_looks_like_a_secret(line: str):
    assert not found(line)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (f"DB_PASSWORD={made(12)}", ".env"),
        (f"  client_secret: {made(32)}", "values.yaml"),
        (f'  "apiKey": "{made(32, HEX)}",', "config.json"),
        (f"const authToken = '{made(40)}';", "a.ts"),
        ("PASSWORD = 'Tr0ub4dor&3x'", "settings.py"),
        ("amqp = 'amqp://shop:kV93hhQm2@mq.shop.io/'", "settings.py"),
    ],
)
def test_values_under_names_that_speak_of_secrets(line: str, path: str):
    (one,) = (each for each in found(line, path) if each.rule != "secrets/file")
    assert one.severity == "error"


def test_entropy_is_that_of_shannon():
    assert entropy("") == 0
    assert entropy("aaaa") == 0
    assert entropy("abcd") == 2


def test_the_value_of_a_variable_in_a_call():
    assert [each.rule for each in found(f"os.environ.setdefault('DB_PASSWORD', '{made(12)}')")] == ["secrets/named"]
    assert not found("moved('HTTPPasswordMgr', 'urllib2')")
