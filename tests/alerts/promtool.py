"""Cases for `promtool test rules`, written with the catalogue: what a server scrapes, and exactly which alerts fire."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otcache.alerts import Alert, Parameters, alerts, render, rules
from otcache.alerts._promql import Part, label
from otcache.alerts._render import annotations_of
from otcache.telemetry.catalog import Attribute, Instrument
from tests.stack.prometheus import promtool

Labels = Mapping[Attribute, str]
Segment = tuple[float | None, float]
"""What a counter grows by per second, or a gauge shows, and for how many minutes; `None`: it is not there."""


@dataclass(frozen=True)
class Series:
    """One scraped series.

    Attributes:
        segments: One after the other from the beginning on; after them it is gone.
        counts: Whether it is a counter.
        restart: Minute at which the process restarts, and the counter with it.
    """

    row: Instrument
    labels: Labels
    segments: tuple[Segment, ...]
    part: Part = ""
    counts: bool = True
    restart: float | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self, step: float) -> dict[str, str]:
        """As promtool reads it, one sample every `step` minutes."""
        names = {"job": "shop", "instance": "shop:1", **{label(each): text for each, text in self.labels.items()}}
        matchers = ", ".join(f"{name}={json.dumps(value)}" for name, value in {**names, **self.more}.items())
        values = " ".join(self._counted(step) if self.counts else self._shown(step))
        return {"series": f"{self.row.prometheus}{self.part}{{{matchers}}}", "values": values}

    def _steps(self, step: float) -> Iterator[float | None]:
        for value, minutes in self.segments:
            yield from [value] * round(minutes / step)

    def _shown(self, step: float) -> Iterator[str]:
        yield from ("_" if value is None else f"{value:.10g}" for value in self._steps(step))

    def _counted(self, step: float) -> Iterator[str]:
        total = 0.0
        for number, growth in enumerate(self._steps(step)):
            if self.restart is not None and number == round(self.restart / step):
                total = 0.0
            yield "_" if growth is None else f"{total:.10g}"
            total += (growth or 0) * step * 60


def grows(row: Instrument, labels: Labels, *segments: Segment, part: Part = "", **more: Any) -> Series:
    """A counter, or a histogram's count, sum or bucket."""
    restart = more.pop("restart", None)
    return Series(row, labels, segments, part, restart=restart, more=more)


def shows(row: Instrument, labels: Labels, *segments: Segment, **more: str) -> Series:
    """A gauge."""
    return Series(row, labels, segments, counts=False, more=more)


@dataclass(frozen=True)
class Firing:
    """One alert that fires.

    Attributes:
        labels: All but `alertname`, and `severity` unless alerts of this name differ in it.
    """

    name: str
    description: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """One history of an installation.

    Attributes:
        name: What is promised, as a sentence.
        series: What was scraped.
        minutes: How long.
        fires: Exactly the alerts that fire at the end; no other fires at any time.
        step: Minutes between scrapes, and between evaluations.
    """

    name: str
    series: tuple[Series, ...]
    minutes: float
    fires: tuple[Firing, ...] = ()
    step: float = 1
    parameters: Parameters = field(default_factory=Parameters)

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    def run(self, directory: Path) -> None:
        """Let promtool judge.

        Raises:
            AssertionError: Another set of alerts fires, or one says something else.
        """
        (directory / "rules.yml").write_text(render(self.parameters))
        path = directory / "test.yml"
        path.write_text(json.dumps(self.to_dict(), indent=1))  # JSON is YAML
        promtool("test", "rules", path)

    def to_dict(self) -> dict[str, Any]:
        """The file that promtool reads."""
        end = f"{self.minutes:g}m"
        ever = f'count by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{end}]))'
        names = [firing.name for firing in self.fires]
        counts = [{"labels": f'{{alertname="{name}"}}', "value": names.count(name)} for name in sorted(set(names))]
        test = {
            "interval": f"{self.step:g}m",
            "input_series": [series.to_dict(self.step) for series in self.series],
            "promql_expr_test": [{"expr": ever, "eval_time": end, "exp_samples": counts}],
            "alert_rule_test": [self._expected(name, end) for name in sorted(set(names))],
        }
        order = [
            group.name for group in rules(self.parameters)
        ]  # any order, else; a server's groups see the last minute
        every = {"rule_files": ["rules.yml"], "evaluation_interval": f"{self.step:g}m", "group_eval_order": order}
        return {**every, "tests": [test]}

    def _expected(self, name: str, end: str) -> dict[str, Any]:
        firing = [each for each in self.fires if each.name == name]
        return {"eval_time": end, "alertname": name, "exp_alerts": [self._alert(each) for each in firing]}

    def _alert(self, firing: Firing) -> dict[str, Any]:
        rule = _rule(firing)
        said = {**annotations_of(rule, self.parameters), "description": firing.description}
        return {"exp_labels": {"severity": rule.severity, **firing.labels}, "exp_annotations": said}


def _rule(firing: Firing) -> Alert:
    named = [rule for rule in alerts() if rule.name == firing.name]
    return next(rule for rule in named if rule.labels.items() <= firing.labels.items())
