"""From a URL and options to redis-py's pools and clients; the one module that knows their differences."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection
from redis.backoff import NoBackoff

from otcache.config import CacheConfig
from otcache.config.url import scheme_problem, tls_of
from otcache.exceptions import ConfigurationError
from otcache.version import __version__

Address = tuple[str, int]
Kind = Literal["standalone", "unix", "sentinel", "cluster"]

_PARAMETERS: Final = ("db", "username", "password", "sentinel_username", "sentinel_password")
_HOST: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]@/\s]*))(?::(?P<port>[0-9]{1,5}))?")
_MAX_DATABASE: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisTarget:
    """Where a Redis is, and how to talk to it.

    Attributes:
        kind: Which client it takes.
        hosts: The server; for Sentinel the sentinels; for a cluster some of its nodes. Empty for a unix socket.
        path: The unix socket.
        service: The name that the sentinels know the master by.
        tls: The context of every connection; `None` without TLS.
        max_connections: Most connections per server.
        timeout: Seconds that a call may take; what Sentinel discovery divides among the sentinels.
    """

    kind: Kind
    hosts: tuple[Address, ...] = ()
    path: str | None = None
    database: int = 0
    service: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    max_connections: int = 50
    timeout: float = 0.25

    @property
    def url(self) -> str:
        """The URL without its passwords: `rediss://user@host:6379/0`."""
        if self.kind == "unix":
            return f"unix://{self.path}?db={self.database}"
        scheme = ("rediss" if self.tls else "redis") + ("" if self.kind == "standalone" else f"+{self.kind}")
        user = f"{self.username}@" if self.username else ""
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        service = f"/{self.service}" if self.service else ""
        return f"{scheme}://{user}{hosts}{service}/{self.database}"


def resolve_target(url: str, options: CacheConfig | None = None) -> RedisTarget:
    """What `url` and the options over it mean. Reads the TLS files; opens no connection.

    Args:
        url: `redis://`, `rediss://`, `unix://`, `redis+sentinel://h1:p1,h2:p2/service/db`,
            `redis+cluster://h1:p1,h2:p2`, or the last two with `rediss`; user and password in it are percent-encoded.
        options: Its user and password win over the URL's; its `redis_url` does not count. TLS files imply TLS.

    Raises:
        ConfigurationError: The URL or a TLS file can't be used. The message never repeats the URL.
    """
    given = options or CacheConfig()
    parts = _split(url)
    kind = _kind(parts.scheme)
    query = _parameters(parts.query)
    files = given.tls_ca_path, given.tls_cert_path, given.tls_key_path
    secure = given.use_tls or bool(tls_of(url)) or any(files)
    if secure and kind == "unix":
        raise ConfigurationError("redis_url is a unix socket, which can't use TLS")
    credentials, _, hosts = parts.netloc.rpartition("@")
    url_user, _, url_password = credentials.partition(":")
    service, database = _service_and_database(kind, parts.path, query)
    return RedisTarget(
        kind=kind,
        hosts=() if kind == "unix" else tuple(_hosts(kind, hosts)),
        path=_socket_path(parts.path) if kind == "unix" else None,
        database=database,
        service=service,
        username=given.redis_username or query.get("username") or unquote(url_user) or None,
        password=given.redis_password or query.get("password") or unquote(url_password) or None,
        sentinel_username=query.get("sentinel_username"),
        sentinel_password=query.get("sentinel_password"),
        tls=_tls_context(*files, given.tls_verify) if secure else None,
        max_connections=given.max_connections,
        timeout=given.timeout,
    )


def _split(url: str) -> SplitResult:
    """The parts of a URL whose scheme is known. What urllib says may contain the password: it is dropped."""
    parts = None
    with suppress(ValueError):
        parts = urlsplit(url)
    if parts is None:
        raise ConfigurationError("redis_url is not a URL (percent-encode special characters of a password)")
    if (problem := scheme_problem(url)) is not None:
        raise ConfigurationError(problem)
    if parts.fragment:
        raise ConfigurationError("redis_url contains '#'; write it as %23 in a password")
    return parts


def _kind(scheme: str) -> Kind:
    """`rediss+sentinel` is a Sentinel, `redis` one server."""
    kinds: dict[str, Kind] = {"unix": "unix", "redis+sentinel": "sentinel", "redis+cluster": "cluster"}
    return kinds.get(scheme.replace("rediss", "redis"), "standalone")


def _parameters(query: str) -> dict[str, str]:
    found = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(name for name in found if name not in _PARAMETERS)
    if unknown:
        allowed = ", ".join(_PARAMETERS)
        raise ConfigurationError(f"redis_url has {len(unknown)} unknown parameter(s); allowed: {allowed}")
    return found


def _hosts(kind: Kind, text: str) -> Iterator[Address]:
    """The hosts of a URL; a standalone server's may be left out, as with redis-py."""
    default = 26379 if kind == "sentinel" else 6379
    if kind == "standalone":
        text = text or "localhost"
    for part in [text] if kind == "standalone" else text.split(","):
        found = _HOST.fullmatch(part)
        host = (found["six"] or unquote(found["name"])) if found else ""
        port = int(found["port"] or default) if found else 0
        if not host or "," in host or not 1 <= port <= 65535:
            raise ConfigurationError(
                "redis_url needs host or host:port with a port in 1..65535, or several separated by commas for "
                "Sentinel and Cluster (percent-encode special characters of a password)"
            )
        yield host, port


def _socket_path(path: str) -> str:
    if not path.strip("/"):
        raise ConfigurationError("redis_url names no unix socket: write unix:///path/to/redis.sock")
    return unquote(path)


def _service_and_database(kind: Kind, path: str, query: Mapping[str, str]) -> tuple[str | None, int]:
    service, text = None, "" if kind == "unix" else unquote(path).strip("/")
    if kind == "sentinel":
        service, _, text = text.partition("/")
        if not service:
            raise ConfigurationError("redis_url names no service: write redis+sentinel://host:26379/service/0")
    text = query.get("db", text) or "0"
    database = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= database <= _MAX_DATABASE:
        raise ConfigurationError(f"redis_url needs a database number in 0..{_MAX_DATABASE}")
    if kind == "cluster" and database:
        raise ConfigurationError("redis_url names a database, but a cluster has only number 0")
    return service, database


def _tls_context(ca: str | None, cert: str | None, key: str | None, verify: bool) -> ssl.SSLContext:
    if key and not cert:
        raise ConfigurationError("tls_key_path needs tls_cert_path")
    directory = ca is not None and os.path.isdir(ca)
    try:
        context = ssl.create_default_context(cafile=None if directory else ca, capath=ca if directory else None)
        if cert:
            # a password of our own: without one, OpenSSL asks for it on the terminal
            context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as exc:
        facts = {"tls_ca_path": ca, "tls_cert_path": cert, "tls_key_path": key, "error": type(exc).__name__}
        message = "tls_ca_path, tls_cert_path or tls_key_path is not a readable PEM file"
        raise ConfigurationError(message, facts) from exc
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


# --- redis-py's clients ---------------------------------------------------------------------------------


class _TLSConnection(SSLConnection):
    """TLS on a context made once: redis-py makes one per connection, and reads the CA file each time."""

    def __init__(self, *, tls: ssl.SSLContext, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ssl_context.context = tls


class _TLSSentinelConnection(SentinelManagedConnection, _TLSConnection):
    """A connection to the master that Sentinel names, by TLS."""


def _library() -> dict[str, Any]:
    """What CLIENT LIST shows; redis-py 7.2 and later wants it as an object. Old servers' refusal is ignored by it."""
    driver_info = getattr(redis, "DriverInfo", None)
    if driver_info is None:
        return {"lib_name": f"redis-py(otcache_v{__version__})"}
    return {"driver_info": driver_info().add_upstream_driver("otcache", __version__)}


def _settings(
    target: RedisTarget, tls_class: type[SSLConnection], tcp_class: type[Connection], patience: float | None = None
) -> dict[str, Any]:
    """What every connection has in common, by TLS or plain TCP.

    No retries and no time limits of its own: the caller's one deadline cancels, connect and DNS included. RESP2:
    nothing here needs RESP3, which costs a HELLO per connect and turns redis-py's maintenance pushes on.
    """
    plain = {"connection_class": tcp_class}
    return (plain if target.tls is None else {"connection_class": tls_class, "tls": target.tls}) | {
        "db": target.database,
        "username": target.username,
        "password": target.password,
        "max_connections": target.max_connections,
        "socket_keepalive": True,
        "socket_timeout": patience,
        "socket_connect_timeout": patience,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "decode_responses": False,
        "protocol": 2,
        **_library(),
    }


def new_client(target: RedisTarget, address: Address | None = None, patience: float | None = None) -> Redis:
    """redis-py's client of one server: `address`, or the one that `target` names."""
    return Redis(connection_pool=_new_pool(target, address, patience))


def new_connection(target: RedisTarget, address: Address) -> AbstractConnection:
    """A connection outside of the pools, not connected yet; of a unix socket the address does not count."""
    connection: AbstractConnection = _new_pool(target, address).make_connection()  # type: ignore[no-untyped-call]
    return connection


def _new_pool(target: RedisTarget, address: Address | None, patience: float | None = None) -> ConnectionPool:
    settings = _settings(target, _TLSConnection, Connection, patience)
    if target.kind == "unix":
        del settings["socket_keepalive"]
        return ConnectionPool(**settings | {"connection_class": UnixDomainSocketConnection, "path": target.path})
    host, port = address or target.hosts[0]
    return ConnectionPool(host=host, port=port, **settings)


def new_sentinel_client(target: RedisTarget) -> tuple[Redis, list[ConnectionPool]]:
    """redis-py's client of the master that the sentinels name, and every pool behind it.

    A sentinel that hangs gets only its share of a call's time, so that the next one can still be asked.
    """
    user, password = target.sentinel_username, target.sentinel_password
    asked = replace(target, kind="standalone", database=0, username=user, password=password)
    patience = target.timeout / (len(target.hosts) + 1)
    sentinels = [new_client(asked, address, patience) for address in target.hosts]
    manager = Sentinel([], sentinel_kwargs={})  # type: ignore[no-untyped-call]
    manager.sentinels = list(sentinels)
    settings = _settings(target, _TLSSentinelConnection, SentinelManagedConnection)
    pool = SentinelConnectionPool(target.service, manager, **settings)  # type: ignore[no-untyped-call]
    return Redis(connection_pool=pool), [pool, *(sentinel.connection_pool for sentinel in sentinels)]


async def master_address(client: Redis) -> Address:
    """Where the sentinels of a client made by `new_sentinel_client` say that the master is."""
    pool: Any = client.connection_pool
    host, port = await pool.sentinel_manager.discover_master(pool.service_name)
    return host, port


# --- inside redis-py's pools ----------------------------------------------------------------------------


def usage(pool: ConnectionPool) -> tuple[int, int]:
    """Connections in use, and open ones that wait."""
    idle = sum(connection.is_connected for connection in pool._available_connections)  # noqa: SLF001
    return len(pool._in_use_connections), idle  # noqa: SLF001


def drop(pool: ConnectionPool, *, idle_only: bool = False) -> None:
    """Cut connections at once, without waiting: a server that hangs does not answer a TLS goodbye either.

    A call that waits on one ends with an error; the pool stays usable.
    """
    connections = list(pool._available_connections)  # noqa: SLF001
    if not idle_only:
        connections += pool._in_use_connections  # noqa: SLF001
    for connection in connections:
        cut(connection)


def cut(connection: AbstractConnection) -> None:
    """Close one connection at once; not connected, it stays so."""
    writer = connection._writer  # noqa: SLF001
    if writer is not None:
        parser: Any = connection._parser  # noqa: SLF001
        parser.on_disconnect()
        connection._writer = connection._reader = None  # noqa: SLF001
        _abort(writer.transport)


def send(connection: AbstractConnection, *command: Any) -> None:
    """Write a command without waiting: no cancelled caller leaves half of it, and nothing connects again.

    Raises:
        redis.ConnectionError: It is not connected.
    """
    writer = connection._writer  # noqa: SLF001
    if writer is None:
        raise redis.ConnectionError("Connection closed by us.")
    writer.writelines(connection.pack_command(*command))


def _abort(transport: Any) -> None:
    try:
        transport.abort()
    except RuntimeError:  # its event loop is closed, so the end it has scheduled never comes: end it here
        inner = getattr(getattr(transport, "_ssl_protocol", None), "_transport", transport)
        finish = getattr(inner, "_call_connection_lost", None)
        if finish is not None:
            with suppress(RuntimeError):
                finish(None)
