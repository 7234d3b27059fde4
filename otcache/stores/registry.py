"""From the scheme of a URL to its store: `otcache.stores.register_store` adds one."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from otcache.config import CacheConfig
from otcache.config.namespace import key_space
from otcache.config.url import SCHEMES, Scheme, scheme_of, scheme_problem
from otcache.exceptions import ConfigurationError
from otcache.stores.base import Backend

Opener = Callable[[CacheConfig, str], Backend]
"""Opens the store that `config.redis_url` names, for keys that begin with a prefix. Must not connect yet."""

_NAME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}")


def register_store(
    scheme: str, opener: Opener | str, *, check: Callable[[str], object] | str | None = None, tls: bool | None = None
) -> None:
    """Let `redis_url` (`OTCACHE_REDIS_URL`) begin with `scheme://`; the last registration of a scheme counts.

    Args:
        scheme: Lower-case letters, digits, `+`, `.` and `-`.
        opener: What opens the store, or where that is (`"package.module:name"`), imported when it is first used.
        check: Called with a URL; raises `ConfigurationError` if it can't be used. Must not connect.
        tls: Whether connections are by TLS; `None` for a store on this host, which needs none.

    Raises:
        ConfigurationError: `scheme` can't be the scheme of a URL.
    """
    if not _NAME.fullmatch(scheme):
        raise ConfigurationError(f"{scheme!r} is no scheme of a URL: letters, digits, '+', '.', '-', as in 'sqlite'")
    SCHEMES[scheme] = Scheme(opener, check, tls)


def open_store(config: CacheConfig, prefix: str | None = None) -> Backend:
    """Open the store that `config.redis_url` names. Opens no connection.

    Args:
        config: Its options.
        prefix: What every key begins with; `None` takes that of the cache's namespace and name.

    Raises:
        ConfigurationError: The URL can't be used, or the store can't `replace`.
    """
    opener: Opener = _load(_scheme(config.redis_url or "").opener)
    backend = opener(config, key_space(config) if prefix is None else prefix)
    if not hasattr(backend.store, "replace"):
        raise ConfigurationError(
            f"{scheme_of(config.redis_url or '')}:// has a store without `replace`: docs/stores.md"
        )
    return backend


def check_url(url: str) -> None:
    """Raise `ConfigurationError` if `url` can't be used. Its message never repeats the URL."""
    check = _scheme(url).check
    if check is not None:
        _load(check)(url)


def _scheme(url: str) -> Scheme:
    problem = scheme_problem(url)
    if problem is not None:
        raise ConfigurationError(problem)
    return SCHEMES[scheme_of(url)]


def _load(place: Any) -> Any:
    """What is at `module:name`: a driver is imported only where its scheme is used."""
    if not isinstance(place, str):
        return place
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
