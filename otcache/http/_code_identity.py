"""Tells code apart that may answer the same request differently: two applications on one path, closures of a factory.

What it gives is the same in every process where that can be known; elsewhere it is random, and never given twice.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from hashlib import blake2b
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final
from uuid import UUID, uuid4

from fastapi.params import Depends
from pydantic import BaseModel

from otcache.base import CacheInterface

_ATOMS: Final = (str, int, float, complex, bytes, type(None), UUID)
_PLAIN: Final = (*_ATOMS, Enum)
_CODE: Final = (FunctionType, BuiltinFunctionType, MethodType, functools.partial, type)
_IGNORED: Final = (ModuleType, CacheInterface, Depends, logging.Logger)
"""What a closure may hold without that its answers differ."""


def identity(*whats: Any) -> str:
    """Return 128 bits over functions, classes, instances and values."""
    text = repr([_of(what, frozenset()) for what in whats])
    return blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _of(what: Any, above: frozenset[int]) -> Any:
    if id(what) in above:  # a function that calls itself is in its own closure
        return "above"
    above |= {id(what)}
    if isinstance(what, Enum):
        return _name(type(what)), what.name, _of(what.value, above)
    kind: Any = next((kind for kind in _ATOMS if isinstance(what, kind)), None)
    if kind is not None:  # a subclass may show two values alike
        return _name(type(what)), kind.__repr__(what)
    if isinstance(what, tuple):
        return _name(type(what)), [_of(each, above) for each in what]
    if isinstance(what, _IGNORED):
        return ""
    wrapped = getattr(what, "__wrapped__", None)  # functools.cache
    if isinstance(wrapped, FunctionType) and not isinstance(what, FunctionType):
        return _of(wrapped, above)
    return _of_code(what, above) if isinstance(what, _CODE) else _of_instance(what, above)


def _of_code(what: Any, above: frozenset[int]) -> Any:
    if isinstance(what, FunctionType):
        defaults = (*(what.__defaults__ or ()), *(what.__kwdefaults__ or {}).values())
        held = [*_cells(what), *(each for each in defaults if isinstance(each, (*_PLAIN, *_CODE)))]
        return _name(what), _code(what.__code__), [_of(each, above) for each in held]
    if isinstance(what, MethodType):
        return _of(what.__func__, above), _of(what.__self__, above)
    if isinstance(what, functools.partial):
        return _of(what.func, above), _of(what.args, above), _of(tuple(sorted(what.keywords.items())), above)
    # a class of a factory is another one each time: its methods have closures, too
    return _name(what), uuid4().hex if "<locals>" in what.__qualname__ and isinstance(what, type) else ""


def _of_instance(what: Any, above: frozenset[int]) -> Any:
    """Return what an object is by its attributes, where it is made of them; else something of this object alone.

    Two objects with equal attributes now may differ later: that is believed of settings and parametrised dependencies.
    """
    held = getattr(what, "__dict__", {})
    is_value = isinstance(what, BaseModel) or callable(what) or (is_dataclass(what) and what.__hash__ is not None)
    known = (*_PLAIN, *_CODE, tuple, BaseModel)
    if not (is_value and held and all(isinstance(each, known) for each in held.values())):
        return uuid4().hex
    return _of(type(what), above), [(name, _of(held[name], above)) for name in sorted(held)]


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not yet assigned
            yield None


def _code(code: CodeType) -> Any:
    """Return what the code does, without its lines and its file."""
    constants = [_code(each) if isinstance(each, CodeType) else _constant(each) for each in code.co_consts]
    return code.co_code.hex(), code.co_names, constants


def _constant(value: Any) -> str:
    return repr(sorted(map(repr, value))) if isinstance(value, frozenset) else repr(value)


def _name(what: Any) -> str:
    return f"{getattr(what, '__module__', '')}.{what.__qualname__}"
