"""A run in words: the table of targets, a table per group, where it was and what was left out."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.catalogue import GROUPS
from benchmarks.harness import Spread
from benchmarks.peers import MODULES
from benchmarks.results import Results
from benchmarks.targets import TARGETS
from benchmarks.workloads import Group
from otcache.telemetry.catalog.tables import table


def targets(results: Results) -> str:
    """The table of targets: each with what was measured and whether it is met."""
    rows = [
        (target.row, target.what, target.shown, _shown(target.figure(results)), target.verdict(results))
        for target in TARGETS
    ]
    return table(("", "what", "target", "measured", ""), rows)


def _shown(spread: Spread | None) -> str:
    return "" if spread is None else str(spread)


def group(of: Group, results: Results) -> str:
    """The table of one group: each case as a multiple of the base."""
    cases = results.groups.get(of.name, {})
    clocks = _CLOCKS if of.needs_redis else ("cpu",)
    columns = ("case", *(f"x the first, {_CLOCKS[clock]}" for clock in clocks))
    rows = [(name, *(_shown(results.ratio(of.name, name, of.base, clock)) for clock in clocks)) for name in cases]
    return table(columns, rows)


_CLOCKS = {"wall": "time that passes", "cpu": "CPU"}


def groups(results: Results) -> str:
    """The tables of every group that was run."""
    parts = [f"**{each.title}**\n\n{group(each, results)}" for each in GROUPS if results.groups.get(each.name)]
    return "\n\n".join([*parts, *_memory(results)])


def _memory(results: Results) -> Iterator[str]:
    if results.bytes_per_entry:
        rows = [
            (name, f"{entries:,}", f"{figure:.0f}")
            for name, sizes in results.bytes_per_entry.items()
            for entries, figure in sizes.items()
        ]
        yield f"**Bytes per entry in memory, key and value excluded**\n\n{table(('structure', 'entries', 'B'), rows)}"


def machine(results: Results) -> str:
    """Where the run was, in one line."""
    facts = results.facts
    parts = [f"{name} {facts[name]}" for name in MODULES if name in facts]
    where = f"{facts.get('cpu', 'unknown')}, {facts.get('cpu_count', '?')} CPUs, load {facts.get('load', '?')}"
    versions = [facts.get("python", ""), facts.get("server", ""), f"redis-py {facts.get('redis_py', '?')}"]
    versions.append(f"OpenTelemetry SDK {facts.get('opentelemetry_sdk', '?')}")
    said = f"{results.rounds} rounds on {where}; {', '.join([*filter(None, versions), *parts])}."
    missing = "; ".join(f"{what}: {why}" for what, why in results.absent.items())
    return f"{said} Left out: {missing}." if missing else said


def absolute(results: Results) -> str:
    """Times, for this machine at this moment only."""
    rows = [
        (each.name, name, *(_time(results.median_ns(each.name, name, clock)) for clock in _CLOCKS))
        for each in GROUPS
        for name in results.groups.get(each.name, {})
    ]
    return table(("group", "case", "passed µs", "CPU µs"), rows)


def _time(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.middle / 1000:.3g}"


def whole(results: Results) -> str:
    """Everything, for a terminal."""
    parts = (machine(results), groups(results), absolute(results), targets(results))
    return "\n\n".join(filter(None, parts))
