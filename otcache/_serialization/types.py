"""The types a user declares: how an instance becomes data of the built-in kinds, and comes back."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from functools import lru_cache
from threading import Lock
from types import NoneType
from typing import Any, Final, TypeVar, get_args, get_origin, overload
from uuid import UUID

from otcache.exceptions import DecodeError, ValidationError

_C = TypeVar("_C", bound=type)
_HEAP_TYPE: Final = 1 << 9
"""`Py_TPFLAGS_HEAPTYPE`: set on every class that Python code defines."""


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """A declared type.

    Attributes:
        cls: The type.
        name: What stands for it in a payload.
        dumps: Ways to make data of an instance, the most faithful first.
        load: An instance from the data.
        verify: Whether foreign code decides what comes back, so that it is tried out before it is stored.
    """

    cls: type
    name: str
    dumps: tuple[Callable[[Any], Any], ...]
    load: Callable[[Any], Any]
    verify: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
    """The declared types that one call knows."""

    by_type: Mapping[type, Declared]
    by_name: Mapping[str, Declared]


class Registry:
    """The types declared for the whole process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_type: dict[type, Declared] = {}
        self._by_name: dict[str, Declared] = {}
        self._all = Scope(self._by_type, self._by_name)

    def add(self, cls: type, name: str | None) -> None:
        """Declare `cls`. Declaring it again is nothing new; a module that is loaded again replaces its own types.

        Raises:
            ValidationError: `cls` is of no kind that can be declared, or the name belongs to another type.
        """
        if not isinstance(cls, type):
            raise ValidationError(f"an object of type {type(cls).__qualname__} is declared, not a type")
        row = describe(cls, _name_of(cls) if name is None else name)
        with self._lock:
            known = self._by_type.get(cls)
            if known is not None and known.name != row.name:
                raise ValidationError(f"{cls.__qualname__} is already declared under another name")
            holder = self._by_name.get(row.name)
            if holder is not None and holder.cls is not cls:
                _check_reload(holder, row)
                del self._by_type[holder.cls]
            self._by_type[cls] = self._by_name[row.name] = row

    def scope(self, kind: Any = None) -> Scope:
        """The declared types, and for one call those in the annotation `kind`: `User`, `list[User]`.

        Raises:
            ValidationError: `kind` is no type that can be declared, or has the name of another one.
        """
        rows = [row for row in _rows(kind) if row.cls not in self._by_type] if kind is not None else []
        if not rows:
            return self._all
        if any(row.name in self._by_name for row in rows):
            raise ValidationError("type= names a type whose name is declared for another: register it with name=")
        by_type, by_name = {row.cls: row for row in rows}, {row.name: row for row in rows}
        return Scope(self._by_type | by_type, self._by_name | by_name)


REGISTRY: Final = Registry()


@overload
def register_type(cls: _C, *, name: str | None = None) -> _C: ...
@overload
def register_type(cls: None = None, *, name: str | None = None) -> Callable[[_C], _C]: ...
def register_type(cls: _C | None = None, *, name: str | None = None) -> _C | Callable[[_C], _C]:
    """Declare a dataclass, an enum, a named tuple or a Pydantic model, so that its instances can be cached.

    Call it once where the type is defined, or use it as a decorator, with or without arguments.

    Args:
        cls: The type; instances of its subclasses are not covered.
        name: What stands for it in payloads; `module.qualname` by default. Give one to move or rename the type later.

    Returns:
        `cls`, unchanged.

    Raises:
        ValidationError: The type is of another kind, or the name belongs to another type.
    """
    if cls is None:
        return lambda decorated: register_type(decorated, name=name)
    if name is not None and (not isinstance(name, str) or not 0 < len(name) <= 256):
        raise ValidationError("name is not a string of 1 to 256 characters")
    REGISTRY.add(cls, name)
    return cls


def refusal(cls: type) -> ValidationError:
    """Why a value of `cls` is not cached, and the way out."""
    name = cls.__qualname__
    if is_declarable(cls):
        hint = f"declare it once with otcache.register_type({name}), or pass type={name}"
    else:
        hint = "types are kept exactly, so convert it to one that docs/values.md names"
    return ValidationError(f"a value of type {_name_of(cls)} can't be cached: {hint}", {"type": _name_of(cls)})


def is_declarable(cls: type) -> bool:
    """Whether `register_type` takes it."""
    return _kind_of(cls) is not None


def describe(cls: type, name: str) -> Declared:
    """How instances of `cls` are written and read; `ValidationError` if it is of no kind that can be declared."""
    make = _kind_of(cls)
    if make is None:
        raise ValidationError(f"{cls.__qualname__} is not a dataclass, an enum, a named tuple or a Pydantic model")
    return make(cls, name)


def _kind_of(cls: Any) -> Callable[[Any, str], Declared] | None:
    if issubclass(cls, Enum):
        return _flag if issubclass(cls, Flag) else _enum
    if callable(getattr(cls, "model_dump", None)) and callable(getattr(cls, "model_validate", None)):
        return _model
    if hasattr(cls, "__dataclass_fields__") and all(base.__flags__ & _HEAP_TYPE for base in cls.__mro__[:-1]):
        return _dataclass
    if issubclass(cls, tuple) and hasattr(cls, "_fields") and hasattr(cls, "_make"):
        return _named_tuple
    return None


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _check_reload(holder: Declared, row: Declared) -> None:
    """A class of a function may be another one at each call; a class of a module is the same one, loaded again."""
    if _name_of(holder.cls) != _name_of(row.cls) or "<locals>" in row.cls.__qualname__:
        hint = "give it one with name="
        raise ValidationError(f"the name of {row.cls.__qualname__} is already declared for another type: {hint}")


def _rows(kind: Any) -> tuple[Declared, ...]:
    """The declarable types in an annotation, which is a class or something like `list[User]`."""
    try:
        return _rows_of(kind)
    except TypeError:
        raise ValidationError(f"type= is an object of type {type(kind).__qualname__}, not a type") from None


@lru_cache(maxsize=256)
def _rows_of(kind: Any) -> tuple[Declared, ...]:
    if get_origin(kind) is None:
        if not isinstance(kind, type):
            raise TypeError
        return () if kind in _BUILT_IN else (describe(kind, _name_of(kind)),)
    found = dict.fromkeys(cls for cls in _classes_in(kind) if is_declarable(cls))
    return tuple(describe(cls, _name_of(cls)) for cls in found)


_JSON: Final = (NoneType, bool, int, float, str, list, dict)
_TAGGED: Final = (bytes, bytearray, tuple, set, frozenset, datetime, date, time, timedelta, Decimal, UUID)
_BUILT_IN: Final[frozenset[Any]] = frozenset((*_JSON, *_TAGGED))


def _classes_in(kind: Any) -> list[type]:
    origin = get_origin(kind)
    if origin is None:
        return [kind] if isinstance(kind, type) else []
    inner = [cls for argument in get_args(kind) for cls in _classes_in(argument)]
    return [origin, *inner] if isinstance(origin, type) else inner


# --- the four kinds ---------------------------------------------------------------------------------


def _enum(cls: type[Enum], name: str) -> Declared:
    members = cls.__members__

    def dump(value: Enum) -> str:
        if members.get(value.name) is not value:
            raise ValidationError(f"a member of {cls.__qualname__} that its class does not list can't be cached")
        return value.name

    return Declared(cls, name, (dump,), members.__getitem__)


def _flag(cls: type[Flag], name: str) -> Declared:
    return Declared(cls, name, (lambda value: value.value,), cls)  # combined flags have no name of their own


def _named_tuple(cls: Any, name: str) -> Declared:
    size = len(cls._fields)

    def load(data: list[Any]) -> Any:
        if type(data) is not list or len(data) != size:
            raise DecodeError("the fields of a named tuple have changed")
        return tuple.__new__(cls, data)

    def dump(value: Any) -> list[Any]:
        if getattr(value, "__dict__", None):
            raise ValidationError(f"a {cls.__qualname__} with attributes beside its fields can't be cached")
        return list(value)

    return Declared(cls, name, (dump,), load)


def _dataclass(cls: Any, name: str) -> Declared:
    """By state and not by `__init__`, as `copy` and `pickle` do: what `__post_init__` made is kept, not redone."""
    names = tuple(field.name for field in dataclasses.fields(cls))

    def dump(value: Any) -> Any:
        fields = {field: getattr(value, field) for field in names}
        beside = {key: held for key, held in getattr(value, "__dict__", {}).items() if key not in names}
        return (fields, beside) if beside else fields

    def load(data: Any) -> Any:
        fields, beside = data if type(data) is tuple else (data, {})
        if fields.keys() != set(names):
            raise DecodeError("the fields of a dataclass have changed")
        instance = object.__new__(cls)
        for key, held in (*fields.items(), *beside.items()):
            object.__setattr__(instance, key, held)  # frozen ones too
        return instance

    return Declared(cls, name, (dump,), load)


def _model(cls: Any, name: str) -> Declared:
    """By `model_dump` and `model_validate`. JSON mode second: it gets through types that only the model knows."""
    by_name = "by_name" in inspect.signature(cls.model_validate).parameters  # Pydantic 2.11

    def dump(mode: str) -> Callable[[Any], Any]:
        return lambda value: value.model_dump(mode=mode, round_trip=True, warnings=False, by_alias=not by_name)

    def load(data: Any) -> Any:
        return cls.model_validate(data, by_alias=False, by_name=True) if by_name else cls.model_validate(data)

    return Declared(cls, name, (dump("python"), dump("json")), load, verify=True)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types all the way down; NaN is the same as NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(map(same, one.items(), other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return {(type(part), part) for part in one} == {(type(part), part) for part in other}
    if isinstance(one, float):
        return one == other or (one != one and other != other)
    state = _state(one)
    return bool(one == other) if state is None else same(state, _state(other))


def _state(value: Any) -> Any:
    """What equality means for a model or a dataclass: its fields, and a model's private and extra ones."""
    cls = type(value)
    if hasattr(cls, "model_dump"):
        beside = [getattr(value, f"__pydantic_{part}__", None) or {} for part in ("private", "extra")]
        return {key: vars(value).get(key) for key in getattr(cls, "model_fields", vars(value))}, beside
    if dataclasses.is_dataclass(cls):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(cls)}
    return None
