"""Functions as people make them: by factories, wrappers, redefinition; each pair answers in two ways."""

from __future__ import annotations

import functools
import logging
import math
import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any

Function = Callable[..., Any]
TENANT: ContextVar[str] = ContextVar("TENANT")
this = sys.modules[__name__]
_log = logging.getLogger(__name__)


def of_data(value: Any) -> Function:
    """A function that returns what its closure holds."""

    async def read(row: int) -> Any:
        return value, row

    return read


def of_function(fetch: Any) -> Function:
    """A function that calls what its closure holds."""

    async def read(row: int) -> Any:
        return fetch(row)

    return read


def users(row: int) -> str:
    """A function with a name."""
    return f"user {row}"


def orders(row: int) -> str:
    """Another one."""
    return f"order {row}"


def fetcher(table: str) -> Function:
    """A factory of what another factory takes."""

    def fetch(row: int) -> str:
        return f"{table} {row}"

    return fetch


def fetcher_by_default(table: str) -> Function:
    """The same, with the data in a default."""

    def fetch(row: int, _table: str = table) -> str:
        return f"{_table} {row}"

    return fetch


def twice(function: Function) -> Function:
    """A decorator that calls itself like what it decorates."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return [function(*args, **kwargs)] * 2

    return wrapper


def loudly(function: Function) -> Function:
    """Another one."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return str(function(*args, **kwargs)).upper()

    return wrapper


class Table:
    """A class with a name."""

    name = "table"


class Users(Table):
    """A subclass."""

    name = "users"


def of_class(table: type[Table]) -> Function:
    """A function that reads an attribute of a class in its closure."""

    async def read(row: int) -> Any:
        return table.name, row

    return read


def of_module(module: ModuleType) -> Function:
    """A function that calls a module of its closure."""

    async def read(row: int) -> Any:
        return module.__name__, row

    return read


def of_self(name: str) -> Function:
    """A function that calls itself, and is not there yet when it is decorated."""

    async def read(row: int) -> Any:
        return (name, read.__name__, row)

    return read


def of_default(table: str) -> Function:
    """A function whose data are a default."""

    async def read(row: int, *, _table: str = table) -> Any:
        return _table, row

    return read


def with_logger(value: str) -> Function:
    """A function with a logger, a module and a function in its closure."""
    log, module, call = _log, math, users

    async def read(row: int) -> Any:
        log.debug("%s", module.pi)
        return call(row), value

    return read


def of_context() -> Function:
    """A function that reads a context variable."""

    async def read(row: int) -> Any:
        return TENANT.get(), row

    return read


class Tenancy:
    """A place for a context variable."""

    current = TENANT


def of_context_elsewhere() -> tuple[Function, ...]:
    """Functions that read a context variable of a module, of a class, of a class in a module, and an imported one."""

    async def by_module(row: int) -> Any:
        return this.TENANT.get(), row

    async def by_class(row: int) -> Any:
        return Tenancy.current.get(), row

    async def by_class_of_module(row: int) -> Any:
        return [this.Tenancy.current.get() for _ in range(row)]

    async def by_import(row: int) -> Any:
        from tests.decorators.factories import TENANT

        return TENANT.get(), row

    return by_module, by_class, by_class_of_module, by_import


def first() -> Function:
    """A function of which there are two."""

    def make() -> Function:
        async def read(row: int) -> Any:
            return "first", row

        return read

    return make()


def _redefined() -> tuple[Function, Function]:
    async def read(row: int) -> Any:
        return "one", row

    one = read

    async def read(row: int) -> Any:  # type: ignore[no-redef]
        return "other", row

    return one, read


REDEFINED = _redefined()
