"""The alerts and their thresholds as the tables of docs/alerts.md."""

from __future__ import annotations

from otcache.alerts.model import Alert
from otcache.alerts.parameters import Parameters, thresholds
from otcache.alerts.rules import alerts
from otcache.telemetry.catalog.tables import table


def alert_table() -> str:
    """Every alert: when it fires, how loud it is, where to look."""
    using = Parameters()
    rows = [
        (f"[`{each.name}`](runbooks.md#{each.name.lower()}){_windows(each)}", each.severity, each.summary,
         using.time(each.hold) if each.hold else "at once", f"`{each.dashboard}`")
        for each in alerts(using)
    ]  # fmt: skip
    return table(("alert", "severity", "says", "for", "dashboard"), rows)


def _windows(alert: Alert) -> str:
    return f" {'/'.join(alert.labels.values())}" if alert.labels else ""


def threshold_table() -> str:
    """Every threshold of `Parameters`."""
    rows = [
        (f"`{each.name}`", f"{each.default:g} {each.unit}".strip(), f"{each.low:g}..{each.high:g}", each.meaning)
        for each in thresholds()
    ]
    return table(("threshold", "default", "range", "meaning"), rows)
