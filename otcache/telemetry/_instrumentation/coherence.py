"""What is told of invalidations, and of the news that processes send each other."""

from __future__ import annotations

from otcache.exceptions import StoreError
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.signals import Signals, error_type


class CoherenceReport:
    """The metrics and events of one cache's coherence.

    Args:
        signals: The cache's.
    """

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self.backend = signals.backend

    def published(self, kind: str) -> None:
        """News went out with a write."""
        self._signals.count(catalog.NEWS, "publish", kind)

    def received(self, kind: str, lag_ms: int | None, error: Exception | None) -> None:
        """News came in, `lag_ms` after they were sent."""
        self._signals.count(catalog.NEWS, "receive", kind, error_type(error))
        if lag_ms is not None:
            self._signals.observe(catalog.NEWS_LAG, max(0, lag_ms))

    def applied(self, target: str, source: str, count: int = 1) -> None:
        """Keys, a tag, a prefix or everything are invalid here from now on."""
        self._signals.count(catalog.INVALIDATIONS, target, source, n=count)
        if target != "key":
            facts = {
                catalog.CACHE.name: self._signals.name,
                catalog.INVALIDATION_TARGET.name: target,
                catalog.INVALIDATION_SOURCE.name: source,
            }
            what = "everything" if target == "all" else f"a {target}"
            self._signals.events.emit(catalog.INVALIDATED, f"cache {self._signals.name}: {what} is invalid", facts)

    def moved(self, state: str, error: StoreError | None = None) -> None:
        """The connection for news stands, or is lost."""
        name = self._signals.name
        facts = {
            catalog.CACHE.name: name,
            catalog.BACKEND.name: self.backend,
            catalog.COMPONENT.name: "backplane",
            catalog.COMPONENT_STATE.name: state,
        }
        if error is not None and error.reason in (catalog.DEGRADED_REASON.values or ()):
            facts[catalog.DEGRADED_REASON.name] = error.reason
        heard = "hears other processes again" if state == "available" else "hears no other process; L1 is not trusted"
        self._signals.events.emit(
            catalog.COMPONENT_CHANGED,
            f"cache {name} {heard}",
            facts,
            severity="INFO" if state == "available" else "WARN",
        )
