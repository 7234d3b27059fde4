"""Cache whole responses of FastAPI endpoints, with the headers of HTTP caching."""

from __future__ import annotations

try:
    import fastapi  # noqa: F401
except ImportError as exc:  # pragma: no cover  shown by a test in a process of its own
    raise ImportError('otcache.http needs FastAPI: pip install "otcache[fastapi]"') from exc

from otcache.http._endpoint import cache_response

__all__ = ["cache_response"]
