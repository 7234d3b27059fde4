"""Panels: what every one of a kind has in common is written once. Queries come from `dashboards.promql`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, Final, Protocol, Self
from urllib.parse import quote

from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as dashboard_builder
from grafana_foundation_sdk.builders import heatmap as heatmap_builder
from grafana_foundation_sdk.builders import logs as logs_builder
from grafana_foundation_sdk.builders import loki as loki_builder
from grafana_foundation_sdk.builders import prometheus as prometheus_builder
from grafana_foundation_sdk.builders import stat as stat_builder
from grafana_foundation_sdk.builders import table as table_builder
from grafana_foundation_sdk.builders import tempo as tempo_builder
from grafana_foundation_sdk.builders import timeseries as timeseries_builder
from grafana_foundation_sdk.models import common, dashboard, heatmap, prometheus

from dashboards.promql import Expr, Label, label
from otcache.alerts.thresholds import PANELS, Threshold

MIN_STEP: Final = "1m"
"""Of every query: Grafana otherwise believes in a scrape every 15 s, and exporters push every 60 s by default."""
PROMETHEUS: Final = common.DataSourceRef("prometheus", "${datasource}")
TEMPO: Final = common.DataSourceRef("tempo", "${tempo}")
LOKI: Final = common.DataSourceRef("loki", "${loki}")
GOOD, FAIR, BAD, PLAIN = "green", "yellow", "red", "text"
"""Red is for what needs somebody now."""


class PanelBuilder(Protocol):
    """What the SDK's builders of panels have in common."""

    def build(self) -> dashboard.Panel: ...
    def id(self, id_val: int) -> Self: ...
    def grid_pos(self, grid_pos: dashboard.GridPos) -> Self: ...


@dataclass(frozen=True, slots=True)
class Tile:
    """A panel and its size; Grafana's grid is 24 wide.

    Attributes:
        slug: Its name in links: its id is made of it, and of nothing that changes with its title or place.
    """

    slug: str
    builder: PanelBuilder
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel.

    Attributes:
        legend: With labels as `{{label}}`; see `names`.
        exemplar: Whether traces are marked on it.
    """

    expr: Expr
    legend: str
    exemplar: bool = False

    def __post_init__(self) -> None:
        used = set(re.findall(r"{{(\w+)}}", self.legend))
        if used - self.expr.labels:
            raise ValueError(f"{self.legend!r} has labels that {self.expr} has not")


def names(*of: Label, between: str = " · ") -> str:
    """A legend of labels."""
    return between.join(f"{{{{{label(each)}}}}}" for each in of)


class Step(float):
    """A number at which a color changes; it knows its threshold, so that `dashboards.render` can say where that is."""

    threshold: Threshold

    @classmethod
    def named(cls, name: str) -> Step:
        """The default of a threshold in `otcache.alerts.thresholds`."""
        made = cls(PANELS[name].default)
        made.threshold = PANELS[name]
        return made


@dataclass(frozen=True, slots=True)
class Limits:
    """Where colors change.

    Attributes:
        warning: Name of the threshold from which on a panel is yellow.
        critical: Of the one from which on it is red; `None` where nobody has to act now.
        low_is_bad: Both are lower bounds.
    """

    warning: str
    critical: str | None = None
    low_is_bad: bool = False

    def steps(self) -> list[dashboard.Threshold]:
        """As Grafana wants them, ascending."""
        critical = [self.critical] if self.critical else []
        names = [*critical, self.warning] if self.low_is_bad else [self.warning, *critical]
        colors = [GOOD, FAIR, BAD][: len(names) + 1]
        lowest, *rest = reversed(colors) if self.low_is_bad else colors
        steps = zip(map(Step.named, names), rest, strict=True)
        return [dashboard.Threshold(None, lowest), *(dashboard.Threshold(step, color) for step, color in steps)]


def _thresholds(limits: Limits | None, base: str = PLAIN) -> dashboard_builder.ThresholdsConfig:
    steps = [dashboard.Threshold(None, base)] if limits is None else limits.steps()
    return dashboard_builder.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def alarm(color: str = BAD) -> list[dashboard.Threshold]:
    """Green at 0, `color` from the first one on."""
    return [dashboard.Threshold(None, GOOD), dashboard.Threshold(1.0, color)]


@dataclass(frozen=True, slots=True)
class State:
    """What a number, or a label's value, stands for."""

    value: int | str
    text: str
    color: str


def _mapping(states: Sequence[State]) -> list[dashboard.ValueMapping]:
    options = {
        str(state.value): dashboard.ValueMappingResult(text=state.text, color=state.color, index=index)
        for index, state in enumerate(states)
    }
    return [dashboard.ValueMap(options)]


def _targets(queries: Sequence[Query], *, instant: bool = False, table: bool = False) -> list[Any]:
    return [_target(query, ref, instant, table) for query, ref in zip(queries, ascii_uppercase, strict=False)]


def _target(query: Query, ref: str, instant: bool, table: bool) -> prometheus_builder.Dataquery:
    target = prometheus_builder.Dataquery().ref_id(ref).expr(query.expr.text).interval(MIN_STEP)
    target.datasource(PROMETHEUS).legend_format(query.legend).editor_mode(prometheus.QueryEditorMode.CODE)
    target.format(prometheus.PromQueryFormat.TABLE if table else prometheus.PromQueryFormat.TIME_SERIES)
    if instant:
        return target.instant()
    return target.range().exemplar(query.exemplar)


# --- links --------------------------------------------------------------------------------------------


def _explore(datasource: str, kind: str, query: Mapping[str, Any]) -> str:
    """A link into Explore; Grafana fills in what stands in `${...}`, so that is not escaped."""
    pane = {
        "datasource": datasource,
        "queries": [{"refId": "A", "datasource": {"type": kind, "uid": datasource}, **query}],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    text = json.dumps({"otc": pane}, separators=(",", ":"))
    parts = re.split(r"(\${[^}]+})", text)
    return "/explore?schemaVersion=1&panes=" + "".join(p if p.startswith("${") else quote(p, safe="") for p in parts)


def traces_link(title: str, traceql: str) -> dashboard_builder.DashboardLink:
    """From a point of a panel to traces."""
    url = _explore("${tempo}", "tempo", {"queryType": "traceql", "query": traceql, "limit": 20})
    return dashboard_builder.DashboardLink(title).url(url).target_blank(True)


def board_link(title: str, uid: str, **variables: str) -> dashboard_builder.DashboardLink:
    """From a point of a panel to another dashboard, with the time and the variables kept."""
    given = "".join(f"&var-{name}={value}" for name, value in variables.items())
    kept = "".join(f"&${{{name}:queryparam}}" for name in ("datasource", "tempo", "loki", "job", "instance"))
    return dashboard_builder.DashboardLink(title).url(f"/d/{uid}?${{__url_time_range}}{kept}{given}")


# --- panels -------------------------------------------------------------------------------------------


def stat(
    slug: str,
    title: str,
    description: str,
    query: Query,
    unit: str,
    *,
    limits: Limits | None = None,
    steps: Sequence[dashboard.Threshold] | None = None,
    states: Sequence[State] = (),
    none: str = "no data",
    decimals: int | None = None,
    width: int = 4,
    height: int = 4,
    window: bool = False,
) -> Tile:
    """One number, or one per series.

    Args:
        steps: Instead of `limits`.
        states: What numbers stand for: shown as words on a colored ground.
        none: What is shown where there is no series.
        window: Whether the query is about the whole time range, so that there is no line to draw.
    """
    reduce = common_builder.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    panel = stat_builder.Panel().title(title).description(description).datasource(PROMETHEUS).unit(unit)
    panel.targets(_targets([query], instant=window)).no_value(none).reduce_options(reduce)
    panel.thresholds(_thresholds(limits))
    if steps is not None:
        panel.thresholds(dashboard_builder.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps([*steps]))
    if decimals is not None:
        panel.decimals(decimals)
    colored = limits is not None or steps is not None
    panel.graph_mode(common.BigValueGraphMode.NONE if window or states else common.BigValueGraphMode.AREA)
    panel.color_mode(common.BigValueColorMode.VALUE if colored else common.BigValueColorMode.NONE)
    panel.text_mode(common.BigValueTextMode.VALUE)
    if states:
        panel.mappings(_mapping(states)).color_mode(common.BigValueColorMode.BACKGROUND)
        panel.text_mode(common.BigValueTextMode.VALUE_AND_NAME)
    return Tile(slug, panel, width, height)


def lines(
    slug: str,
    title: str,
    description: str,
    queries: Sequence[Query],
    unit: str,
    *,
    stacked: bool = False,
    shares: bool = False,
    bars: bool = False,
    steps: bool = False,
    log: bool = False,
    limits: Limits | None = None,
    colors: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
    links: Sequence[dashboard_builder.DashboardLink] = (),
    dashed: str = "",
    least: float | None = 0,
    most: float | None = None,
    decimals: int | None = None,
    none: str = "no data",
    width: int = 8,
    height: int = 9,
) -> Tile:
    """Numbers over time.

    Args:
        shares: Stacked to a whole.
        steps: Drawn as steps: states, and other numbers that hold until they change.
        limits: Drawn as dashed lines.
        colors: Of series, by what the legend calls them.
        texts: What series are called instead.
        dashed: The series (a regular expression) to draw as a dashed line: a limit, a baseline.
        least: Lower end of the axis.
        most: Upper end.
    """
    panel = timeseries_builder.Panel().title(title).description(description).datasource(PROMETHEUS).unit(unit)
    panel.targets(_targets(queries)).no_value(none).data_links([*links]).legend(_legend()).tooltip(_tooltip())
    panel.line_width(1.5).fill_opacity(30 if stacked or shares else 0).span_nulls(False)
    panel.show_points(common.VisibilityMode.AUTO).thresholds(_thresholds(limits, base=GOOD))
    if stacked or shares:
        mode = common.StackingMode.PERCENT if shares else common.StackingMode.NORMAL
        panel.stacking(common_builder.StackingConfig().mode(mode).group("A"))
    if bars:
        panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(80)
    if steps:
        panel.line_interpolation(common.LineInterpolation.STEP_AFTER)
    if limits is not None:
        dashes = common.GraphThresholdsStyleMode.DASHED
        panel.thresholds_style(common_builder.GraphThresholdsStyleConfig().mode(dashes))
    _axis(panel, log, None if log else least, most, decimals)
    _overrides(panel, colors or {}, texts or {}, dashed)
    return Tile(slug, panel, width, height)


def _axis(
    panel: timeseries_builder.Panel, log: bool, least: float | None, most: float | None, decimals: int | None
) -> None:
    if log:
        scale = common_builder.ScaleDistributionConfig().type(common.ScaleDistribution.LOG).log(10)
        panel.scale_distribution(scale)
    if least is not None:
        panel.min(least)
    if most is not None:
        panel.max(most)
    if decimals is not None:
        panel.decimals(decimals)


def _overrides(
    panel: timeseries_builder.Panel, colors: Mapping[str, str], texts: Mapping[str, str], dashed: str
) -> None:
    if dashed:
        line = dashboard.DynamicConfigValue("custom.lineStyle", {"dash": [8, 8], "fill": "dash"})
        grey = dashboard.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "gray"})
        panel.override_by_regexp(f"/^{dashed}/", [line, grey])
    for name in sorted({*colors, *texts}):
        values = []
        if name in colors:
            fixed = {"mode": "fixed", "fixedColor": colors[name]}
            values.append(dashboard.DynamicConfigValue("color", fixed))
        if name in texts:
            values.append(dashboard.DynamicConfigValue("displayName", texts[name]))
        panel.override_by_name(name, values)


def _legend() -> common_builder.VizLegendOptions:
    legend = common_builder.VizLegendOptions().display_mode(common.LegendDisplayMode.TABLE)
    legend.placement(common.LegendPlacement.BOTTOM).show_legend(True)
    return legend.calcs(["lastNotNull", "mean"]).sort_by("Last *").sort_desc(True)


def _tooltip() -> common_builder.VizTooltipOptions:
    return common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        query: What it shows; `None` for a label of the other queries.
        of: The label, for a column that shows one.
    """

    title: str
    unit: str = "string"
    query: Expr | None = None
    of: Label = ""
    limits: Limits | None = None
    states: tuple[State, ...] = ()
    decimals: int | None = None
    links: tuple[dashboard_builder.DashboardLink, ...] = ()
    width: int | None = None


def table(
    slug: str,
    title: str,
    description: str,
    columns: Sequence[Column],
    *,
    none: str = "no data",
    sort: str = "",
    rising: bool = False,
    hide: tuple[str, ...] = (),
    width: int = 24,
    height: int = 8,
) -> Tile:
    """Instant numbers, a row per combination of the labels that are shown, joined on the first one.

    Args:
        sort: Title of the column that decides the order; the largest is at the top.
        rising: The smallest is.
        hide: Titles of columns that are asked for and not shown.
    """
    panel = table_builder.Panel().title(title).description(description).datasource(PROMETHEUS).unit("short")
    asked = [column for column in columns if column.query is not None]
    queries = [Query(column.query, "") for column in asked if column.query is not None]
    panel.targets(_targets(queries, instant=True, table=True)).no_value(none).thresholds(_thresholds(None))
    fields = {}
    for column in columns:
        ref = "" if len(asked) == 1 else f" #{ascii_uppercase[asked.index(column)]}" if column in asked else ""
        fields[f"Value{ref}" if column.query is not None else label(column.of)] = column
    for each in _transformations(fields, hide, joined=len(asked) > 1):
        panel.with_transformation(each)
    for column in columns:
        panel.override_by_name(column.title, _column(column))
    if sort:
        panel.sort_by([common_builder.TableSortByFieldState().display_name(sort).desc(not rising)])
    return Tile(slug, panel, width, height)


def _transformations(
    fields: Mapping[str, Column], hide: tuple[str, ...], *, joined: bool
) -> list[dashboard.DataTransformerConfig]:
    made = []
    if joined:
        by = next(iter(fields))
        made.append(dashboard.DataTransformerConfig("joinByField", options={"byField": by, "mode": "outer"}))
    fields = {name: column for name, column in fields.items() if column.title not in hide}
    keep = {"include": {"names": [*fields]}}
    titles = {
        "indexByName": {name: index for index, name in enumerate(fields)},
        "renameByName": {name: column.title for name, column in fields.items()},
    }
    made.append(dashboard.DataTransformerConfig("filterFieldsByName", options=keep))
    made.append(dashboard.DataTransformerConfig("organize", options={"excludeByName": {}, **titles}))
    return made


def _column(column: Column) -> list[dashboard.DynamicConfigValue]:
    value = dashboard.DynamicConfigValue
    found = [value("unit", column.unit)]
    if column.decimals is not None:
        found.append(value("decimals", column.decimals))
    if column.width is not None:
        found.append(value("custom.width", column.width))
    if column.limits is not None:
        found.append(value("thresholds", {"mode": "absolute", "steps": column.limits.steps()}))
        found.append(value("custom.cellOptions", {"type": "color-text"}))
    if column.states:
        found.append(value("mappings", _mapping(column.states)))
        found.append(value("custom.cellOptions", {"type": "color-text"}))
    if column.links:
        found.append(value("links", [link.build() for link in column.links]))
    return found


def heat(slug: str, title: str, description: str, query: Query, unit: str, *, width: int = 12, height: int = 9) -> Tile:
    """How a histogram's values are spread over time."""
    panel = heatmap_builder.Panel().title(title).description(description).datasource(PROMETHEUS).unit(unit)
    target = _target(query, "A", instant=False, table=False).format(prometheus.PromQueryFormat.HEATMAP)
    axis = heatmap_builder.YAxisConfig().unit(unit).axis_placement(common.AxisPlacement.LEFT)
    color = heatmap_builder.HeatmapColorOptions().mode(heatmap.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    panel.targets([target]).calculate(False).y_axis(axis).color(color).thresholds(_thresholds(None))
    return Tile(slug, panel.hide_legend().no_value("no data"), width, height)


def traces(slug: str, title: str, description: str, traceql: str, *, width: int = 12, height: int = 9) -> Tile:
    """What a TraceQL query finds, as a table that leads to the traces."""
    target = tempo_builder.Dataquery().ref_id("A").datasource(TEMPO).query_type("traceql").query(traceql).limit(20)
    panel = table_builder.Panel().title(title).description(description).datasource(TEMPO).targets([target])
    return Tile(slug, panel.unit("short").no_value("no such traces").thresholds(_thresholds(None)), width, height)


def logs(slug: str, title: str, description: str, logql: str, *, width: int = 24, height: int = 9) -> Tile:
    """Log lines."""
    target = loki_builder.Dataquery().ref_id("A").datasource(LOKI).expr(logql).query_type("range")
    panel = logs_builder.Panel().title(title).description(description).datasource(LOKI).targets([target])
    panel.show_time(True).wrap_log_message(True).enable_log_details(True).sort_order(common.LogsSortOrder.DESCENDING)
    return Tile(slug, panel.unit("short").no_value("no such lines").thresholds(_thresholds(None)), width, height)
