"""The messages that the processes of one cache send each other, as bytes and back.

    key changed         k{wire} {origin} {ms} ["key", ...]
    invalidation        s{wire} {origin} {ms} {version} {target}     the store appends version and target
    lock is free        f{wire} {origin} {ms} {key}

`wire` is the wire version, `origin` names the sending process, `ms` is the store's clock. A message of another wire
version is no error: during a rolling upgrade both versions are in use, and the receiver counts and ignores what it does
not know.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

import orjson

from otcache._serialization.wire import WIRE_VERSION

Kind = Literal["key", "tag", "lock", "unknown"]

_SIGNS: Final[dict[Kind, bytes]] = {
    "key": b"k%d" % WIRE_VERSION,
    "tag": b"s%d" % WIRE_VERSION,
    "lock": b"f%d" % WIRE_VERSION,
}
_KINDS: Final = {sign: kind for kind, sign in _SIGNS.items()}
_ANY_SIGN: Final = re.compile(rb"[a-z][0-9]{1,3}")


class Message(NamedTuple):
    """One message, parsed.

    Attributes:
        kind: What it says; `unknown` for another wire version.
        sent_ms: When it was sent, by the store's clock; `None` if unknown.
        is_own: Whether this process sent it.
        keys: Of `key` the changed keys, of `lock` the key.
        target: Of `tag` what is invalid: `t:tag`, `p:prefix` or `*`.
        version: Of `tag` the invalidation version.
    """

    kind: Kind
    sent_ms: int | None = None
    is_own: bool = False
    keys: Sequence[str] = ()
    target: str = ""
    version: int = 0


class Messages:
    """Makes and parses the messages of one process.

    Args:
        now_ms: The store's clock.
        published: Called with the kind of each message that is made.
    """

    def __init__(self, now_ms: Callable[[], int], published: Callable[[Kind], None]) -> None:
        self._origin = secrets.token_hex(8)
        self._now_ms = now_ms
        self._published = published

    def keys_changed(self, keys: Sequence[str]) -> bytes:
        """Make the message that `keys` have changed."""
        return self._head("key") + orjson.dumps(keys)

    def invalidated(self) -> bytes:
        """Make the head of an invalidation message; the store appends version and target in the step that counts."""
        return self._head("tag")

    def unlocked(self, key: str) -> bytes:
        """Make the message that the lock of `key` is free."""
        return self._head("lock") + key.encode(errors="surrogateescape")

    def _head(self, kind: Kind) -> bytes:
        self._published(kind)
        return b"%b %b %d " % (_SIGNS[kind], self._origin.encode(), self._now_ms())

    def lag_ms(self, message: Message) -> int | None:
        """Milliseconds since `message` was sent; `None` if it does not say."""
        return None if message.sent_ms is None else self._now_ms() - message.sent_ms

    def parse(self, payload: bytes) -> Message:
        """Parse one message.

        Raises:
            ValueError: It is damaged, or otcache did not send it.
        """
        sign, _, rest = payload.partition(b" ")
        kind = _KINDS.get(sign)
        if kind is None:
            if not _ANY_SIGN.fullmatch(sign):
                raise ValueError("otcache did not send this message")
            return Message("unknown")  # nothing after the sign of another wire version means what it means in ours
        origin, sent, rest = rest.split(b" ", 2)
        facts = int(sent), origin == self._origin.encode()
        if kind == "key":
            return Message(kind, *facts, keys=_keys(rest))
        if kind == "lock":
            return Message(kind, *facts, keys=[rest.decode(errors="surrogateescape")])
        version, _, target = rest.partition(b" ")
        return Message(kind, *facts, target=target.decode(), version=int(version))


def _keys(body: bytes) -> list[str]:
    keys = orjson.loads(body)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("the keys of a message are not a list of strings")
    return keys
