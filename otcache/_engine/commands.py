"""What L2 asks its store for: the name of each command in telemetry, and its purpose."""

from __future__ import annotations

from typing import Final, NamedTuple

from otcache.telemetry.catalog.values import Purpose


class Command(NamedTuple):
    """One kind of call.

    Attributes:
        name: `db.operation.name`.
        purpose: `otcache.purpose`; before a `read` or a `lock`, L2 has to be repaired.
        batch: Commands in a pipeline.
        sent: Payload bytes written.
    """

    name: str
    purpose: Purpose
    batch: int | None = None
    sent: int = 0


READ: Final = Command("GET", "read")
READ_MANY: Final = Command("MGET", "read")
CONTAINS: Final = Command("EXISTS", "read")
LEFT: Final = Command("PTTL", "read")
REMOVE: Final = Command("UNLINK", "delete")
SCAN: Final = Command("SCAN", "delete")
INVALIDATE: Final = Command("EVAL", "tag")
VERSIONS: Final = Command("EVAL", "tag")
LOCK: Final = Command("PIPELINE", "lock", batch=2)
SEIZE: Final = Command("SET", "lock")
RENEW: Final = Command("EVAL", "lock")
UNLOCK: Final = Command("EVAL", "lock")
PING: Final = Command("PING", "health")
CLOCK: Final = Command("TIME", "health")
