"""Rules as data: what they refer to, what they say, what they render to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from otcache.alerts import Parameters, Recording, alerts, render, rules, thresholds
from otcache.alerts._promql import one_of, series
from otcache.exceptions import ValidationError
from otcache.telemetry import catalog
from tests.rows import every
from tests.stack.prometheus import promtool

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "dashboards" / "prometheus" / "otcache-rules.yml"
RUNBOOKS = ROOT / "docs" / "runbooks.md"
UIDS = {path.stem for path in (ROOT / "dashboards" / "grafana").glob("*.json")}
METRIC = re.compile(r"\botcache_[a-z0-9_]+")
NAMES = {alert.name for alert in alerts()}


def parsed(parameters: Parameters | None = None) -> list[dict[str, Any]]:
    """Every rule of the rendered file, as Prometheus reads it."""
    return [rule for group in yaml.safe_load(render(parameters))["groups"] for rule in group["rules"]]


def test_the_shipped_file_is_what_the_code_renders() -> None:
    assert SHIPPED.read_text() == render(), "run: otcache alerts export dashboards/prometheus"


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(),
        Parameters(job='shop"s|bar\\d+', cache="a|b", detector_job="watch", labels=("cluster", "namespace")),
        Parameters(scale=0.007, slo=0.95, caller_errors=("a.B", "c.D")),
    ],
    ids=["defaults", "selectors", "scaled"],
)
def test_prometheus_accepts_every_rule(parameters: Parameters, tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(render(parameters))

    assert f"SUCCESS: {len(parsed())} rules found" in promtool("check", "rules", path)


def test_the_rendered_text_says_what_the_rules_are() -> None:
    found = {rule.get("record") or rule["alert"]: rule["expr"] for rule in parsed()}

    expected = {rule.name: rule.expression for group in rules() for rule in group.rules}
    assert found == expected


def unknown(expression: str) -> set[str]:
    """The metrics and labels of PromQL that the catalogue lacks, or that nothing records."""
    suffixes = {"histogram": ("_bucket", "_sum", "_count")}
    metrics = {r.prometheus + suffix for r in catalog.INSTRUMENTS for suffix in suffixes.get(r.kind, ("",))}
    labels = {attribute.name.replace(".", "_") for attribute in catalog.ATTRIBUTES}
    recorded = {rule.name for group in rules() for rule in group.rules if isinstance(rule, Recording)}
    plain = re.sub('"[^"]*"', "", expression)
    for name in sorted(recorded, key=len, reverse=True):
        plain = plain.replace(name, "")
    return set(METRIC.findall(plain)) - metrics - labels


def test_every_metric_and_label_of_an_expression_is_one_of_the_catalogue() -> None:
    assert {name for rule in parsed() for name in unknown(rule["expr"])} == set()
    assert unknown('rate(otcache_lookups[5m]) / job:otcache_x:rate5m{otcache_y="otcache_z"}') == {
        "otcache_lookups", "otcache_x", "otcache_y",
    }  # fmt: skip


@every("alert", alerts(), ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_says_where_to_look_and_what_to_do(alert: Any) -> None:
    (rule, *_) = [rule for rule in parsed() if rule.get("alert") == alert.name]

    said = rule["annotations"]
    assert set(said) == {"summary", "description", "runbook_url", "dashboard_uid"}
    assert said["dashboard_uid"] in UIDS
    assert "$value" in said["description"] or alert.name.endswith(("Missing", "Stalled", "Degraded", "BackplaneDown"))
    assert "{{" not in said["summary"]
    assert said["summary"].endswith(".")
    assert re.fullmatch(r"Otcache[A-Z]\w+", alert.name)


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    headings = re.findall(r"^## (Otcache\w+)$", RUNBOOKS.read_text(), re.MULTILINE)

    assert sorted(headings) == sorted(NAMES)
    assert {rule["annotations"]["runbook_url"] for rule in parsed() if "alert" in rule} == {
        f"docs/runbooks.md#{name.lower()}" for name in NAMES
    }


def test_every_runbook_answers_the_same_four_questions() -> None:
    sections = re.split(r"^## (Otcache\w+)$", RUNBOOKS.read_text(), flags=re.MULTILINE)[1:]

    for name, text in zip(sections[::2], sections[1::2], strict=True):
        for question in ("**Means.**", "**Look first.**", "**Do.**", "**Is not.**"):
            assert question in text, f"{name}: {question}"
        assert re.search(r"```promql\n.+\n```", text), f"{name}: a query"


def test_only_what_callers_feel_calls_somebody() -> None:
    critical = {alert.name for alert in alerts() if alert.severity == "critical"}

    assert critical == {"OtcacheErrorBudgetBurn", "OtcacheRedisDown", "OtcacheRegressionCritical"}


def test_a_threshold_reaches_every_place_that_shows_it() -> None:
    text = render(Parameters(hit_ratio_drop=0.35, slo=0.9, runbook_url="https://wiki.example/cache"))

    assert "< 0.65 * avg_over_time" in text
    assert "over 35% below" in text
    assert "ratio_rate1h > 1.44" in text
    assert "https://wiki.example/cache#otcacheredisdown" in text


@every("threshold", thresholds.ALERTS.values(), ids=lambda threshold: threshold.name)
def test_every_threshold_changes_the_rules_and_has_a_range(threshold: Any) -> None:
    other = (threshold.low + threshold.default) / 2 if threshold.low else threshold.default / 2

    assert render(Parameters(**{threshold.name: other})) != render()
    with pytest.raises(ValidationError, match=f"{threshold.name}=.* is outside"):
        Parameters(**{threshold.name: threshold.high * 2})


def test_selectors_and_labels_reach_every_expression_of_applications() -> None:
    for rule in parsed(Parameters(job="shop", labels=("cluster",))):
        selectors = re.findall(r"(?<![:\w])(otcache_\w+)(?=[{\[])(\S*)", rule["expr"])

        unbound = [name for name, rest in selectors if "regression" not in name and not rest.startswith('{job=~"shop"')]
        assert unbound == []
        assert re.search(r"\bby \(job(?!, cluster)", rule["expr"]) is None


def test_with_the_detectors_job_named_one_that_never_came_is_missed() -> None:
    text = render(Parameters(detector_job="watch"))

    assert 'absent(otcache_regression_evaluations_total{job=~"watch"})' in text


def test_times_are_scaled_together() -> None:
    tenth = [rule for rule in parsed(Parameters(scale=0.1)) if rule.get("alert") == "OtcacheErrorBudgetBurn"]

    assert [rule["for"] for rule in tenth] == ["12s", "90s", "6m", "18m"]
    assert [rule["labels"]["long"] for rule in tenth] == ["6m", "36m", "144m", "432m"]
    assert "ratio_rate6m" in tenth[0]["expr"]


@pytest.mark.parametrize(
    ("seconds", "scale", "text"),
    [(300, 1, "5m"), (604_800, 1, "1w"), (300, 0.01, "3s"), (300, 0.001, "300ms"), (1, 0.0001, "1ms"), (90, 1, "90s")],
)
def test_a_time_is_as_short_as_it_can_be_written(seconds: int, scale: float, text: str) -> None:
    assert Parameters(scale=scale).time(seconds) == text


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0}, {"scale": True}, {"job": "("}, {"labels": ("a-b",)}, {"runbook_url": ""}, {"slo": True},
        {"runbook_url": "a b"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="|".join([next(iter(wrong)), "label"])):
        Parameters(**wrong)


def test_what_the_catalogue_lacks_can_not_be_written() -> None:
    with pytest.raises(ValueError, match="has no"):
        series(catalog.LOOKUPS, one_of(catalog.BACKEND, "redis"))
    with pytest.raises(ValueError, match="is never 'hti'"):
        series(catalog.LOOKUPS, one_of(catalog.RESULT, "hti"))
    with pytest.raises(ValueError, match="histogram"):
        series(catalog.OPERATION_DURATION)


def test_every_query_of_a_runbook_can_be_asked(tmp_path: Path) -> None:
    queries = re.findall(r"```promql\n(.+?)\n```", RUNBOOKS.read_text(), re.DOTALL)
    path = tmp_path / "queries.yml"
    asked = [{"record": f"runbook:query:{number}", "expr": query} for number, query in enumerate(queries)]
    path.write_text(json.dumps({"groups": [{"name": "runbooks", "rules": asked}]}))

    assert f"{len(NAMES)} rules found" in promtool("check", "rules", path)
    assert {name for query in queries for name in unknown(query)} == set()
