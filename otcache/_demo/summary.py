"""What the demo has shown, in one paragraph of facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.table import Table

from otcache._demo.screen import counts, duration, messages, percent
from otcache._demo.slowdown import SLOW, USUAL, SlowDown
from otcache._demo.snapshot import Window, quantile
from otcache._demo.stampede import Stampede


@dataclass(slots=True)
class Outage:
    """One outage of Redis.

    Attributes:
        length: Seconds the server was gone.
        read_p99: The worst p99 of the cache's reads in any second until recovery, in seconds.
        request_p99: The same of whole requests, as clients see them.
        recovered_after: Seconds from the server's first answer until every cache used it again, and its backplane
            was up; `None`: not yet.
    """

    length: float = 0.0
    read_p99: float = 0.0
    request_p99: float = 0.0
    recovered_after: float | None = None

    def watch(self, second: Window) -> None:
        """Take one second of it into account."""
        self.read_p99 = max(self.read_p99, quantile(second.reads(), 0.99) or 0.0)
        self.request_p99 = max(self.request_p99, quantile(second.requests, 0.99) or 0.0)


@dataclass(frozen=True, slots=True)
class Summary:
    """The end.

    Attributes:
        l2: What L2 was.
        processes: Of the application.
        whole: From the first request to the last.
        requests: How many.
        errors: How many of them failed, as clients see it.
        last_error: What the last failed one said.
        outages: Each one.
        stampedes: Each one.
        slow_down: The regression that was played, if any.
    """

    l2: str
    processes: int
    whole: Window
    requests: int
    errors: int
    last_error: str | None
    outages: tuple[Outage, ...]
    stampedes: tuple[Stampede, ...] = ()
    slow_down: SlowDown | None = None


def table(summary: Summary) -> RenderableType:
    """The summary as rows of a name and a fact."""
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(no_wrap=True, min_width=16, style="dim")
    rows.add_column()
    facts = _totals(summary) | _loads(summary) | _coherence(summary) | _trouble(summary)
    for name, fact in (facts | _regression(summary.slow_down)).items():
        rows.add_row(name, fact)
    return rows


def _totals(summary: Summary) -> dict[str, str]:
    whole = summary.whole
    p99s = ", ".join(
        f"{label} {duration(quantile(whole.reads(tier), 0.99))}"
        for label, tier in (("L1", "l1"), ("L2", "l2"), ("loaded", "loader"))
    )
    errors = str(summary.errors) + (f" (last: {summary.last_error})" if summary.last_error else "")
    return {
        "L2": summary.l2,
        "seconds": f"{whole.seconds:.1f}",
        "requests": f"{summary.requests} ({summary.requests / whole.seconds:.0f} per second, "
        f"{summary.processes} process{'es' * (summary.processes > 1)})",
        "client errors": errors,
        "hit ratio": f"{percent(whole.hit_ratio())} (L1 {percent(whole.hit_ratio('l1'))}, "
        f"L2 {percent(whole.hit_ratio('l2'))})",
        "misses": counts(whole.counts("misses"), ", "),
        "p99 of reads": p99s,
        "AI responses": f"${whole.dollars('saved'):.4f} saved, ${whole.dollars('spent'):.4f} spent",
        "degraded": f"{whole.counts('operations').get('degraded', 0)} operations ({percent(whole.degraded_share)})",
    }


def _loads(summary: Summary) -> dict[str, str]:
    whole = summary.whole
    elsewhere = whole.counts("waited").get("distributed", 0)
    return {
        "loads": f"{whole.total('loads')} ({counts(whole.counts('loads'), ', ')}); {whole.total('waited')} callers "
        f"waited instead, {elsewhere} of them on another process",
        **_crowd(summary.stampedes),
        "stale answers": counts(whole.counts("stale"), ", "),
        "responses": counts(whole.counts("responses"), ", "),
    }


def _crowd(stampedes: Sequence[Stampede]) -> dict[str, str]:
    """The first of them: the others are like it."""
    if not stampedes:
        return {}
    crowd = stampedes[0]
    where = f"in {crowd.processes} processes" if crowd.processes > 1 else "in one process"
    load = "1 load" if crowd.loads == 1 else f"{crowd.loads} loads"
    return {
        "stampede": f"{crowd.callers} callers of one cold key {where}: {load}, {crowd.waited} waited for it, "
        f"the slowest took {duration(crowd.slowest)}"
    }


def _coherence(summary: Summary) -> dict[str, str]:
    local = summary.whole.counts("invalidations").get("local", 0)
    if summary.processes < 2:
        return {}
    return {"invalidations": f"{local} in the process itself; messages to the other: {messages(summary.whole)}"}


def _trouble(summary: Summary) -> dict[str, str]:
    if not summary.outages:
        return {"outages": "0"}
    recovered = [outage.recovered_after for outage in summary.outages if outage.recovered_after is not None]
    missing = len(summary.outages) - len(recovered)
    after = ", ".join(f"{seconds:.2f} s" for seconds in recovered) or "-"
    return {
        "outages": f"{len(summary.outages)} ({', '.join(f'{o.length:.1f} s' for o in summary.outages)})",
        "outage p99": f"reads {duration(max(o.read_p99 for o in summary.outages))}, "
        f"requests {duration(max(o.request_p99 for o in summary.outages))}",
        "recovered after": after + (f" ({missing} not before the end)" if missing else ""),
    }


def _regression(slow_down: SlowDown | None) -> dict[str, str]:
    if slow_down is None:
        return {}
    raised, worst, cleared, missing = slow_down.raised, slow_down.worst, slow_down.cleared, "not before the end"
    length = f"{slow_down.ended - slow_down.began:.1f} s" if slow_down.ended else "not over before the end"
    found = f"{raised.at - slow_down.began:.1f} s after it began" if raised else missing
    found += f"; at worst {worst.after}: {worst.text}" if raised and worst else ""
    over = f"{cleared.at - slow_down.ended:.1f} s after it ended" if cleared and slow_down.ended else missing
    return {
        "slow-down": f"{length} of {SLOW * 1000:g} ms to Redis instead of {USUAL * 1000:g}"
        if slow_down.began
        else missing,
        "alarm raised": found,
        "alarm cleared": over,
        "detector": f"{slow_down.found.evaluations} evaluations, {slow_down.early} alarms before the slow-down",
    }
