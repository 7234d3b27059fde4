"""What is not installed is left out and named; nothing crashes."""

from __future__ import annotations

import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.exceptions import ConnectionError as RedisConnectionError

from benchmarks import catalogue, peers, redis_benchmark, server
from benchmarks.peers import redis_py
from benchmarks.setting import Setting
from benchmarks.targets import TARGETS
from benchmarks.workloads import codecs, hits, redis_hits
from tests.benchmarks_suite.conftest import Settings
from tests.servers import require

pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")  # cashews and aiocache do
PACKAGES = {
    "cashews": "cashews",
    "aiocache": "aiocache",
    "fastapi-cache2": "fastapi_cache",
    "dogpile.cache": "dogpile.cache",
}


def uninstall(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let importing these, and what was imported of them, fail as if they were not there."""
    for package in packages:
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.parametrize("name", peers.MODULES)
def test_a_peer_that_is_not_installed_is_named_with_the_way_to_install_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, f"benchmarks.peers.{peers.MODULES[name]}", raising=False)
    uninstall(monkeypatch, PACKAGES[name])

    module, missing = peers.load(name)

    assert module is None
    assert missing.endswith('pip install "otcache[bench]"')


async def test_without_any_peer_a_run_has_the_other_rows_and_says_what_is_missing(settings: Settings) -> None:
    setting = settings(without=frozenset(peers.MODULES))

    results = await catalogue.run(["hit", "decorated", "redis"], setting, rounds=1)

    assert hits.UNSAMPLED_HIT in results.groups["hit"]
    assert results.groups["hit"].keys().isdisjoint(peers.MODULES)
    assert results.absent.keys() >= set(peers.MODULES)
    assert {target.verdict(results) for target in TARGETS if target.group == "redis"} == {"left out"}


async def test_otcache_need_not_silence_the_instrumentation_of_another_row(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.instrumentation.redis", raising=False)

    async with setting.stack:
        cases = await redis_hits.build_single(setting)

    assert redis_hits.INSTRUMENTED in cases or setting.absent[redis_hits.INSTRUMENTED]
    assert "opentelemetry.instrumentation.redis" not in sys.modules


async def test_an_instrumented_client_makes_spans(setting: Setting) -> None:
    spans, tracers = InMemorySpanExporter(), TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    assert setting.port is not None
    async with setting.stack:
        client, missing = redis_py.instrumented(setting.stack, setting.port, tracers)
        if client is None:
            require("the instrumentation of redis-py", missing)

        await client.get("key")

    assert [span.name for span in spans.get_finished_spans()] == ["GET"]


async def test_without_its_instrumentation_redis_py_is_measured_bare(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninstall(monkeypatch, "opentelemetry.instrumentation.redis")

    async with setting.stack:
        cases = await redis_hits.build_single(setting)

    assert redis_hits.BARE in cases
    assert redis_hits.INSTRUMENTED not in cases
    assert "pip install" in setting.absent[redis_hits.INSTRUMENTED]


async def test_without_their_packages_the_other_codecs_are_measured(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninstall(monkeypatch, "msgspec", "zstandard", "cryptography")

    cases = await codecs.build_decode(2_000, setting)

    assert list(cases) == [codecs.JSON, codecs.ORJSON, "zlib, decompressing", "otcache, checksum", "otcache, signature"]
    assert setting.absent.keys() == {"msgspec", "zstandard", "cryptography"}


def test_without_redis_benchmark_the_limit_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    case, missing = redis_benchmark.case(6379, "key", 1)

    assert case is None
    assert missing.endswith(redis_benchmark.INSTALL)


@pytest.mark.parametrize("output", ['"test","rps"\n"GET key","48780.49"\n', '"GET key","48780.49"\n'])
def test_the_output_of_old_and_new_versions_of_it_is_read(output: str) -> None:
    assert redis_benchmark.requests_per_second(output) == 48780.49


async def test_a_run_starts_a_server_of_its_own_and_ends_it() -> None:
    async with server.redis() as port:
        assert port is not None
        async with (setting := Setting(port)).stack:
            client = redis_py.connect(setting.stack, port)
            assert await client.ping()

    async with setting.stack:
        gone = redis_py.connect(setting.stack, port)
        with pytest.raises(RedisConnectionError):
            await gone.ping()
    setting.close()
