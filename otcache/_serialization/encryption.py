"""Entries encrypted by AES-GCM; the one module that imports cryptography."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable
from typing import Any, Final

from otcache._serialization.envelope import ENCRYPTED_BIT, HEADER_SIZE
from otcache._serialization.seals import MOST_SECRETS, Place, framed, many_problem
from otcache.exceptions import ConfigurationError, SealError

_SIZES: Final = (16, 24, 32)
_ID, _NONCE, _TAG = 8, 12, 16
_BODY: Final = HEADER_SIZE + _ID + _NONCE
_ENCRYPTED: Final = b"otcache encrypted entry 2"
_KEY_ID: Final = b"otcache key id"
_HEX: Final = re.compile(r"[0-9a-fA-F]+")


class Cipher:
    """AES-GCM. The first key encrypts, all of them decrypt; the payload says by which key it was encrypted.

    The 12 fixed bytes of the header stay readable, and are covered; all that follows them is encrypted:

        header 12 | key id 8 | nonce 12 | other times, facts and body | tag 16

    Raises:
        ConfigurationError: A key is none, there are too many, or the package is missing.
    """

    mark = ENCRYPTED_BIT

    def __init__(self, keys: Iterable[str], place: Place) -> None:
        found = [parse_key(key) for key in keys]
        if not 0 < len(found) <= MOST_SECRETS:
            raise ConfigurationError(f"encryption_keys {many_problem(found)}")
        if None in found:
            raise ConfigurationError(f"encryption_keys {_PROBLEM}")
        made, self._wrong_tag = _aes_gcm()
        self._ciphers = {_id_of(key): made(key) for key in found if key is not None}
        self._first, self._cipher = next(iter(self._ciphers.items()))
        self._place = place.framed(_ENCRYPTED)

    def close(self, plain: bytes, key: bytes) -> bytes:
        head, nonce = plain[:HEADER_SIZE], os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, plain[HEADER_SIZE:], self._covered(head, key))
        return b"".join((head, self._first, nonce, sealed))

    def open(self, payload: bytes, key: bytes) -> bytes:
        head, nonce = payload[:HEADER_SIZE], payload[HEADER_SIZE + _ID : _BODY]
        cipher = self._ciphers.get(payload[HEADER_SIZE : HEADER_SIZE + _ID])
        if cipher is None or len(payload) < _BODY + _TAG:
            raise SealError("encrypted by a key that is not in encryption_keys")
        try:
            rest: bytes = cipher.decrypt(nonce, payload[_BODY:], self._covered(head, key))
        except self._wrong_tag:
            raise SealError("wrong tag of an encrypted entry") from None
        return head + rest

    def _covered(self, head: bytes, key: bytes) -> bytes:
        return b"".join((self._place, framed(key), head))


def _aes_gcm() -> tuple[Any, type[Exception]]:
    # here: it takes 50 ms, and only a cache that encrypts needs it
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ConfigurationError(
            'encryption_keys need the cryptography package: pip install "otcache[crypto]"'
        ) from None
    return AESGCM, InvalidTag


def _id_of(key: bytes) -> bytes:
    """What a payload calls a key. It tells nothing of the key, and who has both knows that they belong together."""
    return hashlib.sha256(_KEY_ID + key).digest()[:_ID]


_PROBLEM: Final = (
    "is no AES key: 16, 24 or 32 random bytes in base64 or hexadecimal, as `openssl rand -base64 32` prints"
)


def key_problem(text: str) -> str | None:
    """What is wrong with an encryption key, without showing it."""
    return None if parse_key(text) is not None else _PROBLEM


def parse_key(text: str) -> bytes | None:
    """The bytes of a key in hexadecimal or base64 (also URL-safe, also without `=`); `None` if it is none."""
    text = text.strip()
    # hexadecimal first: 32 of its digits are base64 too, of another key
    if _HEX.fullmatch(text) and len(text) // 2 in _SIZES and len(text) % 2 == 0:
        return bytes.fromhex(text)
    digits = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except ValueError:
        return None
    return key if len(key) in _SIZES else None
