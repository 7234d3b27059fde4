"""Values as parts of a key: written by type, never by `repr`, and two different values never alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, Flag
from functools import lru_cache
from types import NoneType
from typing import Any, Final, NamedTuple
from uuid import UUID

from otcache._decorators.key_template import OWN_SIGNS
from otcache.exceptions import ValidationError


class Declared(NamedTuple):
    """The declared type of a parameter, of `KINDS` or an enum; a value of this type is written without its type.

    `items` is the `Declared` of the elements, for a tuple, list or frozenset.
    """

    cls: type = str
    items: Any = None


TEXT: Final = Declared()
"""Stands for no annotation: text is written as it is, every other value with its type."""


def _iso(value: Any) -> str:
    """Write a time with its zone's name: two zones with the same offset now may differ tomorrow."""
    zone = getattr(value.tzinfo, "key", None)
    return f"{value.isoformat()}[{zone}]" if zone else str(value.isoformat())


_ATOMS: Final[dict[type, Callable[[Any], str]]] = {
    bool: lambda value: "true" if value else "false",
    int: int.__repr__,
    str: str.__str__,
    NoneType: lambda _: "",
    UUID: UUID.__str__,
    datetime: _iso,
    date: lambda value: str(value.isoformat()),
    time: _iso,
    Decimal: Decimal.__str__,
}
"""How values without elements are written. A subclass comes before its base."""

_MARKS: Final = {cls: cls.__name__.lower() for cls in (*_ATOMS, tuple, list, frozenset)} | {NoneType: "none"}
"""The name of a type in a key."""

KINDS: Final = (Enum, *_MARKS)
"""The types that can be part of a key; instances of subclasses count as instances of the type."""

_HINTS: Final[dict[type, str]] = {
    float: "two floats that print alike need not be equal: pass a Decimal, a rounded int or a str",
    bytes: "pass its .hex()",
    set: "pass a frozenset",
}


class Writer:
    """Writes the values of one template; the signs by which it separates them are written as `%XX` inside a value."""

    def __init__(self, separators: Iterable[str]) -> None:
        reserved = "".join({*OWN_SIGNS, *map(chr, (*range(32), 127)), *separators})
        self._table = {ord(sign): _percent(sign) for sign in reserved}
        self.first_reserved = re.compile(f"[{re.escape(reserved)}]").search
        """Finds a sign that must be escaped: a third of the price of replacing where there is none (measured)."""

    def write(self, value: Any, declared: Declared = TEXT) -> str:
        """Write `value`: plain if it is of the declared type, else with its type before a `~`.

        Raises:
            ValidationError: The type can't be part of a key.
            ValueError: The value is an integer with more digits than Python writes.
        """
        kind = kind_of(type(value))
        if kind is None:
            raise ValidationError(_refusal(type(value)))
        if kind is Enum:
            return self._enum(value, declared)
        if kind is declared.cls:
            return self._body(kind, value, declared)
        return f"{_MARKS[kind]}~{self._body(kind, value, TEXT)}"

    def _enum(self, value: Any, declared: Declared) -> str:
        cls: Any = type(value)
        inner = _values_of(cls)
        body = self.write(value.value, inner or TEXT)
        if cls is declared.cls and inner is not None:
            return body
        return f"{self._escape(f'{cls.__module__}.{cls.__qualname__}')}~{body}"

    def _body(self, kind: type, value: Any, declared: Declared) -> str:
        atom = _ATOMS.get(kind)
        if atom is not None:
            return self._escape(atom(value))
        # an empty text is written as `~`: () and ("",) are two keys
        parts = [self.write(part, declared.items or TEXT) or "~" for part in value]
        return f"({','.join(sorted(parts) if kind is frozenset else parts)})"

    def _escape(self, text: str) -> str:
        return text if self.first_reserved(text) is None else text.translate(self._table)


def kind_of(cls: type) -> type | None:
    """Return the one of `KINDS` that instances of `cls` are written as; `None` if there is none."""
    if cls in _MARKS:
        return cls
    return next((kind for kind in KINDS if issubclass(cls, kind)), None)


@lru_cache(maxsize=256)
def _values_of(cls: Any) -> Declared | None:
    """Return what the values of an enum are; `None` if they are of several types, which are named."""
    kinds = {int} if issubclass(cls, Flag) else {kind_of(type(member.value)) for member in cls}
    only = kinds.pop() if len(kinds) == 1 else None
    return None if only is None or only is Enum else Declared(only)


def _percent(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode())


def _refusal(cls: type) -> str:
    hint = next((hint for base, hint in _HINTS.items() if issubclass(cls, base)), None)
    names = ", ".join(_MARKS.values())
    return f"a {cls.__qualname__}, which can't be part of a key ({hint or f'{names} and enums can'})"
