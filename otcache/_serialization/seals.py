"""What holds a payload together: a checksum, a signature, or both a cipher and a signature.

A seal covers the header, the body, and the place: the full key of the entry. What was written for another place, or
changed by whomever, does not open.
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from otcache._serialization.envelope import SIGNED_BIT
from otcache.exceptions import ConfigurationError, SealError

CHECKSUM_SIZE: Final = 4
RESIDUE: Final = 0x2144DF1C
"""CRC-32 of anything that is followed by its own CRC-32, lowest byte first: so a check needs no slice."""

SHORTEST_SECRET: Final = 16
MOST_SECRETS: Final = 16
"""Bad bytes cost one HMAC per secret: a bound on that, and far more than a rotation needs."""
_MAC_SIZE: Final = 32
_SIGNED: Final = b"otcache signed entry 2"


class Place(NamedTuple):
    """Where a cache keeps its entries.

    Attributes:
        prefix: What their names begin with in the store.
        name: The cache's name.
    """

    prefix: str = ""
    name: str = ""

    def framed(self, domain: bytes) -> bytes:
        """What a seal says of the place, with the length before each part: no two places give the same bytes."""
        return b"".join(framed(part) for part in (domain, as_bytes(self.prefix), as_bytes(self.name)))


def framed(part: bytes) -> bytes:
    """`part` with its length before it."""
    return len(part).to_bytes(4, "big") + part


class Seal(Protocol):
    """Closes a header and a body under the key of their entry."""

    mark: int
    """The bits of the format's byte that tell this seal."""

    def close(self, plain: bytes, key: bytes) -> bytes:
        """Return the payload."""

    def open(self, payload: bytes, key: bytes) -> bytes:
        """Return the header and the body; `SealError` if they are not what was written under `key`."""


class Checksum:
    """CRC-32: finds every error of up to 32 bits in a row, and all others but one in 2**32. No protection from people.

    Attributes:
        seed: The CRC-32 of the prefix: `crc32(key, seed)` is that of the full key.
    """

    mark = 0

    def __init__(self, place: Place) -> None:
        self.seed = zlib.crc32(as_bytes(place.prefix))

    def close(self, plain: bytes, key: bytes) -> bytes:
        return plain + zlib.crc32(plain, zlib.crc32(key, self.seed)).to_bytes(CHECKSUM_SIZE, "little")

    def open(self, payload: bytes, key: bytes) -> bytes:
        if zlib.crc32(payload, zlib.crc32(key, self.seed)) != RESIDUE:
            raise SealError("wrong checksum")
        return payload[:-CHECKSUM_SIZE]


class Signer:
    """HMAC-SHA256. The first secret signs, all of them verify.

    Raises:
        ConfigurationError: A secret is too short, or there are too many.
    """

    mark = SIGNED_BIT

    def __init__(self, secrets: Sequence[str], place: Place) -> None:
        problems = [problem for secret in secrets if (problem := secret_problem(secret))]
        self._secrets = [as_bytes(secret) for secret in secrets]
        if problems or not 0 < len(self._secrets) <= MOST_SECRETS:
            raise ConfigurationError(f"signing_secret {problems[0] if problems else many_problem(self._secrets)}")
        self._place = place.framed(_SIGNED)

    def close(self, plain: bytes, key: bytes) -> bytes:
        return plain + self._mac(self._secrets[0], plain, key)

    def open(self, payload: bytes, key: bytes) -> bytes:
        plain, mac = payload[:-_MAC_SIZE], payload[-_MAC_SIZE:]
        if not any(hmac.compare_digest(mac, self._mac(secret, plain, key)) for secret in self._secrets):
            raise SealError("wrong signature")
        return plain

    def _mac(self, secret: bytes, plain: bytes, key: bytes) -> bytes:
        return hmac.digest(secret, b"".join((self._place, framed(key), plain)), "sha256")


class Both:
    """A signature around what is encrypted: both have to be right, and each has its own secrets."""

    def __init__(self, cipher: Seal, signer: Seal) -> None:
        self.mark = cipher.mark | signer.mark
        self._cipher, self._signer = cipher, signer

    def close(self, plain: bytes, key: bytes) -> bytes:
        return self._signer.close(self._cipher.close(plain, key), key)

    def open(self, payload: bytes, key: bytes) -> bytes:
        return self._cipher.open(self._signer.open(payload, key), key)


def secret_problem(secret: str) -> str | None:
    """What is wrong with a signing secret, without showing it."""
    size = len(as_bytes(secret))
    return None if size >= SHORTEST_SECRET else f"is shorter than {SHORTEST_SECRET} bytes"


def listed(secrets: str | Sequence[str] | None) -> Sequence[str] | None:
    """One secret as a list of one; `None` for none."""
    return [secrets] if isinstance(secrets, str) else secrets


def many_problem(secrets: object) -> str:
    """What is wrong with the number of secrets."""
    return f"needs 1 to {MOST_SECRETS} of them" if secrets else "is an empty list: leave it out"


def as_bytes(text: str) -> bytes:
    """`text` in UTF-8, whatever it is: an environment may have lone surrogates, and an error would show a secret."""
    return text.encode(errors="surrogatepass")
