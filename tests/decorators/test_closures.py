"""Two functions that answer differently never share a key without a template: the second has its own, or is refused."""

from __future__ import annotations

import importlib
import json
import math
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otcache import ConfigurationError, InMemoryCache, ValidationError, cached
from tests.decorators import factories as f
from tests.decorators.cases import foreign
from tests.rows import every

CACHE = InMemoryCache(name="closures")
plain: Any = cached(cache=CACHE)
Pool = foreign("asyncpg.pool", "Pool")


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


class Settings:
    tenant = "acme"


def exec_in(names: dict[str, Any], result: str) -> Callable[..., Any]:
    """A function whose code is in no file."""
    exec(f"async def read(row):\n    return {result!r}, row\n", names)
    return names["read"]  # type: ignore[no-any-return]


def local_class(name: str) -> type[f.Table]:
    class Local(f.Table):
        pass

    Local.name = name
    return Local


# --- which of them have keys of their own ---------------------------------------------------------------


@every(
    ("one", "other"),
    [
        (f.of_data("users"), f.of_data("orders")),
        (f.of_data(1), f.of_data("1")),
        (f.of_data(None), f.of_data("")),
        (f.of_data(("a", "b")), f.of_data(("a,b",))),
        (f.of_data("a:b"), f.of_data("a")),
        (f.of_data("code~math"), f.of_data(math)),
        (f.of_data({"a": 1}), f.of_data({"a": 2})),
        (f.of_default("users"), f.of_default("orders")),
        (f.of_function(f.users), f.of_function(f.orders)),
        (f.of_function(f.fetcher("users")), f.of_function(f.fetcher("orders"))),
        (f.of_function(f.fetcher_by_default("users")), f.of_function(f.fetcher_by_default("orders"))),
        (f.of_function(f.twice(f.users)), f.of_function(f.twice(f.orders))),
        (f.of_function(f.twice(f.users)), f.of_function(f.loudly(f.users))),
        (f.of_function(f.twice(f.loudly(f.users))), f.of_function(f.loudly(f.twice(f.users)))),
        (f.of_function(json.dumps), f.of_function(json.loads)),
        (f.of_function(math.sin), f.of_function(len)),
        (f.twice(f.users), f.loudly(f.users)),
        (f.twice(f.users), f.users),
        (f.of_class(f.Table), f.of_class(f.Users)),
        (f.of_module(math), f.of_module(json)),
        (f.of_self("users"), f.of_self("orders")),
        (f.with_logger("users"), f.with_logger("orders")),
        (f.of_data(InMemoryCache(name="a")), f.of_data(InMemoryCache(name="b"))),
    ],
)
async def test_functions_that_differ_in_what_they_hold_have_keys_of_their_own(one: Any, other: Any) -> None:
    assert plain(one).key(1) != plain(other).key(1)


def test_functions_that_hold_the_same_share_their_values() -> None:
    assert plain(f.of_data("users")).key(1) == plain(f.of_data("users")).key(1)
    assert plain(f.of_data("users")).key(1) == "tests.decorators.factories.of_data.<locals>.read:1:users"
    assert plain(f.with_logger("a")).key(1) == (
        "tests.decorators.factories.with_logger.<locals>.read:1:code~tests.decorators.factories.users:~:code~math:a"
    )


async def test_a_variable_counts_with_the_value_that_it_has_in_the_call() -> None:
    tenant = "acme"

    @cached(cache=CACHE)
    async def read(row: int) -> str:
        return f"{tenant} {row}"

    first = await read(1)
    tenant = "globex"

    assert [first, await read(1)] == ["acme 1", "globex 1"]


async def test_a_variable_that_is_not_there_yet_counts_as_soon_as_it_is() -> None:
    @cached(cache=CACHE)
    async def read(row: int) -> str:
        return f"{tenant} {row}"

    with pytest.raises(ValidationError, match="tenant can't be written into a key: ValueError"):
        read.key(1)
    tenant = "acme"
    first = await read(1)
    tenant = "globex"

    assert [first, await read(1)] == ["acme 1", "globex 1"]


async def test_a_function_may_call_itself() -> None:
    def factory(last: int) -> Any:
        @cached(cache=CACHE)
        async def factorial(number: int) -> Any:
            return number * await factorial(number - 1) if number else last

        return factorial

    assert [await factory(1)(5), await factory(2)(5)] == [120, 240]


async def test_a_variable_that_becomes_something_else_makes_calls_pass_by() -> None:
    tenant: Any = "acme"

    @cached(cache=CACHE)
    async def read(row: int) -> str:
        return f"{tenant} {row}"

    await read(1)
    tenant = Settings()
    answers = [await read(1)]
    tenant = 5

    assert [*answers, await read(1)][1] == "5 1"
    assert answers[0].startswith("<")


# --- which are refused ----------------------------------------------------------------------------------


@every(
    ("function", "message"),
    [
        (lambda row: row, "is a lambda, and any other lambda is called so too: give a template"),
        (exec_in({}, "a"), "is not in the file of a module that can be imported: give a template"),
        (exec_in({"__name__": __name__}, "a"), "is not in the file of a module"),
        (exec_in(vars(sys.modules[__name__]), "a"), "is not in the file of a module"),
        (exec_in({"__name__": "__main__"}, "a"), "__main__|not in the file"),
        (plain(f.users), "not a function with a name"),
        (len, "is a builtin_function_or_method, not a function with a name: give a template"),
        (f.of_context(), r"reads TENANT from the task: a ContextVar. Give a template .*ignore=\('TENANT',\)"),
        *((read, r"reads (TENANT|current) from the task: a ContextVar") for read in f.of_context_elsewhere()),
        (f.of_data(Settings()), r"reads value from the function around it: a Settings, which can't .*Give a template"),
        (f.of_data([Settings()]), "reads value from .*: a Settings, which can't be part of a key"),
        (f.of_data(ENDLESS), "reads value from .*: RecursionError. Give a template"),
        (f.of_data(f.TENANT), "reads value from .*: a ContextVar"),
        (f.of_data(InMemoryCache().get), "reads value from .*: a method"),
        (f.of_function(lambda row: row), "reads fetch from .*: .* is a lambda"),
        (f.of_function(f.fetcher(Settings())), "reads fetch from .*: a Settings"),  # type: ignore[arg-type]
        (f.of_function(f.fetcher_by_default(Settings())), "reads fetch from .*: a Settings"),  # type: ignore[arg-type]
        (f.of_function([].append), "reads fetch from .*: a builtin_function_or_method"),
        (f.of_function(f.twice(lambda row: row)), "reads fetch from .*: .* is a lambda"),
        (f.of_function(f.fetcher(Pool())), "reads fetch from .*: a Pool"),
        (f.of_class(local_class("a")), "reads table from .*: a type"),
    ],
)
def test_what_has_no_name_of_its_own_needs_a_template(function: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        plain(function)
    if not hasattr(function, "key"):
        assert cached("own:{row}", cache=CACHE)(f.users).key(1) == "own:1"


def test_a_second_function_of_one_name_is_refused() -> None:
    one, other = f.REDEFINED

    assert plain(one).key(1) == plain(one).key(1)
    with pytest.raises(ConfigurationError, match=r"has the name of another function \(line \d+ of .*factories.py\)"):
        plain(other)
    assert cached("other:{row}", cache=CACHE)(other).key(1) == "other:1"


def test_a_second_connection_of_one_function_is_refused() -> None:
    one, other = Pool(), Pool()

    assert plain(f.of_data(one)).key(1) == plain(f.of_data(one)).key(1)
    with pytest.raises(ConfigurationError, match="decorated before with another Pool in its closure"):
        plain(f.of_data(other))


def test_what_its_author_ignores_is_not_in_the_key() -> None:
    def of_settings(value: Any) -> Any:
        async def read(row: int) -> Any:
            return value.tenant, row

        return read

    assert cached(cache=CACHE, ignore=("value",))(of_settings(Settings())).key(1).endswith("read:1")
    assert cached(cache=CACHE, ignore=("TENANT",))(f.of_context()).key(1).endswith("read:1")
    with pytest.raises(ConfigurationError, match=r"ignores valu, and .*read has row, value; did you mean 'value'"):
        cached(cache=CACHE, ignore=("valu",))(f.of_data(1))


def test_one_function_ignores_the_same_wherever_it_is_decorated() -> None:
    async def read(row: int, lang: str) -> None: ...

    cached(cache=CACHE, ignore=("row",))(read)

    with pytest.raises(ConfigurationError, match="was decorated before, and then ignored something else: give a templ"):
        cached(cache=CACHE, ignore=("lang",))(read)


def test_a_template_may_name_what_the_closure_holds() -> None:
    assert cached("{value}:{row}", cache=CACHE)(f.of_data("users")).key(1) == "users:1"
    assert cached("{value.tenant}:{row}", cache=CACHE)(f.of_data(Settings())).key(1) == "acme:1"


# --- modules --------------------------------------------------------------------------------------------


Load = Callable[[str], types.ModuleType]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Writes a module of one function, and imports it; reloads it if it is there."""
    name = f"keys_{tmp_path.name}"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write_and_import(result: str) -> types.ModuleType:
        (tmp_path / f"{name}.py").write_text(f"async def read(row):\n    return {result!r}, row\n")
        importlib.invalidate_caches()
        return importlib.reload(sys.modules[name]) if name in sys.modules else importlib.import_module(name)

    yield write_and_import
    sys.modules.pop(name, None)


def test_a_module_that_is_reloaded_may_change_its_function(load: Load) -> None:
    one = load("one")

    assert plain(one.read).key(1) == plain(load("other").read).key(1) == f"{one.__name__}.read:int~1"


def test_another_module_of_the_same_name_is_refused(load: Load) -> None:
    plain(load("one").read)
    sys.modules.pop(next(name for name in sys.modules if name.startswith("keys_test_another")))

    with pytest.raises(ConfigurationError, match="has the name of another function"):
        plain(load("other").read)
