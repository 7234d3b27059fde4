"""How a load behaves: as the configuration says, and as one call wants it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from otcache.config import CacheConfig
from otcache.config.model import facts_of
from otcache.exceptions import ValidationError
from otcache.telemetry.record import StaleCandidate
from otcache.ttl import ttl_seconds


@dataclass(frozen=True, slots=True)
class LoadPolicy:
    """How one load behaves: the options of `Cache.get_or_set`, which describes them, with no `None` left to fill in.

    `negative_ttl` alone may be `None`, for the ordinary `ttl`.
    """

    ttl: float
    stale_ttl: float
    soft_timeout: float
    timeout: float
    negative_ttl: float | None
    early_refresh: float
    ttl_jitter: float

    @classmethod
    def of(cls, config: CacheConfig) -> LoadPolicy:
        """Return the policy that the configuration describes."""
        given = {field.name: getattr(config, _option(field.name)) for field in fields(cls)}
        return cls(**{name: check_option(name, value) for name, value in given.items()})

    def allowed(self, candidate: StaleCandidate | None) -> StaleCandidate | None:
        """Return the stale candidate if it is within `stale_ttl`."""
        return candidate if candidate is not None and candidate.past <= self.stale_ttl else None

    def varied(self, **wanted: Any) -> LoadPolicy:
        """Return this policy with those options of `wanted` that are not `None`.

        Raises:
            ValidationError: A value has the wrong type or is outside its range.
        """
        chosen = {name: check_option(name, value) for name, value in wanted.items() if value is not None}
        return replace(self, **chosen) if chosen else self


def _option(name: str) -> str:
    """Return the option that a parameter takes its default and its range from."""
    return {"ttl": "default_ttl", "soft_timeout": "loader_soft_timeout", "timeout": "loader_timeout"}.get(name, name)


_CONFIGURED: Final = {field.name: field for field in fields(CacheConfig)}
_FACTS: Final = {field.name: facts_of(_CONFIGURED[_option(field.name)]) for field in fields(LoadPolicy)}


def check_option(name: str, value: Any) -> Any:
    """Return the value of an option, a time to live as seconds; what is no option of a load is returned as it is.

    Raises:
        ValidationError: It has the wrong type or is outside its range.
    """
    if value is None or name not in _FACTS:
        return value
    if name.endswith("ttl"):
        return ttl_seconds(value, name)
    facts = _FACTS[name]
    allowed = f"{facts.range} {facts.unit}".strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValidationError(f"{name} is {value.__class__.__name__}, not a number of {allowed} or None")
    if facts.low is None or facts.high is None or not facts.low <= value <= facts.high:  # also NaN
        raise ValidationError(f"{name}={value} is outside {allowed}", {name: value})
    return value


@dataclass(frozen=True, slots=True)
class Request:
    """What one caller of `get_or_set` wants; `kind` is the declared type of the value, if it needs one."""

    key: str
    loader: Callable[[], Any]
    policy: LoadPolicy
    kind: Any = None
    tags: tuple[str, ...] = ()
    forced: bool = False
    template: str | None = None


class Addressed:
    """A value that says itself for whom it is: a caller for whom it is not sees that, and doesn't use it."""

    __slots__ = ()
