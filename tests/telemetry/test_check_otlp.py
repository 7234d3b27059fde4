"""OTLP JSON, as the real encoder and the collector's file exporter write it, against the catalogue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from otcache import GenericRedisCache
from otcache._exports.check import Difference, Report, compare
from otcache._exports.read import SourceError
from otcache.telemetry import catalog
from otcache.testing import Capture
from tests.rows import every
from tests.telemetry import real


def checked(*documents: Any, indent: int | None = None, complete: bool = False) -> Report:
    text = "".join(json.dumps(document, indent=indent) + "\n" for document in documents)
    return compare(text.splitlines(keepends=True), complete=complete)


def refused(text: str) -> str:
    with pytest.raises(SourceError) as error:
        compare(text.splitlines(keepends=True))
    return str(error.value)


@pytest.fixture
def document() -> dict[str, Any]:
    """Every metric, once."""
    return real.otlp()


def metrics(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for resource in document["resourceMetrics"]:
        for scope in resource["scopeMetrics"]:
            yield from scope["metrics"]


def named(document: dict[str, Any], row: catalog.Instrument) -> dict[str, Any]:
    (metric,) = [metric for metric in metrics(document) if metric["name"] == row.name]
    return metric


def points(metric: dict[str, Any]) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = (metric.get("sum") or metric["histogram"])["dataPoints"]
    return data


@pytest.mark.parametrize("numbers", [False, True], ids=["enums as names", "enums as numbers"])
@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "many lines"])
def test_what_the_real_encoder_writes_agrees_completely(numbers: bool, indent: int | None) -> None:
    report = checked(real.otlp(numbers=numbers), indent=indent, complete=True)

    assert report.differences == ()
    assert report.seen == tuple(row.name for row in catalog.INSTRUMENTS)


async def test_a_cache_on_a_real_redis_agrees(telemetry: Capture, users: GenericRedisCache) -> None:
    await users.set("k", "v")
    await users.get("k")
    await users.get("absent")
    await users.delete("k")
    data = telemetry._reader.get_metrics_data()
    assert data is not None

    report = checked(real.as_otlp(data))

    assert report.differences == ()
    assert {row.name for row in catalog.INSTRUMENTS if row.present in ("always", "far")} <= set(report.seen)


def test_a_line_per_request_is_read_and_other_signals_are_left_alone(document: dict[str, Any]) -> None:
    lines = [document, {"resourceSpans": []}, {"resourceLogs": [{}]}, document]

    report = checked(*lines)

    assert report.differences == ()
    assert report.samples == 2 * checked(document).samples


def test_several_resources_and_scopes_are_read(document: dict[str, Any]) -> None:
    foreign = {"scope": {"name": "shop"}, "metrics": [{"name": "shop.orders", "gauge": {"dataPoints": [{}]}}]}
    document["resourceMetrics"] += deepcopy(document["resourceMetrics"])
    document["resourceMetrics"][0]["scopeMetrics"].append(foreign)

    report = checked(document)

    assert report.differences == ()
    assert report.samples == 2 * checked(real.otlp()).samples


def test_whole_numbers_may_be_numbers_or_texts(document: dict[str, Any]) -> None:
    (text,) = points(named(document, catalog.WRITES))
    assert text["asInt"] == "1"
    text["asInt"] = 1

    assert checked(document).differences == ()


def test_what_is_empty_may_be_missing_or_null(document: dict[str, Any]) -> None:
    del points(named(document, catalog.WRITES))[0]["asInt"]
    document["resourceMetrics"] += [{}, {"resource": None, "scopeMetrics": [{"scope": None, "metrics": None}, {}]}]
    named_only = [{}, {"name": "otcache.new"}, {"name": "otcache.new", "sum": None}]
    document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"] += named_only

    assert checked(document).differences == ()


def test_an_unknown_metric_is_named(document: dict[str, Any]) -> None:
    named(document, catalog.CALLBACKS)["name"] = "otcache.hits"

    assert checked(document).differences == (Difference("unknown", "otcache.hits", "not in the catalogue", 1),)


def test_a_metric_that_every_process_has_is_missed(document: dict[str, Any]) -> None:
    named(document, catalog.EVICTIONS)["sum"]["dataPoints"] = []

    (difference,) = checked(document).differences

    assert (difference.kind, difference.metric) == ("missing", catalog.EVICTIONS.name)


def test_a_wrong_kind_unit_and_scope_are_named(document: dict[str, Any]) -> None:
    del named(document, catalog.WRITES)["sum"]["isMonotonic"]
    named(document, catalog.LOOKUPS)["unit"] = "1"
    document["resourceMetrics"][0]["scopeMetrics"].append(
        {"scope": {"name": "shop"}, "metrics": [named(document, catalog.DROPPED)]}
    )

    assert {(each.kind, each.metric, each.detail) for each in checked(document).differences} == {
        ("kind", catalog.WRITES.name, "its kind is updowncounter, not counter"),
        ("unit", catalog.LOOKUPS.name, "its unit is 1, not {lookup}"),
        ("scope", catalog.DROPPED.name, "its scope is shop, not otcache"),
    }


def test_an_exponential_histogram_is_a_histogram(document: dict[str, Any]) -> None:
    metric = named(document, catalog.OPERATION_DURATION)
    metric["exponentialHistogram"] = metric.pop("histogram")

    assert checked(document).differences == ()


@pytest.mark.parametrize(
    ("change", "kind", "detail"),
    [
        ({"value": {"stringValue": "l9"}}, "value", "otcache.tier=l9 is not one of l1, l2, loader, none"),
        ({"value": {"intValue": "1"}}, "value", "the value of otcache.tier is no text"),
        ({"value": None}, "value", "the value of otcache.tier is no text"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    document: dict[str, Any], change: dict[str, Any], kind: str, detail: str
) -> None:
    (pair,) = [p for p in points(named(document, catalog.WRITES))[0]["attributes"] if p["key"] == catalog.TIER.name]
    pair.update(change)

    (difference,) = checked(document).differences

    assert (difference.kind, difference.metric, difference.detail) == (kind, catalog.WRITES.name, detail)


def test_attributes_that_are_lacking_or_too_many_are_named(document: dict[str, Any]) -> None:
    attributes = points(named(document, catalog.WRITES))[0]["attributes"]
    attributes[:] = [pair for pair in attributes if pair["key"] != catalog.TIER.name] + [
        {"key": "cluster", "value": {"stringValue": "eu"}}
    ]

    assert {each.detail for each in checked(document).differences} == {
        "lacks otcache.tier", "has cluster, which the catalogue does not give it"
    }  # fmt: skip


def test_caps_and_folded_series_are_named(document: dict[str, Any]) -> None:
    (pair, *_) = points(named(document, catalog.L1_COUNT))[0]["attributes"]
    pair["value"] = {"stringValue": catalog.OTHER}
    points(named(document, catalog.WRITES))[0]["attributes"] = [
        {"key": "otel.metric.overflow", "value": {"boolValue": True}}
    ]

    differences = checked(document).differences

    assert [(each.kind, each.metric) for each in differences] == [
        ("cap", catalog.L1_COUNT.name), ("cap", catalog.WRITES.name)
    ]  # fmt: skip


def test_a_cap_holds_per_resource(document: dict[str, Any]) -> None:
    (resource,) = document["resourceMetrics"]
    for number in range(2 * 32):
        other = deepcopy(resource)
        other["resource"]["attributes"].append({"key": "host", "value": {"stringValue": str(number % 2)}})
        for pair in points(named({"resourceMetrics": [other]}, catalog.CIRCUIT_STATUS))[0]["attributes"]:
            if pair["key"] == catalog.BACKEND.name:
                pair["value"]["stringValue"] = f"redis{number}"
        document["resourceMetrics"].append(other)

    assert checked(document).differences == ()


def test_another_version_of_the_schema_is_named(document: dict[str, Any]) -> None:
    for pair in points(named(document, catalog.BUILD_INFO))[0]["attributes"]:
        if pair["key"] == catalog.SCHEMA.name:
            pair["value"]["stringValue"] = "9.9.9"

    assert [(each.kind, each.metric) for each in checked(document).differences] == [
        ("schema", catalog.BUILD_INFO.name)
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["NaN", "-Infinity"])
def test_a_value_that_is_no_number_is_named(document: dict[str, Any], value: str) -> None:
    points(named(document, catalog.OPERATION_DURATION))[0]["sum"] = value

    (difference,) = checked(document).differences

    assert (difference.kind, difference.detail) == ("value", f"its value is {float(value)}")


# --- what is not OTLP ---------------------------------------------------------------------------------

TOO_DEEP = "line 1 is nested too deep, or holds a number that is too long"


@every(
    ("text", "reason"),
    [
        ('{"error": "no such page"}\n', "line 1 is JSON, and not OTLP"),
        ("[1, 2]\n", "line 1 is JSON, and not an object"),
        ("{}\n", "it is OTLP without metrics"),
        ('{"resourceSpans": []}\n', "it is OTLP without metrics"),
        ('{"resourceMetrics": [{"scopeMetrics"', "it is not JSON, or is cut off"),
        ('{"resourceMetrics": []}\n\n{"resourceMetrics": [', "line 3 is not JSON, or is cut off"),
        ('{"resourceMetrics": 5}\n', "line 1 is not OTLP: its metrics have another shape"),
        ('{"resourceMetrics": ["x"]}\n', "line 1 is not OTLP: its metrics have another shape"),
        ("[" * 200_000 + "\n", TOO_DEEP),
        ('{"a": ' + "1" * 5000 + "}\n", TOO_DEEP),
    ],
)
def test_what_is_not_otlp_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert refused(text) == reason


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("share", [0.2, 0.7, 0.99])
def test_a_document_that_is_cut_off_is_refused(document: dict[str, Any], indent: int | None, share: float) -> None:
    text = json.dumps(document, indent=indent)

    assert refused(text[: round(share * len(text))]) == "it is not JSON, or is cut off"


@pytest.mark.parametrize("point", [{"asInt": "many"}, {"asInt": []}, {"attributes": [{}]}, "x"])
def test_a_point_of_another_shape_is_refused(document: dict[str, Any], point: Any) -> None:
    points(named(document, catalog.WRITES))[0:] = [point]

    assert refused(json.dumps(document)) == "line 1 is not OTLP: its metrics have another shape"
