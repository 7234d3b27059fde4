"""What a person sees: a live table in a terminal, a line per second elsewhere, a summary at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from otcache.demo.judge import Judgement
from otcache.demo.measure import TIERS, Window, count, quantile
from otcache.demo.traces import Span, Trace
from otcache.telemetry import catalog

_LABELS: Final = {"l1": "L1 hit", "l2": "L2 hit", "none": "miss"}
_LEVELS: Final = {"ok": "green", "warning": "bold yellow", "critical": "bold red"}
_COLOURS: Final = {"closed": "green", "half_open": "yellow", "open": "red"}


@dataclass(frozen=True, slots=True)
class View:
    """One moment of the demo.

    Attributes:
        elapsed: Seconds since the first request.
        seconds: How long it will run; `None` until Ctrl-C.
        redis: What the far tier is.
        urls: The pages of the application.
        now: What happens at this moment.
        trouble: Whether that is bad news.
        recent: The last few seconds.
        whole: Everything so far.
        errors: Requests that failed, as clients see it.
        trace: The trace of one request, once there is one.
        judgement: What the detector has found; `None` where none watches.
    """

    elapsed: float
    seconds: float | None
    redis: str
    urls: Mapping[str, str]
    now: str
    trouble: bool
    recent: Window
    whole: Window
    errors: int
    trace: Trace | None
    judgement: Judgement | None = None


# --- numbers as text --------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """Three digits and the unit that fits."""
    if seconds is None:
        return "-"
    for scale, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if seconds * scale < 999.5:
            return f"{_three_digits(seconds * scale)} {unit}"
    return f"{_three_digits(seconds)} s"


def _three_digits(number: float) -> str:
    return f"{number:.0f}" if number >= 99.5 else f"{number:.1f}" if number >= 9.95 else f"{number:.2f}"


def percent(share: float | None) -> str:
    """A share of 1 in percent."""
    return "-" if share is None else f"{share * 100:.1f} %"


def _rate(number: int, window: Window) -> str:
    return f"{number / window.seconds:.0f}"


def _counts(counts: Mapping[str, int], separator: str = "  ") -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return separator.join(f"{name} {number}" for name, number in ordered) or "none"


# --- the live table ---------------------------------------------------------------------------------


def live(view: View) -> RenderableType:
    """The whole screen; 24 lines of 80 columns unless the trace is longer than seven spans."""
    parts: list[RenderableType] = [_title(view), _facts(view), Text(), _tiers(view), Text(), _state(view)]
    if view.trace is not None:
        parts += [Text(), tree(view.trace)]
    return Group(*parts)


def _title(view: View) -> RenderableType:
    row = Table.grid(expand=True)
    row.add_column()
    row.add_column(justify="right")
    until = f"{view.elapsed:.0f} s of {view.seconds:g} s" if view.seconds else f"{view.elapsed:.0f} s, Ctrl-C ends it"
    row.add_row(Text("otcache demo", style="bold"), Text(until, style="dim"))
    return row


def _facts(view: View) -> RenderableType:
    urls = Text("  ").join(Text(url, style=f"cyan link {url}") for url in view.urls.values())
    return _rows(("Redis", Text(view.redis)), ("pages", urls), ("now", Text(view.now, style=_mood(view))))


def _mood(view: View) -> str:
    return "bold red" if view.trouble else "green"


def _rows(*rows: tuple[str, Text]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", min_width=9, no_wrap=True)
    table.add_column()
    for name, text in rows:
        table.add_row(name, text)
    return table


def _tiers(view: View) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("last 3 s", min_width=9, no_wrap=True)
    for name in ("keys/s", "share", "p50", "p95", "p99"):
        table.add_column(name, justify="right", min_width=9, no_wrap=True)
    recent = view.recent
    for tier in TIERS:
        keys = recent.hits(tier) if tier != "none" else sum(recent.misses.values())
        share = keys / recent.lookups if recent.lookups else None
        cell = recent.reads(tier)
        quantiles = [duration(quantile(cell, q)) for q in (0.50, 0.95, 0.99)]
        table.add_row(_LABELS[tier], _rate(keys, recent), percent(share), *quantiles)
    return table


def _state(view: View) -> Table:
    recent, newest = view.recent, view.recent.new
    errors = Text(f"{view.errors} errors", style="bold red" if view.errors else "green")
    ratio = Text(f"{percent(recent.hit_ratio())} now   {percent(view.whole.hit_ratio())} since the start")
    requests = Text(f"{_rate(count(recent.requests), recent)} per second   p99 {_p99(recent.requests)}   ") + errors
    detector = [("detector", _alarm(view))] if view.judgement is not None else []
    breaker = Text(newest.breaker, style=_COLOURS.get(newest.breaker, "dim"))
    degraded = Text(f"   degraded {percent(recent.degraded_share)}   L1 {newest.entries} of {newest.limit} entries")
    return _rows(
        ("hit ratio", ratio),
        ("misses", Text(_counts(recent.misses))),
        ("requests", requests),
        ("breaker", breaker + degraded),
        *detector,
    )


def _alarm(view: View) -> Text:
    level = view.judgement.level if view.judgement is not None else "ok"
    return Text(alarm(view), style=_LEVELS[level], no_wrap=True, overflow="ellipsis")


def alarm(view: View) -> str:
    """What the detector says; empty where none watches."""
    found = view.judgement
    if found is None:
        return ""
    if not found.alarms:
        over = found.changes[-1].said if found.changes else ""
        return f"no alarm any more: {over}" if over else "no alarm" if found.looks else "no baseline yet"
    more = f", {found.alarms - 1} more" if found.alarms > 1 else ""
    return f"{found.level}: {found.worst}{more}"


def _p99(cell: list[int]) -> str:
    return duration(quantile(cell, 0.99))


# --- one trace --------------------------------------------------------------------------------------


def tree(trace: Trace) -> RenderableType:
    """The spans of a request, each under its parent."""
    root = trace.root
    if root is None:
        return Text(f"trace {trace.id} is empty")
    top = Tree(_span(root), guide_style="dim")
    _grow(top, trace, root)
    return Group(Text(f"trace {trace.id}", style="dim"), top)


def _grow(branch: Tree, trace: Trace, parent: Span) -> None:
    for span in trace.children(parent):
        _grow(branch.add(_span(span)), trace, span)


def _span(span: Span) -> Text:
    kind = "" if span.kind == "INTERNAL" else f" {span.kind}"
    took = duration((span.end - span.start) / 1e9)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(span.name, style="bold").append(kind, style="magenta").append(f"  {took}", style="cyan")
    return text.append("  " + "  ".join(_told(span)), style="dim")


def _told(span: Span) -> Iterable[str]:
    """The attributes worth a line, most important first."""
    found = span.attributes
    if span.kind == "SERVER":
        yield str(found.get("http.response.status_code", found.get("http.status_code", "")))
    for attribute in (catalog.RESULT, catalog.TIER, catalog.MISS_REASON, catalog.DEGRADED_REASON, catalog.PURPOSE):
        value = found.get(attribute.name)
        if value is not None and value != "none":
            yield f"{attribute.name.removeprefix('otcache.')}={value}"
    if catalog.BATCH_SIZE.name in found:
        yield f"{found.get(catalog.BATCH_HITS.name, found[catalog.BATCH_SIZE.name])} keys"
    if catalog.SERVER_ADDRESS.name in found and span.kind == "CLIENT":
        yield f"{found[catalog.SERVER_ADDRESS.name]}:{found.get(catalog.SERVER_PORT.name, '')}"


# --- without a terminal -----------------------------------------------------------------------------

_COLUMNS: Final = (
    ("time", 5), ("req/s", 6), ("hit", 8), ("L1", 8), ("L2", 8), ("p99 L1", 9), ("p99 L2", 9), ("p99 miss", 9),
    ("breaker", 10), ("degr.", 7),
)  # fmt: skip


def heading() -> str:
    """What the columns of `line` are."""
    return _columns([name for name, _ in _COLUMNS])


def line(view: View) -> str:
    """The same moment in one line of less than 80 columns."""
    recent = view.recent
    p99s = [_p99(recent.reads(tier)) for tier in TIERS]
    ratios = [percent(recent.hit_ratio(*tiers)) for tiers in ((), ("l1",), ("l2",))]
    rate = _rate(count(recent.requests), recent)
    now = [f"{view.elapsed:.0f} s", rate, *ratios, *p99s, recent.new.breaker, percent(recent.degraded_share)]
    return _columns(now)


def event(view: View) -> str:
    """What has begun, and why keys have not been found until then."""
    return f"{view.elapsed:3.0f} s  {view.now} (misses: {_counts(view.recent.misses, ', ')})"


def _columns(texts: Sequence[str]) -> str:
    return "".join(text.rjust(width) for text, (_, width) in zip(texts, _COLUMNS, strict=True))
