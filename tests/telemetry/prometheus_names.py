"""The name that Prometheus gives to an OTLP metric, as the specification's compatibility document has it.

https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/, and the translation strategy
`UnderscoreEscapingWithSuffixes` of Prometheus' OTLP receiver and of the collector. The Python exporter has its own
code for the same; a metric that both name alike needs no second dashboard.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]

UNITS: Final = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes",
    "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams",
    "Cel": "celsius", "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
PER: Final = {
    "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year",
}  # fmt: skip


def prometheus_name(name: str, unit: str, kind: Kind) -> str:
    """The name of the metric, without a histogram's `_bucket`, `_sum` and `_count`."""
    words = [word for word in re.split(r"[^a-zA-Z0-9:]+", name) if word]
    what, _, per = unit.partition("/")
    measured, each = _word(what, UNITS), _word(per, PER)
    if measured and measured not in words:
        words.append(measured)
    if each and each not in words:
        words += ["per", each]
    if kind == "counter":
        words = [word for word in words if word != "total"] + ["total"]
    if kind == "gauge" and unit == "1":
        words = [word for word in words if word != "ratio"] + ["ratio"]
    joined = "_".join(words)
    return "_" + joined if joined[:1].isdigit() else joined


def _word(unit: str, known: dict[str, str]) -> str:
    """A unit, or what stands under its stroke, in words; an annotation is none."""
    unit = unit.strip()
    if "{" in unit or "}" in unit:
        return ""
    return re.sub(r"[^a-zA-Z0-9]+", "_", known.get(unit, unit)).strip("_")
