"""The committed dashboards as a reader of JSON sees them, and their queries with the variables filled in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import promql_parser

from dashboards.render import FOLDER

DASHBOARDS: Final[dict[str, dict[str, Any]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
FILLED: Final = {
    "${datasource}": "prometheus", "$__rate_interval": "1m", "$__range": "5m", "$job": ".*", "$instance": ".*",
    "$cache": ".*", "$service": ".*", "$benchmark": ".*",
}  # fmt: skip
"""What Grafana would put there with everything chosen."""


def filled(query: str) -> str:
    """A query as its data source gets it."""
    for name, value in FILLED.items():
        query = query.replace(name, value)
    return query


@dataclass(frozen=True)
class Panel:
    """One panel and where it is."""

    dashboard: str
    model: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.dashboard}:{self.model['title']}"

    @property
    def targets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.model.get("targets", [])
        return found

    def queries(self, kind: str) -> list[str]:
        """The texts of its queries to one kind of data source."""
        field = "query" if kind == "tempo" else "expr"
        return [target[field] for target in self.targets if target["datasource"]["type"] == kind]


def panels_of(dashboard: str) -> Iterator[Panel]:
    """Every panel but rows, closed rows' too."""
    for model in DASHBOARDS[dashboard]["panels"]:
        inside = model.get("panels") or []
        yield from (Panel(dashboard, each) for each in [model, *inside] if each["type"] != "row")


PANELS: Final = tuple(panel for name in DASHBOARDS for panel in panels_of(name))


def promql() -> Iterator[tuple[str, str]]:
    """Every PromQL query, with a name: of panels, annotations."""
    for panel in PANELS:
        for number, query in enumerate(panel.queries("prometheus")):
            yield f"{panel}:{number}", query
    for name, model in DASHBOARDS.items():
        for annotation in model["annotations"]["list"]:
            if annotation["datasource"]["type"] == "prometheus":
                yield f"{name}:annotation {annotation['name']}", annotation["expr"]


def other(kind: str) -> Iterator[tuple[str, str]]:
    """Every TraceQL (`tempo`) or LogQL (`loki`) query, with a name."""
    yield from ((str(panel), query) for panel in PANELS for query in panel.queries(kind))
    for name, model in DASHBOARDS.items():
        for annotation in model["annotations"]["list"]:
            if annotation["datasource"]["type"] == kind:
                yield f"{name}:annotation {annotation['name']}", annotation["expr"]


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    """The selectors of a query."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)

    promql_parser.walk(promql_parser.parse(filled(query)), visit)
    return found
