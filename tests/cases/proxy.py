"""Boxes in front of a Redis that do to connections what networks do to them."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

PIECE = 65536


class MiddleBox(ABC):
    """A listener on a loopback port of its own in front of a server: `async with Proxy(server.port) as proxy`.

    Args:
        port: Of the server behind it.

    Attributes:
        url: Where clients connect to.
    """

    def __init__(self, port: int) -> None:
        self.url = ""
        self._server_port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:  # of tasks that were cancelled before they began, too
            writer.transport.abort()
        await asyncio.sleep(0)  # the transports close in the next turn

    def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.begin(self._serve_to_the_end(reader, writer))

    async def _serve_to_the_end(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # either side may go at any time
            await self.serve(reader, writer)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task that ends with the box."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers.add(writer)
        return reader, writer

    @abstractmethod
    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What becomes of a client's connection."""


class Proxy(MiddleBox):
    """A box that hands on what is said, late or not at all.

    Attributes:
        refuse: Connections are closed as soon as they are there.
        delay: Seconds that each piece of data waits, in each direction.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.refuse = False
        self.delay = 0.0
        self._gates: set[asyncio.Event] = set()

    def hold(self) -> None:
        """From now on nothing passes on the connections that are there; new ones pass everything."""
        for gate in self._gates:
            gate.clear()

    def release(self) -> None:
        """Hand on what was held, however late."""
        for gate in self._gates:
            gate.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.transport.abort()
            return
        gate = asyncio.Event()
        gate.set()
        self._gates.add(gate)
        try:
            server_reader, server_writer = await self.connect()
            up = self._pass_on(reader, server_writer, gate)
            await asyncio.gather(up, self._pass_on(server_reader, writer, gate))
        finally:
            self._gates.discard(gate)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        try:
            while data := await reader.read(PIECE):
                await gate.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
