"""What a reader of telemetry hands on: one sample at a time, in the words of its format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from otcache.telemetry.catalog import Instrument

PREFIX: Final = "otcache."
"""What the name of every metric of otcache's starts with."""


class Sample(NamedTuple):
    """One line of a page, or one data point.

    Attributes:
        metric: The name it was found under.
        labels: Its attributes, `None` for a value that is no text; absent ones are left out.
        number: Its value; of a histogram's data point the sum.
        process: Which process it is of, as far as its format says: a cap holds per process.
        kind: Its kind in the words of the format, or `None` where it is not said.
        unit: The same for its unit.
        scope: The same for its instrumentation scope.
        folded: Whether the SDK has folded other series into it.
    """

    metric: str
    labels: Mapping[str, str | None]
    number: float
    process: str
    kind: str | None = None
    unit: str | None = None
    scope: str | None = None
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Spelling:
    """How one format writes what the catalogue says.

    Attributes:
        rows: The instrument of every name that a sample may have.
        metric: The name of an instrument, for people.
        attribute: The name of an attribute.
        kind: An instrument's kind.
        carried: Whether an attribute is added on the way: by the SDK, the exporter, the scrape.
    """

    rows: Mapping[str, Instrument]
    metric: Callable[[Instrument], str]
    attribute: Callable[[str], str]
    kind: Callable[[Instrument], str]
    carried: Callable[[str], bool]
