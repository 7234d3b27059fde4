"""Announcements: who else has a cache of this name, and whether processes that share one are set alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otcache import CacheConfig, GenericRedisCache
from otcache._engine import neighbours
from otcache._engine.neighbours import Neighbour, Neighbours, parse
from otcache.dependencies import get_cache_health_status
from otcache.stores.base import Lost, Receive
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.privacy import KeyPrivacy
from otcache.telemetry._instrumentation.probe import Probe
from otcache.testing import Capture, capture_telemetry
from tests.conftest import Place
from tests.servers import RedisServer
from tests.telemetry.scenario import until

SECRET = "a secret of at least sixteen"
OTHER_SECRET = "another one of sixteen and more"
Make = Callable[..., Any]


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    with capture_telemetry() as captured:
        yield captured
        captured.assert_schema()


@pytest.fixture
async def make(telemetry: Capture, prefix: str, redis_server: RedisServer) -> AsyncIterator[Make]:
    """Connects caches whose names no other test has; closed after the test."""
    caches: list[GenericRedisCache] = []

    async def build(**options: Any) -> GenericRedisCache:
        usual: dict[str, Any] = {
            "redis_url": redis_server.url,
            "key_prefix": prefix,
            "name": prefix[:9],
            "timeout": 20.0,
        }
        caches.append(GenericRedisCache(providers=telemetry.providers, **(usual | options)))
        await caches[-1].connect()
        return caches[-1]

    yield build
    for cache in caches:
        await cache.close()


def told(telemetry: Capture, event: Any) -> list[dict[str, Any]]:
    return [dict(each.attributes) for each in telemetry.events if each.name == event.name]


def known(cache: GenericRedisCache) -> Neighbours:
    assert cache.neighbours is not None
    return cache.neighbours


# --- another namespace ----------------------------------------------------------------------------------------


async def test_a_cache_that_sees_its_name_in_another_namespace_says_so_once(make: Make, telemetry: Capture) -> None:
    billing = await make(namespace="billing")
    blog = await make(namespace="blog")
    await until(lambda: bool(known(billing).notes and known(blog).notes))
    later = await make(namespace="blog")
    await until(lambda: bool(known(later).notes))
    health = await get_cache_health_status(blog)

    found = told(telemetry, catalog.NEIGHBOUR_FOUND)
    assert sorted(each[catalog.NAMESPACE.name] for each in found) == ["billing", "billing", "blog"]
    assert health["status"] == "healthy"
    assert "'billing'" in health["notes"][0]
    assert "OTCACHE_NAMESPACE" in health["notes"][0]
    assert len(health["notes"]) == 1


@pytest.mark.parametrize(
    "other", [{}, {"name": "other"}, {"key_prefix": "elsewhere:"}, {"name": "x", "namespace": "b"}, {"redis_url": "/3"}]
)
async def test_nobody_is_told_of_those_who_share_or_have_nothing_in_common(
    make: Make, telemetry: Capture, redis_server: RedisServer, other: dict[str, Any]
) -> None:
    one = await make(max_staleness=0.2)
    if "redis_url" in other:
        other = {"redis_url": redis_server.url.removesuffix("/0") + "/3", "namespace": "b"}
    two = await make(max_staleness=0.2, **other)
    await asyncio.sleep(0.3)  # several heartbeats

    assert known(one).notes == known(two).notes == []
    assert "notes" not in await get_cache_health_status(one)
    assert told(telemetry, catalog.NEIGHBOUR_FOUND) == told(telemetry, catalog.OPTIONS_DISAGREE) == []


# --- options that must agree ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "option"),
    [
        ({}, {"coherence": False}, "coherence"),
        ({}, {"compression": "zstd"}, "codec"),
        ({}, {"signing_secret": SECRET}, "signing"),
        ({}, {"encryption_keys": "00" * 16}, "encryption"),
        ({"signing_secret": SECRET}, {"signing_secret": OTHER_SECRET}, "signing"),
        ({"namespace": "shop"}, {"namespace": "shop", "key_prefix": "elsewhere:"}, "key_prefix"),
    ],
)
async def test_options_that_do_not_agree_are_an_event_a_metric_and_degraded_health(
    make: Make, telemetry: Capture, ours: dict[str, Any], theirs: dict[str, Any], option: str
) -> None:
    cache = await make(**ours)
    metric = {catalog.DISAGREEMENT.name: option, catalog.CACHE.name: cache.name}
    before = telemetry.metric_value(catalog.DISAGREEMENTS.name, **metric)

    await make(**theirs)
    await until(lambda: known(cache).disagreements == {option})
    health = await get_cache_health_status(cache)

    assert before == 0
    assert telemetry.metric_value(catalog.DISAGREEMENTS.name, **metric) >= 1
    assert {each[catalog.DISAGREEMENT.name] for each in told(telemetry, catalog.OPTIONS_DISAGREE)} == {option}
    assert health["status"] == "degraded"
    assert option in health["notes"][0]
    assert not [secret for secret in (SECRET, OTHER_SECRET) if secret in str(health)]


async def test_who_comes_later_learns_it_too(make: Make) -> None:
    await make(signing_secret=SECRET)
    later = await make()

    await until(lambda: known(later).disagreements == {"signing"})


async def test_another_wire_version_is_a_disagreement(make: Make, redis_server: RedisServer, prefix: str) -> None:
    cache = await make()
    config = CacheConfig(key_prefix=prefix, name=cache.name)
    next_version = Neighbour.of(config)._replace(wire_version=250)

    redis_server.command("PUBLISH", "otcache:neighbours@0", next_version.announcement(asks=True))

    await until(lambda: known(cache).disagreements == {"wire_version"})


async def test_a_neighbour_that_has_ended_or_changed_is_forgotten(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "REPEAT", 0)  # then it is a heartbeat
    cache = await make(max_staleness=0.4)
    other = await make(max_staleness=0.4, signing_secret=SECRET)
    await until(lambda: known(cache).disagreements == {"signing"})
    await asyncio.sleep(1.0)
    assert known(cache).disagreements == {"signing"}, "repeated while it is there"

    await other.close()

    await until(lambda: not known(cache).disagreements)
    assert (await get_cache_health_status(cache))["status"] == "healthy"


@given(st.lists(st.sampled_from("abcd"), max_size=3, unique=True), st.lists(st.sampled_from("abcd"), max_size=3))
def test_secrets_agree_if_each_knows_what_the_other_signs_with(ours: list[str], theirs: list[str]) -> None:
    own = Neighbour("web", "", "otcache:", 1, True, "zlib", tuple(ours), ())
    other = own._replace(signing=tuple(theirs))
    readable = (not ours or ours[0] in theirs) and (not theirs or theirs[0] in ours)

    assert (list(own.differences(other)) == []) == readable
    assert list(other.differences(own)) == list(own.differences(other))


# --- where the server does not allow it, and every kind of server -----------------------------------------------


async def test_without_the_permission_everything_works_and_it_is_told_once(
    make: Make, private_server: RedisServer, telemetry: Capture, prefix: str
) -> None:
    rights = ("on", ">word", "~*", "resetchannels", f"&{prefix}*", "+@all")
    private_server.command("ACL", "SETUSER", "apart", *rights)
    url = private_server.url.replace("://", "://apart:word@")
    cache, other = await make(redis_url=url, max_staleness=0.4), await make(redis_url=url, namespace="blog")

    await cache.set("k", 1)
    await asyncio.sleep(0.4)

    there = {catalog.COMPONENT.name: "backplane", catalog.COMPONENT_STATE.name: "available"}
    assert telemetry.metric_value(catalog.COMPONENT_STATUS.name, **there) == 2
    assert await cache.get("k") == 1
    assert known(cache).notes == known(other).notes == []
    assert len(told(telemetry, catalog.NEIGHBOURS_UNKNOWN)) == 2, "one for each cache"


async def test_every_kind_of_server_carries_them(place: Place, make: Make) -> None:
    options = {"redis_url": place.url, "timeout": 20.0, **place.options}
    one, other = await make(namespace="a", **options), await make(namespace="b", **options)

    await until(lambda: bool(known(one).notes and known(other).notes))


# --- what arrives may come from anybody -------------------------------------------------------------------------


class Silent:
    """A channel on which nobody is heard but the test."""

    def overhear(self, receive: Receive, refused: Lost) -> None:
        self.receive, self.refused = receive, refused

    async def announce(self, payload: bytes) -> None:
        self.told = payload


def alone(telemetry: Capture) -> Neighbours:
    probe = Probe("web", "redis", KeyPrivacy("hash", None), telemetry.providers, "off", "0")
    own = Neighbour.of(CacheConfig(name="web", signing_secret=SECRET))
    return Neighbours(own, Silent(), probe, pause=0.5, hears=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2**64 - 1) | st.text(max_size=9) | st.sampled_from(["web", "x" * 2000]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(Neighbour._fields), inner, max_size=7),
)  # fmt: skip
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
NEIGHBOURS = st.builds(
    Neighbour,
    name=TEXT,
    namespace=st.text("ab_.%~-", max_size=9),
    key_prefix=TEXT,
    wire_version=st.integers(0, 255),
    coherence=st.booleans(),
    codec=TEXT,
    signing=st.lists(TEXT, max_size=3).map(tuple),
    encryption=st.lists(TEXT, max_size=3).map(tuple),
)
FIELDS = st.fixed_dictionaries(dict.fromkeys((*Neighbour._fields, "asks"), JSON))


@given(st.one_of(st.binary(max_size=200), JSON.map(orjson.dumps), FIELDS.map(orjson.dumps)))
def test_whatever_arrives_is_taken_or_left_and_never_raises(payload: bytes) -> None:
    with capture_telemetry() as telemetry:
        alone(telemetry).hear(payload)


@given(NEIGHBOURS, st.booleans())
def test_what_is_announced_is_what_arrives(neighbour: Neighbour, asks: bool) -> None:
    assert parse(neighbour.announcement(asks=asks)) == (neighbour, asks)


@pytest.mark.parametrize("shape", [b"[" * 10**7, b'"' + b"x" * 10**7, b"{" + b'"name":"web",' * 10**6])
def test_what_is_too_long_is_not_even_parsed(shape: bytes, telemetry: Capture) -> None:
    with pytest.raises(ValueError, match="no announcement"):
        parse(shape)
    alone(telemetry).hear(shape)


def test_a_flood_of_names_is_remembered_and_told_in_bounds(telemetry: Capture) -> None:
    crowd = alone(telemetry)
    own = Neighbour.of(CacheConfig(name="web"))

    for number in range(5000):
        crowd.hear(own._replace(namespace=f"n{number}").announcement(asks=True))
    for number in range(5000):
        crowd.hear(own._replace(codec=f"{number}" * 500).announcement(asks=False))

    assert len(crowd._known) <= 2 * neighbours.REMEMBERED
    assert crowd.disagreements
    assert len(telemetry.events) <= 2 * neighbours.REMEMBERED
    assert len(str(crowd.notes)) < 500 * len(crowd.notes)
    assert told(telemetry, catalog.OPTIONS_DISAGREE), "not drowned by names"


def test_an_announcement_holds_no_secret() -> None:
    said = Neighbour.of(CacheConfig(signing_secret=SECRET, redis_password="hidden")).announcement(asks=True)

    assert SECRET.encode() not in said
    assert b"hidden" not in said
    assert len(said) <= neighbours.MAX_BYTES


@given(st.text(st.characters(exclude_categories=["Cs", "Z"]), min_size=1, max_size=256), st.text(max_size=400))
def test_ones_own_words_are_never_too_long_for_others(key_prefix: str, namespace: str) -> None:
    neighbour = Neighbour.of(CacheConfig(key_prefix=key_prefix, namespace=namespace))

    assert parse(neighbour.announcement(asks=True)) == (neighbour, True)
