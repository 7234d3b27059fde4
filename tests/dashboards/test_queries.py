"""Every PromQL query parses, with fitting types, and reads only what is emitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import promql_parser

from dashboards.foreign import FOREIGN
from dashboards.promql import label
from otcache.telemetry.catalog import INSTRUMENTS, Attribute, Instrument
from tests.dashboards.model import DASHBOARDS, filled, promql, selectors
from tests.rows import every

QUERIES: Final = dict(promql())
PARTS: Final = ("_bucket", "_sum", "_count")


def _names(row: Instrument) -> Iterator[str]:
    yield from ((row.prometheus + part for part in PARTS) if row.kind == "histogram" else (row.prometheus,))


ROWS: Final = {name: row for row in (*INSTRUMENTS, *FOREIGN) for name in _names(row)}
CARRIED: Final = {"job", "instance", "le", "__name__", "otel_metric_overflow"}


def _by(query: str) -> set[str]:
    """What a query aggregates by."""
    found: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            found.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(filled(query)), visit)
    return found


def test_there_are_queries() -> None:
    assert len(QUERIES) > 100


@every("name", QUERIES)
def test_a_query_parses_and_its_types_fit(name: str) -> None:
    promql_parser.parse(filled(QUERIES[name]))


@every("name", QUERIES)
def test_a_query_has_no_variable_that_nobody_fills(name: str) -> None:
    assert "$" not in filled(QUERIES[name])


@every("name", QUERIES)
def test_every_metric_of_a_query_is_emitted(name: str) -> None:
    read = {selector.name for selector in selectors(QUERIES[name]) if selector.name is not None}

    assert read - ROWS.keys() == set()


@every("name", QUERIES)
def test_every_label_of_a_query_is_its_metrics(name: str) -> None:
    wrong: list[str] = []
    known: set[str] = set(CARRIED)
    for selector in selectors(QUERIES[name]):
        mine = CARRIED | {label(key) for key in (ROWS[selector.name].keys if selector.name else ())}
        wrong += [matcher.name for matcher in selector.matchers.matchers if matcher.name not in mine]
        known |= mine

    assert wrong == []
    assert _by(QUERIES[name]) - known == set()


@every("name", QUERIES)
def test_every_value_of_a_closed_label_occurs(name: str) -> None:
    wrong = [
        f"{matcher.name}={value}"
        for selector in selectors(QUERIES[name])
        for matcher in selector.matchers.matchers
        for value in _values(matcher.value)
        if not _occurs(_attribute(selector.name, matcher.name), value)
    ]

    assert wrong == []


def _values(text: str) -> list[str]:
    return [] if text in ("", ".*") else text.split("|")


def _attribute(metric: str | None, name: str) -> Attribute | None:
    row = ROWS.get(metric or "")
    return next((key for key in row.keys if label(key) == name), None) if row else None


def _occurs(attribute: Attribute | None, value: str) -> bool:
    return attribute is None or attribute.values is None or value in attribute.values


def test_every_metric_is_on_some_dashboard_or_its_row_says_why_not() -> None:
    shown = {selector.name for query in QUERIES.values() for selector in selectors(query)}

    missing = {row.name for row in INSTRUMENTS if not shown & set(_names(row))}

    assert missing == {row.name for row in INSTRUMENTS if row.unshown}


def test_variables_ask_for_labels_that_exist() -> None:
    for model in DASHBOARDS.values():
        for variable in model["templating"]["list"]:
            if variable["type"] == "query":
                metric, _, of = variable["query"]["query"].removeprefix("label_values(").rstrip(")").rpartition(", ")
                row = ROWS[metric.partition("{")[0]]
                assert of in CARRIED | {label(key) for key in row.keys}
