"""Fingerprints of values: whether an object that several callers hold is still what it was."""

from __future__ import annotations

import marshal
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType, MethodType, NoneType
from typing import Any, Final
from uuid import UUID

from otcache._serialization import plain_json as plain
from otcache._serialization.plain_json import MAX_CONTAINERS

_SCALARS: Final = frozenset((str, int, float, bool, bytes, NoneType))
_NAMED: Final = (type, FunctionType, BuiltinFunctionType, MethodType)
_FIXED: Final = _SCALARS | {complex, datetime, date, time, timedelta, Decimal, UUID}


class Mark:
    """What a shared object was when it became shared.

    Attributes:
        fingerprint: 16 bytes.
        template: The shape of the key, if the writer gave one.
        due: When the marked entry should be refreshed, by `perf_counter_ns`.
    """

    __slots__ = ("_is_told", "due", "fingerprint", "template")

    def __init__(self, fingerprint: bytes, template: str | None) -> None:
        self.fingerprint = fingerprint
        self.template = template
        self.due = 0
        self._is_told = False

    def refresh_at(self, due: int) -> None:
        """Note when the marked entry should be refreshed."""
        self.due = due

    def tell(self) -> bool:
        """Whether the change of the object is to be reported now: it is once."""
        told, self._is_told = self._is_told, True
        return not told


def fingerprint(value: Any) -> bytes | None:
    """16 bytes that differ as soon as any part of `value` does; `None` if it holds something that can't be read.

    The order of dictionaries counts, because callers see it; that of sets does not. Nothing of the value is written
    down but the hash.
    """
    raw = plain.dumps(value)
    if raw is None:
        try:
            raw = b"!" + marshal.dumps(_Walk().tree(value), 2)  # 2: later formats tell apart who else holds a part
        except Exception:  # noqa: BLE001  runs the user's type: anything can come out
            return None
    return blake2b(raw, digest_size=16).digest()


def is_fixed(value: Any) -> bool:
    """Whether no part of `value` can be changed: scalars, and tuples, frozen sets, frozen models of such."""
    cls = type(value)
    if cls in _FIXED or isinstance(value, Enum):
        return True
    if isinstance(value, tuple | frozenset):
        return not getattr(value, "__dict__", None) and all(map(is_fixed, value))
    return _is_frozen(cls) and all(map(is_fixed, _parts(value)))


def _is_frozen(cls: type) -> bool:
    if is_dataclass(cls):
        return bool(getattr(cls, "__dataclass_params__").frozen)  # noqa: B009  not in the stubs
    return hasattr(cls, "model_fields") and bool(getattr(cls, "model_config", {}).get("frozen"))


def _parts(value: Any) -> list[Any]:
    """The fields, and what else the instance carries: a frozen object may hold a list."""
    beside = [getattr(value, f"__pydantic_{part}__", None) for part in ("private", "extra")]
    declared = [getattr(value, each.name, None) for each in fields(value)] if is_dataclass(value) else []
    return [*declared, *getattr(value, "__dict__", {}).values(), *(part for part in beside if part)]


class _Walk:
    """Values to trees of lists, pairs and scalars; `TypeError` for what has no state that can be read."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._left = MAX_CONTAINERS

    def tree(self, value: Any) -> Any:
        """A scalar or a list as it is; anything else as a pair of its type and its parts."""
        cls = type(value)
        if cls in _SCALARS:
            return value
        if isinstance(value, _NAMED):
            return "!", f"{value.__module__}.{value.__qualname__}"
        self._left -= 1
        if id(value) in self._open or self._left < 0:
            raise TypeError("a container that holds itself, or too many")
        self._open.add(id(value))
        try:
            return self._container(cls, value)
        finally:
            self._open.discard(id(value))

    def _container(self, cls: type, value: Any) -> Any:
        if cls is list:
            return [self.tree(part) for part in value]
        if cls is tuple:
            return "()", [self.tree(part) for part in value]
        if cls is dict:
            return "{}", [self.tree(part) for pair in value.items() for part in pair]
        if cls is set or cls is frozenset:
            return cls.__name__, sorted(marshal.dumps(self.tree(part), 2) for part in value)
        return self._object(cls, value)

    def _object(self, cls: type, value: Any) -> Any:
        """By what `copy` and `pickle` ask for, without what reading the object has cached in it."""
        made = value.__reduce_ex__(4)
        if isinstance(made, str):
            return "!", made
        make, arguments, state, *parts = (*made, None)[:5]
        if isinstance(state, dict):
            state = _without(_lazy_names(cls), state)
            if isinstance(state.get("__dict__"), dict):  # Pydantic
                state["__dict__"] = _without(_lazy_names(cls), state["__dict__"])
        items = [list(part) for part in parts if part is not None]  # of lists and dictionaries with a class
        return f"{cls.__module__}.{cls.__qualname__}", [self.tree(each) for each in (make, arguments, state, items)]


def _without(names: frozenset[str], state: dict[Any, Any]) -> dict[Any, Any]:
    return {key: part for key, part in state.items() if key not in names}


@lru_cache(maxsize=256)
def _lazy_names(cls: type) -> frozenset[str]:
    """What a class computes when it is read first, and then keeps in the instance: `functools.cached_property`."""
    found = [(name, type(each)) for base in cls.__mro__ for name, each in vars(base).items() if not callable(each)]
    return frozenset(name for name, kind in found if hasattr(kind, "__get__") and not hasattr(kind, "__set__"))
