"""`otcache dashboards export`: the Grafana dashboards as files to import, with one's own thresholds."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from otcache.alerts.thresholds import PANELS, Threshold, parsed
from otcache.cli._output import refuse, say
from otcache.exceptions import ValidationError

FAILED: Final = 1
USAGE: Final = 2
"""Exit statuses; 0 is success."""
_PACKAGE: Final = Path(__file__).parents[1]
PLACES: Final = (_PACKAGE / "dashboards", _PACKAGE.parent / "dashboards")
"""In a wheel; in the repository, which an editable installation reads."""


class DashboardsError(Exception):
    """What can't be done; the message is for the user."""


class Variable(NamedTuple):
    """What can be chosen beforehand; `places` are JSON pointers, by file."""

    meaning: str
    places: Mapping[str, str]


class Folder(NamedTuple):
    """The dashboards: their JSON by file name, and where thresholds are in it, as JSON pointers by file."""

    files: Mapping[str, dict[str, Any]]
    thresholds: Mapping[str, Threshold]
    places: Mapping[str, Mapping[str, list[str]]]
    variables: Mapping[str, Variable]


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    actions = parser.add_subparsers(metavar="action", required=True)
    export = actions.add_parser("export", help="write the dashboards into a directory")
    export.add_argument("directory", nargs="?", type=Path, metavar="DIR", help="where; it is made if it is not there")
    export.add_argument("--job", metavar="NAME", help="the service that is selected at first (default: all)")
    export.add_argument("--cache", metavar="NAME", help="the cache that is selected at first (default: all)")
    export.add_argument(
        "--threshold", action="append", default=[], metavar="NAME=VALUE", help="a threshold of your own; see --list"
    )
    export.add_argument("--list", action="store_true", help="print the thresholds and write nothing")


def run(arguments: argparse.Namespace) -> int:
    """Write the dashboards, or print what can be set.

    Returns:
        0 done, 1 not written, 2 used wrongly.
    """
    try:
        folder = load()
        if arguments.list:
            say("\n".join(_listed(folder)))
            return 0
        if arguments.directory is None:
            raise DashboardsError("export needs a directory, or --list")
        chosen = {name: value for name in folder.variables if (value := getattr(arguments, name)) is not None}
        given = dict(parsed(text, folder.thresholds) for text in arguments.threshold)
        made = adapted(folder, given, chosen)
    except (DashboardsError, ValidationError) as exc:
        return refuse(str(exc), USAGE)
    return _write(arguments.directory, made)


# --- reading ------------------------------------------------------------------------------------------


def load() -> Folder:
    """The dashboards, from the package or from the repository. Raises DashboardsError: this installation has none."""
    for place in PLACES:
        if (place / "parameters.json").is_file():
            return _read(place)
    raise DashboardsError("this installation has no dashboards: install otcache from a wheel, or export in the clone")


def _read(place: Path) -> Folder:
    said = json.loads((place / "parameters.json").read_text(encoding="utf-8"))
    files = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(place.glob("grafana/*.json"))}
    places = said["thresholds"]
    thresholds = {name: PANELS[name] for name in places}
    return Folder(files, thresholds, places, {name: Variable(**facts) for name, facts in said["variables"].items()})


def _listed(folder: Folder) -> Iterator[str]:
    yield f"{'threshold':<24}{'default':>9}  {'unit':<7}{'range':<15}meaning"
    for name, each in folder.thresholds.items():
        limits = f"{each.low:g}..{each.high:g}"
        yield f"{name:<24}{each.default:>9g}  {each.unit:<7}{limits:<15}{each.meaning}"
    yield f"\n{'choice':<24}{'default':>9}  meaning"
    yield from (f"--{name:<22}{'all':>9}  {each.meaning}" for name, each in folder.variables.items())
    yield "\nshare: of 1. s: seconds."


# --- writing ------------------------------------------------------------------------------------------


def adapted(folder: Folder, thresholds: Mapping[str, float], variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The dashboards with these thresholds and these first choices.

    Raises:
        DashboardsError: A warning would be on the wrong side of its critical, or a choice is empty.
    """
    made: dict[str, dict[str, Any]] = json.loads(json.dumps(folder.files))  # a copy, all the way down
    for name, value in thresholds.items():
        for file, pointers in folder.places[name].items():
            for pointer in pointers:
                parent, last = _parent(made[file], pointer)
                parent[last] = value
    _check_order(folder, made)
    for name, choice in variables.items():
        if not choice.strip():
            raise DashboardsError(f"--{name} needs a name")
        for file, pointer in folder.variables[name].places.items():
            _choose(_parent(made[file], f"{pointer}/current")[0], choice)
    return made


def _parent(model: Any, pointer: str) -> tuple[Any, Any]:
    """What holds the place that a JSON pointer leads to, and its key or index there."""
    *path, last = pointer.split("/")[1:]
    for step in path:
        model = model[int(step)] if isinstance(model, list) else model[step]
    return model, int(last) if isinstance(model, list) else last


def _check_order(folder: Folder, made: Mapping[str, dict[str, Any]]) -> None:
    """Colours of one panel change in order: Grafana draws nonsense otherwise."""
    steps: dict[tuple[str, str], list[tuple[int, str, float]]] = {}
    for name, places in folder.places.items():
        for file, pointers in places.items():
            for pointer in pointers:
                panel, _, index = pointer.removesuffix("/value").rpartition("/")
                parent, last = _parent(made[file], pointer)
                steps.setdefault((file, panel), []).append((int(index), name, parent[last]))
    for found in steps.values():
        found.sort()
        for (_, low_name, low), (_, high_name, high) in pairwise(found):
            if low >= high:
                raise DashboardsError(f"{low_name}={low:g} must be below {high_name}={high:g}")


def _choose(variable: dict[str, Any], choice: str) -> None:
    several = variable.get("multi", False)
    value = [choice] if several else choice
    variable["current"] = {"selected": True, "text": value, "value": value}


def _write(directory: Path, made: Mapping[str, dict[str, Any]]) -> int:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, model in made.items():
            text = json.dumps(model, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as exc:
        return refuse(f"{directory} can't be written: {exc.strerror or exc}", FAILED)
    say(f"{len(made)} dashboards in {directory}: import them in Grafana, or provision the directory")
    return 0
