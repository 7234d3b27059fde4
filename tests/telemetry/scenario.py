"""A life of caches in small steps, in which everything that the catalogue lists is emitted at least once.

A new instrument gets a new step, or a line in one: an async function of a `Stage`, added to `STEPS`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import httpx
from fastapi import FastAPI
from opentelemetry._logs import NoOpLoggerProvider
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import Link, NoOpTracerProvider, Tracer

from otcache import (
    AIResponseCache,
    BenchmarkConfig,
    CachePerformanceBenchmark,
    GenericRedisCache,
    InMemoryCache,
    Providers,
    ValidationError,
    cached,
)
from otcache.cache import Cache
from otcache.config import AICacheConfig
from otcache.http import cached_endpoint
from otcache.regression._reporting.metrics import Verdicts
from otcache.regression._watch import Plan, StateFile, Watch
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.events import BURST
from otcache.telemetry._instrumentation.loads import MANY
from otcache.testing import ManualClock
from tests.inside import forget, loads_under_way
from tests.servers import RedisServer
from tests.telemetry.judged import PHASES, Service

Kept = TypeVar("Kept", bound=Cache)
NOWHERE: Final = Providers(NoOpTracerProvider(), NoOpMeterProvider(), NoOpLoggerProvider())
PATIENT: Final = 5.0
"""Seconds that a call may take where nothing is meant to go wrong, on a busy machine too."""


class Stage:
    """What steps play with: providers, a server of their own, and caches that live to the end.

    Args:
        providers: Of an SDK; where the caches report.
        server: A Redis that steps pause, fill, kill and start again.
        prefix: Of all keys.
    """

    def __init__(self, providers: Providers, server: RedisServer, prefix: str) -> None:
        self.providers = providers
        self.server = server
        self._prefix = prefix
        self._caches: list[Cache] = []

    @property
    def tracer(self) -> Tracer:
        """The application's own."""
        assert self.providers.tracer_provider is not None
        return self.providers.tracer_provider.get_tracer("application")

    def memory(self, name: str, **options: Any) -> InMemoryCache:
        """A cache in memory."""
        return self._keep(InMemoryCache(name=name, providers=self.providers, **options))

    def redis(self, name: str, **options: Any) -> GenericRedisCache:
        """A cache on the server; patient unless told otherwise."""
        return self._keep(GenericRedisCache(**self._options(name, options)))

    def ai(self, name: str, **options: Any) -> AIResponseCache:
        """The same for AI responses."""
        return self._keep(AIResponseCache(**self._options(name, options)))

    def _options(self, name: str, options: dict[str, Any]) -> dict[str, Any]:
        # one heartbeat in a quarter of an hour: what has been counted stands still while it is compared
        ours = {"redis_url": self.server.url, "key_prefix": self._prefix, "timeout": PATIENT, "max_staleness": 3600.0}
        return {"name": name, "providers": self.providers, **ours, **options}

    def _keep(self, cache: Kept) -> Kept:
        self._caches.append(cache)
        return cache

    def key(self, cache: Cache, key: str) -> str:
        """What `key` is called on the server."""
        return f"{self._prefix}{cache.name}:{key}"

    async def stand_still(self) -> None:
        """End what goes on in the background: what has been counted is compared."""
        for cache in self._caches:
            backplane = cache._tiers.backplane
            if backplane is not None and backplane._task is not None:
                backplane._task.cancel()
                await asyncio.wait([backplane._task])

    async def close(self) -> None:
        """Close the caches: their sizes and states are reported until then."""
        for cache in self._caches:
            await cache.close()


Step = Callable[[Stage], Awaitable[None]]


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Let the event loop run until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def is_open(cache: Cache) -> bool:
    """Whether the far tier is not asked."""
    return bool(cache.get_stats()["l2"]["breaker"] != "closed")


# --- steps ------------------------------------------------------------------------------------------


async def every_operation(stage: Stage) -> None:
    """Answered by each tier, and by none."""
    cache = stage.redis("users", writer_links=True)
    await cache.connect()
    await cache.set("k", {"name": "Ada"}, ttl=60)
    await cache.get("k")
    forget(cache)
    await cache.get("k")
    await cache.get("absent")
    await cache.exists("k")
    await cache.exists("absent")
    await cache.get_ttl("k")
    await cache.get_ttl("absent")
    await cache.touch("k")
    await cache.touch("absent")
    await cache.ping()
    await cache.delete("k")
    await cache.delete("k")
    await cache.clear()


async def two_processes(stage: Stage) -> None:
    """One writes and invalidates, the other hears of it; a third party's message is not understood."""
    mine, other = stage.redis("users"), stage.redis("users")
    await mine.connect()
    await other.connect()
    assert other._tiers.backplane is not None
    await mine.set("k", 1, tags=["a", "b"])
    await mine.purge()
    for invalidate in (mine.invalidate_tag("a"), mine.invalidate_prefix("k"), mine.clear()):
        heard = other._tiers.backplane.wait("k")
        await mine.set("k", 1, tags=["a"])
        await heard
        await other.get("k")
        await invalidate
        await until(lambda: other._tiers.log.newest == mine._tiers.log.newest)
        await other.get("k")
    stage.server.command("PUBLISH", f"{stage.key(mine, '')[:-1]}@1:news", "not ours")
    await mine.delete("k")
    await until(lambda: other._l1.store.reason("k") == "deleted")


async def batches(stage: Stage) -> None:
    """Whole, partial and empty ones."""
    cache = stage.redis("users")
    await cache.set_many({"a": 1, "b": 2})
    await cache.get_many(["a", "b"])
    forget(cache)
    await cache.get_many(["a"])
    await cache.get_many(["a", "absent"])
    await cache.get_many(["absent"])
    await cache.get_many([])
    forget(cache)
    await asyncio.gather(cache.get("a"), cache.get("b"))  # in one round trip
    await cache.delete_many(["a", "b"])


class Load:
    """A loader of the application's: it waits until it may go on, and then makes or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self) -> Any:
        await self.go.wait()
        if self.error is not None:
            raise self.error


AWAY: Final = ValueError("the database is away")


async def loads(stage: Stage) -> None:
    """Of every trigger, well and badly, with stale values and without."""
    cache = stage.memory("loaded", stale_ttl=100, stale_retry_seconds=0.0)
    for load in (Load(), Load(AWAY)):
        for number, forced in enumerate((False, True)):
            with contextlib.suppress(ValueError):
                await cache.get_or_set(f"{number}{load.error}", load, refresh=forced)
    for late in (False, True):
        for load in (Load(), Load(AWAY)):
            await cache.get_or_set("k", Load(), 10, refresh=True)
            _expire(cache, "k", late=late)
            await cache.get_or_set("k", load)
            await until(lambda: not loads_under_way(cache))
    await cache.get_or_set("k", Load(AWAY), soft_timeout=PATIENT)
    await _patience(cache)


def _expire(cache: Cache, key: str, *, late: bool = True) -> None:
    """Let the entry be due for a load; `late`: and past its time to live."""
    entry = cache._entries[key]
    entry.expires = cache._clock()
    assert entry.more is not None
    if late:
        entry.more = entry.more._replace(soft=entry.expires)


async def _patience(cache: Cache) -> None:
    """Callers who wait for the load of another, who wait too long, and who give up."""
    slow = Load()
    slow.go.clear()
    calls = [asyncio.create_task(cache.get_or_set("k", slow, 10, soft_timeout=0.01)) for _ in range(2)]
    await asyncio.wait(calls)
    slow.go.set()
    await until(lambda: not loads_under_way(cache))
    slow.go.clear()
    _expire(cache, "k")
    await cache.get_or_set("k", slow, soft_timeout=PATIENT, timeout=0.01)
    calls = [asyncio.create_task(cache.get_or_set("new", slow)) for _ in range(MANY + 2)]
    calls.append(asyncio.create_task(cache.get_or_set("new", slow, timeout=0.01)))
    await asyncio.wait([calls[-1]])
    calls[0].cancel()
    calls[1].cancel()
    await asyncio.wait(calls[:2])
    slow.error = AWAY
    slow.go.set()
    await asyncio.gather(*calls, return_exceptions=True)
    slow.error = None
    slow.go.clear()
    calls = [asyncio.create_task(cache.get_or_set("forced", slow, refresh=True)) for _ in range(MANY + 1)]
    await asyncio.sleep(0)
    slow.go.set()
    await asyncio.gather(*calls)


async def loads_among_processes(stage: Stage) -> None:
    """One process loads, another waits for it."""
    here, there, load = stage.redis("shared"), stage.redis("shared"), Load()
    for cache in (here, there):
        await cache.connect()
    load.go.clear()
    calls = [asyncio.create_task(cache.get_or_set("k", load)) for cache in (here, there)]
    flights = there._loads.flights
    await until(
        lambda: any(each.load.scope == "distributed" for cache in (here, there) for each in cache._loads.flights._all)
    )
    load.go.set()
    await asyncio.gather(*calls)
    await until(lambda: not flights)


async def stale_values_of_a_server_that_is_away(stage: Stage) -> None:
    """What L1 holds can't be trusted any more, and nobody can be asked."""
    cache = stage.redis("lonely", stale_ttl=100, max_staleness=0.2, timeout=0.1, breaker_probe_seconds=0.05)
    await cache.connect()
    backplane = cache._tiers.backplane
    await until(lambda: backplane is not None and backplane.is_live)
    await cache.get_or_set("k", Load(), 50)
    with stage.server.paused():
        await until(lambda: cache._clock() > cache._l1.lease_ends)
        await cache.get_or_set("k", Load())
        await until(lambda: not loads_under_way(cache))
    await until(lambda: not is_open(cache))


async def reasons_to_miss(stage: Stage) -> None:
    """Evicted, deleted, expired."""
    cache = stage.memory("sessions", memory_cache_size=2)
    for key in ("evicted", "deleted", "expired"):
        await cache.set(key, 1, ttl=60)
    await cache.get("evicted")
    await cache.delete("deleted")
    await cache.get("deleted")
    cache._tiers.l1._clock = ManualClock(time.perf_counter_ns() + 61 * 10**9)
    await cache.get_many(["expired"])


async def payloads(stage: Stage) -> None:
    """Of every format, compressed both ways, and one that is somebody else's."""
    text = "the same words again and again " * 100
    for algorithm in catalog.COMPRESSION_ALGORITHM.values or ():
        cache = stage.redis(f"texts-{algorithm}", compression=algorithm)
        await cache.set("k", text)
        forget(cache)
        await cache.get("k")
    signed = stage.redis("signed", signing_secret="a secret of the scenario's", enable_l1_cache=False)
    for key, value in {"plain": [1], "tagged": (1, 2), "signed": 1j}.items():
        await signed.set(key, value)
        await signed.get(key)
    foreign = stage.redis("foreign")
    stage.server.command("SET", stage.key(foreign, "k"), b"\xca not ours")
    await foreign.get("k")


async def responses_of_ai(stage: Stage) -> None:
    """Texts of every size class, one that is too long, and operations beyond the cap."""
    sizes = {"small": 10, "medium": 20, "large": 30}
    options = AICacheConfig(text_size_tiers=sizes, max_text_length=50, token_prices={"input": 3.0, "output": 15.0})
    cache = stage.ai("answers", ai_config=options)
    usage = {"input": 812, "output": 96}
    for length in (5, 15, 25, 35, 55):
        text = "x" * length
        await cache.cache_response(text, "summarize", None, "short", usage=usage, generation_seconds=1.5)
        await cache.get_cached_response(text, "summarize")
        await cache.get_cached_response(text, "sentiment")
    await cache.cache_response("nobody counted its tokens", "translate", None, "long enough to be estimated")
    await cache.get_cached_response("nobody counted its tokens", "translate")
    for number in range((catalog.AI_OPERATION.cap or 0) + 1):
        await cache.get_cached_response("text", f"operation-{number}")
    await cache.invalidate_by_operation("summarize")


async def responses_over_http(stage: Stage) -> None:
    """Of a FastAPI application: one that is made, one that is there, one that passes by, one that is stale."""
    cache, app = stage.memory("web", early_refresh=0.0), FastAPI()
    app.get("/users/{user_id}")(cached_endpoint(ttl=60, cache=lambda: cache)(lambda user_id: user_id))
    app.get("/stale")(cached_endpoint(ttl=1, stale_ttl=60, cache=lambda: cache)(lambda: 1))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://web") as client:
        for headers in ({}, {}, {"authorization": "Bearer of a user"}):
            await client.get("/users/7", headers=headers)
        while "ttl=-" not in (await client.get("/stale")).headers["cache-status"]:
            await asyncio.sleep(0.01)


async def arguments_that_no_key_holds(stage: Stage) -> None:
    """A cached function that runs without its cache, and one whose value lacks a tag."""

    @cached("row:{row}", cache=stage.memory("functions"), ignore=("user",), tags=("user:{user.id}",))
    async def read(row: Any, user: Any = None) -> int:
        return 1

    await read(object())
    await read(1)


async def refused_arguments(stage: Stage) -> None:
    """Every operation that takes an argument raises to its caller."""
    cache = stage.redis("users")
    calls: tuple[Awaitable[Any], ...] = (
        cache.get(""), cache.get_many([""]), cache.set("", 1), cache.set_many({"": 1}), cache.delete(""),
        cache.delete_many([""]), cache.get_or_set("", Load()), cache.exists(""), cache.get_ttl(""), cache.touch(""),
    )  # fmt: skip
    for call in calls:
        with contextlib.suppress(ValidationError):
            await call


async def a_flood_of_events(stage: Stage) -> None:
    """More of one name than the rate limit lets through, and one after it that says so."""
    cache = stage.memory("flooded")
    events = cache._probe.events
    now = time.monotonic()
    for seconds in (*[now] * (int(BURST) + 5), now + 60):
        events._clock = lambda at=seconds: at  # type: ignore[misc]
        with contextlib.suppress(ValidationError):
            await cache.get("")


async def callbacks(stage: Stage) -> None:
    """Good, failing, slow and asynchronous ones, for every event, until the bad ones are skipped."""
    cache = stage.memory("told", callback_spans=True, stale_ttl=100, early_refresh=0.0)
    clock = ManualClock(time.perf_counter_ns())
    cache._probe.callbacks._clock = clock

    def failing(*_: Any) -> None:
        raise RuntimeError("a callback's own trouble")

    def misusing(*_: Any) -> None:
        raise ValidationError("ttl=-1 is outside 0..31536000 s")

    def slow(*_: Any) -> None:
        clock.move(0.06)

    async def later(*_: Any) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("late trouble")

    for event in catalog.CALLBACK_EVENT.values or ():
        for callback in (failing, misusing, slow, later):
            cache.register_callback(event, callback)
    for _ in range(20):
        await cache.get("k")
        await cache.set("k", 1)
        await cache.get("k")
        await cache.delete("k")
        await cache.get_or_set("k", Load(), 10)
        _expire(cache, "k")
        await cache.get_or_set("k", Load())
        with contextlib.suppress(ValueError):
            await cache.get_or_set("bad", Load(AWAY))
        await until(lambda: not loads_under_way(cache))
        await cache.delete("k")
    await cache._probe.callbacks.aclose()
    quiet = stage.memory("told-badly")  # the other one's events are beyond the rate limit by now
    quiet.register_callback("load_error", failing)
    for _ in range(10):
        with contextlib.suppress(ValueError):
            await quiet.get_or_set("bad", Load(AWAY))


async def a_caller_that_gives_up(stage: Stage) -> None:
    """Cancelled while the server does not answer."""
    cache = stage.redis("users")
    await cache.ping()
    with stage.server.paused():
        reading = asyncio.create_task(cache.get("k"))
        await asyncio.sleep(0)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


async def a_server_that_hangs(stage: Stage) -> None:
    """Times out; the breaker opens and closes again."""
    cache = stage.redis("hanging", timeout=0.1, breaker_failures=1, breaker_probe_seconds=0.05)
    await cache.connect()
    with stage.server.paused():
        await cache.get("k")
    await until(lambda: not is_open(cache))


async def an_outage(stage: Stage) -> None:
    """The server dies and comes back; meanwhile nothing is stored, and nothing raises."""
    options: dict[str, Any] = {"breaker_failures": 2, "breaker_probe_seconds": 0.05, "enable_l1_cache": False}
    cache = stage.redis("orders", **options)
    await cache.set("k", 1)
    stage.server.kill()
    while not is_open(cache):
        await cache.get("k")
    await cache.get("k")
    await cache.get_many(["k"])
    await cache.set("k", 2)
    await cache.set_many({"k": 3})
    await cache.delete("k")
    stage.server.restart()
    await until(lambda: not is_open(cache))


async def a_full_server(stage: Stage) -> None:
    """Writes are refused one by one, more of them than the journal holds."""
    cache = stage.redis("full", journal_size=1, breaker_probe_seconds=0.05)
    await cache.ping()
    stage.server.command("CONFIG", "SET", "maxmemory", 1)
    await cache.set("a", 1)
    await cache.set("b", 1)
    stage.server.command("CONFIG", "SET", "maxmemory", 0)
    await until(lambda: not is_open(cache))


async def a_server_that_only_reads(stage: Stage) -> None:
    """A replica by mistake."""
    cache = stage.redis("read-only")
    await cache.ping()
    stage.server.command("REPLICAOF", "127.0.0.1", 1)
    await cache.set_many({"a": 1, "b": 2})
    await cache.set("a", 1)
    stage.server.command("REPLICAOF", "NO", "ONE")


async def a_wrong_password(stage: Stage) -> None:
    """Refused at the door."""
    url = stage.server.url.replace("//", "//:wrong@")
    cache = stage.redis("locked", redis_url=url, breaker_failures=1, breaker_probe_seconds=60.0)
    await cache.get("k")


class _Raising(SpanProcessor):
    """A processor of the application's that fails on the spans of one cache."""

    def on_end(self, span: ReadableSpan) -> None:
        if (span.attributes or {}).get(catalog.CACHE.name) == "unlucky":
            raise OSError("an exporter's own trouble")


async def a_processor_that_fails(stage: Stage) -> None:
    """What the SDK raises is counted and changes nothing."""
    stage.providers.tracer_provider.add_span_processor(_Raising())  # type: ignore[union-attr]
    await stage.memory("unlucky").get("k")


async def a_benchmark(stage: Stage) -> None:
    """Of a cache of its own, that reports nothing itself."""
    config = BenchmarkConfig(warmup_iterations=0, rounds=2, key_count=5, batch_size=5, progress=False)
    async with InMemoryCache(name="measured", providers=NOWHERE) as cache:
        await CachePerformanceBenchmark(cache, config, providers=stage.providers).run_single_benchmark("get", 20, 100)


async def a_service_that_is_judged(stage: Stage) -> None:
    """It becomes worse, recovers, and can't be asked any more: alarms come, go, and a look fails."""
    service = Service()
    plan = Plan(window=1800, baseline=1800, references={})
    watch = Watch(service.read, Verdicts("shop", stage.providers), plan, StateFile(None), service)
    for service.phase in PHASES:
        service.now += plan.step
        watch.evaluate()


STEPS: Final[tuple[Step, ...]] = (
    every_operation, two_processes, batches, loads, loads_among_processes, stale_values_of_a_server_that_is_away,
    reasons_to_miss, payloads, responses_of_ai, responses_over_http, arguments_that_no_key_holds, refused_arguments,
    a_flood_of_events, callbacks,
    a_caller_that_gives_up, a_server_that_hangs, an_outage, a_full_server, a_server_that_only_reads,
    a_wrong_password, a_processor_that_fails, a_benchmark, a_service_that_is_judged,
)  # fmt: skip


# --- playing ----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def stage(providers: Providers, server: RedisServer, prefix: str) -> AsyncIterator[Stage]:
    """A stage whose caches are closed after it; collect what they report before."""
    built = Stage(providers, server, prefix)
    try:
        yield built
    finally:
        await built.close()


async def play(stage: Stage, steps: Sequence[Step] = STEPS) -> None:
    """Every step under a span of the application's that links to the one before it."""
    links: list[Link] = []
    for step in steps:
        with stage.tracer.start_as_current_span(getattr(step, "__name__", "step"), links=links) as span:
            await step(stage)
        links = [Link(span.get_span_context())]
    await stage.stand_still()
