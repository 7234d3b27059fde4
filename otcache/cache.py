"""`Cache`: every operation of a cache, from the hit path to its end of life.

`get` and `get_or_set` begin with the hit path. Its rules and their costs are in docs/performance.md: one dictionary
look-up, two clock reads, integer cells; no lock, no task, no SDK call unless a span would be recorded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from otcache._engine.invalidation_log import EVERYTHING, prefix_target, tag_target
from otcache._engine.neighbours import Neighbours
from otcache._engine.tiers import Tiers
from otcache._engine.write_options import WriteOptions
from otcache._loading.coordinator import LoadCoordinator
from otcache._serialization.keys import MAX_KEY_BYTES, check_key, check_tags
from otcache._serialization.serializer import Facts
from otcache.base import MISSING, Answer, CacheInterface, _as_answer, _as_get_or_set, run_loader
from otcache.config import CacheConfig
from otcache.exceptions import StoreError, ValidationError
from otcache.telemetry._instrumentation.metrics import GRID, SLOTS, SLOTTED, SUM, load_stats, lookup_stats
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.sampling import SPAN_KEY, current_context
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.catalog import (
    CACHE,
    HTTP_NOTE,
    HTTP_RESPONSES,
    HTTP_ROUTE,
    HTTP_UNCACHED,
    KEY_TEMPLATE,
    L1_COUNT,
    L1_LIMIT,
    Event,
    Instrument,
)
from otcache.telemetry.catalog.values import ResponseResult, Result, Tier
from otcache.telemetry.record import AIFacts, LoadFacts, Lookup
from otcache.ttl import FOREVER, TTL, ttl_seconds

_MS: Final = 1_000_000


class Cache(CacheInterface):
    """A cache in one or two tiers. The documented classes only decide which tiers there are.

    Args:
        config: The validated options.
        tiers: L1, and L2 if there is one.
        probe: What the cache reports through.
    """

    def __init__(self, config: CacheConfig, tiers: Tiers, probe: Probe) -> None:
        self.config = config
        self.name = config.name
        self._tiers = tiers
        self._l1, self._l2 = tiers.l1, tiers.l2
        self._probe = probe
        self._loads = LoadCoordinator(config, tiers, probe)
        self._default_ttl = ttl_seconds(config.default_ttl, "default_ttl")
        # What the hit path touches, one attribute each.
        self._clock: Callable[[], int] = clock
        self._entries = tiers.l1.store.entries
        self._hits, self._load_hits = probe.hits, probe.load_hits
        self._tracing = probe.tracing
        self._set_plain()
        probe.metrics.watch(self)

    # --- the hit paths ------------------------------------------------------------------------------

    # `get` and `hit` are the same steps, written twice: to share them by a call would cost a tenth of a hit. Only the
    # cell that counts and what follows a miss differ; tests/engine/test_hit_paths.py compares them line by line.
    #
    # * `entries.get` raises TypeError for an unhashable key. What follows the miss refuses the key by name.
    # * One chained comparison asks for freshness and for the L1 lease, so that `started` is loaded once.
    # * `used` is set before anything is reported: eviction must see the hit even if an observer is slow.
    # * A histogram's cells are counted in place: 25 ns where `counter.add()` costs 7 us. Under the GIL `+=` on a list
    #   item loses no update.

    async def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:  # noqa: A002
        """Return the value of `key`, or `default`.

        Args:
            key: The key.
            default: What a miss gives; tells a miss from a cached `None`.
            type: The declared type of the value, if it needs one (docs/values.md).

        Raises:
            ValidationError: The key is not a non-empty string of at most 8 KiB.
        """
        clock = self._clock
        started = clock()
        try:
            entry = self._entries.get(key)
        except TypeError:
            entry = None
        if entry is not None and entry.expires > started < self._l1.lease_ends:
            entry.used = True
            if self._plain:
                tracing = self._tracing
                span = current_context().get(SPAN_KEY)
                if span is None:
                    recorded = tracing.roots or (tracing.unset and tracing.is_late())
                else:
                    recorded = span.get_span_context()[3] & tracing.mask or tracing.always
                if not recorded:
                    cells, elapsed = self._hits, clock() - started
                    cells[SLOTS[elapsed] if elapsed < SLOTTED else bisect_left(GRID, elapsed)] += 1
                    cells[SUM] += elapsed
                    return entry.value
            if not self._tiers.copies:  # somebody watches: a span, a callback
                self._probe.hit(key, entry.value, entry.facts, started)
                return entry.value
        return await self._fetch(key, default, type, started)

    def hit(self, key: str, template: str | None = None) -> Any:
        """Return the value of `key` if L1 may serve it as it is; else `MISSING`, and nothing is counted.

        The start of `get_or_set` without a coroutine, for code that goes on to it (docs/cached.md).

        Args:
            key: The key.
            template: The shape of the key, such as `user:{id}`, for its span.
        """
        clock = self._clock
        started = clock()
        try:
            entry = self._entries.get(key)
        except TypeError:
            entry = None
        if entry is not None and entry.expires > started < self._l1.lease_ends:
            entry.used = True
            if self._plain:
                tracing = self._tracing
                span = current_context().get(SPAN_KEY)
                if span is None:
                    recorded = tracing.roots or (tracing.unset and tracing.is_late())
                else:
                    recorded = span.get_span_context()[3] & tracing.mask or tracing.always
                if not recorded:
                    cells, elapsed = self._load_hits, clock() - started
                    cells[SLOTS[elapsed] if elapsed < SLOTTED else bisect_left(GRID, elapsed)] += 1
                    cells[SUM] += elapsed
                    return entry.value
            if not self._tiers.copies:  # somebody watches: a span, a callback
                self._probe.hit(key, entry.value, entry.facts, started, "get_or_set", template)
                return entry.value
        return MISSING

    def _set_plain(self) -> None:
        """The hit path asks one flag: no callback wants hits, and no caller wants an object of its own."""
        self._plain = not (self._tiers.copies or self._probe.callbacks.has("get_success"))

    # --- loading ------------------------------------------------------------------------------------

    @_as_get_or_set
    async def get_or_set(
        self,
        key: str,
        loader: Callable[[], Any],
        ttl: TTL | None = None,
        *,
        type: Any = None,  # noqa: A002
        tags: Iterable[str] = (),
        stale_ttl: TTL | None = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  how long a load may take
        negative_ttl: TTL | None = None,
        early_refresh: float | None = None,
        ttl_jitter: float | None = None,
        refresh: bool = False,
        template: str | None = None,
    ) -> Any:
        """Return the value of `key`; on a miss, run `loader` and store the result (docs/loading.md).

        Of many callers at once one loads, and the others wait for it. A caller who gives up stops no load.

        Args:
            key: The key.
            loader: Makes the value: an async function, or a plain one, which runs in a worker thread. It may return
                `Loaded` to choose for itself.
            ttl: How long the value is fresh: as for `set`. With 0 every caller who loads gets it, and it is not kept.
            type: The declared type of the value, if it needs one (docs/values.md).
            tags: What `invalidate_tag` may name the value by.
            stale_ttl: How long beyond `ttl` the value may be served stale where no new one is to be had; 0 not at all.
            soft_timeout: Seconds that a caller with a stale value waits for the new one; 0 not at all.
            timeout: Seconds after which the load is given up.
            negative_ttl: The `ttl` of a loaded `None`; 0 keeps none.
            early_refresh: How eagerly a hot value is refreshed before its TTL ends; 0 never.
            ttl_jitter: Share of `ttl`, 0..0.5, by which it is shortened at random.
            refresh: Load whatever the tiers hold.
            template: The shape of the key, such as `user:{id}`, for its span.

        Raises:
            ValidationError: An argument can't be accepted. A loaded value that can't be kept is given, not refused.
            LoadTimeout: The load was given up, and there is no stale value.
            Exception: What the loader raised, as it is, if there is no stale value.
        """
        value = MISSING if refresh else self.hit(key, template)
        if value is not MISSING:
            return value
        answer = await self._loads.answer(
            self._clock(),
            key,
            loader,
            kind=type,
            tags=tags,
            forced=refresh,
            template=template,
            ttl=ttl,
            stale_ttl=stale_ttl,
            soft_timeout=soft_timeout,
            timeout=timeout,
            negative_ttl=negative_ttl,
            early_refresh=early_refresh,
            ttl_jitter=ttl_jitter,
        )
        return answer.value

    @_as_answer
    async def answer(
        self,
        key: str,
        loader: Callable[[], Any],
        ttl: TTL | None = None,
        *,
        type: Any = None,  # noqa: A002
        tags: Iterable[str] = (),
        stale_ttl: TTL | None = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  how long a load may take
        negative_ttl: TTL | None = None,
        early_refresh: float | None = None,
        ttl_jitter: float | None = None,
        refresh: bool = False,
        template: str | None = None,
    ) -> Answer[Any]:
        """Do as `get_or_set`, and say where the value came from: whether it is stale, its age, its tier."""
        return await self._loads.answer(
            self._clock(),
            key,
            loader,
            kind=type,
            tags=tags,
            forced=refresh,
            template=template,
            ttl=ttl,
            stale_ttl=stale_ttl,
            soft_timeout=soft_timeout,
            timeout=timeout,
            negative_ttl=negative_ttl,
            early_refresh=early_refresh,
            ttl_jitter=ttl_jitter,
        )

    async def bypass(self, loader: Callable[[], Any], template: str | None = None) -> Any:
        """Return what `loader` returns, and store nothing: a call that no key can name. It counts as a bypass."""
        with self._probe.operation("get_or_set", self._clock()) as outcome:
            outcome.load, outcome.result, outcome.tier = LoadFacts(template), "bypass", "loader"
            return (await run_loader(loader)).value

    def report(self, event: Event, body: str, template: str) -> None:
        """Emit an event about a key or a tag that can't be made; `body` names none."""
        self._probe.events.emit(event, body, {CACHE.name: self.name, KEY_TEMPLATE.name: template})

    # --- reading ------------------------------------------------------------------------------------

    async def _fetch(
        self,
        key: str,
        default: Any,
        kind: Any,
        started: int,
        *,
        ai: AIFacts | None = None,
        promote: bool = True,
    ) -> Any:
        with self._probe.operation("get", started, key, ai) as outcome:
            # `check_key`'s own first step, here without the call: nearly every key passes it.
            if key.__class__ is not str or not key.isascii() or not 0 < len(key) <= MAX_KEY_BYTES:
                check_key(key)
            found = await self._tiers.look_up(outcome, key, kind, promote)
            outcome.result, outcome.tier, outcome.reason = found.result, found.tier, found.reason
            outcome.value, outcome.facts, outcome.age = found.value, found.facts, found.age
        return default if outcome.value is MISSING else outcome.value

    async def get_many(self, keys: Iterable[str], *, type: Any = None) -> dict[str, Any]:  # noqa: A002
        """Return the values of those `keys` that are there; L2 is asked once for all that L1 does not hold."""
        with self._probe.operation("get_many", self._clock()) as outcome:
            wanted = _distinct(keys)
            outcome.batch_size = len(wanted)
            lookups = await self._tiers.look_up_many(outcome, wanted, type)
            outcome.lookups = list(lookups.values())
            found = {key: lookup.value for key, lookup in lookups.items() if lookup.result == "hit"}
            outcome.batch_hits = len(found)
            outcome.tier = _deepest(outcome.lookups)
            outcome.result = _batch_result(len(found), len(wanted))
            outcome.reason = outcome.lookups[0].reason if outcome.result == "miss" else "none"
        return found

    async def exists(self, key: str) -> bool:
        """Return whether `key` holds a value (which may be `None`); `False` if the tier that knows can't be asked."""
        with self._probe.operation("contains", self._clock(), key) as outcome:
            check_key(key)
            found = await self._tiers.contains(outcome, key)
            outcome.result = "hit" if found else "miss"
        return found

    async def get_ttl(self, key: str) -> float | None:
        """Return the seconds until `key` expires, in ms; `FOREVER` if it never does, `None` if it is not there."""
        with self._probe.operation("get_ttl", self._clock(), key) as outcome:
            check_key(key)
            left = await self._tiers.left_ms(outcome, key)
            outcome.result = "miss" if left is None else "hit"
        return None if left is None else left / 1000 or FOREVER

    # --- writing ------------------------------------------------------------------------------------

    async def set(
        self,
        key: str,
        value: Any,
        ttl: TTL | None = None,
        *,
        type: Any = None,  # noqa: A002
        tags: Iterable[str] = (),
    ) -> None:
        """Store `value`; see `CacheInterface.set`. An outage of L2 never makes it raise.

        Args:
            key: The key.
            value: The value.
            ttl: Seconds, whole or not (rounded down to ms), or a `timedelta`, of at most a year; or `FOREVER`. `None`
                takes the cache's default. With 0 nothing is kept: the entry that is there is removed.
            type: The declared type of the value, if it needs one (docs/values.md).
            tags: What `invalidate_tag` may name the entry by; non-empty strings of at most 8 KiB.

        Raises:
            ValidationError: The key, the value, the ttl or a tag can't be accepted; nothing was stored.
            UnsupportedError: There are tags, and the store of L2 has no invalidations (docs/stores.md).
        """
        await self._store(key, value, ttl, type, tags=self._tiers.check_tags(tags) if tags else ())

    async def _store(
        self,
        key: str,
        value: Any,
        ttl: TTL | None,
        kind: Any,
        *,
        ai: AIFacts | None = None,
        facts: Facts | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        started = self._clock()
        with self._probe.operation("set", started, key, ai) as outcome:
            check_key(key)
            # a coroutine that has nothing to wait for is a fortieth of a `set` in memory
            version = self._tiers.log.current if self._l2 is None else await self._tiers.version(outcome)
            options = WriteOptions(self._seconds(ttl), version, tags)
            outcome.facts = facts = self._probe.with_writer(outcome, facts)
            payload, values = self._tiers.codec.encode(key, value, options, kind, facts).payload, {key: value}
            marks = self._tiers.shared.marks(values, ai.template if ai else None)
            if marks:  # rarely: a copy of the options costs a tenth of a `set` in memory
                options = options._replace(marks=marks)
            outcome.ttl, outcome.size = options.ttl, len(payload)
            if self._loads.flights:
                await self._loads.flights.settle((key,))
            await self._tiers.write(outcome, values, {key: payload}, options, started)
            if not outcome.written and options.ttl:
                outcome.result = "dropped"

    def _seconds(self, ttl: TTL | None) -> float:
        return self._default_ttl if ttl is None else ttl_seconds(ttl)

    async def set_many(self, mapping: Mapping[str, Any], ttl: TTL | None = None, *, type: Any = None) -> None:  # noqa: A002
        """Store every entry of `mapping`, in one round trip. All are checked before the first one is stored.

        `ttl` is as for `set`; with 0 the entries that are there are removed.
        """
        started = self._clock()
        with self._probe.operation("set_many", started) as outcome:
            if not isinstance(mapping, Mapping):
                raise ValidationError(f"mapping is {mapping.__class__.__name__}, not a mapping of keys to values")
            options = WriteOptions(self._seconds(ttl), await self._tiers.version(outcome))
            encode, facts = self._tiers.codec.encode, self._probe.with_writer(outcome, None)
            payloads = {check_key(k): encode(k, value, options, type, facts).payload for k, value in mapping.items()}
            options = options._replace(marks=self._tiers.shared.marks(mapping))
            outcome.facts = facts
            outcome.batch_size, outcome.ttl = len(payloads), options.ttl
            await self._loads.flights.settle(payloads)
            await self._tiers.write(outcome, mapping, payloads, options, started)
            if options.ttl:
                outcome.result = _write_result(len(outcome.written), len(payloads))

    async def touch(self, key: str, ttl: TTL | None = None) -> bool:
        """Give an existing entry `ttl` from now on, as for `set`; with 0 it is removed.

        Returns:
            Whether the entry was there and has the new TTL, or is removed, in the deepest tier.
        """
        started = self._clock()
        with self._probe.operation("touch", started, key) as outcome:
            check_key(key)
            seconds = self._seconds(ttl)
            outcome.ttl = seconds
            if not seconds:
                await self._loads.flights.settle((key,))
            touched = await self._tiers.touch(outcome, key, seconds, started)
            if seconds:
                outcome.result = "ok" if touched else "noop"
        return touched

    # --- removing -----------------------------------------------------------------------------------

    async def delete(self, key: str) -> None:
        """Remove `key` from both tiers. If L2 is away, the key is removed there before L2 is read again."""
        with self._probe.operation("delete", self._clock(), key) as outcome:
            check_key(key)
            await self._loads.flights.settle((key,))
            await self._tiers.remove(outcome, [key])

    async def delete_many(self, keys: Iterable[str]) -> None:
        """Remove `keys` from both tiers, in one round trip."""
        with self._probe.operation("delete_many", self._clock()) as outcome:
            wanted = _distinct(keys)
            outcome.batch_size = len(wanted)
            if wanted:
                await self._loads.flights.settle(wanted)
                await self._tiers.remove(outcome, wanted)

    async def clear(self) -> None:
        """Invalidate every entry of this cache, and of no other, in every process: one round trip.

        What Redis holds goes with its TTL; `purge` frees the memory at once. A store without invalidations has to
        remove the keys one by one.
        """
        with self._probe.operation("clear", self._clock()) as outcome:
            await self._tiers.invalidate(outcome, EVERYTHING)

    async def purge(self) -> int:
        """Remove every entry of this cache from L2, batch by batch, and from L1; return how many there were."""
        with self._probe.operation("purge", self._clock()) as outcome:
            # First the invalidation: it ends hits in every process, before the first batch is gone.
            if self._l2 is None or self._l2.has_versions:
                await self._tiers.invalidate(outcome, EVERYTHING)
            return await self._tiers.sweep(outcome, "*", None)

    async def invalidate_tag(self, tag: str) -> None:
        """Invalidate every entry with `tag`, in every process: one round trip, however many there are.

        During an outage it applies here at once, and in L2 before L2 is read again.

        Raises:
            ValidationError: The tag is not a non-empty string of at most 8 KiB.
            UnsupportedError: The store of L2 has no invalidations (docs/stores.md).
        """
        with self._probe.operation("invalidate", self._clock()) as outcome:
            await self._tiers.invalidate(outcome, tag_target(check_tags([tag])[0]))

    async def invalidate_prefix(self, prefix: str) -> None:
        """Invalidate every entry whose key starts with `prefix`; otherwise as `invalidate_tag`.

        A store without invalidations has to look for the keys and remove them.

        Raises:
            ValidationError: The prefix is not a non-empty string of at most 8 KiB.
        """
        with self._probe.operation("invalidate", self._clock()) as outcome:
            await self._tiers.invalidate(outcome, prefix_target(check_key(prefix, "prefix")))

    # --- callbacks ----------------------------------------------------------------------------------

    def register_callback(self, event: str, callback: Callable[..., Any]) -> None:
        """Call `callback` at each `event`; see `CacheInterface.register_callback` and docs/callbacks.md."""
        self._probe.callbacks.register(event, callback)
        self._set_plain()

    def unregister_callback(self, event: str, callback: Callable[..., Any]) -> None:
        """Call `callback` no more."""
        self._probe.callbacks.unregister(event, callback)
        self._set_plain()

    # --- life ---------------------------------------------------------------------------------------

    async def connect(self) -> bool:
        """Ask L2 once; return whether it answered in time, `True` where there is no L2.

        An L2 that did not answer is asked in the background, and takes part as soon as it does.
        """
        answered = await self._l2.connect() if self._l2 is not None else True
        if answered:
            await self._tiers.listen()
        self._probe.started(repr(self.config), self._l2.backend.lacks if self._l2 is not None else ())
        return answered

    async def ping(self) -> bool:
        """Return whether L2 answers now; `True` where there is no L2."""
        if self._l2 is None:
            return True
        with self._probe.operation("ping", self._clock()) as outcome:
            try:
                await self._l2.ping(outcome)
            except StoreError:
                outcome.result = "dropped"
        return outcome.result == "ok"

    async def close(self) -> None:
        """Close the connections and end the background tasks. Idempotent."""
        self._probe.metrics.forget(self)
        # Loads and callbacks first: what they still do needs L2.
        await self._loads.close()
        await self._probe.callbacks.aclose()
        if self._l2 is not None:
            await self._l2.close()

    def hand_over(self) -> tuple[Tiers, Probe]:
        """Give the parts up, connections and background tasks included: another cache goes on with them."""
        self._probe.metrics.forget(self)
        self._tiers.changes.forget(self._loads.flights)
        return self._tiers, self._probe

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- state --------------------------------------------------------------------------------------

    @property
    def far_error(self) -> str | None:
        """`error.type` of the last failed round trip to L2; safe to show."""
        return self._l2.error.error_type if self._l2 is not None and self._l2.error is not None else None

    async def tiers_health(self) -> dict[str, dict[str, Any]]:
        """Return per tier `status` (healthy | unhealthy), `latency_ms` (`None` if it did not answer), `error`."""
        tiers: dict[str, dict[str, Any]] = {}
        if self._l1.store.limit:
            tiers["l1"] = {"status": "healthy", "latency_ms": 0.0, "error": None}
        if self._l2 is not None:
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

    @property
    def neighbours(self) -> Neighbours | None:
        """Who else has a cache of this name on the database of L2, as far as it can tell."""
        return None if self._l2 is None else self._l2.neighbours

    def count_response(self, route: str, result: ResponseResult) -> None:
        """Count an HTTP response that this cache has decided on (`otcache.http`)."""
        self._probe.signals.count(HTTP_RESPONSES, route, result)

    def note_route(self, route: str, text: str) -> None:
        """Say what the responses of a route do that its author may not expect (`otcache.http`)."""
        self._probe.signals.events.emit(HTTP_NOTE, text, {CACHE.name: self.name, HTTP_ROUTE.name: route})

    def tell_uncached(self, route: str, why: str) -> None:
        """Say why all responses of a route pass by this cache (`otcache.http`)."""
        self._probe.signals.events.emit(HTTP_UNCACHED, why, {CACHE.name: self.name, HTTP_ROUTE.name: route})

    def get_stats(self) -> dict[str, Any]:
        """Return what this cache has done so far, from the same cells as its metrics; no I/O.

        Caches of one name in one process share their counts.
        """
        return {
            "name": self.name,
            **lookup_stats(self._probe.metrics, self.name),
            "loads": load_stats(self._probe.metrics, self.name),
            "l1": {"entries": len(self._l1.store.entries), "limit": self._l1.store.limit},
            "l2": None if self._l2 is None else self._l2.stats(),
        }

    def gauges(self) -> Iterable[tuple[Instrument, int, tuple[str, ...]]]:
        """The size metrics of L1."""
        yield L1_COUNT, len(self._l1.store.entries), (self.name,)
        if self._l1.store.limit:
            yield L1_LIMIT, self._l1.store.limit, (self.name,)


def _deepest(lookups: Iterable[Lookup]) -> Tier:
    tiers = {lookup.tier for lookup in lookups}
    return "l2" if "l2" in tiers else "l1" if "l1" in tiers else "none"


def _batch_result(found: int, wanted: int) -> Result:
    if not wanted:
        return "noop"
    return "hit" if found == wanted else "partial" if found else "miss"


def _write_result(stored: int, wanted: int) -> Result:
    return "ok" if stored == wanted else "partial" if stored else "dropped"


def _distinct(keys: Iterable[str]) -> list[str]:
    """Return the keys of a batch, checked, each once, in their order."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise ValidationError(f"keys is {keys.__class__.__name__}, not an iterable of keys")
    return list(dict.fromkeys(check_key(key) for key in keys))
