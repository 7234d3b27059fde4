"""How commands reach one server, or the master that Sentinel names."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from redis.asyncio import ConnectionPool, Redis

from otcache.stores.redis.target import (
    Address,
    RedisTarget,
    drop,
    master_address,
    new_client,
    new_sentinel_client,
    usage,
)

Command = tuple[Any, ...]
"""A command's name and its arguments, the key first."""


class Link(Protocol):
    """The connections of one event loop. Its methods raise whatever redis-py raises."""

    def execute(self, *command: Any) -> Awaitable[Any]:
        """The answer to one command, from the server of its key if it has one."""

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to many commands, one round trip per server; an error stands in its command's place."""

    def place(self, name: bytes) -> Address | None:
        """Which server has the key of that name, as far as is known."""

    async def places(self) -> list[Address]:
        """Every server that holds keys."""

    async def execute_at(self, place: Address, *command: Any) -> Any:
        """The answer of one of `places`."""

    async def primaries(self) -> list[Address]:
        """Every server that messages come from, looked up again; no round trip for a server that can't change."""

    def usage(self) -> tuple[int, int, int]:
        """Connections in use, open ones that wait, and the most there can be."""

    def drop(self, *, idle_only: bool = False) -> None:
        """Cut the connections at once."""


def run(client: Redis, *command: Any) -> Awaitable[Any]:
    """The answer to one command; in one place, because redis-py gives this method no types."""
    answer: Awaitable[Any] = client.execute_command(*command)  # type: ignore[no-untyped-call]
    return answer


async def pipeline(client: Redis, commands: Sequence[Command]) -> list[Any]:
    """The answers to `commands` in one round trip; an error reply stands in its command's place."""
    pipe = client.pipeline(transaction=False)
    for command in commands:
        pipe.execute_command(*command)
    answers: list[Any] = await pipe.execute(raise_on_error=False)
    return answers


class ServerLink:
    """One server behind one pool.

    Attributes:
        execute: redis-py's own method: a GET is to pass through no function more than it must.
    """

    def __init__(self, target: RedisTarget) -> None:
        self._target = target
        self._pools: list[ConnectionPool]
        if target.kind == "sentinel":
            self._client, self._pools = new_sentinel_client(target)
        else:
            self._client = new_client(target)
            self._pools = [self._client.connection_pool]
        self.execute: Callable[..., Awaitable[Any]] = self._client.execute_command

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        return await pipeline(self._client, commands)

    def place(self, name: bytes) -> Address | None:  # noqa: ARG002  there is only one
        return None

    async def places(self) -> list[Address]:
        return [("", 0)]

    async def execute_at(self, place: Address, *command: Any) -> Any:  # noqa: ARG002  there is only one
        return await run(self._client, *command)

    async def primaries(self) -> list[Address]:
        if self._target.kind == "sentinel":
            return [await master_address(self._client)]
        return [next(iter(self._target.hosts), ("", 0))]

    def usage(self) -> tuple[int, int, int]:
        return *usage(self._pools[0]), self._target.max_connections

    def drop(self, *, idle_only: bool = False) -> None:
        for pool in self._pools:
            drop(pool, idle_only=idle_only)
