"""Traces as a person reads them: every span under its parent, and where its links lead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from otcache._demo.screen import duration
from otcache._demo.traces import Span, Trace
from otcache.telemetry import catalog


def tree(trace: Trace, known: Sequence[Trace] = ()) -> RenderableType:
    """The spans of a request, each under its parent; links into `known` traces say where they lead."""
    root = trace.root
    if root is None:
        return Text(f"trace {trace.id} is empty")
    top = Tree(_span(root), guide_style="dim")
    _grow(top, trace, root, known)
    return Group(Text(f"trace {trace.id}", style="dim"), top)


def forest(traces: Sequence[Trace]) -> RenderableType:
    """Several traces that are linked."""
    return Group(*(tree(trace, traces) for trace in traces))


def _grow(branch: Tree, trace: Trace, parent: Span, known: Sequence[Trace]) -> None:
    for kind, place in parent.links.items():
        branch.add(_link(kind, *place, known))
    for span in trace.children(parent):
        _grow(branch.add(_span(span)), trace, span, known)


def _link(kind: str, trace_id: str, span_id: str, known: Sequence[Trace]) -> Text:
    """A link is no child: it leads into another trace."""
    found = next((span for trace in known if trace.id == trace_id and (span := trace.span(span_id))), None)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"=> {kind}", style="yellow")
    return text.append(f"  {found.name if found is not None else span_id}  trace {trace_id}", style="dim")


def _span(span: Span) -> Text:
    kind = "" if span.kind == "INTERNAL" else f" {span.kind}"
    took = duration((span.end - span.start) / 1e9)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(span.name, style="bold").append(kind, style="magenta").append(f"  {took}", style="cyan")
    return text.append("  " + "  ".join(_told(span)), style="dim")


_WORTH: tuple[Any, ...] = (
    catalog.COALESCE_ROLE, catalog.RESULT, catalog.TIER, catalog.MISS_REASON, catalog.STALE_REASON,
    catalog.DEGRADED_REASON, catalog.TRIGGER, catalog.PURPOSE,
)  # fmt: skip
"""The attributes worth a line, most important first."""


def _told(span: Span) -> Iterable[str]:
    found = span.attributes
    if span.kind == "SERVER":
        yield str(found.get("http.response.status_code", found.get("http.status_code", "")))
    for attribute in _WORTH:
        value = found.get(attribute.name)
        if value is not None and value != "none":
            yield f"{attribute.name.removeprefix('otcache.')}={value}"
    yield from _counted(span)


def _counted(span: Span) -> Iterator[str]:
    found = span.attributes
    if catalog.COALESCE_WAITERS.name in found:
        yield f"{found[catalog.COALESCE_WAITERS.name]} waiters"
    if catalog.BATCH_SIZE.name in found:
        yield f"{found.get(catalog.BATCH_HITS.name, found[catalog.BATCH_SIZE.name])} keys"
    if catalog.SERVER_ADDRESS.name in found and span.kind == "CLIENT":
        yield f"{found[catalog.SERVER_ADDRESS.name]}:{found.get(catalog.SERVER_PORT.name, '')}"
