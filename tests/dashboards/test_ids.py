"""Ids of panels: a link with `viewPanel=` leads to the same panel whatever is added, moved or renamed."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any, Final

import pytest

from dashboards.board import Board, Row, panel_id, render
from dashboards.panels import Query, Tile, lines
from dashboards.promql import rate, series, sum_by
from dashboards.render import BOARDS
from otcache.telemetry.catalog import LOOKUPS
from tests.dashboards.model import DASHBOARDS

MODULES: Final = pytest.mark.parametrize("module", BOARDS, ids=lambda module: module.__name__)


def panel(slug: str, title: str = "A new panel") -> Tile:
    return lines(slug, title, "It is new.", [Query(sum_by(rate(series(LOOKUPS))), "lookups")], "ops")


def ids(model: dict[str, Any]) -> dict[tuple[str, str], int]:
    """Of rows and panels, closed rows' too."""
    found = [each for panel in model["panels"] for each in (panel, *(panel.get("panels") or []))]
    return {(each["type"], each["title"]): each["id"] for each in found}


@MODULES
def test_a_panel_in_the_middle_renumbers_no_other(module: ModuleType) -> None:
    board: Board = module.board()
    before = ids(render(board))

    first, *rows = module.board().rows
    middle = replace(first, tiles=[*first.tiles[:1], panel("new"), *first.tiles[1:]])
    after = ids(render(replace(board, rows=[middle, Row("new", "A new row", [panel("newer", "Newer")]), *rows])))

    added = {("timeseries", "A new panel"), ("row", "A new row"), ("timeseries", "Newer")}
    assert {key: number for key, number in after.items() if key not in added} == before
    assert added <= after.keys()


def test_a_new_title_keeps_the_id() -> None:
    one, other = (
        render(Board("x", "otcache / x", "", [Row("row", f"Row {title}", [panel("slug", title)])]))
        for title in ("Lookups", "Look-ups")
    )

    assert list(ids(one).values()) == list(ids(other).values())
    assert ids(one).keys() != ids(other).keys()


def test_two_panels_with_one_slug_are_refused() -> None:
    with pytest.raises(ValueError, match="'twice' and 'twice' have one id"):
        render(Board("x", "otcache / x", "", [Row("row", "A row", [panel("twice"), panel("twice")])]))


def test_an_id_is_made_of_the_slug_alone_and_stays() -> None:
    assert panel_id("hit-ratio") == 1827918720
    assert ids(DASHBOARDS["otcache-overview"])["stat", "Hit ratio"] == panel_id("hit-ratio")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_id_is_on_its_dashboard_once(name: str) -> None:
    found = ids(DASHBOARDS[name])

    assert len(set(found.values())) == len(found)
    assert all(0 < number < 2**31 for number in found.values())
