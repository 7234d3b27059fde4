"""Values as parts of a key: written by type, never by `repr`, and two different values never alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag
from functools import lru_cache
from hashlib import blake2b
from inspect import ismemberdescriptor
from types import NoneType
from typing import Any, Final, NamedTuple
from uuid import UUID

from otcache._decorators.key_template import OWN_SIGNS
from otcache._decorators.names import class_name
from otcache._serialization.keys import MAX_KEY_BYTES
from otcache.exceptions import ValidationError

START: Final = 1024
"""Characters that remain readable of a key that is too long for a cache."""


class Declared(NamedTuple):
    """The declared type of a parameter: one of `KINDS`, or a class with a name of its own (`_Form`).

    A value of this type is written without its type. `items` is the `Declared` of the elements, for a tuple, list or
    set.
    """

    cls: type = str
    items: Any = None


TEXT: Final = Declared()
"""Stands for no annotation: text is written as it is, every other value with its type."""


def _integer(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # more digits than Python writes; base 16 has no limit
        return int.__format__(value, "#x")


def _iso(value: datetime | time) -> str:
    """Write a time with its zone's name: two zones with the same offset now may differ tomorrow."""
    text = datetime.isoformat(value) if isinstance(value, datetime) else time.isoformat(value)
    zone = _zone(value.tzinfo) if value.tzinfo is not None else ""
    return f"{text}{'!' if value.fold else ''}{f'[{zone}]' if zone else ''}"


def _zone(zone: tzinfo) -> str:
    """Return the name of a zone; an offset that is the same all year, and is called after itself, needs none."""
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)  # zoneinfo, pytz
    if isinstance(name, str):
        return name
    offset = zone.utcoffset(None)
    if offset is None:
        raise ValidationError("in a time zone without a name: use zoneinfo.ZoneInfo")
    named = str(zone.tzname(None))
    return "" if named == timezone(offset).tzname(None) else named


_ATOMS: Final[dict[type, Callable[[Any], str]]] = {
    bool: lambda value: "true" if value else "false",
    int: _integer,
    str: str.__str__,
    NoneType: lambda _: "",
    UUID: UUID.__str__,
    datetime: _iso,
    date: date.isoformat,
    time: _iso,
    timedelta: lambda value: f"{value.days}d{value.seconds}s{value.microseconds}us",
    Decimal: Decimal.__str__,
    float: float.__repr__,
    bytes: bytes.hex,
}
"""How values without elements are written. A subclass comes before its base."""

_ELEMENTS: Final[dict[type, Callable[[Any], Iterable[Any]]]] = {
    tuple: tuple.__iter__,
    list: list.__iter__,
    frozenset: frozenset.__iter__,
    set: set.__iter__,
    dict: dict.items,
}
"""What values with elements are written from: a subclass's own iteration may leave some out."""

_MARKS: Final = {cls: cls.__name__.lower() for cls in (*_ATOMS, *_ELEMENTS)} | {NoneType: "none"}
"""The name of a type in a key."""

KINDS: Final = (Enum, *_MARKS)
"""The types that can be part of a key."""


class _Form(NamedTuple):
    """How instances of a class are written: as one of `KINDS`, under the name of `cls`."""

    kind: type
    cls: type
    mark: str


class _Escapes(dict[int, str]):
    """What is written for a sign that a value may not contain; lone surrogates, which no UTF-8 holds, are of them."""

    def __missing__(self, code: int) -> str:
        if 0xD800 <= code <= 0xDFFF:
            return _percent(chr(code))
        raise LookupError(code)


class Writer:
    """Writes the values of one template; the signs by which it separates them are written as `%XX` inside a value."""

    def __init__(self, separators: Iterable[str]) -> None:
        reserved = "".join({*OWN_SIGNS, *map(chr, (*range(32), 127)), *separators})
        self._table = _Escapes({ord(sign): _percent(sign) for sign in reserved})
        self.first_reserved = re.compile(f"[{re.escape(reserved)}\ud800-\udfff]").search
        """Finds a sign that must be escaped: a third of the price of replacing where there is none (measured)."""

    def write(self, value: Any, declared: Declared = TEXT) -> str:
        """Write `value`: plain if it is of the declared type, else with its type before a `~`.

        Raises:
            ValidationError: The value can't be part of a key.
        """
        cls: type = type(value)
        form = _form_of(cls)
        if form.kind is Enum:
            return self._enum(value, declared)
        if cls is not form.kind and form.kind is not UUID and _attributes(value):
            raise ValidationError(f"{_article(cls)}, which has attributes of its own: pass what it stands for")
        if form.cls is declared.cls:
            return self._body(form.kind, value, declared)
        return f"{self.escape(form.mark)}~{self._body(form.kind, value, TEXT)}"

    def _enum(self, value: Any, declared: Declared) -> str:
        cls: Any = type(value)
        inner = _values_of(cls)
        body = self.write(value._value_, inner or TEXT)
        if cls is declared.cls and inner is not None:
            return body
        return f"{self.escape(class_name(cls))}~{body}"

    def _body(self, kind: type, value: Any, declared: Declared) -> str:
        atom = _ATOMS.get(kind)
        if atom is not None:
            return self.escape(atom(value))
        elements, items = _ELEMENTS[kind](value), declared.items or TEXT
        if kind is dict:
            parts = [f"({self._part(name, TEXT)},{self._part(each, TEXT)})" for name, each in elements]
        else:
            parts = [self._part(each, items) for each in elements]
        return f"({','.join(sorted(parts) if kind in (frozenset, set) else parts)})"

    def _part(self, value: Any, declared: Declared) -> str:
        return self.write(value, declared) or "~"  # an empty text: () and ("",) are two keys

    def escape(self, text: str) -> str:
        """Return `text` without a sign that could be taken for one of the template's, or of `OWN_SIGNS`."""
        return text if self.first_reserved(text) is None else text.translate(self._table)


def fit(key: str) -> str:
    """Return `key` as a cache takes it: of one above 8 KiB, the start, and a digest (256 bits) of the whole.

    No key that fits ends like that: `~` is in no template, and comes first in no value.
    """
    if 0 < len(key) <= MAX_KEY_BYTES // 4:
        return key
    encoded = key.encode()
    if 0 < len(encoded) <= MAX_KEY_BYTES:
        return key
    return f"{key[:START]}:~{blake2b(encoded, digest_size=32).hexdigest()}" if encoded else "~"


# --- classes --------------------------------------------------------------------------------------------


def kind_of(cls: type) -> type | None:
    """Return the one of `KINDS` that `cls` is, or is derived from; `None` if there is none."""
    if cls in _MARKS:
        return cls
    return next((kind for kind in KINDS if issubclass(cls, kind)), None)


def declared_as(cls: type) -> Declared | None:
    """Return what an annotation with this class declares; `None` if its values can't be part of a key."""
    kind = kind_of(cls)
    if kind is None:
        return None
    return Declared(cls if kind is Enum or _is_distinct(cls, kind) else kind)


@lru_cache(maxsize=1024)
def _form_of(cls: type) -> _Form:
    kind = kind_of(cls)
    if kind is None:
        fit_ones = "text, numbers, dates, UUIDs, enums and collections of these can"
        raise ValidationError(f"{_article(cls)}, which can't be part of a key ({fit_ones})")
    if kind is Enum or not _is_distinct(cls, kind):
        return _Form(kind, kind, _MARKS.get(kind, ""))
    if any(_is_opaque(base) for base in _own_bases(cls, kind)):
        raise ValidationError(f"{_article(cls)}, which may hold more than {_article(kind)}: pass what it stands for")
    return _Form(kind, cls, class_name(cls))


def _own_bases(cls: type, kind: type) -> Iterable[Any]:
    return [base for base in cls.__mro__ if base not in kind.__mro__]


def _is_distinct(cls: type, kind: type) -> bool:
    """Whether an instance may behave otherwise than its base's: a namedtuple, markupsafe's Markup, a Counter.

    A class that adds nothing counts as its base, and so do the UUIDs of database drivers: they mean the same.
    """
    silent = {"__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__"}
    return kind is not UUID and any(vars(base).keys() - silent for base in _own_bases(cls, kind))


def _is_opaque(base: Any) -> bool:
    """Whether an instance may hold what can't be seen: slots, or the fields of a class written in C."""
    return not base.__flags__ & 1 << 9 or any(map(ismemberdescriptor, vars(base).values()))


def _attributes(value: Any) -> bool:
    try:
        return bool(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        return False


@lru_cache(maxsize=256)
def _values_of(cls: Any) -> Declared | None:
    """Return what the values of an enum are; `None` if they are of several types, which are named."""
    kinds = {int} if issubclass(cls, Flag) else {type(member._value_) for member in cls}
    only = kinds.pop() if len(kinds) == 1 else None
    return None if only is None else declared_as(only) if kind_of(only) is not Enum else None


def _percent(sign: str) -> str:
    return "".join(f"%{byte:02X}" for byte in sign.encode("utf-8", "surrogatepass"))


def _article(cls: type) -> str:
    return f"{'an' if cls.__qualname__[:1].lower() in 'aeiou' else 'a'} {cls.__qualname__}"
