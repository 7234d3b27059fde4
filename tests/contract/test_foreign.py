"""Somebody's own cache, which implements the four documented methods and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from otcache import CacheInterface, Loaded, UnsupportedError, get_http_status_for_exception


class Shelf(CacheInterface):
    """A dictionary that notes the times to live."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Any, int | None]] = {}

    async def get(self, key: str) -> Any:
        return self.kept.get(key, (None, None))[0]

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        self.kept[key] = value, ttl

    async def delete(self, key: str) -> None:
        self.kept.pop(key, None)

    def register_callback(self, event: str, callback: Callable[..., Any]) -> None:
        raise NotImplementedError


async def one() -> int:
    return 1


async def test_it_loads_what_it_has_not_and_keeps_it() -> None:
    shelf = Shelf()

    values = [await shelf.get_or_set("k", one, 60, tags=["a"]), await shelf.get_or_set("k", lambda: 2, 60)]

    assert (values, shelf.kept) == ([1, 1], {"k": (1, 60)})


async def test_it_says_how_a_value_came() -> None:
    shelf = Shelf()

    answers = [await shelf.answer("k", one, 60), await shelf.answer("k", one)]

    assert [(answer.value, answer.status, answer.left) for answer in answers] == [(1, "loaded", 60), (1, "fresh", None)]


async def test_a_refresh_loads_anew() -> None:
    shelf = Shelf()
    await shelf.set("k", 0)

    assert await shelf.get_or_set("k", one, refresh=True) == 1
    assert shelf.kept["k"][0] == 1


@pytest.mark.parametrize(("loaded", "kept"), [(Loaded(1, ttl=5), {"k": (1, 5)}), (Loaded(1, store=False), {})])
async def test_a_loader_has_its_say(loaded: Loaded[int], kept: dict[str, Any]) -> None:
    shelf = Shelf()

    assert await shelf.get_or_set("k", lambda: loaded, 60) == 1
    assert shelf.kept == kept


async def test_a_misspelt_option_is_an_error() -> None:
    options: dict[str, Any] = {"stale_tll": 5}

    with pytest.raises(TypeError, match="stale_tll"):
        await Shelf().get_or_set("k", one, **options)


@pytest.mark.parametrize("method", ["invalidate_tag", "invalidate_prefix", "clear"])
async def test_what_it_can_t_do_is_said_by_name(method: str) -> None:
    arguments = () if method == "clear" else ("users",)

    with pytest.raises(UnsupportedError, match=f"Shelf has no {method}") as raised:
        await getattr(Shelf(), method)(*arguments)

    assert isinstance(raised.value, NotImplementedError)
    assert get_http_status_for_exception(raised.value) == 500
