"""The kinds of types that can be declared: how an instance becomes data of the built-in kinds, and comes back."""

from __future__ import annotations

import dataclasses
import inspect
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from enum import Enum, Flag
from functools import cached_property
from hashlib import blake2b
from types import MemberDescriptorType
from typing import Any, Final, NamedTuple

from otcache._serialization.annotations import Found, classes_of, text_of
from otcache.exceptions import ValidationError

_HEAP_TYPE: Final = 1 << 9
"""`Py_TPFLAGS_HEAPTYPE`: set on every class that Python code defines."""
_ENTITIES: Final = {
    "sqlalchemy": "DeclarativeBase DeclarativeBaseNoMeta",
    "django": "Model",
    "tortoise": "Model",
    "peewee": "Model",
    "ormar": "Model",
    "pony": "Entity",
}
"""Base classes of entities, by top-level package and name: they need not be installed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """A declared type.

    Attributes:
        cls: The type.
        name: What stands for it in a payload.
        shape: A digest of its fields, their types and its version: what was stored under another one is not read.
        dump: Data of an instance; of a record, the attributes in its `__dict__` and those in its slots.
        load: An instance from the data.
        is_record: Whether it consists of attributes.
    """

    cls: type
    name: str
    shape: str
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]
    is_record: bool = False


def is_declarable(cls: type) -> bool:
    """Whether `register_type` takes it."""
    return _kind_of(cls) is not None


def is_entity(cls: type) -> bool:
    """Whether its instances belong to a session of an ORM: another request must not get them."""
    if _has(cls, "_sa_class_manager"):  # SQLAlchemy, in every style; SQLModel's tables
        return True
    return any(base.__name__ in _ENTITIES.get(base.__module__.partition(".")[0], "").split() for base in cls.__mro__)


def describe(cls: type, name: str, version: int = 1) -> Declared:
    """How instances of `cls` are written and read.

    Raises:
        ValidationError: It is of no kind that can be declared, or a field of it can't be kept.
    """
    make = _kind_of(cls)
    if make is None:
        raise ValidationError(why_not(cls) or f"{cls.__qualname__} is {_KINDS}")
    return make(cls, name, version)


_KINDS: Final = "not a dataclass, an enum, a named tuple or a Pydantic model"


def why_never(cls: type) -> str | None:
    """Return what to write instead of a class that is kept in no format; `None` for any other."""
    if is_entity(cls):
        return (
            f"{cls.__qualname__} is an entity of an ORM, which belongs to its session: cache a read model, "
            "a dataclass or a Pydantic model that is made from it"
        )
    if _has(cls, "get_secret_value"):
        return f"{cls.__qualname__} hides a secret, which Redis would hold in clear: leave it out of what is cached"
    return None


def why_not(cls: type) -> str | None:
    """Return what to write instead of a class that can't be kept whatever is declared; `None` for any other."""
    reason = why_never(cls)
    if reason is not None:
        return reason
    if _has(cls, "__dataclass_fields__") and not any("__eq__" in vars(base) for base in cls.__mro__[:-1]):
        return f"{cls.__qualname__} has no equality (eq=False), so no copy equals it: let dataclass make its __eq__"
    return None


def _kind_of(cls: Any) -> Callable[[Any, str, int], Declared] | None:
    if why_not(cls) is not None:
        return None
    if issubclass(cls, Enum):
        return _flag if issubclass(cls, Flag) else _enum
    is_record = _has(cls, "__pydantic_fields_set__") or _has(cls, "__dataclass_fields__")
    if is_record and all(base.__flags__ & _HEAP_TYPE for base in cls.__mro__[:-1]):
        return _record
    if issubclass(cls, tuple) and _has(cls, "_fields") and _has(cls, "_make"):
        return _named_tuple
    return None


def _has(cls: type, name: str) -> bool:
    """Whether a class has an attribute; unlike `hasattr`, asks no metaclass, which may answer anything."""
    return any(name in vars(base) for base in cls.__mro__)


# --- fields -----------------------------------------------------------------------------------------------


class _Field(NamedTuple):
    """One attribute that a type declares.

    Attributes:
        written: Its annotation as the source code has it: the same text in every process.
        meant: Its annotation with the names looked up and type parameters filled in, where Pydantic has done so.
        module: Where the names in it are looked up.
    """

    name: str
    written: Any
    meant: Any
    module: str


def field_types(cls: type) -> Found:
    """Return the classes that the annotations of a type's fields name; nothing of an enum."""
    parts = [classes_of(field.meant, field.module) for field in _fields(cls)]
    return Found(tuple(each for part in parts for each in part.classes), all(part.complete for part in parts))


def _fields(cls: Any) -> Iterator[_Field]:
    models = cls.model_fields if _has(cls, "__pydantic_fields_set__") else {}
    for name in _names(cls):
        base = next((base for base in cls.__mro__ if name in inspect.get_annotations(base)), cls)
        meant = models[name].annotation if name in models else None
        written = inspect.get_annotations(base).get(name, meant)
        yield _Field(name, written, written if meant is None else meant, base.__module__)


def check_fields(cls: type) -> None:
    """Refuse a type now that would be refused with some of its values only.

    Raises:
        ValidationError: A field is an entity of an ORM.
    """
    for field in _fields(cls):
        for each in classes_of(field.meant, field.module).classes:
            if is_entity(each):
                raise ValidationError(f"{cls.__qualname__}.{field.name} can't be kept: {why_not(each)}")


def _names(cls: Any) -> tuple[str, ...]:
    if _has(cls, "__dataclass_fields__"):
        return tuple(field.name for field in dataclasses.fields(cls))
    if _has(cls, "__pydantic_fields_set__"):
        return (*cls.model_fields, *cls.__private_attributes__)
    return getattr(cls, "_fields", ()) if issubclass(cls, tuple) else ()


def _shape(cls: type, version: int, *more: str) -> str:
    """48 bits: no two versions of one class share them by chance."""
    fields = [f"{field.name}:{text_of(field.written)}" for field in _fields(cls)]
    text = "\n".join((str(version), *fields, *more))
    return urlsafe_b64encode(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).digest()).decode()


# --- the kinds --------------------------------------------------------------------------------------------


def _enum(cls: type[Enum], name: str, version: int) -> Declared:
    members = cls.__members__

    def dump(value: Enum) -> str:
        if members.get(value.name) is not value:
            raise ValidationError(f"a member of {cls.__qualname__} that its class does not list can't be cached")
        return value.name

    return Declared(cls, name, _shape(cls, version), dump, members.__getitem__)


def _flag(cls: type[Flag], name: str, version: int) -> Declared:
    bits = [f"{key}={member.value}" for key, member in cls.__members__.items()]  # combined ones have no name
    return Declared(cls, name, _shape(cls, version, *bits), lambda value: value.value, cls)


def _named_tuple(cls: Any, name: str, version: int) -> Declared:
    def dump(value: Any) -> list[Any]:
        if getattr(value, "__dict__", None):
            raise ValidationError(f"a {cls.__qualname__} with attributes beside its fields can't be cached")
        return list(value)

    def load(data: list[Any]) -> Any:
        return tuple.__new__(cls, data)

    return Declared(cls, name, _shape(cls, version), dump, load)


State = tuple[dict[str, Any], dict[str, Any]]
"""What a record's `__dict__` holds, and its slots."""


def _record(cls: Any, name: str, version: int) -> Declared:
    """By state, as `copy` and `pickle` do: neither `__init__` nor a validator runs again on what they have made."""
    slots = _slots(cls)

    def dump(value: Any) -> State:
        held = {key: _held(slot, value) for key, slot in slots.items()}
        attributes = getattr(value, "__dict__", {})
        if "__orig_class__" in attributes:  # the `Page[int]` that it was called by, which equality doesn't see
            attributes = {key: part for key, part in attributes.items() if key != "__orig_class__"}
        return attributes, {key: part for key, part in held.items() if part is not _NOTHING}

    def load(state: State) -> Any:
        held, slotted = state
        instance = object.__new__(cls)
        if held:
            instance.__dict__.update(held)
        for key, part in slotted.items():
            slots[key].__set__(instance, part)  # past a frozen class's `__setattr__`
        return instance

    shape = _shape(cls, version, *slots)
    if _SET not in slots:
        return Declared(cls, name, shape, dump, load, is_record=True)
    return Declared(cls, name, shape, lambda value: _short(dump(value)), lambda state: load(_long(state)), True)


def _short(state: State) -> State:
    """A model's state without what nearly every model has: all fields set, nothing extra, nothing private."""
    held, slotted = state
    slotted = {key: part for key, part in slotted.items() if part is not None}
    if slotted[_SET] == held.keys() | slotted.get(_EXTRA, {}).keys():
        del slotted[_SET]
    return held, slotted


def _long(state: State) -> State:
    held, slotted = state
    usual: dict[str, Any] = {_EXTRA: None, _PRIVATE: None} | slotted
    if _SET not in usual:
        usual[_SET] = {*held, *(usual[_EXTRA] or ())}
    return held, usual


def is_recomputed(cls: type, name: str) -> bool:
    """Whether an attribute only remembers what the instance computes again when it is asked."""
    return isinstance(inspect.getattr_static(cls, name, None), cached_property)


def _slots(cls: type) -> dict[str, MemberDescriptorType]:
    """Those of its bases, too; a model's under a name that no attribute can have."""
    found = [(_MODEL.get(key, key), each) for base in reversed(cls.__mro__) for key, each in vars(base).items()]
    return {key: each for key, each in found if isinstance(each, MemberDescriptorType)}


_SET, _EXTRA, _PRIVATE = "+set", "+extra", "+private"
_MODEL: Final = {"__pydantic_extra__": _EXTRA, "__pydantic_fields_set__": _SET, "__pydantic_private__": _PRIVATE}
_NOTHING: Final = object()


def _held(slot: MemberDescriptorType, value: Any) -> Any:
    try:
        return slot.__get__(value)
    except AttributeError:  # never set, or deleted
        return _NOTHING
