"""Where entries are kept: what a store must do, and how a scheme of URLs gets one (docs/stores.md)."""

from otcache.stores.base import (
    Backend,
    ByteStore,
    ChangeChannel,
    ChangeMessage,
    InvalidationRows,
    Invalidations,
    LocalClock,
    Location,
    LockAttempt,
    Locks,
    ServerFacts,
    StoreClock,
    Subscription,
)
from otcache.stores.registry import check_url, open_store, register_store

__all__ = [
    "Backend",
    "ByteStore",
    "ChangeChannel",
    "ChangeMessage",
    "InvalidationRows",
    "Invalidations",
    "LocalClock",
    "Location",
    "LockAttempt",
    "Locks",
    "ServerFacts",
    "StoreClock",
    "Subscription",
    "check_url",
    "open_store",
    "register_store",
]
