"""Objects that several callers hold: one that was changed by a caller is found out, and served to nobody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import random
from types import MappingProxyType
from typing import Any, Final, Literal

from otcache._serialization.fingerprint import Mark, fingerprint, is_fixed
from otcache.telemetry._instrumentation.signals import clock

Detection = Literal["always", "sampled", "off"]

ONE_IN: Final = 100
"""Of so many mutable values that are written or copied to L1, `sampled` marks one."""
SHARE: Final = 100
"""`sampled` looks at marked values for at most one in so many nanoseconds of the process's time."""
AHEAD_NS: Final = 10_000_000_000
"""How far looking may run ahead of that share: 0.1 s of looking at once."""

_NONE: Final[Mapping[str, Mark]] = MappingProxyType({})


class SharedObjects:
    """Marks values that are about to be shared, and compares them with their marks.

    Nothing is counted for a hit: the choice is made when a value is written, and only chosen entries leave the hit
    path.

    Args:
        detection: Whether every mutable value is marked, one in a hundred, or none.
        report: Told of a change: the template of the key if there is one, and the name of the value's type.
    """

    def __init__(self, detection: Detection, report: Callable[[str | None, str], None]) -> None:
        self._detection = detection
        self._odds = {"always": 1.0, "sampled": 1 / ONE_IN, "off": 0.0}[detection]
        self._report = report
        self._clock: Callable[[], int] = clock
        self._paid = 0

    def mark(self, value: Any, template: str | None = None) -> Mark | None:
        """Mark `value` if it is chosen and can change."""
        return self.marks({"": value}, template).get("")

    def marks(self, values: Mapping[str, Any], template: str | None = None) -> Mapping[str, Mark]:
        """Mark those of `values` that are chosen, before anything is awaited: their writer may keep them, too."""
        # the choice comes before any look at a value, which costs far more
        odds = self._odds
        chosen = [key for key in values if random() < odds]  # noqa: S311  chooses a sample, no secret
        if not chosen:
            return _NONE
        found = ((key, fingerprint(values[key])) for key in chosen if not is_fixed(values[key]))
        return {key: Mark(content, template) for key, content in found if content is not None}

    def is_intact(self, mark: Mark | None, value: Any, template: str | None = None) -> bool:
        """Whether `value` is what it was when it was marked; the first time it is not, that is reported."""
        if mark is None:
            return True
        began = self._clock()
        intact = fingerprint(value) == mark.fingerprint
        self._paid = max(self._paid, began - AHEAD_NS) + (self._clock() - began) * SHARE
        if not intact and mark.tell():
            self._report(template or mark.template, type(value).__qualname__)
        return intact

    def look_again(self) -> int:
        """When an entry is to be looked at again: at its next hit (0), unless looking has taken its share of time."""
        return self._paid if self._detection == "sampled" and self._paid > self._clock() else 0
