"""A picture of a report: each change with its interval, beside the thresholds; people look before they read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from xml.sax.saxutils import escape

from otcache.regression.model import Finding, Report, Verdict
from otcache.regression.report import change, headline, interval, series, value, worst_first

MOST: Final = 60
"""Findings that are drawn, the worst first; the rest is counted."""
COLORS: Final[Mapping[Verdict, str]] = {
    "critical": "#c4162a", "warning": "#e0752d", "inconclusive": "#8e8e8e", "minor": "#d8a200",
    "improved": "#1f60c4", "ok": "#37872d",
}  # fmt: skip
_ROW, _TOP, _NAMES, _PLOT, _SAID = 24, 76, 430, 460, 330
_WIDTH: Final = _NAMES + _PLOT + _SAID


def svg(report: Report, *, warning: float = 0.10, critical: float = 0.25) -> str:
    """An SVG image of the findings.

    Args:
        report: What is drawn.
        warning: Where the warning line stands, a fraction.
        critical: Where the critical line stands.
    """
    drawn = [each for each in worst_first(report.findings) if each.change is not None][:MOST]
    left_out = len(report.findings) - len(drawn)
    height = _TOP + _ROW * max(len(drawn), 1) + 40
    scale = _Scale(drawn, critical)
    parts = [_header(report, height), *_axis(scale, height, warning, critical)]
    for index, finding in enumerate(drawn):
        parts.extend(_finding(finding, _TOP + _ROW * index + _ROW // 2, scale))
    if left_out:
        parts.append(
            _text(16, height - 12, f"{left_out} findings are not drawn: without an estimate, or beyond {MOST}")
        )
    return "\n".join([*parts, "</svg>\n"])


class _Scale:
    """From a change to a place on the picture; what lies outside is drawn at the edge."""

    def __init__(self, findings: Iterable[Finding], critical: float) -> None:
        known = [n for each in findings for n in (each.change, each.low, each.high) if n is not None]
        finite = [min(abs(number), 2.0) for number in known if math.isfinite(number)]
        self.reach = max([critical * 1.4, *finite])

    def x(self, number: float) -> float:
        inside = min(max(number, -self.reach), self.reach)
        return _NAMES + _PLOT / 2 * (1 + inside / self.reach)

    def ticks(self) -> list[float]:
        """Round numbers, not too many."""
        step = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0) if self.reach / step <= 5)
        count = int(self.reach / step)
        return [index * step for index in range(-count, count + 1)]


def _header(report: Report, height: int) -> str:
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    parts = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(16, 24, headline(report), size=15, color=COLORS[report.verdict]),
        _text(16, 44, "change of each number, positive is worse; the bar is what the change may be"),
    )
    return "\n".join(parts)


def _axis(scale: _Scale, height: int, warning: float, critical: float) -> Iterator[str]:
    bottom = height - 40
    for tick in scale.ticks():
        yield _line(scale.x(tick), _TOP - 8, scale.x(tick), bottom, "#e5e5e5")
        yield _text(scale.x(tick), _TOP - 14, change(tick), anchor="middle")
    yield _line(scale.x(0), _TOP - 8, scale.x(0), bottom, "#444444")
    for threshold, verdict in ((warning, "warning"), (critical, "critical")):
        color = COLORS["warning" if verdict == "warning" else "critical"]
        yield _line(scale.x(threshold), _TOP - 8, scale.x(threshold), bottom, color, dashed=True)
        yield _text(scale.x(threshold), bottom + 16, verdict, color=color, anchor="middle")


def _finding(finding: Finding, y: int, scale: _Scale) -> Iterator[str]:
    color = COLORS[finding.verdict]
    low = -math.inf if finding.low is None else finding.low
    high = math.inf if finding.high is None else finding.high
    yield _text(16, y + 4, _cut(f"{series(finding.key)} {finding.statistic}", 64))
    yield _line(scale.x(low), y, scale.x(high), y, color, width=5, opacity=0.45)
    yield f'<circle cx="{scale.x(finding.change or 0.0):.1f}" cy="{y}" r="4.5" fill="{color}"/>'
    sides = f"{value(finding, finding.baseline)} to {value(finding, finding.current)}"
    said = f"{finding.verdict}  {change(finding.change)} ({interval(finding)})  {sides}"
    yield _text(_NAMES + _PLOT + 12, y + 4, said, color=color, size=11)


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def _text(x: float, y: float, words: str, *, size: int = 12, color: str = "#444444", anchor: str = "start") -> str:
    shown = escape("".join(each if each.isprintable() else " " for each in words))
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" text-anchor="{anchor}">{shown}</text>'


def _line(
    x1: float,
    y1: float,
    x2: float,
    y2: float,
    color: str,
    *,
    width: int = 1,
    opacity: float = 1.0,
    dashed: bool = False,
) -> str:
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
        f'stroke-width="{width}" stroke-opacity="{opacity}"{dashes}/>'
    )
