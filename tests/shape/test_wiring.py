"""Nobody hooks into another object from outside: a part gets what it needs when it is made, or hears the one feed."""

from __future__ import annotations

import ast
from typing import Final

import pytest

from tests.shape.source import MODULES, Module, is_within

ROOMS: Final = (
    "otcache._engine",
    "otcache._loading",
    "otcache.stores",
    "otcache.cache",
    "otcache.memory",
    "otcache.redis",
)

RECORDS: Final = {
    "outcome": "the record of one call, which the call fills while it runs",
    "record": "the same, of a load",
    "entry": "an entry of L1: its bit of CLOCK is set on the hit path, where a call would cost a tenth of a hit",
    "attempt": "a load on the way to its lock, which the lock fills",
    "flight": "a load in flight, until it is a result that is frozen when it lands (`_loading`)",
    "load": "the record of one run of a loader",
    "lease": "a lock that is being taken; made by the caller",
    "seen": "what L1 knows of a key",
    "candidate": "the stale candidate in it",
    "facts": "the load's part of the record",
    "caller": "one read that waits in a batch; both are of one module",
}
"""Names whose attributes others may set, each with its reason: records, and parts of one module."""

FOREIGN: Final = {"otcache.stores.redis.target": "redis-py's own objects have no other way in"}


class Assignments(ast.NodeVisitor):
    """Collects the attributes that a module sets of objects which it has not made itself."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.excepted: set[str] = set()
        self._made: list[set[str]] = [set()]

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        made = {"self", "cls"}
        for part in ast.walk(node):
            if isinstance(part, ast.Assign | ast.AnnAssign | ast.NamedExpr) and isinstance(part.value, ast.Call):
                targets = part.targets if isinstance(part, ast.Assign) else [part.target]
                made |= {target.id for target in targets if isinstance(target, ast.Name)}
        self._made.append(self._made[-1] | made)
        self.generic_visit(node)
        self._made.pop()

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  as `ast` has it

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Store):
            owner = ast.unparse(node.value)
            name = owner.rpartition(".")[2]
            if owner not in self._made[-1] and name in RECORDS:
                self.excepted.add(name)
            elif owner not in self._made[-1]:
                self.found.append(f"{owner}.{node.attr} (line {node.lineno})")
        self.generic_visit(node)


def hooks(tree: ast.AST) -> list[str]:
    finder = Assignments()
    finder.visit(tree)
    return finder.found


def modules() -> list[Module]:
    return [module for module in MODULES if is_within(module.name, *ROOMS) and module.name not in FOREIGN]


@pytest.mark.parametrize("module", modules(), ids=str)
def test_nobody_sets_an_attribute_of_an_object_that_it_has_not_made(module: Module) -> None:
    assert hooks(module.tree) == []


def test_every_exception_is_needed() -> None:
    finder = Assignments()
    for module in modules():
        finder.visit(module.tree)

    assert finder.excepted == RECORDS.keys()


@pytest.mark.parametrize(
    "text",
    [
        "def f(far): far.news = 1",
        "class A:\n def f(self, far): self.far.invalidated = self.forget",
        "def f(near):\n def stand_down(): near.limit = 0",
        "def f(far): far.a, far.b = 1, 2",
        "far.count += 1",
    ],
)
def test_the_rule_sees_a_hook(text: str) -> None:
    assert hooks(ast.parse(text)) != []


@pytest.mark.parametrize(
    "text",
    ["def f(): a = A(); a.b = 1", "class A:\n def f(self): self.b = 1", "def f(outcome): outcome.result = 'hit'"],
)
def test_the_rule_lets_other_assignments_be(text: str) -> None:
    assert hooks(ast.parse(text)) == []
