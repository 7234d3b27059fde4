"""Messages by Redis pub/sub: one connection per server, outside of the pools, that is never repaired in silence."""

from __future__ import annotations

import asyncio
from contextvars import Context
from itertools import count
from typing import Any, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError

from otcache._concurrency.tasks import is_cancelled, quiet
from otcache.exceptions import StoreError
from otcache.stores.base import Lost, Receive
from otcache.stores.redis.errors import translate
from otcache.stores.redis.session import new_link
from otcache.stores.redis.target import Address, RedisTarget, cut, new_connection, send


def _closed() -> StoreError:
    return StoreError("connection", "closed", counts=False)


class Overheard(NamedTuple):
    """A second channel. `refused` is told if the server does not allow it: the subscription stands without it."""

    channel: bytes
    receive: Receive
    refused: Lost


class RedisSubscription:
    """A channel of a Redis, a Sentinel's master or every primary of a cluster as a `Subscription`."""

    def __init__(
        self, target: RedisTarget, channel: bytes, receive: Receive, lost: Lost, overheard: Overheard | None = None
    ) -> None:
        self._target = target
        self._channel = channel
        self._receive = receive
        self._overheard = overheard
        self._lost = lost
        self._link = new_link(target)
        self._places: list[Address] = []
        self._lines: list[_Line] = []
        self._asking: set[asyncio.Future[list[Address]]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_open = False
        self._end: StoreError | None = None

    async def open(self) -> None:
        if self._loop is not None:
            raise self._end or StoreError("connection", "opened twice", counts=False)
        self._loop = asyncio.get_running_loop()
        try:
            self._places = await self._locate()
            connections = [new_connection(self._target, place) for place in self._places]
            heard = self._channel, self._receive, self._line_ended, self._overheard
            self._lines = [_Line(each, *heard) for each in connections]
            await asyncio.gather(*(line.ready for line in self._lines))
            self._require_life()
        except BaseException:
            await self.close()
            raise
        self._is_open = True

    async def ping(self) -> None:
        self._require_life()
        if not self._is_open:
            raise _closed()
        if await self._locate() != self._places:
            raise StoreError("connection", "moved", counts=False)
        pongs = [line.ping() for line in self._lines]
        try:
            await asyncio.gather(*pongs)
        finally:
            for pong in pongs:
                pong.cancel()

    async def close(self) -> None:
        loop = self._loop
        self._end = self._end or _closed()
        if loop is None or loop is asyncio.get_running_loop():
            self._cut()
            await asyncio.gather(*self._asking, *(line.task for line in self._lines), return_exceptions=True)
            await asyncio.sleep(0)  # the transports close their sockets in the next turn of the loop
        elif loop.is_running():
            loop.call_soon_threadsafe(self._cut)
        else:
            self._cut()

    # --- what happens to it -------------------------------------------------------------------------

    async def _locate(self) -> list[Address]:
        """The servers to be subscribed at, as they are now."""
        asking = asyncio.ensure_future(self._link.primaries())  # a task, so that closing can end it
        self._asking.add(asking)
        try:
            places = await asking
        except asyncio.CancelledError:
            if is_cancelled() or self._end is None:
                raise
            raise self._end from None
        except Exception as exc:
            raise self._end or translate(exc) from exc
        finally:
            self._asking.discard(asking)
            if self._end is not None:  # what was connected meanwhile: nothing else closes it
                self._link.drop()
        self._require_life()
        return places

    def _require_life(self) -> None:
        if self._end is not None:
            raise self._end.with_traceback(None)  # or it would grow with every ping

    def _line_ended(self, error: StoreError) -> None:
        """One connection has ended by itself: without it, order and completeness are gone, so all end."""
        if self._end is None:
            self._end = error
            self._cut()
            if self._is_open:
                self._lost(error)

    def _cut(self) -> None:
        for line in self._lines:
            line.cut()
        for asking in self._asking:
            if not asking.get_loop().is_closed():
                asking.cancel()
        self._link.drop()


class _Line:
    """A connection that subscribes and a task that reads it; the PONGs that are waited for, each by its own payload."""

    def __init__(
        self,
        connection: AbstractConnection,
        channel: bytes,
        receive: Receive,
        ended: Lost,
        overheard: Overheard | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._connection = connection
        self._channel, self._receive = channel, receive
        self._ended = ended
        self._overheard = overheard
        self._numbers = count(1)
        self._pongs: dict[bytes, asyncio.Future[None]] = {}
        self.ready: asyncio.Future[None] = loop.create_future()
        # empty context: keep the listener out of the request's trace
        self.task = quiet(loop.create_task(self._run(), name="otcache-subscription", context=Context()))

    def ping(self) -> asyncio.Future[None]:
        """Send a PING; done when everything published before it has been received. Cancel it to give up."""
        pong = asyncio.get_running_loop().create_future()
        payload = b"%d" % next(self._numbers)
        try:
            send(self._connection, "PING", payload)
        except Exception as exc:  # noqa: BLE001  the caller waits for all servers at once
            pong.set_exception(translate(exc))
            return pong
        self._pongs[payload] = pong
        return pong

    def cut(self) -> None:
        """Close the connection now; the task ends in the next turn of the event loop."""
        cut(self._connection)
        if not self.task.get_loop().is_closed():
            self._give_up(_closed())  # here, because a task that has not begun yet never will
            self.task.cancel()

    async def _run(self) -> None:
        error = _closed()
        try:
            await self._connection.connect()  # type: ignore[no-untyped-call]
            await self._connection.send_command("SUBSCRIBE", self._channel)
            await self._read()
            if self._overheard is not None:
                await self._overhear(self._overheard)
            self.ready.set_result(None)
            while True:
                self._take(await self._read())
        except Exception as exc:  # noqa: BLE001  whatever it is, no more can be read here
            error = translate(exc)
        finally:
            cut(self._connection)
            self._give_up(error)
        self._ended(error)

    async def _overhear(self, overheard: Overheard) -> None:
        """Subscribe to the second channel by itself: a refusal would take the first one with it."""
        await self._connection.send_command("SUBSCRIBE", overheard.channel)
        try:
            while (answer := await self._read())[0] != b"subscribe":
                self._take(answer)
        except ResponseError as exc:
            overheard.refused(translate(exc))

    async def _read(self) -> Any:
        """The next answer. The connection is ours to cut: redis-py would wait for TLS's goodbye in the background."""
        return await self._connection.read_response(disconnect_on_error=False)

    def _take(self, answer: list[Any]) -> None:
        if answer[0] == b"message":
            overheard = None if answer[1] == self._channel else self._overheard
            (self._receive if overheard is None else overheard.receive)(answer[2])
        elif answer[0] == b"pong":
            pong = self._pongs.pop(answer[1], None)
            if pong is not None and not pong.done():
                pong.set_result(None)

    def _give_up(self, error: StoreError) -> None:
        for waiter in (self.ready, *self._pongs.values()):
            if not waiter.done():
                waiter.set_exception(error)
        self._pongs.clear()
