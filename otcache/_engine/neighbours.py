"""Neighbours: the caches of one name on one database tell each other whose they are, and how they are set.

Each announces itself when it begins to listen, and asks; who disagrees with the one who asks answers with its next
heartbeat, and both repeat it as long as they do. So processes that agree cost one message per start, and one that has
changed or ended is forgotten. An announcement holds no secret: of one that signs, a keyed digest.

What arrives may come from anybody: its length is bounded before it is parsed, and what is remembered in number.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import orjson

from otcache._serialization.seals import listed
from otcache._serialization.wire import WIRE_VERSION
from otcache.config import CacheConfig
from otcache.config.namespace import namespace_in_keys, namespace_of
from otcache.exceptions import StoreError
from otcache.stores.base import Announcements
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.catalog import Instrument

MAX_BYTES: Final = 4096
MAX_TEXT: Final = 1024
REMEMBERED: Final = 32
"""Kinds of neighbours: one for each namespace, and for each set of options."""
REPEAT: Final = 60 * 10**9
"""Time between two announcements while somebody disagrees, in ns."""
FORGET: Final = 3
"""Announcements in a row that are missed until a neighbour counts as gone."""
NAMESPACE: Final = "namespace"


class Neighbour(NamedTuple):
    """What a cache tells of itself.

    Attributes:
        name: Its name.
        namespace: As it stands in keys; empty for none.
        key_prefix: What its keys begin with, before the namespace.
        wire_version: The layout of its entries and messages.
        coherence: Whether it publishes and hears changes.
        codec: Its compressor.
        signing: Digests of its secrets; the first one signs.
        encryption: Likewise of its keys.
    """

    name: str
    namespace: str
    key_prefix: str
    wire_version: int
    coherence: bool
    codec: str
    signing: tuple[str, ...]
    encryption: tuple[str, ...]

    @classmethod
    def of(cls, config: CacheConfig) -> Neighbour:
        """What the cache of these options tells."""
        space = namespace_in_keys(namespace_of(config))
        facts = config.name, space, config.key_prefix, WIRE_VERSION, config.coherence, config.compression
        return cls(*facts, *(_digests(getattr(config, name)) for name in ("signing_secret", "encryption_keys")))

    def differences(self, other: Neighbour) -> Iterable[str]:
        """Name what keeps both from sharing entries: the namespace, or options that must agree within one."""
        if other.namespace != self.namespace:
            yield NAMESPACE
            return
        if other.key_prefix != self.key_prefix:
            if self.namespace:
                yield "key_prefix"
            return  # without a namespace it is the prefix that keeps two services apart, on purpose
        for option in ("wire_version", "coherence", "codec"):
            if getattr(other, option) != getattr(self, option):
                yield option
        for option in _SECRETS:
            ours, theirs = getattr(self, option), getattr(other, option)
            # each must know the secret that the other uses; the rest may differ while secrets are changed
            if not (set(ours[:1]) <= set(theirs) and set(theirs[:1]) <= set(ours)):
                yield option


def _digests(secrets: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Keyed with what it is the digest of: whoever reads it learns nothing but whether two are the same."""
    given = (each.encode(errors="surrogatepass") for each in listed(secrets) or ())
    return tuple(hmac.new(each, b"otcache neighbour 1", "sha256").hexdigest()[:16] for each in given)


class Announcement(NamedTuple):
    """A neighbour's words, and whether it asks others for theirs."""

    neighbour: Neighbour
    asks: bool

    def encode(self) -> bytes:
        return orjson.dumps({**self.neighbour._asdict(), "asks": self.asks})

    @classmethod
    def parse(cls, payload: bytes) -> Announcement:
        """Parse one, in time linear in its length.

        Raises:
            ValueError: It is too long, or otcache did not send it.
        """
        found = orjson.loads(payload) if len(payload) <= MAX_BYTES else None
        if not isinstance(found, dict):
            raise ValueError("no announcement")
        facts: dict[str, Any] = {name: _checked(found.get(name), kind) for name, kind in _KINDS.items()}
        if not _SPACE.fullmatch(facts["namespace"]):
            raise ValueError("no announcement")
        facts |= {name: _texts(found.get(name)) for name in _SECRETS}
        return cls(Neighbour(**facts), found.get("asks") is True)


_SECRETS: Final = ("signing", "encryption")
_SPACE: Final = re.compile(r"[\w.~%-]*", re.ASCII)
_KINDS: Final = {
    "name": str, "namespace": str, "key_prefix": str, "wire_version": int, "coherence": bool, "codec": str,
}  # fmt: skip


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind or len(str(value)) > MAX_TEXT:
        raise ValueError("no announcement")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise ValueError("no announcement")
    return tuple(_checked(value, str) for value in values)


class _Heard(NamedTuple):
    until: int
    differences: tuple[str, ...]


class Neighbours:
    """What one cache knows of the others that have its name, and tells them.

    Args:
        own: What this cache tells of itself.
        announcements: Where it is told.
        probe: What it reports through.
        pause: Seconds between two heartbeats; announcements go with them.
        hears: Whether there are heartbeats, and answers are heard.
    """

    def __init__(
        self, own: Neighbour, announcements: Announcements, probe: Probe, *, pause: float, hears: bool
    ) -> None:
        self._own = own
        self._announcements = announcements
        self._report = probe.coherence
        self._name = probe.name
        self._pause = max(REPEAT, int(pause * 1e9))
        self._asks = self._hears = hears
        self._due_at = 0
        self._is_mute = self._unknown = False
        self._known: dict[Neighbour, _Heard] = {}
        self._told: set[tuple[str, str]] = set()
        if hears:
            announcements.overhear(self.hear, self.refused)
        probe.metrics.watch(self)

    # --- telling ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Announce this cache with the next heartbeat, and ask who else is there."""
        self._asks, self._due_at, self._is_mute = True, 0, False

    @property
    def is_due(self) -> bool:
        """Whether there is something to tell now."""
        return clock() >= self._due_at and not self._is_mute

    async def tell(self) -> None:
        """Announce this cache; a server that does not answer is told again later, one that forbids it is not."""
        asks, self._asks = self._asks, False
        self._due_at = self._next()
        try:
            await self._announcements.announce(Announcement(self._own, asks).encode())
        except StoreError as exc:
            self._asks, self._due_at = asks, clock() + self._pause
            if exc.error_type == "NOPERM":
                self._is_mute = True
                self.refused(exc)

    def _next(self) -> int:
        """When to repeat it: never while nobody disagrees, as far as is heard."""
        return clock() + self._pause if self._in_force() or not self._hears else _NEVER

    def refused(self, _: StoreError) -> None:
        """The server does not allow announcements: neighbours stay unknown, and all else goes on."""
        if not self._unknown:
            self._unknown = True
            self._report.neighbours_unknown()

    # --- hearing ------------------------------------------------------------------------------------

    def hear(self, payload: bytes) -> None:
        """Take in what somebody announces; never raises."""
        with suppress(ValueError):  # damaged, or not sent by otcache
            announcement = Announcement.parse(payload)
            if announcement.neighbour.name == self._own.name:
                self._consider(announcement)

    def _consider(self, announcement: Announcement) -> None:
        neighbour = announcement.neighbour
        differences = tuple(self._own.differences(neighbour))
        if not differences:
            if neighbour == self._own and not announcement.asks and not self._asks:
                self._due_at = self._next()  # said for this process, too
            return
        if announcement.asks and not self._asks:
            self._due_at = min(self._due_at, clock())
        self._remember(neighbour, differences)

    def _remember(self, neighbour: Neighbour, differences: tuple[str, ...]) -> None:
        now = clock()
        if neighbour not in self._known and len(self._known) >= REMEMBERED:
            self._known = {known: heard for known, heard in self._known.items() if heard.until > now}
            if len(self._known) >= REMEMBERED:
                return
        self._known[neighbour] = _Heard(now + FORGET * self._pause, differences)
        self._due_at = min(self._due_at, now + self._pause)
        for difference in differences:
            self._tell_once(neighbour, difference)

    def _tell_once(self, neighbour: Neighbour, difference: str) -> None:
        about = difference, neighbour.namespace if difference == NAMESPACE else ""
        if about in self._told or len(self._told) >= REMEMBERED:
            return
        self._told.add(about)
        sentence = self._sentence(neighbour, difference)
        if difference == NAMESPACE:
            self._report.neighbour_found(neighbour.namespace, sentence)
        else:
            self._report.disagrees(difference, sentence)

    # --- state --------------------------------------------------------------------------------------

    def _in_force(self) -> list[tuple[Neighbour, str]]:
        now = clock()
        return [
            (neighbour, difference)
            for neighbour, heard in self._known.items()
            if heard.until > now
            for difference in heard.differences
        ]

    @property
    def disagreements(self) -> set[str]:
        """The options in which processes that share this cache's namespace do not agree now."""
        return {difference for _, difference in self._in_force()} - {NAMESPACE}

    @property
    def notes(self) -> list[str]:
        """A sentence on each neighbour that is there now, with what to do."""
        return list(dict.fromkeys(self._sentence(*found) for found in self._in_force()))

    def _sentence(self, neighbour: Neighbour, difference: str) -> str:
        if difference == NAMESPACE:
            return (
                f"cache {self._name}: {_space(neighbour.namespace)} has a cache of this name on the same database, and "
                f"nothing is shared with this one of {_space(self._own.namespace)}. To share, set the same "
                "OTCACHE_NAMESPACE for both"
            )
        ours, theirs = getattr(self._own, difference), getattr(neighbour, difference)
        values = "" if difference in _SECRETS else f" ({ours!r} here, {theirs!r} there)"
        return (
            f"cache {self._name}: processes of {_space(self._own.namespace)} disagree in {difference}{values}. Set the "
            "same for all, or give them namespaces of their own"
        )

    def gauges(self) -> Iterable[tuple[Instrument, int, tuple[str, ...]]]:
        """Which options disagree now."""
        found = self.disagreements
        for option in catalog.DISAGREEMENT.values or ():
            yield catalog.DISAGREEMENTS, int(option in found), (self._name, option)


def _space(namespace: str) -> str:
    return f"namespace {namespace!r}" if namespace else "no namespace"


_NEVER: Final = 2**63 - 1
