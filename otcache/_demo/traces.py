"""Traces of real requests: marked by their id, kept as their spans end, told as a tree."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

import httpx

from otcache.regression._reporting import report
from otcache.telemetry import catalog

_MARK: Final = 0x07CACE  # the top bits of the trace ids that are kept; other traces cost one comparison
_MOST: Final = 16
_WORTH: Final = (
    catalog.COALESCE_ROLE, catalog.RESULT, catalog.TIER, catalog.MISS_REASON, catalog.STALE_REASON,
    catalog.DEGRADED_REASON, catalog.TRIGGER, catalog.PURPOSE, catalog.COALESCE_WAITERS, catalog.BATCH_SIZE,
)  # fmt: skip
"""The attributes worth a place in the tree, most important first."""


def new_trace() -> tuple[str, str]:
    """The id of a trace that will be kept, and the `traceparent` header that starts it, sampled."""
    trace_id = f"{_MARK << 104 | random.getrandbits(104):032x}"
    return trace_id, f"00-{trace_id}-{random.getrandbits(63) + 1:016x}-01"


async def fetch(http: httpx.AsyncClient, trace_id: str) -> str:
    """The tree of a trace of this process, as soon as its request is over."""
    while not (tree := str((await http.get(f"/demo/traces/{trace_id}")).json())):  # noqa: ASYNC110  another process
        await asyncio.sleep(0.05)
    return tree


class TraceBook:
    """A span processor that keeps the traces of `new_trace`, the newest few.

    It has the methods of the SDK's `SpanProcessor` without being one: only `otcache.telemetry._setup` imports the SDK.
    """

    def __init__(self) -> None:
        self._traces: dict[int, list[Any]] = {}

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing to do."""

    def _on_ending(self, span: Any) -> None:
        """Nothing to do."""

    def on_end(self, span: Any) -> None:
        """Keep the span if its trace is marked."""
        if span.context.trace_id >> 104 == _MARK:
            self._traces.setdefault(span.context.trace_id, []).append(span)
            if len(self._traces) > _MOST:
                del self._traces[next(iter(self._traces))]

    def shutdown(self) -> None:
        """Nothing to do."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  the SDK's signature
        """Nothing waits here."""
        return True

    def tree(self, trace_id: str) -> str:
        """Every span of a trace under its parent, and where its links lead; empty before the request is over."""
        spans = sorted(self._traces.get(int(trace_id, 16), []), key=lambda span: span.start_time)
        ids = {span.context.span_id for span in spans}
        root = next((span for span in spans if span.parent is None or span.parent.span_id not in ids), None)
        if root is None or root.kind.name != "SERVER":
            return ""
        return "\n".join([f"trace {trace_id}", *_lines(spans, root, "  ")])


def _lines(spans: Sequence[Any], span: Any, indent: str) -> Iterator[str]:
    kind = "" if span.kind.name == "INTERNAL" else f" {span.kind.name}"
    took = report.duration((span.end_time - span.start_time) / 1e9)
    known = ((each.name.removeprefix("otcache."), (span.attributes or {}).get(each.name, "none")) for each in _WORTH)
    told = [f"{name}={value}" for name, value in known if value != "none"]
    yield indent + "  ".join([f"{span.name}{kind}", took, *told])
    for link in span.links:
        name = (link.attributes or {}).get(catalog.LINK_TYPE.name, "link")
        yield f"{indent}  => {name}  span {link.context.span_id:016x} of trace {link.context.trace_id:032x}"
    for child in spans:
        if child.parent is not None and child.parent.span_id == span.context.span_id:
            yield from _lines(spans, child, indent + "  ")
