"""Nothing of a payload is believed that was not written like this, for this place, by somebody with our secret."""

from __future__ import annotations

import hashlib
import hmac
import random
import subprocess
import sys
import zlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from itertools import product
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from otcache._serialization.encryption import parse_key
from otcache._serialization.serializer import DecodeError, Facts, Place, Serializer, Writer
from otcache.exceptions import ConfigurationError, SealError, ValidationError
from tests.rows import every

SECRET: Final = "a secret of enough bytes"
OTHER: Final = "another secret, long too"
KEY: Final = "00112233445566778899aabbccddeeff"
OTHER_KEY: Final = b64encode(bytes(range(32))).decode()
PLACE: Final = Place("otcache:guests:", "guests")

SEALS: Final[dict[str, dict[str, Any]]] = {
    "checksum": {},
    "signed": {"signing_secret": SECRET},
    "encrypted": {"encryption_keys": KEY},
    "both": {"signing_secret": SECRET, "encryption_keys": KEY},
}
SECRETLY: Final = [name for name in SEALS if name != "checksum"]


def make(seal: str = "checksum", place: Place = PLACE, **options: Any) -> Serializer:
    known: dict[str, Any] = {"threshold": 200, "level": 6, "place": place}
    return Serializer(**(known | SEALS[seal] | options))


class Detonator:
    """Shows that it was unpickled."""

    fired = 0

    def __reduce__(self) -> Any:
        return (_fire, ())


def _fire() -> None:
    Detonator.fired += 1


FACTS: Final = Facts(1, 2, Writer(1, 2, 3), None, {"tags": ["a"]})
VALUES: Final[dict[str, tuple[Any, dict[str, Any]]]] = {
    "usual": ({"id": 7, "name": "Ada"}, {"created_at_ms": 5, "version": 9}),
    "plain": ({"id": 7}, {}),
    "with all facts": ([1, "x"], {"created_at_ms": 5, "facts": FACTS, "version": 9}),
    "tagged": ((1, {2}, b"x"), {"created_at_ms": 5}),
    "zlib": ("again and " * 50, {"created_at_ms": 5, "version": 9}),
    "zstd": ("again and " * 50, {"created_at_ms": 5, "version": 9}),
    "pickle": (Detonator(), {"created_at_ms": 5}),
}


def written(seal: str, value: str) -> bytes | None:
    """The payload of a kind of value under the key `k`; `None` where pickle is not allowed."""
    what, facts = VALUES[value]
    if value == "pickle" and "signing_secret" not in SEALS[seal]:
        return None
    algorithm: Any = "zstd" if value == "zstd" else "zlib"
    return make(seal, algorithm=algorithm).encode(what, key="k", expires_at_ms=1000, **facts).payload


PAYLOADS: Final = [
    (seal, value, payload) for seal, value in product(SEALS, VALUES) if (payload := written(seal, value)) is not None
]


def refused(reader: Serializer, payload: bytes, key: str = "k") -> bool:
    """Whether neither the value nor the header is believed, and nothing was unpickled."""
    before = Detonator.fired
    for read in (reader.decode, reader.inspect, retime_of(reader)):
        try:
            read(payload, key=key)
        except DecodeError:
            continue
        return False
    return Detonator.fired == before


def retime_of(reader: Serializer) -> Any:
    return lambda payload, key: reader.retimed(payload, key=key, expires_at_ms=9)


# --- what is changed is refused ------------------------------------------------------------------------


def _flips(payload: bytes, chance: random.Random, count: int) -> Iterator[bytes]:
    for _ in range(count):
        changed = bytearray(payload)
        changed[chance.randrange(len(payload))] ^= 1 << chance.randrange(8)
        yield bytes(changed)


@every(("seal", "value", "payload"), PAYLOADS, ids=lambda part: part if isinstance(part, str) else "")
def test_each_of_ten_thousand_single_bit_errors_is_refused(seal: str, value: str, payload: bytes) -> None:
    reader = make(seal)
    whole = [payload[: at // 8] + bytes([payload[at // 8] ^ 1 << at % 8]) + payload[at // 8 + 1 :]
             for at in range(8 * len(payload))]  # fmt: skip
    before = Detonator.fired

    for changed in (*whole, *_flips(payload, random.Random(value), 10_000 // len(PAYLOADS))):
        with pytest.raises(DecodeError):
            reader.decode(changed, key="k")

    assert Detonator.fired == before
    assert all(refused(reader, changed) for changed in whole[:: len(whole) // 40])


def test_ten_thousand_errors_of_the_usual_entry_are_told_by_their_reason() -> None:
    payload = written("checksum", "usual") or b""

    for changed in _flips(payload, random.Random(12), 10_000):
        with pytest.raises(DecodeError, match=r"checksum|foreign|version|has a"):
            make().decode(changed, key="k")


@every(("seal", "value", "payload"), PAYLOADS, ids=lambda part: part if isinstance(part, str) else "")
def test_what_is_cut_or_longer_is_refused(seal: str, value: str, payload: bytes) -> None:
    chance, reader = random.Random(value), make(seal)

    for changed in (
        *(payload[:end] for end in range(len(payload))),
        *(payload[start:] for start in range(1, len(payload), 7)),
        *(payload + chance.randbytes(size) for size in range(1, 60)),
        *(payload + bytes(size) for size in range(1, 20)),
        payload * 2,
    ):
        with pytest.raises(DecodeError):
            reader.decode(changed, key="k")


@every(("seal", "value", "payload"), PAYLOADS, ids=lambda part: part if isinstance(part, str) else "")
def test_bytes_in_another_order_or_of_another_time_are_refused(seal: str, value: str, payload: bytes) -> None:
    chance, reader = random.Random(value), make(seal)

    for _ in range(300):
        changed = bytearray(payload)
        a, b = chance.randrange(len(payload)), chance.randrange(len(payload))
        changed[a], changed[b] = changed[b], changed[a]
        assert bytes(changed) == payload or refused(reader, bytes(changed))
    for start in range(len(payload) - 8):  # 8 bytes of time, wherever they stand
        for moment in (bytes(8), (2**63).to_bytes(8, "big"), chance.randbytes(8)):
            changed = bytearray(payload)
            changed[start : start + 8] = moment
            assert bytes(changed) == payload or refused(reader, bytes(changed))


@given(st.sampled_from(PAYLOADS), st.data())
def test_any_change_of_any_payload_is_refused(case: tuple[str, str, bytes], data: st.DataObject) -> None:
    seal, _, payload = case
    changed = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(changed)))
        changed[start : start + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))

    assert bytes(changed) == payload or refused(make(seal), bytes(changed))


# --- what belongs elsewhere is refused -----------------------------------------------------------------

parts = st.text(st.characters(codec="utf-8"), max_size=6)
places = st.tuples(parts, parts, parts.filter(bool))


@given(st.sampled_from(sorted(SEALS)), places, places)
def test_a_payload_opens_at_its_own_place_only(
    seal: str, here: tuple[str, str, str], there: tuple[str, str, str]
) -> None:
    payload = make(seal, Place(*here[:2])).encode([1], key=here[2], expires_at_ms=0).payload

    assert make(seal, Place(*here[:2])).decode(payload, key=here[2]).value == [1]
    same = here == there if seal in SECRETLY else here[0] + here[2] == there[0] + there[2]
    assert refused(make(seal, Place(*there[:2])), payload, there[2]) is not same


@every("seal", SEALS)
@every(
    ("place", "key"),
    [
        (PLACE, "8"),
        (PLACE, "kk"),
        (PLACE, "K"),
        (Place("otcache:admins:", "admins"), "k"),
        (Place("other:guests:", "guests"), "k"),
        (Place("otcache:guests", "guests"), "k"),
        (Place("", "guests"), "k"),
    ],
)
def test_a_swapped_entry_is_refused(seal: str, place: Place, key: str) -> None:
    payload = make(seal).encode({"role": "admin"}, key="k", expires_at_ms=0, created_at_ms=1, version=1).payload

    assert refused(make(seal, place), payload, key)


@every("seal", SECRETLY)
@every(
    ("place", "key"),
    [
        (Place("otcache:guests:", "guest"), "k"),
        (Place("otcache:guests:", "sguest"), "k"),
        (Place("otcache:guest", "guests"), "s:k"),
        (Place("otcache:guests:k", "guests"), ""),
        (Place("otcache:guests:guests", ""), "k"),
    ],
)
def test_a_part_of_the_place_does_not_run_into_the_next(seal: str, place: Place, key: str) -> None:
    payload = make(seal).encode(1, key="k", expires_at_ms=0).payload

    assert refused(make(seal, place), payload, key)


def test_the_same_full_key_is_the_same_entry_to_a_checksum() -> None:
    payload = make(place=Place("a:", "x")).encode(1, key="b:c", expires_at_ms=0).payload

    assert make(place=Place("a:b:", "y")).decode(payload, key="c").value == 1


# --- what is sealed in another way is refused ----------------------------------------------------------


@every(("writer", "reader"), [pair for pair in product(SEALS, SEALS) if pair[0] != pair[1]])
def test_each_reads_only_what_is_sealed_as_its_own(writer: str, reader: str) -> None:
    for value in VALUES:
        payload = written(writer, value)
        assert payload is None or refused(make(reader), payload)
        for mark in (0, 16, 32, 48):  # and calling it another seal helps nobody
            relabelled = payload and payload[:2] + bytes([payload[2] & 15 | mark]) + payload[3:]
            assert not relabelled or relabelled == payload or refused(make(writer), relabelled)
            assert not relabelled or refused(make(reader), relabelled)


def test_the_reason_names_both_seals() -> None:
    payload = written("checksum", "usual") or b""

    with pytest.raises(SealError, match="the entry has a checksum, and this cache reads a signature"):
        make("signed").decode(payload, key="k")


def test_a_pickle_with_a_right_checksum_is_not_opened() -> None:
    signed = written("signed", "pickle") or b""
    plain = signed[:2] + b"\x03" + signed[3:-32]
    forged = plain + zlib.crc32(plain, zlib.crc32(b"otcache:guests:k")).to_bytes(4, "little")

    before = Detonator.fired

    for reader in (make(), make("signed"), make("both")):
        with pytest.raises(DecodeError):
            reader.decode(forged, key="k")

    assert Detonator.fired == before


def test_a_pickle_needs_a_signing_secret_and_not_a_cipher() -> None:
    with pytest.raises(ValidationError):
        make("encrypted").encode(Detonator(), key="k", expires_at_ms=0)
    plain = make("both").encode(Detonator(), key="k", expires_at_ms=0).payload
    before = Detonator.fired

    make("both").decode(plain, key="k")

    assert Detonator.fired == before + 1


def test_what_can_not_be_pickled_is_refused() -> None:
    with pytest.raises(ValidationError, match="function can't be pickled"):
        make("signed").encode(lambda: None, key="k", expires_at_ms=0)


@every("seal", [name for name in SEALS if "signing_secret" in SEALS[name]])
def test_pickle_shows_no_secret_in_clear(seal: str) -> None:
    with pytest.raises(ValidationError, match="SecretStr hides a secret"):
        make(seal).encode([Detonator(), {"token": SecretStr("hunter2")}], key="k", expires_at_ms=0)


# --- several secrets ----------------------------------------------------------------------------------

ROTATIONS: Final = [
    (["old"], ["old"], True),
    (["old"], ["new", "old"], True),
    (["old"], ["old", "new"], True),
    (["new", "old"], ["old", "new"], True),
    (["new", "old"], ["new"], True),
    (["new", "old"], ["old"], False),
    (["old", "new"], ["new"], False),
    (["old"], ["new"], False),
]


@every(("option", "names"), [("signing_secret", {"old": SECRET, "new": OTHER}),
                             ("encryption_keys", {"old": KEY, "new": OTHER_KEY})])  # fmt: skip
@every(("writes", "reads", "works"), ROTATIONS)
def test_the_first_secret_writes_and_all_of_them_read(
    option: str, names: dict[str, str], writes: list[str], reads: list[str], works: bool
) -> None:
    def having(who: list[str]) -> Serializer:
        secrets: dict[str, Any] = {option: tuple(names[each] for each in who)}
        return make(**secrets)

    writer, reader = having(writes), having(reads)
    payload = writer.encode([1], key="k", expires_at_ms=0).payload

    assert refused(reader, payload) is not works
    if works:
        again = reader.retimed(payload, key="k", expires_at_ms=7)
        assert having(reads[:1]).decode(again, key="k")[:2] == ([1], 7), (
            "who rewrites, writes with its own first secret"
        )


# --- another end --------------------------------------------------------------------------------------


@every(("seal", "value", "payload"), PAYLOADS, ids=lambda part: part if isinstance(part, str) else "")
@every("end", [0, 1, 1_800_000_000_000])
def test_another_end_changes_only_the_times(seal: str, value: str, payload: bytes, end: int) -> None:
    cache = make(seal)

    again = cache.retimed(payload, key="k", expires_at_ms=end)

    before, after = (cache.decode(each, key="k") for each in (payload, again))
    facts = before.facts
    if facts is not None and facts.soft_expires_at_ms is not None:
        facts = facts._replace(soft_expires_at_ms=end or None)
    assert after == before._replace(expires_at_ms=end, facts=facts, expand_ns=after.expand_ns)


# --- the bytes, by another hand -----------------------------------------------------------------------


def sized(*pieces: bytes) -> bytes:
    return b"".join(len(piece).to_bytes(4, "big") + piece for piece in pieces)


def test_the_bytes_of_a_signature_are_pinned() -> None:
    payload = make("signed").encode([1], key="k", expires_at_ms=7).payload
    plain = bytes.fromhex("ca021100 0000000000000007") + b"[1]"
    covered = sized(b"otcache signed entry 2", b"otcache:guests:", b"guests", b"k") + plain

    assert payload == plain + hmac.new(SECRET.encode(), covered, hashlib.sha256).digest()


def test_the_bytes_of_a_cipher_are_pinned() -> None:
    payload = make("encrypted").encode([1], key="k", expires_at_ms=7, created_at_ms=9).payload
    head, key_id, nonce, sealed = payload[:12], payload[12:20], payload[20:32], payload[32:]
    covered = sized(b"otcache encrypted entry 2", b"otcache:guests:", b"guests", b"k") + head

    assert head == bytes.fromhex("ca022104 0000000000000007")
    assert key_id == hashlib.sha256(b"otcache key id" + bytes.fromhex(KEY)).digest()[:8]
    assert AESGCM(bytes.fromhex(KEY)).decrypt(nonce, sealed, covered) == bytes(7) + b"\x09[1]"


def test_nothing_of_an_encrypted_value_can_be_read_and_no_nonce_comes_twice() -> None:
    cache, facts = make("encrypted", threshold=10**6), Facts(notes={"tags": ["the tag"]})

    payloads = [cache.encode({"n": "the text"}, key="k", expires_at_ms=0, facts=facts).payload for _ in range(1000)]

    assert len({payload[20:32] for payload in payloads}) == 1000
    assert not any(b"the t" in payload for payload in payloads)


# --- what is no secret --------------------------------------------------------------------------------


@every(
    ("text", "size"),
    [
        ("00" * 16, 16),
        ("aF" * 24, 24),
        ("0f" * 32, 32),
        (b64encode(bytes(16)).decode(), 16),
        (b64encode(bytes(range(24))).decode(), 24),
        (b64encode(b"\xfb\xff" * 16).decode(), 32),
        (urlsafe_b64encode(b"\xfb\xff" * 16).decode(), 32),
        (urlsafe_b64encode(b"\xfb\xff" * 16).decode().rstrip("="), 32),
        (b64encode(bytes(32)).decode() + "\n", 32),
        ("00" * 15, None),
        ("00" * 17, None),
        ("0" * 33, None),
        (b64encode(bytes(31)).decode(), None),
        (b64encode(bytes(33)).decode(), None),
        ("a passphrase, which is no key", None),
        ("ä" * 32, None),
        ("\ud800" * 32, None),
        ("", None),
    ],
)
def test_an_encryption_key_is_16_24_or_32_bytes(text: str, size: int | None) -> None:
    key = parse_key(text)

    assert (None if key is None else len(key)) == size


@every(
    ("options", "says"),
    [
        ({"signing_secret": "hunter2"}, "signing_secret is shorter than 16 bytes"),
        ({"signing_secret": ("s" * 16, "hunter2")}, "signing_secret is shorter than 16 bytes"),
        ({"signing_secret": "\ud800"}, "signing_secret is shorter than 16 bytes"),
        ({"signing_secret": ()}, "signing_secret is an empty list"),
        ({"signing_secret": ("hunter2" * 9,) * 17}, "signing_secret needs 1 to 16 of them"),
        ({"encryption_keys": "hunter2"}, "encryption_keys is no AES key"),
        ({"encryption_keys": (KEY, "hunter2")}, "encryption_keys is no AES key"),
        ({"encryption_keys": ()}, "encryption_keys is an empty list"),
    ],
)
def test_what_is_no_secret_is_refused_without_showing_it(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as raised:
        make(**options)

    assert "hunter2" not in str(raised.value)


WITHOUT_CRYPTOGRAPHY = """
import sys
sys.modules["cryptography"] = None  # what an import of a missing package does
from otcache import InMemoryCache
from otcache.exceptions import ConfigurationError
try:
    InMemoryCache(encryption_keys="00" * 32)
except ConfigurationError as exc:
    print(exc)
"""


def test_without_the_extra_encryption_is_an_error_that_names_it() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT_CRYPTOGRAPHY], capture_output=True, text=True, check=True)

    assert run.stdout == 'encryption_keys need the cryptography package: pip install "otcache[crypto]"\n'
