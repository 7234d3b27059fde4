"""A picture of a run: each case as a multiple of the first of its group, on a scale of powers of ten."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from benchmarks.catalogue import GROUPS
from benchmarks.harness import Spread
from benchmarks.results import Results
from benchmarks.workloads import Group

PICTURE: Final = Path(__file__).parents[1] / "docs" / "pictures" / "benchmarks.svg"
DRAWN: Final = ("hit", "decorated", "redis", "readers")
OURS, THEIRS, GRID, INK = "#1f60c4", "#8e8e8e", "#e5e5e5", "#444444"
_ROW, _TOP, _NAMES, _PLOT, _SAID = 22, 56, 380, 460, 130
_WIDTH: Final = _NAMES + _PLOT + _SAID
_TITLE: Final = "What one hit costs, as a multiple of the first row of its group. Dot: median; bar: 8 of 10 rounds."


def svg(results: Results) -> str:
    """An SVG image of the groups in `DRAWN`."""
    drawn = [(group, rows) for group in GROUPS if group.name in DRAWN and (rows := _rows(group, results))]
    height = _TOP + sum(_ROW * (len(rows) + 2) for _, rows in drawn) + 10
    spreads = [spread for _, rows in drawn for _, spread in rows]
    scale = _Scale(spreads)
    parts = [*_frame(height), *_axis(scale, height)]
    y = _TOP
    for group, rows in drawn:
        parts.append(_text(16, y + 2 * _ROW - 8, group.title, weight="bold"))
        y += 2 * _ROW
        for index, (name, spread) in enumerate(rows):
            parts.extend(_case(name, spread, y + _ROW * index + _ROW // 2, scale))
        y += _ROW * len(rows)
    return "\n".join([*parts, "</svg>\n"])


def _rows(group: Group, results: Results) -> list[tuple[str, Spread]]:
    names = results.groups.get(group.name, {})
    found = [(name, results.ratio(group.name, name, group.base, group.clock)) for name in names]
    return sorted(((name, spread) for name, spread in found if spread is not None), key=lambda row: row[1].middle)


class _Scale:
    """From a multiple to a place: logarithmic, from a power of ten to a power of ten."""

    def __init__(self, spreads: list[Spread]) -> None:
        self.low = math.floor(math.log10(min((each.low for each in spreads), default=1.0)))
        self.high = max(math.ceil(math.log10(max((each.high for each in spreads), default=10.0))), self.low + 1)

    def x(self, multiple: float) -> float:
        return _NAMES + _PLOT * (math.log10(multiple) - self.low) / (self.high - self.low)


def _frame(height: int) -> Iterator[str]:
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
    yield f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    yield _text(16, 24, _TITLE)


def _axis(scale: _Scale, height: int) -> Iterator[str]:
    for power in range(scale.low, scale.high + 1):
        x = scale.x(10.0**power)
        color = INK if power == 0 else GRID
        yield f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{height - 10}" stroke="{color}"/>'
        yield _text(x, _TOP - 8, f"{10.0**power:g}", anchor="middle")


def _case(name: str, spread: Spread, y: int, scale: _Scale) -> Iterator[str]:
    color = OURS if name.startswith("otcache") else THEIRS
    low, middle, high = map(scale.x, spread)
    yield _text(16, y + 4, name.replace("`", ""), color=color if color == OURS else INK)
    yield f'<line x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}" stroke="{color}" stroke-width="7" opacity="0.4"/>'
    yield f'<circle cx="{middle:.1f}" cy="{y}" r="4.5" fill="{color}"/>'
    yield _text(_NAMES + _PLOT + 12, y + 4, str(spread), size=11)


def _text(
    x: float, y: float, words: str, *, size: int = 12, color: str = INK, anchor: str = "start", weight: str = "normal"
) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}" font-weight="{weight}"'
    return f"<text {place}>{escape(words)}</text>"
