"""The code stays in pieces that a reader can hold, and every public piece says what it is for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from statistics import median

import pytest

from tests.shape.source import MODULES, Module

FILE_LINES = 450
MEDIAN_LINES = 10
Function = ast.FunctionDef | ast.AsyncFunctionDef
Defined = Function | ast.ClassDef


def functions(module: Module) -> Iterator[Function]:
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines of code from `def` to the end, without the docstring."""
    documented = function.body[0] if ast.get_docstring(function) is not None else None
    lines = (documented.end_lineno or 0) - documented.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - lines


def test_half_of_all_functions_are_short() -> None:
    lengths = [length(function) for module in MODULES for function in functions(module)]

    assert median(lengths) < MEDIAN_LINES


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_file_outgrows_what_one_holds_in_the_head(module: Module) -> None:
    assert len(module.path.read_text().splitlines()) <= FILE_LINES


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_everything_public_says_what_it_is(module: Module) -> None:
    silent = [node.name for node in public(module.tree) if ast.get_docstring(node) is None]

    assert ast.get_docstring(module.tree), "the module"
    assert silent == []


def public(tree: ast.Module) -> list[Defined]:
    """Classes and functions of a module that its users see; an overload speaks through the last of its name."""
    last = {node.name: node for node in tree.body if isinstance(node, Defined)}
    return [node for name, node in last.items() if not name.startswith("_")]
