"""A network that can be made slow: what an application hears from its Redis comes later than it was said."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Final

_CHUNK: Final = 65_536


class Network:
    """A proxy on a loopback port of its own, before the server on `port`.

    Attributes:
        delay: Seconds by which answers are late, 0 or more; it may be changed at any time.
    """

    def __init__(self, port: int, delay: float) -> None:
        self._server_port = port
        self.delay = delay
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Begin; the port that clients connect to."""
        self._listening = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port: int = self._listening.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close the port and every connection."""
        self._listening.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _connected(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._connect(client, to_client))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        await asyncio.wait([connection])

    async def _connect(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            to_client.close()
            return
        ways = {asyncio.create_task(_hand_on(client, to_server)), asyncio.create_task(self._late(server, to_client))}
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await _close(to_client)
            await _close(to_server)

    async def _late(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        loop, due = asyncio.get_running_loop(), 0.0
        with suppress(OSError):
            while data := await server.read(_CHUNK):
                due = max(due, loop.time() + self.delay)  # in order, also when the delay has just become shorter
                loop.call_at(due, _write, to_client, data)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _write(to_client: asyncio.StreamWriter, data: bytes) -> None:
    if not to_client.is_closing():
        to_client.write(data)


async def _hand_on(client: asyncio.StreamReader, to_server: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await client.read(_CHUNK):
            to_server.write(data)


async def _run(port: int, delay: float) -> None:
    """Say the port, then take a new delay per line of standard input until that ends: its other end is the demo's."""
    network = Network(port, delay)
    sys.stdout.write(f"{await network.start()}\n")
    sys.stdout.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        network.delay = float(line)


if __name__ == "__main__":
    asyncio.run(_run(int(sys.argv[1]), float(sys.argv[2])))
