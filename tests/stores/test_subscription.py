"""A subscription ends where it should, never in silence, and leaves nothing: on every client kind and both servers."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from otcache.exceptions import StoreError
from otcache.stores.redis.store import RedisStore
from tests.conftest import Connect, Place
from tests.servers import Kind, RedisCluster, RedisSentinel, RedisServer, silent_port, wait_for
from tests.stores.conftest import Ear, Listen, ear_of, message

CLOSED = ("connection", "closed", False)
MOVED = ("connection", "moved", False)
PATIENT = 5.0
"""Seconds that a call may take, sentinels included: a busy machine is no outage."""


def _facts(error: StoreError) -> tuple[str, str, bool]:
    return error.reason, error.error_type, error.counts


async def _refusal(call: Awaitable[Any]) -> tuple[str, str, bool]:
    with pytest.raises(StoreError) as caught:
        await call
    return _facts(caught.value)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def _gone(place: Place, before: int) -> None:
    """No task and no connection is left."""
    assert asyncio.all_tasks() == {asyncio.current_task()}
    gc.collect()  # an unclosed transport would warn here, and warnings are errors
    await _until(lambda: place.servers.clients() <= before)


async def _hangs(call: Awaitable[Any]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await call


# --- closing --------------------------------------------------------------------------------------------


async def test_closing_leaves_nothing_and_can_be_repeated(place: Place, connect: Connect) -> None:
    before = place.servers.clients()
    ear = ear_of(connect(place.url, **place.options, timeout=PATIENT))
    await ear.subscription.open()
    await ear.subscription.ping()
    assert place.servers.clients() > before

    await ear.subscription.close()
    await ear.subscription.close()

    await _gone(place, before)
    assert await _refusal(ear.subscription.ping()) == CLOSED
    assert await _refusal(ear.subscription.open()) == CLOSED
    assert ear.lost == []


async def test_closed_before_it_was_opened_it_stays_closed(place: Place, connect: Connect) -> None:
    before = place.servers.clients()
    ear = ear_of(connect(place.url, **place.options, timeout=PATIENT))
    assert await _refusal(ear.subscription.ping()) == CLOSED

    await ear.subscription.close()

    with pytest.raises(StoreError):
        await ear.subscription.open()
    await _gone(place, before)


async def test_it_is_opened_once(redis_server: RedisServer, connect: Connect, listen: Listen) -> None:
    ear = await listen(connect(redis_server.url))

    assert await _refusal(ear.subscription.open()) == ("connection", "opened twice", False)

    await ear.subscription.ping()


async def test_closing_ends_an_opening_at_any_moment(place: Place, connect: Connect) -> None:
    before = place.servers.clients()
    for turns in range(25):
        ear = ear_of(connect(place.url, **place.options, timeout=PATIENT))
        opening = asyncio.ensure_future(ear.subscription.open())
        for _ in range(turns):
            await asyncio.sleep(0)

        await ear.subscription.close()

        async with asyncio.timeout(20):
            await asyncio.wait([opening])
        assert opening.exception() is None or isinstance(opening.exception(), StoreError)
        assert ear.lost == []

    await _gone(place, before)


async def test_an_opening_cut_short_leaves_nothing(place: Place, connect: Connect) -> None:
    before, dice = place.servers.clients(), random.Random(3)
    for turns in range(40):
        ear = ear_of(connect(place.url, **place.options, timeout=PATIENT))
        opening = asyncio.ensure_future(ear.subscription.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        await asyncio.sleep(dice.random() * 0.002)
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening
            await ear.subscription.close()

    await _gone(place, before)


async def test_pings_under_way_end_when_it_is_closed(private_place: Place, connect: Connect) -> None:
    before = private_place.servers.clients()
    ear = ear_of(connect(private_place.url, **private_place.options, timeout=PATIENT))
    await ear.subscription.open()
    private_place.servers.pause()
    pings = [asyncio.ensure_future(ear.subscription.ping()) for _ in range(3)]
    await asyncio.sleep(0.05)

    async with asyncio.timeout(20):  # TLS would wait 30 s for the other side's goodbye
        await ear.subscription.close()
        answers = await asyncio.gather(*pings, return_exceptions=True)

    private_place.servers.resume()
    assert all(isinstance(answer, StoreError) for answer in answers)
    await _gone(private_place, before)


def test_it_can_be_closed_from_another_event_loop_when_its_own_is_over(place: Place, prefix: str) -> None:
    before = place.servers.clients()
    ear = ear_of(place.store(prefix, timeout=PATIENT))

    asyncio.run(ear.subscription.open())
    gc.collect()
    asyncio.run(ear.subscription.close())

    gc.collect()
    wait_for(lambda: place.servers.clients() <= before, "the end of the connections")


def test_an_event_loop_that_is_over_leaves_no_connection_to_a_server_that_hangs(start: Any, prefix: str) -> None:
    server = start(RedisServer("debian", tls=True))
    place = Place(server.url, server, {"tls_ca_path": str(server.certificates.ca)})

    async def open_and_leave() -> None:
        await ear_of(place.store(prefix)).subscription.open()
        server.pause()  # it will not answer TLS's goodbye

    asyncio.run(open_and_leave())
    server.resume()
    gc.collect()  # an unclosed transport would warn here, and warnings are errors

    wait_for(lambda: server.clients() == 0, "the end of the connection")


def test_it_can_be_closed_from_another_event_loop_while_its_own_runs(redis_server: RedisServer, prefix: str) -> None:
    before = redis_server.clients()
    ear = ear_of(Place(redis_server.url, redis_server).store(prefix))
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(ear.subscription.open(), other).result(5)

    asyncio.run(ear.subscription.close())

    wait_for(lambda: redis_server.clients() <= before, "the end of the connection")
    other.call_soon_threadsafe(other.stop)
    thread.join()
    other.close()


# --- it can't be had ------------------------------------------------------------------------------------


async def test_nobody_listening_is_a_connection_error(connect: Connect) -> None:
    for url in ("redis://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/x", "redis+cluster://127.0.0.1:1", "unix:///none"):
        ear = ear_of(connect(url))

        reason, _, counts = await _refusal(ear.subscription.open())

        assert (reason, counts) == ("connection", True)
        assert ear.lost == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_user_who_may_not_listen_is_told_so(private_server: RedisServer, connect: Connect) -> None:
    private_server.command("ACL", "SETUSER", "deaf", "on", ">word", "~*", "+@all", "resetchannels")
    ear = ear_of(connect(private_server.url.replace("://", "://deaf:word@")))

    assert await _refusal(ear.subscription.open()) == ("auth", "NOPERM", False)

    await _gone(Place(private_server.url, private_server), 0)


async def test_it_shows_its_password(start: Any, kind: Kind, connect: Connect, listen: Listen) -> None:
    server = start(RedisServer(kind, password="s3cret"))

    assert await _refusal(ear_of(connect(server.url)).subscription.open()) == ("auth", "NOAUTH", True)

    store = connect(server.url, redis_password="s3cret")
    ear = await listen(store)
    await store.write("key", b"", 0, message)
    assert await ear.all() == [b"k key"]


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{}", "redis+sentinel://127.0.0.1:{}/otcache", "redis+cluster://127.0.0.1:{}"]
)
async def test_a_port_that_swallows_connections_costs_the_deadline(url: str, connect: Connect) -> None:
    with silent_port() as port:
        ear = ear_of(connect(url.format(port), timeout=5.0))

        await _hangs(ear.subscription.open())

        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_node_that_can_not_be_had_fails_the_whole(start: Any, kind: Kind, connect: Connect) -> None:
    cluster = start(RedisCluster(kind))
    cluster.nodes[2].kill()
    ear = ear_of(connect(cluster.url))

    reason, _, counts = await _refusal(ear.subscription.open())

    assert (reason, counts) == ("connection", True)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await _until(lambda: all(node.clients() == 0 for node in cluster.nodes[:2]))


# --- it hangs -------------------------------------------------------------------------------------------


async def test_pings_given_up_do_not_disturb_later_ones(private_place: Place, connect: Connect, listen: Listen) -> None:
    store = connect(private_place.url, **private_place.options, timeout=PATIENT)
    ear = await listen(store)
    private_place.servers.pause()

    await asyncio.gather(*(_hangs(ear.subscription.ping()) for _ in range(5)))

    private_place.servers.resume()
    await _answered(ear)
    await store.write("key", b"", 0, message)
    assert await ear.all() == [b"k key"]
    assert ear.lost == []


async def _answered(ear: Ear) -> None:
    """A cluster's nodes need a moment after a pause, to agree that they are back."""
    async with asyncio.timeout(30):
        while True:
            with suppress(StoreError):
                return await ear.subscription.ping()
            await asyncio.sleep(0.02)


async def test_a_late_pong_answers_no_other_ping(connect: Connect) -> None:
    pings: list[bytes] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while command := await _command(reader):
            if command[0] == b"SUBSCRIBE":
                writer.write(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n")
            elif command[0] == b"PING":
                pings.append(command[1])
            else:
                writer.write(b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        ear = ear_of(connect(f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}"))
        await ear.subscription.open()
        await _hangs(ear.subscription.ping())
        second = asyncio.ensure_future(ear.subscription.ping())
        await _until(lambda: len(pings) == 2)

        writers[0].write(_pong(pings[0]))
        done, _ = await asyncio.wait([second], timeout=0.1)
        assert not done
        writers[0].write(_pong(pings[1]))
        await second

        await ear.subscription.close()


async def _command(reader: asyncio.StreamReader) -> list[bytes]:
    """The next command of a client; nothing at the end."""
    head = await reader.readline()
    words = []
    for _ in range(int(head[1:] or 0)):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


def _pong(payload: bytes) -> bytes:
    return b"*2\r\n$4\r\npong\r\n$%d\r\n%s\r\n" % (len(payload), payload)


# --- it is lost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("private_place", ["valkey", "debian", "unix", "tls", "cluster"], indirect=True)
async def test_a_killed_server_is_told_once_and_nothing_comes_back_in_silence(
    private_place: Place, connect: Connect, listen: Listen
) -> None:
    store = connect(private_place.url, **private_place.options, timeout=PATIENT)
    ear = await listen(store)
    pings = [asyncio.ensure_future(ear.subscription.ping())]
    private_place.servers.kill()

    await _until(lambda: bool(ear.lost))
    private_place.servers.restart()
    pings += [asyncio.ensure_future(ear.subscription.ping()) for _ in range(3)]
    answers = await asyncio.gather(*pings, return_exceptions=True)

    assert [(error.reason, error.counts) for error in ear.lost] == [("connection", True)]
    assert [isinstance(answer, StoreError) for answer in answers[1:]] == [True] * 3
    assert private_place.servers.clients() == 0
    assert (await (await listen(store)).all()) == []


async def test_a_connection_that_the_server_ends_is_told(server: RedisServer, connect: Connect, listen: Listen) -> None:
    store = connect(server.url)
    ear = await listen(store)
    await store.write("key", b"", 0, message)

    server.command("CLIENT", "KILL", "ID", _newest_subscriber(server))

    await _until(lambda: bool(ear.lost))
    await ear.subscription.close()
    assert ear.heard == [b"k key"]
    assert len(ear.lost) == 1
    assert ear.lost[0].counts


def _newest_subscriber(server: RedisServer) -> str:
    lines: list[str] = server.command("CLIENT", "LIST", "TYPE", "pubsub").decode().splitlines()
    return lines[-1].split()[0].removeprefix("id=")


async def test_one_node_of_a_cluster_that_ends_a_connection_ends_all(
    start: Any, kind: Kind, connect: Connect, listen: Listen
) -> None:
    cluster = start(RedisCluster(kind))
    ear = await listen(connect(cluster.url))

    cluster.nodes[1].command("CLIENT", "KILL", "TYPE", "pubsub")

    await _until(lambda: bool(ear.lost))
    await _until(lambda: cluster.clients() == 0)
    assert len(ear.lost) == 1


async def test_closing_what_is_lost_leaves_nothing(private_place: Place, connect: Connect) -> None:
    ear = ear_of(connect(private_place.url, **private_place.options, timeout=PATIENT))
    await ear.subscription.open()
    servers = getattr(private_place.servers, "nodes", [getattr(private_place.servers, "master", private_place.servers)])
    before = private_place.servers.clients()
    for server in servers:
        server.command("CLIENT", "KILL", "TYPE", "pubsub")
    await _until(lambda: bool(ear.lost))

    await ear.subscription.close()

    await _gone(private_place, before - 1)
    assert len(ear.lost) == 1


async def test_a_receiver_that_fails_ends_the_subscription_audibly(server: RedisServer, connect: Connect) -> None:
    store, lost = connect(server.url), list[StoreError]()
    none: list[bytes] = []
    subscription = store.subscribe(lambda message: none.remove(message), lost.append)
    await subscription.open()

    await store.write("key", b"", 0, message)

    await _until(lambda: bool(lost))
    await subscription.close()
    assert _facts(lost[0]) == ("connection", "ValueError", False)


# --- it is elsewhere ------------------------------------------------------------------------------------


async def test_a_primary_that_hands_its_slots_over_is_noticed(start: Any, kind: Kind, connect: Connect) -> None:
    cluster = start(RedisCluster(kind, replicas=True))
    store = connect(cluster.url)
    ear = ear_of(store)
    await ear.subscription.open()
    await ear.subscription.ping()

    cluster.nodes[3].command("CLUSTER", "FAILOVER")
    wait_for(lambda: all(_has(node, cluster.nodes[3]) for node in cluster.nodes), "the failover")

    assert await _refusal(ear.subscription.ping()) == MOVED
    await ear.subscription.close()
    assert ear.lost == []


def _has(node: RedisServer, primary: RedisServer) -> bool:
    """Whether `node` knows `primary` as one."""
    ranges = node.command("CLUSTER", "SLOTS")
    return any(holders[0][1] == primary.port for _, _, *holders in ranges)


async def test_a_master_that_hands_over_is_noticed(start: Any, kind: Kind, connect: Connect, listen: Listen) -> None:
    sentinel = start(RedisSentinel(kind))
    store = connect(sentinel.url, timeout=PATIENT)
    ear = await listen(store)

    sentinel.hand_over()

    error = await _refusal(ear.subscription.ping())  # the old master may have cut us instead
    assert error == MOVED or ear.lost
    renewed = await listen(store)
    await _written(store)
    assert await renewed.all() == [b"k key"]


async def _written(store: RedisStore) -> None:
    """The first write may find the old master, a replica now."""
    with suppress(StoreError):
        await store.write("key", b"", 0, message)
    await store.write("key", b"", 0, message)


async def test_a_moved_slot_moves_no_subscription(
    start: Any, kind: Kind, connect: Connect, listen: Listen, prefix: str
) -> None:
    cluster = start(RedisCluster(kind))
    store = connect(cluster.url)
    ear = await listen(store)
    slot, source = cluster.nodes[0].command("CLUSTER", "KEYSLOT", f"{prefix}key"), cluster.owner(f"{prefix}key")
    target = next(node for node in cluster.nodes if node is not source)
    for node in (target, source, *cluster.nodes):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", target.command("CLUSTER", "MYID"))

    await store.write("key", b"", 0, message)

    assert await ear.all() == [b"k key"]
