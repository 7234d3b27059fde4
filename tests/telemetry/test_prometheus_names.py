"""Every metric has the same name in every Prometheus pipeline."""

from __future__ import annotations

import re

import pytest

from otcache.telemetry.catalog import INSTRUMENTS, Instrument
from tests.rows import every
from tests.telemetry.prometheus_names import Kind, prometheus_name
from tests.telemetry.real import OPENMETRICS, TEXT, full_page


@every(
    ("name", "unit", "kind", "expected"),
    [
        ("system.cpu.time", "s", "counter", "system_cpu_time_seconds_total"),
        ("system.network.io", "By", "counter", "system_network_io_bytes_total"),
        ("http.server.request.duration", "s", "histogram", "http_server_request_duration_seconds"),
        ("http.server.active_requests", "{request}", "updowncounter", "http_server_active_requests"),
        ("system.cpu.utilization", "1", "gauge", "system_cpu_utilization_ratio"),
        ("redis.memory.fragmentation_ratio", "1", "gauge", "redis_memory_fragmentation_ratio"),
        ("apache.requests", "1", "counter", "apache_requests_total"),
        ("memcached.operation_hit_ratio", "%", "gauge", "memcached_operation_hit_ratio_percent"),
        ("broken.metric.speed.km", "km/h", "gauge", "broken_metric_speed_km_per_hour"),
        ("bus.throughput", "{event}/s", "gauge", "bus_throughput_per_second"),
        ("bus.rate", "By/{event}", "gauge", "bus_rate_bytes"),
        ("jvm.total.bytes", "By", "counter", "jvm_bytes_total"),
        ("system..io__wait", "foo/bar", "gauge", "system_io_wait_foo_per_bar"),
        ("3xx.errors", "", "updowncounter", "_3xx_errors"),
    ],
)
def test_a_name_is_translated_as_specified(name: str, unit: str, kind: Kind, expected: str) -> None:
    assert prometheus_name(name, unit, kind) == expected


@every("row", INSTRUMENTS, ids=lambda row: row.name)
def test_the_catalogue_has_the_name_that_the_specification_gives(row: Instrument) -> None:
    assert row.prometheus == prometheus_name(row.name, row.unit, row.kind)


@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
def test_the_python_exporter_gives_the_same_names(accept: str) -> None:
    shown = set(re.findall(r"^(otcache_\w+)\{", full_page(accept), re.MULTILINE))

    ends = {"histogram": ("_bucket", "_count", "_sum")}
    assert shown == {row.prometheus + end for row in INSTRUMENTS for end in ends.get(row.kind, ("",))}
