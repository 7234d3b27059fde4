"""A process's line to Redis. It can be cut: nothing passes, nobody is told, and what was kept is handed on late."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final, Literal

State = Literal["open", "cut", "deaf"]
_SUBSCRIBE: Final = b"SUBSCRIBE"


class Line:
    """A proxy on a loopback port of its own.

    What is read is handed on in the same turn of the event loop, so that after some turns nothing is on its way here.

    Args:
        port: Of the server behind it.

    Attributes:
        state: `cut`: nothing passes, in both ways. `deaf`: nothing reaches connections that have subscribed.
        port: Where clients connect to.
    """

    def __init__(self, port: int) -> None:
        self.state: State = "open"
        self.port = 0
        self._server_port = port
        self.pairs: set[_Pair] = set()

    async def start(self) -> None:
        """Begin."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: _Side(_Pair(self)), "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port and every connection."""
        self._listening.close()
        for pair in list(self.pairs):
            pair.end()

    def turn(self, state: State) -> None:
        """Change the state; what may pass now and was kept is handed on before this returns."""
        self.state = state
        for pair in list(self.pairs):
            pair.flush()

    @property
    def is_clear(self) -> bool:
        """Whether nothing that was taken from clients is kept here."""
        return all(pair.is_clear for pair in self.pairs)

    def connect(self) -> socket.socket:
        """A connection to the server; on loopback it is there or refused at once."""
        server = socket.create_connection(("127.0.0.1", self._server_port), timeout=1)
        server.setblocking(False)
        return server


class _Pair:
    """One client's connection and the server's, with what is kept for each."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._subscribed = False
        self._ended: set[_Side] = set()
        self.client: _Side | None = None
        self.server: _Side | None = None
        self._up: list[bytes] = []
        self._down: list[bytes] = []
        line.pairs.add(self)

    def begin(self, side: _Side) -> None:
        """One of the two is there; the client's comes first and opens the other."""
        if self.client is not None:
            self.server = side
            self.flush()
            return
        self.client = side
        try:
            connection = self._line.connect()
        except OSError:
            self.end()
            return
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(loop.create_connection(lambda: _Side(self), sock=connection))

    def take(self, side: _Side, data: bytes) -> None:
        """`side` has said something."""
        if side is self.client:
            self._subscribed = self._subscribed or _SUBSCRIBE in data.upper()
            self._up.append(data)
        else:
            self._down.append(data)
        self.flush()

    def flush(self) -> None:
        """Hand on what may pass."""
        state = self._line.state
        if self.server is not None and state != "cut":
            _hand_on(self._up, self.server)
        if self.client is not None and state != "cut" and not (state == "deaf" and self._subscribed):
            _hand_on(self._down, self.client)
            if self.server in self._ended:
                self.end()
        if self.client in self._ended and self.server is not None and not self._up:
            self.end()

    def lost(self, side: _Side) -> None:
        """`side` is gone; the other hears of it when the line is open."""
        self._ended.add(side)
        self.flush()

    @property
    def is_clear(self) -> bool:
        if self.server is None:
            return self.client in self._ended
        return not self._up and not self.server.waiting

    def end(self) -> None:
        for side in (self.client, self.server):
            if side is not None:
                side.end()
        self._line.pairs.discard(self)


class _Side(asyncio.Protocol):
    """One of the two connections of a pair."""

    def __init__(self, pair: _Pair) -> None:
        self._pair = pair
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._pair.begin(self)

    def data_received(self, data: bytes) -> None:
        self._pair.take(self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pair.lost(self)

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(data)

    @property
    def waiting(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def end(self) -> None:
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._transport.close()


def _hand_on(kept: list[bytes], side: _Side) -> None:
    for data in kept:
        side.write(data)
    kept.clear()
