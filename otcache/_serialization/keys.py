"""The keys and tags of entries, checked; the algorithms that may hash a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from otcache.exceptions import ValidationError

MAX_TAGS: Final = 100
"""Tags of one entry."""
MAX_KEY_BYTES: Final = 8192

HASH_ALGORITHMS: Final = frozenset(
    {"blake2b", "blake2s", "sha224", "sha256", "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384", "sha3_512"}
)
"""What `hash_algorithm` may be: in every build of Python, of a fixed size, and without known collisions."""


def check_key(key: object, name: str = "key") -> str:
    """`key`, exactly a `str`; `name` is what an error calls it.

    Raises:
        ValidationError: It is not a non-empty string of at most 8 KiB in UTF-8. The message does not contain it.
    """
    if type(key) is str and key.isascii() and 0 < len(key) <= MAX_KEY_BYTES:
        return key
    if not isinstance(key, str):
        raise ValidationError(f"{name} is {type(key).__name__}, not a non-empty string")
    if not key:
        raise ValidationError(f"{name} is empty")
    size = utf8_size(key, name)
    if size > MAX_KEY_BYTES:
        raise ValidationError(f"{name} takes {size} bytes in UTF-8, above {MAX_KEY_BYTES}")
    return str.__str__(key)


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """`tags`, each once, in their order; `ValidationError` if one can't be a key, or there are more than 100."""
    if isinstance(tags, str | bytes) or not isinstance(tags, Iterable):
        raise ValidationError(f"tags is {type(tags).__name__}, not an iterable of strings")
    checked = tuple(dict.fromkeys(check_key(tag, "tag") for tag in tags))
    if len(checked) > MAX_TAGS:
        raise ValidationError(f"tags has {len(checked)} tags, above {MAX_TAGS}")
    return checked


def utf8_size(text: str, name: str) -> int:
    """Bytes of `text` in UTF-8; `ValidationError`, which calls it `name`, if it has a lone surrogate."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise ValidationError(f"{name} has a lone surrogate, which UTF-8 can't hold") from None


def check_hash_algorithm(name: str) -> str:
    """`name`; `ValidationError` if it is none of `HASH_ALGORITHMS`."""
    if not isinstance(name, str) or name not in HASH_ALGORITHMS:
        raise ValidationError(f"hash_algorithm is none of {', '.join(sorted(HASH_ALGORITHMS))}")
    return name
