"""Recording rules and alerts for Prometheus, written as data on the telemetry catalogue; `otcache alerts` renders them.

from otcache.alerts import Parameters, render

text = render(Parameters(job="shop", hit_ratio_drop=0.3))
"""

from __future__ import annotations

from otcache.alerts._model import Alert, Group, Recording, Severity
from otcache.alerts._parameters import Parameters
from otcache.alerts._render import render
from otcache.alerts._rules import alerts, rules
from otcache.alerts.thresholds import Threshold

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
]
