"""The test kit: what was captured, as plain objects, and whether the catalogue knows it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from opentelemetry.metrics import Observation

from otcache import GenericRedisCache, InMemoryCache
from otcache.telemetry import catalog
from otcache.testing import Capture, ManualClock, capture_telemetry


async def test_ids_are_the_same_in_every_run() -> None:
    found = []
    for _ in range(2):
        with capture_telemetry() as telemetry:
            cache = InMemoryCache(name="users", providers=telemetry.providers)
            await cache.set("k", 1)
            await cache.get("k")
            found.append([(span.name, span.trace_id, span.span_id) for span in telemetry.spans])

    assert found[0] == found[1] == [("cache.set users", 1, 1), ("cache.get users", 2, 2)]


async def test_spans_metrics_and_tree_say_what_was_done(telemetry: Capture, users: GenericRedisCache) -> None:
    await users.set("k", 1)
    await users.get("k")
    await users.get("absent")
    tree = [line.partition(" (")[0] for line in telemetry.span_tree().splitlines()]

    assert tree == ["cache.set users", "  SET", "cache.get users", "cache.get users", "  GET"]
    assert telemetry.metric_value(catalog.LOOKUPS.name, otcache_result="hit", otcache_tier="l1") == 1
    assert telemetry.metric_value(catalog.LOOKUPS.name, otcache_result="miss") == 1
    assert telemetry.metric_value(catalog.OPERATION_DURATION.name, otcache_operation_name="get") == 2
    assert telemetry.metric_value("otcache.unknown") == 0
    telemetry.assert_schema()


async def test_a_histogram_says_count_sum_and_buckets(telemetry: Capture) -> None:
    await InMemoryCache(name="users", providers=telemetry.providers).get("k")
    (point,) = [point for point in telemetry.metrics()[catalog.OPERATION_DURATION.name] if point.count]

    assert (point.count, sum(point.buckets), len(point.buckets)) == (1, 1, len(catalog.B_OP) + 1)
    assert 0 < point.sum < 1


async def test_a_failed_span_says_why_without_the_key(telemetry: Capture) -> None:
    cache = InMemoryCache(name="users", providers=telemetry.providers)
    with pytest.raises(ValueError, match="outside"):
        await cache.set("user:ada", 1, ttl=-1)
    (span,) = telemetry.spans

    assert span.status == "ERROR"
    assert "outside" in span.status_description
    assert "user:ada" not in str(span)


def test_what_was_captured_cannot_be_changed(telemetry: Capture) -> None:
    telemetry.tracer_provider.get_tracer("app").start_span("s").end()

    with pytest.raises(FrozenInstanceError):
        telemetry.spans[0].name = "other"  # type: ignore[misc]


def test_a_foreign_scope_is_nobodys_business(telemetry: Capture) -> None:
    telemetry.tracer_provider.get_tracer("app").start_span("s").end()

    telemetry.assert_schema()


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ({"otcache.colour": "red"}, "otcache.colour, which the catalogue does not give it"),
        ({catalog.RESULT.name: "great"}, "not one of hit"),
        ({catalog.BATCH_SIZE.name: "7"}, "not of type int"),
    ],
)
def test_a_span_that_the_catalogue_does_not_know_is_found(
    telemetry: Capture, attributes: dict[str, str], complaint: str
) -> None:
    telemetry.tracer_provider.get_tracer("otcache").start_span("cache.get users", attributes=attributes).end()

    with pytest.raises(AssertionError, match=complaint):
        telemetry.assert_schema()


def test_a_scope_that_the_catalogue_does_not_know_is_found(telemetry: Capture) -> None:
    telemetry.tracer_provider.get_tracer("otcache.other").start_span("s").end()

    with pytest.raises(AssertionError, match=r"scope otcache\.other is not"):
        telemetry.assert_schema()


@pytest.mark.parametrize(
    ("name", "unit", "complaint"),
    [
        (catalog.WRITES.name, "{entry}", "is a updowncounter"),
        (catalog.L1_COUNT.name, "1", "unit '1'"),
        (catalog.L1_COUNT.name, "{entry}", f"lacks {catalog.CACHE.name}"),
        ("otcache.other", "1", "not in the catalogue"),
    ],
)
def test_a_metric_that_the_catalogue_does_not_know_is_found(
    telemetry: Capture, name: str, unit: str, complaint: str
) -> None:
    meter = telemetry.providers.meter_provider.get_meter("otcache")  # type: ignore[union-attr]
    meter.create_observable_up_down_counter(name, [lambda options: [Observation(1)]], unit)

    with pytest.raises(AssertionError, match=complaint):
        telemetry.assert_schema()


def test_a_clock_moves_when_it_is_told_to() -> None:
    clock = ManualClock(5)
    clock.move(1.5)

    assert clock() == 1_500_000_005


def test_it_is_a_pytest_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import asyncio\nfrom otcache import InMemoryCache\n"
        "def test_it(telemetry):\n"
        "    asyncio.run(InMemoryCache(providers=telemetry.providers).get('k'))\n"
        "    assert len(telemetry.spans) == 1\n"
    )
    options = ["-q", "-p", "otcache.testing", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert "1 passed" in done.stdout, done.stdout + done.stderr
