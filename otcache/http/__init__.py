"""Cache whole responses of FastAPI endpoints, with the headers of HTTP caching."""

from __future__ import annotations

import warnings
from typing import Any

try:
    import fastapi  # noqa: F401
except ImportError as exc:  # pragma: no cover  shown by a test in a process of its own
    raise ImportError('otcache.http needs FastAPI: pip install "otcache[fastapi]"') from exc

from otcache.dependencies import _application
from otcache.http._endpoint import cached_endpoint
from otcache.http._input_free import input_free
from otcache.http._order import check_routes
from otcache.http._reach import check_application
from otcache.http._start import tell_unknown

__all__ = ["cached_endpoint", "input_free"]

_application.start_checks.extend([check_routes, check_application, tell_unknown])


def __getattr__(name: str) -> Any:
    if name != "cache_response":
        raise AttributeError(f"module 'otcache.http' has no attribute {name!r}")
    warnings.warn(
        "otcache.http.cache_response is called cached_endpoint now; cache_response is the method of an AI cache alone",
        DeprecationWarning,
        stacklevel=2,
    )
    return cached_endpoint
