"""The package's source as syntax trees, one `Module` per file."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "otcache"


@dataclass(frozen=True)
class Import:
    """One module that a file imports.

    Attributes:
        line: Where.
        deferred: Inside a function.
        typing: Under `if TYPE_CHECKING`.
    """

    name: str
    line: int
    deferred: bool
    typing: bool


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(), str(self.path))

    @cached_property
    def imports(self) -> list[Import]:
        finder = _Finder()
        finder.visit(self.tree)
        return finder.found

    def __str__(self) -> str:
        return self.name


class _Finder(ast.NodeVisitor):
    """Collects imports, and knows what they stand in."""

    def __init__(self) -> None:
        self.found: list[Import] = []
        self._deferred = self._typing = False

    def visit_Import(self, node: ast.Import) -> None:
        self._note(node, [alias.name for alias in node.names])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._note(node, _imported(node))

    def _note(self, node: ast.stmt, names: list[str]) -> None:
        self.found += [Import(name, node.lineno, self._deferred, self._typing) for name in names]

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        before, self._deferred = self._deferred, True
        self.generic_visit(node)
        self._deferred = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  the name that ast wants

    def visit_If(self, node: ast.If) -> None:
        before, self._typing = self._typing, self._typing or ast.unparse(node.test) == "TYPE_CHECKING"
        self.generic_visit(node)
        self._typing = before


def _imported(node: ast.ImportFrom) -> list[str]:
    """`from otcache import registry` imports a module, `from otcache import InMemoryCache` a name of one."""
    assert node.module is not None, "relative import"
    inside = [f"{node.module}.{alias.name}" for alias in node.names]
    found = [name for name in inside if name in _names()]
    return found or [node.module]


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


_FILES: Final = {_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def _names() -> frozenset[str]:
    return frozenset(_FILES)


MODULES: Final = tuple(Module(name, path) for name, path in _FILES.items())
"""Every file of the package."""


def is_within(name: str, *packages: str) -> bool:
    """Whether a module is one of `packages` or inside of one."""
    return any(name == package or name.startswith(package + ".") for package in packages)
