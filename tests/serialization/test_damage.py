"""Bytes that are not ours, or not whole: `DecodeError`, and never anything else."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from otcache._serialization.seals import Checksum, Place
from otcache._serialization.serializer import Decoded, DecodeError, Facts, Serializer, Writer, register_type
from otcache._serialization.wire import WIRE_VERSION
from otcache.exceptions import ValidationError
from tests.rows import every

ZLIB = Serializer(threshold=50, level=6)
ZSTD = Serializer(threshold=50, level=6, algorithm="zstd", signing_secret="a secret of enough bytes")
SEALED = Checksum(Place())


@register_type
@dataclass
class Damaged:
    a: int
    b: Any


WHOLE = [
    ZLIB.encode(value, key="k", expires_at_ms=1, created_at_ms=created, facts=facts).payload
    for value in (
        {"a": [1, 2.5, None, "x"]},
        {1: (b"x", {2}, Decimal("1.5"), datetime(2026, 1, 1, tzinfo=UTC)), "d": Damaged(1, {"!t": 1})},
        {"text": "again and " * 50},
    )
    for created in (None, 1)
    for facts in (None, Facts(1, 2, Writer(1, 2, 3), 12345678, {"a": 1}))
] + [ZSTD.encode(value, key="k", expires_at_ms=1).payload for value in ("again and " * 50, 1j, [range(9)] * 50)]


def survives(payload: bytes) -> None:
    """Decodes, or raises `DecodeError`; any other exception fails the test."""
    for serializer in (ZLIB, ZSTD):
        with suppress(DecodeError):
            assert type(serializer.decode(payload, key="k")) is Decoded


@given(st.binary(max_size=200))
def test_random_bytes_do_no_harm(payload: bytes) -> None:
    survives(payload)


@given(st.sampled_from([1, 2, 3, 4, 255]), st.integers(0, 255), st.binary(max_size=120))
def test_random_bytes_behind_a_good_start_do_no_harm(format_: int, flags: int, rest: bytes) -> None:
    survives(SEALED.close(bytes([0xCA, WIRE_VERSION, format_, flags]) + rest, b"k"))


@given(st.sampled_from(WHOLE), st.data())
def test_a_payload_with_bytes_changed_does_no_harm(payload: bytes, data: st.DataObject) -> None:
    changed = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))

    survives(bytes(changed))


TAGS = [
    "!t",
    "!s",
    "!f",
    "!d",
    "!o",
    "!b",
    "!a",
    "!i",
    "!n",
    "!w",
    "!m",
    "!u",
    "!dt",
    "!da",
    "!ti",
    "!td",
    "!x",
    "!",
    "a",
]
nodes = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text(max_size=8)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(TAGS), inner, max_size=2)),
    max_leaves=12,
)


@given(nodes)
def test_tags_around_the_wrong_things_do_no_harm(node: Any) -> None:
    survives(SEALED.close(head(2) + orjson.dumps(node), b"k"))


@every("whole", WHOLE, ids=len)
def test_a_payload_cut_anywhere_is_never_read(whole: bytes) -> None:
    for end in range(len(whole)):
        for serializer in (ZLIB, ZSTD):
            with pytest.raises(DecodeError):
                serializer.decode(whole[:end], key="k")


def head(format_: int, flags: int = 0, version: int = WIRE_VERSION) -> bytes:
    return bytes([0xCA, version, format_, flags]) + bytes(8)


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@every(
    ("payload", "why"),
    [
        (b"", "foreign"),
        (b'{"a": 1}', "foreign"),
        (b"\x80\x04K\x01.", "foreign"),
        (b"\xca", "truncated"),
        (head(1, version=1) + b"1", "version 1"),
        (head(1, version=255) + b"1", "version 255"),
        (head(9) + b"1", "unknown format"),
        (head(1, 3) + b"1", "unknown compression"),
        (head(1), "JSON"),
        (head(1) + b"NaN", "JSON"),
        (head(1) + deep(5000), "JSON"),
        (head(2) + deep(1000), "RecursionError"),
        (head(2) + b'{"!o":["nobody.Knows",{}]}', "not declared"),
        (head(2) + b'{"!o":[["a"],{}]}', "TypeError"),
        (head(2) + b'{"!zz":[]}', "KeyError"),
        (head(2) + b'{"!d":[1]}', "ValueError"),
        (head(2) + b'{"!s":[[]]}', "TypeError"),
        (head(2) + b'{"!dt":["2026-01-01T00:00:00",0,"../../etc/passwd"]}', "ValueError"),
        (head(2) + b'{"!dt":["2026-01-01T00:00:00",0,"No/Where"]}', "ZoneInfoNotFoundError"),
        (head(3) + b"\x80\x04K\x01.", "unknown format"),
        (head(3 + 16) + b"\x80\x04K\x01.", "a signature"),
        (head(3 + 32) + b"\x80\x04K\x01.", "a cipher"),
        (head(3 + 64) + b"\x80\x04K\x01.", "unknown format"),
        (head(1, 1) + zlib.compress(b"[1]") + b"more", "zlib"),
        (head(1, 1) + zlib.compress(b"[1]")[:-1], "zlib"),
        (head(1, 2) + zstandard.ZstdCompressor(write_content_size=False).compress(b"[1]"), "how large"),
        (head(1, 2) + zstandard.ZstdCompressor().compress(b"[1]") + b"more", "zstd"),
        (head(1, 128) + b"\x00\x00\x00\x01[", "notes"),
        (head(1, 128) + b"\x00\x00\x00\x021 []", "notes"),
        (head(1, 128) + b"\xff\xff\xff\xff{}", "notes"),
    ],
)  # fmt: skip
def test_the_reason_is_named(payload: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        ZLIB.decode(SEALED.close(payload, b"k") if len(payload) >= 12 else payload, key="k")


def bomb(algorithm: str) -> bytes:
    """300 MiB of blanks in less than one."""
    stream = zlib.compressobj(9) if algorithm == "zlib" else zstandard.ZstdCompressor().compressobj(size=300 << 20)
    packed = [stream.compress(b" " * (1 << 20)) for _ in range(300)]
    return b"".join([*packed, stream.flush()])


@pytest.mark.parametrize(("algorithm", "flag"), [("zlib", 1), ("zstd", 2)])
def test_a_stream_that_would_fill_the_memory_is_not_unpacked(algorithm: str, flag: int) -> None:
    payload = SEALED.close(head(1, flag) + bomb(algorithm), b"k")

    assert len(payload) < 1 << 20
    with pytest.raises(DecodeError, match="too large"):
        ZLIB.decode(payload, key="k")


def test_a_value_too_large_to_be_read_back_is_not_written() -> None:
    with pytest.raises(ValidationError, match="above 268435456"):
        ZLIB.encode("x" * (256 << 20), key="k", expires_at_ms=0)


def at_depth(frames: int, action: Callable[[], object]) -> object:
    return action() if frames == 0 else at_depth(frames - 1, action)


def errors_near_the_end(action: Callable[[], object], error: type[Exception], match: str) -> int:
    """How many depths of the stack give `error`, from one at which all is well to one at which no call fits."""
    found = 0
    for frames in range(0, sys.getrecursionlimit(), 10):
        try:
            at_depth(frames, action)
        except error as exc:
            found += match in str(exc)
        except RecursionError:  # the stack of the test itself is full
            return found
    return found


def test_a_stack_that_is_nearly_full_is_an_error_of_ours() -> None:
    value: Any = ()
    for _ in range(90):
        value = (value,)
    payload = ZLIB.encode(value, key="k", expires_at_ms=0).payload

    refused = errors_near_the_end(lambda: ZLIB.encode(value, key="k", expires_at_ms=0), ValidationError, "stack")
    damaged = errors_near_the_end(lambda: ZLIB.decode(payload, key="k"), DecodeError, "RecursionError")

    assert refused > 0
    assert damaged > 0
