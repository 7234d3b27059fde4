"""What the telemetry of one call says: which tier answered, and whether Redis confirmed a write."""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from otcache.telemetry import catalog


class Watch(SpanExporter):
    """The spans of watched calls; of all others there are none, so that those take the unwatched way.

    Args:
        seed: Of the trace ids.

    Attributes:
        provider: Give it to the cache.
    """

    def __init__(self, seed: int) -> None:
        self.provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self))
        self._random = random.Random(seed)
        self._spans: defaultdict[int, list[ReadableSpan]] = defaultdict(list)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            if span.context is not None and span.context.trace_id in self._spans:
                self._spans[span.context.trace_id].append(span)
        return SpanExportResult.SUCCESS

    @contextlib.contextmanager
    def call(self) -> Iterator[Call]:
        """Around one call, as below a sampled request."""
        trace_id, span_id = self._random.getrandbits(128) | 1, self._random.getrandbits(64) | 1
        parent = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(1))
        token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(parent)))
        spans = self._spans[trace_id]
        try:
            yield Call(spans)
        finally:
            context.detach(token)
            del self._spans[trace_id]

    def has_asked(self, purpose: str) -> bool:
        """Whether one of the calls under way has had an answer from Redis to a question for that purpose."""
        spans = [span for spans in self._spans.values() for span in spans]
        return any((span.attributes or {}).get(catalog.PURPOSE.name) == purpose for span in spans)


class Call:
    """One call.

    Attributes:
        spans: What it left: its own and those of its round trips.
    """

    def __init__(self, spans: list[ReadableSpan]) -> None:
        self.spans = spans

    def _operation(self) -> dict[str, object]:
        (found,) = [
            dict(span.attributes or {}) for span in self.spans if catalog.RESULT.name in (span.attributes or {})
        ]
        return dict(found)

    @property
    def tier(self) -> str:
        """The tier that answered; the deepest one for a batch."""
        return str(self._operation()[catalog.TIER.name])

    @property
    def is_confirmed(self) -> bool:
        """Whether Redis confirmed all of the write: it took part, and a round trip that changes something succeeded."""
        operation = self._operation()
        took_part = catalog.DEGRADED.name not in operation and operation[catalog.RESULT.name] in ("ok", "noop")
        return took_part and any(_changed(span.attributes or {}) for span in self.spans)

    @property
    def is_sent(self) -> bool:
        """Whether Redis was asked at all."""
        return any(_is_change(span.attributes or {}) for span in self.spans)


def _changed(trip: Mapping[str, object]) -> bool:
    return _is_change(trip) and catalog.ERROR_TYPE.name not in trip


def _is_change(trip: Mapping[str, object]) -> bool:
    return trip.get(catalog.PURPOSE.name) in ("write", "delete", "tag")
