"""From trouble to the people: an application, Prometheus with our rules, Alertmanager, a webhook, all of them real."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from otcache.alerts import Parameters, alerts, render, rules
from otcache.telemetry import catalog
from tests.servers import RedisServer
from tests.stack.prometheus import Alertmanager, Prometheus, promtool
from tests.stack.troubled import Troubled
from tests.stack.web import Webhook

ROOT: Final = Path(__file__).parents[2]
QUICK: Final = Parameters(scale=1 / 150)
"""5 minutes are 2 seconds; a day is ten minutes, which the history covers."""
PATIENCE: Final = 60.0
CHAIN: Final = {
    "OtcacheRedisDown": {"job": "shop", "otcache_backend_name": "redis", "severity": "critical"},
    "OtcacheDegradedTraffic": {"job": "shop", "otcache_cache_name": "prices", "severity": "warning"},
    "OtcacheHitRatioDrop": {"job": "shop", "otcache_cache_name": "pages", "severity": "warning"},
    "OtcacheErrorBudgetBurn": {"job": "shop", "severity": "critical"},
    "OtcacheLoaderErrors": {"job": "shop", "otcache_cache_name": "users", "severity": "warning"},
    "OtcacheCallbackFailing": {"job": "shop", "otcache_callback_name": "moody", "severity": "info"},
    "OtcacheRegressionCritical": {"job": "watch", "otcache_cache_name": "pages", "severity": "critical"},
}


class Chain(NamedTuple):
    """The parts that a test looks at or ends."""

    webhook: Webhook
    detector: Troubled
    prometheus: Prometheus


def recorded(parameters: Parameters, part: str) -> str:
    """The name of a recording."""
    return next(rule.name for group in rules(parameters) for rule in group.rules if part in rule.name)


def hit_ratio(parameters: Parameters) -> str:
    """The name of its recording."""
    return recorded(parameters, "lookups_hit:")


def openmetrics(name: str, **caches: Sequence[tuple[float, float]]) -> str:
    """What a recording said in the past: per cache pairs of Unix seconds and a number."""
    lines = [f'{name}{{job="shop",otcache_cache_name="{cache}"}} {value} {at:.3f}\n'
             for cache, pairs in caches.items() for at, value in pairs]  # fmt: skip
    return "".join([f"# TYPE {name} gauge\n", *lines])


def steady(value: float, seconds: float, step: float) -> list[tuple[float, float]]:
    """The same number for the last `seconds`."""
    now = time.time()
    return [(now - seconds + step * number, value) for number in range(int(seconds / step))]


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """Redis is killed as soon as everything is scraped."""
    with ExitStack() as held:
        redis = RedisServer("valkey").start()
        held.callback(redis.stop)
        shop, detector = Troubled("shop", redis.url), Troubled("detector")
        held.enter_context(shop)
        held.enter_context(detector)
        webhook = held.enter_context(Webhook())
        alertmanager = held.enter_context(Alertmanager(webhook.url, group_by=("...",)))
        usual = steady(0.9, 5400, 5)  # "last week" was 67 minutes ago
        past = openmetrics(hit_ratio(QUICK), prices=usual, pages=usual) + "# EOF\n"
        targets = {"shop": [shop.port], "watch": [detector.port]}
        prometheus = held.enter_context(
            Prometheus(targets, rules=[render(QUICK)], alertmanager=alertmanager, interval="400ms", history=past)
        )
        prometheus.wait_for_targets(PATIENCE)
        redis.kill()
        yield Chain(webhook, detector, prometheus)


def told(chain: Chain, name: str) -> dict[str, Any]:
    """The alert as the webhook got it."""
    return chain.webhook.wait_for_alert(name, seconds=PATIENCE)


@pytest.mark.parametrize("name", CHAIN)
def test_trouble_reaches_the_webhook(chain: Chain, name: str) -> None:
    alert = told(chain, name)

    assert CHAIN[name].items() <= alert["labels"].items()


@pytest.mark.parametrize("name", CHAIN)
def test_what_arrives_leads_to_a_runbook_that_exists(chain: Chain, name: str) -> None:
    said = told(chain, name)["annotations"]

    page, _, anchor = said["runbook_url"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in [heading.lower() for heading in headings]
    assert re.search(r"\d", said["description"]), "a number"
    assert "{{" not in said["description"]


def test_a_description_has_the_number_of_what_happened(chain: Chain) -> None:
    down, verdict = told(chain, "OtcacheRedisDown"), told(chain, "OtcacheRegressionCritical")

    assert down["annotations"]["description"].startswith("100% of the L2 tiers of shop can't reach redis")
    assert "tier l1, in shop is worse by 40%; 25% is critical" in verdict["annotations"]["description"]


def test_an_outage_of_redis_is_not_told_as_a_fall_of_the_hit_ratio(chain: Chain) -> None:
    told(chain, "OtcacheDegradedTraffic")
    told(chain, "OtcacheHitRatioDrop")

    dropped = {alert["labels"]["otcache_cache_name"] for alert in chain.webhook.alerts("OtcacheHitRatioDrop")}
    lost = chain.prometheus.value('sum(otcache_lookups_total{job="shop", otcache_miss_reason="backend_unavailable"})')
    assert (dropped, bool(lost)) == ({"pages"}, True)


def test_the_callers_own_mistakes_are_counted_but_not_told(chain: Chain) -> None:
    burn = told(chain, "OtcacheErrorBudgetBurn")

    failed = chain.prometheus.value('sum(rate(otcache_operations_total{otcache_result="error"}[10s]))')
    theirs = 'error_type=~".*ValidationError|LookupError"'
    own = chain.prometheus.value(f"sum(rate(otcache_operations_total{{{theirs}}}[10s]))")
    assert failed is not None
    assert own == pytest.approx(failed * 2 / 3, rel=0.2)
    share = float(burn["annotations"]["description"].partition("%")[0])
    assert share == pytest.approx(100 / 6, abs=3)  # one call of six


def test_a_process_that_is_gone_is_missed(chain: Chain) -> None:
    chain.detector.end()

    missing, unwatched = told(chain, "OtcacheTelemetryMissing"), told(chain, "OtcacheRegressionDetectorMissing")
    assert missing["labels"]["job"] == unwatched["labels"]["job"] == "watch"
    assert chain.webhook.alerts("OtcacheTelemetryMissing")[0]["annotations"]["dashboard_uid"] == "otcache-telemetry"


# --- hours of history -------------------------------------------------------------------------------


DAY: Final = 86_400


def test_rules_with_offsets_see_hours_and_weeks_of_history() -> None:
    usual = Parameters()
    (drop,) = [alert for alert in alerts(usual) if alert.name == "OtcacheHitRatioDrop"]
    traffic = recorded(usual, "lookups:")
    now, past = time.time(), steady(0.9, 8 * DAY, 600)
    weekly = [(at, 0.4 if abs(now - at - 7 * DAY) < 7200 else value) for at, value in past]  # low at this hour
    ratios = openmetrics(
        hit_ratio(usual), fallen=[*past, (now, 0.5)], weekly=[*weekly, (now, 0.4)], steady=[*past, (now, 0.8)]
    )
    rates = openmetrics(traffic, fallen=[(now, 50)], weekly=[(now, 50)], steady=[(now, 50)])

    with Prometheus(history=ratios + rates + "# EOF\n") as prometheus:
        found = prometheus.query(drop.expression, at=now + 1)

    assert {series.labels["otcache_cache_name"]: series.value for series in found} == {"fallen": 0.5}


def counted(seconds: float, step: float, **per_second: float) -> str:
    """Lookups of the last `seconds`, by result: what an application has counted, as OpenMetrics."""
    now, name = time.time(), catalog.LOOKUPS.prometheus
    lines = [
        f'{name}{{job="shop",otcache_cache_name="web",otcache_result="{result}"}} {each * step * number} '
        f"{now - seconds + step * number:.3f}\n"
        for result, each in per_second.items()
        for number in range(int(seconds / step))
    ]
    return "".join([f"# TYPE {name.removesuffix('_total')} counter\n", *lines, "# EOF\n"])


def test_the_past_of_the_recordings_can_be_written_from_older_data(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(render())
    (tmp_path / "data" / "wal").mkdir(parents=True)  # or it is no database to promtool
    times = ["--start", str(int(time.time() - 3600)), "--end", str(int(time.time() - 600)), "--eval-interval", "5m"]

    with Prometheus(history=counted(7200, 300, hit=9, miss=1)) as prometheus:
        where = ["--url", prometheus.url, "--output-dir", str(tmp_path / "data")]
        promtool("tsdb", "create-blocks-from", "rules", *times, *where, tmp_path / "rules.yml")
    written = promtool("tsdb", "dump", tmp_path / "data")

    ratios = [line.split()[-2] for line in written.splitlines() if hit_ratio(Parameters()) in line]
    assert set(ratios) == {"0.9"}
    assert len(ratios) > 5
