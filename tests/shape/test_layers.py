"""Files import only from their own layer or below, each foreign package has its place, and names have one source."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from typing import Final

import pytest

from otcache.telemetry.catalog import ATTRIBUTES, EVENTS, INSTRUMENTS, SPANS
from tests.shape.source import MODULES, Module, is_within

RANKS: Final = {
    0: "base exceptions version quiet loads.answer loads.running loads.typing",
    1: "benchmarks.config config serializers codecs keys telemetry.catalog telemetry.outcome telemetry.providers",
    2: "telemetry callbacks stores",
    3: "pipeline tiers far batch guard deadline breaker journal inflight loads stamps backplane near coding terms core",
    4: "assembly memory redis ai functions",
    5: "factory",
    6: "dependencies http registry health telemetry.sdk telemetry.profiles telemetry.prometheus telemetry.logs testing"
    " regression alerts",
    7: "benchmarks",
    8: "cli cli_alerts cli_bench cli_dashboards cli_metrics cli_regress demo __main__",
}
"""docs/architecture.md, "Layers": a package stands for what is inside of it, unless that has a rank of its own."""

RANK_OF: Final = {"otcache": 0} | {f"otcache.{name}": rank for rank, names in RANKS.items() for name in names.split()}

FACADES: Final = {"otcache", "otcache.config", "otcache.telemetry"}
"""Packages that show the names of their parts, and load those on first use."""

PLACES: Final = {
    "redis": ("otcache.stores", "otcache.telemetry.redis_metrics"),
    "hiredis": ("otcache.stores",),
    "fastapi": ("otcache.dependencies", "otcache.http", "otcache.demo"),
    "starlette": ("otcache.dependencies", "otcache.http", "otcache.demo"),
    "pydantic": ("otcache.config.settings", "otcache.http", "otcache.demo"),
    "pydantic_settings": ("otcache.config.settings",),
    "rich": ("otcache.benchmarks.progress", "otcache.cli", "otcache.cli_bench", "otcache.cli_metrics", "otcache.demo"),
    "zstandard": ("otcache.codecs",),
    "structlog": ("otcache.telemetry",),
    "prometheus_client": ("otcache.telemetry.prometheus",),
    "opentelemetry": ("otcache.telemetry", "otcache.testing", "otcache.demo"),
    "opentelemetry.sdk": (
        "otcache.telemetry.sdk",
        "otcache.telemetry.profiles",
        "otcache.telemetry.prometheus",
        "otcache.telemetry.logs",
        "otcache.testing",
        "otcache.regression.sources.sdk",
    ),
    "opentelemetry.exporter": (
        "otcache.telemetry.sdk",
        "otcache.telemetry.prometheus",
        "otcache.telemetry.logs",
        "otcache.testing",
    ),
    "opentelemetry.instrumentation": ("otcache.telemetry.sdk", "otcache.telemetry.logs", "otcache.demo"),
}
"""Where a foreign package may be imported; the longest name counts."""


def rank(name: str) -> int:
    """The rank of a module: its own, or that of the nearest package around it."""
    return RANK_OF[name] if name in RANK_OF else rank(name.rpartition(".")[0])


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_file_has_a_rank(module: Module) -> None:
    assert module.name == "otcache" or is_within(module.name, *(RANK_OF.keys() - {"otcache"}))


def test_every_rank_is_of_a_file() -> None:
    assert RANK_OF.keys() <= {module.name for module in MODULES}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_file_imports_nothing_above_itself(module: Module) -> None:
    ours = [part for part in module.imports if is_within(part.name, "otcache")]

    above = [f"{part.name} (line {part.line})" for part in ours if rank(part.name) > rank(module.name)]

    if module.name in FACADES:
        above = [f"{part.name} (line {part.line})" for part in ours if not part.typing and rank(part.name) > 1]
    assert above == []


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph = {
        module.name: {part.name for part in module.imports if is_within(part.name, "otcache") and not part.typing}
        for module in MODULES
        if module.name not in FACADES
    }

    order = list(graphlib.TopologicalSorter(graph).static_order())

    assert len(order) >= len(graph)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_our_own_modules_are_imported_at_the_top(module: Module) -> None:
    deferred = [part.name for part in module.imports if part.deferred and is_within(part.name, "otcache")]

    assert module.name in FACADES or deferred == []


@pytest.mark.parametrize("module", MODULES, ids=str)
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


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_names_of_telemetry_are_written_in_the_catalogue_only(module: Module) -> None:
    if is_within(module.name, "otcache.telemetry.catalog"):
        return  # the one source

    found = [f"{text} (line {line})" for text, line in literals(module) if is_a_telemetry_name(text)]

    assert found == []


@pytest.mark.parametrize("text", ["otcache.lookups", "otcache.lookups.more", "error.type", "otcache.redis.client"])
def test_the_rule_knows_a_telemetry_name(text: str) -> None:
    assert is_a_telemetry_name(text)


@pytest.mark.parametrize("text", ["otcache", "otcache.redis", "otcache.demo.command", "error", "lookups"])
def test_the_rule_lets_other_words_be(text: str) -> None:
    assert not is_a_telemetry_name(text)
