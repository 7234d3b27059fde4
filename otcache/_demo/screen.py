"""What a person sees: a live table in a terminal, a line per second elsewhere, a summary at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from otcache._demo.detector import Found
from otcache._demo.snapshot import TIERS, Window, count, quantile
from otcache.regression._reporting import report

_LABELS: Final = {"l1": "L1 hit", "l2": "L2 hit", "loader": "loaded", "none": "missed"}
_BACKPLANE: Final = {"available": "green", "none": "dim"}
_LEVELS: Final = {"ok": "green", "warning": "bold yellow", "critical": "bold red"}
_COLOURS: Final = {"closed": "green", "half_open": "yellow", "open": "red"}


@dataclass(frozen=True, slots=True)
class View:
    """One moment of the demo.

    Attributes:
        elapsed: Seconds since the first request.
        seconds: How long it will run; `None` until Ctrl-C.
        l2: What L2 is.
        urls: The pages of each process of the application.
        now: What happens at this moment.
        trouble: Whether that is trouble, to be shown in red.
        recent: The last few seconds.
        whole: Everything so far.
        errors: Requests that failed, as clients see it.
        found: What the detector has found; `None` where there is none.
    """

    elapsed: float
    seconds: float | None
    l2: str
    urls: Sequence[Mapping[str, str]]
    now: str
    trouble: bool
    recent: Window
    whole: Window
    errors: int
    found: Found | None = None


# --- numbers as text --------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """Three digits and the unit that fits."""
    return "-" if seconds is None else report.duration(seconds)


def percent(share: float | None) -> str:
    """A share of 1 in percent."""
    return "-" if share is None else f"{share * 100:.1f} %"


def _rate(number: int, window: Window) -> str:
    return f"{number / window.seconds:.0f}"


def counts(numbers: Mapping[str, int], separator: str = "  ") -> str:
    """Names with their numbers, the largest first."""
    ordered = sorted(numbers.items(), key=lambda item: -item[1])
    return separator.join(f"{name} {number}" for name, number in ordered) or "none"


# --- the live table ---------------------------------------------------------------------------------


def live(view: View) -> RenderableType:
    """The whole screen; at most 23 lines of 80 columns."""
    return Group(_title(view), _facts(view), Text(), _tiers(view), Text(), _state(view))


def _title(view: View) -> RenderableType:
    row = Table.grid(expand=True)
    row.add_column()
    row.add_column(justify="right")
    until = f"{view.elapsed:.0f} s of {view.seconds:g} s" if view.seconds else f"{view.elapsed:.0f} s, Ctrl-C ends it"
    row.add_row(Text("otcache demo", style="bold"), Text(until, style="dim"))
    return row


def _facts(view: View) -> RenderableType:
    processes = [(f"process {number}", _pages(urls)) for number, urls in enumerate(view.urls, 1)]
    return _rows(("Redis", Text(view.l2)), *processes, ("now", Text(view.now, style=_mood(view))))


def _pages(urls: Mapping[str, str]) -> Text:
    """The first with its host, the others without: each is a link where the terminal has them."""
    written = [url if not at else f"/{url.rpartition('/')[2]}" for at, url in enumerate(urls.values())]
    return Text("  ").join(
        Text(text, style=f"cyan link {url}") for text, url in zip(written, urls.values(), strict=True)
    )


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
        keys = _keys(recent, tier)
        share = keys / recent.lookups if recent.lookups else None
        cell = recent.reads(tier)
        quantiles = [duration(quantile(cell, q)) for q in (0.50, 0.95, 0.99)]
        table.add_row(_LABELS[tier], _rate(keys, recent), percent(share), *quantiles)
    return table


def _keys(window: Window, tier: str) -> int:
    """Keys that a tier had, or that none had: those were loaded, or only missed."""
    loaded = count(window.reads("loader"))
    if tier == "loader":
        return loaded
    return window.counts("hits").get(tier, 0) if tier != "none" else max(0, window.total("misses") - loaded)


def _state(view: View) -> Table:
    recent, newest = view.recent, view.recent.new
    stale = recent.counts("stale")
    errors = Text(f"{view.errors} errors", style="bold red" if view.errors else "green")
    ratio = Text(f"{percent(recent.hit_ratio())} now   {percent(view.whole.hit_ratio())} since the start")
    requests = Text(f"{_rate(count(recent.requests), recent)} per second   p99 {_p99(recent.requests)}   ") + errors
    breaker = Text(newest.breaker, style=_COLOURS.get(newest.breaker, "dim"))
    entries = f"L1 {newest.level('l1', 'entries')} of {newest.level('l1', 'limit')} entries"
    degraded = Text(f"   degraded {percent(recent.degraded_share)}   {entries}")
    return _rows(
        ("hit ratio", ratio),
        ("misses", Text(counts(recent.counts("misses")))),
        ("loads", _loads(recent)),
        ("stale", Text(counts(stale), style="yellow" if stale else "")),
        ("responses", Text(counts(recent.counts("responses")))),
        ("requests", requests),
        ("breaker", breaker + degraded),
        *_between_processes(view),
    )


def _loads(window: Window) -> Text:
    elsewhere, now = window.counts("waited").get("distributed", 0), window.new.level("waiting", "callers")
    waited = f"{window.total('waited')} callers waited instead, {elsewhere} on another process"
    return Text(f"{window.total('loads')}   {waited}   {now} wait now")


def _between_processes(view: View) -> Iterator[tuple[str, Text]]:
    state, found = view.recent.new.backplane, view.found
    yield "backplane", Text(state, style=_BACKPLANE.get(state, "red")) + Text(f"   {messages(view.recent)}")
    if found is not None:
        yield "detector", Text(alarm(found), style=_LEVELS[found.level], no_wrap=True, overflow="ellipsis")


def messages(window: Window) -> str:
    """Invalidation messages between processes, and how fast they are."""
    sent, applied = window.counts("messages").get("publish", 0), window.counts("invalidations").get("backplane", 0)
    return f"{sent} sent, {applied} applied, 99 % within {duration(window.arrived_within(0.99))}"


def alarm(found: Found) -> str:
    """What the detector has found, in half a line."""
    if not found.alarms:
        over = found.changes[-1].text if found.changes else ""
        return f"no alarm any more: {over}" if over else "no alarm" if found.evaluations else "no baseline yet"
    more = f", {found.alarms - 1} more" if found.alarms > 1 else ""
    return f"{found.level}: {found.worst}{more}"


def _p99(cell: list[int]) -> str:
    return duration(quantile(cell, 0.99))


# --- without a terminal -----------------------------------------------------------------------------

_COLUMNS: Final = (
    ("time", 5), ("req/s", 6), ("hit", 8), ("p99 L1", 9), ("p99 L2", 9), ("p99 load", 9), ("loads", 6), ("stale", 6),
    ("breaker", 10), ("degr.", 9),
)  # fmt: skip


def heading() -> str:
    """What the columns of `line` are."""
    return _columns([name for name, _ in _COLUMNS])


def line(view: View) -> str:
    """The same moment in one line of less than 80 columns."""
    recent = view.recent
    p99s = [_p99(recent.reads(tier)) for tier in TIERS if tier != "none"]
    loads, stale = (_rate(recent.total(subject), recent) for subject in ("loads", "stale"))
    rate = _rate(count(recent.requests), recent)
    first = [f"{view.elapsed:.0f} s", rate, percent(recent.hit_ratio()), *p99s, loads, stale]
    return _columns([*first, recent.new.breaker, percent(recent.degraded_share)])


def event(view: View) -> str:
    """What has begun, and why keys have not been found until then."""
    return f"{view.elapsed:3.0f} s  {view.now} (misses: {counts(view.recent.counts('misses'), ', ')})"


def _columns(texts: Sequence[str]) -> str:
    return "".join(text.rjust(width) for text, (_, width) in zip(texts, _COLUMNS, strict=True))
