"""PromQL out of catalogue objects: a metric or a label that the catalogue lacks can't be written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from otcache.alerts.parameters import Parameters
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Attribute, Instrument

Part = Literal["", "_bucket", "_sum", "_count"]
MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
WEEK: Final = 604_800


class Matcher(tuple[str, ...]):
    """Values that a label must have, or must not have (`Not`); "" is a label that is absent."""

    __slots__ = ()


class Is(Matcher):
    """One of these values."""

    __slots__ = ()


class Not(Matcher):
    """None of these values."""

    __slots__ = ()


Where = Mapping[Attribute, Matcher]


def label(attribute: Attribute) -> str:
    """Its name as a label."""
    return attribute.name.replace(".", "_")


def base(row: Instrument) -> str:
    """A metric's name inside the name of a recording."""
    return row.prometheus.removesuffix("_total")


def by(parameters: Parameters, *attributes: Attribute | str) -> str:
    """The labels of an aggregation, with `job` and the installation's own labels first."""
    names = [each if isinstance(each, str) else label(each) for each in attributes]
    return ", ".join(["job", *parameters.labels, *names])


def select(
    parameters: Parameters, row: Instrument, where: Where | None = None, part: Part = "", *, lasting: bool = False
) -> str:
    """The selector of a metric's series; `lasting` leaves out programs that end by themselves.

    Raises:
        ValueError: The metric has no such label, or the label no such value, or a histogram's part is not named.
    """
    if (row.kind == "histogram") != bool(part):
        raise ValueError(f"{row.name} is a {row.kind}: part {part!r}")
    matchers = [_matcher(row, attribute, values) for attribute, values in (where or {}).items()]
    job = parameters.detector_job if row.scope == "otcache.regression" else parameters.job
    own = [("job", job)] if job else []
    if parameters.cache and catalog.CACHE in row.keys and row.scope != "otcache.regression":
        own.append((label(catalog.CACHE), parameters.cache))
    short = [f"job!~{json.dumps(parameters.short_job)}"] if lasting and parameters.short_job else []
    matchers = [f"{name}=~{json.dumps(value)}" for name, value in own] + short + matchers
    return row.prometheus + part + (f"{{{', '.join(matchers)}}}" if matchers else "")


def _matcher(row: Instrument, attribute: Attribute, values: Matcher) -> str:
    if attribute not in row.keys:
        raise ValueError(f"{row.name} has no {attribute.name}")
    known = (*attribute.values, "") if attribute.values is not None else values  # "": no such label, as in a profile
    unknown = [value for value in values if value not in known]
    if unknown:
        raise ValueError(f"{attribute.name} is never {unknown[0]!r}")
    negated = isinstance(values, Not)
    if len(values) == 1:
        return f"{label(attribute)}{'!=' if negated else '='}{json.dumps(values[0])}"
    either = "|".join(re.escape(value) for value in values)
    return f"{label(attribute)}{'!~' if negated else '=~'}{json.dumps(either)}"


def summed(parameters: Parameters, over: str, attributes: Iterable[Attribute | str], how: str = "sum") -> str:
    """An aggregation by `job`, the installation's labels and `attributes`."""
    return f"{how} by ({by(parameters, *attributes)}) ({over})"


def rate(parameters: Parameters, selector: str, seconds: float) -> str:
    """Growth per second within the last `seconds`."""
    return f"rate({selector}[{parameters.time(seconds)}])"


def yesterday(parameters: Parameters, recorded: str) -> str:
    """The mean of a recording over the last day, without the last hour."""
    return f"avg_over_time({recorded}[{parameters.time(DAY)}] offset {parameters.time(HOUR)})"


def last_week(parameters: Parameters, recorded: str) -> str:
    """The mean of a recording at this hour a week ago."""
    return f"avg_over_time({recorded}[{parameters.time(HOUR)}] offset {parameters.time(WEEK)})"


def number(value: float) -> str:
    """A number as people write it: no 0.014400000000000001."""
    return f"{value:.10g}"


def share(part: str, whole: str, floor: float) -> str:
    """`part` of `whole`, where the whole is more than `floor` per second."""
    return f"{part}\n/ ({whole} > {number(floor)})"


def part_of(part: str, whole: str) -> str:
    """The share of `part` in `whole`; 0 where there never was a part, nothing where there is no whole now."""
    return f"({part}\nor 0 * {whole})\n/ ({whole} > 0)"


def percent(value: float) -> str:
    """A share in words of a description: `5%`."""
    return f"{number(value * 100)}%"


def told(text: str, **attributes: Attribute) -> str:
    """A description in Prometheus' templates: `{cache}` becomes the label of the attribute given as `cache`."""
    for name, attribute in attributes.items():
        text = text.replace(f"{{{name}}}", f"{{{{ $labels.{label(attribute)} }}}}")
    return text
