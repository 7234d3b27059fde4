"""A middle box that answers some commands itself, in valid RESP of a shape that nobody expects."""

from __future__ import annotations

import asyncio
import contextlib

import hiredis

from tests.cases.proxy import PIECE, MiddleBox


class Impostor(MiddleBox):
    """A box that hands on what it does not answer itself.

    Attributes:
        answers: What it says to a command of this name, as raw bytes.
    """

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.answers: dict[str, bytes] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await self.connect()
        said, has_subscribed = hiredis.Reader(), False
        while data := await reader.read(PIECE):
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
                    self.begin(_pass_on(server_reader, writer))
                else:
                    await _one_answer(server_reader, writer)
        server_writer.close()
        writer.close()


def _command(words: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


async def _one_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    answer = hiredis.Reader()
    while answer.gets() is False:
        data = await reader.read(PIECE)
        if not data:
            return
        answer.feed(data)
        writer.write(data)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(PIECE):
            writer.write(data)
