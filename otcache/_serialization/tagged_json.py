"""JSON with tags, for the values that plain JSON would change.

A tag is an object with one member whose name starts with `!`: `{"!t":[1,2]}` is the tuple `(1, 2)`.
A dictionary that looks like one, or has keys that JSON can't hold, is written as `{"!d":[key,value,...]}`.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from math import isfinite
from types import NoneType
from typing import Any, Final, NamedTuple, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

from otcache._serialization import foreign
from otcache._serialization.declared import Declared, is_recomputed
from otcache._serialization.plain_json import MAX_CONTAINERS, MAX_DEPTH
from otcache._serialization.types import Scope, refusal
from otcache.exceptions import DecodeError, ValidationError

_MICROSECOND: Final = timedelta(microseconds=1)
_DICT: Final = "!d"
_DECLARED: Final = "!o"
_FOREIGN: Final = "!p"


def dumps(value: Any, scope: Scope) -> bytes:
    """`value` as tagged JSON.

    Raises:
        ValidationError: It holds something of a type that is neither built in nor declared, is nested deeper than
            100 levels (a container that holds itself is), or has more than 2 000 000 containers.
    """
    try:
        return orjson.dumps(_tree(value, scope))
    except TypeError:  # an attribute whose name is no text
        raise ValidationError("an object with an attribute that no code can name can't be cached") from None


def loads(body: bytes, scope: Scope) -> Any:
    """The value that `dumps` was given; `DecodeError` if the bytes are none of its, or name an unknown type."""
    try:
        return _Reader(scope).value(orjson.loads(body))
    except DecodeError:
        raise
    except Exception as exc:  # noqa: BLE001  runs the constructors of declared types: anything can come out
        raise DecodeError(f"tagged JSON: {type(exc).__name__}") from None


def canonical(value: Any, scope: Scope) -> bytes:
    """Bytes that are equal exactly for equal values of the same types, in whatever order; refuses what `dumps` does."""
    return _bytes_of(_sorted(_tree(value, scope)))


def _tree(value: Any, scope: Scope) -> Any:
    try:
        return _Writer(scope).tree(value, 0)
    except ValidationError:
        raise
    except RecursionError:
        raise ValidationError("the value is nested too deep for the stack that is left") from None
    except Exception as exc:  # noqa: BLE001  a time zone without its file, a container that changes meanwhile
        raise ValidationError(
            f"a value of type {type(value).__qualname__} can't be read: {type(exc).__name__}"
        ) from None


def _sorted(node: Any) -> Any:
    if type(node) is list:
        return [_sorted(part) for part in node]
    if type(node) is not dict:
        return node
    parts = {key: _sorted(part) for key, part in node.items()}
    if _is_tag(parts):
        tag, body = next(iter(parts.items()))
        if tag == _DICT:
            return {tag: sorted(zip(body[::2], body[1::2], strict=True), key=_bytes_of)}
        if tag in _UNORDERED:
            return {tag: sorted(body, key=_bytes_of)}
    return parts


def _bytes_of(node: Any) -> bytes:
    return orjson.dumps(node, option=orjson.OPT_SORT_KEYS)


def _is_tag(node: dict[str, Any]) -> bool:
    return len(node) == 1 and next(iter(node)).startswith("!")


class _Writer:
    """Values to trees that JSON holds as they are."""

    __slots__ = ("_left", "_scope")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._left = MAX_CONTAINERS

    def tree(self, value: Any, depth: int) -> Any:
        kind = type(value)
        scalar = _SCALAR_DUMPS.get(kind)
        if scalar is not None:
            return scalar(value)
        if depth == MAX_DEPTH:
            raise ValidationError(f"the value is nested deeper than {MAX_DEPTH} levels, or contains itself")
        self._left -= 1
        if self._left < 0:
            raise ValidationError(f"the value holds more than {MAX_CONTAINERS} containers")
        return self._container(kind, value, depth + 1)

    def _container(self, kind: type, value: Any, depth: int) -> Any:
        if kind is dict:
            return self._dict(value, depth)
        tag = _SEQUENCE_TAGS.get(kind)
        if tag is not None:
            parts = [self.tree(part, depth) for part in value]
            return {tag: parts} if tag else parts
        row = self._scope.of_type(kind)
        if row is None:
            raise refusal(kind)
        parts = self._record(row, value, depth) if row.is_record else [self.tree(_dumped(row, value), depth)]
        return {_DECLARED: [row.name, row.shape, *parts]}

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        if set(map(type, value)) <= {str} and not _is_tag(value) and _is_utf8("".join(value)):
            return {key: self.tree(part, depth) for key, part in value.items()}
        return {_DICT: [self.tree(part, depth) for pair in value.items() for part in pair]}

    def _record(self, row: Declared, value: Any, depth: int) -> list[Any]:
        """Its attributes, and what its slots hold; a refusal names the attribute."""
        held, slotted = _dumped(row, value)
        parts = [self._attributes(row, held, depth)]
        return [*parts, self._attributes(row, slotted, depth)] if slotted else parts

    def _attributes(self, row: Declared, held: dict[str, Any], depth: int) -> dict[str, Any]:
        found = {}
        for name, value in held.items():
            try:
                found[name] = self.tree(value, depth)
            except ValidationError as exc:
                if not is_recomputed(row.cls, name):
                    found[name] = self._otherwise(row, name, value, depth, exc)
        return found

    def _otherwise(self, row: Declared, name: str, value: Any, depth: int, exc: ValidationError) -> Any:
        data = foreign.written(row, name, value)
        if data is not None:
            return {_FOREIGN: [row.name, name, self.tree(data, depth)]}
        if "field" in exc.context:  # of an attribute deeper inside
            raise exc
        shown = _SHOWN.get(name)
        field = f"{row.cls.__qualname__}.{name}" if shown is None else f"{shown} of {row.cls.__qualname__}"
        raise ValidationError(f"{field}: {exc.message}", {**exc.context, "field": field}) from None


_SHOWN: Final = {"+private": "a private attribute", "+extra": "an extra field"}


def _dumped(row: Declared, value: Any) -> Any:
    try:
        return row.dump(value)
    except ValidationError:
        raise
    except Exception as exc:  # noqa: BLE001  runs the user's type: anything can come out
        name = row.cls.__qualname__
        raise ValidationError(f"a value of type {name} can't be read: {type(exc).__name__}") from None


_LEAVES: Final = frozenset((str, int, float, bool, NoneType))


class _Reader:
    """Trees back to values. Their depth is bounded by orjson and the interpreter's own limit."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def value(self, node: Any) -> Any:
        if type(node) is list:
            return [self.value(part) for part in node]
        if type(node) is not dict:
            return node
        if _is_tag(node):
            return self._tagged(*next(iter(node.items())))
        return {key: self.value(part) for key, part in node.items()}

    def _tagged(self, tag: str, body: Any) -> Any:
        load = _SCALAR_LOADS.get(tag)
        if load is not None:
            return load(body)
        if type(body) is not list:
            raise DecodeError("the body of a tag is no list")
        if tag == _DECLARED:
            return self._declared(*body)
        if tag == _FOREIGN:
            return self._foreign(*body)
        parts = [self.value(part) for part in body]
        if tag == _DICT:
            return dict(zip(parts[::2], parts[1::2], strict=True))
        return _SEQUENCES[tag](parts)

    def _declared(self, name: str, shape: str, *nodes: Any) -> Any:
        row = self._scope.of_name(name)
        if row is None:
            raise DecodeError("the payload names a type that is not declared here")
        if row.shape != shape:
            raise DecodeError("the fields or the version of a declared type have changed")
        if not row.is_record:
            return row.load(self.value(*nodes))
        held, slotted = nodes if len(nodes) == 2 else (*nodes, {})
        return row.load((self._attributes(held), self._attributes(slotted)))

    def _attributes(self, node: dict[str, Any]) -> dict[str, Any]:
        # without a call for each leaf: half the price of a record (measured)
        return {key: part if type(part) in _LEAVES else self.value(part) for key, part in node.items()}

    def _foreign(self, name: str, field: str, node: Any) -> Any:
        row = self._scope.of_name(name)
        if row is None:
            raise DecodeError("the payload names a type that is not declared here")
        return foreign.read(row, field, self.value(node))


# --- scalars ----------------------------------------------------------------------------------------


class _Scalar(NamedTuple):
    """One kind of leaf. A tag is never reused for another."""

    tag: str
    cls: type
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]


def _to_base64(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode()


def _from_base64(body: str) -> bytes:
    return binascii.a2b_base64(body, strict_mode=True)


def _to_zone(zone: tzinfo | None) -> Any:
    """`None`, the key of a zone, or a fixed offset in µs with its name if it has one of its own."""
    if zone is None:
        return None
    if type(zone) is ZoneInfo:
        # read from a file or beside the cache: another object than ZoneInfo(key), so not equal where clocks go back
        return zone.key if zone.key and ZoneInfo(zone.key) is zone else _refuse_zone(zone)
    if type(zone) is timezone or _is_pydantic(zone):
        offset = cast("timedelta", zone.utcoffset(None))
        name = zone.tzname(None) if type(zone) is timezone else None
        micros = offset // _MICROSECOND
        return micros if name in (None, timezone(offset).tzname(None)) else [micros, name]
    return _refuse_zone(zone)


def _is_pydantic(zone: tzinfo) -> bool:
    """The fixed offset that Pydantic gives the times it parses; it comes back as the equal `timezone`."""
    return type(zone).__name__ == "TzInfo" and type(zone).__module__.partition(".")[0] == "pydantic_core"


def _refuse_zone(zone: tzinfo) -> Any:
    shown = f"{type(zone).__module__}.{type(zone).__qualname__}"
    hint = "use zoneinfo.ZoneInfo(key) or datetime.timezone"
    raise ValidationError(f"a time with a tzinfo of type {shown} can't be cached: {hint}", {"type": shown})


def _from_zone(node: Any) -> tzinfo | None:
    if node is None:
        return None
    if isinstance(node, str):
        return ZoneInfo(node)
    offset, *name = node if isinstance(node, list) else [node]
    return timezone(timedelta(microseconds=offset), *name)


def _to_clock(value: datetime | time) -> Any:
    """ISO text; with fold and zone beside it where there are any."""
    text = value.replace(tzinfo=None, fold=0).isoformat()
    zone = _to_zone(value.tzinfo)
    return text if zone is None and not value.fold else [text, value.fold, zone]


def _from_clock(cls: Any, body: Any) -> Any:
    text, fold, zone = body if isinstance(body, list) else (body, 0, None)
    return cls.fromisoformat(text).replace(tzinfo=_from_zone(zone), fold=fold)


def _is_utf8(text: str) -> bool:
    """Whether there is no lone surrogate in it."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


_TAGGED: Final = (
    _Scalar("!b", bytes, _to_base64, _from_base64),
    _Scalar("!a", bytearray, _to_base64, lambda body: bytearray(_from_base64(body))),
    _Scalar("!m", Decimal, str, Decimal),
    _Scalar("!u", UUID, lambda value: value.hex, UUID),
    _Scalar("!dt", datetime, _to_clock, lambda body: _from_clock(datetime, body)),
    _Scalar("!da", date, date.isoformat, date.fromisoformat),
    _Scalar("!ti", time, _to_clock, lambda body: _from_clock(time, body)),
    _Scalar("!td", timedelta, lambda span: [span.days, span.seconds, span.microseconds], lambda body: timedelta(*body)),
)
# kinds that JSON holds except for some values
_BIG: Final = _Scalar("!i", int, hex, lambda body: int(body, 16))  # decimal digits are limited by the interpreter
_ODD: Final = _Scalar("!n", float, repr, float)
_LONE: Final = _Scalar(
    "!w",
    str,
    lambda value: _to_base64(value.encode("utf-8", "surrogatepass")),
    lambda body: _from_base64(body).decode("utf-8", "surrogatepass"),
)


def _tagger(row: _Scalar) -> Callable[[Any], Any]:
    return lambda value: {row.tag: row.dump(value)}


def _unless(row: _Scalar, is_plain: Callable[[Any], bool]) -> Callable[[Any], Any]:
    return lambda value: value if is_plain(value) else {row.tag: row.dump(value)}


_SCALAR_DUMPS: Final[dict[type, Callable[[Any], Any]]] = {
    NoneType: lambda value: value,
    bool: lambda value: value,
    str: _unless(_LONE, _is_utf8),
    int: _unless(_BIG, lambda value: -(2**63) <= value < 2**64),
    float: _unless(_ODD, isfinite),
    **{row.cls: _tagger(row) for row in _TAGGED},
}
_SCALAR_LOADS: Final = {row.tag: row.load for row in (*_TAGGED, _BIG, _ODD, _LONE)}

_SEQUENCES: Final[dict[str, Callable[[Any], Any]]] = {"!t": tuple, "!s": set, "!f": frozenset}
_SEQUENCE_TAGS: Final[dict[type, str]] = {list: "", tuple: "!t", set: "!s", frozenset: "!f"}
_UNORDERED: Final = ("!s", "!f")
