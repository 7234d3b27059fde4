"""What is told of invalidations, and of the news that processes send each other."""

from __future__ import annotations

from otcache.exceptions import StoreError
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.signals import Signals, error_type


class CoherenceReport:
    """The metrics and events of one cache's coherence.

    Args:
        reporter: The cache's signals.
    """

    def __init__(self, reporter: Signals) -> None:
        self._reporter = reporter
        self.backend = reporter.backend

    def declare_far(self) -> None:
        """Every series that will surely come exists from the first collection on, at 0."""
        for kind in ("key", "tag"):
            for direction in catalog.NEWS_DIRECTION.values or ():
                self._reporter.metrics.cell(catalog.NEWS, self.backend, direction, kind, None)
        self._reporter.metrics.cell(catalog.NEWS_LAG, self.backend)
        for target in catalog.INVALIDATION_TARGET.values or ():
            self._reporter.metrics.cell(catalog.INVALIDATIONS, self._reporter.name, target, "backplane")

    def published(self, kind: str) -> None:
        """News went out with a write."""
        with self._reporter.guard("metrics"):
            self._reporter.metrics.add(catalog.NEWS, 1, self.backend, "publish", kind, None)

    def received(self, kind: str, lag_ms: int | None, error: Exception | None) -> None:
        """News came in, `lag_ms` after they were sent."""
        with self._reporter.guard("metrics"):
            self._reporter.metrics.add(catalog.NEWS, 1, self.backend, "receive", kind, error_type(error))
            if lag_ms is not None:
                self._reporter.metrics.record(catalog.NEWS_LAG, max(0, lag_ms), self.backend)

    def applied(self, target: str, source: str, count: int = 1) -> None:
        """Keys, a tag, a prefix or everything are invalid here from now on."""
        with self._reporter.guard("metrics"):
            self._reporter.metrics.add(catalog.INVALIDATIONS, count, self._reporter.name, target, source)
        if target != "key":
            facts = {
                catalog.CACHE.name: self._reporter.name,
                catalog.INVALIDATION_TARGET.name: target,
                catalog.INVALIDATION_SOURCE.name: source,
            }
            what = "everything" if target == "all" else f"a {target}"
            self._reporter.events.emit(catalog.INVALIDATED, f"cache {self._reporter.name}: {what} is invalid", facts)

    def moved(self, state: str, error: StoreError | None = None) -> None:
        """The connection for news stands, or is lost."""
        name = self._reporter.name
        facts = {
            catalog.CACHE.name: name,
            catalog.BACKEND.name: self.backend,
            catalog.COMPONENT.name: "backplane",
            catalog.COMPONENT_STATE.name: state,
        }
        if error is not None and error.reason in (catalog.DEGRADED_REASON.values or ()):
            facts[catalog.DEGRADED_REASON.name] = error.reason
        heard = "hears other processes again" if state == "available" else "hears no other process; L1 is not trusted"
        self._reporter.events.emit(
            catalog.COMPONENT_CHANGED,
            f"cache {name} {heard}",
            facts,
            severity="INFO" if state == "available" else "WARN",
        )
