"""The picture of a report."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from otcache.regression._reporting.plot import COLORS, MOST, svg
from otcache.regression.model import Finding, SeriesKey
from otcache.telemetry import catalog
from tests.cli.regress.reports import ALL, ERRORS, GET, SET, finding, report

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*findings: Finding, **thresholds: float) -> ElementTree.Element:
    return ElementTree.fromstring(svg(report("ok", *findings), **thresholds))


def dots(picture: ElementTree.Element) -> list[float]:
    return [float(each.attrib["cx"]) for each in picture.iter(f"{SVG}circle")]


def words(picture: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in picture.iter(f"{SVG}text")]


def thresholds(picture: ElementTree.Element) -> list[float]:
    return [float(each.attrib["x1"]) for each in picture.iter(f"{SVG}line") if "stroke-dasharray" in each.attrib]


def test_it_says_the_answer_and_every_row_in_words_and_color() -> None:
    picture = ElementTree.fromstring(svg(ALL))

    assert words(picture)[:2] == [
        "critical: a critical regression; series: 1 critical, 1 warning, 1 inconclusive, 1 ok", "eleven against ten",
    ]  # fmt: skip
    assert "critical  +30.0 % (+29.0 % .. +31.0 %), 1 ms to 1.3 ms" in words(picture)
    assert [each.attrib["fill"] for each in picture.iter(f"{SVG}circle")] == [
        COLORS[verdict] for verdict in ("critical", "warning", "ok")
    ]
    assert words(picture)[-1] == f"2 findings are not drawn: they have no estimate, or {MOST} others are worse"


def test_worse_is_further_right() -> None:
    worse, better = dots(drawn(finding("ok", 0.05), finding("ok", -0.05, SET)))

    assert worse > better


def test_a_share_in_points_stands_beside_thresholds_of_its_own() -> None:
    relative, points = thresholds(drawn(finding("critical", 0.3))), thresholds(drawn(finding("warning", 0.03, ERRORS)))

    assert all(own < other for own, other in zip(points, relative, strict=True))


def test_what_lies_beyond_the_edge_is_an_arrow_and_flattens_nothing() -> None:
    picture = drawn(finding("critical", 900.0, high=None), finding("warning", 0.15, SET))

    assert len(list(picture.iter(f"{SVG}polygon"))) == 1
    assert dots(picture)[0] - thresholds(picture)[0] > 5


@pytest.mark.parametrize("critical", [0.001, 0.25, 10.0])
def test_there_are_a_few_round_ticks_at_any_threshold(critical: float) -> None:
    picture = drawn(finding("ok", 0.0), warning=critical / 2, critical=critical)

    assert 5 <= len([each for each in words(picture) if each == "0" or each.endswith(" %")]) <= 9


def test_of_many_findings_the_worst_are_drawn() -> None:
    series = [SeriesKey(GET.metric, frozenset({(catalog.CACHE.name, str(number))})) for number in range(MOST + 5)]

    picture = drawn(*(finding("ok", number / 1000, key) for number, key in enumerate(series)))

    assert len(dots(picture)) == MOST
    assert words(picture)[-1].startswith("5 findings are not drawn")


def test_a_name_from_outside_is_only_text() -> None:
    hostile = SeriesKey(GET.metric, frozenset({(catalog.CACHE.name, "<script>alert(1)</script>&\x00")}))

    picture = drawn(finding("ok", 0.0, hostile))

    assert any("<script>alert(1)</script>& " in each for each in words(picture))
    assert {each.tag.removeprefix(SVG) for each in picture.iter()} == {"svg", "rect", "text", "line", "circle"}


def test_nothing_is_a_picture_too() -> None:
    assert words(drawn())[0] == "ok: no regression; series: none was judged"
