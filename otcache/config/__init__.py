"""Every option of a cache, and the ways to set them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otcache.config.builder import CacheConfigBuilder
from otcache.config.model import AICacheConfig, CacheConfig, ValidationResult
from otcache.config.presets import EnvironmentPresets
from otcache.config.url import mask_url

if TYPE_CHECKING:
    from otcache.config.settings import Settings

__all__ = [
    "AICacheConfig",
    "CacheConfig",
    "CacheConfigBuilder",
    "EnvironmentPresets",
    "Settings",
    "ValidationResult",
    "mask_url",
]


def __getattr__(name: str) -> Any:
    if name != "Settings":
        raise AttributeError(f"module 'otcache.config' has no attribute {name!r}")
    try:
        from otcache.config.settings import Settings  # pydantic is an extra
    except ImportError as exc:
        raise ImportError('otcache.config.Settings needs pydantic-settings: pip install "otcache[fastapi]"') from exc
    globals()["Settings"] = Settings
    return Settings
