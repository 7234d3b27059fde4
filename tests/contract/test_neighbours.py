"""Two services on one Redis: neither reads, changes, sweeps, locks or hears anything of the other's."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from otcache import GenericRedisCache
from otcache.telemetry import catalog
from otcache.testing import Capture, capture_telemetry
from tests.inside import forget
from tests.servers import RedisServer
from tests.telemetry.scenario import until

Options = dict[str, Any]
VALUES = {"set": 1, "deleted": 2, "tagged": 3, "users:1": 4, "kept": 5}
RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    with capture_telemetry() as captured:
        yield captured
        captured.assert_schema()


async def neighbour(environ: dict[str, str], **options: Any) -> dict[str, Any]:
    """What a cache in another process finds, before it changes everything it can."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contract.neighbour", json.dumps(options),
        env={**os.environ, **environ}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(said)
    return found


async def fill(cache: GenericRedisCache) -> None:
    for key, value in VALUES.items():
        await cache.set(key, value, tags=["tag"] if key == "tagged" else [])


def heard(telemetry: Capture) -> float:
    """Messages that have been received, of any kind."""
    points = telemetry.metrics()[catalog.MESSAGES.name]
    direction = catalog.MESSAGE_DIRECTION.name
    return sum(point.value for point in points if dict(point.attributes)[direction] == "receive")


@pytest.mark.parametrize(
    ("ours", "theirs", "environ", "database"),
    [
        ({}, {}, {"OTEL_SERVICE_NAME": "blog"}, 0),
        ({}, {}, {RESOURCE: "service.name=blog"}, 0),
        ({}, {}, {RESOURCE: "service.namespace=shop,service.name=blog"}, 0),
        ({"namespace": "shop"}, {}, {"OTCACHE_NAMESPACE": "blog"}, 0),
        ({"namespace": "a"}, {"namespace": "a/default"}, {}, 0),
        ({"namespace": "b:c"}, {"namespace": "c", "key_prefix": "{prefix}b:"}, {}, 0),
        ({}, {}, {}, 3),
        ({}, {"name": "other"}, {}, 0),
        ({}, {"key_prefix": "{prefix}default:"}, {}, 0),
        ({"key_prefix": "{prefix}x:default:"}, {"key_prefix": "{prefix}x:"}, {}, 0),
        ({"key_prefix": "{prefix}a"}, {"key_prefix": "{prefix}a:"}, {}, 0),
        ({"key_prefix": "{prefix}default@2:", "name": "lock"}, {}, {}, 0),
    ],
)
async def test_neighbours_have_nothing_in_common(
    ours: Options, theirs: Options, environ: dict[str, str], database: int, redis_server: RedisServer, prefix: str
) -> None:
    url = redis_server.url.removesuffix("/0")
    mine, its = (
        {"key_prefix": "{prefix}", "redis_url": f"{url}/{number}", **options}
        for number, options in ((0, ours), (database, theirs))
    )
    for options in (mine, its):
        options["key_prefix"] = options["key_prefix"].format(prefix=prefix)

    with capture_telemetry() as telemetry:
        async with GenericRedisCache(timeout=20.0, providers=telemetry.providers, **mine) as cache:
            await fill(cache)
            await until(lambda: heard(telemetry) == len(VALUES))
            found = await neighbour(environ, **its)

            assert set(found.values()) == {None}
            assert await cache.get_many(VALUES) == VALUES
            forget(cache)
            assert await cache.get_many(VALUES) == VALUES, "in Redis"
            assert await cache.get_or_set("locked", lambda: "loaded", timeout=5.0) == "loaded", "its lock"
            await until(lambda: heard(telemetry) > len(VALUES))
            assert heard(telemetry) == len(VALUES) + 1, "no message but of that load"


async def test_the_same_namespace_is_shared_by_services_that_set_it(
    redis_server: RedisServer, prefix: str, telemetry: Capture
) -> None:
    """What the table above would find, if it could find anything."""
    options: Options = {"key_prefix": prefix, "redis_url": redis_server.url, "namespace": "shop"}
    async with GenericRedisCache(timeout=20.0, providers=telemetry.providers, **options) as cache:
        await fill(cache)
        environ = {"OTCACHE_NAMESPACE": "shop", "OTEL_SERVICE_NAME": "blog"}

        found = await neighbour(environ, **{name: options[name] for name in ("key_prefix", "redis_url")})

        assert found == VALUES
        assert heard(telemetry) > 0
        assert await cache.get_many(VALUES) == {}
