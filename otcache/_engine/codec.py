"""Values to bytes and back for one cache: timed, and between the store's clock and this process's."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from otcache._engine.write_options import WriteOptions, tags_of
from otcache._serialization.serializer import Decoded, DecodeError, Encoded, Facts, Serializer
from otcache.stores.base import StoreClock
from otcache.stores.memory import NEVER, More
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.signals import Signals, clock, error_type
from otcache.ttl import FOREVER, store_ms

_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000


class EntryCodec:
    """The serializer as the tiers use it.

    Args:
        serializer: Values to bytes and back.
        store_clock: Dates the entries of L2; `None` leaves them undated.
        signals: Where its steps are timed.
        beta: How early a loaded entry asks for a refresh.
    """

    def __init__(
        self, serializer: Serializer, store_clock: StoreClock | None, signals: Signals, *, beta: float
    ) -> None:
        self.serializer = serializer
        self._store_clock = store_clock
        self._beta = beta
        self._clock: Callable[[], int] = clock
        self._time = partial(signals.observe, catalog.CODEC_DURATION)
        self._count_bytes = partial(signals.count, catalog.COMPRESSION_IO)

    def encode(self, key: str, value: Any, options: WriteOptions, kind: Any, facts: Facts | None = None) -> Encoded:
        """To bytes, also where there is no L2: a value is refused in every store or in none."""
        dated = self._store_clock is not None
        now = self._store_clock.now_ms() if self._store_clock is not None else 0
        encoded = self.serializer.encode(
            value,
            key=key,
            expires_at_ms=now + store_ms(options.hard) if dated and options.hard != FOREVER else 0,
            created_at_ms=now if dated else None,
            type=kind,
            facts=options.noted(facts, now) if dated else facts,
            version=options.version if dated else None,
        )
        self._time(encoded.serialize_ns, "serialize", encoded.codec)
        if encoded.algorithm is not None:
            self._time(encoded.compress_ns, "compress", encoded.algorithm)
            self._count_bytes("input", encoded.algorithm, n=encoded.raw_size)
            self._count_bytes("output", encoded.algorithm, n=len(encoded.payload))
        return encoded

    def decode(self, payload: bytes, key: str, kind: Any) -> Decoded:
        """From bytes.

        Raises:
            DecodeError: They can't be read here.
        """
        began = self._clock()
        try:
            found = self.serializer.decode(payload, key=key, type=kind)
        except DecodeError as exc:
            self._time(self._clock() - began, "deserialize", "unknown", error_type(exc))
            raise
        self._time(self._clock() - began - found.expand_ns, "deserialize", found.codec)
        if found.algorithm is not None:
            self._time(found.expand_ns, "decompress", found.algorithm)
        return found

    # --- times --------------------------------------------------------------------------------------

    def times(self, found: Decoded, now: int, now_ms: int, age: float | None) -> tuple[int, More | None]:
        """When an entry of L2 is due here, and its other times if it has any.

        Args:
            found: The entry; its times are the store clock's.
            now: This process's clock, in ns.
            now_ms: The store's clock, as learnt.
            age: Seconds since the entry was written, if it says so.
        """
        dies, facts = self._here(found.expires_at_ms, now, now_ms) if found.expires_at_ms else NEVER, found.facts
        if facts is None:
            return dies, None
        tags = tags_of(found)
        if facts.soft_expires_at_ms is None and facts.loader_us is None and not tags:
            return dies, None
        soft = dies if facts.soft_expires_at_ms is None else self._here(facts.soft_expires_at_ms, now, now_ms)
        more = More(soft, dies, now - int((age or 0.0) * _SECOND), tags)
        return self.early(soft, now, (facts.loader_us or 0) * 1000), more

    def _here(self, at_ms: int, now: int, now_ms: int) -> int:
        """A moment of the store's clock, on ours: too early by what the learnt clock may be off, never too late."""
        assert self._store_clock is not None, "only entries of L2 have times of its clock"
        left_ms = at_ms - now_ms
        return now + (max(left_ms - self._store_clock.error_ms, 1) if left_ms > 0 else left_ms) * _MS

    def early(self, soft: int, now: int, loader_ns: int, wanted_beta: float | None = None) -> int:
        """When an entry should be refreshed: XFetch (Vattani et al., 2015), drawn once per copy.

        So the hit path compares one moment only, and the copies of many processes still come due at different times.
        """
        beta = self._beta if wanted_beta is None else wanted_beta
        if soft == NEVER or not loader_ns or not beta:
            return soft
        wanted = soft - int(loader_ns * beta * random.expovariate(1.0))
        return max(wanted, min(now, soft))
