"""What otcache is to reach, and what CI lets pass: ratios taken within one run, never times of a clock.

A gate is wider than its target: it is for what has become worse, not for what is not reached yet. Each is a quarter
beyond the worst of several runs, some of them on a busy machine (`python -m benchmarks.margins`, docs/performance.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from benchmarks import entry_memory
from benchmarks.harness import Spread
from benchmarks.results import Results
from benchmarks.workloads import decorated, eviction, export, flat, hits, redis_hits

Bound = Literal["at most", "at least"]
Verdict = Literal["met", "missed", "left out"]


@dataclass(frozen=True, slots=True)
class Target:
    """One row.

    Attributes:
        row: Its letter.
        what: What is measured, over what.
        bound: Which way is better.
        value: The target.
        gate: What CI fails beyond; `None` where the figure is a time.
        group: Whose run gives the figure.
        figure: The figure of a run, `None` if something of it was left out.
        unit: Of the figure.
    """

    row: str
    what: str
    bound: Bound
    value: float
    gate: float | None
    group: str
    figure: Callable[[Results], Spread | None]
    unit: str = "x"

    def verdict(self, results: Results) -> Verdict:
        """Whether the median reaches the target."""
        found = self.figure(results)
        return "left out" if found is None else "met" if self._holds(found, self.value) else "missed"

    def passes(self, results: Results) -> bool:
        """Whether CI lets the median pass; what was left out passes."""
        found = self.figure(results)
        return found is None or self.gate is None or self._holds(found, self.gate)

    def _holds(self, found: Spread, limit: float) -> bool:
        return found.middle <= limit if self.bound == "at most" else found.middle >= limit

    @property
    def shown(self) -> str:
        """The target, for people."""
        return f"{self.bound} {self.value:g} {self.unit}"


def _ratio(row: str, what: str, bound: Bound, value: float, gate: float, group: str, case: str, other: str) -> Target:
    return Target(row, what, bound, value, gate, group, partial(_of, group, case, other))


def _of(group: str, case: str, other: str, results: Results, clock: str = "cpu") -> Spread | None:
    return results.ratio(group, case, other, clock)


def _microseconds(group: str, case: str, results: Results) -> Spread | None:
    found = results.median_ns(group, case)
    return None if found is None else Spread(*(figure / 1000 for figure in found))


def _bytes(results: Results) -> Spread | None:
    """The dearest of all sizes; one figure each, so there is no spread but theirs."""
    found = results.bytes_per_entry.get(entry_memory.OTCACHE, {}).values()
    return Spread(min(found), max(found), max(found)) if found else None


def _growth(results: Results) -> Spread | None:
    """Bytes per entry at the largest size over those at 100 000."""
    found = results.bytes_per_entry.get(entry_memory.OTCACHE, {})
    if len(found) < 2:
        return None
    ratio = found[max(found)] / found[100_000]
    return Spread(ratio, ratio, ratio)


def _hit() -> Iterator[Target]:
    ours = hits.UNSAMPLED_HIT
    yield _ratio("a", "hit in memory over a bare async dict with a time to live", "at most", 3.2, 3.5,
                 "hit", ours, hits.BARE)  # fmt: skip
    yield _ratio(
        "a", "hit of cashews `mem://`, without telemetry, over ours", "at least", 6, 5.5, "hit", "cashews", ours
    )
    yield _ratio("a", "hit of fastapi-cache2, without telemetry, over ours", "at least", 1.3, 1.1,
                 "hit", "fastapi-cache2", ours)  # fmt: skip
    yield _ratio("a", "hit in memory over one `counter.add()`", "at most", 0.15, 0.15, "hit", ours, hits.ONE_ADD)
    yield _ratio("b", "hit in memory, recorded, over the tutorial way, recorded", "at most", 0.5, 0.62,
                 "hit", hits.RECORDED_HIT, hits.TUTORIAL_RECORDED)  # fmt: skip


def _decorated() -> Iterator[Target]:
    ours = decorated.OTCACHE
    for name, value, gate in (("fastapi-cache2", 12, 7), ("cashews", 40, 28)):
        yield _ratio("f", f"decorated hit of {name}, without telemetry, over ours", "at least", value, gate,
                     "decorated", name, ours)  # fmt: skip


def _redis() -> Iterator[Target]:
    ours = redis_hits.OTCACHE
    yield _ratio("c", "hit in Redis, decoded, over bare redis-py", "at most", 1.3, 1.9, "redis", ours, redis_hits.BARE)
    yield _ratio("c", "hit in Redis over redis-py and its instrumentation", "at most", 1, 1.4,
                 "redis", ours, redis_hits.INSTRUMENTED)  # fmt: skip
    figure = partial(_of, "readers", redis_hits.BARE, ours, clock="wall")
    yield Target("d", "throughput of fifty readers over bare redis-py", "at least", 8, 1.7, "readers", figure)
    yield _ratio("d", "the same, CPU of bare redis-py over ours", "at least", 8, 1.7, "readers", redis_hits.BARE, ours)


def _memory() -> Iterator[Target]:
    yield Target("e", "bytes per entry in memory, key and value excluded", "at most", 140, 140, "memory", _bytes, "B")
    yield Target("e", "the same at the most entries over 100 000", "at most", 1.1, 1.3, "memory", _growth)
    yield _ratio("g", "store that evicts over `OrderedDict.popitem`, 10 000 entries", "at most", 1.2, 1.5,
                 "eviction", eviction.OTCACHE, eviction.ORDERED)  # fmt: skip
    yield _ratio("g", "the same at full size", "at most", 1.2, 1.5,
                 "eviction", eviction.OTCACHE_LARGE, eviction.ORDERED_LARGE)  # fmt: skip


def _export() -> Iterator[Target]:
    figure = partial(_microseconds, "export", export.PER_SERIES)
    yield Target("h", "export per series and collection", "at most", 20, None, "export", figure, "µs")
    yield _ratio("h", "the same over one `counter.add()`", "at most", 2.7, 3.2,
                 "export", export.PER_SERIES, hits.ONE_ADD)  # fmt: skip


def _flat() -> Iterator[Target]:
    for case, what in (
        (flat.ENTRIES, "hit in a cache full of entries over one in a cache of one"),
        (flat.CACHES, "hit beside a hundred other caches over one alone"),
        (flat.CALLBACKS, "hit with fifty callbacks of other events over one without"),
    ):
        yield _ratio("flat", what, "at most", 1.1, 1.3, "flat", case, flat.ALONE)


TARGETS: Final = (*_hit(), *_redis(), *_memory(), *_decorated(), *_export(), *_flat())
"""In the order of their letters."""
