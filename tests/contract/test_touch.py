"""`touch` of every format in every store: what was read, checked and still stands gets a new time, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from otcache import CacheConfig, GenericRedisCache
from otcache._serialization.serializer import Decoded, Place, Serializer
from otcache.config.url import SCHEMES
from otcache.stores import Backend, ByteStore, register_store
from otcache.stores.redis.store import RedisStore
from otcache.stores.redis.target import resolve_target
from tests.conftest import Place as Server
from tests.servers import RedisServer
from tests.stores.directory_store import DirectoryStore
from tests.telemetry.scenario import PATIENT

Make = Callable[..., GenericRedisCache]
SEALS: Final[dict[str, dict[str, Any]]] = {
    "checksum": {},
    "signed": {"signing_secret": "s" * 32},
    "encrypted": {"encryption_keys": "00" * 32},
    "both": {"signing_secret": "s" * 32, "encryption_keys": "00" * 32},
    "rotated": {"signing_secret": ("n" * 32, "s" * 32), "encryption_keys": ("11" * 32, "00" * 32)},
}
PATIENCE_MS: Final = 5000
"""How far the clocks of a busy machine may be read apart."""
VALUES: Final[dict[str, Any]] = {"plain": {"a": [1]}, "tagged": (1, {2}, b"x"), "zlib": "again and " * 500}


class Pickled:
    """A class of the application's own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pickled) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def values_of(seal: str) -> dict[str, Any]:
    return VALUES | ({"pickle": Pickled("Ada")} if "signing_secret" in SEALS[seal] else {})


@pytest.fixture
async def make(prefix: str) -> AsyncIterator[Make]:
    """Makes caches under this test's prefix, without L1; closed after it."""
    caches: list[GenericRedisCache] = []

    def build(**options: Any) -> GenericRedisCache:
        usual: dict[str, Any] = {"key_prefix": prefix, "timeout": PATIENT, "enable_l1_cache": False}
        caches.append(GenericRedisCache(**(usual | options)))
        return caches[-1]

    yield build
    for cache in caches:
        await cache.close()


def header(cache: GenericRedisCache, payload: bytes | None, key: str) -> Decoded:
    """What stands before the value of a payload."""
    config = cache.config
    place = Place(f"{config.key_prefix}{config.name}:", config.name)
    secrets: dict[str, Any] = {"signing_secret": config.signing_secret, "encryption_keys": config.encryption_keys}
    assert payload is not None
    return Serializer(threshold=0, level=1, place=place, **secrets).inspect(payload, key=key)


async def touches_everything(make: Make, seal: str, open_store: Callable[[str], ByteStore], **where: Any) -> None:
    """Each kind of value lives on after its first time is over, with one end in the payload and in the store."""
    writer, reader = (make(name=seal, **SEALS[seal], **where) for _ in range(2))
    store, values = open_store(f"{writer.config.key_prefix}{seal}:"), values_of(seal)
    for key, value in values.items():
        await writer.set(key, value, ttl=1)
    await writer.get_or_set("loaded", lambda: [7], ttl=1, stale_ttl=1)

    assert [await writer.touch(key, 600) for key in (*values, "loaded")] == [True] * (len(values) + 1)

    for key in (*values, "loaded"):
        seen, left = header(writer, await store.read(key), key), await store.left_ms(key) or 0
        soft = seen.facts.soft_expires_at_ms if seen.facts is not None else None
        assert 590_000 < left <= 600_000
        assert seen.expires_at_ms - store.clock.now_ms() == pytest.approx(left, abs=PATIENCE_MS)
        assert soft == (seen.expires_at_ms if key == "loaded" else None)
    await asyncio.sleep(1.1)
    assert await reader.get_many(values) == values
    assert await reader.get_or_set("loaded", lambda: [8]) == [7]
    await store.close()


async def test_every_format_in_every_redis(make: Make, place: Server) -> None:
    where = {"redis_url": place.url, **place.options}

    await asyncio.gather(*(touches_everything(make, seal, place.store, **where) for seal in SEALS))


async def test_every_format_in_a_store_of_somebody_else(make: Make, tmp_path: Path) -> None:
    register_store("dir", "tests.stores.directory_store:open_directory")
    url = f"dir://{tmp_path}"

    await asyncio.gather(
        *(touches_everything(make, seal, lambda name: DirectoryStore(tmp_path, name), redis_url=url) for seal in SEALS)
    )

    del SCHEMES["dir"]


async def test_who_rotates_touches_what_the_old_secret_wrote(make: Make, redis_server: RedisServer) -> None:
    old, new = (make(redis_url=redis_server.url, **SEALS[seal]) for seal in ("both", "rotated"))
    await old.set("k", Pickled("Ada"), ttl=60)

    assert await new.touch("k", 600)

    assert await new.get("k") == Pickled("Ada")
    assert await old.get("k") is None, "it is sealed by the new secret now"


# --- between the read and the write ----------------------------------------------------------------------


class RacedStore(RedisStore):
    """A Redis, and somebody who acts between `touch`'s reading and its writing."""

    between: list[Callable[[], Awaitable[Any]]]

    async def replace(self, *given: Any) -> bool:
        if self.between:
            await self.between.pop(0)()
        return await super().replace(*given)


Raced = tuple[GenericRedisCache, GenericRedisCache, list[Callable[[], Awaitable[Any]]]]


@pytest.fixture(params=SEALS)
def raced(request: pytest.FixtureRequest, make: Make, redis_server: RedisServer) -> Iterator[Raced]:
    """A cache of each seal, another process, and what that does between the read and the write of `touch`."""
    between: list[Callable[[], Awaitable[Any]]] = []

    def open_raced(config: CacheConfig, prefix: str) -> Backend:
        url = (config.redis_url or "").replace("raced", "redis")
        store = RacedStore(resolve_target(url, config), prefix)
        store.between = between
        return store.backend

    register_store("raced", open_raced)
    options = SEALS[request.param] | {"redis_url": redis_server.url}
    yield make(**options | {"redis_url": redis_server.url.replace("redis", "raced", 1)}), make(**options), between
    del SCHEMES["raced"]


async def test_a_newer_value_is_not_overwritten_and_gets_the_time(raced: Raced) -> None:
    cache, other, between = raced
    await cache.set("k", "old", ttl=60)
    between.append(lambda: other.set("k", "new", ttl=60))

    assert await cache.touch("k", 600)

    assert await other.get("k") == "new"
    assert 590 < (await other.get_ttl("k") or 0) <= 600


async def test_after_one_retry_it_is_left_alone(raced: Raced) -> None:
    cache, other, between = raced
    await cache.set("k", "old", ttl=60)
    between.extend([lambda: other.set("k", "newer", ttl=60), lambda: other.set("k", "newest", ttl=60)])

    assert not await cache.touch("k", 600)

    assert await other.get("k") == "newest"
    assert (await other.get_ttl("k") or 0) <= 60


@pytest.mark.parametrize("how", ["delete", "purge", "clear"])
async def test_what_is_removed_is_not_revived(raced: Raced, how: str) -> None:
    cache, other, between = raced
    await cache.set("k", "old", ttl=60)
    between.append(lambda: other.delete("k") if how == "delete" else getattr(other, how)())

    await cache.touch("k", 600)

    assert await other.get("k") is None
    assert await cache.get("k") is None


async def test_a_value_loaded_meanwhile_is_not_lost(raced: Raced) -> None:
    cache, other, between = raced
    await cache.set("k", "old", ttl=60)
    between.append(lambda: other.get_or_set("k", lambda: "loaded", ttl=60, refresh=True))

    assert await cache.touch("k", 600)

    assert await other.get("k") == "loaded"


async def test_of_many_who_touch_at_once_the_value_stays(raced: Raced) -> None:
    cache, other, _ = raced
    await cache.set("k", "value", ttl=60)

    touched = await asyncio.gather(*(each.touch("k", 600) for each in (cache, other) for _ in range(5)))

    assert True in touched
    assert await other.get("k") == "value"
    assert 590 < (await other.get_ttl("k") or 0) <= 600


# --- what is no entry of ours any more -------------------------------------------------------------------


@pytest.mark.parametrize("seal", SEALS)
async def test_what_is_over_invalid_damaged_or_foreign_gets_no_new_time(
    make: Make, redis_server: RedisServer, prefix: str, seal: str
) -> None:
    cache, name = make(redis_url=redis_server.url, **SEALS[seal]), f"{prefix}default:k".encode()
    await cache.set("k", "value", ttl=60, tags=["t"])
    whole: bytes = redis_server.command("GET", name)
    await cache.set("k", "value", ttl=1)
    over: bytes = redis_server.command("GET", name)
    await cache.invalidate_tag("t")
    await asyncio.sleep(1.1)

    for what in (whole, over, whole[:-1], whole + b"x", b"text", b"", bytes([0xCA, 1]) + whole[2:]):
        redis_server.command("SET", name, what, "PX", 60_000)
        assert await cache.touch("k", 600) is False
        assert redis_server.command("GET", name) == what
        assert redis_server.command("PTTL", name) <= 60_000
        assert await cache.get("k") is None


@pytest.mark.parametrize("seal", SEALS)
async def test_what_may_only_be_served_stale_is_not_made_fresh(
    make: Make, redis_server: RedisServer, seal: str
) -> None:
    cache = make(redis_url=redis_server.url, **SEALS[seal])
    await cache.get_or_set("k", lambda: "old", ttl=1, stale_ttl=60)
    await asyncio.sleep(1.1)

    assert await cache.touch("k", 600) is False

    assert await cache.get("k") is None
