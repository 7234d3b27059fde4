"""Plain JSON by orjson, for the values that JSON keeps as they are."""

from __future__ import annotations

from math import isfinite
from types import NoneType
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 100
"""Containers within containers. A tagged level takes two of JSON, and orjson writes at most 254."""

MAX_CONTAINERS: Final = 2_000_000
"""Containers in one value; a container that holds itself twice would otherwise be counted for ever."""

_SCALARS: Final = frozenset((str, int, bool, NoneType))
_CONTAINERS: Final = frozenset((dict, list))


def dumps(value: Any) -> bytes | None:
    """`value` as JSON, or `None` if JSON would change it or can't hold it."""
    if not _is_plain(value):
        return None
    try:
        return orjson.dumps(value)
    except TypeError:
        return None  # a key that is not exactly str, an int beyond 64 bits, a lone surrogate: orjson finds them itself


def _is_plain(value: Any) -> bool:
    """Whether every part is exactly a kind of JSON.

    One flat loop, level by level: half the price of loops in C over each level's parts, where dictionaries are small
    (measured), and a container that holds itself ends it at the deepest level.
    """
    level: list[Any] = [[value]]
    floats: list[float] = []
    seen = 0
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for container in level:
            for part in container.values() if type(container) is dict else container:
                kind = type(part)
                if kind in _SCALARS:
                    continue
                if kind in _CONTAINERS:
                    below.append(part)
                elif kind is float:
                    floats.append(part)
                else:
                    return False
        seen += len(below)
        if not below or seen > MAX_CONTAINERS:
            return not below and all(map(isfinite, floats))  # orjson writes null for NaN and the infinities
        level = below
    return False
