"""redis-py itself: bare, and with its OpenTelemetry instrumentation. otcache needs it, so it is always there."""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any, Final

import orjson
from opentelemetry.trace import TracerProvider
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from benchmarks.peers import TIMEOUT

_INSTRUMENTATION: Final = "opentelemetry.instrumentation.redis"


def connect(stack: AsyncExitStack, port: int, timeout: float | None = TIMEOUT) -> Any:
    """A client with otcache's own settings: no retries, RESP2, and the same limit of time on every answer."""
    pool = ConnectionPool(
        host="127.0.0.1",
        port=port,
        max_connections=64,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    client = Redis(connection_pool=pool)
    stack.push_async_callback(pool.disconnect)
    stack.push_async_callback(client.aclose)
    return client


def instrumented(stack: AsyncExitStack, port: int, tracers: TracerProvider) -> tuple[Any, str]:
    """A client whose commands are spans, or `None` and the reason.

    The module is forgotten again: otcache silences a loaded instrumentor around each of its own calls, and must not
    pay for that in rows that have none. The client keeps what it needs.
    """
    was_loaded = _INSTRUMENTATION in sys.modules
    try:
        instrumentor = import_module(_INSTRUMENTATION).RedisInstrumentor
    except ImportError as exc:
        return None, f'{exc}; pip install "otcache[bench]"'
    client = connect(stack, port)
    instrumentor.instrument_client(client, tracer_provider=tracers)
    if not was_loaded:
        del sys.modules[_INSTRUMENTATION]
    return client, ""


def decoding(client: Any, *, fast: bool) -> Any:
    """GET and decode, with orjson (`fast`) or the standard library's json."""
    loads = orjson.loads if fast else json.loads

    async def get(key: str) -> Any:
        payload = await client.get(key)
        return None if payload is None else loads(payload)

    return get
