"""What several processes did to one cache, as they saw it: reads, writes, changes of the database.

All times are readings of CLOCK_MONOTONIC in ns, which the processes of one machine share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TextIO

Kind = Literal["set", "delete", "tag", "prefix", "clear"]
DATABASE: Final = -1
"""The process number of what was in the database before anybody began."""


@dataclass(frozen=True, slots=True)
class Read:
    """One key of one read.

    Attributes:
        process: Who asked.
        operation: get, get_many, get_or_set.
        key: What was asked for.
        value: What came; `None` for a miss.
        began: When it was asked.
        ended: When the answer was there.
        tier: Where the answer came from; `None` where nobody watched, or one of several tiers did.
    """

    process: int
    operation: str
    key: str
    value: str | None
    began: int
    ended: int
    tier: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One write: of a key, or of all that have a tag, a prefix or anything.

    Attributes:
        process: Whose.
        kind: What it did.
        target: The key, tag or prefix; empty for clear.
        began: When it was asked for.
        ended: When the call returned.
        acknowledged: Whether Redis confirmed it.
        value: What was set; unique in the history.
        tags: Of the value.
        sent: Whether Redis may have got it; not where the breaker refused to ask.
    """

    process: int
    kind: Kind
    target: str
    began: int
    ended: int
    acknowledged: bool
    value: str | None = None
    tags: tuple[str, ...] = ()
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the database that loaders read; `version` counts the changes of its key."""

    process: int
    key: str
    value: str
    version: int
    began: int
    ended: int
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """What `process` had sent before `began`, answered or not, Redis had executed or lost by `ended`."""

    process: int
    began: int
    ended: int


@dataclass(frozen=True, slots=True)
class Event:
    """What happened around the processes."""

    at: int
    what: str


Record = Read | Write | Change | Settled | Event
_KINDS: Final = {each.__name__: each for each in (Read, Write, Change, Settled, Event)}


@dataclass(slots=True)
class History:
    """All records of a run, in no order."""

    reads: list[Read] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def add(self, records: Iterable[Record]) -> History:
        """Sort `records` in."""
        lists: dict[type, list[Any]] = {
            Read: self.reads,
            Write: self.writes,
            Change: self.changes,
            Settled: self.settled,
            Event: self.events,
        }
        for record in records:
            lists[type(record)].append(record)
        return self


def write_record(file: TextIO, record: Record) -> None:
    """One line."""
    file.write(json.dumps([type(record).__name__, asdict(record)], separators=(",", ":")) + "\n")


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file; the last line may be cut off, if its process was killed."""
    lines = path.read_text().split("\n")
    for line in lines[:-1]:
        name, facts = json.loads(line)
        if "tags" in facts:
            facts["tags"] = tuple(facts["tags"])
        yield _KINDS[name](**facts)
