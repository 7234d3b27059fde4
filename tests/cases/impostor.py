"""A middle box that answers some commands itself, in valid RESP of a shape that nobody expects."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

import hiredis

_PIECE = 65536


class Impostor:
    """A proxy on a loopback port of its own: `async with Impostor(server.port) as impostor`.

    Args:
        port: Of the server that answers everything else.

    Attributes:
        url: Where clients connect to.
        answers: What it says to a command of this name, as raw bytes.
    """

    def __init__(self, port: int) -> None:
        self.url = ""
        self.answers: dict[str, bytes] = {}
        self._server_port = port
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

    def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._begin(self._serve(reader, writer))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        said, has_subscribed = hiredis.Reader(), False
        try:
            while data := await reader.read(_PIECE):
                said.feed(data)
                while (words := said.gets()) is not False:
                    name = words[0].decode().upper()
                    if name in self.answers:
                        writer.write(self.answers[name])
                        continue
                    server_writer.write(_command(words))
                    if has_subscribed:
                        continue
                    if has_subscribed := name == "SUBSCRIBE":  # from here on the server speaks without being asked
                        self._begin(_pass_on(server_reader, writer))
                    else:
                        await _one_answer(server_reader, writer)
        finally:
            server_writer.close()
            writer.close()


def _command(words: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


async def _one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answer = hiredis.Reader()
    while answer.gets() is False:
        data = await reader.read(_PIECE)
        if not data:
            return
        answer.feed(data)
        writer.write(data)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_PIECE):
            writer.write(data)
