"""One call's wish for a value: where it is, how it is made, and how long one may wait for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from otcache.loads.policy import LoadPolicy


@dataclass(frozen=True, slots=True)
class Request:
    """What one caller wants.

    Attributes:
        key: Where the value is.
        loader: What makes it.
        policy: How its load behaves.
        kind: The declared type of the value, if it needs one.
        tags: Of the value.
        forced: Whether it has to be made anew.
        template: The shape of the key, for telemetry.
    """

    key: str
    loader: Callable[[], Any]
    policy: LoadPolicy
    kind: Any = None
    tags: tuple[str, ...] = ()
    forced: bool = False
    template: str | None = None
