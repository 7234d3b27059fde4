"""What is in force after several comparisons: three of three raise an alarm, three clean ones clear it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from otcache.regression._detector import series_verdicts
from otcache.regression._model import SEVERITY, Finding, Report, SeriesKey

NEED: Final = 3
"""Comparisons in a row: with one, 20 of 60 quiet streams raised something; with three, 2 (regression.md 2.6)."""

Level = Literal["ok", "warning", "critical"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "warning", "critical")
State = dict[str, Any]
"""Plain data that JSON can hold: what is in force per series, and what the last comparisons said."""


@dataclass(frozen=True, slots=True)
class Transition:
    """An alarm that was raised, changed or cleared.

    Attributes:
        key: Which series.
        before: What was in force.
        after: What is in force now.
        finding: The finding that says most about it: its interval and both sides.
    """

    key: SeriesKey
    before: Level
    after: Level
    finding: Finding


def step(state: Mapping[str, Any], report: Report, need: int = NEED) -> tuple[State, tuple[Transition, ...]]:
    """Take one comparison in.

    An inconclusive series, and one that is not in the report, changes nothing: it neither raises nor clears.

    Args:
        state: What the last step returned; empty at first.
        report: The comparison.
        need: Comparisons in a row that raise or clear, 1 or more.

    Returns:
        The state for the next step, and what changed.
    """
    following: State = {name: dict(known) for name, known in state.items()}
    transitions = []
    for key, verdict in series_verdicts(report.findings).items():
        if verdict == "inconclusive":
            continue
        known = following.pop(identity(key), {"level": 0, "recent": []})
        recent = [*known["recent"], SEVERITY[verdict]][-need:]
        level = _settle(known["level"], recent, need)
        if level or any(recent):
            following[identity(key)] = {"level": level, "recent": recent}
        if level != known["level"]:
            leading = _leading(finding for finding in report.findings if finding.key == key)
            transitions.append(Transition(key, LEVELS[known["level"]], LEVELS[level], leading))
    return following, tuple(transitions)


def in_force(state: Mapping[str, Any], key: SeriesKey) -> Level:
    """What is in force for a series."""
    level: int = state.get(identity(key), {"level": 0})["level"]
    return LEVELS[level]


def alarms(state: Mapping[str, Any]) -> dict[SeriesKey, Level]:
    """Every series with an alarm in force, whether or not the last comparison had it."""
    return {_key(name): LEVELS[known["level"]] for name, known in state.items() if known["level"]}


def checked(found: object) -> State:
    """A state that was read from somewhere. Raises ValueError: it is none."""
    if not isinstance(found, dict) or not all(_is_known(*item) for item in found.items()):
        raise ValueError("it is no state of alarms")
    return found


def _is_known(name: str, known: object) -> bool:
    try:
        _key(name)
    except (TypeError, AttributeError) as exc:
        raise ValueError(f"{name[:80]!r} is no series") from exc
    if not isinstance(known, dict) or not isinstance(known.get("recent"), list):
        return False
    return all(type(level) is int and 0 <= level < len(LEVELS) for level in (known.get("level"), *known["recent"]))


def _key(name: str) -> SeriesKey:
    """The series that `identity` made this of."""
    metric, attributes, resource = json.loads(name)
    return SeriesKey(metric, frozenset(map(tuple, attributes)), frozenset(map(tuple, resource)))


def identity(key: SeriesKey) -> str:
    """A series as one string, the same in every process."""
    return json.dumps([key.metric, sorted(key.attributes), sorted(key.resource)], separators=(",", ":"))


def _settle(level: int, recent: list[int], need: int) -> int:
    """The level that all of the recent severities agree on: at least the lowest, at most the highest of them."""
    if len(recent) < need:
        return level
    return min(max(level, min(recent)), max(recent))


def _leading(findings: Iterable[Finding]) -> Finding:
    return max(findings, key=lambda each: (SEVERITY[each.verdict], -math.inf if each.change is None else each.change))
