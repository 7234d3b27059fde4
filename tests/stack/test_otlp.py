"""The receivers themselves: what is sent by each protocol is held by the sink."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from otcache.telemetry import setup
from tests.stack.otlp import Rotel, Sink

Protocol = Literal["grpc", "http/protobuf"]


def send(service: str, endpoint: str, protocol: Protocol) -> None:
    """A span, a counter and a histogram in it."""
    handle = setup(service, endpoint=endpoint, protocol=protocol, set_global=False, configure_logging=False)
    meter = handle.meter_provider.get_meter("test")
    with handle.tracer_provider.get_tracer("test").start_as_current_span("work"):
        meter.create_counter("done").add(3, {"kind": "a"})
        meter.create_histogram("took", "s").record(0.5)
    handle.shutdown()


def holds(sink: Sink, service: str) -> Callable[[], bool]:
    return lambda: bool(sink.spans(service)) and len(sink.metrics(service)) == 2


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_the_sink_holds_what_it_is_sent(sink: Sink, protocol: Protocol) -> None:
    endpoint = f"http://127.0.0.1:{sink.grpc_port}" if protocol == "grpc" else sink.http.url

    send(protocol, endpoint, protocol)
    sink.wait_for(holds(sink, protocol), "what was sent")
    values = {metric.name: (metric.kind, [each.value or each.sum for each in metric.points])
              for metric in sink.metrics(protocol)}  # fmt: skip

    assert [span.name for span in sink.spans(protocol)] == ["work"]
    assert values == {"done": ("counter", [3]), "took": ("histogram", [0.5])}
    assert [each.value for each in sink.exemplars(protocol) if each.metric == "took"] == [0.5]


def test_rotel_forwards_by_http_too(sink: Sink) -> None:
    with Rotel(sink, "http") as rotel:
        send("forwarded", rotel.endpoints["grpc"], "grpc")

        sink.wait_for(holds(sink, "forwarded"), "what was sent")

    assert [span.name for span in sink.spans("forwarded")] == ["work"]


def test_waiting_for_what_never_comes_ends(sink: Sink) -> None:
    with pytest.raises(TimeoutError, match="a miracle not within"):
        sink.wait_for(lambda: False, "a miracle", 0.05)
