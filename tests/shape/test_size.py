"""The code stays in pieces that a reader can hold, and every public piece says what it is for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from statistics import median

from tests.rows import every
from tests.shape.source import MODULES, PACKAGE, Module

CLASS_LINES = 650
CLASS_METHODS = 45
ROOT_FILES = 12
PUBLIC_MODULES = 95
APART = {"CacheInterface", "AIMethods"}
"""Contracts whose lines and methods do not count for the class that has them."""
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


CLASSES = {node.name: node for module in MODULES for node in module.tree.body if isinstance(node, ast.ClassDef)}


def with_bases(node: ast.ClassDef) -> list[ast.ClassDef]:
    """A class and those of ours that it is made of: cutting an object into base classes makes it no smaller."""
    bases = [CLASSES[name] for name in map(ast.unparse, node.bases) if name in CLASSES and name not in APART]
    return [node, *(each for base in bases for each in with_bases(base))]


@every("node", CLASSES.values(), ids=CLASSES.keys())
def test_no_class_outgrows_what_one_holds_in_the_head(node: ast.ClassDef) -> None:
    parts = [part for part in with_bases(node) if part.name not in APART]

    lines = sum((part.end_lineno or 0) - part.lineno + 1 for part in parts)
    methods = sum(isinstance(each, Function) for part in parts for each in part.body)

    assert (lines <= CLASS_LINES, methods <= CLASS_METHODS) == (True, True), f"{lines} lines, {methods} methods"


def test_few_files_lie_at_the_root_of_the_package() -> None:
    assert len([module for module in MODULES if module.path.parent == PACKAGE]) <= ROOT_FILES


def test_what_is_public_is_little() -> None:
    """Whatever has a part with an underscore in its path may change in any commit."""
    hidden = [any(part[0] == "_" != part[1] for part in module.name.split(".")) for module in MODULES]

    assert hidden.count(False) < PUBLIC_MODULES


@every("module", MODULES, ids=str)
def test_everything_public_says_what_it_is(module: Module) -> None:
    silent = [node.name for node in public(module.tree) if ast.get_docstring(node) is None]

    assert ast.get_docstring(module.tree), "the module"
    assert silent == []


def public(tree: ast.Module) -> list[Defined]:
    """Classes and functions of a module that its users see; an overload speaks through the last of its name."""
    last = {node.name: node for node in tree.body if isinstance(node, Defined)}
    return [node for name, node in last.items() if not name.startswith("_")]
