"""An HTTP client, made in surroundings that may not let it be made."""

from collections.abc import Callable

import httpx

from qwencode.errors import ModelUnavailable

_PROXY = "The proxy that the environment names (ALL_PROXY, HTTPS_PROXY or HTTP_PROXY)"


def client(make: Callable[[], httpx.Client]) -> httpx.Client:
    """Return what `make` makes. Raises ModelUnavailable that says what of the environment is in the way."""
    try:
        return make()
    except ImportError as error:
        raise ModelUnavailable(f"{_PROXY} speaks SOCKS, for which `pip install socksio` is needed.") from error
    except OSError as error:
        raise ModelUnavailable(
            f"The certificates cannot be loaded ({error.strerror or error}): do SSL_CERT_FILE and SSL_CERT_DIR name "
            "the right place?"
        ) from error
    except (httpx.InvalidURL, ValueError) as error:  # not quoted: a password may stand there
        raise ModelUnavailable(f"{_PROXY} cannot be used: give one like http://proxy:3128.") from error


def can_be_sent(key: str) -> bool:
    """Say whether a key may stand in a header. One that may not is not to be shown either: errors would quote it."""
    return key.isascii() and key.isprintable()
