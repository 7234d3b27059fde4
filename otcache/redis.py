"""The cache in two tiers: L1 in this process, L2 in Redis."""

from __future__ import annotations

from typing import Any

from otcache._engine.build import make_probe, make_tiers, resolve
from otcache.cache import Cache
from otcache.config import CacheConfig
from otcache.config.url import DEFAULT_URL
from otcache.telemetry.providers import Providers


class GenericRedisCache(Cache):
    """A cache in two tiers. Opens no connection before it is used or `connect` is called.

    Args:
        config: The options; `None` takes the defaults.
        providers: Where the cache reports; the global OpenTelemetry providers by default.
        options: Any option of `CacheConfig`, over `config`; `l1_cache_size` stands for `memory_cache_size`.

    Raises:
        ValidationError: An option is unknown, or its value is outside its range.
    """

    def __init__(
        self, config: CacheConfig | None = None, *, providers: Providers | None = None, **options: Any
    ) -> None:
        resolved = resolve(config, options)
        if resolved.redis_url is None:
            resolved = resolve(resolved, {"redis_url": DEFAULT_URL})
        probe = make_probe(resolved, providers)
        tiers = make_tiers(resolved, probe, with_l1=resolved.enable_l1_cache, with_l2=True)
        super().__init__(resolved, tiers, probe)
