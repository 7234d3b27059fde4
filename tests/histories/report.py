"""Broken promises as a text that shows what happened, when, and what happened to Redis around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.histories.checker import Judge, Version, Violation
from tests.histories.history import DATABASE, Change, Event, History, Write

_AROUND: Final = 10_000_000_000
"""Events that long before a newer write are shown, in ns."""
_MOST: Final = 12
"""Groups that are shown."""


def report(history: History, violations: Sequence[Violation]) -> str:
    """All of it, alike ones together; times are seconds since the first record."""
    start = _beginning(history)
    groups: dict[object, list[Violation]] = {}
    for each in violations:
        groups.setdefault((each.fault, each.read.process, each.read.key, each.read.value), []).append(each)
    texts = [_group(history, group, start) for group in list(groups.values())[:_MOST]]
    left = len(groups) - len(texts)
    more = [f"and {left} more groups"] if left > 0 else []
    return "\n\n".join([f"{len(violations)} broken promises in {len(groups)} groups", *texts, *more])


@dataclass(frozen=True)
class Coverage:
    """Whether a run had a chance to break a promise.

    Attributes:
        hits: Reads that gave a value.
        near: Of those, answered by L1.
        others: Of the near ones, values that another process had set.
        old: Reads of a version after a newer write had been confirmed: within the bound, unless it was broken.
        oldest: By how much at most, in ns.
        unconfirmed: Writes that Redis did not confirm.
        away: Reads of values that Redis never confirmed.
        loaded: Reads that ran a loader.
    """

    hits: int
    near: int
    others: int
    old: int
    oldest: int
    unconfirmed: int
    away: int
    loaded: int


def coverage(history: History, bound: int) -> Coverage:
    """What the run has seen."""
    judge = Judge(history, bound)
    hits = [read for read in history.reads if read.value is not None]
    near = [read for read in hits if read.tier == "l1"]
    ages = [age for age in map(judge.age, hits) if age > 0]
    away = {write.value for write in history.writes if not write.acknowledged}
    return Coverage(
        hits=len(hits),
        near=len(near),
        others=sum(not str(read.value).startswith(f"{read.process}:") for read in near),
        old=len(ages),
        oldest=max(ages, default=0),
        unconfirmed=sum(not write.acknowledged for write in history.writes),
        away=sum(read.value in away for read in hits),
        loaded=sum(read.tier == "loader" for read in hits),
    )


def _beginning(history: History) -> int:
    begins = [read.began for read in history.reads] + [write.began for write in history.writes]
    return min(begins, default=0)


def _group(history: History, group: list[Violation], start: int) -> str:
    violation, read = group[0], group[0].read
    asked = f"process {read.process} asked {read.operation}({read.key!r}) at {_s(read.began, start)}"
    got = f"got {read.value!r} from {read.tier or 'a tier that nobody watched'} at {_s(read.ended, start)}"
    lines = [f"{violation.fault}: {asked}, and {got}"]
    if violation.version is not None:
        lines.append(f"  got:   {_origin(violation.version, start)}")
    if violation.newer is not None:
        lines.append(f"  newer: {_write(violation.newer, start)}")
    worst = max(group, key=lambda each: each.late)
    if worst.late:
        lines.append(f"  late:  by {violation.late / 1e9:.6f} s; at the worst {worst.late / 1e9:.6f} s")
    if len(group) > 1:
        lines.append(f"  and {len(group) - 1} more such reads, the last at {_s(group[-1].read.began, start)}")
    since = violation.newer.began if violation.newer is not None else read.began
    lines += [f"  {_s(event.at, start):>12} {event.what}" for event in _around(history, since, worst.read.ended)]
    return "\n".join(lines)


def _origin(version: Version, start: int) -> str:
    origin = version.origin
    if isinstance(origin, Write):
        return _write(origin, start)
    return f"{_change(origin, start)}; changed again by {_s(version.settled, start)}"


def _change(change: Change, start: int) -> str:
    if change.process == DATABASE:
        return f"{change.value!r} was in the database from the beginning"
    times = f"from {_s(change.began, start)} to {_s(change.ended, start)}"
    return f"process {change.process} changed {change.key!r} to {change.value!r} in the database {times}"


def _write(write: Write, start: int) -> str:
    what = f"{write.kind} {write.target!r}" + (f" = {write.value!r}" if write.value is not None else "")
    tags = f" tagged {', '.join(write.tags)}" if write.tags else ""
    times = f"from {_s(write.began, start)} to {_s(write.ended, start)}"
    fate = "confirmed" if write.acknowledged else "not confirmed" if write.sent else "not sent"
    return f"process {write.process}: {what}{tags} {times}, {fate}"


def _around(history: History, newer: int, until: int) -> list[Event]:
    events = [event for event in history.events if newer - _AROUND <= event.at <= until]
    return sorted(events, key=lambda event: event.at)


def _s(at: int, start: int) -> str:
    return f"{(at - start) / 1e9:.6f} s"
