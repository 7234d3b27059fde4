"""What a function reads from its closure: written into its key, known not to matter, or refused."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping
from contextvars import ContextVar
from dis import get_instructions
from inspect import getattr_static
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, Final
from weakref import ref

from otcache._decorators.key_values import Writer
from otcache._decorators.names import function_name, is_importable
from otcache.base import CacheInterface
from otcache.exceptions import ConfigurationError, ValidationError

_SILENT: Final = {
    "logging": "Logger LoggerAdapter",
    "structlog": "BoundLoggerBase BoundLoggerLazyProxy",
    "opentelemetry": "Tracer Meter",
    "asyncio": "Lock Semaphore Condition AbstractEventLoop",
    "_thread": "lock RLock",
    "threading": "Semaphore Condition",
}
_CONNECTIONS: Final = {
    "sqlalchemy": "Session AsyncSession scoped_session async_scoped_session sessionmaker async_sessionmaker "
    "Connection AsyncConnection Engine AsyncEngine",
    "asyncpg": "Connection Pool PoolConnectionProxy",
    "psycopg": "Connection AsyncConnection",
    "psycopg_pool": "ConnectionPool AsyncConnectionPool",
    "sqlite3": "Connection",
    "aiosqlite": "Connection",
    "redis": "Redis RedisCluster",
    "httpx": "Client AsyncClient",
    "aiohttp": "ClientSession",
}
"""Classes by top-level package and name: they need not be installed."""

_REFUSED: Final = (
    "{} reads {} from {}: {}. Give a template that says what the answer depends on, or say that it can't matter: "
    "ignore=({!r},)"
)

_CONNECTED: Final[dict[tuple[str, ...], list[Callable[[], Any]]]] = {}


class Closure:
    """The variables that one function has from the functions around it.

    Attributes:
        cells: Each by its name; what they hold may change until the function is called.
        contexts: The context variables that it names: they differ from task to task.
    """

    def __init__(self, function: Any) -> None:
        code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None) or ()
        self.cells: Mapping[str, CellType] = dict(zip(getattr(code, "co_freevars", ()), cells, strict=False))
        self.contexts = [] if code is None else _contexts(code, getattr(function, "__globals__", {}))

    def check(self, function: str, ignored: Container[str]) -> None:
        """Refuse variables that no key can contain; without a template, all that are not ignored are in the key."""
        for name in [name for name in self.contexts if name not in ignored]:
            raise ConfigurationError(_REFUSED.format(function, name, "the task", "a ContextVar", name))
        held = {name: _held(cell) for name, cell in self.cells.items() if name not in ignored}
        texts = [_checked(function, name, value) for name, value in held.items()]
        connections = [value for value in held.values() if _is_one_of(value, _CONNECTIONS)]
        if connections:
            _check_same((function, *texts), connections)

    def text(self, name: str, path: tuple[str, ...], writer: Writer) -> str:
        """Write what a variable, or an attribute of it, holds now.

        Raises:
            ValidationError: It can't be part of a key.
        """
        return text_of(at_path(self.cells[name].cell_contents, path), writer)


def _contexts(code: CodeType, known: Mapping[str, Any]) -> list[str]:
    """Return the context variables that code names, in modules and classes too, or a function inside of it."""
    inner = [name for part in code.co_consts if isinstance(part, CodeType) for name in _contexts(part, known)]
    value: Any = None
    module: Any = None
    found = []
    for step in get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            value = known.get(step.argval)
        elif step.opname == "IMPORT_NAME":
            module = sys.modules.get(step.argval)
        elif step.opname == "IMPORT_FROM":
            value = getattr_static(module, step.argval, None)
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            value = getattr_static(value, step.argval, None) if isinstance(value, ModuleType | type) else None
        if isinstance(value, ContextVar):
            found.append(step.argval)
            value = None
    return found + inner


def _checked(function: str, name: str, value: Any) -> str:
    try:
        return text_of(value, Writer(":"))
    except Exception as exc:  # noqa: BLE001  a list that contains itself, say
        why = exc.message if isinstance(exc, ValidationError) else type(exc).__name__
        raise ConfigurationError(_REFUSED.format(function, name, "the function around it", why, name)) from None


def at_path(value: Any, path: tuple[str, ...]) -> Any:
    """Return the attribute of `value` at the end of a path."""
    for name in path:
        value = getattr(value, name)
    return value


class OfFunction(ABC):
    """What stands for a function of the application, and does what it does."""

    @abstractmethod
    def function_of(self) -> Any:
        """Return the function; `None` if it is bound to an instance."""


_EMPTY: Final = object()


def text_of(value: Any, writer: Writer, inside: tuple[Any, ...] = ()) -> str:
    """Write what a variable of a closure holds: data by value, code by its name and by what its own closure holds.

    Raises:
        ValidationError: It is something else.
    """
    if value is _EMPTY or _is_one_of(value, _SILENT):
        return "~"
    if not inside and _is_one_of(value, _CONNECTIONS):
        return "connection~"
    if callable(value) and is_importable(value):
        return f"code~{writer.escape(f'{value.__module__}.{value.__qualname__}')}"
    if isinstance(value, OfFunction):
        value = value.function_of() or value
    if isinstance(value, FunctionType):
        return _function_text(value, writer, inside)
    if isinstance(value, ModuleType) and sys.modules.get(value.__name__) is value:
        return f"code~{writer.escape(value.__name__)}"
    if isinstance(value, CacheInterface) and isinstance(name := getattr(value, "name", None), str):
        return f"cache~{writer.escape(name)}"
    return writer.write(value)


def _function_text(function: FunctionType, writer: Writer, inside: tuple[Any, ...]) -> str:
    try:
        name = f"code~{writer.escape(function_name(function))}"
    except ConfigurationError as exc:
        raise ValidationError(exc.message.partition(": give a template")[0]) from None
    if function in inside:
        return name
    if contexts := Closure(function).contexts:
        raise ValidationError(f"{function.__qualname__} reads the ContextVar {contexts[0]}")
    held = [*map(_held, function.__closure__ or ()), *(function.__defaults__ or ())]
    held += (function.__kwdefaults__ or {}).values()
    inside = (*inside, function)
    return f"{name}({','.join(text_of(value, writer, inside) or '~' for value in held)})"


def _held(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet: the function around goes on after the decorator
        return _EMPTY


def _is_one_of(value: Any, classes: Mapping[str, str]) -> bool:
    bases = type(value).__mro__
    return any(base.__name__ in classes.get(base.__module__.partition(".")[0], "").split() for base in bases)


def _check_same(name: tuple[str, ...], connections: list[Any]) -> None:
    """Refuse a second function of this name, and with this data, that has other connections: to another database."""
    before = _CONNECTED.setdefault(name, [_reference(each) for each in connections])
    if any(one() is not other for one, other in zip(before, connections, strict=True)):
        raise ConfigurationError(
            f"{name[0]} was decorated before with another {type(connections[0]).__name__} in its closure, and both "
            "would share their values: give a template that names what tells them apart"
        )


def _reference(connection: Any) -> Callable[[], Any]:
    try:
        return ref(connection)
    except TypeError:
        return lambda: connection
