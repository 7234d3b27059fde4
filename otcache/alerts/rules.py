"""All rules, in their groups."""

from __future__ import annotations

from otcache.alerts._rules import caches, callers, coherence, loads, redis, regressions, telemetry
from otcache.alerts.model import Alert, Group
from otcache.alerts.parameters import Parameters
from otcache.alerts.promql import MINUTE

_PARTS = (callers, redis, coherence, loads, caches, regressions, telemetry)


def rules(parameters: Parameters | None = None) -> tuple[Group, ...]:
    """The recordings, then the alerts that read them."""
    using = parameters or Parameters()
    return (
        Group(
            "otcache-recordings",
            (*callers.recordings(using), *caches.recordings(using), *loads.recordings(using)),
            MINUTE,
        ),
        Group("otcache-alerts", alerts(using), MINUTE),
    )


def alerts(parameters: Parameters | None = None) -> tuple[Alert, ...]:
    """Every alert; those of one name differ in their windows."""
    using = parameters or Parameters()
    return tuple(alert for part in _PARTS for alert in part.alerts(using))
