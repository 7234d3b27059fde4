"""Pickle, only for payloads whose signature has been verified before anything in them is unpickled or unpacked."""

from __future__ import annotations

import io
import pickle
from typing import Any

from otcache._serialization.declared import why_never
from otcache.exceptions import DecodeError, ValidationError


class _Pickler(pickle.Pickler):
    """Refuses what pickle would take apart from its session, or show in clear, without a word."""

    def reducer_override(self, part: Any) -> Any:
        reason = why_never(type(part))
        if reason is not None:
            raise ValidationError(reason)
        return NotImplemented


def dumps(value: Any) -> bytes:
    """`value` pickled; `ValidationError` if it can't be, or holds an entity of an ORM or a secret."""
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
