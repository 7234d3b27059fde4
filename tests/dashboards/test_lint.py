"""What every panel of every dashboard has: a reader knows what it shows, in which unit, and what to do about it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.dashboards.model import DASHBOARDS, PANELS, Panel, panels_of, promql
from tests.rows import Check, every

VARIABLES: Final = ("datasource", "tempo", "loki", "job", "instance", "cache")
SOURCES: Final = {"${datasource}": "prometheus", "${tempo}": "tempo", "${loki}": "loki"}
IDS: Final = [str(panel) for panel in PANELS]


def each(*types: str) -> Callable[[Check], Check]:
    chosen = [panel for panel in PANELS if not types or panel.model["type"] in types]
    return every("panel", chosen, ids=str)


def everywhere(value: Any, key: str) -> list[Any]:
    """What stands under `key`, at any depth."""
    if isinstance(value, dict):
        mine = [value[key]] if key in value else []
        return mine + [found for inner in value.values() for found in everywhere(inner, key)]
    if isinstance(value, list):
        return [found for inner in value for found in everywhere(inner, key)]
    return []


@each()
def test_a_panel_says_what_it_shows_and_what_to_do(panel: Panel) -> None:
    assert len(panel.model["title"]) > 5
    assert len(panel.model["description"]) > 20
    assert panel.model["description"].endswith(".")


@each()
def test_a_panel_that_a_description_sends_to_is_there(panel: Panel) -> None:
    titles = {each.model["title"] for each in panels_of(panel.dashboard)} | {"no prices"}

    assert set(re.findall("“([^”]+)”", panel.model["description"])) - titles == set()


@each()
def test_a_panel_has_a_unit(panel: Panel) -> None:
    assert panel.model["fieldConfig"]["defaults"]["unit"]


@each()
def test_a_panel_says_so_when_there_is_nothing(panel: Panel) -> None:
    assert panel.model["fieldConfig"]["defaults"]["noValue"]


@each()
def test_thresholds_start_at_the_bottom_and_rise(panel: Panel) -> None:
    for thresholds in everywhere(panel.model["fieldConfig"], "thresholds"):
        bottom, *rest = [step["value"] for step in thresholds["steps"]]
        assert bottom is None
        assert rest == sorted(set(rest))


@each("timeseries")
def test_a_legend_is_a_table_with_last_and_mean(panel: Panel) -> None:
    legend = panel.model["options"]["legend"]

    assert (legend["displayMode"], legend["showLegend"]) == ("table", True)
    assert legend["calcs"] == ["lastNotNull", "mean"]


@each("timeseries", "stat", "heatmap")
def test_every_series_has_a_name(panel: Panel) -> None:
    assert all(target["legendFormat"] for target in panel.targets if "expr" in target)


@each()
def test_every_query_has_the_smallest_step(panel: Panel) -> None:
    steps = {target["interval"] for target in panel.targets if target["datasource"]["type"] == "prometheus"}

    assert steps <= {"1m"}


@each()
def test_queries_of_a_panel_are_told_apart(panel: Panel) -> None:
    refs = [target["refId"] for target in panel.targets]

    assert refs == sorted(set(refs))
    assert refs


@each()
def test_a_panel_and_its_queries_have_one_data_source(panel: Panel) -> None:
    assert {target["datasource"]["uid"] for target in panel.targets} == {panel.model["datasource"]["uid"]}


@each("timeseries")
def test_latency_has_exemplars_and_a_way_to_traces(panel: Panel) -> None:
    quantiles = [query for query in panel.queries("prometheus") if "quantile" in query and "duration" in query]
    if not quantiles or not re.search("otcache_(l2_)?operation_duration|otcache_loader_duration", quantiles[0]):
        return

    assert all(target["exemplar"] for target in panel.targets)
    assert any("/explore?" in link["url"] for link in panel.model["fieldConfig"]["defaults"]["links"])


@every("name", [name for name, _ in promql()])
def test_a_rate_is_over_what_grafana_chooses(name: str) -> None:
    windows = set(re.findall(r"\[([^\]]+)\]", dict(promql())[name]))

    assert windows <= {"$__rate_interval", "$__range"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_says_what_it_is_for(name: str) -> None:
    model = DASHBOARDS[name]

    assert (model["uid"], model["tags"], model["timezone"]) == (name, ["otcache"], "browser")
    assert model["title"].startswith("otcache / ")
    assert model["description"]
    assert model["graphTooltip"] == 1
    assert "id" not in model


@pytest.mark.parametrize("name", DASHBOARDS)
def test_nothing_is_bound_to_one_grafana(name: str) -> None:
    model = DASHBOARDS[name]

    for source in everywhere(model, "datasource"):
        assert SOURCES[source["uid"]] == source["type"]
    assert not {"__inputs", "__requires"} & model.keys()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_dashboard_has_the_same_variables(name: str) -> None:
    found = [variable["name"] for variable in DASHBOARDS[name]["templating"]["list"]]

    assert tuple(found[: len(VARIABLES)]) == VARIABLES


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_hidden_choice_is_one_that_no_panel_reads(name: str) -> None:
    text = " ".join(query for panel in panels_of(name) for query in panel.queries("prometheus"))

    for variable in DASHBOARDS[name]["templating"]["list"]:
        if variable["name"] in ("job", "instance", "cache", "benchmark"):
            assert (f"${variable['name']}" in text) == (variable.get("hide", 0) == 0), variable["name"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboards_lead_to_each_other_and_keep_what_was_chosen(name: str) -> None:
    (link,) = DASHBOARDS[name]["links"]

    assert (link["type"], link["tags"]) == ("dashboards", ["otcache"])
    assert (link["includeVars"], link["keepTime"]) == (True, True)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_deployments_and_regressions_are_marked(name: str) -> None:
    assert [each["name"] for each in DASHBOARDS[name]["annotations"]["list"]] == ["Deployments", "Regressions"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    groups = [DASHBOARDS[name]["panels"], *(panel.get("panels") or [] for panel in DASHBOARDS[name]["panels"])]

    for group in groups:
        places = [panel["gridPos"] for panel in group]
        assert all(place["x"] + place["w"] <= 24 for place in places)
        assert not [pair for pair in itertools.combinations(places, 2) if _overlap(*pair)]


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or above)


@each()
def test_red_is_for_what_needs_somebody_now(panel: Panel) -> None:
    reds = [value for value in everywhere(panel.model["fieldConfig"], "fixedColor") if value == "red"]

    assert len(reds) <= 1, "one red series at most"
