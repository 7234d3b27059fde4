"""Whether a history keeps the cache's promises, decided from its times alone: nothing is guessed, nothing is rounded.

A *version* is a value that was written, or changed in the database, once. Another write is *certainly newer* than a
version if it was asked for when the version was *settled*: when its own write had been confirmed, or, if it never was,
when Redis had executed or lost it, or was not even asked; in the database, when a later change of its key had been
made. Of writes that overlap, Redis alone knows which came last. It tells by what it answers: what is read from it after
a version was settled, and is another value, came later.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from tests.histories.history import Change, History, Read, Settled, Write

FOREVER: Final = 2**63
"""Later than everything."""
Fault = Literal["unknown", "future", "stale", "local", "own write", "redis"]


class Newer(NamedTuple):
    """A write that is certainly newer than a version, and since when the process that asked could have known.

    Attributes:
        known: When Redis had confirmed it: to its writer, or to a reader who got its value from there.
        write: Which.
    """

    known: int
    write: Write


@dataclass(frozen=True, slots=True)
class Version:
    """A value that was written once.

    Attributes:
        key: Where.
        value: What.
        origin: The write or the change.
        settled: From when on every write that begins is newer.
    """

    key: str
    value: str
    origin: Write | Change
    settled: int


@dataclass(frozen=True, slots=True)
class Violation:
    """A read that should not have been.

    Attributes:
        fault: `unknown`: nobody wrote that value; `future`: its write began after the answer; `stale`: a newer write
            had been confirmed for longer than the bound; `local`: the same of a value that Redis was never asked to
            hold; `own write`: the process itself had had a newer write confirmed; `redis`: Redis answered what it had
            confirmed to be overwritten or deleted.
        read: It.
        version: What it got, if somebody wrote that.
        newer: The write that it should have seen.
        late: By how many ns it was too late.
    """

    fault: Fault
    read: Read
    version: Version | None = None
    newer: Write | None = None
    late: int = 0


def check(history: History, bound: int) -> list[Violation]:
    """Every read that breaks a promise, in the order of their beginnings.

    Args:
        history: What happened.
        bound: How many ns after its confirmation a write may still be missing from an answer.
    """
    judge = Judge(history, bound)
    found = [judge.of(read) for read in sorted(history.reads, key=lambda read: read.began)]
    return [violation for violation in found if violation is not None]


class Judge:
    """Judges the reads of one history."""

    def __init__(self, history: History, bound: int) -> None:
        self._bound = bound
        self._versions = {(each.key, each.value): each for each in versions(history)}
        self._loaded = {change.key for change in history.changes}
        confirmed = [write for write in history.writes if write.acknowledged]
        self._all = _Index(confirmed)
        self._by_key = _Index([write for write in confirmed if write.kind in ("set", "delete")])
        self._own = {process: _Index(own) for process, own in _by_process(confirmed).items()}
        self._seen = _Seen(history.reads, self._versions, self._loaded)

    def of(self, read: Read) -> Violation | None:
        """What is wrong with `read`; a miss never is."""
        if read.value is None:
            return None
        version = self._versions.get((read.key, read.value))
        if version is None:
            return Violation("unknown", read)
        if version.origin.began > read.ended:
            return Violation("future", read, version, late=version.origin.began - read.ended)
        return self._too_old(read, version)

    def _too_old(self, read: Read, version: Version) -> Violation | None:
        own = self._own[read.process].newer(version) if read.process in self._own else None
        if own is not None and own.known <= read.began:
            return Violation("own write", read, version, own.write, read.began - own.known)
        if read.tier == "l2" and read.operation == "get" and read.key not in self._loaded:
            gone = _first(self._by_key.newer(version), self._seen.newer(version))
            if gone is not None and gone.known < read.began:
                return Violation("redis", read, version, gone.write, read.began - gone.known)
        newer = self.newer(version)
        late = read.began - newer.known - self._bound if newer is not None else 0
        fault: Fault = "local" if isinstance(version.origin, Write) and not version.origin.sent else "stale"
        return Violation(fault, read, version, newer.write, late) if newer is not None and late > 0 else None

    def newer(self, version: Version) -> Newer | None:
        """Of the writes that are certainly newer than `version`, the one that was known first."""
        return _first(self._all.newer(version), self._seen.newer(version))

    def age(self, read: Read) -> int:
        """For how many ns a newer write had been known when `read` began; negative if none."""
        version = self._versions.get((read.key, read.value or ""))
        newer = self.newer(version) if version is not None else None
        return read.began - newer.known if newer is not None else -1


def _first(*found: Newer | None) -> Newer | None:
    return min((each for each in found if each is not None), default=None, key=lambda each: each.known)


def versions(history: History) -> Iterable[Version]:
    """Every value that was written or changed."""
    settles = _Settles(history.settled)
    for write in history.writes:
        if write.value is not None:
            known = write.acknowledged or not write.sent
            settled = write.ended if known else settles.after(write.process, write.ended)
            yield Version(write.target, write.value, write, settled)
    by_key: defaultdict[str, list[Change]] = defaultdict(list)
    for change in history.changes:
        by_key[change.key].append(change)
    for changes in by_key.values():
        superseded = FOREVER
        for change in sorted(changes, key=lambda each: -each.version):
            yield Version(change.key, change.value, change, superseded)
            superseded = min(superseded, change.ended)


class _Settles:
    """When what a process had sent was executed or lost."""

    def __init__(self, records: Iterable[Settled]) -> None:
        self._by_process: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        for record in records:
            self._by_process[record.process].append((record.began, record.ended))
        for pairs in self._by_process.values():
            pairs.sort()

    def after(self, process: int, at: int) -> int:
        pairs = self._by_process.get(process, [])
        place = bisect_left(pairs, (at, 0))
        return min((ended for _, ended in pairs[place : place + 1]), default=FOREVER)


class _Firsts:
    """Of those that begin at a time or later, the one that was known first."""

    def __init__(self, entries: Iterable[tuple[int, Newer]]) -> None:
        ordered = sorted(entries, key=lambda entry: entry[0])
        self._begins = [began for began, _ in ordered]
        self._firsts = [newer for _, newer in ordered]
        for place in range(len(ordered) - 2, -1, -1):
            later = self._firsts[place + 1]
            if later.known < self._firsts[place].known:
                self._firsts[place] = later

    def since(self, began: int) -> Newer | None:
        place = bisect_left(self._begins, began)
        return self._firsts[place] if place < len(self._firsts) else None


class _Index:
    """Confirmed writes by what they concern."""

    def __init__(self, writes: Sequence[Write]) -> None:
        grouped: defaultdict[tuple[str, str], list[tuple[int, Newer]]] = defaultdict(list)
        for write in writes:
            kind = "key" if write.kind in ("set", "delete") else write.kind
            grouped[kind, write.target].append((write.began, Newer(write.ended, write)))
        self._firsts = {target: _Firsts(entries) for target, entries in grouped.items()}
        self._prefixes = [target for kind, target in grouped if kind == "prefix"]

    def newer(self, version: Version) -> Newer | None:
        targets = [("key", version.key), ("clear", ""), *(("tag", tag) for tag in version.origin.tags)]
        targets += [("prefix", prefix) for prefix in self._prefixes if version.key.startswith(prefix)]
        return _first(*(self._firsts[target].since(version.settled) for target in targets if target in self._firsts))


class _Seen:
    """What Redis itself answered: a later answer with another value is a newer write, even of one that overlapped."""

    def __init__(self, reads: Iterable[Read], known: dict[tuple[str, str], Version], loaded: set[str]) -> None:
        grouped: defaultdict[str, list[tuple[int, str, Newer]]] = defaultdict(list)
        for read in reads:
            version = known.get((read.key, read.value or ""))
            if read.tier == "l2" and read.operation == "get" and version is not None and read.key not in loaded:
                write = version.origin
                assert isinstance(write, Write)
                since = write.ended if write.acknowledged else read.ended
                grouped[read.key].append((read.began, version.value, Newer(since, write)))
        self._runs = {key: _Answers(answers) for key, answers in grouped.items()}

    def newer(self, version: Version) -> Newer | None:
        """Of what was not confirmed nobody knows whether Redis ever had it, so its answers say nothing about it."""
        sure = isinstance(version.origin, Write) and version.origin.acknowledged
        answers = self._runs.get(version.key) if sure else None
        return answers.other_than(version.value, version.settled) if answers is not None else None


class _Answers:
    """The answers for one key: two for every moment on, so that one of them is another value."""

    def __init__(self, answers: Iterable[tuple[int, str, Newer]]) -> None:
        ordered = sorted(answers, key=lambda answer: answer[0])
        self._begins = [began for began, _, _ in ordered]
        self._firsts: list[dict[str, Newer]] = []
        firsts: dict[str, Newer] = {}
        for _, value, newer in reversed(ordered):
            known = min(newer, firsts.get(value, newer), key=lambda each: each.known)
            best = sorted({**firsts, value: known}.items(), key=lambda item: item[1].known)
            firsts = dict(best[:2])
            self._firsts.append(firsts)
        self._firsts.reverse()

    def other_than(self, value: str, since: int) -> Newer | None:
        place = bisect_left(self._begins, since)
        if place == len(self._firsts):
            return None
        return _first(*(newer for other, newer in self._firsts[place].items() if other != value))


def _by_process(writes: Iterable[Write]) -> dict[int, list[Write]]:
    found: defaultdict[int, list[Write]] = defaultdict(list)
    for write in writes:
        found[write.process].append(write)
    return found
