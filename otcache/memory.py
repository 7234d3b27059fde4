"""The cache in this process, alone or while its Redis is away."""

from __future__ import annotations

from typing import Any, Self

from otcache._engine.build import make_near, make_probe, make_tiers, resolve
from otcache.cache import Cache
from otcache.config import CacheConfig
from otcache.telemetry.providers import Providers


class InMemoryCache(Cache):
    """A bounded cache in memory.

    Args:
        config: Its options; `None` takes the defaults.
        providers: Where it reports; the global OpenTelemetry providers by default.
        options: Any option of `CacheConfig`, over `config`; `max_size` stands for `memory_cache_size`.

    Raises:
        ValidationError: An option is unknown, or its value is outside its range.
    """

    def __init__(
        self, config: CacheConfig | None = None, *, providers: Providers | None = None, **options: Any
    ) -> None:
        resolved = resolve(config, options)
        probe = make_probe(resolved, providers)
        super().__init__(resolved, make_tiers(resolved, probe, make_near(resolved, probe), None), probe)

    @classmethod
    def taking_over(cls, failed: Cache) -> Self:
        """A memory cache in the place of one whose Redis can't be reached.

        It goes on asking for that Redis in the background, and uses it as its far tier from the moment
        it answers. If `failed` was built without a near tier, the memory serves until then only.
        """
        cache = cls.__new__(cls)
        config, probe, far = failed.config, failed._probe, failed._far  # noqa: SLF001  of the same family
        near = make_near(config, probe)
        if failed._tiers.backplane is not None:  # noqa: SLF001
            failed._tiers.backplane.retire()  # noqa: SLF001
        Cache.__init__(cache, config, make_tiers(config, probe, near, far), probe)
        probe.metrics.forget(failed)
        if far is not None and not config.enable_l1_cache:

            def stand_down() -> None:
                near.limit = 0
                near.clear()

            far.on_recovery(stand_down)
        return cache
