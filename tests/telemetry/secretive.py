"""A program with secrets, run by test_no_secret_leaves: it does everything with them, and tells its telemetry."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import urllib.request
from typing import Any

import structlog

from otcache import AIResponseCache, CacheError, CacheFactory, GenericRedisCache, InMemoryCache, Providers
from otcache.cache import Cache
from otcache.telemetry import TelemetryHandle, setup
from tests.inside import forget

job: dict[str, str] = json.load(sys.stdin)
KEY, VALUE, TEXT = job["key"], job["value"], job["text"]


class Unknown:
    """A value that no cache takes, and whose `repr` tells what it holds."""

    def __repr__(self) -> str:
        return f"Unknown({VALUE})"


def fail(*arguments: Any) -> None:
    raise ValueError(f"no {arguments} for {KEY}")


async def fail_later(*arguments: Any) -> None:
    raise ValueError(f"no {arguments} for {KEY}")


async def use(cache: Cache) -> None:
    for callback in (fail, fail_later):
        for event in ("get_success", "get_miss", "set_success", "delete_success"):
            cache.register_callback(event, callback)
    await cache.get(KEY)
    await cache.set(KEY, VALUE)
    forget(cache)
    await cache.get(KEY)
    await cache.get(KEY)
    await cache.get_many([KEY, f"{KEY}:2"])
    await cache.set_many({KEY: VALUE, f"{KEY}:2": VALUE * 2000})
    await cache.touch(KEY)
    await cache.exists(KEY)
    await cache.get_ttl(KEY)
    await cache.delete(KEY)
    for refused in (
        lambda: cache.set(KEY, Unknown()),
        lambda: cache.set(KEY, VALUE, ttl=-1),
        lambda: cache.get(KEY * 999),
    ):
        with contextlib.suppress(CacheError):
            await refused()
    await cache.delete_many([KEY])
    await cache.clear()
    await cache.close()


async def use_ai(providers: Providers) -> None:
    async with AIResponseCache(redis_url=job["url"], name="ai", providers=providers, timeout=5.0) as cache:
        await cache.cache_response(TEXT, "sum", {"for": VALUE}, {"summary": VALUE}, usage={"input": 7})
        await cache.get_cached_response(TEXT, "sum", {"for": VALUE})


def log(cache: Cache) -> None:
    """What an application might say by mistake."""
    structlog.get_logger("shop").info("connecting", url=job["url"], password=job["password"])
    logging.getLogger("shop").warning("AUTH %s failed, cache %r", job["password"], cache.config)
    try:
        raise ConnectionError(f"can't reach {job['url']}")
    except ConnectionError:
        logging.getLogger("shop").exception("away")


async def main(providers: Providers) -> None:
    options: dict[str, Any] = {"providers": providers, "timeout": 5.0, "writer_links": True, "callback_spans": True}
    cache = GenericRedisCache(redis_url=job["url"], name="shop", **options)
    await cache.connect()
    log(cache)
    await use(cache)
    await use(InMemoryCache(name="memory", providers=providers))
    await use_ai(providers)
    for url in (job["wrong"], job["away"]):
        refused = GenericRedisCache(redis_url=url, name="away", **options | {"timeout": 0.5})
        await use(refused)
        with contextlib.suppress(CacheError):
            await CacheFactory().for_web_app(url, fail_on_connection_error=True, timeout=0.5)


def page(handle: TelemetryHandle) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{handle.metrics_port}/")
    request.add_header("Accept", "application/openmetrics-text; version=1.0.0")
    with urllib.request.urlopen(request) as answer:
        found: bytes = answer.read()
    return found


# the page of one SDK, the exports of another; the caches tell both in turn
exported = setup("shop", endpoint=job["endpoint"], protocol="http/protobuf")
shown = setup("shop", "prometheus", metrics_port=0, set_global=False, configure_logging=False)
for each in (exported, shown):
    asyncio.run(main(Providers(each.tracer_provider, each.meter_provider, each.logger_provider)))
sys.stdout.buffer.write(page(shown))
exported.shutdown()
shown.shutdown()
