"""docs/cached.md quotes each refusal as it is printed."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from otcache import ConfigurationError, InMemoryCache, cached
from tests.decorators.cases import foreign

PAGE: Final = Path(__file__).parents[2] / "docs" / "cached.md"
CACHE: Final = InMemoryCache(name="documented")
APP: Final = """\
from contextvars import ContextVar
from starlette.requests import Request
from fastapi import Depends

tenant = ContextVar("tenant")
anonymous = lambda day: day

class Settings: ...

class Repo:
    def orders(self, day): ...

def unnamed():
    def orders(day, lang): ...
    return orders

def requested():
    def orders(request: Request): ...
    return orders

def injected():
    def orders(user=Depends(print)): ...
    return orders

def second():
    def orders(day): ...
    first = orders
    def orders(day): return 1
    return first, orders

def held(settings):
    def orders(day): return settings
    return orders

def task():
    def orders(day): return tenant.get()
    return orders
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of functions to refuse."""
    (tmp_path / "app.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "app", raising=False)
    importlib.invalidate_caches()
    yield importlib.import_module("app")
    sys.modules.pop("app", None)


def refusal(template: str | None, function: Callable[..., Any], **options: Any) -> str:
    """What is printed; the factory that a function comes from is left out, as on the page."""
    decorate: Any = cached(template, cache=CACHE, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError) as refused:
        decorate(function)
    return re.sub(r"\w+\.<locals>\.(?=orders)", "", refused.value.message)


def refusals(app: Any) -> list[str]:
    """One of each kind, in the order of the table."""
    one, other = app.second()
    connection = foreign("asyncpg.connection", "Connection")
    held = app.held(connection())
    cached(cache=CACHE)(one)
    cached(cache=CACHE)(held)
    return [
        refusal("orders:{day}", app.Repo.orders),
        refusal("orders:{day}", app.unnamed()),
        refusal(None, app.Repo.orders),
        refusal(None, app.requested()),
        refusal(None, app.injected()),
        refusal("orders:{request}", app.requested()),
        refusal(None, app.anonymous),
        refusal(None, other),
        refusal(None, one, ignore=("day",)),
        refusal(None, len).replace("len", "orders", 1),
        refusal(None, app.held(app.Settings())),
        refusal(None, app.task()),
        refusal(None, app.held(connection())),
        refusal("x", [].append).replace("list.append", "append"),
    ]


def test_a_refusal_is_what_the_page_says(app: Any) -> None:
    page = PAGE.read_text()
    for message in refusals(app):
        shown = re.sub(r"line \d+ of [^)]+", "line 7 of app.py", message)
        short = shown.partition('@cached("a-name')[0]
        assert shown in page or f"{short}..." in page, shown
