"""A room imports only rooms on floors below it, each foreign package has its place, and names have one source."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from typing import Final

import pytest

from otcache.telemetry.catalog import ATTRIBUTES, EVENTS, INSTRUMENTS, SPANS
from tests.rows import every
from tests.shape.source import MODULES, Module, is_within

FLOORS: Final = (
    "exceptions version _concurrency",
    "ttl",
    "base _serialization",
    "config",
    "telemetry",
    "stores _exports alerts",
    "_engine regression testing",
    "_loading",
    "cache",
    "memory redis _decorators",
    "ai",
    "factory",
    "dependencies benchmarks",
    "http cli",
    "_demo",
    "__main__",
)
"""docs/architecture.md, from the ground: a room is a folder, or a file at the package's root."""

FLOOR_OF: Final = {room: number for number, rooms in enumerate(FLOORS, 1) for room in rooms.split()}

FACADES: Final = {"otcache", "otcache.config", "otcache.telemetry", "otcache.regression", "otcache.stores"}
"""Packages that show the names of their parts, and load those on first use."""

PLACES: Final = {
    "redis": ("otcache.stores.redis", "otcache.telemetry._setup.redis_metrics"),
    "hiredis": ("otcache.stores.redis",),
    "fastapi": ("otcache.dependencies", "otcache.http", "otcache._demo"),
    "starlette": ("otcache.dependencies", "otcache.http", "otcache._demo"),
    "pydantic": ("otcache.config.settings", "otcache.http", "otcache._demo"),
    "pydantic_settings": ("otcache.config.settings",),
    "zstandard": ("otcache._serialization.compression",),
    "cryptography": ("otcache._serialization.encryption",),
    "structlog": ("otcache.telemetry",),
    "prometheus_client": ("otcache.telemetry._setup.prometheus",),
    "opentelemetry": ("otcache.telemetry", "otcache.testing", "otcache._demo"),
    "opentelemetry.sdk": ("otcache.telemetry._setup", "otcache.testing", "otcache.regression._sources.sdk"),
    "opentelemetry.exporter": ("otcache.telemetry._setup", "otcache.testing"),
    "opentelemetry.instrumentation": ("otcache.telemetry._setup", "otcache._demo"),
}
"""Where a foreign package may be imported; the longest name counts."""


def room(name: str) -> str:
    """The room of a module: the folder, or the file, below the package's root."""
    return name.split(".")[1] if "." in name else "otcache"


def arrows() -> Iterator[tuple[Module, str, str]]:
    """Every import of one room by another; a facade shows the names of its parts, and loads them on first use."""
    for module in MODULES:
        for part in module.imports:
            shown = module.name in FACADES and (part.typing or part.deferred)
            if is_within(part.name, "otcache") and not shown and room(part.name) != room(module.name):
                yield module, room(part.name), f"{module.name} imports {part.name} (line {part.line})"


def test_every_room_has_a_floor() -> None:
    assert {room(module.name) for module in MODULES} - {"otcache"} == FLOOR_OF.keys()


def test_a_room_imports_only_rooms_on_floors_below() -> None:
    above = [
        text for module, used, text in arrows() if FLOOR_OF.get(used, 0) >= FLOOR_OF.get(room(module.name), len(FLOORS))
    ]

    assert above == []


def test_no_room_is_in_a_ring() -> None:
    graph: dict[str, set[str]] = {}
    for module, used, _ in arrows():
        graph.setdefault(room(module.name), set()).add(used)

    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises on a ring, and names it

    assert len(order) >= len(graph)


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph = {
        module.name: {part.name for part in module.imports if is_within(part.name, "otcache") and not part.typing}
        for module in MODULES
        if module.name not in FACADES
    }

    order = list(graphlib.TopologicalSorter(graph).static_order())

    assert len(order) >= len(graph)


@every("module", MODULES, ids=str)
def test_our_own_modules_are_imported_at_the_top(module: Module) -> None:
    deferred = [part.name for part in module.imports if part.deferred and is_within(part.name, "otcache")]

    assert module.name in FACADES or deferred == []


@every("module", MODULES, ids=str)
def test_a_foreign_package_is_imported_only_in_its_place(module: Module) -> None:
    strangers = []
    for part in module.imports:
        package = max((name for name in PLACES if is_within(part.name, name)), key=len, default=None)
        if package and not is_within(module.name, *PLACES[package]):
            strangers.append(f"{part.name} (line {part.line})")

    assert strangers == []


# --- one source of names ------------------------------------------------------------------------------

CATALOGUED: Final = frozenset(
    [instrument.name for instrument in INSTRUMENTS]
    + [attribute.name for attribute in ATTRIBUTES]
    + [event.name for event in EVENTS]
    + [span.id for span in SPANS]
)
DOTTED: Final = re.compile(r"otcache(\.[a-z0-9_]+)+")
MODULE_NAMES: Final = frozenset(module.name for module in MODULES)


def literals(module: Module) -> Iterator[tuple[str, int]]:
    """The strings of a file and their lines, but for prose and the names of loggers."""
    exempt: set[int] = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("getLogger", "get_logger")):
            exempt.update(id(argument) for argument in node.args)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in exempt:
            yield node.value, node.lineno


FILE_KINDS: Final = frozenset(["otcache.benchmark"])
"""What saved files call themselves."""
SCOPES: Final = frozenset(instrument.scope for instrument in INSTRUMENTS) | {span.scope for span in SPANS}


def is_a_telemetry_name(text: str) -> bool:
    return text in CATALOGUED or bool(DOTTED.fullmatch(text) and text not in MODULE_NAMES | SCOPES | FILE_KINDS)


@every("module", MODULES, ids=str)
def test_names_of_telemetry_are_written_in_the_catalogue_only(module: Module) -> None:
    if is_within(module.name, "otcache.telemetry.catalog"):
        return  # the one source

    found = [f"{text} (line {line})" for text, line in literals(module) if is_a_telemetry_name(text)]

    assert found == []


@pytest.mark.parametrize("text", ["otcache.lookups", "otcache.lookups.more", "error.type", "otcache.redis.client"])
def test_the_rule_knows_a_telemetry_name(text: str) -> None:
    assert is_a_telemetry_name(text)


@pytest.mark.parametrize("text", ["otcache", "otcache.redis", "otcache._demo.command", "error", "lookups"])
def test_the_rule_lets_other_words_be(text: str) -> None:
    assert not is_a_telemetry_name(text)
