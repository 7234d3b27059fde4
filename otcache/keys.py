"""The keys of entries: what is one, the key of an AI response, and patterns over keys as Redis reads them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from otcache.codecs.tagged import canonical
from otcache.codecs.types import REGISTRY
from otcache.exceptions import ValidationError

MAX_TAGS: Final = 100
"""Tags of one entry."""
MAX_KEY_BYTES: Final = 8192

HASH_ALGORITHMS: Final = frozenset(
    {"blake2b", "blake2s", "sha224", "sha256", "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384", "sha3_512"}
)
"""What `hash_algorithm` may be: in every build of Python, of a fixed size, and without known collisions."""

_DIGEST: Final = re.compile("[0-9a-f]+")
_DIGEST_SIZES: Final = frozenset(2 * hashlib.new(name).digest_size for name in HASH_ALGORITHMS)
_OPTIONS_DIGITS: Final = 32  # 128 bits


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
    size = _utf8_size(key, name)
    if size > MAX_KEY_BYTES:
        raise ValidationError(f"{name} takes {size} bytes in UTF-8, above {MAX_KEY_BYTES}")
    return str.__str__(key)


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """`tags`, each once, in their order.

    Raises:
        ValidationError: One is not a non-empty string of at most 8 KiB, or there are more than 100.
    """
    if isinstance(tags, str | bytes) or not isinstance(tags, Iterable):
        raise ValidationError(f"tags is {type(tags).__name__}, not an iterable of strings")
    checked = tuple(dict.fromkeys(check_key(tag, "tag") for tag in tags))
    if len(checked) > MAX_TAGS:
        raise ValidationError(f"tags has {len(checked)} tags, above {MAX_TAGS}")
    return checked


def _utf8_size(text: str, name: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise ValidationError(f"{name} has a lone surrogate, which UTF-8 can't hold") from None


def check_hash_algorithm(name: str) -> str:
    """`name`.

    Raises:
        ValidationError: It is none of `HASH_ALGORITHMS`.
    """
    if not isinstance(name, str) or name not in HASH_ALGORITHMS:
        raise ValidationError(f"hash_algorithm is none of {', '.join(sorted(HASH_ALGORITHMS))}")
    return name


def ai_key(text: str, operation: str, options: Mapping[str, Any] | None, *, threshold: int, algorithm: str) -> str:
    """The key of an AI response: `ai_cache:op:{operation}|txt:{text or hash}|opts:{digest}`.

    No two different calls share a key: a text that could be read as a hash, or as a text with options, is hashed too.

    Args:
        text: What the model was given; hashed above `threshold` characters, or where the key would be too long.
        operation: What it was asked to do.
        options: What else shaped the response; the order of keys does not matter, types do. Left out if empty.
        threshold: Characters.
        algorithm: One of `HASH_ALGORITHMS`.

    Raises:
        ValidationError: The operation is empty, has a `|` or is too long, an option is of a type that can't be told
            apart, or there is no such algorithm.
    """
    check_hash_algorithm(algorithm)
    if not isinstance(text, str):
        raise ValidationError(f"text is {type(text).__name__}, not a string")
    if not isinstance(operation, str) or not operation or "|" in operation:
        raise ValidationError("operation is not a non-empty string without '|'")
    head = f"ai_cache:op:{operation}|txt:"
    tail = f"|opts:{_options_digest(options, algorithm)}" if options else ""
    if len(text) <= threshold and _is_unmistakable(text):
        key = f"{head}{text}{tail}"
        if len(key) <= MAX_KEY_BYTES and _fits(key):
            return key
    return check_key(f"{head}{hashlib.new(algorithm, text.encode('utf-8', 'surrogatepass')).hexdigest()}{tail}")


def _is_unmistakable(text: str) -> bool:
    looks_hashed = len(text) in _DIGEST_SIZES and _DIGEST.fullmatch(text)
    return not looks_hashed and "|opts:" not in text


def _fits(key: str) -> bool:
    try:
        return len(key.encode()) <= MAX_KEY_BYTES
    except UnicodeEncodeError:
        return False


def _options_digest(options: Mapping[str, Any], algorithm: str) -> str:
    if not isinstance(options, Mapping):
        raise ValidationError(f"options is {type(options).__name__}, not a mapping")
    body = canonical(dict(options), REGISTRY.scope())
    return hashlib.new(algorithm, body).hexdigest()[:_OPTIONS_DIGITS]


# --- patterns ---------------------------------------------------------------------------------------


def escape_glob(text: str) -> str:
    """A Redis glob that matches exactly `text`."""
    return re.sub(r"([\\*?\[\]])", r"\\\1", text)


def glob_matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a key matches a Redis glob: `*`, `?`, `[abc]`, `[^a]`, `[a-z]`, backslash.

    As the server's `stringmatchlen` does it, unclosed brackets and reversed ranges included: on the bytes of UTF-8,
    so that `?` is one byte. Linear in the key for each `*`, whatever the pattern.

    Raises:
        ValidationError: The pattern has a lone surrogate.
    """
    _utf8_size(pattern, "pattern")
    fullmatch = re.compile(_translate(pattern.encode()), re.DOTALL).fullmatch
    return lambda key: fullmatch(key.encode()) is not None


def _translate(pattern: bytes) -> bytes:
    """Between stars the first place that fits is as good as any, so those groups never look back."""
    first, *rest = _segments(pattern)
    if not rest:
        return first
    *middle, last = rest
    return first + b"".join(b"(?>.*?%s)" % segment for segment in middle if segment) + b".*" + last


def _segments(pattern: bytes) -> list[bytes]:
    """The regular expressions between the stars."""
    segments, at = [b""], 0
    while at < len(pattern):
        one = pattern[at : at + 1]
        at += 1
        if one == b"*":
            segments.append(b"")
            continue
        if one == b"[":
            expression, at = _bracket(pattern, at)
        elif one == b"\\" and at < len(pattern):
            expression, at = re.escape(pattern[at : at + 1]), at + 1
        else:
            expression = b"." if one == b"?" else re.escape(one)
        segments[-1] += expression
    return segments


def _bracket(pattern: bytes, at: int) -> tuple[bytes, int]:
    """The class whose members start at `at`, and where the pattern goes on; one that is not closed ends with it."""
    negated = pattern[at : at + 1] == b"^"
    at += negated
    members: set[int] = set()
    while at < len(pattern) and pattern[at : at + 1] != b"]":
        matched, at = _member(pattern, at)
        members |= matched
    chosen = set(range(256)) - members if negated else members
    return b"[%s]" % b"".join(b"\\x%02x" % byte for byte in sorted(chosen)) if chosen else b"(?!)", at + 1


def _member(pattern: bytes, at: int) -> tuple[set[int], int]:
    """One byte or range of a class, and where the next one starts. A range may run backwards, and up to a `]`."""
    left = len(pattern) - at
    if pattern[at : at + 1] == b"\\" and left >= 2:
        return {pattern[at + 1]}, at + 2
    if left >= 3 and pattern[at + 1 : at + 2] == b"-":
        low, high = sorted((pattern[at], pattern[at + 2]), key=_as_char)
        return {byte for byte in range(256) if _as_char(low) <= _as_char(byte) <= _as_char(high)}, at + 3
    return {pattern[at]}, at + 1


def _as_char(byte: int) -> int:
    """As the server orders bytes in a range: C's `char` has a sign where most servers run (not on Linux on ARM)."""
    return byte - 256 if byte > 127 else byte
