"""What happened in one cache operation: the one record that every observer reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from otcache._serialization.envelope import Facts
from otcache.base import MISSING
from otcache.telemetry.catalog import Instrument
from otcache.telemetry.catalog.values import (
    CoalesceRole,
    DegradedReason,
    MissReason,
    Operation,
    Purpose,
    Result,
    StaleReason,
    Tier,
)


@dataclass(slots=True)
class StaleCandidate:
    """A stale entry to fall back on if the load fails or is slow.

    Attributes:
        value: The value.
        tier: The tier that holds it.
        past: Seconds past its time to live; negative while it only can't be trusted.
        age: Seconds since it was made, if that is known.
        reason: Why it would be served if nothing else goes wrong.
    """

    value: Any
    tier: Tier
    past: float
    age: float | None
    reason: StaleReason


@dataclass(slots=True)
class Lookup:
    """One key of a read: what the caller was given for it.

    Attributes:
        key: The caller's key; never leaves the process as it is.
        result: hit, stale, miss or bypass.
        tier: The tier that answered; `none` for a miss.
        reason: Why it missed; `none` unless it did.
        value: What the caller got; `MISSING` for a miss.
        facts: What else the writer of the value noted.
        due: Whether a hit should be refreshed now.
        age: Seconds since the value was made, if that is known.
        left: Seconds it stays fresh, `FOREVER` included; `None` unless it is a hit.
        candidate: For a miss, a stale candidate.
    """

    key: str
    result: Result
    tier: Tier = "none"
    reason: MissReason = "none"
    value: Any = MISSING
    facts: Facts | None = None
    due: bool = False
    age: float | None = None
    left: float | None = None
    candidate: StaleCandidate | None = None


@dataclass(slots=True)
class AIFacts:
    """What an operation of an AI cache was about.

    Attributes:
        operation: The application's name for it: summarize, sentiment, ...
        text_tier: small, medium, large or xlarge, by the length of the text.
        text_length: Characters of the text.
        template: The shape of its keys.
        prices: US dollars per million tokens, by `model:token type` or by token type alone.
    """

    operation: str
    text_tier: str
    text_length: int
    template: str
    prices: Mapping[str, float]


@dataclass(slots=True, eq=False)
class LoadFacts:
    """What a call that may load adds to its record.

    Attributes:
        template: The shape of its key, as the source code declares it.
        stale_reason: Why a stale value was served.
        role: Leader or waiter, where several callers shared one load.
        waiters: Callers beside the leader that its load served.
        wait: Seconds that a waiter waited.
        told: Whether the error was logged where it happened.
        paused: Time of callbacks inside of the call, in ns; not part of its duration.
    """

    template: str | None = None
    stale_reason: StaleReason | None = None
    role: CoalesceRole | None = None
    waiters: int | None = None
    wait: float | None = None
    told: bool = False
    paused: int = 0


Measurement = tuple["Instrument", int, tuple[str | None, ...]]
"""A row of the catalogue; an amount in what its cells count (entries, bytes, ns, ms); its values after the first."""


@dataclass(slots=True, eq=False)
class Outcome:
    """One call of a cache: filled while it runs, each field by one writer, and read once, when the call ends.

    Attributes:
        operation: Which call. Written by the probe, as `started` and `key`.
        started: When it began, by `perf_counter_ns`.
        key: The caller's key; never leaves the process as it is.
        result: How it ended. Written by the operation (cache, coordinator), as all up to `lookups`.
        tier: The tier that answered.
        reason: Why it missed.
        value: What the caller gets.
        facts: What the writer of the entry noted, or what is noted in the one that is written.
        ttl: Seconds given at a write, `FOREVER` included; 0: the value was not kept.
        batch_size: Keys of a batch call.
        batch_hits: Those of a batch read that were answered.
        lookups: Each key of a batch read.
        written: Keys and values that a tier has stored. Written by the tiers, as all up to `measured`.
        removed: Keys that are gone from every tier.
        age: Seconds since the value from L2 was stored.
        size: Stored bytes of the value.
        measured: What is counted when the call ends.
        degraded: Why L2 did not take part. Written by the resilience of L2.
        ai: Of a call of an AI cache. Written by the AI cache.
        load: Of a call that may load. Written by the load coordinator.
        error: What is raised to the caller. Written by the probe.
        span: Its span. Written by the probe.
        shared: Traced operations beside this one that a remote call of this one answers. Written by the batch of reads.
    """

    operation: Operation
    started: int
    key: str | None = None
    result: Result = "ok"
    tier: Tier = "none"
    reason: MissReason = "none"
    value: Any = MISSING
    facts: Facts | None = None
    ttl: float | None = None
    batch_size: int | None = None
    batch_hits: int | None = None
    lookups: list[Lookup] | None = None
    written: list[tuple[str, Any]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    age: float | None = None
    size: int | None = None
    measured: list[Measurement] = field(default_factory=list)
    degraded: DegradedReason | None = None
    ai: AIFacts | None = None
    load: LoadFacts | None = None
    error: BaseException | None = None
    span: Any = None
    shared: Sequence[Outcome] = ()


@dataclass(slots=True, eq=False)
class RemoteCall:
    """One call to L2.

    Attributes:
        command: The semantic conventions' `db.operation.name`: GET, MGET, PIPELINE SET, ...
        purpose: What it was for.
        batch: Commands in a pipeline; `None` for a single command.
        sent: Payload bytes written.
        received: Payload bytes read.
        error_type: The server's error prefix or the client's class; `None` for success.
        background: Whether no caller waits for it (the breaker's probe): counted, but neither traced nor logged.
    """

    command: str
    purpose: Purpose
    started: int
    batch: int | None = None
    sent: int = 0
    received: int = 0
    error_type: str | None = None
    background: bool = False
    span: Any = None
