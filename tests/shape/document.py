"""docs/api-reference.md in parts: its blocks of code with the headings above them."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "api-reference.md"
Kind = Literal["import", "signature", "dataclass", "example"]
HOMES: Final = {"app.infrastructure.cache.": "otcache.", "app.core.exceptions": "otcache.exceptions"}
"""Where the document's modules are."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of Python.

    Attributes:
        headings: The headings it stands under, outermost first.
        owner: The class that its section is about, if any.
        line: Where its code begins.
    """

    code: str
    headings: tuple[str, ...]
    owner: str | None
    line: int

    @property
    def section(self) -> str:
        return self.headings[1]

    @property
    def kind(self) -> Kind:
        if self.code.startswith("@dataclass"):
            return "dataclass"
        if not parses(self.code):
            return "signature"
        return "import" if all(isinstance(part, ast.ImportFrom) for part in ast.parse(self.code).body) else "example"

    @property
    def function(self) -> ast.FunctionDef | ast.AsyncFunctionDef:
        """The function of a signature block, with an empty body."""
        (node,) = ast.parse(self.code.rstrip() + ":\n    ...").body
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        return node

    def __str__(self) -> str:
        return f"{self.line}:{self.headings[-1]}"


def parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


@cache
def read() -> list[Block]:
    """Every block of Python; one that has several functions as a block for each."""
    return [part for block in _blocks(DOCUMENT.read_text().splitlines()) for part in _parts(block)]


def _parts(block: Block) -> list[Block]:
    if block.kind != "signature" or len(re.findall(r"^def ", block.code, re.MULTILINE)) < 2:
        return [block]
    without_docstrings = re.sub(r'\n    """.*"""$', "", block.code, flags=re.MULTILINE)
    return [replace(block, code=code) for code in without_docstrings.split("\n\n")]


def of_kind(kind: Kind) -> list[Block]:
    return [block for block in read() if block.kind == kind]


def _blocks(lines: list[str]) -> Iterator[Block]:
    headings: list[str] = []
    owner: str | None = None
    start = None
    for number, line in enumerate(lines):
        if start is not None:
            if line == "```":
                yield Block("\n".join(lines[start:number]), tuple(headings), owner, start + 1)
                start = None
        elif line == "```python":
            start = number + 1
        elif heading := re.match(r"(#+) (.*)", line):
            headings[len(heading[1]) - 1 :] = [heading[2]]
            owner = _owner(heading[2], owner) if len(heading[1]) > 2 else None


def _owner(heading: str, before: str | None) -> str | None:
    found = re.fullmatch(r"(?:Abstract )?Class: (\w+)", heading)
    return found[1] if found else before


def translated(code: str) -> str:
    """`code` with the document's modules as they are called here."""
    for documented, ours in HOMES.items():
        code = code.replace(documented, ours)
    return code


def find(name: str) -> Any:
    """A documented class, from the module that the document imports it from."""
    for block in of_kind("import"):
        statement = ast.parse(translated(block.code)).body[0]
        assert isinstance(statement, ast.ImportFrom)
        if statement.module and any(alias.name == name for alias in statement.names):
            return getattr(importlib.import_module(statement.module), name)
    raise LookupError(name)
