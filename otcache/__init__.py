"""An async cache with every operation traced and metered: memory near, Redis far, AI responses.

Every public name can be imported from here; each is loaded on first use, so that `import otcache` needs
neither FastAPI nor the OpenTelemetry SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from otcache.version import __version__

_HOMES = {
    "otcache.base": ("MISSING", "Answer", "CacheInterface", "Loaded"),
    "otcache.cache": ("Cache",),
    "otcache.exceptions": (
        "CacheError",
        "ConfigurationError",
        "InfrastructureError",
        "LoadTimeout",
        "UnsupportedError",
        "ValidationError",
        "get_http_status_for_exception",
    ),
    "otcache.config": (
        "AICacheConfig",
        "CacheConfig",
        "CacheConfigBuilder",
        "EnvironmentPresets",
        "Settings",
        "ValidationResult",
    ),
    "otcache._serialization.serializer": ("register_type",),
    "otcache._decorators.decorator": ("CachedFunction", "cached"),
    "otcache.ttl": ("FOREVER",),
    "otcache.memory": ("InMemoryCache",),
    "otcache.redis": ("GenericRedisCache",),
    "otcache.ai": ("AIMemoryCache", "AIResponseCache"),
    "otcache.factory": ("CacheFactory", "open_cache"),
    "otcache.telemetry.providers": ("Providers",),
    "otcache.benchmarks.config": ("BenchmarkConfig", "ConfigPresets"),
    "otcache.benchmarks.models": ("BenchmarkResult", "BenchmarkSuite", "ComparisonResult"),
    "otcache.benchmarks.core": ("CachePerformanceBenchmark", "PerformanceRegressionDetector"),
    "otcache.dependencies": (
        "cache_lifespan",
        "cleanup_cache_registry",
        "get_ai_cache_service",
        "get_cache_config",
        "get_cache_health_status",
        "get_cache_service",
        "get_cache_service_conditional",
        "get_fallback_cache_service",
        "get_settings",
        "get_test_cache",
        "get_test_redis_cache",
        "get_web_cache_service",
        "install_cache",
        "redis_wanted",
        "validate_cache_configuration",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

if TYPE_CHECKING:
    from otcache._decorators.decorator import CachedFunction, cached
    from otcache._serialization.serializer import register_type
    from otcache.ai import AIMemoryCache, AIResponseCache
    from otcache.base import MISSING, Answer, CacheInterface, Loaded
    from otcache.benchmarks.config import BenchmarkConfig, ConfigPresets
    from otcache.benchmarks.core import CachePerformanceBenchmark, PerformanceRegressionDetector
    from otcache.benchmarks.models import BenchmarkResult, BenchmarkSuite, ComparisonResult
    from otcache.cache import Cache
    from otcache.config import (
        AICacheConfig,
        CacheConfig,
        CacheConfigBuilder,
        EnvironmentPresets,
        Settings,
        ValidationResult,
    )
    from otcache.dependencies import (
        cache_lifespan,
        cleanup_cache_registry,
        get_ai_cache_service,
        get_cache_config,
        get_cache_health_status,
        get_cache_service,
        get_cache_service_conditional,
        get_fallback_cache_service,
        get_settings,
        get_test_cache,
        get_test_redis_cache,
        get_web_cache_service,
        install_cache,
        redis_wanted,
        validate_cache_configuration,
    )
    from otcache.exceptions import (
        CacheError,
        ConfigurationError,
        InfrastructureError,
        LoadTimeout,
        UnsupportedError,
        ValidationError,
        get_http_status_for_exception,
    )
    from otcache.factory import CacheFactory, open_cache
    from otcache.memory import InMemoryCache
    from otcache.redis import GenericRedisCache
    from otcache.telemetry.providers import Providers
    from otcache.ttl import FOREVER

__all__ = [
    "FOREVER",
    "MISSING",
    "AICacheConfig",
    "AIMemoryCache",
    "AIResponseCache",
    "Answer",
    "BenchmarkConfig",
    "BenchmarkResult",
    "BenchmarkSuite",
    "Cache",
    "CacheConfig",
    "CacheConfigBuilder",
    "CacheError",
    "CacheFactory",
    "CacheInterface",
    "CachePerformanceBenchmark",
    "CachedFunction",
    "ComparisonResult",
    "ConfigPresets",
    "ConfigurationError",
    "EnvironmentPresets",
    "GenericRedisCache",
    "InMemoryCache",
    "InfrastructureError",
    "LoadTimeout",
    "Loaded",
    "PerformanceRegressionDetector",
    "Providers",
    "Settings",
    "UnsupportedError",
    "ValidationError",
    "ValidationResult",
    "__version__",
    "cache_lifespan",
    "cached",
    "cleanup_cache_registry",
    "get_ai_cache_service",
    "get_cache_config",
    "get_cache_health_status",
    "get_cache_service",
    "get_cache_service_conditional",
    "get_fallback_cache_service",
    "get_http_status_for_exception",
    "get_settings",
    "get_test_cache",
    "get_test_redis_cache",
    "get_web_cache_service",
    "install_cache",
    "open_cache",
    "redis_wanted",
    "register_type",
    "validate_cache_configuration",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'otcache' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
