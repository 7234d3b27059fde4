"""URLs of a Redis, shown without what is secret in them."""

from __future__ import annotations

import re

SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)
"""What a URL may start with, before `://`."""

_CREDENTIALS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,30}://)(?P<user>[^:/@\s]*)(?::(?P<password>.*))?@", re.IGNORECASE
)
_PARAMETER = re.compile(r"(?P<name>[?&][a-z_]*password=)[^&\s]*", re.IGNORECASE)


def mask_url(url: str) -> str:
    """`url` with every password in it as `***`."""

    def masked(found: re.Match[str]) -> str:
        return f"{found['scheme']}{found['user']}{':***' if found['password'] is not None else ''}@"

    return _PARAMETER.sub(r"\g<name>***", _CREDENTIALS.sub(masked, url))


def scheme_of(url: str) -> str:
    """What stands before `://`, or an empty string."""
    scheme, found, _ = url.partition("://")
    return scheme.lower() if found else ""


def with_tls(url: str) -> str:
    """`url` with its scheme's TLS variant: `redis://` becomes `rediss://`."""
    return "rediss" + url[len("redis") :] if re.match(r"redis(\+|:)", url) else url
