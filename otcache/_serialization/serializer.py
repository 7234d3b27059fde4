"""Values to bytes and back: a value comes back equal and of the same type, or is refused."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import orjson

from otcache._serialization import plain_json as plain
from otcache._serialization import signed_pickle as pickled
from otcache._serialization import tagged_json as tagged
from otcache._serialization.compression import MAX_RAW, NAMES, Algorithm, Compressor, expand
from otcache._serialization.encryption import Cipher
from otcache._serialization.envelope import (
    CREATED_BIT,
    ENCRYPTED_BIT,
    EXPIRY_OFFSET,
    HEADER_SIZE,
    MAGIC,
    PICKLED,
    PLAIN,
    SEAL_BITS,
    SIGNED_BIT,
    TAGGED,
    VERSION_BIT,
    Facts,
    Writer,
    pack,
    pack_usual,
    seal_of,
    unpack,
)
from otcache._serialization.seals import CHECKSUM_SIZE, RESIDUE, Both, Checksum, Place, Seal, Signer, listed
from otcache._serialization.types import REGISTRY, register_type
from otcache._serialization.wire import WIRE_VERSION
from otcache.exceptions import DecodeError, SealError, ValidationError

__all__ = ["Codec", "DecodeError", "Decoded", "Encoded", "Facts", "Place", "Serializer", "Writer", "register_type"]

Codec = Literal["plain", "tagged", "signed"]

# how nearly every hit starts: plain JSON, not compressed, after expiry, created-at and invalidation version
_USUAL_START: Final = bytes((MAGIC, WIRE_VERSION, PLAIN, CREATED_BIT | VERSION_BIT))
_USUAL_SIZE: Final = HEADER_SIZE + 16
_usual_times: Final = struct.Struct(">QQQ").unpack_from
_loads: Final = orjson.loads
_crc: Final = zlib.crc32
_new: Final = tuple.__new__
_clock: Final = time.perf_counter_ns
_NAMES: Final[dict[int, Codec]] = {PLAIN: "plain", TAGGED: "tagged", PICKLED: "signed"}


_SEALS: Final = {
    0: "a checksum",
    SIGNED_BIT: "a signature",
    ENCRYPTED_BIT: "a cipher",
    SEAL_BITS: "a cipher and a signature",
}


class Encoded(NamedTuple):
    """A value as bytes.

    Attributes:
        payload: What a store gets: header and body.
        raw_size: Bytes of the body before compression.
        algorithm: `zlib`, `zstd`, or `None` where the body is not compressed.
        codec: What the body was written by.
        serialize_ns: Time it took.
        compress_ns: Time for the compressor; 0 where the body stays as it was.
    """

    payload: bytes
    raw_size: int
    algorithm: Algorithm | None
    codec: Codec = "plain"
    serialize_ns: int = 0
    compress_ns: int = 0


class Decoded(NamedTuple):
    """A value and what came with it.

    Attributes:
        value: The value.
        expires_at_ms: When it ends, in ms of the server's clock; 0 for never.
        created_at_ms: When it was written, in ms of the server's clock.
        raw_size: Bytes of the body after decompression.
        algorithm: `zlib`, `zstd`, or `None` where the body was not compressed.
        facts: What else the writer noted.
        codec: What the body was written by.
        expand_ns: Time for decompression.
        version: The invalidation version that its writer knew; `None` if it knew of none.
    """

    value: Any
    expires_at_ms: int
    created_at_ms: int | None
    raw_size: int
    algorithm: Algorithm | None = None
    facts: Facts | None = None
    codec: Codec = "plain"
    expand_ns: int = 0
    version: int | None = None


class Serializer:
    """One cache's way of writing values. It reads what was written for the same place and sealed in the same way.

    Args:
        threshold: Bytes; larger bodies are compressed where that makes them at least a tenth smaller.
        level: 1 (fastest) to 9 (smallest).
        algorithm: `zlib`, or `zstd` if the extra is installed.
        place: Where the entries are kept: a payload is read at its own place only.
        signing_secret: One, or several of which the first signs, of at least 16 bytes each. With it everything is
            signed, and nothing unsigned is read; and values that nothing else can hold are pickled.
        encryption_keys: One AES key in base64 or hexadecimal, or several of which the first encrypts. With it
            everything is encrypted, and nothing else is read.

    Attributes:
        is_secret: Whether only those who have a secret can write what it reads.

    Raises:
        ConfigurationError: zstd or cryptography is not installed, a secret is too short, or a key is none.
        ValidationError: A number is outside its range.
    """

    __slots__ = ("_compressor", "_pickles", "_seal", "_seed", "_usual_start", "is_secret")

    def __init__(
        self,
        *,
        threshold: int,
        level: int,
        algorithm: Algorithm = "zlib",
        place: Place = Place(),  # noqa: B008  immutable
        signing_secret: str | Sequence[str] | None = None,
        encryption_keys: str | Sequence[str] | None = None,
    ) -> None:
        self._compressor = Compressor(threshold, level, algorithm)
        checksum = Checksum(place)
        self._seed = checksum.seed
        self._seal = _seal(place, listed(signing_secret), listed(encryption_keys)) or checksum
        self._pickles = signing_secret is not None
        self.is_secret = self._seal is not checksum
        # what is signed or encrypted is never as usual
        self._usual_start = b"never" if self.is_secret else _USUAL_START

    def encode(
        self,
        value: Any,
        *,
        key: str,
        expires_at_ms: int,
        created_at_ms: int | None = None,
        type: Any = None,  # noqa: A002
        facts: Facts | None = None,
        version: int | None = None,
    ) -> Encoded:
        """`value` as a payload.

        Args:
            value: What.
            key: Where; the payload holds for this key only.
            expires_at_ms: ms since the epoch of the server's clock; 0 for never.
            created_at_ms: The same clock now.
            type: A type to declare for this call: `User`, or `list[User]`.
            facts: What else to keep with it.
            version: The invalidation version that its writer knows.

        Raises:
            ValidationError: The value holds something that would not come back equal and of the same type,
                or takes more than 256 MiB.
        """
        started = _clock()
        format_, raw = self._body(value, type)
        if len(raw) > MAX_RAW:
            raise ValidationError(f"the value takes {len(raw)} bytes, above {MAX_RAW}")
        written = _clock()
        compression, body = self._compressor.shrink(raw)
        compress_ns = _clock() - written if body is not raw else 0
        marked = format_ | self._seal.mark
        if facts is None and version is not None and created_at_ms is not None:
            head = pack_usual(marked, compression, expires_at_ms, created_at_ms, version)
        else:
            facts = facts if version is None else (facts or Facts())._replace(version=version)
            head = pack(marked, compression, expires_at_ms, created_at_ms, facts)
        payload = self._seal.close(head + body, key.encode())
        return Encoded(payload, len(raw), NAMES[compression], _NAMES[format_], written - started, compress_ns)

    def _body(self, value: Any, kind: Any) -> tuple[int, bytes]:
        raw = plain.dumps(value)
        if raw is not None:
            return PLAIN, raw
        scope = REGISTRY.scope(kind)
        try:
            return TAGGED, tagged.dumps(value, scope)
        except ValidationError:
            if not self._pickles:
                raise
        return PICKLED, pickled.dumps(value)

    def decode(self, payload: bytes, *, key: str, type: Any = None) -> Decoded:  # noqa: A002
        """The value in `payload`.

        Args:
            payload: What a store has.
            key: Where.
            type: A type to declare for this call; the value is whatever was stored.

        Raises:
            DecodeError: The bytes can't be read here: damaged, foreign, of another place, sealed in another way, or of
                a type not declared.
            ValidationError: `type` can't be declared.
        """
        if payload[:4] != self._usual_start:
            return self._decode(payload, key, type)
        # `Checksum.open` without its slice: here the cut after the body is free
        if _crc(payload, _crc(key.encode(), self._seed)) != RESIDUE:
            raise SealError("wrong checksum")
        try:
            # a slice: up to 50 kB the copy is cheaper than a memoryview (measured)
            value = _loads(payload[_USUAL_SIZE:-CHECKSUM_SIZE])
        except ValueError:
            raise DecodeError("damaged JSON") from None
        # there is a body, so there are times before it
        expires, created, version = _usual_times(payload, EXPIRY_OFFSET)
        size = len(payload) - _USUAL_SIZE - CHECKSUM_SIZE
        # half the price of calling the class: this is the hit path
        return _new(Decoded, (value, expires, created, size, None, None, "plain", 0, version))

    def inspect(self, payload: bytes, *, key: str) -> Decoded:
        """What stands before the value, which is left out; `DecodeError` if the bytes can't be read here."""
        header = unpack(self._open(payload, key))
        version = header.facts.version if header.facts is not None else None
        return Decoded(None, header.expires_at_ms, header.created_at_ms, 0, facts=header.facts, version=version)

    def retimed(self, payload: bytes, *, key: str, expires_at_ms: int) -> bytes:
        """`payload` with another end, the same value, and all of its new time fresh; `DecodeError` as for `inspect`."""
        plain = self._open(payload, key)
        header = unpack(plain)
        facts = header.facts
        if facts is not None and facts.soft_expires_at_ms is not None:
            facts = facts._replace(soft_expires_at_ms=expires_at_ms or None)
        format_ = header.format | self._seal.mark
        head = pack(format_, header.compression, expires_at_ms, header.created_at_ms, facts)
        return self._seal.close(head + plain[header.size :], key.encode())

    def _open(self, payload: bytes, key: str) -> bytes:
        """The header and the body, once it is sure that they are ours and of this place."""
        found, ours = seal_of(payload), self._seal.mark
        if found != ours:
            raise SealError(f"the entry has {_SEALS[found]}, and this cache reads {_SEALS[ours]}")
        return self._seal.open(payload, key.encode())

    def _decode(self, payload: bytes, key: str, kind: Any) -> Decoded:
        plain = self._open(payload, key)
        header = unpack(plain)
        body = plain[header.size :]
        began = _clock()
        raw = expand(header.compression, body)
        expand_ns = _clock() - began if header.compression else 0
        value = self._value(header.format, raw, kind)
        return Decoded(
            value,
            header.expires_at_ms,
            header.created_at_ms,
            len(raw),
            NAMES[header.compression],
            header.facts,
            _NAMES[header.format],
            expand_ns,
            header.facts.version if header.facts is not None else None,
        )

    def _value(self, format_: int, raw: bytes, kind: Any) -> Any:
        if format_ == PLAIN:
            try:
                return orjson.loads(raw)
            except ValueError:
                raise DecodeError("damaged JSON") from None
        if format_ == TAGGED:
            return tagged.loads(raw, REGISTRY.scope(kind))
        if format_ == PICKLED and self._pickles:
            return pickled.loads(raw)
        raise DecodeError("unknown format")


def _seal(place: Place, secrets: Sequence[str] | None, keys: Sequence[str] | None) -> Seal | None:
    cipher = None if keys is None else Cipher(keys, place)
    signer = None if secrets is None else Signer(secrets, place)
    return Both(cipher, signer) if cipher is not None and signer is not None else cipher or signer
