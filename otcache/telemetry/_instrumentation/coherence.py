"""Metrics and events of invalidations, and of the backplane that carries their messages."""

from __future__ import annotations

from otcache.exceptions import StoreError
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.signals import Signals, error_type
from otcache.telemetry.catalog import Attribute, Event


class CoherenceReport:
    """The metrics and events of one cache's coherence."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self.backend = signals.backend

    def published(self, kind: str) -> None:
        """An invalidation message went out with a write."""
        self._signals.count(catalog.MESSAGES, "publish", kind)

    def received(self, kind: str, lag_ms: int | None, error: Exception | None) -> None:
        """A message came in, `lag_ms` after it was sent."""
        self._signals.count(catalog.MESSAGES, "receive", kind, error_type(error))
        if lag_ms is not None:
            self._signals.observe(catalog.MESSAGE_LAG, max(0, lag_ms))

    def applied(self, target: str, source: str, count: int = 1) -> None:
        """Keys, a tag, a prefix or everything are invalid here from now on."""
        self._signals.count(catalog.INVALIDATIONS, target, source, n=count)
        if target != "key":
            facts = {
                catalog.CACHE.name: self._signals.name,
                catalog.INVALIDATION_TARGET.name: target,
                catalog.INVALIDATION_SOURCE.name: source,
            }
            what = "all entries are" if target == "all" else f"the entries of a {target} are"
            self._signals.events.emit(catalog.INVALIDATED, f"cache {self._signals.name}: {what} invalid", facts)

    def moved(self, state: str, error: StoreError | None = None) -> None:
        """The backplane is connected, or lost."""
        name = self._signals.name
        facts = {
            catalog.CACHE.name: name,
            catalog.BACKEND.name: self.backend,
            catalog.COMPONENT.name: "backplane",
            catalog.COMPONENT_STATE.name: state,
        }
        if error is not None and error.reason in (catalog.DEGRADED_REASON.values or ()):
            facts[catalog.DEGRADED_REASON.name] = error.reason
        reason = "" if error is None else f" ({error.reason})"
        lost = f"unavailable{reason}; L1 stops serving entries of L2 within max_staleness"
        self._signals.events.emit(
            catalog.COMPONENT_CHANGED,
            f"cache {name}: backplane {'available again' if state == 'available' else lost}",
            facts,
            severity="INFO" if state == "available" else "WARN",
        )

    def tell(self, event: Event, sentence: str, *facts: tuple[Attribute, str]) -> None:
        """Something is known of other caches."""
        named = {attribute.name: value for attribute, value in facts}
        self._signals.events.emit(event, sentence, {catalog.CACHE.name: self._signals.name, **named})
