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
from otcache.telemetry.catalog import Attribute, Instrument

MAX_BYTES: Final = 4096
REMEMBERED: Final = 32
"""Other namespaces, and sets of options within this one."""
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

    def announcement(self, *, asks: bool) -> bytes:
        """What it says, and whether it asks the others."""
        return orjson.dumps({**self._asdict(), "asks": asks})


def _digests(secrets: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Keyed with what it is the digest of: whoever reads it learns nothing but whether two are the same."""
    given = (each.encode(errors="surrogatepass") for each in listed(secrets) or ())
    return tuple(hmac.new(each, b"otcache neighbour 1", "sha256").hexdigest()[:16] for each in given)


def parse(payload: bytes) -> tuple[Neighbour, bool]:
    """Who says it, and whether others are asked; in time linear in its length.

    Raises:
        ValueError: It is too long, or otcache did not send it.
    """
    found = orjson.loads(payload) if len(payload) <= MAX_BYTES else None
    if isinstance(found, dict):
        said = {name: found.get(name) for name in Neighbour._fields}
        facts: dict[str, Any] = {name: tuple(fact) if isinstance(fact, list) else fact for name, fact in said.items()}
        if all(map(_fits, facts.values(), _KINDS)) and _SPACE.fullmatch(facts["namespace"]):
            return Neighbour(**facts), found.get("asks") is True
    raise ValueError("no announcement")


_SECRETS: Final = ("signing", "encryption")
_KINDS: Final = (str, str, str, int, bool, str, tuple, tuple)
_SPACE: Final = re.compile(r"[\w.~%-]*", re.ASCII)


def _fits(fact: Any, kind: type) -> bool:
    if isinstance(fact, tuple):
        return kind is tuple and all(isinstance(each, str) for each in fact)
    return type(fact) is kind


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
        self._told: set[tuple[Attribute, str]] = set()
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
            await self._announcements.announce(self._own.announcement(asks=asks))
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
            sentence = f"cache {self._name}: neighbours are not seen: the server does not allow otcache:neighbours@*"
            self._report.tell(catalog.NEIGHBOURS_UNKNOWN, sentence)

    # --- hearing ------------------------------------------------------------------------------------

    def hear(self, payload: bytes) -> None:
        """Take in what somebody announces; never raises."""
        with suppress(ValueError):  # damaged, or not sent by otcache
            neighbour, asks = parse(payload)
            if neighbour.name == self._own.name:
                self._consider(neighbour, asks)

    def _consider(self, neighbour: Neighbour, asks: bool) -> None:
        differences = tuple(self._own.differences(neighbour))
        if not differences:
            if neighbour == self._own and not asks and not self._asks:
                self._due_at = self._next()  # said for this process, too
            return
        if asks and not self._asks:
            self._due_at = min(self._due_at, clock())
        is_stranger = neighbour.namespace != self._own.namespace
        self._remember(self._own._replace(namespace=neighbour.namespace) if is_stranger else neighbour, differences)

    def _remember(self, neighbour: Neighbour, differences: tuple[str, ...]) -> None:
        now = clock()
        if neighbour not in self._known:
            self._known = {known: heard for known, heard in self._known.items() if heard.until > now}
            # strangers are counted apart: a Redis of many services must not hide what concerns this one
            is_ours = neighbour.namespace == self._own.namespace
            if sum((known.namespace == self._own.namespace) == is_ours for known in self._known) >= REMEMBERED:
                return
        self._known[neighbour] = _Heard(now + FORGET * self._pause, differences)
        self._due_at = min(self._due_at, now + self._pause)
        for difference in differences:
            self._tell_once(neighbour, difference)

    def _tell_once(self, neighbour: Neighbour, difference: str) -> None:
        is_other = difference == NAMESPACE
        about = (catalog.NAMESPACE, neighbour.namespace) if is_other else (catalog.DISAGREEMENT, difference)
        # anybody can make names up; options are few
        if about not in self._told and not (is_other and len(self._told) >= REMEMBERED):
            self._told.add(about)
            event = catalog.NEIGHBOUR_FOUND if is_other else catalog.OPTIONS_DISAGREE
            self._report.tell(event, self._sentence(neighbour, difference), about)

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
        values = "" if difference in _SECRETS else f" ({ours!r:.80} here, {theirs!r:.80} there)"
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
    return f"namespace {namespace!r:.80}" if namespace else "no namespace"


_NEVER: Final = 2**63 - 1
