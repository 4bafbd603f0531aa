"""Addresses of OpenAI-compatible servers, and the names of the variables with their keys."""

import re
from urllib.parse import urlsplit

from recipe.zppo.errors import ConfigError


def check_address(key: str, address: str | None, key_of_variable: str, variable: str) -> None:
    """
    Args:
        key: where the address comes from, such as ``zppo.teacher.base_url``; None: there is no such server.
        key_of_variable: where ``variable`` comes from, the name of the environment variable with the server's key.

    Raises:
        ConfigError: one of the two is none, or the address holds a key. It is not repeated.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
        # Not shown: it may be the key itself.
        raise ConfigError(f"{key_of_variable}: expected the name of an environment variable, not a key")
    if address is None:
        return
    try:
        url = urlsplit(address)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"{key}: expected an address such as http://host:8000/v1")
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise ConfigError(
            f"{key}: no name, key or query in the address, since the configuration is logged; put the key into the "
            f"environment variable {variable} ({key_of_variable})"
        )
