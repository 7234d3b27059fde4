"""The closed sets of values that the code itself tells apart; attributes of the catalogue take theirs from here."""

from __future__ import annotations

from typing import Literal

Operation = Literal[
    "get", "get_many", "set", "set_many", "delete", "delete_many",
    "contains", "get_ttl", "touch", "invalidate", "clear", "purge", "ping", "get_or_set",
]  # fmt: skip
Result = Literal["hit", "stale", "partial", "miss", "bypass", "ok", "noop", "dropped", "error", "cancelled"]
ResponseResult = Literal["hit", "stale", "miss", "bypass"]
Tier = Literal["l1", "l2", "loader", "none"]
MissReason = Literal[
    "none", "absent", "expired", "evicted", "deleted", "invalidated", "decode_error", "backend_unavailable", "changed"
]  # fmt: skip
LoadTrigger = Literal["miss", "revalidate", "eager", "forced"]
WriteReason = Literal["set", "backfill", "load", "refresh", "refused"]
CoalesceScope = Literal["process", "distributed"]
CoalesceOutcome = Literal["value", "stale", "timeout", "error", "cancelled"]
CoalesceRole = Literal["leader", "waiter"]
StaleReason = Literal["revalidating", "loader_error", "loader_timeout", "backend_unavailable"]
DegradedReason = Literal["circuit_open", "timeout", "connection", "auth", "server_error", "codec"]
Purpose = Literal["read", "write", "delete", "health", "tag", "lock"]
