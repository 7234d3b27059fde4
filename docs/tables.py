"""Write the generated tables into the documentation, or check that they are up to date.

Usage: python docs/tables.py [--check]

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import report
from benchmarks.results import BASELINE, Results
from otcache.alerts import Parameters, alerts, thresholds
from otcache.cli import dashboards
from otcache.config.model import options_table
from otcache.telemetry.catalog import tables

DOCS = Path(__file__).parent


def alert_table() -> str:
    """Every alert: when it fires, its severity, where to look."""
    using = Parameters()
    rows = [
        (f"[`{each.name}`](runbooks.md#{each.name.lower()}) {'/'.join(each.labels.values())}".strip(), each.severity,
         each.summary, using.time(each.hold) if each.hold else "at once", f"`{each.dashboard}`")
        for each in alerts(using)
    ]  # fmt: skip
    return tables.table(("alert", "severity", "says", "for", "dashboard"), rows)


def threshold_table(known: Mapping[str, thresholds.Threshold]) -> str:
    """Thresholds by the name of their option."""
    rows = [
        (f"`{name}`", f"{each.default:g} {each.unit}".strip(), f"{each.low:g}..{each.high:g}", each.meaning)
        for name, each in known.items()
    ]
    return tables.table(("threshold", "default", "range", "meaning"), rows)


def measured(part: Callable[[Results], str]) -> Callable[[], str]:
    """A part of the report on the committed run of `make bench-full`."""
    return lambda: part(Results.load(BASELINE))


TABLES = {
    "bench_targets": measured(report.targets),
    "bench_groups": measured(report.groups),
    "bench_machine": measured(report.machine),
    "options": options_table,
    "alerts": alert_table,
    "thresholds": lambda: threshold_table(thresholds.ALERTS),
    "dashboard_thresholds": lambda: threshold_table(dashboards.load().thresholds),
    "instruments": tables.instruments,
    "buckets": tables.buckets,
    "attributes": tables.attributes,
    "spans": tables.spans,
    "events": tables.events,
}
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rendered(text: str) -> str:
    """`text` with every table as the code has it."""
    return PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]]()}\n\n{place[3]}", text)


def main(arguments: list[str]) -> int:
    """Write or check; 1 if a page is out of date."""
    stale = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text()
        if rendered(text) != text:
            stale.append(page)
            if "--check" not in arguments:
                page.write_text(rendered(text))
    if stale and "--check" in arguments:
        print("out of date (run: make docs-tables):", *(page.name for page in stale))  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
