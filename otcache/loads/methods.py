"""`get_or_set` and `answer`, as methods of every cache.

An L1 hit of `get_or_set` is on the hit path, as one of `get`: docs/performance.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any

from otcache.base import MISSING
from otcache.loads.answer import Answer
from otcache.loads.engine import Loads
from otcache.loads.typing import as_answer, as_get_or_set
from otcache.stores.memory import Entry, MemoryStore
from otcache.telemetry.gate import SPAN_KEY, Tracing, current_context
from otcache.telemetry.metrics import GRID, SLOTS, SLOTTED, SUM
from otcache.telemetry.probe import Probe
from otcache.tiers import Tiers


class LoadMethods:
    """What a pipeline has for callers who can make the value themselves."""

    _clock: Callable[[], int]
    _tiers: Tiers
    _probe: Probe
    _loads: Loads
    _near: MemoryStore
    _entries: dict[str, Entry]
    _tracing: Tracing
    _load_hits: list[int]
    _plain: bool

    def hit(self, key: str) -> Any:
        """The value under `key`, if it is near and fresh and nobody watches; else `MISSING`, and nothing is counted.

        The start of `get_or_set` without a coroutine, for code that goes on to it (docs/cached.md).
        """
        clock = self._clock
        started = clock()
        try:
            entry = self._entries.get(key)
        except TypeError:  # an unhashable key: refused later, by name
            return MISSING
        if entry is None or not (self._plain and entry.expires > started < self._near.trusted_until):
            return MISSING
        tracing = self._tracing
        span = current_context().get(SPAN_KEY)
        if span is None:
            recorded = tracing.roots or (tracing.unset and tracing.is_late())
        else:
            recorded = span.get_span_context()[3] & tracing.mask or tracing.always
        if recorded:
            return MISSING
        entry.used = True
        cells = self._load_hits
        elapsed = clock() - started
        cells[SLOTS[elapsed] if elapsed < SLOTTED else bisect_left(GRID, elapsed)] += 1
        cells[SUM] += elapsed
        return entry.value

    def _entry(self, key: str) -> Entry | None:
        try:
            return self._entries.get(key)
        except TypeError:  # an unhashable key: refused later, by name
            return None

    @as_get_or_set
    async def get_or_set(
        self,
        key: str,
        loader: Callable[[], Any],
        ttl: int | None = None,
        *,
        type: Any = None,  # noqa: A002
        tags: Iterable[str] = (),
        stale_ttl: int | None = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  how long a load may take
        negative_ttl: int | None = None,
        early_refresh: float | None = None,
        ttl_jitter: float | None = None,
        refresh: bool = False,
        template: str | None = None,
    ) -> Any:
        """The value under `key`; `loader` makes it if it is not there (docs/loading.md).

        Of many callers at once one loads, and the others wait for it. A caller who gives up stops nothing.

        Args:
            key: Where.
            loader: Makes the value: an async function, or a plain one, which runs in a worker thread. It may return
                `Loaded` to choose for itself.
            ttl: Seconds that the value is fresh; `None` takes the default, 0 for ever.
            type: The declared type of the value, if it needs one (docs/values.md).
            tags: To invalidate it by.
            stale_ttl: Seconds beyond `ttl` that it may be given where no new one is to be had.
            soft_timeout: Seconds that a caller who has a stale value waits for the new one; 0 not at all.
            timeout: Seconds after which the load is given up.
            negative_ttl: The `ttl` of a loaded `None`.
            early_refresh: How eagerly a hot value is loaded anew before its time is over; 0 never.
            ttl_jitter: Share of `ttl`, 0..0.5, by which it is shortened at random.
            refresh: Load anew, whatever is there.
            template: The shape of the key, such as `user:{id}`, for its span.

        Raises:
            ValidationError: An argument or the loaded value can't be accepted.
            LoadTimeout: The load was given up, and there is no stale value.
            Exception: What the loader raised, as it is, if there is no stale value.
        """
        if not refresh:
            value = self.hit(key)
            if value is not MISSING:
                return value
        started = self._clock()
        entry = None if refresh or self._tiers.copies else self._entry(key)
        if entry is not None and entry.expires > started < self._near.trusted_until:  # somebody watches
            entry.used = True
            self._probe.hit(key, entry.value, entry.facts, started, "get_or_set", template)
            return entry.value
        answer = await self._loads.answer(
            started,
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

    @as_answer
    async def answer(
        self,
        key: str,
        loader: Callable[[], Any],
        ttl: int | None = None,
        *,
        type: Any = None,  # noqa: A002
        tags: Iterable[str] = (),
        stale_ttl: int | None = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  how long a load may take
        negative_ttl: int | None = None,
        early_refresh: float | None = None,
        ttl_jitter: float | None = None,
        refresh: bool = False,
        template: str | None = None,
    ) -> Answer[Any]:
        """As `get_or_set`, with how the value came: whether it is stale, how old it is, who had it."""
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
