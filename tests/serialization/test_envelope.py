"""The bytes of a payload: pinned, so that what was written stays readable."""

from __future__ import annotations

import random
import string
import subprocess
import sys
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otcache._serialization.seals import Checksum, Place
from otcache._serialization.serializer import (
    Facts,
    Serializer,
    Writer,
    register_type,
)
from otcache.exceptions import ValidationError
from tests.rows import every

SERIALIZER = Serializer(threshold=1000, level=6)
SECRET = "a secret of enough bytes"


def sealed(plain: bytes) -> bytes:
    return Checksum(Place()).close(plain, b"k")


def write(value: Any, **facts: Any) -> bytes:
    return SERIALIZER.encode(value, key="k", expires_at_ms=facts.pop("expires_at_ms", 0), **facts).payload


@register_type(name="golden")
@dataclass
class Golden:
    a: int


GOLDEN = [
    ({"a": 1}, b'\x01\x00{"a":1}'),
    (None, b"\x01\x00null"),
    ((1, 2), b'\x02\x00{"!t":[1,2]}'),
    ({1: "a"}, b'\x02\x00{"!d":[1,"a"]}'),
    ({"!t": b""}, b'\x02\x00{"!d":["!t",{"!b":""}]}'),
    ({1}, b'\x02\x00{"!s":[1]}'),
    (frozenset({1}), b'\x02\x00{"!f":[1]}'),
    (b"\x00\xff", b'\x02\x00{"!b":"AP8="}'),
    (bytearray(b"a"), b'\x02\x00{"!a":"YQ=="}'),
    (2**64, b'\x02\x00{"!i":"0x10000000000000000"}'),
    (float("-inf"), b'\x02\x00{"!n":"-inf"}'),
    (float("nan"), b'\x02\x00{"!n":"nan"}'),
    ("\ud800", b'\x02\x00{"!w":"7aCA"}'),
    (Decimal("1.50"), b'\x02\x00{"!m":"1.50"}'),
    (UUID(int=1), b'\x02\x00{"!u":"00000000000000000000000000000001"}'),
    (datetime(2026, 1, 2, 3, 4, 5, 6), b'\x02\x00{"!dt":"2026-01-02T03:04:05.000006"}'),
    (datetime(2026, 1, 2, tzinfo=UTC), b'\x02\x00{"!dt":["2026-01-02T00:00:00",0,0]}'),
    (
        datetime(2026, 10, 25, 2, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        b'\x02\x00{"!dt":["2026-10-25T02:00:00",1,"Europe/Berlin"]}',
    ),
    (time(1, tzinfo=timezone(timedelta(hours=1), "X")), b'\x02\x00{"!ti":["01:00:00",0,[3600000000,"X"]]}'),
    (date(2026, 1, 2), b'\x02\x00{"!da":"2026-01-02"}'),
    (timedelta(1, 2, 3), b'\x02\x00{"!td":[1,2,3]}'),
    (Golden(1), b'\x02\x00{"!o":["golden","oYv6lsPr",{"a":1}]}'),
]


@every(("value", "body"), GOLDEN, ids=lambda part: repr(part)[:40])
def test_the_bytes_of_a_body_are_pinned(value: Any, body: bytes) -> None:
    payload = sealed(b"\xca\x02" + body[:2] + bytes(8) + body[2:])

    assert write(value) == payload
    assert repr(SERIALIZER.decode(payload, key="k").value) == repr(value)


def test_the_bytes_of_a_header_are_pinned() -> None:
    payload = write([], expires_at_ms=0x0102030405060708, created_at_ms=0x1112131415161718)

    assert payload.hex(" ", -4) == "ca020104 01020304 05060708 11121314 15161718 5b5d6d74 450f"


def test_the_bytes_of_every_optional_field_are_pinned() -> None:
    writer = Writer(0x00112233445566778899AABBCCDDEEFF, 0x0123456789ABCDEF, 1)
    facts = Facts(2, 3, writer, int.from_bytes(b"schema-1"), {"usage": {"input": 4}})

    payload = write([], created_at_ms=1, facts=facts)

    fixed = """
        ca0201fc 0000000000000000
        0000000000000001 0000000000000002 00000003
        00112233445566778899aabbccddeeff 0123456789abcdef 01
    """
    assert payload == sealed(bytes.fromhex(fixed) + b'schema-1\x00\x00\x00\x15{"usage":{"input":4}}[]')
    decoded = SERIALIZER.decode(payload, key="k")
    assert (decoded.value, decoded.created_at_ms, decoded.facts) == ([], 1, facts)


@every(
    "facts",
    [
        Facts(soft_expires_at_ms=5),
        Facts(loader_us=7),
        Facts(writer=Writer(1, 2, 0)),
        Facts(version=2**64 - 1),
        Facts(notes={"a": [1]}),
        Facts(soft_expires_at_ms=5, notes={}),
    ],
)
@every("created", [None, 9])
def test_each_fact_travels_alone(facts: Facts, created: int | None) -> None:
    decoded = SERIALIZER.decode(write((1,), created_at_ms=created, facts=facts), key="k")

    assert (decoded.value, decoded.facts, decoded.created_at_ms) == ((1,), facts, created)


def test_a_loader_slower_than_the_field_holds_is_kept_as_its_largest() -> None:
    decoded = SERIALIZER.decode(write(1, facts=Facts(loader_us=2**40)), key="k")

    assert decoded.facts == Facts(loader_us=2**32 - 1)


def test_notes_that_are_not_json_are_refused() -> None:
    with pytest.raises(ValidationError, match="notes"):
        write(1, facts=Facts(notes={"a": object()}))


# --- compression ------------------------------------------------------------------------------------


def test_a_zlib_payload_written_long_ago_is_read() -> None:
    payload = sealed(b"\xca\x02\x01\x01" + bytes(8) + zlib.compress(b'{"a":1}', 9))

    assert SERIALIZER.decode(payload, key="k")[:5] == ({"a": 1}, 0, None, 7, "zlib")


def test_a_zstd_payload_written_long_ago_is_read() -> None:
    frame = bytes.fromhex("28b52ffd2407390000") + b'{"a":1}' + bytes.fromhex("488bfc32")
    payload = sealed(b"\xca\x02\x01\x02" + bytes(8) + frame)

    assert SERIALIZER.decode(payload, key="k")[:5] == ({"a": 1}, 0, None, 7, "zstd")


@given(st.integers(0, 400), st.integers(0, 400), st.sampled_from(["zlib", "zstd"]))
def test_only_bodies_above_the_threshold_are_compressed(
    size: int, threshold: int, algorithm: Literal["zlib", "zstd"]
) -> None:
    serializer = Serializer(threshold=threshold, level=6, algorithm=algorithm)

    encoded = serializer.encode("a" * size, key="k", expires_at_ms=0)

    assert encoded.raw_size == size + 2
    assert serializer.decode(encoded.payload, key="k").value == "a" * size
    if encoded.raw_size <= threshold:
        assert encoded.algorithm is None
    elif size > 100:
        assert encoded.algorithm == algorithm


@given(st.binary(min_size=1, max_size=3000), st.sampled_from(["zlib", "zstd"]))
def test_a_body_is_compressed_only_where_that_saves_a_tenth(body: bytes, algorithm: Literal["zlib", "zstd"]) -> None:
    serializer = Serializer(threshold=0, level=1, algorithm=algorithm)

    encoded = serializer.encode(body, key="k", expires_at_ms=0)

    stored = len(encoded.payload) - 16
    assert stored <= encoded.raw_size * 0.9 if encoded.algorithm else stored == encoded.raw_size
    assert serializer.decode(encoded.payload, key="k").value == body


def test_incompressible_text_is_left_alone() -> None:
    noise = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=60))

    encoded = Serializer(threshold=10, level=9).encode(noise, key="k", expires_at_ms=0)

    assert (encoded.raw_size, encoded.algorithm, len(encoded.payload)) == (62, None, 78)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"threshold": -1, "level": 6}, "compression_threshold=-1"),
        ({"threshold": 0, "level": 0}, "compression_level=0"),
        ({"threshold": 0, "level": 10}, "compression_level=10"),
        ({"threshold": 0, "level": 1, "algorithm": "lz4"}, "neither zlib nor zstd"),
    ],
)
def test_a_number_outside_its_range_is_refused_by_name(options: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Serializer(**options)


def test_each_reads_what_the_other_compresses() -> None:
    with_zlib, with_zstd = (Serializer(threshold=10, level=3, algorithm=name) for name in ("zlib", "zstd"))
    value = {"text": "again and " * 50}

    for writer, reader in ((with_zlib, with_zstd), (with_zstd, with_zlib)):
        encoded = writer.encode(value, key="k", expires_at_ms=0)

        decoded = reader.decode(encoded.payload, key="k")
        assert (decoded.value, decoded.raw_size, decoded.algorithm) == (value, encoded.raw_size, encoded.algorithm)


WITHOUT_ZSTD = """
import sys
sys.modules["zstandard"] = None  # what an import of a missing package does
from otcache.exceptions import ConfigurationError
from otcache._serialization.serializer import DecodeError, Serializer
for action in (
    lambda: Serializer(threshold=0, level=3, algorithm="zstd"),
    lambda: Serializer(threshold=0, level=3).decode(bytes.fromhex(sys.argv[1]), key="k"),
):
    try:
        action()
    except (ConfigurationError, DecodeError) as exc:
        print(type(exc).__name__, exc)
"""


def test_without_the_extra_zstd_is_an_error_that_names_it() -> None:
    payload = Serializer(threshold=0, level=3, algorithm="zstd").encode("a" * 500, key="k", expires_at_ms=0).payload

    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_ZSTD, payload.hex()], capture_output=True, text=True, check=True
    )

    first, second = run.stdout.splitlines()
    assert first.startswith("ConfigurationError ")
    assert second.startswith("DecodeError ")
    assert all(line.endswith('pip install "otcache[zstd]"') for line in (first, second))
