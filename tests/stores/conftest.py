"""Who listens to a store's message in these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from otcache.exceptions import StoreError
from otcache.stores.base import Subscription
from otcache.stores.redis.store import RedisStore


def message(keys: Sequence[str]) -> bytes:
    """News of keys, for tests."""
    return b"k " + ",".join(keys).encode()


@dataclass
class Ear:
    """A subscription and what it has told."""

    subscription: Subscription = field(init=False)
    heard: list[bytes] = field(default_factory=list)
    lost: list[StoreError] = field(default_factory=list)

    async def all(self) -> list[bytes]:
        """What was published until now, each message once."""
        await self.subscription.ping()
        return list(dict.fromkeys(self.heard))


Listen = Callable[[RedisStore], Awaitable[Ear]]


def ear_of(store: RedisStore) -> Ear:
    """A subscription that is not open yet; the test closes it."""
    ear = Ear()
    ear.subscription = store.subscribe(ear.heard.append, ear.lost.append)
    return ear


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Opens subscriptions; closed after the test."""
    ears: list[Ear] = []

    async def begin(store: RedisStore) -> Ear:
        ears.append(ear_of(store))
        await ears[-1].subscription.open()
        return ears[-1]

    yield begin
    for ear in ears:
        await ear.subscription.close()
