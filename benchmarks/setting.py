"""What the workloads share: providers, parents, a Redis, and a list of what had to be left out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from time import perf_counter
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks import peers
from benchmarks.harness import Case, Run
from benchmarks.peers import TIMEOUT, TTL
from otcache import CacheConfig, GenericRedisCache, InMemoryCache, Providers


class Discard(SpanExporter):
    """Throws spans away: what encoding and sending them costs is the exporter's matter."""

    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


class Setting:
    """One run's surroundings.

    Args:
        port: Where a Redis listens on 127.0.0.1; `None` leaves its rows out.
        large: Most entries of a cache in the rows that show what size costs.
        without: Peers that are left out although they are installed.

    Attributes:
        stack: What is closed when the workload of the moment is done.
        absent: What was left out, and why.
    """

    def __init__(self, port: int | None = None, *, large: int = 100_000, without: frozenset[str] = frozenset()) -> None:
        self.port = port
        self.large = large
        self.stack = AsyncExitStack()
        self.absent: dict[str, str] = {}
        self.tracers, self.meters = TracerProvider(), MeterProvider([InMemoryMetricReader()])
        self.tracers.add_span_processor(BatchSpanProcessor(Discard()))
        self._without = without

    @property
    def providers(self) -> Providers:
        """Where everything that is observed reports."""
        return Providers(self.tracers, self.meters)

    @property
    def url(self) -> str:
        """Where Redis is."""
        return f"redis://127.0.0.1:{self.port}"

    def memory_cache(self, providers: Providers | None = None, **options: Any) -> InMemoryCache:
        """An otcache in memory, closed after the workload."""
        cache = InMemoryCache(providers=providers or self.providers, default_ttl=TTL, **options)
        self.stack.push_async_callback(cache.close)
        return cache

    def redis_cache(self, kind: type[GenericRedisCache] = GenericRedisCache, **options: Any) -> Any:
        """An otcache on Redis alone: without L1, so that every operation is a round trip."""
        config = CacheConfig(redis_url=self.url, enable_l1_cache=False, timeout=TIMEOUT, default_ttl=TTL)
        cache = kind(config, providers=self.providers, **options)
        self.stack.push_async_callback(cache.close)
        return cache

    async def peers(self, role: str, *arguments: Any) -> dict[str, Any]:
        """What each peer that can be had here makes for `role`, by its name; the rest is noted."""
        found = {}
        for name in peers.MODULES:
            module, missing = (None, "left out") if name in self._without else peers.load(name)
            if module is None:
                self.absent[name] = missing
            elif (make := getattr(module, role, None)) is not None:
                found[name] = await make(self.stack, *arguments)
        return found

    def close(self) -> None:
        """End the thread of the span processor."""
        self.tracers.shutdown()
        self.meters.shutdown()


# --- under which span ----------------------------------------------------------------------------------


def parent(*, sampled: bool) -> trace.Span:
    """A remote parent."""
    flags = trace.TraceFlags(int(sampled))
    return trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=flags))


@contextmanager
def current(span: trace.Span) -> Iterator[None]:
    """`span` is the current one inside."""
    token = otel_context.attach(trace.set_span_in_context(span))
    try:
        yield
    finally:
        otel_context.detach(token)


def under(span: trace.Span, run: Run) -> Run:
    """`run` with `span` as the current one."""

    async def inside() -> float | None:
        with current(span):
            return await run()

    return inside


UNSAMPLED: Final = parent(sampled=False)
SAMPLED: Final = parent(sampled=True)


# --- batches -------------------------------------------------------------------------------------------

Get = Callable[[str], Awaitable[Any]]


def getting(get: Get, key: str, operations: int, span: trace.Span = UNSAMPLED) -> Case:
    """One key again and again."""

    async def run() -> None:
        for _ in range(operations):
            await get(key)

    return Case(under(span, run), operations)


def tutorial(setting: Setting, get: Get) -> Get:
    """The way tutorials show: a span, a counter and a histogram around `get`, by the SDK."""
    tracer, meter = setting.tracers.get_tracer("tutorial"), setting.meters.get_meter("tutorial")
    lookups, duration = meter.create_counter("lookups"), meter.create_histogram("duration", "s")
    attributes = {"cache": "users", "operation": "get", "result": "hit"}

    async def observed(key: str) -> Any:
        started = perf_counter()
        with tracer.start_as_current_span("get", attributes=attributes):
            value = await get(key)
            lookups.add(1, attributes)
            duration.record(perf_counter() - started, attributes)
        return value

    return observed
