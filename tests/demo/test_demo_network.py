"""The demo's network hands on what is said, late and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from otcache._demo.network import Network


@asynccontextmanager
async def _echo() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line == b"end\n":
                break
            writer.write(line)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def _network(server: int, delay: float) -> AsyncIterator[tuple[Network, int]]:
    network = Network(server, delay)
    yield network, await network.start()
    await network.stop()


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield reader, writer
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("delay", [0.0, 0.05])
async def test_an_answer_takes_the_delay_and_is_unchanged(delay: float) -> None:
    async with _echo() as server, _network(server, delay) as (_, port), _connected(port) as (reader, writer):
        began = asyncio.get_running_loop().time()
        writer.write(b"hello\n")

        answer = await reader.readline()

    assert answer == b"hello\n"
    assert asyncio.get_running_loop().time() - began >= delay - 0.001


async def test_a_shorter_delay_overtakes_nothing() -> None:
    async with _echo() as server, _network(server, 0.2) as (network, port), _connected(port) as (reader, writer):
        writer.write(b"first\n")
        await asyncio.sleep(0.05)  # the first answer is on its way
        network.delay = 0.0
        writer.write(b"second\n")

        answers = [await reader.readline(), await reader.readline()]

    assert answers == [b"first\n", b"second\n"]


async def test_a_server_that_closes_or_is_away_closes_the_connection() -> None:
    async with _echo() as server, _network(server, 0.0) as (_, port), _connected(port) as (reader, writer):
        writer.write(b"end\n")

        assert await reader.read() == b""

    async with _network(server, 0.0) as (_, port), _connected(port) as (reader, _):
        assert await reader.read() == b""
