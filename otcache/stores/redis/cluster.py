"""How commands reach the nodes of a Redis Cluster: slots, redirections and failover.

Each node is served by redis-py's ordinary client. redis-py's `RedisCluster` can't be used under a deadline that
cancels: it asks a node that hangs for ever, its replica's takeover notwithstanding, and before redis-py 6 each
cancelled call costs it a connection for good (both measured, redis-py 8.1.0 and 5.2.1).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError

from otcache.stores.redis.client import Command, pipeline, run
from otcache.stores.redis.errors import server_prefix
from otcache.stores.redis.target import Address, RedisTarget, drop, new_client, usage

SLOTS: Final = 16384
HOPS: Final = 5
"""Redirections followed for one command."""
RELEARN_SECONDS: Final = 1.0
"""Least time between two reads of the slot map while the old one still serves."""

_KEY_AT: Final = {"EVAL": 3, "EVALSHA": 3}
_KEYLESS: Final = frozenset({"PING", "TIME"})


class _Redirect(NamedTuple):
    """A node's answer that another node holds the slot: permanently (MOVED), or for this command (ASK)."""

    ask: bool
    slot: int
    address: Address


class ClusterLink:
    """A client per node, and which of them holds which slot.

    The map is read again when a node fails, hangs or redirects; the node asked for it is the one whose last
    failure is the oldest, so one that hangs costs one call and not every call.
    """

    def __init__(self, target: RedisTarget) -> None:
        self._target = target
        self._clients: dict[Address, Redis] = {}
        self._owners: list[Address | None] = []
        self._primaries: list[Address] = []
        self._known: list[Address] = list(target.hosts)
        self._failed: dict[Address, float] = {}
        self._stale = True
        self._learnt = 0.0
        self._learning = asyncio.Lock()

    # --- commands -----------------------------------------------------------------------------------

    async def execute(self, *command: Any) -> Any:
        await self._ensure_map()
        address = self._owner(command)
        asking = False
        hops = 0
        while True:
            try:
                return await self._ask(address, command) if asking else await self.execute_at(address, *command)
            except ResponseError as exc:
                redirect = _redirect(exc, address)
                if redirect is None and server_prefix(exc) == "TRYAGAIN" and _has_lock(command):
                    command, asking = _without_lock(command), False
                    continue
                if redirect is None or hops == HOPS:
                    raise
            self._follow(redirect)
            address, asking, hops = redirect.address, redirect.ask, hops + 1

    async def execute_at(self, place: Address, *command: Any) -> Any:
        with self._watch(place):
            return await run(self._client(place), *command)

    async def _ask(self, address: Address, command: Command) -> Any:
        with self._watch(address):
            _, answer = await pipeline(self._client(address), [("ASKING",), command])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def batch(self, commands: Sequence[Command]) -> list[Any]:
        await self._ensure_map()
        groups: dict[Address, list[int]] = {}
        for position, command in enumerate(commands):
            groups.setdefault(self._owner(command), []).append(position)
        answers: list[Any] = [None] * len(commands)
        if len(groups) == 1:
            [(address, positions)] = groups.items()
            await self._batch_at(address, positions, commands, answers)
            return answers
        async with asyncio.TaskGroup() as tasks:
            for address, positions in groups.items():
                tasks.create_task(self._batch_at(address, positions, commands, answers))
        return answers

    async def _batch_at(
        self, address: Address, positions: list[int], commands: Sequence[Command], answers: list[Any]
    ) -> None:
        """Put one node's answers in their places; its failure is the answer to each of its commands."""
        try:
            with self._watch(address):
                found = await pipeline(self._client(address), [commands[position] for position in positions])
        except Exception as exc:  # noqa: BLE001  whatever it is, it concerns this node's commands alone
            found = [exc] * len(positions)
        for position, answer in zip(positions, found, strict=True):
            moved = isinstance(answer, ResponseError) and (
                _redirect(answer, address) is not None or server_prefix(answer) == "TRYAGAIN"
            )
            answers[position] = await self._again(commands[position]) if moved else answer

    async def _again(self, command: Command) -> Any:
        try:
            return await self.execute(*command)
        except Exception as exc:  # noqa: BLE001  the answer to this command alone
            return exc

    def place(self, name: bytes) -> Address | None:
        return self._owners[key_slot(name)] if self._owners else None

    async def places(self) -> list[Address]:
        await self._ensure_map()
        return list(self._primaries)

    async def primaries(self) -> list[Address]:
        async with self._learning:
            await self._learn()
        return sorted(self._primaries)

    def _owner(self, command: Command) -> Address:
        name = command[0]
        if name in _KEYLESS:
            return min(self._primaries, key=self._failure)
        # no node serves this slot: any node says so better than we can
        return self._owners[key_slot(command[_KEY_AT.get(name, 1)])] or self._primaries[0]

    def _client(self, address: Address) -> Redis:
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = new_client(self._target, address)
        return client

    # --- the map ------------------------------------------------------------------------------------

    @contextmanager
    def _watch(self, address: Address) -> Iterator[None]:
        """Note that a node failed or hung (its call was cancelled), or that the cluster is being repaired."""
        try:
            yield
        except ResponseError as exc:
            self._stale = self._stale or server_prefix(exc) in ("CLUSTERDOWN", "READONLY")
            raise
        except BaseException:
            self._failed[address] = time.monotonic()
            self._stale = True
            raise

    def _failure(self, address: Address) -> float:
        return self._failed.get(address, 0.0)

    def _follow(self, redirect: _Redirect) -> None:
        if not redirect.ask:
            self._owners[redirect.slot] = redirect.address
            self._stale = True

    def _is_due(self) -> bool:
        return not self._owners or (self._stale and time.monotonic() - self._learnt >= RELEARN_SECONDS)

    async def _ensure_map(self) -> None:
        if not self._is_due():
            return
        async with self._learning:
            if self._is_due():
                await self._learn()

    async def _learn(self) -> None:
        """Read the slot map from the first node that gives it."""
        error: RedisError | None = None
        for address in sorted(dict.fromkeys([*self._known, *self._target.hosts]), key=self._failure):
            try:
                self._adopt(await self.execute_at(address, "CLUSTER", "SLOTS"), address)
            except RedisError as exc:
                error = exc
                continue
            return
        if error is not None:
            raise error

    def _adopt(self, ranges: Sequence[Sequence[Any]], asked: Address) -> None:
        owners: list[Address | None] = [None] * SLOTS
        nodes: dict[Address, bool] = {}
        for first, last, *holders in ranges:
            addresses = [_address(holder[0], holder[1], asked) for holder in holders]
            owners[first : last + 1] = [addresses[0]] * (last + 1 - first)
            nodes |= {address: False for address in addresses[1:] if address not in nodes} | {addresses[0]: True}
        if not nodes:
            raise ResponseError("CLUSTERDOWN no slot is served")
        self._owners, self._known = owners, list(nodes)
        self._primaries = [address for address, primary in nodes.items() if primary]
        self._failed = {address: at for address, at in self._failed.items() if address in nodes}
        self._stale, self._learnt = False, time.monotonic()
        self._forget_left()

    def _forget_left(self) -> None:
        """Cut what waits to nodes that have left; a call under way ends first."""
        for address in [address for address in self._clients if address not in self._known]:
            pool = self._clients[address].connection_pool
            drop(pool, idle_only=True)
            if not usage(pool)[0]:
                del self._clients[address]

    # --- connections --------------------------------------------------------------------------------

    def usage(self) -> tuple[int, int, int]:
        pools = [usage(client.connection_pool) for client in self._clients.values()]
        limit = self._target.max_connections * max(len(pools), 1)
        return sum(used for used, _ in pools), sum(idle for _, idle in pools), limit

    def drop(self, *, idle_only: bool = False) -> None:
        for client in self._clients.values():
            drop(client.connection_pool, idle_only=idle_only)


def _has_lock(command: Command) -> bool:
    return bool(command[0] == "EVAL" and command[2] == 2)


def _without_lock(command: Command) -> Command:
    """A script on its entry alone: while a slot moves, no command can have two keys of it that may be on two nodes."""
    return (*command[:2], 1, command[3], *command[5:])


def _redirect(exc: ResponseError, asked: Address) -> _Redirect | None:
    """Where `MOVED 3999 host:port` or `ASK …` points; `None` for any other error."""
    prefix = server_prefix(exc)
    if prefix not in ("MOVED", "ASK"):
        return None
    slot, _, address = str(exc).removeprefix(f"{prefix} ").partition(" ")
    host, _, port = address.rpartition(":")
    return _Redirect(prefix == "ASK", int(slot), _address(host, port, asked))


def _address(host: Any, port: Any, asked: Address) -> Address:
    """A node's address as CLUSTER SLOTS has it; a node that does not know its own host is where it was asked."""
    name = host.decode() if isinstance(host, bytes) else host
    return (asked[0] if name in (None, "", "?") else name), int(port)
