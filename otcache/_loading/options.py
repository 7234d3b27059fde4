"""How a load behaves: the configuration's say, and what one call wants otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from otcache.config import CacheConfig
from otcache.config.model import Facts, facts_of
from otcache.exceptions import ValidationError
from otcache.telemetry.record import StaleCandidate


@dataclass(frozen=True, slots=True)
class LoadPolicy:
    """How one load behaves; times are seconds.

    Attributes:
        ttl: How long the value is fresh; 0 for ever.
        stale_ttl: How long after that it may be given where no new one is to be had.
        soft_timeout: How long a caller who has a stale value waits for the new one; 0 not at all.
        timeout: After this the load is given up.
        negative_ttl: The `ttl` of a `None`; `None` for the ordinary one.
        early_refresh: How eagerly a hot value is loaded before its time is over; 0 never.
        ttl_jitter: Share by which `ttl` is shortened at random.
    """

    ttl: int
    stale_ttl: int
    soft_timeout: float
    timeout: float
    negative_ttl: int | None
    early_refresh: float
    ttl_jitter: float

    @classmethod
    def of(cls, config: CacheConfig) -> LoadPolicy:
        """What the configuration says."""
        return cls(**{name: getattr(config, option) for name, option in _OPTIONS.items()})

    def allowed(self, kept: StaleCandidate | None) -> StaleCandidate | None:
        """A stale value, if it is not staler than is wanted."""
        return kept if kept is not None and kept.past <= self.stale_ttl else None

    def varied(self, **wanted: Any) -> LoadPolicy:
        """The same with what is not `None` of `wanted`.

        Raises:
            ValidationError: A value has the wrong type or is outside its range.
        """
        chosen = {name: _checked(name, value) for name, value in wanted.items() if value is not None}
        return replace(self, **chosen) if chosen else self


_OPTIONS: Final = {
    "ttl": "default_ttl",
    "stale_ttl": "stale_ttl",
    "soft_timeout": "loader_soft_timeout",
    "timeout": "loader_timeout",
    "negative_ttl": "negative_ttl",
    "early_refresh": "early_refresh",
    "ttl_jitter": "ttl_jitter",
}
"""The option that gives the default of a parameter, and its range."""
_FACTS: Final[dict[str, Facts]] = {
    name: facts_of(field) for name, option in _OPTIONS.items() for field in fields(CacheConfig) if field.name == option
}
_WHOLE: Final = frozenset(["ttl", "stale_ttl", "negative_ttl"])


def _checked(name: str, value: Any) -> Any:
    facts = _FACTS[name]
    allowed = f"{facts.range} {facts.unit}".strip()
    kinds, noun = ((int,), "an integer") if name in _WHOLE else ((int, float), "a number")
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise ValidationError(f"{name} is {value.__class__.__name__}, not {noun} of {allowed} or None")
    if facts.low is None or facts.high is None or not facts.low <= value <= facts.high:  # also NaN
        raise ValidationError(f"{name}={value} is outside {allowed}", {name: value})
    return value


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
