"""What a loader may return, and what a caller is told about a value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Status = Literal["fresh", "stale", "loaded"]
StaleReason = Literal["revalidating", "loader_error", "loader_timeout", "backend_unavailable"]


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T_co]):
    """A loader's value with a say of its own.

    Attributes:
        value: The value.
        ttl: Seconds to keep it; `None` takes the caller's.
        tags: Beside the caller's.
        store: Whether it may be kept at all.
    """

    value: T_co
    ttl: int | None = None
    tags: Iterable[str] = ()
    store: bool = True


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """A value and how it came.

    Attributes:
        value: The value.
        status: fresh (it was there), stale (past its time to live) or loaded.
        age: Seconds since it was made; `None` if nobody noted that.
        left: Seconds it stays fresh; negative for a stale one, `None` for ever.
        tier: Who had it: l1, l2 or loader.
        stale_reason: Why a stale value was given; `None` otherwise.
    """

    value: T_co
    status: Status
    age: float | None
    left: float | None
    tier: Literal["l1", "l2", "loader"]
    stale_reason: StaleReason | None = None


Loader = Callable[[], T | Loaded[T] | Awaitable[T | Loaded[T]]]
