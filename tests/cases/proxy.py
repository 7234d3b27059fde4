"""A proxy in front of a Redis that does to connections what networks do to them."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

_PIECE = 65536


class Proxy:
    """A proxy on a loopback port of its own: `async with Proxy(server.port) as proxy`.

    Args:
        port: Of the server behind it.

    Attributes:
        url: Where clients connect to.
        refuse: Connections are closed as soon as they are there.
        delay: Seconds that each piece of data waits, in each direction.
    """

    def __init__(self, port: int) -> None:
        self.url = ""
        self.refuse = False
        self.delay = 0.0
        self._server_port = port
        self._gates: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[None]] = set()

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

    def hold(self) -> None:
        """From now on nothing passes on the connections that are there; new ones pass everything."""
        for gate in self._gates:
            gate.clear()

    def release(self) -> None:
        """Hand on what was held, however late."""
        for gate in self._gates:
            gate.set()

    def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuse:
            writer.transport.abort()
            return
        gate = asyncio.Event()
        gate.set()
        self._gates.add(gate)
        with contextlib.suppress(OSError):
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
            up = self._pass_on(reader, server_writer, gate)
            await asyncio.gather(up, self._pass_on(server_reader, writer, gate))
        self._gates.discard(gate)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event) -> None:
        try:
            while data := await reader.read(_PIECE):
                await gate.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()
