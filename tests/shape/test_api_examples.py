"""Every example of docs/api-reference.md runs as it is written, against a real Redis.

The only thing that is adapted is what a host name stands for: the document's hosts are the test's server.
"""

from __future__ import annotations

import ast
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import fastapi
import httpx
import pytest

import otcache
from otcache import CacheFactory, CacheInterface, InMemoryCache
from otcache.dependencies import cache_lifespan, get_settings
from tests.servers import RedisServer
from tests.shape import document

Run = Callable[..., Awaitable["Scope"]]


class Scope(dict[str, Any]):
    """The variables of an example; remembers each cache that any of them ever held."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.caches: list[Any] = [value for value in given.values() if isinstance(value, CacheInterface)]

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        if isinstance(value, CacheInterface):
            self.caches.append(value)


@pytest.fixture
async def run(hosts: dict[str, int]) -> AsyncIterator[Run]:
    """Run the example under a heading; `given` are the names that it leaves open."""
    scopes: list[Scope] = []

    async def run(heading: str, **given: Any) -> Scope:
        (block,) = (block for block in document.of_kind("example") if block.headings[-1] == heading)
        scopes.append(scope := Scope(given))
        code = compile(document.translated(block.code), heading, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        running = eval(code, scope)
        if running is not None:
            await running
        return scope

    yield run
    for cache in {id(cache): cache for scope in scopes for cache in scope.caches}.values():
        await cache.close()


# --- the document's hosts -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain_server() -> Iterator[RedisServer]:
    server = RedisServer("valkey").start()
    yield server
    server.stop()


@pytest.fixture
def hosts(plain_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Port 6379 of any host leads to the test's server; of a host in this dictionary, to another port."""
    resolve, others = socket.getaddrinfo, dict[str, int]()

    def resolve_here(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if str(port) == "6379":
            host, port = "127.0.0.1", others.get(host, plain_server.port)
        return resolve(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)
    return others


def is_on_redis(cache: CacheInterface) -> bool:
    return isinstance(cache, otcache.GenericRedisCache)


# --- a test for each example ------------------------------------------------------------------------


def test_every_example_has_a_test() -> None:
    headings = [block.headings[-1] for block in document.of_kind("example")]

    names = {"test_" + "_".join(re.findall(r"\w+", heading.lower())) for heading in headings}

    assert len(headings) == len(names) == 17
    assert names <= globals().keys()


async def test_constructor(run: Run) -> None:
    scope = await run("Constructor", CacheFactory=CacheFactory)

    assert isinstance(scope["factory"], CacheFactory)


async def test_for_web_app(run: Run) -> None:
    scope = await run("for_web_app()", factory=CacheFactory())

    assert [is_on_redis(cache) for cache in scope.caches] == [True, True]
    assert [cache.config.default_ttl for cache in scope.caches] == [1800, 3600]


async def test_for_ai_app(run: Run) -> None:
    scope = await run("for_ai_app()", factory=CacheFactory())

    assert [type(cache) for cache in scope.caches] == [otcache.AIResponseCache] * 2
    assert scope["cache"].config.ai_config.operation_ttls["translate"] == 7200


async def test_for_testing(run: Run) -> None:
    scope = await run("for_testing()", factory=CacheFactory())

    assert [type(cache) for cache in scope.caches] == [otcache.GenericRedisCache, InMemoryCache]


async def test_create_cache_from_config(run: Run) -> None:
    scope = await run("create_cache_from_config()", factory=CacheFactory())

    assert is_on_redis(scope["cache"])
    assert scope["cache"].config.compression_threshold == 2000


async def test_validate(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    scope = await run("validate()", CacheConfig=otcache.CacheConfig)

    assert scope["result"].is_valid
    assert capsys.readouterr().out == ""


async def test_save_to_file(run: Run) -> None:
    scope = await run("save_to_file()", CacheConfigBuilder=otcache.CacheConfigBuilder)

    config = scope["config"]
    assert (config.redis_url, config.compression_threshold) == ("redis://prod:6379", 2000)
    assert (config.environment, config.ai_config.text_hash_threshold) == ("production", 1500)


async def test_register_callback(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    cache = InMemoryCache()

    await run("register_callback()", cache=cache, Any=Any)
    await cache.get("k")
    await cache.set("k", 1)
    await cache.get("k")

    assert capsys.readouterr().out == "Cache miss for key: k\nCache hit for key: k\n"


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[fastapi.FastAPI, httpx.AsyncClient]]:
    """An application configured by the environment, and a client of it."""
    monkeypatch.setenv("OTCACHE_REDIS_URL", "redis://localhost:6379")
    get_settings.cache_clear()
    app = fastapi.FastAPI()
    transport = httpx.ASGITransport(app)
    async with cache_lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield app, client
    get_settings.cache_clear()


async def test_get_cache_service(run: Run, client: Any) -> None:
    app, http = client
    names = {name: getattr(otcache, name) for name in ("CacheInterface", "get_cache_service")}

    await run("get_cache_service()", app=app, Depends=fastapi.Depends, **names)
    answer = await http.get("/data")

    assert (answer.status_code, answer.json()) == (200, None)


async def test_exception_context_information(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"ValidationError": otcache.ValidationError}

    await run("Exception Context Information", CacheConfigBuilder=otcache.CacheConfigBuilder, **names)
    await run(
        "Exception Context Information",
        CacheConfigBuilder=lambda: otcache.CacheConfigBuilder().with_compression(level=99),
        **names,
    )

    error, context = capsys.readouterr().out.splitlines()  # the defaults are valid: one error, the second
    assert re.match(r"Error: .*compression_level.*99", error)
    assert re.match(r"Context: \{.+\}", context)


async def test_basic_cache_usage(run: Run, plain_server: RedisServer) -> None:
    plain_server.command("CONFIG", "RESETSTAT")

    scope = await run("Basic Cache Usage")

    assert is_on_redis(scope["cache"])
    assert scope["user_data"] == {"name": "John", "email": "john@example.com"}
    assert await scope["cache"].get("user:123") is None
    statistics = plain_server.command("INFO", "commandstats").decode()
    assert set(re.findall(r"cmdstat_(set|unlink):calls=[1-9]", statistics)) == {"set", "unlink"}


async def test_ai_cache_usage(run: Run) -> None:
    scope = await run("AI Cache Usage", factory=CacheFactory())

    found = await scope["cache"].get_cached_response("Long document to analyze...", "summarize", {"max_length": 100})
    assert found == {"summary": "Brief summary..."}


async def test_configuration_builder_usage(
    run: Run, hosts: dict[str, int], tls_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tls_server.certificates
    hosts["prod"] = tls_server.port
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_server.certificates.ca))

    scope = await run("Configuration Builder Usage", factory=CacheFactory())

    cache = scope["cache"]
    await cache.set("k", 1)
    assert isinstance(cache, otcache.AIResponseCache)
    assert tls_server.command("EXISTS", f"{cache.config.key_prefix}{cache.name}:k") == 1
    assert scope["config"].ai_config.operation_ttls["summarize"] == 7200


async def test_dependency_injection_usage(run: Run, client: Any) -> None:
    app, http = client
    fetched: list[int] = []

    def fetch_data_from_database() -> dict[str, int]:
        fetched.append(1)
        return {"rows": 3}

    await run(
        "Dependency Injection Usage",
        app=app,
        CacheInterface=CacheInterface,
        fetch_data_from_database=fetch_data_from_database,
    )
    answers = [(await http.get("/api/data")).json() for _ in range(3)]

    assert answers == [{"rows": 3}] * 3
    assert len(fetched) == 1


class Metrics:
    """What the document's `metrics` must be able to do."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, dict[str, str]]] = []

    def increment(self, name: str, tags: dict[str, str]) -> None:
        self.counted.append((name, tags))


async def test_callback_system_usage(run: Run) -> None:
    cache, metrics = InMemoryCache(), Metrics()

    await run("Callback System Usage", cache=cache, metrics=metrics, Any=Any)
    await cache.get("user:1")
    await cache.set("user:1", "Ada")
    await cache.get("user:1")

    assert metrics.counted == [("cache.misses", {"key_prefix": "user"}), ("cache.hits", {"key_prefix": "user"})]


async def test_benchmark_usage(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    scope = await run("Benchmark Usage", cache=InMemoryCache(name="measured"))

    first, second = capsys.readouterr().out.splitlines()
    assert first == f"Average GET duration: {scope['summary']['get']['avg_duration_ms']:.2f}ms"
    assert second == f"Operations per second: {scope['summary']['get']['operations_per_second']:.0f}"


async def test_environment_presets_usage(run: Run) -> None:
    scope = await run("Environment Presets Usage", factory=CacheFactory())

    assert isinstance(scope["dev_cache"], InMemoryCache)
    assert is_on_redis(scope["prod_cache"])
    assert scope["ai_config"].ai_config is not None
