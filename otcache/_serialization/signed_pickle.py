"""Pickle, only for payloads whose signature has been verified before anything in them is unpickled or unpacked."""

from __future__ import annotations

import pickle
from typing import Any

from otcache.exceptions import DecodeError, ValidationError


def dumps(value: Any) -> bytes:
    """`value` pickled; `ValidationError` if it can't be."""
    try:
        return pickle.dumps(value, protocol=5)
    except Exception as exc:  # noqa: BLE001  runs the user's type: anything can come out
        name = type(value).__qualname__
        raise ValidationError(f"a value of type {name} can't be pickled: {type(exc).__name__}") from None


def loads(body: bytes) -> Any:
    """The value of a body that has been verified; `DecodeError` if it does not unpickle here."""
    try:
        return pickle.loads(body)  # noqa: S301  signed with the application's own secret, and verified
    except Exception as exc:  # noqa: BLE001  runs the user's type: anything can come out
        raise DecodeError(f"pickle: {type(exc).__name__}") from None
