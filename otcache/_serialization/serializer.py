"""Values to bytes and back: a value comes back equal and of the same type, or is refused."""

from __future__ import annotations

import struct
import time
from typing import Any, Final, Literal, NamedTuple

import orjson

from otcache._serialization import plain_json as plain
from otcache._serialization import signed_pickle as signed
from otcache._serialization import tagged_json as tagged
from otcache._serialization.compression import MAX_RAW, NAMES, Algorithm, Compressor, expand
from otcache._serialization.envelope import (
    CREATED_BIT,
    EXPIRY_OFFSET,
    HEADER_SIZE,
    MAGIC,
    PLAIN,
    SIGNED,
    TAGGED,
    VERSION_BIT,
    Facts,
    Header,
    Writer,
    pack,
    pack_usual,
    unpack,
)
from otcache._serialization.types import REGISTRY, register_type
from otcache._serialization.wire import WIRE_VERSION
from otcache.exceptions import DecodeError, ValidationError

__all__ = ["Codec", "DecodeError", "Decoded", "Encoded", "Facts", "Serializer", "Writer", "register_type"]

Codec = Literal["plain", "tagged", "signed"]

# how nearly every hit starts: plain JSON, not compressed, after expiry, created-at and invalidation version
_USUAL_START: Final = bytes((MAGIC, WIRE_VERSION, PLAIN, CREATED_BIT | VERSION_BIT))
_USUAL_SIZE: Final = HEADER_SIZE + 16
_usual_times: Final = struct.Struct(">QQQ").unpack_from
_loads: Final = orjson.loads
_new: Final = tuple.__new__
_clock: Final = time.perf_counter_ns
_NAMES: Final[dict[int, Codec]] = {PLAIN: "plain", TAGGED: "tagged", SIGNED: "signed"}


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
    """One cache's way of writing values; reads whatever any other has written, but signed pickles only with the secret.

    Args:
        threshold: Bytes; larger bodies are compressed where that makes them at least a tenth smaller.
        level: 1 (fastest) to 9 (smallest).
        algorithm: `zlib`, or `zstd` if the extra is installed.
        signing_secret: At least 16 bytes. With it, and never without, values that nothing else can hold are pickled.

    Raises:
        ConfigurationError: zstd is not installed, or the secret is too short.
        ValidationError: A number is outside its range.
    """

    __slots__ = ("_compressor", "_signer")

    def __init__(
        self, *, threshold: int, level: int, algorithm: Algorithm = "zlib", signing_secret: str | None = None
    ) -> None:
        self._compressor = Compressor(threshold, level, algorithm)
        self._signer = signed.Signer(signing_secret) if signing_secret is not None else None

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
            key: Where; a signature holds for this key only.
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
        if format_ == SIGNED:
            assert self._signer is not None  # the format is chosen only with one
            body = self._signer.sign(key, compression, body)
        if facts is None and version is not None and created_at_ms is not None:
            head = pack_usual(format_, compression, expires_at_ms, created_at_ms, version)
        else:
            facts = facts if version is None else (facts or Facts())._replace(version=version)
            head = pack(format_, compression, expires_at_ms, created_at_ms, facts)
        return Encoded(head + body, len(raw), NAMES[compression], _NAMES[format_], written - started, compress_ns)

    def _body(self, value: Any, kind: Any) -> tuple[int, bytes]:
        raw = plain.dumps(value)
        if raw is not None:
            return PLAIN, raw
        scope = REGISTRY.scope(kind)
        try:
            return TAGGED, tagged.dumps(value, scope)
        except ValidationError:
            if self._signer is None:
                raise
        return SIGNED, signed.dumps(value)

    def decode(self, payload: bytes, *, key: str, type: Any = None) -> Decoded:  # noqa: A002
        """The value in `payload`.

        Args:
            payload: What a store has.
            key: Where.
            type: A type to declare for this call; the value is whatever was stored.

        Raises:
            DecodeError: The bytes can't be read here: damaged, foreign, badly signed, or of a type not declared.
            ValidationError: `type` can't be declared.
        """
        if payload[:4] != _USUAL_START:
            return self._decode(payload, unpack(payload), key, type)
        try:
            # a slice: up to 50 kB the copy is cheaper than a memoryview (measured)
            value = _loads(payload[_USUAL_SIZE:])
        except ValueError:
            raise DecodeError("damaged JSON") from None
        # there is a body, so there are times before it
        expires, created, version = _usual_times(payload, EXPIRY_OFFSET)
        # half the price of calling the class: this is the hit path
        return _new(Decoded, (value, expires, created, len(payload) - _USUAL_SIZE, None, None, "plain", 0, version))

    @staticmethod
    def inspect(payload: bytes) -> Decoded:
        """What stands before the value, which is left out; `DecodeError` if the bytes can't be read here."""
        header = unpack(payload)
        version = header.facts.version if header.facts is not None else None
        return Decoded(None, header.expires_at_ms, header.created_at_ms, 0, facts=header.facts, version=version)

    def _decode(self, payload: bytes, header: Header, key: str, kind: Any) -> Decoded:
        body = payload[header.size :]
        if header.format == SIGNED:
            if self._signer is None:
                raise DecodeError("signed, and no signing_secret is configured")
            body = self._signer.verify(key, header.compression, body)
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

    @staticmethod
    def _value(format_: int, raw: bytes, kind: Any) -> Any:
        if format_ == PLAIN:
            try:
                return orjson.loads(raw)
            except ValueError:
                raise DecodeError("damaged JSON") from None
        if format_ == TAGGED:
            return tagged.loads(raw, REGISTRY.scope(kind))
        if format_ == SIGNED:
            return signed.loads(raw)
        raise DecodeError("unknown format")
