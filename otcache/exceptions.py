"""The errors a caller can see, and the HTTP status of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CacheError(Exception):
    """The base of every error that otcache raises.

    Attributes:
        message: What happened, with the name and the allowed range.
        context: Facts that are safe to log: never a key, a value or a password.
    """

    def __init__(self, message: str, context: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.context: dict[str, Any] = dict(context or {})


class ConfigurationError(CacheError):
    """The configuration can't work: a bad source, a missing piece, or parts that contradict each other."""


class UnsupportedError(ConfigurationError, NotImplementedError):
    """This cache can't do what was asked of it: it is another's implementation of the four documented methods."""


class ValidationError(CacheError, ValueError):
    """An argument has the wrong type, or lies outside its range."""


class InfrastructureError(CacheError):
    """A service that the cache needs can't be reached."""


class LoadTimeout(InfrastructureError):  # noqa: N818  as the API has it
    """A load took longer than its `timeout`, and there was no stale value to give instead."""


class DecodeError(Exception):
    """A payload can't be decoded: damaged, foreign, or of a type that is not known here. Never leaves the package.

    Its message never contains the payload, the key or the value.
    """


class SealError(DecodeError):
    """A payload whose seal is not right: changed, of another key or cache, or not signed or encrypted by our secret."""


class StoreError(Exception):
    """A far store could not do one round trip. Never leaves the package.

    Attributes:
        reason: Why, from the closed set of `otcache.degraded.reason`.
        error_type: For `error.type`: the server's error prefix, or the client's class.
        counts: Whether it says that the server is away (the breaker counts it).
    """

    def __init__(self, reason: str, error_type: str, *, counts: bool) -> None:
        super().__init__(f"{reason}: {error_type}")
        self.reason = reason
        self.error_type = error_type
        self.counts = counts


_STATUS: tuple[tuple[type[CacheError], int], ...] = (
    (ValidationError, 422),
    (ConfigurationError, 500),
    (InfrastructureError, 503),
)


def get_http_status_for_exception(exc: BaseException) -> int:
    """The HTTP status a service should answer with: 422, 500 or 503; 500 for everything else."""
    return next((status for kind, status in _STATUS if isinstance(exc, kind)), 500)
