"""Recording rules and alerts for Prometheus, written as data on the telemetry catalogue; `otcache alerts` renders them.

from otcache.alerts import Parameters, render

text = render(Parameters(job="shop", hit_ratio_drop=0.3))
"""

from __future__ import annotations

from otcache.alerts.model import Alert, Group, Recording, Severity
from otcache.alerts.parameters import Parameters, Threshold, thresholds
from otcache.alerts.render import render
from otcache.alerts.rules import alerts, rules

__all__ = [
    "Alert",
    "Group",
    "Parameters",
    "Recording",
    "Severity",
    "Threshold",
    "alerts",
    "render",
    "rules",
    "thresholds",
]
