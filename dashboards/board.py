"""A dashboard: rows of panels on Grafana's grid, variables, annotations and links, as the classic JSON model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as builder
from grafana_foundation_sdk.builders import loki as loki_builder
from grafana_foundation_sdk.builders import prometheus as prometheus_builder
from grafana_foundation_sdk.cog import builder as cog
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from dashboards.panels import LOKI, MIN_STEP, PROMETHEUS, Tile
from dashboards.promql import INSTANCE, JOB, count_by, label, new, series
from otcache.telemetry import catalog
from otcache.telemetry.catalog import BUILD_INFO, TARGET, VERSION, Attribute, Event, Instrument

GRID: Final = 24
TAG: Final = "otcache"
ALL: Final = "$__all"
EVERYTHING: Final = ".*"
"""What All stands for: an `instance` that a pipeline does not set counts too."""
SETTABLE: Final = ("job", "cache")
"""Variables whose first value `otcache dashboards export` can set."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a title.

    Attributes:
        slug: Its name among the board's rows.
        optional: Closed until somebody opens it: what not everybody has.
    """

    slug: str
    title: str
    tiles: Sequence[Tile]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard.

    Attributes:
        name: Of its file, and the end of its uid.
        variables: Those of `VARIABLES` that its panels read; the others are carried along, hidden.
        one_cache: Whether exactly one cache is chosen.
        judged: Whether services are those that verdicts are about.
    """

    name: str
    title: str
    description: str
    rows: Sequence[Row]
    variables: frozenset[str] = frozenset(("job", "instance", "cache"))
    one_cache: bool = False
    judged: bool = False

    @property
    def uid(self) -> str:
        """Fixed: links and alerts lead here."""
        return f"otcache-{self.name}"


def render(board: Board) -> dict[str, Any]:
    """The dashboard as Grafana imports it; thresholds are still `Threshold` objects."""
    made = builder.Dashboard(board.title).uid(board.uid).description(board.description).tags([TAG])
    made.timezone("browser").time("now-1h", "now").refresh("30s").tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
    made.editable().links([_others()]).variables(_variables(board)).annotations([_deployments(), _regressions()])
    model = made.build()
    model.panels = _placed(board.rows)
    found: dict[str, Any] = _plain(model)
    found["schemaVersion"] = 39  # Grafana 10.3; newer ones migrate it
    return found


def _plain(model: Any) -> Any:
    """Models as dictionaries, all the way down; numbers keep their class."""
    if hasattr(model, "to_json"):
        model = model.to_json()
    if isinstance(model, dict):
        return {key: _plain(value) for key, value in model.items()}
    if isinstance(model, list):
        return [_plain(value) for value in model]
    return model


def dumps(rendered: dict[str, Any]) -> str:
    """The text of a dashboard's file."""
    return json.dumps(rendered, indent=1, sort_keys=True, ensure_ascii=False, cls=JSONEncoder) + "\n"


# --- places -------------------------------------------------------------------------------------------


def panel_id(slug: str) -> int:
    """The id of a panel, 31 bits of a hash: links with `viewPanel=` hold whatever is added, moved or renamed."""
    return int.from_bytes(hashlib.sha256(slug.encode()).digest()[:4], "big") >> 1


def _check_ids(rows: Sequence[Row]) -> None:
    slugs = [slug for row in rows for slug in (f"row {row.slug}", *(tile.slug for tile in row.tiles))]
    seen: dict[int, str] = {}
    for slug in slugs:
        if panel_id(slug) in seen:
            raise ValueError(f"{slug!r} and {seen[panel_id(slug)]!r} have one id: choose another slug for the new one")
        seen[panel_id(slug)] = slug


def _placed(rows: Sequence[Row]) -> list[dashboard.Panel | dashboard.RowPanel]:
    """Every panel with its id and place, in reading order."""
    _check_ids(rows)
    placed: list[dashboard.Panel | dashboard.RowPanel] = []
    y = 0
    for row in rows:
        header = builder.Row(row.title).id(panel_id(f"row {row.slug}")).collapsed(row.optional)
        panels, end = _arranged(row.tiles, y + 1)
        made = header.grid_pos(dashboard.GridPos(1, GRID, 0, y)).build()
        if row.optional:
            made.panels = panels
            placed.append(made)
            y += 1
        else:
            placed += [made, *panels]
            y = end
    return placed


def _arranged(tiles: Sequence[Tile], y: int) -> tuple[list[dashboard.Panel], int]:
    """From left to right, the next line under the tallest of the last; and where that ends."""
    panels, x, tallest = [], 0, 0
    for tile in tiles:
        if x + tile.width > GRID:
            x, y, tallest = 0, y + tallest, 0
        tile.builder.id(panel_id(tile.slug)).grid_pos(dashboard.GridPos(tile.height, tile.width, x, y))
        panels.append(tile.builder.build())
        x, tallest = x + tile.width, max(tallest, tile.height)
    return panels, y + tallest


# --- variables ----------------------------------------------------------------------------------------


def _variables(board: Board) -> list[cog.Builder[dashboard.VariableModel]]:
    own_job = (catalog.REGRESSION_STATUS, TARGET) if board.judged else (BUILD_INFO, JOB)
    found: list[cog.Builder[dashboard.VariableModel]] = [
        _source("datasource", "Prometheus", "prometheus"),
        _source("tempo", "Traces", "tempo"),
        _source("loki", "Logs", "loki"),
        _choice(board, JOB, "Service", _values(own_job[1], own_job[0])),
        _choice(board, INSTANCE, "Instance", _values(INSTANCE, BUILD_INFO, f'{JOB}=~"${JOB}"')),
        _choice(
            board, "cache", "Cache", _values(catalog.CACHE, catalog.LOOKUPS, f'{JOB}=~"${JOB}"'), one=board.one_cache
        ),
        _service(),
    ]
    if "benchmark" in board.variables:
        found.append(_choice(board, "benchmark", "Benchmark", _values(catalog.BENCHMARK, catalog.BENCHMARK_DURATION)))
    return found


def _values(of: Attribute | str, row: Instrument, condition: str = "") -> str:
    selector = f"{row.prometheus}{{{condition}}}" if condition else row.prometheus
    return f"label_values({selector}, {label(of)})"


def _source(name: str, text: str, kind: str) -> builder.DatasourceVariable:
    return builder.DatasourceVariable(name).label(text).type(kind)


def _query(name: str, query: str) -> builder.QueryVariable:
    made = builder.QueryVariable(name).query({"query": query, "refId": "StandardVariableQuery"}).definition(query)
    made.datasource(PROMETHEUS).refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
    return made.sort(dashboard.VariableSort.ALPHABETICAL_ASC)


def _choice(board: Board, name: str, text: str, query: str, *, one: bool = False) -> builder.QueryVariable:
    hidden = dashboard.VariableHide.DONT_HIDE if name in board.variables else dashboard.VariableHide.HIDE_VARIABLE
    made = _query(name, query).label(text).hide(hidden).multi(not one).include_all(not one)
    if one:
        return made
    return made.all_value(EVERYTHING).current(dashboard.VariableOption(True, ["All"], [ALL]))


def _service() -> builder.QueryVariable:
    """`job` without a namespace in front: what traces and logs call the service."""
    made = _query("service", _values(JOB, BUILD_INFO, f'{JOB}=~"${JOB}"')).label("Service of traces and logs")
    made.regex(r"/([^\/]+)$/").hide(dashboard.VariableHide.HIDE_VARIABLE).multi(True).include_all(True)
    return made.current(dashboard.VariableOption(True, ["All"], [ALL]))


# --- annotations and links ----------------------------------------------------------------------------


def _deployments() -> builder.AnnotationQuery:
    """A version that was not there five minutes ago."""
    keys = (JOB, VERSION)
    expr = new(count_by(series(BUILD_INFO), *keys), count_by(series(BUILD_INFO, offset="5m"), *keys))
    target = prometheus_builder.Dataquery().ref_id("Deployments").expr(expr.text).interval(MIN_STEP).range()
    made = builder.AnnotationQuery().name("Deployments").datasource(PROMETHEUS).target(target).enable(True)
    made.icon_color("blue").expr(expr.text).step(MIN_STEP).title_format("A version that was not there before")
    return made.text_format(f"otcache {{{{{label(VERSION)}}}}} in {{{{{JOB}}}}}")


def events(event: Event, of: Attribute | None = None) -> str:
    """LogQL for an event; of the services that `job` selects where `of` says so."""
    mine = f' | {label(of)} =~ "${JOB}"' if of is not None else ""
    service = ".+" if of is not None else "$service"
    return f'{{service_name=~"{service}"}} | event_name = "{event.name}"{mine}'


def _regressions() -> builder.AnnotationQuery:
    expr = events(catalog.REGRESSION_DETECTED, TARGET)
    target = loki_builder.Dataquery().ref_id("Regressions").expr(expr).query_type("range")
    made = builder.AnnotationQuery().name("Regressions").datasource(LOKI).target(target).enable(True)
    return made.icon_color("orange").expr(expr).title_format("Regression")


def _others() -> builder.DashboardLink:
    link = builder.DashboardLink("otcache").type(dashboard.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.include_vars(True).keep_time(True).as_dropdown(False).icon("external link")
