"""The rules, a file per subject."""

from __future__ import annotations

from otcache.alerts._model import Alert, Group
from otcache.alerts._parameters import Parameters
from otcache.alerts._query import MINUTE, Query
from otcache.alerts._rules import caches, callers, coherence, loads, redis, regressions, telemetry

_PARTS = (callers, redis, coherence, loads, caches, regressions, telemetry)


def rules(parameters: Parameters | None = None) -> tuple[Group, ...]:
    """The recordings, then the alerts that read them."""
    using = parameters or Parameters()
    query = Query(using)
    recorded = (*callers.recordings(query), *caches.recordings(query), *loads.recordings(query))
    return Group("otcache-recordings", recorded, MINUTE), Group("otcache-alerts", alerts(using), MINUTE)


def alerts(parameters: Parameters | None = None) -> tuple[Alert, ...]:
    """Every alert; those of one name differ in their windows."""
    query = Query(parameters or Parameters())
    return tuple(alert for part in _PARTS for alert in part.ALERTS.made(query))
