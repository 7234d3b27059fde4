"""The parameters of a function: what their annotations declare, and which of them can't matter for a key."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from enum import Enum
from typing import Annotated, Any, Final, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from otcache._decorators.key_values import TEXT, Declared, kind_of
from otcache._serialization.declared import is_declarable

Parameter = inspect.Parameter

_HARMLESS: Final = {
    "starlette": "HTTPConnection Request Response WebSocket BackgroundTasks",
    "fastapi": "SecurityScopes",
    "pydantic_settings": "BaseSettings",
    "sqlalchemy": "Session AsyncSession scoped_session async_scoped_session sessionmaker async_sessionmaker "
    "Connection AsyncConnection Engine AsyncEngine",
    "asyncpg": "Connection Pool PoolConnectionProxy",
    "psycopg": "Connection AsyncConnection Cursor AsyncCursor",
    "psycopg_pool": "ConnectionPool AsyncConnectionPool",
    "sqlite3": "Connection Cursor",
    "aiosqlite": "Connection Cursor",
    "otcache": "CacheInterface",
}
"""Classes of requests, responses and connections, by top-level package and name: they need not be installed."""

_INJECTED: Final = frozenset({"Depends", "Security"})
_UNIONS: Final = (Union, types.UnionType)
_SAYS_NOTHING: Final = (types.NoneType, Parameter.empty, Any, object)
_DATA: Final = (str, int, float, bytes, dict, list, tuple, set, frozenset)


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of `function`, with each annotation resolved that can be resolved now.

    An annotation that can't be (a name that only a type checker sees) leaves the others alone.
    """
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=_resolve(function, p.annotation)) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=_resolve(function, signature.return_annotation))


def _resolve(function: Callable[..., Any], annotation: Any) -> Any:
    if annotation is Parameter.empty:
        return annotation
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    wrapped = inspect.unwrap(function)
    names, own = getattr(wrapped, "__globals__", {}), getattr(wrapped, "__type_params__", ())  # def first[T](...)
    try:
        resolved = get_type_hints(holder, names, {each.__name__: each for each in own}, include_extras=True)["it"]
    except Exception:  # noqa: BLE001  an annotation is any expression, and any of them may fail
        return annotation
    return None if resolved is types.NoneType else resolved


# --- what an annotation declares ------------------------------------------------------------------------


def declared(annotation: Any) -> Declared:
    """Return what an annotation declares; of a union, the first type that is not `None`."""
    annotation = _plain(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in _UNIONS:
        return declared(next(part for part in arguments if part is not types.NoneType))
    if origin is Literal:
        return declared(type(arguments[0]))
    cls = origin or annotation
    kind = kind_of(cls) if isinstance(cls, type) else None
    if kind is None:
        return TEXT
    items = {part for part in arguments if part is not ...}
    return Declared(cls if kind is Enum else kind, declared(items.pop()) if len(items) == 1 else None)


def _plain(annotation: Any) -> Any:
    """Return an annotation without `Annotated`, `NewType`, type variables and aliases."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if isinstance(annotation, NewType):
        return _plain(annotation.__supertype__)
    if isinstance(annotation, TypeVar):
        return _plain(annotation.__bound__)
    if type(annotation).__name__ == "TypeAliasType":  # Python 3.12
        return _plain(annotation.__value__)
    return annotation


def attribute_type(annotation: Any, path: Iterable[str]) -> Any:
    """Return the annotation at the end of a path of attributes of `annotation`; `None` if it has none."""
    for name in path:
        cls = _plain(annotation)
        if get_origin(cls) in _UNIONS:
            cls = next(part for part in get_args(cls) if part is not types.NoneType)
        found = getattr(get_origin(cls) or cls, name, None)
        annotation = _hints(found.fget).get("return") if isinstance(found, property) else _hints(cls).get(name)
    return annotation


def _hints(holder: Any) -> dict[str, Any]:
    try:
        return get_type_hints(get_origin(holder) or holder, include_extras=True)
    except Exception:  # noqa: BLE001  as in _resolve: what can't be resolved declares nothing
        return {}


# --- what can't matter ----------------------------------------------------------------------------------


def is_harmless(parameter: Parameter, *, first: bool) -> bool:
    """Whether `parameter` can't matter for a key.

    That is the instance of a method, a request, a response, a database connection, and what FastAPI injects unless it
    is data: a session or a service, but not the current user.
    """
    if first and parameter.name in ("self", "cls"):
        return True
    classes = list(_members(parameter.annotation))
    if classes and all(map(_is_listed, classes)):
        return True
    marker = injected(parameter)
    if marker is None:
        return False
    if not classes:  # no annotation: the dependency's own
        classes = list(_members(_hints(getattr(marker, "dependency", None)).get("return")))
    return not any(map(_is_data, classes))


def _members(annotation: Any) -> Iterable[type]:
    """Yield the classes of an annotation, except `None`; nothing if it names none, or was not resolved."""
    annotation = _plain(annotation)
    origin = get_origin(annotation)
    if origin in _UNIONS:
        for part in get_args(annotation):
            yield from _members(part)
    elif isinstance(cls := origin or annotation, type) and cls not in _SAYS_NOTHING:
        yield cls


def _is_listed(cls: type) -> bool:
    return any(base.__name__ in _HARMLESS.get(base.__module__.partition(".")[0], "").split() for base in cls.__mro__)


def injected(parameter: Parameter) -> Any:
    """Return FastAPI's marker, from the default or from the metadata of the annotation; `None` if there is none."""
    extras = getattr(parameter.annotation, "__metadata__", ())
    return next((marker for marker in (parameter.default, *extras) if is_dependency(marker)), None)


def is_dependency(marker: Any) -> bool:
    """Whether `marker` comes from FastAPI's `Depends` or `Security`."""
    classes = type(marker).__mro__
    return any(cls.__name__ in _INJECTED and cls.__module__.partition(".")[0] == "fastapi" for cls in classes)


def _is_data(cls: type) -> bool:
    """Whether two values of the class mean two results: types of keys, models and rows of tables."""
    is_record = is_dataclass(cls) or is_declarable(cls) or hasattr(cls, "__table__") or hasattr(cls, "__tablename__")
    return is_record or kind_of(cls) is not None or issubclass(cls, _DATA)
