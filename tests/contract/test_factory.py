"""What the factory promises of each of its methods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from otcache.ai import AIMemoryCache, AIResponseCache
from otcache.cache import Cache
from otcache.config import AICacheConfig, CacheConfig, EnvironmentPresets
from otcache.exceptions import ConfigurationError, InfrastructureError, ValidationError
from otcache.factory import AI, TESTING, WEB, CacheFactory, open_cache
from otcache.memory import InMemoryCache
from otcache.redis import GenericRedisCache
from otcache.telemetry.providers import Providers
from tests.rows import every
from tests.servers import RedisServer

METHODS = ("for_web_app", "for_ai_app", "for_testing")


@pytest.fixture
async def build() -> AsyncIterator[Callable[..., Any]]:
    """Call a factory method; what it builds is closed after the test."""
    built: list[Cache] = []

    async def call(method: str, *args: Any, **options: Any) -> Cache:
        cache = await getattr(CacheFactory(), method)(*args, **options)
        assert isinstance(cache, Cache)
        built.append(cache)
        return cache

    yield call
    for cache in built:
        await cache.close()


# --- what is built --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "built", "profile"),
    [
        ("for_web_app", GenericRedisCache, WEB),
        ("for_ai_app", AIResponseCache, AI),
        ("for_testing", GenericRedisCache, TESTING),
    ],
)
async def test_each_method_builds_its_profile_on_a_redis_that_answers(
    build: Callable[..., Any],
    server: RedisServer,
    prefix: str,
    method: str,
    built: type[Cache],
    profile: CacheConfig,
) -> None:
    cache = await build(method, server.url, key_prefix=prefix)
    await cache.set("key", {"a": 1})

    assert type(cache) is built
    assert cache.config == replace(profile, redis_url=server.url, key_prefix=prefix)
    assert await cache.get("key") == {"a": 1}
    assert server.command("EXISTS", f"{prefix}{profile.name}:key") == 1


@pytest.mark.parametrize(
    ("method", "built"), [("for_web_app", InMemoryCache), ("for_ai_app", AIMemoryCache), ("for_testing", InMemoryCache)]
)
async def test_without_redis_each_method_gives_a_working_memory_cache(
    build: Callable[..., Any], away_url: str, method: str, built: type[Cache]
) -> None:
    cache = await build(method, away_url)
    await cache.set("key", 1)

    assert type(cache) is built
    assert await cache.get("key") == 1
    assert await cache.ping() is False


async def test_the_fallback_of_an_ai_app_has_the_ai_methods(build: Callable[..., Any], away_url: str) -> None:
    cache = await build("for_ai_app", away_url)

    await cache.cache_response("a text", "summarize", {"n": 1}, {"summary": "short"})

    assert await cache.get_cached_response("a text", "summarize", {"n": 1}) == {"summary": "short"}


async def test_a_test_cache_in_memory_asks_nobody(build: Callable[..., Any], silent_url: str) -> None:
    cache = await build("for_testing", silent_url, use_memory_cache=True, fail_on_connection_error=True)
    await cache.set("key", 1)

    assert type(cache) is InMemoryCache
    assert cache.config.redis_url is None
    assert await cache.get("key") == 1


@pytest.mark.parametrize("method", METHODS)
async def test_every_other_option_and_providers_are_accepted(
    build: Callable[..., Any], away_url: str, method: str
) -> None:
    cache = await build(
        method, away_url, name="mine", max_connections=3, memory_cache_size=7, spans="off", providers=Providers()
    )

    options = cache.config
    assert (options.name, options.max_connections, options.memory_cache_size) == ("mine", 3, 7)
    assert cache.name == "mine"


async def test_memory_cache_size_stands_above_l1_cache_size(build: Callable[..., Any], away_url: str) -> None:
    cache = await build("for_ai_app", away_url, l1_cache_size=10, memory_cache_size=20)

    assert cache.config.memory_cache_size == 20


async def test_ai_options_are_accepted_by_name_and_as_a_whole(build: Callable[..., Any], away_url: str) -> None:
    named = await build("for_ai_app", away_url, operation_ttls={"qa": 5}, max_text_length=50)
    whole = await build("for_ai_app", away_url, ai_config=AICacheConfig(text_hash_threshold=9), max_text_length=50)
    default = await build("for_ai_app", away_url, ai_config=None)

    assert named.ai_config == AICacheConfig(text_hash_threshold=500, operation_ttls={"qa": 5}, max_text_length=50)
    assert whole.ai_config == AICacheConfig(text_hash_threshold=9, max_text_length=50)
    assert default.ai_config == AICacheConfig(text_hash_threshold=500)


# --- dictionaries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["development", "testing", "production", "ai_development", "ai_production"])
async def test_a_preset_comes_back_from_its_dictionary(
    build: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, away_url: str, preset: str
) -> None:
    monkeypatch.setenv("OTCACHE_REDIS_URL", away_url)
    config = getattr(EnvironmentPresets, preset)()

    cache = await build("create_cache_from_config", config.to_dict())

    assert cache.config == config
    assert isinstance(cache, AIMemoryCache) is preset.startswith("ai_")


@pytest.mark.parametrize(
    ("options", "ai"),
    [
        ({}, False),
        ({"l1_cache_size": 5}, False),
        ({"text_hash_threshold": 5}, True),
        ({"operation_ttls": {"qa": 5}}, True),
        ({"memory_cache_size": 5}, True),
        ({"memory_cache_size": 5, "l1_cache_size": 9}, True),
        ({"memory_cache_size": 5, "ai_config": None}, False),
        ({"ai_config": {"text_hash_threshold": 5}}, True),
    ],
)
async def test_the_keys_of_a_dictionary_select_the_cache(
    build: Callable[..., Any], options: dict[str, Any], ai: bool
) -> None:
    cache = await build("create_cache_from_config", {"redis_url": None, **options})

    assert type(cache) is (AIMemoryCache if ai else InMemoryCache)
    if "memory_cache_size" in options:
        assert cache.config.memory_cache_size == 5


async def test_a_dictionary_with_a_redis_builds_tiers(
    build: Callable[..., Any], redis_server: RedisServer, prefix: str
) -> None:
    common = {"redis_url": redis_server.url, "key_prefix": prefix}

    web = await build("create_cache_from_config", {**common, "compression_threshold": 2000})
    ai = await build("create_cache_from_config", {**common, "text_hash_threshold": 5})

    assert (type(web), web.config.compression_threshold) == (GenericRedisCache, 2000)
    assert (type(ai), ai.ai_config.text_hash_threshold) == (AIResponseCache, 5)


@pytest.mark.parametrize("config", [{}, {"default_ttl": 5}, None, "redis://host", [("redis_url", None)]])
async def test_a_dictionary_without_redis_url_is_refused(config: Any) -> None:
    with pytest.raises(ValidationError):
        await CacheFactory().create_cache_from_config(config)


@pytest.mark.parametrize(("said", "argument"), [(True, False), (False, True), (True, True)])
async def test_failing_can_be_asked_for_by_the_dictionary_or_the_argument(
    away_url: str, said: bool, argument: bool
) -> None:
    config = {"redis_url": away_url, "fail_on_connection_error": said}

    with pytest.raises(InfrastructureError):
        await CacheFactory().create_cache_from_config(config, argument)


# --- refusals -------------------------------------------------------------------------------------------


@every("method", METHODS)
@every(
    ("options", "name"),
    [
        ({"redis_url": ""}, "redis_url"),
        ({"redis_url": "http://host"}, "redis_url"),
        ({"redis_url": "redis://host:99999"}, "redis_url"),
        ({"redis_url": 6379}, "redis_url"),
        ({"default_ttl": -1}, "default_ttl"),
        ({"default_ttl": "60"}, "default_ttl"),
        ({"default_ttl": True}, "default_ttl"),
        ({"default_ttl": None}, "default_ttl"),
        ({"default_ttl": 31_536_001}, "default_ttl"),
        ({"enable_l1_cache": "yes"}, "enable_l1_cache"),
        ({"l1_cache_size": -1}, "memory_cache_size"),
        ({"compression_threshold": -1}, "compression_threshold"),
        ({"compression_level": 0}, "compression_level"),
        ({"compression_level": 10}, "compression_level"),
        ({"fail_on_connection_error": 1}, "fail_on_connection_error"),
        ({"name": "with space"}, "name"),
        ({"providers": object()}, "providers"),
        ({"compresion_level": 3}, "did you mean 'compression_level'"),
    ],
)
async def test_what_can_not_work_is_refused_by_name(method: str, options: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        await getattr(CacheFactory(), method)(**options)


@pytest.mark.parametrize(
    "options", [{"text_hash_threshold": -1}, {"operation_ttls": {"qa": -1}}, {"ai_config": 5}, {"hash_algoritm": "x"}]
)
async def test_ai_options_that_can_not_work_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"text_hash_threshold|operation_ttls|ai_config|hash_algorithm"):
        await CacheFactory().for_ai_app(**options)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as refused:
        CacheFactory()._validate_factory_inputs(
            redis_url="ftp://host", default_ttl=-1, l1_cache_size=-1, compression_level=12, colour="red"
        )

    message = str(refused.value)
    names = ("redis_url", "default_ttl", "memory_cache_size", "compression_level", "colour")
    assert [name for name in names if name not in message] == []
    assert len(refused.value.context["errors"]) == 5


def test_inputs_that_are_not_given_are_not_checked() -> None:
    CacheFactory()._validate_factory_inputs()
    CacheFactory()._validate_factory_inputs(redis_url="redis://host:6379", default_ttl=0, enable_l1_cache=True)


@pytest.mark.parametrize(
    "options",
    [
        {"fail_on_connection_error": True},
        {"redis_url": "unix:///tmp/s", "use_tls": True},
        {"redis_url": "unix:///tmp/s", "tls_cert_path": __file__},
        {"redis_url": "rediss://host", "tls_key_path": __file__},
    ],
)
def test_sound_values_that_contradict_each_other_are_a_configuration_error(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        CacheFactory()._validate_factory_inputs(**options)


async def test_a_contradiction_is_refused_wherever_the_configuration_comes_from() -> None:
    config = CacheConfig(fail_on_connection_error=True)

    with pytest.raises(ConfigurationError, match="redis_url"):
        await CacheFactory().create_cache_from_config(config.to_dict())
    with pytest.raises(ConfigurationError, match="redis_url"):
        await open_cache(config)


async def test_a_web_cache_with_ai_options_is_sent_to_the_other_method() -> None:
    with pytest.raises(ConfigurationError, match="for_ai_app"):
        await CacheFactory().for_web_app(text_hash_threshold=5)


# --- failing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
async def test_a_redis_that_refuses_is_an_error_if_asked_for_and_names_no_secret(away_url: str, method: str) -> None:
    with pytest.raises(InfrastructureError) as raised:
        await getattr(CacheFactory(), method)(away_url, fail_on_connection_error=True, redis_password="swordfish")

    error = raised.value
    assert error.context["redis_url"] == away_url.replace("hunter2", "***")
    assert error.context["error"]
    assert not [secret for secret in ("hunter2", "swordfish") if secret in f"{error} {error.context}"]


async def test_a_redis_that_hangs_costs_its_timeout(silent_url: str) -> None:
    started = asyncio.get_running_loop().time()
    with pytest.raises(InfrastructureError, match=r"0\.1 s"):
        await CacheFactory().for_web_app(silent_url, fail_on_connection_error=True, timeout=0.1)

    assert asyncio.get_running_loop().time() - started < 1.0


async def test_a_wrong_password_is_a_failed_connection(start: Callable[[RedisServer], RedisServer]) -> None:
    server = start(RedisServer("valkey", password="right"))

    with pytest.raises(InfrastructureError) as raised:
        await CacheFactory().for_web_app(server.url, redis_password="wrong-one", fail_on_connection_error=True)

    assert "wrong-one" not in f"{raised.value} {raised.value.context}"


async def test_a_failed_build_leaves_nothing_running(away_url: str) -> None:
    with pytest.raises(InfrastructureError):
        await CacheFactory().for_web_app(away_url, fail_on_connection_error=True)

    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancelled_build_leaves_nothing_running(silent_url: str) -> None:
    building = asyncio.ensure_future(CacheFactory().for_web_app(silent_url, timeout=10.0))
    await asyncio.sleep(0.05)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building

    assert asyncio.all_tasks() == {asyncio.current_task()}
