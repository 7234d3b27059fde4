"""What a run has found, as a file: every round of every case, and the facts of the machine."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import Spread, Timing

BASELINE: Final = Path(__file__).parent / "baseline.json"
"""The run that docs/performance.md shows."""
SCHEMA_VERSION: Final = 1
KIND: Final = "otcache.peers"


@dataclass
class Results:
    """One run.

    Attributes:
        facts: Machine, versions, commit, as texts.
        rounds: How many.
        groups: Timings by group and case.
        bytes_per_entry: By structure and number of entries.
        absent: What was left out, and why.
    """

    facts: dict[str, str]
    rounds: int
    groups: dict[str, dict[str, Timing]] = field(default_factory=dict)
    bytes_per_entry: dict[str, dict[int, float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def ratio(self, group: str, case: str, other: str, clock: str = "cpu") -> Spread | None:
        """One case over another of its group; `None` if one of them was left out."""
        cases = self.groups.get(group, {})
        return cases[case].ratio_to(cases[other], clock) if case in cases and other in cases else None

    def median_ns(self, group: str, case: str, clock: str = "cpu") -> Spread | None:
        """ns per operation; `None` if the case was left out."""
        timing = self.groups.get(group, {}).get(case)
        figures = timing.figures(clock) if timing is not None else []
        return Spread.of(figures) if figures else None

    def save(self, path: Path) -> None:
        """Write it, one case a line."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json())

    def to_json(self) -> str:
        """The text of the file; figures with four digits that count."""
        head = {"schema_version": SCHEMA_VERSION, "kind": KIND, "rounds": self.rounds, "facts": self.facts}
        head |= {"absent": self.absent, "bytes_per_entry": self.bytes_per_entry}
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
        groups = [f"{json.dumps(name)}: {_cases(cases)}" for name, cases in self.groups.items()]
        lines.append('"groups": {\n' + ",\n".join(groups) + "\n}")
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a file.

        Raises:
            ValueError: It is not one of these, or of another version.
        """
        read: dict[str, Any] = json.loads(path.read_text())
        if (read.get("kind"), read.get("schema_version")) != (KIND, SCHEMA_VERSION):
            raise ValueError(f"{path} is not a result of version {SCHEMA_VERSION} of `python -m benchmarks`")
        groups = {
            group: {name: Timing(each["cpu"], each["wall"]) for name, each in cases.items()}
            for group, cases in read["groups"].items()
        }
        sizes = {name: {int(n): b for n, b in found.items()} for name, found in read["bytes_per_entry"].items()}
        return cls(read["facts"], read["rounds"], groups, sizes, read["absent"])


def _cases(cases: dict[str, Timing]) -> str:
    lines = [
        f"  {json.dumps(name)}: {json.dumps({'cpu': _short(timing.cpu), 'wall': _short(timing.wall)})}"
        for name, timing in cases.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}"


def _short(figures: list[float]) -> list[float]:
    return [float(f"{figure:.4g}") for figure in figures]
