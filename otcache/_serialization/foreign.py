"""Fields whose values only Pydantic understands: a URL, a path, an address, a deque. As JSON, if they come back."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from otcache._serialization.declared import Declared
from otcache.exceptions import DecodeError


class FieldAdapter(NamedTuple):
    """How one field's values are written as JSON, and read again."""

    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]


@lru_cache(maxsize=1024)
def adapter_of(cls: Any, field: str) -> FieldAdapter | None:
    """Return what Pydantic makes of a field's annotation; `None` if the class is no model or has no such field."""
    info = {**getattr(cls, "__pydantic_fields__", {}), **getattr(cls, "model_fields", {})}.get(field)
    if info is None:
        return None
    try:
        adapter = sys.modules["pydantic"].TypeAdapter(info.annotation)
    except Exception:  # noqa: BLE001  the annotation may be anything, and so may be what it raises
        return None
    return FieldAdapter(lambda value: adapter.dump_python(value, mode="json", warnings=False), adapter.validate_python)


def written(row: Declared, field: str, value: Any) -> Any:
    """Return a field's value as JSON that comes back the same; `None` if there is none."""
    adapter = adapter_of(row.cls, field)
    if adapter is None:
        return None
    try:
        data = adapter.dump(value)
        return data if same(adapter.load(data), value) else None
    except Exception:  # noqa: BLE001  runs the user's types: anything can come out
        return None


def read(row: Declared, field: str, data: Any) -> Any:
    """Return the value that `written` was given; `DecodeError` if the field is no longer there."""
    adapter = adapter_of(row.cls, field)
    if adapter is None:
        raise DecodeError("a field that only Pydantic reads is no longer there")
    return adapter.load(data)


_SEQUENCES: Final = (list, tuple, deque)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types all the way down; NaN is the same as NaN."""
    if type(one) is not type(other) or getattr(one, "default_factory", None) is not getattr(
        other, "default_factory", None
    ):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(map(same, one.items(), other.items()))
    if isinstance(one, _SEQUENCES):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return {(type(part), part) for part in one} == {(type(part), part) for part in other}
    if isinstance(one, float):
        return one == other or (one != one and other != other)
    if hasattr(one, "__pydantic_fields_set__"):
        return same(one.__getstate__(), other.__getstate__())
    return bool(one == other)
