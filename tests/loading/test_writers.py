"""What loads share is written by one module each, and what they bring can't be changed by anyone who got it."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otcache import _loading
from otcache._loading.distributed_lock import Lease, LockAttempt
from otcache._loading.load_task import LoadEnvironment, LoadResult, LoadTask, TierRead
from otcache._loading.options import LoadPolicy, Request
from otcache._loading.single_flight import Flight

FOLDER = Path(_loading.__file__).parent
TREES = {path.stem: ast.parse(path.read_text()) for path in FOLDER.glob("*.py")}
FLIGHT_FIELDS = 10
RECORDS = ("outcome", "record", "facts")
"""Names of the record of a call, whose fields are named as others are."""


def written(module: str) -> set[str]:
    """The attributes that a module assigns of objects other than `self` and the call's record."""
    stores = (node for node in ast.walk(TREES[module]) if isinstance(node, ast.Attribute))
    pairs = [(node.attr, ast.unparse(node.value)) for node in stores if isinstance(node.ctx, ast.Store)]
    return {name for name, owner in pairs if owner.partition(".")[0] not in ("self", *RECORDS)}


def fields(cls: type[Any]) -> set[str]:
    """The attributes of a class: of a dataclass its fields, else what its methods assign to `self`."""
    if dataclasses.is_dataclass(cls):
        return {field.name for field in dataclasses.fields(cls)}
    return set(_assigned(ast.parse(inspect.getsource(cls))))


def _assigned(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node.attr


@pytest.mark.parametrize("cls", [Flight, LoadTask, LockAttempt, Lease])
def test_a_field_is_written_in_the_module_of_its_class_alone(cls: type[Any]) -> None:
    home = cls.__module__.rpartition(".")[2]

    strangers = {name: sorted(written(name) & fields(cls)) for name in TREES if name != home}

    assert {name: found for name, found in strangers.items() if found} == {}


def test_a_writer_from_outside_would_be_found() -> None:
    assert written("load_task") >= {"ended"}  # of the loader's run, which belongs to telemetry


@pytest.mark.parametrize("cls", [LoadResult, TierRead, LoadEnvironment, LoadPolicy, Request])
def test_what_is_shared_is_frozen(cls: type[Any]) -> None:
    assert cls.__dataclass_params__.frozen


def test_a_flight_holds_what_concerns_sharing_and_no_more() -> None:
    assert len(fields(Flight)) <= FLIGHT_FIELDS


def test_a_fact_of_a_calls_record_has_one_writer() -> None:
    """A miss's reason has a second one: a call that raises or is cancelled while it waits has missed, too."""
    writers: dict[str, set[str]] = {}
    for function in ast.walk(TREES["coordinator"]):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    writers.setdefault(ast.unparse(node), set()).add(function.name)

    facts = {fact: names for fact, names in writers.items() if fact.startswith("outcome.")}
    assert {fact for fact, names in facts.items() if len(names) > 1} == {"outcome.reason"}
    assert facts["outcome.result"] == facts["outcome.value"] == facts["outcome.tier"] == {"_close_with"}
