"""A Redis that refuses, hangs, vanishes or is not what it was: what the store says, and that it comes back."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from otcache.exceptions import StoreError
from otcache.stores.redis.store import RedisStore
from tests.conftest import Connect, Place
from tests.servers import Kind, RedisCluster, RedisSentinel, RedisServer, ask, silent_port, wait_for
from tests.stores.conftest import message

DEADLINE = 0.25
GENEROUS = 2.0
"""Seconds that a call with a deadline of 0.25 s may take on a busy machine."""
ENTRY = b"the payload of an entry"


def _facts(error: StoreError) -> tuple[str, str, bool]:
    return error.reason, error.error_type, error.counts


async def _refusal(call: Awaitable[Any]) -> tuple[str, str, bool]:
    with pytest.raises(StoreError) as caught:
        await call
    return _facts(caught.value)


async def _eventually(call: Callable[[], Awaitable[Any]], seconds: float = 15) -> Any:
    """The first answer of `call`, each try under its own deadline."""
    end = time.monotonic() + seconds
    while True:
        try:
            async with asyncio.timeout(DEADLINE):
                return await call()
        except (StoreError, TimeoutError):
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)


def _calls(store: RedisStore) -> list[Callable[[], Awaitable[Any]]]:
    """Every method once."""

    async def scan() -> list[list[str]]:
        return [keys async for keys in store.scan("*")]

    return [
        store.ping,
        store.clock.sync,
        lambda: store.read("key"),
        lambda: store.read_many(["a", "b", "c", "d"]),
        lambda: store.write("key", ENTRY, 60_000),
        lambda: store.write_many([(key, ENTRY) for key in "abcdefgh"], 60_000),
        lambda: store.remove(["a", "b", "c"]),
        lambda: store.contains("key"),
        lambda: store.left_ms("key"),
        lambda: store.replace("key", ENTRY, ENTRY, 60_000),
        lambda: store.write("key", ENTRY, 60_000, message),
        lambda: store.remove(["a", "b", "c"], message),
        lambda: store.versions("", 0, "0" * 8),
        lambda: store.invalidate("t:tag", "0" * 8, 10, b""),
        lambda: store.lock("key", b"me", 1000),
        scan,
    ]


# --- it refuses -----------------------------------------------------------------------------------------


async def test_a_full_server_keeps_nothing_and_says_so(start: Any, kind: Kind, connect: Connect) -> None:
    server = start(RedisServer(kind, maxmemory=1))
    store = connect(server.url)

    assert await _refusal(store.write("key", b"x", 0)) == ("server_error", "OOM", False)

    assert await store.read("key") is None


async def test_a_server_that_fills_up_during_a_batch_tells_item_by_item(
    start: Any, kind: Kind, connect: Connect
) -> None:
    server = start(RedisServer(kind))
    used = int(server.command("INFO", "memory").decode().split("used_memory:")[1].split()[0])
    server.command("CONFIG", "SET", "maxmemory", used + 4_000_000)
    store = connect(server.url)
    items = [(f"key{number}", bytes(500_000)) for number in range(20)]

    errors = await store.write_many(items, 0)

    written = [key for (key, _), error in zip(items, errors, strict=True) if error is None]
    assert 0 < len(written) < 20
    assert {_facts(error) for error in errors if error} == {("server_error", "OOM", False)}
    assert sorted([key async for keys in store.scan("*") for key in keys]) == sorted(written)


async def test_a_batch_that_may_write_only_some_keys_tells_which(
    private_server: RedisServer, connect: Connect, prefix: str
) -> None:
    private_server.command("ACL", "SETUSER", "half", "on", ">word", f"~{prefix}mine:*", "+@all")
    url = private_server.url.replace("://", "://half:word@")
    store = connect(url)

    errors = await store.write_many([("mine:1", b"1"), ("theirs", b"2"), ("mine:2", b"3")], 0)

    assert [error and _facts(error) for error in errors] == [None, ("auth", "NOPERM", False), None]
    assert await _refusal(store.read("theirs")) == ("auth", "NOPERM", False)
    assert await store.read_many(["mine:1", "mine:2"]) == [b"1", b"3"]


async def test_a_replica_answers_reads_and_refuses_writes(
    start: Any, private_server: RedisServer, connect: Connect
) -> None:
    replica = start(RedisServer(private_server.kind, replica_of=private_server))
    wait_for(lambda: replica.command("ROLE")[3] == b"connected", "replication")
    store = connect(replica.url)

    assert await _refusal(store.write("key", b"x", 0)) == ("server_error", "READONLY", False)
    errors = await store.write_many([("a", b""), ("b", b"")], 0)

    assert [error and _facts(error) for error in errors] == [("server_error", "READONLY", False)] * 2
    assert await store.read("key") is None


async def test_a_readonly_answer_makes_the_next_call_connect_anew(
    start: Any, private_server: RedisServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otcache.stores.redis.session.READONLY_SECONDS", 0.0)
    replica = start(RedisServer(private_server.kind, replica_of=private_server))
    wait_for(lambda: replica.command("ROLE")[3] == b"connected", "replication")
    store = connect(replica.url)
    await store.ping()
    [before] = _client_ids(replica)

    await _refusal(store.write("key", b"x", 0))
    await store.ping()

    [after] = _client_ids(replica)
    assert after != before


def _client_ids(server: RedisServer) -> list[str]:
    lines = server.command("CLIENT", "LIST", "TYPE", "normal").decode().splitlines()
    return [line.split()[0] for line in lines if "cmd=client" not in line]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("auth", "NOAUTH", True)),
        ({"redis_password": "wrong"}, ("auth", "WRONGPASS", True)),
        ({"redis_username": "nobody", "redis_password": "secret"}, ("auth", "WRONGPASS", True)),
    ],
)
async def test_a_server_that_needs_a_password_says_which_way_it_failed(
    start: Any, kind: Kind, connect: Connect, options: dict[str, str], expected: tuple[str, str, bool]
) -> None:
    server = start(RedisServer(kind, password="secret"))
    store = connect(server.url, **options)

    assert await _refusal(store.read("key")) == expected
    assert await _refusal(store.write_many([("a", b""), ("b", b"")], 0)) == expected


@pytest.mark.parametrize("where", ["url", "option", "option over url"])
async def test_the_right_password_opens(start: Any, kind: Kind, connect: Connect, where: str) -> None:
    server = start(RedisServer(kind, password="s:e/c@ret"))
    in_url = {"url": ":s%3Ae%2Fc%40ret@", "option": "", "option over url": ":wrong@"}[where]
    options = {} if where == "url" else {"redis_password": "s:e/c@ret"}
    store = connect(server.url.replace("://", f"://{in_url}"), **options)

    await store.write("key", b"x", 0)

    assert await store.read("key") == b"x"


async def test_a_password_that_nobody_asked_for_is_refused(server: RedisServer, connect: Connect) -> None:
    store = connect(server.url, redis_password="unasked")

    reason, error_type, counts = await _refusal(store.read("key"))

    assert (reason, counts) == ("auth", True)
    assert error_type in ("ERR", "WRONGPASS")


async def test_a_loading_server_is_away(private_server: RedisServer, connect: Connect) -> None:
    private_server.command("EVAL", "for i = 1, 5000 do redis.call('SET', 'k' .. i, ('x'):rep(100)) end", 0)
    private_server.command("SAVE")
    private_server.restart("--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024")
    store = connect(private_server.url)

    assert await _refusal(store.read("key")) == ("server_error", "LOADING", True)
    assert await _refusal(store.write_many([("a", b""), ("b", b"")], 0)) == ("server_error", "LOADING", True)


async def test_a_replica_without_its_master_is_away(start: Any, kind: Kind, connect: Connect) -> None:
    orphan = start(RedisServer(kind, args=("--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "no")))
    store = connect(orphan.url)

    assert await _refusal(store.read("key")) == ("server_error", "MASTERDOWN", True)


async def test_a_server_busy_with_a_script_refuses(start: Any, kind: Kind, connect: Connect) -> None:
    server = start(RedisServer(kind, args=("--busy-reply-threshold", "10")))
    store = connect(server.url)
    with socket.socket(socket.AF_UNIX) as hog:
        hog.connect(str(server.socket_path))
        hog.sendall(b"*3\r\n$4\r\nEVAL\r\n$17\r\nwhile true do end\r\n$1\r\n0\r\n")
        wait_for(lambda: isinstance(_asked(server, "PING"), Exception), "the script")

        assert await _refusal(store.read("key")) == ("server_error", "BUSY", False)

        server.command("SCRIPT", "KILL")


def _asked(server: RedisServer, *words: str) -> Any:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.socket_path))
        return ask(connection, *words)


async def test_a_server_with_too_many_clients_is_away(start: Any, kind: Kind, connect: Connect) -> None:
    server = start(RedisServer(kind, args=("--maxclients", "1")))
    store = connect(server.url)
    with socket.socket(socket.AF_UNIX) as guest:
        guest.connect(str(server.socket_path))
        ask(guest, "PING")

        reason, _, counts = await _refusal(store.read("key"))

    assert (reason, counts) == ("connection", True)
    await _eventually(store.ping)


async def test_an_expiry_that_the_server_rejects_is_an_error(server: RedisServer, connect: Connect) -> None:
    store = connect(server.url)

    assert await _refusal(store.write("key", b"", 2**63)) == ("server_error", "ERR", False)

    assert not await store.contains("key")


async def test_a_cluster_url_of_a_server_that_is_none_is_an_error(server: RedisServer, connect: Connect) -> None:
    store = connect(server.url.replace("redis://", "redis+cluster://").removesuffix("/0"))

    assert await _refusal(store.read("key")) == ("server_error", "ERR", False)


async def test_a_service_that_sentinel_does_not_know_is_an_error(sentinel: RedisSentinel, connect: Connect) -> None:
    store = connect(sentinel.url.replace("/otcache/", "/other/"))

    expected = ("connection", "redis.asyncio.sentinel.MasterNotFoundError", True)
    assert await _refusal(store.read("key")) == expected


async def test_a_certificate_of_an_unknown_authority_is_refused(tls_server: RedisServer, connect: Connect) -> None:
    store = connect(tls_server.url)
    unverified = connect(tls_server.url, tls_verify=False)

    assert await _refusal(store.read("key")) == ("connection", "redis.exceptions.ConnectionError", True)

    assert await unverified.read("key") is None


async def test_a_client_certificate_is_shown(start: Any, connect: Connect) -> None:
    server = start(RedisServer("debian", tls=True, args=("--tls-auth-clients", "yes")))
    files = server.certificates
    bare = connect(server.url, tls_ca_path=str(files.ca))
    shown = connect(
        server.url.replace("rediss", "redis"),
        tls_ca_path=str(files.ca),
        tls_cert_path=str(files.client_cert),
        tls_key_path=str(files.client_key),
    )

    reason, _, counts = await _refusal(bare.read("key"))

    assert (reason, counts) == ("connection", True)
    assert await shown.read("key") is None
    assert shown.location.url.startswith("rediss://")


# --- it hangs -------------------------------------------------------------------------------------------


async def test_a_stopped_server_costs_the_deadline_and_works_when_it_goes_on(
    private_place: Place, connect: Connect
) -> None:
    store = connect(private_place.url, **private_place.options)
    await store.write("key", ENTRY, 0)
    servers = private_place.servers
    servers.pause()

    waits = await asyncio.gather(*(_waited(call) for call in _calls(store)))  # with connections that are open
    waits += await asyncio.gather(*(_waited(call) for call in _calls(store)))  # and with new ones

    servers.resume()
    assert max(waits) < GENEROUS
    assert await _eventually(lambda: store.read("key")) == ENTRY
    for call in _calls(store):
        await _eventually(call)
    assert (store.session.usage() or (1,))[0] == 0


async def _waited(call: Callable[[], Awaitable[Any]]) -> float:
    """How long a call to a server that hangs took, given that it did not answer."""
    before = time.monotonic()
    with pytest.raises((TimeoutError, StoreError)):
        async with asyncio.timeout(DEADLINE):
            await call()
    return time.monotonic() - before


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{}", "redis+sentinel://127.0.0.1:{}/otcache", "redis+cluster://127.0.0.1:{}"]
)
async def test_a_port_that_swallows_connections_costs_the_deadline(url: str, connect: Connect) -> None:
    with silent_port() as port:
        store = connect(url.format(port))

        waits = await asyncio.gather(*(_waited(call) for call in _calls(store)))

        assert max(waits) < GENEROUS


async def test_one_sentinel_that_hangs_does_not_hide_the_others(sentinel: RedisSentinel, connect: Connect) -> None:
    with silent_port() as port:
        store = connect(sentinel.url.replace("://", f"://127.0.0.1:{port},"), timeout=20.0)

        async with asyncio.timeout(15.0):
            assert await store.read("key") is None


async def test_one_cluster_node_that_hangs_does_not_hide_the_others(cluster: RedisCluster, connect: Connect) -> None:
    with silent_port() as port:
        store = connect(cluster.url.replace("://", f"://127.0.0.1:{port},"))

        await _waited(store.ping)

        async with asyncio.timeout(GENEROUS):
            assert await store.read("key") is None


async def test_a_cancelled_call_gives_its_place_back(private_server: RedisServer, connect: Connect) -> None:
    store = connect(private_server.url, max_connections=3)
    with private_server.paused():
        for _ in range(4):
            await asyncio.gather(*(_waited(lambda: store.read("key")) for _ in range(3)))

    assert await store.read("key") is None

    assert (store.session.usage() or (1,))[0] == 0


async def test_a_cancelled_call_of_a_cluster_gives_its_place_back(start: Any, connect: Connect, prefix: str) -> None:
    cluster = start(RedisCluster())
    store = connect(cluster.url, max_connections=2)
    await store.write("key", b"x", 0)
    with cluster.owner(f"{prefix}key").paused():
        for _ in range(4):  # more often than there are connections
            await _waited(lambda: store.read("key"))

    assert await _eventually(lambda: store.read("key")) == b"x"


# --- it vanishes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("private_place", ["valkey", "debian", "unix", "tls", "cluster"], indirect=True)
async def test_a_killed_server_is_used_again_when_it_is_back(private_place: Place, connect: Connect) -> None:
    store = connect(private_place.url, **private_place.options)
    await store.write("key", b"x", 0)

    private_place.servers.kill()
    reason, _, counts = await _refusal(store.read("key"))
    batch = await _refusal(store.write_many([(key, b"") for key in "abcdefgh"], 0))
    private_place.servers.restart()

    assert (reason, counts) == ("connection", True)
    assert (batch[0], batch[2]) == ("connection", True)
    assert await _eventually(lambda: store.read("key")) is None  # without a new store; it kept nothing on disk
    await _eventually(lambda: store.write("key", b"y", 0))
    assert await store.read("key") == b"y"


async def test_an_idle_connection_that_died_costs_no_call(private_server: RedisServer, connect: Connect) -> None:
    store = connect(private_server.url)
    await store.write("key", b"x", 0)

    private_server.restart()
    await asyncio.sleep(0.01)  # starting it has blocked the event loop: let it see that the connection ended

    assert await store.read("key") is None


async def test_nobody_listening_is_a_connection_error(connect: Connect) -> None:
    for url in ("redis://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/x", "redis+cluster://127.0.0.1:1", "unix:///none"):
        store = connect(url)

        reason, error_type, counts = await _refusal(store.read("key"))

        assert (reason, counts) == ("connection", True)
        assert error_type.startswith("redis.")


async def test_a_name_that_nobody_knows_is_a_connection_error(connect: Connect) -> None:
    store = connect("redis://no-such-host.invalid")

    reason, _, counts = await _refusal(store.read("key"))

    assert (reason, counts) == ("connection", True)


async def test_a_server_that_speaks_something_else_is_a_connection_error(connect: Connect) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener:
        store = connect(f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}")

        reason, _, counts = await _refusal(store.read("key"))

        assert (reason, counts) == ("connection", True)


# --- it is not what it was ------------------------------------------------------------------------------


async def test_a_failover_of_sentinel_is_followed(start: Any, kind: Kind, connect: Connect, prefix: str) -> None:
    sentinel = start(RedisSentinel(kind))
    store = connect(sentinel.url)
    await store.write("key", b"x", 0)
    wait_for(lambda: sentinel.replica.command("GET", f"{prefix}key") == b"x", "replication")

    sentinel.fail_over()

    assert await _eventually(lambda: store.read("key")) == b"x"
    await _eventually(lambda: store.write("key", b"y", 0))
    assert sentinel.replica.command("GET", f"{prefix}key") == b"y"


async def test_a_master_that_was_demoted_is_left(start: Any, kind: Kind, connect: Connect, prefix: str) -> None:
    sentinel = start(RedisSentinel(kind))
    store = connect(sentinel.url)
    await store.write("key", b"x", 0)

    sentinel.hand_over()

    assert await _refusal(store.write("key", b"y", 0)) == ("server_error", "READONLY", False)
    await store.write("key", b"y", 0)
    assert sentinel.replica.command("GET", f"{prefix}key") == b"y"


async def test_a_cluster_node_that_hangs_is_replaced_by_its_replica(
    start: Any, kind: Kind, connect: Connect, prefix: str
) -> None:
    cluster = start(RedisCluster(kind, replicas=True))
    for node in cluster.nodes:  # so that no other node says CLUSTERDOWN meanwhile
        node.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
    store = connect(cluster.url)
    items = [(f"{{k}}{number}", b"x") for number in range(20)]
    await store.write_many(items, 0)
    hung = cluster.owner(f"{prefix}{{k}}")
    replica = cluster.nodes[cluster.nodes.index(hung) + 3]
    wait_for(lambda: replica.command("DBSIZE") == 20, "replication")

    hung.pause()

    assert await _eventually(lambda: store.read_many([key for key, _ in items])) == [b"x"] * 20
    assert await store.write_many(items, 0) == [None] * 20
    assert await store.replace("{k}0", ENTRY, ENTRY, 1000) is False
    assert replica.command("ROLE")[0] == b"master"


async def test_a_cluster_with_a_hole_is_away(start: Any, kind: Kind, connect: Connect, prefix: str) -> None:
    cluster = start(RedisCluster(kind))
    store = connect(cluster.url)
    await store.ping()
    dead = cluster.owner(f"{prefix}key0")
    alive = next(f"key{n}" for n in range(100) if cluster.owner(f"{prefix}key{n}") is not dead)

    dead.kill()
    node = cluster.owner(f"{prefix}{alive}") if dead is not cluster.nodes[0] else cluster.nodes[1]
    wait_for(lambda: b"cluster_state:fail" in node.command("CLUSTER", "INFO"), "the hole")

    assert await _refusal(store.read(alive)) == ("server_error", "CLUSTERDOWN", True)


def _slot_moves(cluster: RedisCluster, key: str) -> tuple[int, RedisServer, RedisServer]:
    slot = cluster.nodes[0].command("CLUSTER", "KEYSLOT", key)
    source = cluster.owner(key)
    return slot, source, next(node for node in cluster.nodes if node is not source)


async def test_a_slot_that_has_moved_is_followed(start: Any, kind: Kind, connect: Connect, prefix: str) -> None:
    cluster = start(RedisCluster(kind))
    store = connect(cluster.url)
    await store.ping()
    slot, source, target = _slot_moves(cluster, f"{prefix}{{k}}1")
    for node in (target, source, *cluster.nodes):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", target.command("CLUSTER", "MYID"))

    await store.write("{k}1", ENTRY, 0)
    errors = await store.write_many([("{k}2", b"2"), ("{k}3", b"3"), ("other", b"")], 0)

    assert errors == [None] * 3
    assert await store.read_many(["{k}1", "{k}2", "{k}3"]) == [ENTRY, b"2", b"3"]
    assert await store.replace("{k}1", ENTRY, ENTRY, 60_000)
    assert target.command("GET", f"{prefix}{{k}}2") == b"2"


async def test_a_slot_that_is_moving_is_asked_at_both_ends(
    start: Any, kind: Kind, connect: Connect, prefix: str
) -> None:
    cluster = start(RedisCluster(kind))
    store = connect(cluster.url)
    await store.write("{k}stays", ENTRY, 0)
    slot, source, target = _slot_moves(cluster, f"{prefix}{{k}}1")
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.command("CLUSTER", "MYID"))
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.command("CLUSTER", "MYID"))

    await store.write("{k}new", ENTRY, 0)
    errors = await store.write_many([("{k}1", b"1"), ("{k}2", b"2")], 0)

    assert errors == [None, None]
    assert await store.read_many(["{k}stays", "{k}new", "{k}1"]) == [ENTRY, ENTRY, b"1"]
    assert await store.replace("{k}new", ENTRY, ENTRY, 60_000)
    assert await store.remove(["{k}stays", "{k}2", "{k}absent"]) == 2


async def test_a_batch_loses_only_the_keys_of_the_node_that_is_away(
    start: Any, kind: Kind, connect: Connect, prefix: str
) -> None:
    cluster = start(RedisCluster(kind))
    store = connect(cluster.url)
    await store.ping()
    for node in cluster.nodes:
        node.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
    dead = cluster.owner(f"{prefix}key0")
    items = [(f"key{number}", b"x") for number in range(30)]
    lost = [cluster.owner(f"{prefix}{key}") is dead for key, _ in items]
    dead.kill()

    errors = await store.write_many(items, 0)

    assert [error is not None for error in errors] == lost
    assert {(error.reason, error.counts) for error in errors if error} == {("connection", True)}
