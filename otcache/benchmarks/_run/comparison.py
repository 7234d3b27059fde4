"""What a comparison of two suites says, and how it is written down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from otcache.regression._model import Verdict
from otcache.regression._reporting.report import Case, junit_suites
from otcache.telemetry.catalog.tables import table

Entries = list[dict[str, Any]]
Overall = Literal["ok", "warning", "critical", "inconclusive"]
SCHEMA_VERSION: Final = 1
_COLUMNS: Final = ("operation", "metric", "baseline", "current", "change", "interval", "verdict")


@dataclass
class ComparisonResult:
    """One suite against a baseline. A positive change is a change for the worse.

    Attributes:
        operations: What both sides have.
        regressions: What is worse by a threshold or more; dictionaries as `detect_timing_regressions` gives.
        improvements: What is better by a threshold or more.
        unchanged: Where a regression is ruled out, or, without raw rounds, did not show.
        minor: What is certainly worse, and certainly by less than the warning threshold.
        inconclusive: What has no verdict, with the reason in `message`.
        only_in_baseline: Operations that the current side lacks.
        only_in_current: Operations that the baseline lacks.
        verdict: The worst there is: critical, warning, inconclusive, ok; inconclusive too if nothing was compared.
    """

    operations: list[str] = field(default_factory=list)
    regressions: Entries = field(default_factory=list)
    improvements: Entries = field(default_factory=list)
    unchanged: Entries = field(default_factory=list)
    minor: Entries = field(default_factory=list)
    inconclusive: Entries = field(default_factory=list)
    only_in_baseline: list[str] = field(default_factory=list)
    only_in_current: list[str] = field(default_factory=list)
    verdict: Overall = "inconclusive"

    def to_dict(self) -> dict[str, Any]:
        """Every field, and `schema_version`."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_markdown(self) -> str:
        """The verdict, what changed as a table, and what did not as a folded one."""
        shown = [*self.regressions, *self.minor, *self.inconclusive, *self.improvements]
        parts = [f"**Benchmarks: {self.verdict}**", *self._table(shown), *self._notes()]
        if self.unchanged:
            summary = f"<summary>{len(self.unchanged)} unchanged</summary>"
            parts += [f"<details>{summary}", *self._table(self.unchanged), "</details>"]
        return "\n\n".join(parts) + "\n"

    @staticmethod
    def _table(entries: Entries) -> list[str]:
        return [table(_COLUMNS, map(_row, entries))] if entries else []

    def _notes(self) -> Iterator[str]:
        for each in self.inconclusive:
            yield f"* {each['message']}"
        for side, names in (("baseline", self.only_in_baseline), ("current side", self.only_in_current)):
            if names:
                yield f"Only in the {side}: {', '.join(names)}."

    def to_junit(self) -> str:
        """JUnit XML: a suite per metric, a case per operation; critical fails, inconclusive is skipped."""
        suites: dict[str, list[Case]] = {}
        for each in (*self.regressions, *self.minor, *self.inconclusive, *self.improvements, *self.unchanged):
            verdict: Verdict = "ok" if each["severity"] in ("minor", "improved") else each["severity"]
            suites.setdefault(each["metric"], []).append((each["operation"], verdict, each["message"]))
        return junit_suites("otcache benchmarks", suites, "critical")


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    low, high = each["ci_low_percent"], each["ci_high_percent"]
    interval = f"{low:+.1f} to {high:+.1f} %" if low is not None and high is not None else "-"
    change = each["change_percent"]
    return (
        each["operation"], each["metric"], _figure(each["old_value"]), _figure(each["new_value"]),
        "-" if change is None else f"{change:+.1f} %", interval, each["severity"],
    )  # fmt: skip


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
