"""Pickle, only under a signature that is checked before anything is unpickled or unpacked."""

from __future__ import annotations

import hmac
import io
import pickle
from typing import Any, Final

from otcache._serialization.declared import is_entity, why_not
from otcache.exceptions import ConfigurationError, DecodeError, ValidationError

_MAC_SIZE: Final = 32
_DOMAIN: Final = b"otcache signed pickle 1"
_SHORTEST: Final = 16


class Signer:
    """HMAC-SHA256 over the key, the compression and the body: a payload holds under its own key only.

    The times of the envelope are not covered: `touch` writes the expiry on the server. A secret of less than 16 bytes
    in UTF-8 is refused by a `ConfigurationError`.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        if len(self._secret) < _SHORTEST:
            raise ConfigurationError(f"signing_secret is shorter than {_SHORTEST} bytes")

    def sign(self, key: str, compression: int, body: bytes) -> bytes:
        """`body` with its signature before it."""
        return self._mac(key, compression, body) + body

    def verify(self, key: str, compression: int, signed: bytes) -> bytes:
        """The body; `DecodeError` if it was not signed with this secret, or not for this key."""
        mac, body = signed[:_MAC_SIZE], signed[_MAC_SIZE:]
        if not hmac.compare_digest(mac, self._mac(key, compression, body)):
            raise DecodeError("wrong signature")
        return body

    def _mac(self, key: str, compression: int, body: bytes) -> bytes:
        name = key.encode()
        # the length before the key: no two pairs of key and body give the same bytes
        return hmac.digest(
            self._secret, b"%s%c%s%s%s" % (_DOMAIN, compression, len(name).to_bytes(4), name, body), "sha256"
        )


class _Pickler(pickle.Pickler):
    """Refuses what pickle would take apart from its session without a word."""

    def reducer_override(self, part: Any) -> Any:
        reason = why_not(type(part)) if is_entity(type(part)) else None
        if reason is not None:
            raise ValidationError(reason)
        return NotImplemented


def dumps(value: Any) -> bytes:
    """`value` pickled; `ValidationError` if it can't be, or holds an entity of an ORM."""
    body = io.BytesIO()
    try:
        _Pickler(body, protocol=5).dump(value)
        return body.getvalue()
    except ValidationError:
        raise
    except Exception as exc:  # noqa: BLE001  runs the user's type: anything can come out
        name = type(value).__qualname__
        raise ValidationError(f"a value of type {name} can't be pickled: {type(exc).__name__}") from None


def loads(body: bytes) -> Any:
    """The value of a body that has been verified; `DecodeError` if it does not unpickle here."""
    try:
        return pickle.loads(body)  # noqa: S301  signed with the application's own secret, and verified
    except Exception as exc:  # noqa: BLE001  runs the user's type: anything can come out
        raise DecodeError(f"pickle: {type(exc).__name__}") from None
