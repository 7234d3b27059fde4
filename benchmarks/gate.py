"""What CI fails for: a ratio that lies beyond its gate, and again when its group is measured alone."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks import catalogue
from benchmarks.results import Results
from benchmarks.setting import Setting
from benchmarks.targets import TARGETS, Target


def beyond(results: Results, targets: Iterable[Target] = TARGETS) -> list[Target]:
    """The targets whose gate does not hold."""
    return [target for target in targets if not target.passes(results)]


async def failures(results: Results, setting: Setting, targets: Iterable[Target] = TARGETS) -> list[str]:
    """What lies beyond its gate, in words; each such group is measured a second time before it counts."""
    suspects = beyond(results, targets)
    if not suspects:
        return []
    again = await catalogue.run({target.group for target in suspects}, setting, results.rounds)
    return [
        f"{target.what}: {target.figure(again)}, gate {target.bound} {target.gate:g} {target.unit}"
        for target in beyond(again, suspects)
    ]
