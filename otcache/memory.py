"""The cache in memory: alone, or until its Redis answers."""

from __future__ import annotations

from typing import Any, Self

from otcache._engine.build import make_probe, make_tiers, resolve
from otcache.cache import Cache
from otcache.config import CacheConfig
from otcache.telemetry.providers import Providers


class InMemoryCache(Cache):
    """A bounded cache in memory.

    Args:
        config: The options; `None` takes the defaults.
        providers: Where the cache reports; the global OpenTelemetry providers by default.
        options: Any option of `CacheConfig`, over `config`; `max_size` stands for `memory_cache_size`.

    Raises:
        ValidationError: An option is unknown, or its value is outside its range.
    """

    def __init__(
        self, config: CacheConfig | None = None, *, providers: Providers | None = None, **options: Any
    ) -> None:
        resolved = resolve(config, options)
        probe = make_probe(resolved, providers)
        super().__init__(resolved, make_tiers(resolved, probe, with_l1=True, with_l2=False), probe)

    @classmethod
    def taking_over(cls, failed: Cache) -> Self:
        """Make a memory cache that goes on with the parts of one whose L2 did not answer.

        L2 is asked in the background, and takes part from the moment it answers. If L1 is off by configuration, it
        stands in until then only.
        """
        config = failed.config
        tiers, probe = failed.hand_over()
        if tiers.l2 is not None and not config.enable_l1_cache:
            tiers.l1.stand_in(config.memory_cache_size)
            tiers.l2.on_recovery(tiers.l1.stand_down)
        cache = cls.__new__(cls)
        Cache.__init__(cache, config, tiers, probe)
        return cache
