"""What a person sees: a line per second, and a summary at the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from otcache._demo.snapshot import Window, count, quantile
from otcache.regression._reporting import report
from otcache.telemetry import catalog

_COLUMNS: Final = {
    "time": 5, "req/s": 6, "hit": 8, "p99 L1": 9, "p99 L2": 9, "p99 load": 9, "loads": 6, "stale": 6, "breaker": 10,
    "degr.": 9,
}  # fmt: skip
HEADING: Final = "".join(name.rjust(width) for name, width in _COLUMNS.items())
"""What the columns of `line` are."""


def tell(*lines: str) -> None:
    """Show lines at once, also where the output is a pipe."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def line(elapsed: float, second: Window) -> str:
    """What happened in a second, in less than 80 columns; it ended `elapsed` seconds after the first request."""
    counted = (count(second.cell("requests")), second.total("loads"), second.total("stale"))
    requests, loads, stale = (f"{n / second.seconds:.0f}" for n in counted)
    p99s = [_p99(second, tier) for tier in ("l1", "l2", "loader")]
    first = [f"{elapsed:.0f} s", requests, percent(second.hit_ratio()), *p99s, loads, stale]
    texts = [*first, second.new.breaker, percent(second.degraded_share)]
    return "".join(text.rjust(width) for text, width in zip(texts, _COLUMNS.values(), strict=True))


def _p99(window: Window, cell: str) -> str:
    return duration(quantile(window.cell(cell), 0.99))


def duration(seconds: float | None) -> str:
    """Three digits and the unit that fits."""
    return "-" if seconds is None else report.duration(seconds)


def percent(share: float | None) -> str:
    """A share of 1 in percent."""
    return "-" if share is None else f"{share * 100:.1f} %"


def _counts(numbers: Mapping[str, int]) -> str:
    ordered = sorted(numbers.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {number}" for name, number in ordered) or "none"


def totals(whole: Window) -> dict[str, str]:
    """What the metrics say of the whole time: rows of the summary."""
    of = whole.counts
    spent, saved = (of("dollars").get(kind, 0) / catalog.AI_COST.scale for kind in ("spent", "saved"))
    ratio, l1, l2 = (percent(whole.hit_ratio(*tiers)) for tiers in ((), ("l1",), ("l2",)))
    return {
        "hit ratio": f"{ratio} (L1 {l1}, L2 {l2})",
        "misses": _counts(of("misses")),
        "p99 of reads": f"L1 {_p99(whole, 'l1')}, L2 {_p99(whole, 'l2')}, loaded {_p99(whole, 'loader')}",
        "p99 of requests": _p99(whole, "requests"),
        "loads": f"{whole.total('loads')} ({_counts(of('loads'))}); {whole.total('waited')} callers waited instead, "
        f"{of('waited').get('distributed', 0)} of them on another process",
        "stale answers": _counts(of("stale")),
        "degraded": f"{of('operations').get('degraded', 0)} operations ({percent(whole.degraded_share)})",
        "invalidations": f"{of('invalidations').get('local', 0)} in the process itself; "
        f"{of('messages').get('publish', 0)} messages sent, {of('invalidations').get('backplane', 0)} applied",
        "AI responses": f"${saved:.4f} saved, ${spent:.4f} spent",
    }
