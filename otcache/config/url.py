"""URLs of stores: the one table of their schemes, and how they are shown without what is secret in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from otcache.config._nearest import did_you_mean

DEFAULT_URL: Final = "redis://redis:6379"
"""Where Redis is if nothing else is said (docs/api-reference.md)."""


class Scheme(NamedTuple):
    """A kind of store, by the start of its URLs.

    Attributes:
        opener: What opens the store, or where that is (`module:name`): loaded when it is first used.
        check: What raises `ConfigurationError` for a URL that can't be used, or where that is.
        tls: Whether connections are by TLS; `None` where there is none, because they stay on this host.
    """

    opener: Callable[..., Any] | str
    check: Callable[[str], object] | str | None = None
    tls: bool | None = None


_REDIS: Final = "otcache.stores.redis.store:open_redis"
_REDIS_CHECK: Final = "otcache.stores.redis.target:resolve_target"

SCHEMES: Final[dict[str, Scheme]] = {
    "redis": Scheme(_REDIS, _REDIS_CHECK, tls=False),
    "rediss": Scheme(_REDIS, _REDIS_CHECK, tls=True),
    "unix": Scheme(_REDIS, _REDIS_CHECK),
    "redis+sentinel": Scheme(_REDIS, _REDIS_CHECK, tls=False),
    "rediss+sentinel": Scheme(_REDIS, _REDIS_CHECK, tls=True),
    "redis+cluster": Scheme(_REDIS, _REDIS_CHECK, tls=False),
    "rediss+cluster": Scheme(_REDIS, _REDIS_CHECK, tls=True),
}
"""What a URL may start with, before `://`. It stands here, below the stores, because options are checked with it;
`otcache.stores.register_store` adds to it."""

_CREDENTIALS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,30}://)(?P<user>[^:/@\s]*)(?::(?P<password>.*))?@", re.IGNORECASE
)
_PARAMETER = re.compile(r"(?P<name>[?&][a-z_]*password=)[^&\s]*", re.IGNORECASE)


def mask_url(url: str) -> str:
    """`url` with every password in it as `***`."""

    def masked(found: re.Match[str]) -> str:
        return f"{found['scheme']}{found['user']}{':***' if found['password'] is not None else ''}@"

    # Only up to the last `@`: where none follows, every `://` of a hostile text would be tried to the text's end.
    head, at, rest = url.rpartition("@")
    return _PARAMETER.sub(r"\g<name>***", _CREDENTIALS.sub(masked, head + at) + rest)


def scheme_of(url: str) -> str:
    """What stands before `://`, or an empty string."""
    scheme, found, _ = url.partition("://")
    return scheme.lower() if found else ""


def tls_of(url: str) -> bool | None:
    """Whether the URL alone says TLS; `None` where there is none."""
    scheme = SCHEMES.get(scheme_of(url))
    return scheme.tls if scheme is not None else False


def scheme_problem(url: str) -> str | None:
    """What is wrong with the start of `url`; never repeats what follows it."""
    scheme = scheme_of(url)
    if scheme in SCHEMES:
        return None
    known = ", ".join(f"{name}://" for name in SCHEMES)
    return f"redis_url does not start with one of {known}{did_you_mean(scheme, SCHEMES)}"


def with_tls(url: str) -> str:
    """`url` with its scheme's TLS variant: `redis://` becomes `rediss://`."""
    return "rediss" + url[len("redis") :] if re.match(r"redis(\+|:)", url) else url
