"""The header of a payload: 12 fixed bytes, then the facts that its flags announce.

    0     magic 0xCA          1  wire version
    2     bits 0-3 format of the body (never reused); 4 signed; 5 encrypted
    3     flags: bits 0-1 compression; 2 created; 3 soft expiry; 4 loader; 5 writer; 6 invalidation version; 7 notes
    4-11  expiry, ms since the epoch of the server's clock, 0 for never
    12-   created ms 8 | soft expiry ms 8 | loader µs 4 | trace id 16, span id 8, flags 1 | version 8 |
          length 4 and JSON notes | body

All numbers are big-endian. What closes the payload is its seal (`seals`): 4 bytes of checksum, the last 32 of a
signature, or a cipher. Nothing of a payload is read before its seal has been checked, but the first 3 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from otcache._serialization.wire import WIRE_VERSION
from otcache.exceptions import DecodeError, ValidationError

MAGIC: Final = 0xCA
EXPIRY_OFFSET: Final = 4
HEADER_SIZE: Final = 12

PLAIN: Final = 1
TAGGED: Final = 2
PICKLED: Final = 3
SIGNED_BIT: Final = 1 << 4
ENCRYPTED_BIT: Final = 1 << 5
SEAL_BITS: Final = SIGNED_BIT | ENCRYPTED_BIT

COMPRESSION_BITS: Final = 0b11
CREATED_BIT: Final = 1 << 2
_SOFT_BIT: Final = 1 << 3
_LOADER_BIT: Final = 1 << 4
_WRITER_BIT: Final = 1 << 5
VERSION_BIT: Final = 1 << 6
_NOTES_BIT: Final = 1 << 7

_HEADER: Final = struct.Struct(">BBBBQ")
_USUAL: Final = struct.Struct(">BBBBQQQ")
_MS: Final = struct.Struct(">Q")
_US: Final = struct.Struct(">I")
_WRITER: Final = struct.Struct(">QQQB")
_LENGTH: Final = struct.Struct(">I")
_LONGEST_US: Final = 2**32 - 1


class Writer(NamedTuple):
    """The span that wrote an entry, as in a `traceparent`."""

    trace_id: int
    span_id: int
    flags: int


class Facts(NamedTuple):
    """What an entry can carry besides its value and times; `None` takes no byte.

    Attributes:
        soft_expires_at_ms: From when on it should be refreshed, in ms of the server's clock.
        loader_us: How long the load took, at most 71 minutes (32 bits).
        writer: The span that wrote it.
        version: The invalidation version that its writer knew (docs/coherence.md), 64 bits with the epoch.
        notes: Small JSON: token usage, tags.
    """

    soft_expires_at_ms: int | None = None
    loader_us: int | None = None
    writer: Writer | None = None
    version: int | None = None
    notes: Mapping[str, Any] | None = None


class Header(NamedTuple):
    """What stands before a body; `size` is where the body starts."""

    format: int
    compression: int
    expires_at_ms: int
    created_at_ms: int | None
    facts: Facts | None
    size: int


def pack(format: int, compression: int, expires_at_ms: int, created_at_ms: int | None, facts: Facts | None) -> bytes:  # noqa: A002
    """The header's bytes."""
    flags, rest = compression, b""
    if created_at_ms is not None:
        flags, rest = flags | CREATED_BIT, _MS.pack(created_at_ms)
    if facts is not None:
        bits, more = _pack_facts(facts)
        flags, rest = flags | bits, rest + more
    return _HEADER.pack(MAGIC, WIRE_VERSION, format, flags, expires_at_ms) + rest


def pack_usual(format: int, compression: int, expires_at_ms: int, created_at_ms: int, version: int) -> bytes:  # noqa: A002
    """The header of nearly every entry, in one step."""
    return _USUAL.pack(
        MAGIC, WIRE_VERSION, format, compression | CREATED_BIT | VERSION_BIT, expires_at_ms, created_at_ms, version
    )


def _pack_facts(facts: Facts) -> tuple[int, bytes]:
    parts: list[tuple[int, bytes]] = []
    if facts.soft_expires_at_ms is not None:
        parts.append((_SOFT_BIT, _MS.pack(facts.soft_expires_at_ms)))
    if facts.loader_us is not None:
        parts.append((_LOADER_BIT, _US.pack(min(facts.loader_us, _LONGEST_US))))
    if facts.writer is not None:
        trace_id, span_id, flags = facts.writer
        parts.append((_WRITER_BIT, _WRITER.pack(*divmod(trace_id, 2**64), span_id, flags)))
    if facts.version is not None:
        parts.append((VERSION_BIT, _MS.pack(facts.version)))
    if facts.notes is not None:
        parts.append((_NOTES_BIT, _pack_notes(facts.notes)))
    return sum(bit for bit, _ in parts), b"".join(part for _, part in parts)


def _pack_notes(notes: Mapping[str, Any]) -> bytes:
    try:
        body = orjson.dumps(dict(notes))
    except TypeError:
        raise ValidationError("the notes of an entry are not JSON") from None
    return _LENGTH.pack(len(body)) + body


def seal_of(payload: bytes) -> int:
    """The bits that tell the seal; `DecodeError` if the bytes are not ours, of another version, or too short."""
    if payload[:1] != b"\xca":
        raise DecodeError("foreign bytes")
    if len(payload) < HEADER_SIZE:
        raise DecodeError("truncated header")
    if payload[1] != WIRE_VERSION:
        raise DecodeError(f"version {payload[1]} of the envelope")
    return payload[2] & SEAL_BITS


def unpack(plain: bytes) -> Header:
    """What stands before the body, of a payload without its seal; `DecodeError` if it is too short."""
    try:
        _, _, format_, flags, expires = _HEADER.unpack_from(plain)
        fields = _Fields(plain, flags)
        created = fields.take(CREATED_BIT, _MS)
        facts = _unpack_facts(fields) if flags >= _SOFT_BIT else None
    except struct.error:
        raise DecodeError("truncated header") from None
    born = created[0] if created else None
    return Header(format_ & ~SEAL_BITS, flags & COMPRESSION_BITS, expires, born, facts, fields.at)


class _Fields:
    """The optional fields, taken in their order."""

    def __init__(self, payload: bytes, flags: int) -> None:
        self.payload = payload
        self.flags = flags
        self.at = HEADER_SIZE

    def take(self, bit: int, shape: struct.Struct) -> tuple[Any, ...] | None:
        if not self.flags & bit:
            return None
        fields = shape.unpack_from(self.payload, self.at)
        self.at += shape.size
        return fields


def _unpack_facts(fields: _Fields) -> Facts:
    soft = fields.take(_SOFT_BIT, _MS)
    loader = fields.take(_LOADER_BIT, _US)
    writer = fields.take(_WRITER_BIT, _WRITER)
    version = fields.take(VERSION_BIT, _MS)
    notes = fields.take(_NOTES_BIT, _LENGTH)
    return Facts(
        soft[0] if soft else None,
        loader[0] if loader else None,
        Writer((writer[0] << 64) | writer[1], *writer[2:]) if writer else None,
        version[0] if version else None,
        _unpack_notes(fields, notes[0]) if notes else None,
    )


def _unpack_notes(fields: _Fields, size: int) -> Mapping[str, Any]:
    start, fields.at = fields.at, fields.at + size
    if fields.at > len(fields.payload):
        raise DecodeError("truncated notes")
    try:
        notes = orjson.loads(fields.payload[start : fields.at])
    except ValueError:
        raise DecodeError("damaged notes") from None
    if type(notes) is not dict:
        raise DecodeError("notes that are no object")
    return notes
