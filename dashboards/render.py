"""All dashboards as files, and the sidecar that says where in them the thresholds and first values are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dashboards import ai, cache, health, loading, overview, redis, regressions
from dashboards.board import SETTABLE, dumps, render
from dashboards.panels import Step

FOLDER: Final = Path(__file__).parent / "grafana"
SIDECAR: Final = Path(__file__).parent / "parameters.json"
"""Beside the folder: Grafana takes every JSON file in it for a dashboard."""
BOARDS: Final = (overview, cache, loading, redis, ai, regressions, health)
_SAID: Final = {
    "job": "The service that is chosen at first.",
    "cache": "The cache that is chosen at first.",
}


def files() -> dict[Path, str]:
    """Every generated file and its text."""
    rendered = {f"{board.uid}.json": render(board) for board in (module.board() for module in BOARDS)}
    texts = {FOLDER / name: dumps(model) for name, model in rendered.items()}
    return {**texts, SIDECAR: json.dumps(_sidecar(rendered), indent=1, sort_keys=True) + "\n"}


def write() -> list[Path]:
    """Write what differs; remove dashboards that are no more; what was touched."""
    wanted = files()
    touched = drift(wanted)
    for path in touched:
        if path in wanted:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    return touched


def drift(wanted: dict[Path, str] | None = None) -> list[Path]:
    """The files that are not what the generator makes."""
    wanted = files() if wanted is None else wanted
    there = {*FOLDER.glob("*.json"), *wanted}
    return sorted(path for path in there if not path.exists() or path.read_text(encoding="utf-8") != wanted.get(path))


def _sidecar(rendered: dict[str, dict[str, Any]]) -> dict[str, Any]:
    thresholds: dict[str, dict[str, list[str]]] = {}
    for name, model in rendered.items():
        for pointer, step in _steps(model, ""):
            option = step.threshold.panel or step.threshold.name
            thresholds.setdefault(option, {}).setdefault(name, []).append(pointer)
    variables = {
        variable: {
            "meaning": _SAID[variable],
            "places": {name: f"/templating/list/{_index(model, variable)}" for name, model in rendered.items()},
        }
        for variable in SETTABLE
    }
    return {"thresholds": thresholds, "variables": variables}


def _steps(value: Any, pointer: str) -> Iterator[tuple[str, Step]]:
    if isinstance(value, Step):
        yield pointer, value
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from _steps(value[key], f"{pointer}/{key}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _steps(each, f"{pointer}/{index}")


def _index(model: dict[str, Any], variable: str) -> int:
    return [each["name"] for each in model["templating"]["list"]].index(variable)
