"""A Redis of the run's own, on a loopback port."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from otcache._demo.servers import RedisServer, find_redis


@asynccontextmanager
async def redis() -> AsyncIterator[int | None]:
    """The port of a server that lives as long as the block; `None` where no server program is installed."""
    program = shutil.which("redis-server") or shutil.which("valkey-server") or find_redis()
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(program, Path(directory))
        await server.start()
        try:
            yield server.port
        finally:
            await server.kill()
