"""Configurations to start from, one per environment."""

from __future__ import annotations

import os
from typing import Final

from otcache.config.model import AICacheConfig, CacheConfig
from otcache.config.url import DEFAULT_URL


def _redis(default: str | None = None) -> str | None:
    return os.environ.get("OTCACHE_REDIS_URL") or os.environ.get("REDIS_URL") or default


class EnvironmentPresets:
    """Five configurations. Development and testing are embedded unless the environment names a Redis."""

    @staticmethod
    def development() -> CacheConfig:
        """Half an hour, little memory, fast compression, every changed object found out."""
        return CacheConfig(
            redis_url=_redis(),
            default_ttl=1800,
            memory_cache_size=100,
            compression_threshold=2000,
            compression_level=4,
            l1_change_detection="always",
        )

    @staticmethod
    def testing() -> CacheConfig:
        """A minute, hardly any memory, every caller a copy of its own."""
        return CacheConfig(
            redis_url=_redis(),
            default_ttl=60,
            memory_cache_size=25,
            compression_level=1,
            environment="testing",
            l1_isolation="copy",
        )

    @staticmethod
    def production() -> CacheConfig:
        """Two hours, more memory, on Redis."""
        return CacheConfig(
            redis_url=_redis(DEFAULT_URL),
            default_ttl=7200,
            memory_cache_size=1000,
            environment="production",
            http_details=False,
        )

    @staticmethod
    def ai_development() -> CacheConfig:
        """As development, with AI options and short times to live."""
        ttls = {"summarize": 1800, "sentiment": 900, "key_points": 1200, "questions": 1500, "qa": 900}
        return CacheConfig(
            redis_url=_redis(),
            default_ttl=1800,
            memory_cache_size=100,
            l1_change_detection="always",
            ai_config=AICacheConfig(text_hash_threshold=500, operation_ttls=ttls, max_text_length=50_000),
        )

    @staticmethod
    def ai_production() -> CacheConfig:
        """As production, with AI options and long times to live."""
        ttls = {"summarize": 14400, "sentiment": 7200, "key_points": 10800, "questions": 9600, "qa": 7200}
        return CacheConfig(
            redis_url=_redis(DEFAULT_URL),
            default_ttl=14400,
            memory_cache_size=1000,
            compression_threshold=500,
            environment="production",
            http_details=False,
            ai_config=AICacheConfig(operation_ttls=ttls, max_text_length=200_000),
        )


PRESETS: Final = ("development", "testing", "production", "ai_development", "ai_production")
"""What OTCACHE_PRESET may name."""


def preset(name: str) -> CacheConfig:
    """The preset of a name; `ai-production` is `ai_production`. `KeyError` if there is none."""
    wanted = name.replace("-", "_").lower()
    if wanted not in PRESETS:
        raise KeyError(name)
    found: CacheConfig = getattr(EnvironmentPresets, wanted)()
    return found
