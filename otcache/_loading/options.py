"""How a load behaves: as the configuration says, and as one call wants it."""

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
        stale_ttl: How long after that the value may be served stale.
        soft_timeout: How long a caller with a stale value waits for the new one; 0 not at all.
        timeout: How long the loader may run.
        negative_ttl: The `ttl` of a `None`; `None` for the ordinary one.
        early_refresh: How eagerly a hot value is refreshed before it expires; 0 never.
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
        """Return the policy that the configuration describes."""
        return cls(**{name: getattr(config, option) for name, option in _OPTIONS.items()})

    def allowed(self, candidate: StaleCandidate | None) -> StaleCandidate | None:
        """Return the stale candidate if it is within `stale_ttl`."""
        return candidate if candidate is not None and candidate.past <= self.stale_ttl else None

    def varied(self, **wanted: Any) -> LoadPolicy:
        """Return this policy with those options of `wanted` that are not `None`.

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
"""The option that a parameter takes its default and its range from."""
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
    """What one caller of `get_or_set` wants.

    Attributes:
        key: The key.
        loader: Produces the value.
        policy: How the load behaves.
        kind: The declared type of the value, if it needs one.
        tags: The tags of the value.
        forced: Whether to load although the value may be cached.
        template: The shape of the key, for telemetry.
    """

    key: str
    loader: Callable[[], Any]
    policy: LoadPolicy
    kind: Any = None
    tags: tuple[str, ...] = ()
    forced: bool = False
    template: str | None = None
