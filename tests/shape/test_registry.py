"""The catalogue keeps the rules for names, units and attributes (docs/telemetry.md)."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Final, get_args

import pytest

from otcache.telemetry import catalog
from otcache.telemetry.catalog import ATTRIBUTES, EVENTS, INSTRUMENTS, SPANS, Attribute, Event, Instrument, SpanType
from tests.rows import every
from tests.telemetry.prometheus_names import PER, UNITS

WORDS: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*(\.[a-z][a-z0-9]*(_[a-z0-9]+)*)+")
BORROWED: Final = ("error.type", "code.function.name", "db.", "server.", "exception.", "gen_ai.", "vcs.", "http.")
"""Names of the semantic conventions that mean the same here."""
UNIT_WORDS: Final = {word for word in (*UNITS.values(), *PER.values(), "total") if word}

PARTS: Final[tuple[tuple[Any, ...], ...]] = (ATTRIBUTES, INSTRUMENTS, SPANS, EVENTS)

instruments = every("row", INSTRUMENTS, ids=lambda row: row.name)
attributes = every("attribute", ATTRIBUTES, ids=lambda attribute: attribute.name)


def written(kind: type[Any]) -> list[Any]:
    """Every object of a kind that the catalogue has a name for, listed or not."""
    return [value for value in vars(catalog).values() if isinstance(value, kind)]


@pytest.mark.parametrize(
    ("kind", "listed"), [(Attribute, ATTRIBUTES), (Instrument, INSTRUMENTS), (Event, EVENTS), (SpanType, SPANS)]
)
def test_what_is_written_is_listed_once(kind: type[Any], listed: tuple[Any, ...]) -> None:
    assert Counter(map(id, written(kind))) == Counter(map(id, listed))


@pytest.mark.parametrize("names", [[each.name for each in ATTRIBUTES], [each.name for each in INSTRUMENTS],
                                   [each.name for each in EVENTS], [each.id for each in SPANS]])  # fmt: skip
def test_a_name_stands_for_one_thing(names: list[str]) -> None:
    assert [name for name, times in Counter(names).items() if times > 1] == []


def test_no_two_names_become_one_in_prometheus() -> None:
    names = Counter(row.prometheus for row in INSTRUMENTS)
    labels = Counter(attribute.name.replace(".", "_") for attribute in ATTRIBUTES)

    assert [name for name, times in (names + labels).items() if times > 1] == []


@every("name", [each.name for part in PARTS if part is not SPANS for each in part])
def test_a_name_is_in_our_namespace_or_borrowed(name: str) -> None:
    assert WORDS.fullmatch(name)
    assert name.startswith(("otcache.", *BORROWED))


@instruments
def test_a_metric_is_in_our_namespace(row: Instrument) -> None:
    assert row.name.startswith("otcache.")


@instruments
def test_no_unit_and_no_total_is_in_a_name(row: Instrument) -> None:
    assert set(re.split(r"[._]", row.name)) & UNIT_WORDS == set()


@instruments
def test_a_gauge_of_unit_1_is_called_ratio(row: Instrument) -> None:
    """A gauge of unit 1 becomes `_ratio` in one pipeline and not in the other: a status is an up-down counter."""
    is_gauge = row.kind not in ("counter", "updowncounter", "histogram")
    is_status = row.name.endswith((".status", ".info"))

    assert not is_gauge or row.unit != "1" or row.name.endswith(".ratio")
    assert not is_status or row.kind == "updowncounter"


@instruments
def test_a_unit_is_one_of_seconds_bytes_and_annotations(row: Instrument) -> None:
    if row.name.endswith(".info"):
        assert row.unit == ""
    elif row.name.endswith((".status", ".ratio")):
        assert row.unit == "1"
    elif ".cost" in row.name:
        assert row.unit == "{USD}"
    else:
        assert re.fullmatch(r"s|By|\{[a-z]+\}(/s)?", row.unit)


@instruments
def test_boundaries_are_floats_and_ascend(row: Instrument) -> None:
    assert all(type(bound) is float for bound in row.buckets)
    assert list(row.buckets) == sorted(set(row.buckets))
    assert bool(row.buckets) == (row.kind == "histogram")


@instruments
def test_attributes_of_a_metric_are_texts_of_a_bounded_number(row: Instrument) -> None:
    constant = {catalog.VERSION, catalog.SCHEMA, catalog.PYTHON_VERSION, catalog.REDIS_CLIENT_VERSION}
    allowed = constant if row is catalog.BUILD_INFO else set()

    unbounded = [key.name for key in row.keys if key.values is None and key.cap is None and key not in allowed]

    assert unbounded == []
    assert {key.type for key in row.keys} == {"string"}
    assert not any(key.opt_in for key in row.keys)


@instruments
def test_only_an_error_and_the_reason_of_staleness_may_be_absent(row: Instrument) -> None:
    assert set(row.conditional) <= {catalog.ERROR_TYPE, catalog.STALE_REASON}
    assert len(set(row.keys)) == len(row.keys)


@attributes
def test_every_attribute_is_used(attribute: Attribute) -> None:
    used = {key for row in INSTRUMENTS for key in row.keys}
    used |= {key for span in SPANS for key in (*span.at_start, *span.attributes, *span.links)}
    used |= {key for event in EVENTS for key in event.attributes}
    used |= {catalog.SUPPRESSED}  # the rate limit gives it to any event

    assert attribute in used


@attributes
def test_closed_sets_are_texts_without_repetition(attribute: Attribute) -> None:
    if attribute.values is not None:
        assert attribute.values
        assert attribute.cap is None
        assert all(re.fullmatch(r"[a-z0-9_]+", value) for value in attribute.values)
        assert len(set(attribute.values)) == len(attribute.values)


@attributes
def test_a_cap_is_positive_and_of_a_text(attribute: Attribute) -> None:
    assert attribute.cap is None or (attribute.cap > 0 and attribute.type == "string")


@every("brief", [each.brief for part in PARTS for each in part])
def test_a_brief_is_one_sentence(brief: str) -> None:
    assert brief.endswith(".")
    assert brief[0].isupper() or brief[0].isdigit()
    assert ". " not in brief
    assert "\n" not in brief


@every("event", EVENTS, ids=lambda event: event.name)
def test_an_event_has_a_severity_and_says_of_what(event: Event) -> None:
    assert event.severity in ("INFO", "WARN")
    assert len(set(event.attributes)) == len(event.attributes)


def test_scopes_are_those_that_are_declared() -> None:
    scopes = {each.scope for each in INSTRUMENTS} | {each.scope for each in SPANS}

    assert scopes <= set(get_args(catalog.Scope))
