"""What the processes of a test share: a database that loaders read, lines to Redis, a common start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from tests.histories.history import Event, Record, Settled
from tests.histories.lag import Lag
from tests.histories.line import Line, State
from tests.servers import RedisServer

T = TypeVar("T")

TURNS: Final = 10
"""Turns of the event loop in which a line accepts, reads and hands on whatever had been sent to it before them."""
ROUNDS: Final = 4
"""Questions in a row after which Redis has accepted, read and executed what was there before them."""
PROBE_SECONDS: Final = 0.05


class Load(NamedTuple):
    """One run of a loader: in which process, and when."""

    process: int
    at: int


class Ground:
    """The shared parts; use it as a context manager.

    Args:
        server: The Redis, which may be away at times.
        directory: Where the socket of the database is.
        processes: How many processes will say that they are ready.

    Attributes:
        path: Of the socket.
        records: What was seen here: probes, and what happened.
        loads: Who ran a loader, in order.
        begun: How many processes have said that all their callers ask or wait.
        lag: How late this thread is.
    """

    def __init__(self, server: RedisServer, directory: Path, processes: int) -> None:
        self.path = directory / "ground"
        self.records: list[Record] = []
        self.loads: list[Load] = []
        self.begun = 0
        self.lag = Lag()
        self._released = 0
        self.lines = [Line(server.port) for _ in range(processes)]
        self._server = server
        self._waited_for = processes
        self._rows: dict[str, tuple[str, int]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ground", daemon=True)
        self._answers: dict[str, Callable[[dict[str, Any]], Awaitable[Any]]] = {
            "ready": self._ready,
            "read": self._read,
            "change": self._change,
            "begun": self._begin,
            "load": self._load,
        }

    # --- life ---------------------------------------------------------------------------------------

    def __enter__(self) -> Ground:
        self._thread.start()
        self.run(self._start())
        return self

    async def _start(self) -> None:
        self._go, self._release = asyncio.Event(), asyncio.Condition()
        self._listening = await asyncio.start_unix_server(self._serve, self.path)
        for line in self.lines:
            await line.start()
        self._probing, self._lagging = asyncio.create_task(self._probe()), self.lag.start()

    def __exit__(self, *error: object) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._listening.close()
        for line in self.lines:
            await line.stop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(TURNS):  # what is being closed gets closed
            await asyncio.sleep(0)

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """What `doing` answers, done in the thread."""
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(60)

    # --- from the test ------------------------------------------------------------------------------

    def note(self, what: str) -> None:
        """Something happens now."""
        self.records.append(Event(time.monotonic_ns(), what))

    @contextlib.contextmanager
    def line(self, process: int, state: State) -> Iterator[None]:
        """The line of a process is in that state inside, and open after."""
        self.note(f"the line of process {process} is {state}")
        self.run(self._turn(process, state))
        try:
            yield
        finally:
            self.run(self._turn(process, "open"))
            self.note(f"the line of process {process} is open")

    async def _turn(self, process: int, state: State) -> None:
        self.lines[process].turn(state)

    @property
    def has_begun(self) -> bool:
        """Whether every process has said that it is ready."""
        return self._go.is_set()

    # --- the database -------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                question = json.loads(line)
                answer = await self._answers[question["do"]](question)
                writer.write(json.dumps(answer).encode() + b"\n")
        except (OSError, asyncio.CancelledError):  # a process that was killed; the end
            pass
        finally:
            writer.close()

    async def _ready(self, _: dict[str, Any]) -> str:
        self._waited_for -= 1
        if not self._waited_for:
            self._go.set()
        await self._go.wait()
        return "go"

    async def _read(self, question: dict[str, Any]) -> str:
        return self._rows.setdefault(question["key"], (initial(question["key"]), 0))[0]

    async def _change(self, question: dict[str, Any]) -> int:
        _, version = self._rows.get(question["key"], ("", 0))
        self._rows[question["key"]] = (question["value"], version + 1)
        return version + 1

    # --- loads that a test holds up -----------------------------------------------------------------

    async def _begin(self, _: dict[str, Any]) -> None:
        self.begun += 1

    async def _load(self, question: dict[str, Any]) -> str:
        self.loads.append(Load(question["process"], time.monotonic_ns()))
        number = len(self.loads)
        async with self._release:
            await self._release.wait_for(lambda: self._released >= number)
        return f"{question['process']}:{number}"

    async def _let_end(self, loads: int) -> None:
        async with self._release:
            self._released = loads
            self._release.notify_all()

    def release(self, loads: int) -> None:
        """Let that many loads end, counted from the first; others are held up."""
        self.run(self._let_end(loads))

    # --- what is settled ----------------------------------------------------------------------------

    async def _probe(self) -> None:
        """Again and again: after some turns and some answers, what had been sent before them is settled."""
        while True:
            began = time.monotonic_ns()
            for _ in range(TURNS):
                await asyncio.sleep(0)
            clear = [number for number, line in enumerate(self.lines) if line.state != "cut" and line.is_clear]
            if await self._asked():
                ended = time.monotonic_ns()
                self.records += [Settled(number, began, ended) for number in clear]
            await asyncio.sleep(PROBE_SECONDS)

    async def _asked(self) -> bool:
        """Whether Redis has answered some questions in a row, on a connection of the test's own."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._server.socket_path)
        except OSError:
            return False
        try:
            for _ in range(ROUNDS):
                writer.write(b"PING\r\n")
                if await reader.readline() != b"+PONG\r\n":
                    return False
        except OSError:
            return False
        finally:
            writer.close()
        return True


def initial(key: str) -> str:
    """What the database holds before anybody changed it."""
    return f"initial:{key}"


class Phone:
    """A process's connection to the ground.

    Args:
        path: Of its socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = asyncio.Lock()

    async def open(self) -> Phone:
        """Connect."""
        self._reader, self._writer = await asyncio.open_unix_connection(self._path)
        return self

    async def ask(self, do: str, **facts: Any) -> Any:
        """The answer to one question; it is let finish, so that nobody gets the answer to another's."""
        return await asyncio.shield(asyncio.ensure_future(self._ask(do, facts)))

    async def _ask(self, do: str, facts: dict[str, Any]) -> Any:
        async with self._lock:
            self._writer.write(json.dumps({"do": do, **facts}).encode() + b"\n")
            return json.loads(await self._reader.readline())

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
