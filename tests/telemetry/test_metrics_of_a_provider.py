"""Every provider has counts of its own."""

from __future__ import annotations

from opentelemetry.metrics import NoOpMeterProvider

from otcache.telemetry._instrumentation.metrics import metrics_for


def test_a_provider_never_gets_the_counts_of_one_that_is_gone() -> None:
    living = [metrics_for(NoOpMeterProvider(), "1") for _ in range(50)]  # each where the last one was, in CPython

    assert len({id(metrics) for metrics in living}) == 50


def test_two_caches_of_one_provider_share_its_counts() -> None:
    provider = NoOpMeterProvider()

    assert metrics_for(provider, "1") is metrics_for(provider, "1")
