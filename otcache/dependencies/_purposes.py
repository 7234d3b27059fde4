"""The configurations that the dependencies derive from the application's: for web responses, for AI, for tests."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from otcache.config import AICacheConfig, CacheConfig
from otcache.dependencies._registry import ByIdentity
from otcache.factory import TESTING, WEB

_DEFAULTS: Final = CacheConfig()
_TUNED: Final = ("default_ttl", "memory_cache_size", "compression_threshold", "compression_level")

TEST: Final = replace(TESTING, redis_url=None)
FALLBACK: Final = replace(_DEFAULTS, name="fallback")


def _named(config: CacheConfig, purpose: str) -> str:
    """Return a name, and with it a key space, of its own for each purpose."""
    return purpose if config.name == _DEFAULTS.name else f"{config.name}.{purpose}"


def _web(config: CacheConfig) -> CacheConfig:
    left_alone = [name for name in _TUNED if getattr(config, name) == getattr(_DEFAULTS, name)]
    tuning: dict[str, Any] = {name: getattr(WEB, name) for name in left_alone}
    return replace(config, **tuning, name=_named(config, "web"), ai_config=None)


def _ai(config: CacheConfig) -> CacheConfig:
    return replace(config, name=_named(config, "ai"), ai_config=config.ai_config or AICacheConfig())


def _memory(config: CacheConfig) -> CacheConfig:
    return replace(config, redis_url=None, fail_on_connection_error=False)


# computed once for each configuration: the registry finds a cache by the configuration's identity first
for_web: Final = ByIdentity(_web)
for_ai: Final = ByIdentity(_ai)
in_memory: Final = ByIdentity(_memory)


@lru_cache(maxsize=8)
def test_redis(url: str) -> CacheConfig:
    """Return the test configuration with the Redis at `url`."""
    return replace(TESTING, redis_url=url)
