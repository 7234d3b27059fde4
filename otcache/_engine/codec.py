"""Values to bytes and back for one cache: timed, and dated by the server's clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otcache._engine.write_options import WriteOptions
from otcache._serialization.serializer import Decoded, DecodeError, Encoded, Facts, Serializer
from otcache.stores.base import StoreClock
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock


class EntryCodec:
    """The serializer as the tiers use it.

    Args:
        serializer: Values to bytes and back.
        store_clock: Dates the entries; `None` leaves them undated.
        probe: What is reported through.
    """

    def __init__(self, serializer: Serializer, store_clock: StoreClock | None, probe: Probe) -> None:
        self.serializer = serializer
        self._store_clock = store_clock
        self._probe = probe
        self._clock: Callable[[], int] = clock

    def server_ms(self) -> int:
        """The server's clock, in ms since the epoch."""
        return self._store_clock.now_ms() if self._store_clock is not None else 0

    def clock_error_ms(self) -> int:
        """How far that may be off."""
        return self._store_clock.error_ms if self._store_clock is not None else 0

    @staticmethod
    def age(found: Decoded, server_ms: int) -> float | None:
        """Seconds since an entry was written, if it says so, by the server's clock."""
        created = found.created_at_ms
        return None if created is None else max(0.0, (server_ms - created) / 1000)

    def encode(self, key: str, value: Any, terms: WriteOptions, kind: Any, facts: Facts | None = None) -> Encoded:
        """To bytes, also where no far tier is: a value is refused in every store or in none."""
        now, dated = self.server_ms(), self._store_clock is not None
        encoded = self.serializer.encode(
            value,
            key=key,
            expires_at_ms=now + terms.hard * 1000 if terms.ttl and dated else 0,
            created_at_ms=now if dated else None,
            type=kind,
            facts=terms.noted(facts, now) if dated else facts,
            stamp=terms.stamp if dated else None,
        )
        self._probe.coded("serialize", encoded.codec, encoded.serialize_ns)
        if encoded.algorithm is not None:
            self._probe.coded("compress", encoded.algorithm, encoded.compress_ns)
            self._probe.compressed(encoded.algorithm, encoded.raw_size, len(encoded.payload))
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
            self._probe.coded("deserialize", "unknown", self._clock() - began, exc)
            raise
        self._probe.coded("deserialize", found.codec, self._clock() - began - found.expand_ns)
        if found.algorithm is not None:
            self._probe.coded("decompress", found.algorithm, found.expand_ns)
        return found
