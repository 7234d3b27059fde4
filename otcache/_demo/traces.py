"""Traces of real requests: marked by their id, kept as their spans end, read as data."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from otcache.telemetry import catalog

_MARK: Final = 0x07CACE
"""The top bits of the trace ids that are kept; other traces cost one comparison."""
_MOST: Final = 16


@dataclass(frozen=True, slots=True)
class Span:
    """One span that has ended; times in ns since the epoch.

    Attributes:
        links: Per type of link, the id of the trace and of the span that it leads to.
    """

    id: str
    parent: str | None
    name: str
    kind: str
    start: int
    end: int
    attributes: dict[str, Any] = field(default_factory=dict)
    links: dict[str, tuple[str, str]] = field(default_factory=dict)


def new_trace() -> tuple[str, str]:
    """The id of a trace that will be kept, and the `traceparent` header that starts it, sampled."""
    trace_id = f"{_MARK << 104 | random.getrandbits(104):032x}"
    return trace_id, f"00-{trace_id}-{random.getrandbits(63) + 1:016x}-01"


class TraceBook:
    """A span processor that keeps the traces of `new_trace`, the newest few.

    It has the methods of the SDK's `SpanProcessor` without being one: only `otcache.telemetry._setup` imports the SDK.
    """

    def __init__(self) -> None:
        self._traces: dict[str, list[Span]] = {}

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing to do."""

    def _on_ending(self, span: Any) -> None:
        """Nothing to do."""

    def on_end(self, span: Any) -> None:
        """Keep the span if its trace is marked."""
        if span.context.trace_id >> 104 != _MARK:
            return
        parent = f"{span.parent.span_id:016x}" if span.parent is not None else None
        kept = Span(
            f"{span.context.span_id:016x}", parent, span.name, span.kind.name, span.start_time, span.end_time,
            dict(span.attributes or {}), _links(span),
        )  # fmt: skip
        self._traces.setdefault(f"{span.context.trace_id:032x}", []).append(kept)
        if len(self._traces) > _MOST:
            del self._traces[next(iter(self._traces))]

    def shutdown(self) -> None:
        """Nothing to do."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  the SDK's signature
        """Nothing waits here."""
        return True

    def spans(self, trace_id: str) -> list[Span]:
        """The spans of a trace that have ended, in the order they started."""
        return sorted(self._traces.get(trace_id, []), key=lambda span: span.start)


def _links(span: Any) -> dict[str, tuple[str, str]]:
    return {
        str((link.attributes or {}).get(catalog.LINK_TYPE.name, "")):
        (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}")
        for link in span.links
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole trace.

    Attributes:
        id: Its id.
        spans: Its spans, in the order they started.
    """

    id: str
    spans: tuple[Span, ...]

    @property
    def root(self) -> Span | None:
        """The span whose parent is not here."""
        ids = {span.id for span in self.spans}
        return next((span for span in self.spans if span.parent not in ids), None)

    def span(self, span_id: str) -> Span | None:
        """The span of this id, if it is one of them."""
        return next((span for span in self.spans if span.id == span_id), None)

    def children(self, parent: Span) -> list[Span]:
        """The spans right under `parent`."""
        return [span for span in self.spans if span.parent == parent.id]


async def fetch(http: httpx.AsyncClient, trace_id: str) -> Trace:
    """A trace of this process, as soon as its request is over."""
    while True:
        found: list[dict[str, Any]] = (await http.get(f"/demo/traces/{trace_id}")).json()
        trace = Trace(trace_id, tuple(Span(**span) for span in found))
        if trace.root is not None and trace.root.kind == "SERVER":
            return trace
        await asyncio.sleep(0.05)
