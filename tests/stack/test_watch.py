"""The whole way of a regression: application, scrape, detector, verdict, scrape, rule, Alertmanager, webhook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from otcache.telemetry import catalog
from otcache.telemetry.catalog import Attribute
from tests.servers import wait_for
from tests.stack.prometheus import Alertmanager, Prometheus
from tests.stack.watched import BASELINE, FAR, Detector, Shop, label
from tests.stack.web import Webhook

pytestmark = pytest.mark.long

ABOUT: tuple[Attribute, ...] = (*catalog.REGRESSION_STATUS.attributes,)
STATUS = f'{catalog.REGRESSION_STATUS.prometheus}{{{label(catalog.VERDICT)}=~"warning|critical"}}'
RULES = json.dumps({"groups": [{"name": "regressions", "rules": [{
    "alert": "Regression",
    # looks back, because a detector that is restarted is gone for a few seconds
    "expr": f"max by ({', '.join(map(label, ABOUT))}) (max_over_time({STATUS}[8s])) == 1",
    "labels": {"severity": "page"},
}]}]})  # fmt: skip
SLOW = frozenset({("operation_duration", "users"), ("l2_duration", "users")})
FORGETFUL = frozenset({("hit_ratio", "pages")})


@dataclass
class Story:
    """What was seen, act by act.

    Attributes:
        quiet: Notifications while nothing changed.
        ruled_out: Indicator and cache of what was then ok: a regression was ruled out.
        raised: What the webhook was told of.
        restored: What a new detector showed as soon as it answered, and after how many looks.
        blind: What it showed, and notifications, while Prometheus was away.
        failures: Looks that failed meanwhile.
        status: The detector's exit status.
        log: What it has said.
    """

    quiet: list[Any] = field(default_factory=list)
    ruled_out: frozenset[tuple[str, str]] = frozenset()
    raised: list[dict[str, str]] = field(default_factory=list)
    restored: tuple[frozenset[tuple[str, str]], int] = (frozenset(), -1)
    blind: tuple[frozenset[tuple[str, str]], list[Any]] = (frozenset(), [])
    failures: int = 0
    status: int = -1
    log: str = ""


def _about(labels: dict[str, str]) -> tuple[str, str]:
    return labels[label(catalog.INDICATOR)], labels[label(catalog.CACHE)]


class Stage:
    """All the parts, and what happens to them."""

    def __init__(self, held: ExitStack) -> None:
        self.shop, self.webhook = held.enter_context(Shop()), held.enter_context(Webhook())
        alertmanager = held.enter_context(Alertmanager(self.webhook.url))
        self.prometheus = Prometheus(rules=[RULES], alertmanager=alertmanager)
        self.detector = held.enter_context(Detector(self.prometheus.url))
        self.prometheus.configure({"shop": [self.shop.port], "detector": [self.detector.port]}, rules=[RULES])
        held.enter_context(self.prometheus)
        self.story = Story()
        self.acts = (
            self.stay_quiet, self.get_worse, self.restart_the_detector, self.lose_prometheus, self.get_well
        )  # fmt: skip

    def told(self, status: str) -> frozenset[tuple[str, str]]:
        """Indicator and cache of the alerts that the webhook was told of with a status."""
        return frozenset(_about(each["labels"]) for each in self.webhook.alerts("Regression", status))

    def stay_quiet(self) -> None:
        scrapes = "sum_over_time(up{job='shop'}[5m])"
        wait_for(lambda: (self.prometheus.value(scrapes) or 0) > BASELINE + 10, "a baseline", 300)
        self.detector.start()
        wait_for(lambda: self.detector.looks() >= 3, "three looks", 120)
        shown = self.detector.shown(catalog.REGRESSION_STATUS.prometheus)
        fine = (dict(labels) for labels, value in shown.items() if value and (label(catalog.VERDICT), "ok") in labels)
        self.story.ruled_out = frozenset(map(_about, fine))
        self.story.quiet = list(self.webhook.received)

    def get_worse(self) -> None:
        self.shop.order(delay=2 * FAR, known=0.2)
        self.webhook.wait_for(lambda: self.told("firing") >= SLOW | FORGETFUL, "all alerts", 300)
        self.story.raised = [each["labels"] for each in self.webhook.alerts("Regression")]

    def restart_the_detector(self) -> None:
        self.detector.kill()
        self.detector.start()
        wait_for(lambda: bool(self.detector.in_force()), "alarms on the page", 120)
        self.story.restored = self.detector.in_force(), self.detector.looks()
        wait_for(lambda: self.detector.looks() >= 2, "two looks", 120)

    def lose_prometheus(self) -> None:
        self.prometheus.kill()
        wait_for(lambda: self.detector.failures() >= 10, "two failed looks at five indicators", 120)
        self.story.failures = self.detector.failures()
        self.story.blind = self.detector.in_force(), self.webhook.alerts("Regression", "resolved")
        self.prometheus.start()

    def get_well(self) -> None:
        self.shop.order()
        self.webhook.wait_for(lambda: self.told("resolved") >= SLOW | FORGETFUL, "all clear", 300)
        wait_for(lambda: not self.detector.in_force() & (SLOW | FORGETFUL), "no alarm on the page", 120)
        self.story.status = self.detector.stop()
        self.story.log = self.detector.log


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with ExitStack() as held:
        stage = Stage(held)
        try:
            for act in stage.acts:
                act()
        except TimeoutError as exc:
            exc.add_note(stage.detector.log[-5000:])
            raise
        yield stage.story


def test_unchanged_traffic_raises_nothing_and_is_found_to_be_well(story: Story) -> None:
    assert story.quiet == []
    assert story.ruled_out >= SLOW | FORGETFUL


def test_a_slower_far_tier_and_a_lower_hit_ratio_reach_the_webhook_each_by_its_name(story: Story) -> None:
    alerts = {_about(labels): labels for labels in story.raised if labels[label(catalog.VERDICT)] == "critical"}

    assert alerts.keys() == SLOW | FORGETFUL
    assert {labels[label(catalog.TARGET)] for labels in alerts.values()} == {"shop"}
    slow = alerts["operation_duration", "users"]
    assert (slow[label(catalog.TIER)], slow[label(catalog.SERIES)]) == ("l2", "get hit")


def test_a_detector_that_was_killed_knows_its_alarms_at_its_next_start(story: Story) -> None:
    shown, looks = story.restored

    assert shown >= SLOW | FORGETFUL
    assert looks < 2  # two raise an alarm


def test_without_prometheus_nothing_is_raised_or_cleared_and_the_failures_are_counted(story: Story) -> None:
    shown, resolved = story.blind

    assert shown >= SLOW | FORGETFUL
    assert resolved == []
    assert story.failures >= 10
    assert "not read:" in story.log


def test_alarms_are_cleared_when_it_is_over_and_a_signal_ends_the_detector(story: Story) -> None:
    assert story.status == 0
    for metric in (catalog.L2_DURATION, catalog.LOOKUPS):
        assert re.search(rf"{re.escape(metric.name.partition('.')[2])}{{.*}}: \w+ -> ok", story.log), metric.name
