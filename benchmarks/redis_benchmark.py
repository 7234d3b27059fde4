"""`redis-benchmark`, the server's own load generator in C: what no client in Python can beat with single commands."""

from __future__ import annotations

import asyncio
import csv
import shutil

from benchmarks.harness import Case

INSTALL = "apt-get install -y --no-install-recommends redis-tools"
_REQUESTS = 2_000


def case(port: int, key: str, clients: int) -> tuple[Case | None, str]:
    """GET of one key by so many connections, without pipelining; or `None` and the reason."""
    program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if program is None:
        return None, f"redis-benchmark is not installed; {INSTALL}"
    command = [program, "-h", "127.0.0.1", "-p", port, "-c", clients, "-n", _REQUESTS, "--csv", "GET", key]

    async def run() -> float:
        process = await asyncio.create_subprocess_exec(
            *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await process.communicate()
        return _REQUESTS / requests_per_second(output.decode())

    return Case(run, _REQUESTS), ""


def requests_per_second(output: str) -> float:
    """The second field of the last line; a headline stands above it from Redis 6.2 on."""
    return float(list(csv.reader(output.splitlines()))[-1][1])
