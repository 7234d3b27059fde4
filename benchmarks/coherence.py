"""`python -m benchmarks.coherence [--rounds N]`: what telling others of a write costs, and when they know."""

from __future__ import annotations

import argparse
import asyncio
import selectors
import socket
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hiredis
from redis.asyncio import Redis

from benchmarks.harness import Case, Spread, Timing, measure, table
from otcache._demo.servers import RedisServer, start_redis
from otcache.stores.redis.scripts import WRITE

OPERATIONS = 300
LAGS = 100
"""Messages timed per round."""
LISTENERS = 4
PAYLOAD = bytes(1000)
MESSAGES = b'k1 0123456789abcdef 1700000000000 ["user:1234567"]'
CHANNEL, TOLD, TRACKED = b"bench@2:news", b"told:1234567", b"tracked:1234567"

Write = Callable[[], Any]


# --- who listens ----------------------------------------------------------------------------------------


def listen(port: int) -> None:
    """Be four subscribers and four trackers; say so on stdout, and throw away what comes."""
    selector = selectors.DefaultSelector()
    opened = [*(_subscribed(port, CHANNEL) for _ in range(LISTENERS)), *(_tracking(port) for _ in range(LISTENERS))]
    for connection in opened:
        selector.register(connection, selectors.EVENT_READ, connection)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    while True:
        for key, _ in selector.select():
            if not key.data.recv(65536):
                return


def _subscribed(port: int, channel: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"SUBSCRIBE %s\r\n" % channel)
    connection.recv(1000)
    return connection


_TRACKERS: list[socket.socket] = []


def _tracking(port: int) -> socket.socket:
    """The connection that gets the invalidations of one that tracks every key under the prefix."""
    listener = socket.create_connection(("127.0.0.1", port))
    listener.sendall(b"CLIENT ID\r\n")
    identity = listener.recv(1000).strip(b":\r\n")
    listener.sendall(b"SUBSCRIBE __redis__:invalidate\r\n")
    listener.recv(1000)
    tracker = socket.create_connection(("127.0.0.1", port))
    tracker.sendall(b"CLIENT TRACKING ON REDIRECT %s BCAST PREFIX tracked:\r\n" % identity)
    tracker.recv(1000)
    _TRACKERS.append(tracker)  # open, or it would track no more
    return listener


@asynccontextmanager
async def _listeners(server: RedisServer) -> AsyncIterator[None]:
    """Listeners in a process of their own: their CPU is not the writer's."""
    command = (sys.executable, "-m", "benchmarks.coherence", "--listen", str(server.port))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        await process.wait()


# --- ways to write --------------------------------------------------------------------------------------


def _ways(client: Redis) -> dict[str, Write]:
    async def pipelined(*, transaction: bool) -> None:
        pipe = client.pipeline(transaction=transaction)
        pipe.execute_command("SET", TOLD, PAYLOAD, "PX", 60_000)
        pipe.execute_command("PUBLISH", CHANNEL, MESSAGES)
        await pipe.execute()

    async def alone(key: bytes) -> None:
        await client.execute_command("SET", key, PAYLOAD, "PX", 60_000)  # type: ignore[no-untyped-call]

    async def script() -> None:
        command = ("EVAL", WRITE, 1, TOLD, CHANNEL, MESSAGES, PAYLOAD, "PX", 60_000)
        await client.execute_command(*command)  # type: ignore[no-untyped-call]

    return {
        "SET, nobody is told": lambda: alone(b"silent:1234567"),
        "SET + PUBLISH, pipeline": lambda: pipelined(transaction=False),
        "SET + PUBLISH, MULTI": lambda: pipelined(transaction=True),
        "SET + PUBLISH, EVAL": script,
        "SET, client tracking (BCAST)": lambda: alone(TRACKED),
    }


def _repeated(write: Write) -> Case:
    async def case() -> None:
        for _ in range(OPERATIONS):
            await write()

    return Case(case, OPERATIONS)


# --- when others know -----------------------------------------------------------------------------------


class _Lag:
    """How long after the write was begun a listener in this process has its news, in seconds."""

    def __init__(self, connection: socket.socket, write: Write) -> None:
        self._connection = connection
        self._write = write
        self._parser = hiredis.Reader()
        self._connection.setblocking(False)
        self.rounds: list[float] = []
        self.all: list[float] = []

    async def measure(self) -> None:
        lags = [await self._once() for _ in range(LAGS)]
        self.rounds.append(statistics.median(lags))
        self.all += lags

    async def _once(self) -> float:
        heard = asyncio.ensure_future(self._heard())
        await asyncio.sleep(0)
        before = time.perf_counter()
        await self._write()
        return await heard - before

    async def _heard(self) -> float:
        loop = asyncio.get_running_loop()
        while self._parser.gets() is False:
            self._parser.feed(await loop.sock_recv(self._connection, 65536))
        return time.perf_counter()


async def _lags(port: int, ways: dict[str, Write], rounds: int) -> list[tuple[str, ...]]:
    told = _Lag(_subscribed(port, CHANNEL), ways["SET + PUBLISH, EVAL"])
    tracked = _Lag(_tracking(port), ways["SET, client tracking (BCAST)"])
    for number in range(rounds + 1):
        for lag in (told, tracked) if number % 2 else (tracked, told):
            await lag.measure()
    rows: list[tuple[str, ...]] = []
    for name, lag in {"EVAL with PUBLISH": told, "client tracking (BCAST)": tracked}.items():
        share = Spread.of([a / b for a, b in zip(lag.rounds[1:], told.rounds[1:], strict=True)])
        ordered = sorted(lag.all[LAGS:])
        high = ordered[int(len(ordered) * 0.99)]
        rows.append((name, f"{statistics.median(ordered) * 1e6:.0f} us", f"{high * 1e6:.0f} us", str(share)))
    return rows


async def run(rounds: int = 31) -> str:
    """Both tables: the writer's CPU as a ratio to a plain SET, and the lag until a listener has the news."""
    with tempfile.TemporaryDirectory() as directory:
        server, reason = await start_redis(Path(directory))
        if server is None:
            return f"\nTelling others of a write: not measured, {reason}"
        client = Redis(port=server.port, protocol=2)
        try:
            async with _listeners(server):
                ways = _ways(client)
                timings = await measure({name: _repeated(way) for name, way in ways.items()}, rounds)
                lags = await _lags(server.port, ways, rounds)
        finally:
            await client.aclose()
            await server.kill()
    plain = next(iter(timings.values()))
    costs = [(name, *_cost(timing, plain)) for name, timing in timings.items()]
    first = table(f"One write of 1000 bytes, {LISTENERS} listeners", ("case", "CPU", "x plain SET"), costs)
    second = table(
        "From the begin of the write until a listener has the news", ("case", "median", "99 %", "x EVAL"), lags
    )
    return f"{first}\n{second}"


def _cost(timing: Timing, plain: Timing) -> tuple[str, str]:
    """The median of a write, and how many times a plain one that is."""
    return f"{Spread.of(timing.cpu).middle / 1000:.0f} us", str(timing.ratio_to(plain))


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coherence", description=__doc__)
    parser.add_argument("--rounds", type=int, default=31, help="interleaved rounds per table (default 31)")
    parser.add_argument("--listen", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.listen:
        listen(options.listen)
    else:
        print(asyncio.run(run(options.rounds)))


if __name__ == "__main__":
    main()
