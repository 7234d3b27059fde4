"""The types that users declare: once for the process, or for one call, with the types in their fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from threading import Lock
from types import NoneType
from typing import Any, Final, TypeVar, overload
from uuid import UUID

from otcache._serialization.annotations import classes_of
from otcache._serialization.declared import Declared, check_fields, describe, field_types, is_declarable, why_not
from otcache.exceptions import ValidationError

_C = TypeVar("_C", bound=type)
_JSON: Final = (NoneType, bool, int, float, str, list, dict)
_TAGGED: Final = (bytes, bytearray, tuple, set, frozenset, datetime, date, time, timedelta, Decimal, UUID)
_BUILT_IN: Final[frozenset[Any]] = frozenset((*_JSON, *_TAGGED, Any))
_SCOPES: Final = 256
"""Most annotations whose types are remembered."""


class Scope:
    """The declared types that one call knows, and those in their fields.

    A type in a field needs no declaration of its own. It is looked for when a value or a payload first has it: the
    annotation may name a class that is defined later.

    Args:
        rows: The declared types.
        outer: What is known beside them, and counts first for the types in their fields.
    """

    def __init__(self, rows: Iterable[Declared], outer: Scope | None = None) -> None:
        self._pending = list(rows)
        self._outer = outer
        self._by_type = {row.cls: row for row in self._pending}
        self._by_name = {row.name: row for row in self._pending}

    def of_type(self, cls: type) -> Declared | None:
        """How instances of `cls` are written; `None` if it is not declared."""
        found = self._by_type.get(cls)
        if found is None and self._outer is not None:
            found = self._outer.of_type(cls)
        if found is None and self._pending:
            self._look_into_fields()
            found = self._by_type.get(cls)
        return found

    def of_name(self, name: str) -> Declared | None:
        """How instances of the type that a payload calls so are read."""
        found = self._by_name.get(name)
        if found is None and self._outer is not None:
            found = self._outer.of_name(name)
        if found is None and self._pending:
            self._look_into_fields()
            found = self._by_name.get(name)
        return found

    def _look_into_fields(self) -> None:
        rows, unclear = self._pending, []
        for row in rows:  # grows while it is read: fields of fields
            found = field_types(row.cls)
            if not found.complete:
                unclear.append(row)
            rows.extend(filter(None, map(self._implied, found.classes)))
        self._pending = unclear

    def _implied(self, cls: type) -> Declared | None:
        """Declare the type of a field; `None` if it is known, can't be, or another one has its name."""
        name = name_of(cls)
        outer = self._outer is not None and self._outer.of_type(cls)
        if cls in self._by_type or outer or name in self._by_name or not is_declarable(cls):
            return None
        row = self._by_type[cls] = self._by_name[name] = describe(cls, name)
        return row


class Registry:
    """The types declared for the whole process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_type: dict[type, Declared] = {}
        self._by_name: dict[str, Declared] = {}
        self._forget()

    def _forget(self) -> None:
        """What a type in a field stands for may have changed."""
        self._all = Scope(self._by_type.values())
        self._scopes: dict[Any, Scope] = {}

    def add(self, cls: type, name: str | None, version: int = 1) -> None:
        """Declare `cls`. Declaring it again is nothing new; a module that is loaded again replaces its own types.

        Raises:
            ValidationError: `cls` is of no kind that can be declared, or the name belongs to another type.
        """
        if not isinstance(cls, type):
            raise ValidationError(f"an object of type {type(cls).__qualname__} is declared, not a type")
        row = describe(cls, name_of(cls) if name is None else name, version)
        check_fields(cls)
        with self._lock:
            known = self._by_type.get(cls)
            if known is not None and (known.name, known.shape) != (row.name, row.shape):
                raise ValidationError(f"{cls.__qualname__} is already declared under another name or version")
            holder = self._by_name.get(row.name)
            if holder is not None and holder.cls is not cls:
                _check_reload(holder, row)
                del self._by_type[holder.cls]
            self._by_type[cls] = self._by_name[row.name] = row
            self._forget()

    def scope(self, kind: Any = None) -> Scope:
        """The declared types, and for one call those in the annotation `kind`: `User`, `list[User]`.

        Raises:
            ValidationError: `kind` is no type that can be declared, or has the name of another one.
        """
        if kind is None:
            return self._all
        try:
            found = self._scopes.get(kind)
        except TypeError:  # an annotation with metadata that can't be hashed
            return self._scope_of(kind)
        if found is None:
            if len(self._scopes) >= _SCOPES:
                self._scopes.clear()
            found = self._scopes[kind] = self._scope_of(kind)
        return found

    def _scope_of(self, kind: Any) -> Scope:
        rows = [describe(cls, name_of(cls)) for cls in _named(kind) if cls not in self._by_type]
        if not rows:
            return self._all
        for row in rows:
            if row.name in self._by_name:
                raise ValidationError(
                    f"type= names {row.cls.__qualname__}, whose name is declared for another type: register it with "
                    "name="
                )
        return Scope(rows, self._all)


REGISTRY: Final = Registry()


@overload
def register_type(cls: _C, *, name: str | None = None, version: int = 1) -> _C: ...
@overload
def register_type(cls: None = None, *, name: str | None = None, version: int = 1) -> Callable[[_C], _C]: ...
def register_type(cls: _C | None = None, *, name: str | None = None, version: int = 1) -> _C | Callable[[_C], _C]:
    """Declare a dataclass, an enum, a named tuple or a Pydantic model, so that its instances can be cached.

    Call it once where the type is defined, or use it as a decorator, with or without arguments. The types that its
    fields name are declared with it.

    Args:
        cls: The type; instances of its subclasses are not covered.
        name: What stands for it in payloads; `module.qualname` by default. Give one to move or rename the type later.
        version: A whole number from 0; change it when the meaning of a field changes. Entries of another version, or
            of other fields or field types, are misses.

    Returns:
        `cls`, unchanged.

    Raises:
        ValidationError: The type is of another kind, a field of it is an entity of an ORM, or the name belongs to
            another type.
    """
    if cls is None:
        return lambda decorated: register_type(decorated, name=name, version=version)
    if name is not None and (not isinstance(name, str) or not 0 < len(name) <= 256):
        raise ValidationError("name is not a string of 1 to 256 characters")
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise ValidationError(f"version is {version!r}, not a whole number from 0: version=2")
    REGISTRY.add(cls, name, version)
    return cls


def refusal(cls: type) -> ValidationError:
    """Why a value of `cls` is not cached, and the way out."""
    name = cls.__qualname__
    if is_declarable(cls):
        hint = f"declare it once with otcache.register_type({name}), or pass type={name}"
    else:
        hint = why_not(cls) or "types are kept exactly, so convert it to one that docs/values.md names"
    return ValidationError(f"a value of type {name_of(cls)} can't be cached: {hint}", {"type": name_of(cls)})


def name_of(cls: type) -> str:
    """What stands for a type in payloads unless it is given a name."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _check_reload(holder: Declared, row: Declared) -> None:
    """A class of a function may be another one at each call; a class of a module is the same one, loaded again."""
    if name_of(holder.cls) != name_of(row.cls) or "<locals>" in row.cls.__qualname__:
        hint = "give it one with name="
        raise ValidationError(f"the name of {row.cls.__qualname__} is already declared for another type: {hint}")


def _named(kind: Any) -> list[type]:
    """The declarable types in an annotation, which is a class or something like `list[User]`."""
    classes = classes_of(kind).classes
    if isinstance(kind, str | list | tuple) or not (classes or isinstance(kind, type)):
        raise ValidationError(f"type= is an object of type {type(kind).__qualname__}, not a type")
    if (
        isinstance(kind, type)
        and classes == (kind,)
        and kind not in _BUILT_IN
        and kind is not Any
        and why_not(kind) is None
    ):
        return [kind]  # refused by name if it is of no kind that can be declared
    return [cls for cls in classes if is_declarable(cls)]
