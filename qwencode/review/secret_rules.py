"""What keys and tokens look like: formats that their issuers publish, so that programs can find them.

Sources are the issuers' own pages: GitHub ("Behind GitHub's new authentication token formats", 2021), AWS
("Understanding unique ID prefixes"), GitLab ("Token overview"), Slack ("Token types"), Stripe and Google Cloud ("API
keys"), Hugging Face ("User access tokens"), npm and PyPI (their announcements of tokens that can be found), and so on;
PEM after RFC 7468, JWT after RFC 7519. Each pattern has one group: the secret itself.
"""

import re
from typing import NamedTuple


class Rule(NamedTuple):
    """One kind of secret. `word` is in every line that `pattern` can match, in lower case: a quick first look."""

    name: str
    word: str
    pattern: re.Pattern[str]
    what: str


def _rules(*rows: tuple[str, str, str, str]) -> tuple[Rule, ...]:
    return tuple(
        Rule(name, word, re.compile(rf"(?<![\w-])({pattern})(?![\w-])"), what) for name, word, pattern, what in rows
    )


RULES = _rules(
    ("aws-access-key", "a", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}", "an AWS access key"),
    ("github-token", "gh", r"gh[pousr]_[A-Za-z0-9]{36,251}", "a GitHub token"),
    ("github-token", "github_pat_", r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}", "a GitHub token"),
    ("gitlab-token", "gl", r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|oas|agent)-[\w-]{20,200}", "a GitLab token"),
    ("slack-token", "xox", r"xox[abeprs]-(?:\d+-)*[\w-]{10,200}", "a Slack token"),
    (
        "slack-webhook",
        "hooks.slack.com",
        r"https://hooks\.slack\.com/(?:services|workflows)/T\w{6,}/\w+/\w{16,}",
        "a Slack webhook",
    ),
    ("stripe-key", "_live_", r"(?:sk|rk)_live_[A-Za-z0-9]{20,247}", "a Stripe key for real payments"),
    ("stripe-webhook", "whsec_", r"whsec_[A-Za-z0-9]{32,64}", "a Stripe webhook secret"),
    ("google-api-key", "aiza", r"AIza[\w-]{35}", "a Google API key"),
    ("google-oauth-secret", "gocspx-", r"GOCSPX-[\w-]{28}", "a Google OAuth client secret"),
    ("openai-key", "sk-", r"sk-(?:proj|svcacct|admin)-[\w-]{40,200}", "an OpenAI key"),
    ("openai-key", "t3blbkfj", r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}", "an OpenAI key"),
    ("anthropic-key", "sk-ant-", r"sk-ant-[a-z]+\d\d-[\w-]{80,120}", "an Anthropic key"),
    ("openrouter-key", "sk-or-", r"sk-or-v1-[0-9a-f]{64}", "an OpenRouter key"),
    ("groq-key", "gsk_", r"gsk_[A-Za-z0-9]{52}", "a Groq key"),
    ("huggingface-token", "hf_", r"hf_[A-Za-z0-9]{34,40}", "a Hugging Face token"),
    ("npm-token", "npm_", r"npm_[A-Za-z0-9]{36}", "an npm token"),
    ("pypi-token", "pypi-", r"pypi-AgE[\w-]{50,500}", "a PyPI token"),
    ("rubygems-key", "rubygems_", r"rubygems_[0-9a-f]{48}", "a RubyGems key"),
    ("sendgrid-key", "sg.", r"SG\.[\w-]{22}\.[\w-]{43}", "a SendGrid key"),
    ("mailgun-key", "key-", r"key-[0-9a-f]{32}", "a Mailgun key"),
    ("telegram-token", ":aa", r"\d{8,10}:AA[\w-]{33}", "the token of a Telegram bot"),
    ("discord-token", ".", r"[MNO][A-Za-z\d]{23,27}\.[\w-]{6}\.[\w-]{27,40}", "the token of a Discord bot"),
    ("digitalocean-token", "_v1_", r"do[opr]_v1_[0-9a-f]{64}", "a DigitalOcean token"),
    ("shopify-token", "shp", r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}", "a Shopify token"),
    ("azure-storage-key", "accountkey=", r"AccountKey=[A-Za-z0-9+/]{86}==", "the key of an Azure storage account"),
    ("databricks-token", "dapi", r"dapi[0-9a-f]{32}(?:-\d)?", "a Databricks token"),
    ("doppler-token", "dp.", r"dp\.(?:pt|st|ct|sa)\.[\w.-]{40,64}", "a Doppler token"),
    ("vault-token", "hvs.", r"hv[sb]\.[\w-]{24,200}", "a Vault token"),
    ("linear-key", "lin_api_", r"lin_api_[A-Za-z0-9]{40}", "a Linear key"),
    ("postman-key", "pmak-", r"PMAK-[0-9a-f]{24}-[0-9a-f]{34}", "a Postman key"),
    ("square-token", "sq0", r"sq0(?:atp|csp)-[\w-]{22,43}", "a Square token"),
    ("newrelic-key", "nrak-", r"NRAK-[A-Z0-9]{27}", "a New Relic key"),
    ("atlassian-token", "atatt3", r"ATATT3[\w=-]{100,250}", "an Atlassian token"),
    ("grafana-token", "gls", r"glsa_[A-Za-z0-9]{32}_[0-9a-f]{8}", "a Grafana token"),
    ("figma-token", "figd_", r"figd_[\w-]{40}", "a Figma token"),
    ("sentry-token", "sntrys_", r"sntrys_[\w+/=-]{80,400}", "a Sentry token"),
    ("age-key", "age-secret-key-", r"AGE-SECRET-KEY-1[0-9A-Z]{58}", "an age key"),
)
PRIVATE_KEY = re.compile(r"-----BEGIN ((?:RSA |EC |DSA |OPENSSH |PGP |ENCRYPTED )?PRIVATE KEY(?: BLOCK)?)-----")
BASE64_LINE = re.compile(r"[A-Za-z0-9+/=]{40,}")
JWT = re.compile(r"(?<![\w.-])(eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,})(?![\w-])")
URL_PASSWORD = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"`<>]*:([^\s:/@'\"`<>]{3,})@([^\s'\"`/:<>]+)")
SECRET_FILE = re.compile(
    r"(^|/)(\.env(\.(?!example|sample|template|dist|test|defaults?|schema)\w+)?|id_(rsa|dsa|ecdsa|ed25519)|[^/]+\.(p12|pfx|jks|keystore|kdbx|ppk))$"
)
ASSIGNED = re.compile(
    r"(?i)(?<![\w.-])(?P<name>[\w.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|"
    r"auth[_-]?key|encryption[_-]?key|signing[_-]?key|credential)[\w-]*)[\"'`\])]*\s*"
    r"(?::\s*(?:str|string|String|&'?\w* ?str)\s*)?"
    r"(?::=|=>|==?|:|,)\s*(?:[frbu]{0,2})(?P<quote>[\"'`]?)(?P<value>[^\s\"'`]{6,200})(?P=quote)"
)
"""A name that speaks of a secret, with a value beside it."""
UNQUOTED = re.compile(
    r"(^|/)\.env[^/]*$|\.(env|ini|cfg|conf|properties|ya?ml|toml|tfvars|sh|bash|envrc)$", re.IGNORECASE
)
"""Files whose values need no quotes."""
PLACEHOLDER = re.compile(
    r"(?i)example|sample|dummy|fake|placeholder|change[_-]?(me|this|it)|your[_-]|x{4,}|todo|redacted|removed|insert|replace|"
    r"<[^>]*>|\$\{|\$\(|^\$|\{\{|%\(|%s|\{\w*\}|\*{3,}|\.{3}|…|123456|abcdef|qwerty|secret|passw|foobar|hunter2|getenv|environ|"
    r"process\.env|deadbeef|0{8}|a{8}|-----|^(none|null|true|false|undefined|string|bearer)$"
)
SPECIMEN = re.compile(
    r"(?i)example|specimen|dummy|fake|placeholder|your[_-]|x{6,}|\.{3}|\*{3,}|0{8}|a{8}|123456789|redacted"
)
"""What stands in the format of an issuer only to show it; a word may be in a real key by chance, so these are few."""
NO_SECRET_NAME = re.compile(
    r"(?i)hash|digest|checksum|sha\d|integrity|public|pubkey|fingerprint|uuid|_id$|_?name$|_?path$|_?file$|_?url$|_?uri$|_?type$|"
    r"_?field$|_?header$|_?env$|_?var$|_?prefix$|_?regex$|_?pattern$|_?label$|_?len(gth)?$|_?min$|_?max$|expir|_?count$|tokeniz|"
    r"token_?(type|ids?|kind|class)|max_?tokens|_?endpoint$|_?policy$|_?format$|_?message$|_?error$|_?ref$|_?key_?names?$|arn$"
)
GENERATED = re.compile(
    r"(^|/)([^/]*[.-]lock(\.(json|ya?ml))?|package-lock\.json|pnpm-lock\.yaml|go\.sum|Cargo\.lock|npm-shrinkwrap\.json|"
    r"[^/]*\.(min\.(js|css)|map|svg|ipynb|snap|csv|tsv|pem|crt|pub|asc|sig|po|pot))$"
)
"""Files that are full of digests and the like, in which only the issuers' formats count."""
