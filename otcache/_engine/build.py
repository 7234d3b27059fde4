"""From validated options to the parts of a cache."""

from __future__ import annotations

from typing import Any

from otcache._engine.l2 import L2
from otcache._engine.tiers import Tiers
from otcache._serialization.serializer import Serializer
from otcache.config import CacheConfig
from otcache.config.sources import from_options
from otcache.stores.memory import MemoryStore
from otcache.stores.registry import open_store
from otcache.telemetry._instrumentation.privacy import KeyPrivacy
from otcache.telemetry._instrumentation.probe import Extras, Probe
from otcache.telemetry.providers import Providers
from otcache.version import __version__


def resolve(config: CacheConfig | None, options: dict[str, Any]) -> CacheConfig:
    """The given configuration with `options` over it, validated."""
    return from_options(options, base=config)


def make_probe(config: CacheConfig, providers: Providers | None) -> Probe:
    """What a cache reports through."""
    privacy = KeyPrivacy(config.telemetry_keys, config.key_salt)
    extras = Extras(config.writer_links, config.callback_spans)
    return Probe(config.name, config.backend_name, privacy, providers or Providers(), config.spans, __version__, extras)


def make_near(config: CacheConfig, probe: Probe, *, on: bool = True) -> MemoryStore:
    """The near tier; one that keeps nothing if it is not wanted, so that no path has to ask."""
    limit = config.memory_cache_size if on else 0
    return MemoryStore(limit, probe.eviction_cell("capacity"), probe.eviction_cell("expired"))


def make_far(config: CacheConfig, probe: Probe) -> L2:
    """L2 on the store that the configuration names. Opens no connection."""
    probe.declare_far()
    return L2(
        open_store(config),
        probe,
        timeout=config.timeout,
        failures=config.breaker_failures,
        probe_seconds=config.breaker_probe_seconds,
        journal_size=config.journal_size,
        connections=config.max_connections,
        stamp_limit=config.stamp_limit,
        stamp_age=config.max_staleness,
    )


def make_tiers(config: CacheConfig, probe: Probe, near: MemoryStore, far: L2 | None) -> Tiers:
    """Both tiers together."""
    serializer = Serializer(
        threshold=config.compression_threshold,
        level=config.compression_level,
        algorithm=config.compression,
        signing_secret=config.signing_secret,
    )
    return Tiers(
        near,
        far,
        probe,
        serializer,
        copies=config.l1_isolation == "copy",
        beta=config.early_refresh,
        max_staleness=config.max_staleness if config.coherence else None,
    )
