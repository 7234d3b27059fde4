"""What every cache has beside its operations: its parts, its callbacks, its life and its state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

from otcache.base import CacheInterface, StoreError
from otcache.config import CacheConfig
from otcache.loads.engine import Loads
from otcache.telemetry.catalog import L1_COUNT, L1_LIMIT, Instrument
from otcache.telemetry.metrics import load_stats, lookup_stats
from otcache.telemetry.probe import Probe
from otcache.telemetry.reporter import clock
from otcache.tiers import Tiers

_MS: Final = 1_000_000


class Core(CacheInterface):
    """Everything the cache classes share; they only decide which tiers there are.

    Args:
        config: The validated options.
        tiers: The near tier, and the far one if there is one.
        probe: What it reports through.
    """

    def __init__(self, config: CacheConfig, tiers: Tiers, probe: Probe) -> None:
        self.config = config
        self.name = config.name
        self._tiers = tiers
        self._near = tiers.near
        self._far = tiers.far
        self._probe = probe
        self._clock: Callable[[], int] = clock
        # what the hit path touches, one attribute each
        self._entries = tiers.near.entries
        self._hits = probe.hits
        self._tracing = probe.tracing
        self._load_hits = probe.load_hits
        self._plain = not tiers.copies
        self._loads = Loads(config, tiers, probe)
        probe.metrics.watch(self)

    # --- life ---------------------------------------------------------------------------------------

    def register_callback(self, event: str, callback: Callable[..., Any]) -> None:
        """Call `callback` at each `event`; see `CacheInterface.register_callback` and docs/callbacks.md."""
        self._probe.callbacks.register(event, callback)
        self._set_plain()

    def unregister_callback(self, event: str, callback: Callable[..., Any]) -> None:
        """Call `callback` no more."""
        self._probe.callbacks.unregister(event, callback)
        self._set_plain()

    def _set_plain(self) -> None:
        """The hit path asks one flag: nobody watches hits and nobody wants copies."""
        self._plain = not (self._tiers.copies or self._probe.callbacks.has("get_success"))

    async def ping(self) -> bool:
        """Whether the far tier answers now; `True` where there is none."""
        if self._far is None:
            return True
        with self._probe.operation("ping", self._clock()) as outcome:
            try:
                await self._far.ping(outcome)
            except StoreError:
                outcome.result = "dropped"
        return outcome.result == "ok"

    async def connect(self) -> bool:
        """Ask the far tier once; whether it answered in time, `True` where there is none.

        A far tier that did not answer is asked in the background, and takes part as soon as it does.
        """
        answered = await self._far.connect() if self._far is not None else True
        if answered:
            await self._tiers.listen()
        self._probe.started(repr(self.config))
        return answered

    async def close(self) -> None:
        """Close the connections and end the background tasks. Idempotent."""
        self._probe.metrics.forget(self)
        await self._loads.close()
        await self._probe.callbacks.aclose()
        if self._tiers.backplane is not None:
            await self._tiers.backplane.close()
        if self._far is not None:
            await self._far.close()

    @property
    def far_error(self) -> str | None:
        """`error.type` of the last failed round trip; safe to show."""
        return self._far.error.error_type if self._far is not None and self._far.error is not None else None

    async def tiers_health(self) -> dict[str, dict[str, Any]]:
        """Per tier: `status` (healthy | unhealthy), `latency_ms` (`None` if it did not answer), `error`."""
        tiers: dict[str, dict[str, Any]] = {}
        if self._near.limit:
            tiers["l1"] = {"status": "healthy", "latency_ms": 0.0, "error": None}
        if self._far is not None:
            started = self._clock()
            healthy = await self.ping()
            elapsed = round((self._clock() - started) / _MS, 3)
            error = None if healthy else self.far_error
            tiers["l2"] = {
                "status": "healthy" if healthy else "unhealthy",
                "latency_ms": elapsed if healthy else None,
                "error": error,
            }
        return tiers

    def get_stats(self) -> dict[str, Any]:
        """What this cache has done so far, from the same cells as its metrics; no I/O.

        Caches of one name in one process share their counts.
        """
        return {
            "name": self.name,
            **lookup_stats(self._probe.metrics, self.name),
            "loads": load_stats(self._probe.metrics, self.name),
            "l1": {"entries": len(self._near.entries), "limit": self._near.limit},
            "l2": None if self._far is None else self._far.stats(),
        }

    def gauges(self) -> Iterable[tuple[Instrument, int, tuple[str, ...]]]:
        """The size metrics of the near tier."""
        yield L1_COUNT, len(self._near.entries), (self.name,)
        if self._near.limit:
            yield L1_LIMIT, self._near.limit, (self.name,)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
