"""Write the generated tables into the documentation, or check that they are up to date.

Usage: python docs/tables.py [--check]

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from benchmarks.results import BASELINE, Results
from otcache.alerts.tables import alert_table, threshold_table
from otcache.cli import _dashboards as cli_dashboards
from otcache.config.model import options_table
from otcache.telemetry.catalog import tables

DOCS = Path(__file__).parent


def dashboard_thresholds() -> str:
    """The thresholds of the dashboards."""
    rows = [
        (f"`{each.name}`", f"{each.default:g}", each.unit, f"{each.minimum:g}..{each.maximum:g}", each.meaning)
        for each in cli_dashboards.load().thresholds.values()
    ]
    return tables.table(("threshold", "default", "unit", "range", "meaning"), rows)


def measured(part: Callable[[Results], str]) -> Callable[[], str]:
    """A part of the report on the committed run of `make bench-full`."""
    return lambda: part(Results.load(BASELINE))


TABLES = {
    "bench_targets": measured(report.targets),
    "bench_groups": measured(report.groups),
    "bench_machine": measured(report.machine),
    "options": options_table,
    "alerts": alert_table,
    "thresholds": threshold_table,
    "dashboard_thresholds": dashboard_thresholds,
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
