"""What a rule is: a recording, or an alert with what people need to act on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from otcache.alerts._query import Query

Severity = Literal["critical", "warning", "info"]
"""critical: somebody is called. warning: somebody looks today. info: somebody may want to know."""
Dashboard = Literal[
    "otcache-overview", "otcache-cache", "otcache-loading", "otcache-redis", "otcache-ai", "otcache-regressions",
    "otcache-telemetry",
]  # fmt: skip
"""The `uid` of the dashboard to open first."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes and keeps.

    Attributes:
        name: `labels:metric:how`, as Prometheus advises.
        expression: PromQL.
    """

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert.

    Attributes:
        name: CamelCase, the runbook's heading.
        severity: How loud.
        dashboard: Where to look first.
        expression: PromQL; its value is what the description shows.
        hold: Seconds that the expression must hold before it fires; 0 fires at once.
        summary: One sentence without numbers, the same for every series.
        description: One or two sentences with the labels and the value, in Prometheus' template language.
        labels: What tells alerts of one name apart, besides the expression's own labels.
    """

    name: str
    severity: Severity
    dashboard: Dashboard
    expression: str
    hold: int
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other.

    Attributes:
        name: Its name.
        rules: Recordings before the alerts that read them.
        interval: Seconds between evaluations; `None` takes the server's.
    """

    name: str
    rules: tuple[Recording | Alert, ...]
    interval: int | None = None


Rule = Callable[[Query], Iterator[Alert]]


class Rules:
    """The alerts of one subject, in the order in which they are written."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, rule: Rule) -> Rule:
        """Decorate a function that makes an alert, or one for each of several windows."""
        self._rules.append(rule)
        return rule

    def made(self, query: Query) -> Iterator[Alert]:
        """The alerts of an installation."""
        for rule in self._rules:
            yield from rule(query)
