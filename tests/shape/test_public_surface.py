"""Tests ask a cache what its users can ask it: who turns its inside around must not have to turn the tests around."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.rows import every
from tests.shape.source import MODULES, ROOT

FILES: Final = sorted((ROOT / "tests").rglob("*.py"))
LEFT: Final = {
    "tests/inside.py": (5, "the one place that knows them"),
    "tests/contract/test_tiers.py": (4, "how long a copy lives, and until when a message is waited for"),
    "tests/decorators/test_hits.py": (1, "its clock is stopped"),
    "tests/engine/outage/test_outage.py": (2, "whether it hears other processes"),
    "tests/engine/read_batching/test_round_trips.py": (2, "which node of a cluster a key is on"),
    "tests/engine/read_batching/test_trouble.py": (4, "its circuit breaker is opened"),
    "tests/engine/test_hit_paths.py": (5, "whether a hit marks its entry; the L1 lease and the clocks are set"),
    "tests/engine/test_shared_objects.py": (5, "which entries are looked at; its clocks are stopped"),
    "tests/http/test_kept.py": (1, "the key of what is stored"),
    "tests/http/test_telemetry.py": (1, "the key of what is stored"),
    "tests/loading/conftest.py": (4, "whether anything of a load is left"),
    "tests/loading/test_among_processes.py": (5, "a moment that was drawn comes"),
    "tests/loading/test_load_telemetry.py": (3, "locks on their way back"),
    "tests/loading/test_stale.py": (8, "its clocks are stopped"),
    "tests/telemetry/scenario.py": (19, "every metric there is, seldom states included, in one play"),
    "tests/telemetry/test_far_metrics.py": (3, "the clock of the server is moved"),
    "tests/telemetry/test_links.py": (1, "what an entry keeps"),
    "tests/telemetry/test_savings.py": (1, "what another writer stored"),
    "tests/telemetry/test_slots.py": (2, "durations are given"),
}
"""Lines that reach into a cache, at most so many in a file, and what for; what is new asks tests/inside.py."""


def private_parts() -> frozenset[str]:
    """The names of a cache's own private attributes."""
    (module,) = (module for module in MODULES if module.name == "otcache.cache")
    (cache,) = (node for node in module.tree.body if isinstance(node, ast.ClassDef) and node.name == "Cache")
    attributes = (node for node in ast.walk(cache) if isinstance(node, ast.Attribute) and _is_self(node.value))
    return frozenset(node.attr for node in attributes if node.attr.startswith("_"))


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


PARTS: Final = private_parts()


NO_CACHES: Final = ("self", "inflight")


def reaching_in(tree: ast.Module) -> Iterator[int]:
    """The lines on which something private of a cache is asked for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in PARTS and ast.unparse(node.value) not in NO_CACHES:
            yield node.lineno


@every("path", FILES)
def test_tests_use_the_public_surface(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    lines = sorted(Counter(reaching_in(ast.parse(path.read_text()))))

    assert len(lines) <= LEFT.get(name, (0, ""))[0], f"private parts of a cache on lines {lines}"


def test_the_rule_knows_what_is_private() -> None:
    assert {"_l1", "_l2", "_tiers", "_probe", "_loads"} <= PARTS


def test_the_rule_finds_the_lines() -> None:
    text = "cache._l1.clear()\ncaches[0]._loads\nself._l1\ncache.get_stats()"

    assert set(reaching_in(ast.parse(text))) == {1, 2}


def test_what_is_left_is_there() -> None:
    assert [name for name in LEFT if not (ROOT / name).exists()] == []
