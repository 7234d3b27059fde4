"""A picture of a report: each change with its interval, beside the thresholds; people look before they read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from xml.sax.saxutils import escape

from otcache.regression._reporting.report import (
    change,
    interval,
    is_in_points,
    printable,
    series,
    sides,
    summary,
    value,
    worst_first,
)
from otcache.regression.model import Finding, Report, Verdict
from otcache.regression.specs import ERROR_RATIO

MOST: Final = 60
"""Findings that are drawn, the worst first; the rest is counted."""
COLORS: Final[Mapping[Verdict, str]] = {
    "critical": "#c4162a", "warning": "#e0752d", "inconclusive": "#8e8e8e", "minor": "#d8a200",
    "improved": "#1f60c4", "ok": "#37872d",
}  # fmt: skip
_ROW, _TOP, _BOTTOM = 24, 112, 46
_NAMES, _PLOT, _SAID = 500, 460, 400
_WIDTH: Final = _NAMES + _PLOT + _SAID
_FARTHEST: Final = 3.0
"""Critical thresholds that are shown; what is beyond is drawn at the edge, as an arrow, and said in numbers."""
_HOW_TO_READ: Final = (
    "Right of 0 is worse. Dot: estimated change; bar: what it may be; dashes: warning and critical threshold. "
    "An alarm's bar reaches its threshold and lies right of half-way to it."
)


def svg(report: Report, *, warning: float = 0.10, critical: float = 0.25) -> str:
    """An SVG image of the findings.

    Args:
        report: What is drawn.
        warning: From where on a change is a warning, a fraction; not of those in points, which have their own.
        critical: The same for critical.
    """
    drawn = [each for each in worst_first(report.findings) if each.change is not None][:MOST]
    left_out = len(report.findings) - len(drawn)
    height = _TOP + _ROW * max(len(drawn), 1) + _BOTTOM
    scale = _Scale(drawn, critical)
    parts = [_header(report, height), *_axis(scale, height - _BOTTOM)]
    for index, finding in enumerate(drawn):
        parts.extend(_finding(finding, _TOP + _ROW * index + _ROW // 2, scale, _thresholds(finding, warning, critical)))
    if left_out:
        said = f"{left_out} findings are not drawn: they have no estimate, or {MOST} others are worse"
        parts.append(_text(16, height - 14, said))
    return "\n".join([*parts, "</svg>\n"])


def _thresholds(finding: Finding, warning: float, critical: float) -> tuple[float, float]:
    if is_in_points(finding):
        return ERROR_RATIO.warning, ERROR_RATIO.critical
    return warning, critical


class _Scale:
    """From a change to a place on the picture; what lies outside is drawn at the edge."""

    def __init__(self, findings: Iterable[Finding], critical: float) -> None:
        known = [n for each in findings for n in (each.change, each.low, each.high) if n is not None]
        farthest = max((abs(number) for number in known if math.isfinite(number)), default=0.0)
        self.reach = min(max(critical * 1.2, farthest * 1.05), critical * _FARTHEST)

    def x(self, number: float) -> float:
        inside = min(max(number, -self.reach), self.reach)
        return _NAMES + _PLOT / 2 * (1 + inside / self.reach)

    def is_beyond(self, number: float) -> bool:
        """Whether it has no place of its own."""
        return abs(number) > self.reach

    def ticks(self) -> list[float]:
        """Round numbers, three or four on each side."""
        power = 10.0 ** math.floor(math.log10(self.reach / 4))
        step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if self.reach / step <= 4)
        count = int(self.reach / step)
        return [index * step for index in range(-count, count + 1)]


def _header(report: Report, height: int) -> str:
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    parts = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(16, 26, summary(report), size=15, color=COLORS[report.verdict]),
        _text(16, 48, _cut(sides(report), 200)),
        _text(16, 68, _HOW_TO_READ),
    )
    return "\n".join(parts)


def _axis(scale: _Scale, bottom: int) -> Iterator[str]:
    for tick in scale.ticks():
        color = "#444444" if tick == 0 else "#e5e5e5"
        yield _line(scale.x(tick), _TOP - 8, scale.x(tick), bottom, color)
        yield _text(scale.x(tick), _TOP - 14, f"{tick * 100:+.3g} %" if tick else "0", anchor="middle")


def _finding(finding: Finding, y: int, scale: _Scale, thresholds: tuple[float, float]) -> Iterator[str]:
    color = COLORS[finding.verdict]
    low = -math.inf if finding.low is None else finding.low
    high = math.inf if finding.high is None else finding.high
    yield _text(16, y + 4, _cut(series(finding.key), 72), size=11)
    yield _text(_NAMES - 12, y + 4, finding.statistic, size=11, anchor="end")
    for at, line in zip(map(scale.x, thresholds), (COLORS["warning"], COLORS["critical"]), strict=True):
        yield _line(at, y - _ROW / 2, at, y + _ROW / 2, line, dashes=3)
    yield _line(scale.x(low), y, scale.x(high), y, color, 7, opacity=0.4)
    yield _mark(finding.change or 0.0, y, scale, color)
    values = f"{value(finding, finding.baseline)} to {value(finding, finding.current)}"
    said = f"{finding.verdict}  {change(finding)} ({interval(finding)}), {values}"
    yield _text(_NAMES + _PLOT + 12, y + 4, said, color=color, size=11)


def _mark(change: float, y: int, scale: _Scale, color: str) -> str:
    """A dot; an arrow at the edge for what lies beyond it."""
    x = scale.x(change)
    if not scale.is_beyond(change):
        return f'<circle cx="{x:.1f}" cy="{y}" r="4.5" fill="{color}"/>'
    back = x - math.copysign(10, change)
    return f'<polygon points="{x:.1f},{y} {back:.1f},{y - 6} {back:.1f},{y + 6}" fill="{color}"/>'


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _text(x: float, y: float, words: str, *, size: int = 12, color: str = "#444444", anchor: str = "start") -> str:
    shown = escape(printable(words))
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}">{shown}</text>'


def _line(
    x1: float, y1: float, x2: float, y2: float, color: str, width: int = 1, dashes: int = 0, opacity: float = 1.0
) -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
        f'stroke-width="{width}" stroke-opacity="{opacity}"{dashed}/>'
    )
