"""What one request looks like in a trace: an application's span, the cache's below it, a callback that adds to it."""

from __future__ import annotations

import asyncio

from opentelemetry import trace

from otcache import InMemoryCache
from otcache.testing import capture_telemetry


def note_tenant(key: str) -> None:
    """Runs inside the operation's span, which a callback may add to."""
    trace.get_current_span().set_attribute("app.tenant", key.partition(":")[0])


async def main() -> None:
    """A miss, a write and a hit under one request."""
    with capture_telemetry() as telemetry:
        cache = InMemoryCache(name="users", providers=telemetry.providers)
        cache.register_callback("get_miss", note_tenant)
        with telemetry.tracer_provider.get_tracer("app").start_as_current_span("GET /users/1"):
            await cache.get("acme:user:1")
            await cache.set("acme:user:1", {"name": "Ada"})
            await cache.get("acme:user:1")

        print(telemetry.span_tree())
        for span in telemetry.spans:
            print(span.name, dict(span.attributes))


if __name__ == "__main__":
    asyncio.run(main())
