"""Where entries are kept: what a store must do, and how a scheme of URLs gets one (docs/stores.md)."""

from otcache._serialization.patterns import glob_matcher
from otcache._serialization.wire import WIRE_VERSION
from otcache.stores.base import (
    Announcements,
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
    "WIRE_VERSION",
    "Announcements",
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
    "glob_matcher",
    "open_store",
    "register_store",
]
