"""A value comes back as it went in, or is refused; what can't be kept never fails a load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, NewType, TypeVar

import pytest
from fastapi import Depends
from pydantic import BaseModel
from typing_extensions import TypeAliasType

from otcache import CacheInterface, GenericRedisCache, cached, get_cache_service
from otcache.exceptions import ConfigurationError, ValidationError
from tests.cases.applications import application, asking
from tests.cases.conftest import Make
from tests.cases.expected import outcome

# --- models ---------------------------------------------------------------------------------------------


class Patch(BaseModel):
    name: str | None = None
    email: str | None = None


# BerriAI/litellm #32207, pydantic/pydantic #10574, #11312
async def test_a_model_keeps_which_fields_were_set_or_is_refused(make: Make) -> None:
    here, there = make(), make()
    try:
        await here.set("patch", Patch(name="Ada"), type=Patch)
    except (ConfigurationError, ValidationError):
        return

    back = await there.get("patch", type=Patch)

    assert back.model_dump(exclude_unset=True) == {"name": "Ada"}


# --- return types that are another's name -----------------------------------------------------------------

T = TypeVar("T")


@dataclass
class User:
    name: str


@dataclass
class Page(Generic[T]):
    items: list[T]


Users = TypeAliasType("Users", list[User])
Admin = NewType("Admin", User)


async def users(number: int) -> Users:
    return [User("Ada")]


async def admin(number: int) -> Admin:
    return Admin(User("Ada"))


async def page(number: int) -> Page[int]:
    return Page([number])


# long2ice/fastapi-cache #131, #236
@pytest.mark.parametrize("function", [users, admin, page], ids=["alias", "new type", "generic dataclass"])
async def test_a_return_type_may_be_an_alias(cache: GenericRedisCache, function: Callable[[int], Any]) -> None:
    kept = cached("by:{number}", cache=cache)(function)

    assert [await outcome(kept(1)), await outcome(kept(1))] == [await function(1)] * 2


# --- what can't be kept ---------------------------------------------------------------------------------


class Handle:
    """Of no type that values may have."""

    number = 7


async def test_a_load_gives_its_value_though_it_cannot_be_kept(cache: GenericRedisCache) -> None:
    handle = Handle()

    async def load() -> Handle:
        return handle

    assert await outcome(cache.get_or_set("handle", load, ttl=5)) is handle


async def keep(cache: Annotated[CacheInterface, Depends(get_cache_service)]) -> None:
    await cache.set("handle", Handle())


def test_a_client_learns_nothing_of_our_classes() -> None:
    app = application()
    app.get("/keep")(keep)

    with asking(app) as client:
        answer = client.get("/keep")

    assert answer.status_code == 422
    assert "Handle" not in answer.text
