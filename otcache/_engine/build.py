"""From validated options to the parts of a cache."""

from __future__ import annotations

import warnings
from typing import Any

from otcache._engine.backplane import Backplane
from otcache._engine.changes import Changes
from otcache._engine.codec import EntryCodec
from otcache._engine.inflight import Inflight
from otcache._engine.invalidation_log import InvalidationLog
from otcache._engine.l1 import L1
from otcache._engine.l2 import L2, Limits
from otcache._engine.messages import Messages
from otcache._engine.tiers import Tiers
from otcache._serialization.serializer import Serializer
from otcache.config import CacheConfig
from otcache.config.sources import from_options
from otcache.stores.base import Backend
from otcache.stores.memory import MemoryStore
from otcache.stores.registry import open_store
from otcache.telemetry._instrumentation.privacy import KeyPrivacy
from otcache.telemetry._instrumentation.probe import Extras, Probe
from otcache.telemetry.providers import Providers
from otcache.version import __version__


def resolve(config: CacheConfig | None, options: dict[str, Any]) -> CacheConfig:
    """Return the given configuration with `options` over it, validated."""
    return from_options(options, base=config)


def make_probe(config: CacheConfig, providers: Providers | None) -> Probe:
    """Make what a cache reports through."""
    privacy = KeyPrivacy(config.telemetry_keys, config.key_salt)
    extras = Extras(config.writer_links, config.callback_spans)
    return Probe(config.name, config.backend_name, privacy, providers or Providers(), config.spans, __version__, extras)


def make_tiers(config: CacheConfig, probe: Probe, *, with_l1: bool, with_l2: bool) -> Tiers:
    """Make both tiers and what keeps them right. Opens no connection.

    Every part gets what it needs when it is made. What is below calls nothing above it but the functions that it was
    given, and the feed of changes.
    """
    for message in config.warns_of_zero():
        warnings.warn(message, stacklevel=3)
    backend = open_store(config) if with_l2 else None
    inflight = Inflight(Changes())
    codec = EntryCodec(
        _serializer(config),
        backend.store.clock if backend is not None else None,
        probe.signals,
        beta=config.early_refresh,
    )
    # L1 that is off keeps nothing: so no path but the way of `get` has to ask whether it is on.
    limit = config.memory_cache_size if with_l1 else 0
    has_channel = backend is None or backend.channel is not None
    l1 = L1(
        MemoryStore(limit, probe.eviction_cell("capacity"), probe.eviction_cell("expired")),
        codec,
        inflight,
        probe.coherence,
        copies=config.l1_isolation == "copy",
        max_staleness=config.max_staleness if config.coherence else None,
        longest=config.max_staleness if config.coherence and not has_channel else None,
    )
    log = InvalidationLog()
    l2 = _make_l2(config, probe, backend, log, l1) if backend is not None else None
    return Tiers(l1, l2, codec, inflight, log, probe)


def _make_l2(config: CacheConfig, probe: Probe, backend: Backend, log: InvalidationLog, l1: L1) -> L2:
    probe.signals.with_l2()
    messages = backplane = None
    if backend.channel is not None:
        messages = Messages(backend.store.clock.now_ms, probe.coherence.published if config.coherence else _ignore)
        if config.coherence:
            backplane = Backplane(backend.channel, messages, log, l1, probe, max_staleness=config.max_staleness)
    limits = Limits(
        timeout=config.timeout,
        failures=config.breaker_failures,
        probe_seconds=config.breaker_probe_seconds,
        journal_size=config.journal_size,
        connections=config.max_connections,
        version_limit=config.stamp_limit,
        version_age=config.max_staleness,
    )
    return L2(backend, log, l1.invalidated_elsewhere, messages, backplane, probe, limits)


def _serializer(config: CacheConfig) -> Serializer:
    return Serializer(
        threshold=config.compression_threshold,
        level=config.compression_level,
        algorithm=config.compression,
        signing_secret=config.signing_secret,
    )


def _ignore(_: str) -> None:
    """A cache that hears no messages does not count those that it sends."""
